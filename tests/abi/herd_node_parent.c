#include "abi.h"

int main(void) {
    CHECK(herd_node_parent(NULL) == NULL);
    herd_nodes_t *nodes = listed();
    CHECK(herd_node_parent(herd_nodes_get(nodes, 0)) == NULL); /* No NAT, no parent. */
    herd_nodes_free(nodes);
    return 0;
}
