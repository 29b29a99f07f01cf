#include "abi.h"

int main(void) {
    CHECK(herd_nodes_len(NULL) == 0);
    herd_nodes_t *nodes = listed();
    CHECK(herd_nodes_len(nodes) == 3);
    herd_nodes_free(nodes);
    return 0;
}
