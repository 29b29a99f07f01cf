#include "abi.h"

int main(void) {
    CHECK(herd_node_depth(NULL) == HERD_ERR_INVALID);
    herd_nodes_t *nodes = listed();
    CHECK(herd_node_depth(named(nodes, "vm 3")) == 0);
    herd_nodes_free(nodes);

    herd_t *herd = opened();
    CHECK(herd_trace(herd, &nodes) == 0);
    CHECK(herd_node_depth(herd_nodes_get(nodes, 0)) == 0);
    herd_nodes_free(nodes);
    herd_close(herd);
    return 0;
}
