/* Leaks: valgrind and AddressSanitizer must find them, or they find nothing. Several, since a stale
 * pointer on the stack may still lead to the last one. */

#include "abi.h"

static size_t leak(void) {
    return herd_nodes_len(listed());
}

int main(void) {
    size_t len = 0;
    for (int i = 0; i < 10; i++) len += leak();
    return len == 30 ? 0 : 1;
}
