#include "abi.h"

int main(void) {
    herd_nodes_t *nodes = NULL;
    CHECK(herd_trace(NULL, &nodes) == HERD_ERR_INVALID && nodes == NULL);
    herd_t *herd = opened();
    CHECK(herd_trace(herd, NULL) == HERD_ERR_INVALID);

    CHECK(herd_trace(herd, &nodes) == 0 && nodes != NULL);
    CHECK(herd_nodes_len(nodes) == 3);
    const herd_node_t *first = herd_nodes_get(nodes, 0);
    CHECK(same(herd_node_name(first), "node1"));
    /* A node of the tree says all that one of the list does. */
    CHECK(strlen(herd_node_id(first)) == 16 && herd_node_internal_ip(first) != NULL);
    CHECK(herd_node_last_seen_ms(named(nodes, "vm 3")) >= 0);
    herd_nodes_free(nodes);
    herd_close(herd);
    return 0;
}
