#include "abi.h"

int main(void) {
    CHECK(herd_replies_status(NULL, 0) == HERD_ERR_INVALID);
    herd_replies_t *replies = replied("ping");
    CHECK(herd_replies_status(replies, 0) == 0);
    CHECK(herd_replies_status(replies, 1) == HERD_ERR_INVALID);
    CHECK(herd_replies_status(replies, (size_t)-1) == HERD_ERR_INVALID);
    herd_replies_free(replies);
    replies = replied("remote \"no body\" ping");
    CHECK(herd_replies_status(replies, 0) == HERD_ERR_UNKNOWN_NODE);
    herd_replies_free(replies);
    replies = replied("forget \"vm 3\"");
    CHECK(herd_replies_status(replies, 0) == HERD_ERR_REFUSED);
    herd_replies_free(replies);
    return 0;
}
