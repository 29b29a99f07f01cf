#include "abi.h"

int main(void) {
    herd_close(NULL);
    herd_close(opened());
    herd_close(subscribed());

    /* What was got through a handle outlives it. */
    herd_t *herd = opened();
    herd_nodes_t *nodes = NULL;
    herd_replies_t *replies = NULL;
    CHECK(herd_list(herd, &nodes) == 0 && herd_command(herd, "ping", &replies) == 0);
    herd_close(herd);
    CHECK(same(herd_node_name(herd_nodes_get(nodes, 0)), "node1"));
    CHECK(same(herd_replies_text(replies, 0), "pong\n"));
    herd_nodes_free(nodes);
    herd_replies_free(replies);

    /* Neither descriptors nor the daemon's 64 places for clients leak. */
    for (int i = 0; i < 200; i++) herd_close(opened());
    return 0;
}
