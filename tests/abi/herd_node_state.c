#include "abi.h"

int main(void) {
    CHECK(herd_node_state(NULL) == HERD_ERR_INVALID);
    herd_nodes_t *nodes = listed();
    CHECK(herd_node_state(herd_nodes_get(nodes, 0)) == HERD_ALIVE);
    herd_nodes_free(nodes);

    /* node2 is killed now and then. */
    herd_t *herd = subscribed();
    herd_event_free(awaited(herd, HERD_EVENT_DOWN));
    herd_close(herd);
    nodes = listed();
    int state = herd_node_state(named(nodes, "node2"));
    CHECK(state >= HERD_ALIVE && state <= HERD_LEFT);
    herd_nodes_free(nodes);
    return 0;
}
