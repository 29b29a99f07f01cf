#include "abi.h"

int main(void) {
    CHECK(herd_nodes_get(NULL, 0) == NULL);
    herd_nodes_t *nodes = listed();
    size_t len = herd_nodes_len(nodes);
    for (size_t i = 0; i < len; i++) CHECK(herd_nodes_get(nodes, i) != NULL);
    CHECK(herd_nodes_get(nodes, 0) != herd_nodes_get(nodes, 1));
    CHECK(herd_nodes_get(nodes, len) == NULL && herd_nodes_get(nodes, (size_t)-1) == NULL);
    herd_nodes_free(nodes);
    return 0;
}
