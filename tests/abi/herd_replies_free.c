#include "abi.h"

int main(void) {
    herd_replies_free(NULL);
    herd_replies_t *replies = replied("ping"), *others = replied("all list");
    herd_replies_free(replies);
    CHECK(same(herd_replies_node(others, 0), "node1"));
    herd_replies_free(others);
    return 0;
}
