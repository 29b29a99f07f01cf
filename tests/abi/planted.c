/* A leak: valgrind and AddressSanitizer must find it, or they find nothing. */

#include "abi.h"

static size_t leak(void) {
    return herd_nodes_len(listed());
}

int main(void) {
    return leak() == 3 ? 0 : 1;
}
