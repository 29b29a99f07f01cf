#include "abi.h"

int main(void) {
    CHECK(herd_replies_len(NULL) == 0);
    herd_replies_t *replies = replied("ping");
    CHECK(herd_replies_len(replies) == 1);
    herd_replies_free(replies);
    replies = replied("all ping");
    CHECK(herd_replies_len(replies) == 3); /* Who is down is among them. */
    herd_replies_free(replies);
    return 0;
}
