#include "abi.h"

int main(void) {
    CHECK(herd_node_public_ip(NULL) == NULL);
    herd_nodes_t *nodes = listed();
    CHECK(herd_node_public_ip(herd_nodes_get(nodes, 0)) == NULL); /* On loopback there is none. */
    CHECK(same(herd_node_public_ip(named(nodes, "vm 3")), "192.0.2.3")); /* Given with -p. */
    herd_nodes_free(nodes);
    return 0;
}
