#include "abi.h"

int main(void) {
    CHECK(herd_error_detail(NULL) == NULL);
    herd_t *herd = opened();
    CHECK(herd_error_detail(herd) == NULL);
    herd_replies_t *replies = NULL;
    CHECK(herd_command(herd, "frobnicate", &replies) == HERD_ERR_INVALID);
    CHECK(same(herd_error_detail(herd), "there is no verb `frobnicate`"));
    CHECK(same(herd_error_detail(herd), "there is no verb `frobnicate`")); /* Asking is no call. */
    CHECK(herd_command(herd, "ping \033[2J", &replies) == HERD_ERR_INVALID);
    CHECK(strchr(herd_error_detail(herd), '\033') == NULL);
    CHECK(herd_command(herd, "ping", &replies) == 0);
    CHECK(herd_error_detail(herd) == NULL);
    herd_replies_free(replies);
    herd_close(herd);
    return 0;
}
