#include "abi.h"

int main(void) {
    CHECK(herd_node_name(NULL) == NULL);
    herd_nodes_t *nodes = listed();
    CHECK(same(herd_node_name(herd_nodes_get(nodes, 0)), "node1"));
    CHECK(same(herd_node_name(herd_nodes_get(nodes, 2)), "vm 3"));
    CHECK(herd_node_name(herd_nodes_get(nodes, 3)) == NULL);
    herd_nodes_free(nodes);
    return 0;
}
