#include "abi.h"

int main(void) {
    CHECK(herd_node_last_seen_ms(NULL) == -1);
    herd_nodes_t *nodes = listed();
    CHECK(herd_node_last_seen_ms(herd_nodes_get(nodes, 0)) == 0); /* Itself: now. */
    int64_t age_ms = herd_node_last_seen_ms(named(nodes, "vm 3"));
    CHECK(age_ms >= 0 && age_ms <= PATIENCE_MS);
    herd_nodes_free(nodes);
    return 0;
}
