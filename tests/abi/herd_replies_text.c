#include "abi.h"

int main(void) {
    CHECK(herd_replies_text(NULL, 0) == NULL);
    herd_replies_t *replies = replied("ping");
    CHECK(same(herd_replies_text(replies, 0), "pong\n"));
    CHECK(herd_replies_text(replies, 1) == NULL && herd_replies_text(replies, (size_t)-1) == NULL);
    herd_replies_free(replies);
    replies = replied("trace");
    CHECK(same(herd_replies_text(replies, 0), "|__ node1\n"));
    herd_replies_free(replies);
    replies = replied("remote \"no body\" ping"); /* A space: DNS is not asked. */
    CHECK(has(herd_replies_text(replies, 0), "can not reach remote node no body: "));
    herd_replies_free(replies);
    replies = replied("forget \"vm 3\"");
    CHECK(has(herd_replies_text(replies, 0), "vm 3")); /* It lives: refused, and said why. */
    herd_replies_free(replies);
    return 0;
}
