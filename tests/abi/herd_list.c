#include "abi.h"

int main(void) {
    herd_nodes_t *nodes = NULL;
    CHECK(herd_list(NULL, &nodes) == HERD_ERR_INVALID && nodes == NULL);
    CHECK(herd_list(NULL, NULL) == HERD_ERR_INVALID);
    herd_t *herd = opened();
    CHECK(herd_list(herd, NULL) == HERD_ERR_INVALID);
    CHECK(has(herd_error_detail(herd), "NULL"));

    for (int i = 0; i < 3; i++) {
        CHECK(herd_list(herd, &nodes) == 0 && nodes != NULL);
        CHECK(herd_nodes_len(nodes) == 3);
        CHECK(same(herd_node_name(herd_nodes_get(nodes, 0)), "node1"));
        CHECK(same(herd_node_name(herd_nodes_get(nodes, 1)), "node2"));
        CHECK(same(herd_node_name(herd_nodes_get(nodes, 2)), "vm 3"));
        herd_nodes_free(nodes);
    }
    herd_close(herd);
    return 0;
}
