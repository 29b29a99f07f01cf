#include "abi.h"

int main(void) {
    const char *unknown = herd_strerror(1);
    CHECK(unknown != NULL && strlen(unknown) > 0);
    CHECK(strcmp(herd_strerror(0), unknown) != 0);
    CHECK(has(herd_strerror(HERD_ERR_NO_DAEMON), "is it running?"));
    CHECK(herd_strerror(HERD_AGAIN) == herd_strerror(HERD_AGAIN));
    int codes[] = {-2147483647 - 1, 2147483647, -11, -100, -108};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        CHECK(same(herd_strerror(codes[i]), unknown));
    }
    for (int code = HERD_ERR_UNKNOWN_NODE; code >= HERD_ERR_INTERNAL; code--) {
        CHECK(strcmp(herd_strerror(code), unknown) != 0);
    }
    for (int code = HERD_AGAIN; code >= HERD_ERR_SILENT; code--) {
        CHECK(strcmp(herd_strerror(code), unknown) != 0);
    }
    return 0;
}
