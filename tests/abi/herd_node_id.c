#include "abi.h"

int main(void) {
    CHECK(herd_node_id(NULL) == NULL);
    herd_nodes_t *nodes = listed();
    const char *id = herd_node_id(herd_nodes_get(nodes, 0));
    CHECK(strlen(id) == 16 && strspn(id, "0123456789abcdef") == 16);
    CHECK(strcmp(id, herd_node_id(herd_nodes_get(nodes, 1))) != 0);

    /* A command takes an id where it takes a name. */
    char words[64];
    snprintf(words, sizeof words, "remote %s ping", herd_node_id(named(nodes, "vm 3")));
    herd_replies_t *replies = replied(words);
    CHECK(same(herd_replies_text(replies, 0), "pong\n"));
    herd_replies_free(replies);
    herd_nodes_free(nodes);
    return 0;
}
