#include "abi.h"

int main(void) {
    CHECK(herd_fd(NULL) == HERD_ERR_INVALID);
    herd_t *herd = opened();
    CHECK(herd_fd(herd) == HERD_ERR_INVALID);
    CHECK(has(herd_error_detail(herd), "herd_subscribe()"));
    CHECK(herd_subscribe(herd) == 0);
    int fd = herd_fd(herd);
    CHECK(fd >= 0 && herd_fd(herd) == fd);
    struct pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
    CHECK(poll(&ready, 1, PATIENCE_MS) == 1 && ready.revents == POLLIN);
    herd_event_free(awaited(herd, 0));
    CHECK(herd_fd(herd) == fd);
    herd_close(herd);
    return 0;
}
