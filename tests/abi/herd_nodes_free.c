#include "abi.h"

int main(void) {
    herd_nodes_free(NULL);
    herd_nodes_t *nodes = listed(), *others = listed();
    herd_nodes_free(nodes);
    CHECK(same(herd_node_name(herd_nodes_get(others, 0)), "node1"));
    herd_nodes_free(others);
    return 0;
}
