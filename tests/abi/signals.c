/* Signals that interrupt every call change nothing. */

#include "abi.h"
#include <signal.h>
#include <sys/time.h>

static volatile sig_atomic_t count;

static void on_alarm(int number) {
    (void)number;
    count++;
}

int main(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action); /* No SA_RESTART. */
    action.sa_handler = on_alarm;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval every = {{0, 5000}, {0, 5000}};
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    herd_t *herd = subscribed();
    for (int i = 0; i < 20 || count == 0; i++) {
        herd_replies_t *replies = NULL;
        CHECK(herd_command(herd, "all list", &replies) == 0);
        CHECK(herd_replies_status(replies, 0) == 0);
        herd_replies_free(replies);
        herd_event_t *event = NULL;
        int code = herd_next_event(herd, &event);
        CHECK(code == 0 || code == HERD_AGAIN);
        herd_event_free(event);
    }
    herd_close(herd);
    return 0;
}
