/* The daemon serves 64 clients at once; the one more is told which limit it met. */

#include "abi.h"

#define CLIENTS 64

int main(void) {
    herd_t *herds[CLIENTS], *more = NULL;
    herd_nodes_t *nodes = NULL;
    for (int i = 0; i < CLIENTS; i++) {
        herds[i] = opened();
        CHECK(herd_list(herds[i], &nodes) == 0);
        herd_nodes_free(nodes);
    }
    CHECK(herd_subscribe(herds[0]) == HERD_ERR_LIMIT); /* It needs a connection of its own. */
    CHECK(has(herd_error_detail(herds[0]), "64 clients"));
    nodes = NULL;
    CHECK(herd_open(NULL, &more) == 0);
    CHECK(herd_list(more, &nodes) == HERD_ERR_LIMIT && nodes == NULL);
    CHECK(has(herd_error_detail(more), "64 clients"));
    herd_close(more);
    for (int i = 0; i < CLIENTS; i++) herd_close(herds[i]);
    return 0;
}
