#include "abi.h"

int main(void) {
    CHECK(herd_subscribe(NULL) == HERD_ERR_INVALID);
    herd_t *herd = subscribed();

    /* Commands and events do not disturb each other. */
    herd_event_t *event = awaited(herd, 0);
    herd_nodes_t *nodes = NULL;
    CHECK(herd_list(herd, &nodes) == 0);
    herd_nodes_free(nodes);
    herd_event_free(event);
    herd_event_free(awaited(herd, 0));

    CHECK(herd_subscribe(herd) == 0); /* Anew. */
    herd_event_free(awaited(herd, 0));
    herd_close(herd);
    return 0;
}
