#include "abi.h"

int main(void) {
    CHECK(herd_node_internal_ip(NULL) == NULL);
    herd_nodes_t *nodes = listed();
    CHECK(same(herd_node_internal_ip(herd_nodes_get(nodes, 0)), getenv("NODE1_ADDRESS")));
    herd_nodes_free(nodes);
    return 0;
}
