#include "abi.h"

int main(void) {
    CHECK(same(herd_version(), getenv("HERD_VERSION")));
    CHECK(herd_version() == herd_version());
    return 0;
}
