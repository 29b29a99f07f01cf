#include "abi.h"

int main(void) {
    CHECK(herd_replies_node(NULL, 0) == NULL);
    herd_replies_t *replies = replied("all ping");
    CHECK(same(herd_replies_node(replies, 0), "node1")); /* The local node first, then by name. */
    CHECK(same(herd_replies_node(replies, 1), "node2"));
    CHECK(same(herd_replies_node(replies, 2), "vm 3"));
    CHECK(herd_replies_node(replies, 3) == NULL && herd_replies_node(replies, (size_t)-1) == NULL);
    herd_replies_free(replies);
    replies = replied("remote \"no body\" ping"); /* A space: DNS is not asked. */
    CHECK(herd_replies_len(replies) == 1 && herd_replies_node(replies, 0) == NULL);
    herd_replies_free(replies);
    return 0;
}
