#include "abi.h"

int main(void) {
    herd_t *untouched = (herd_t *)&untouched, *herd = untouched;
    CHECK(herd_open("/nonexistent/daust.sock", &herd) == HERD_ERR_NO_DAEMON);
    CHECK(herd_open("/", &herd) == HERD_ERR_NO_DAEMON); /* No socket: the connection is refused. */
    CHECK(herd_open("", &herd) < 0);
    char path[4096];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    CHECK(herd_open(path, &herd) == HERD_ERR_CONNECT); /* Too long for a socket. */
    CHECK(herd == untouched);
    CHECK(herd_open(NULL, NULL) == HERD_ERR_INVALID);
    CHECK(herd_open(getenv("DAUST_SOCKET"), NULL) == HERD_ERR_INVALID);

    herd_t *other = NULL;
    CHECK(herd_open(NULL, &herd) == 0);
    CHECK(herd_open(getenv("DAUST_SOCKET"), &other) == 0);
    CHECK(herd != NULL && other != NULL && herd != other);
    herd_close(herd);
    herd_close(other);
    return 0;
}
