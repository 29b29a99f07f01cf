#include "abi.h"

int main(void) {
    CHECK(herd_node_rtt_us(NULL) == -1);
    herd_nodes_t *nodes = listed();
    CHECK(herd_node_rtt_us(named(nodes, "vm 3")) >= -1);
    CHECK(herd_node_rtt_us(named(nodes, "vm 3")) <= (int64_t)PATIENCE_MS * 1000);
    herd_nodes_free(nodes);
    return 0;
}
