/* The daemon is killed under an open handle, and started again: errors, no crash, no SIGPIPE. */

#include "abi.h"
#include <signal.h>

static void check_gone(herd_t *herd) {
    herd_nodes_t *nodes = NULL;
    herd_replies_t *replies = NULL;
    CHECK(herd_list(herd, &nodes) == HERD_ERR_GONE && nodes == NULL);
    CHECK(herd_error_detail(herd) != NULL);
    CHECK(herd_trace(herd, &nodes) == HERD_ERR_GONE && nodes == NULL);
    CHECK(herd_command(herd, "all ping", &replies) == HERD_ERR_GONE && replies == NULL);
}

int main(void) {
    signal(SIGPIPE, SIG_DFL);
    herd_t *herd = subscribed(), *other = NULL;
    int fd = herd_fd(herd);
    ask("kill");
    check_gone(herd);
    struct pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
    CHECK(poll(&ready, 1, PATIENCE_MS) == 1);
    herd_event_t *event = NULL;
    for (int i = 0; i < 3; i++) CHECK(herd_next_event(herd, &event) == HERD_ERR_GONE);
    CHECK(event == NULL && herd_fd(herd) == fd);
    CHECK(herd_subscribe(herd) == HERD_ERR_NO_DAEMON);
    CHECK(herd_open(NULL, &other) == HERD_ERR_NO_DAEMON && other == NULL);

    ask("start");
    check_gone(herd);
    CHECK(herd_subscribe(herd) == 0 && herd_next_event(herd, &event) == HERD_AGAIN);
    herd_close(herd);
    herd_nodes_t *nodes = listed();
    CHECK(herd_nodes_len(nodes) == 1);
    herd_nodes_free(nodes);

    /* One that says goodbye: the answer comes, then the connection goes. */
    herd = subscribed();
    herd_replies_t *replies = NULL;
    CHECK(herd_command(herd, "stop", &replies) == 0);
    CHECK(same(herd_replies_text(replies, 0), "stopped\n"));
    herd_replies_free(replies);
    int code = HERD_AGAIN;
    while (code == HERD_AGAIN) {
        ready = (struct pollfd){.fd = herd_fd(herd), .events = POLLIN, .revents = 0};
        CHECK(poll(&ready, 1, PATIENCE_MS) == 1);
        code = herd_next_event(herd, &event);
    }
    CHECK(code == HERD_ERR_STOPPING || code == HERD_ERR_GONE);
    CHECK(herd_error_detail(herd) != NULL);
    ask("start");
    check_gone(herd);
    herd_close(herd);
    return 0;
}
