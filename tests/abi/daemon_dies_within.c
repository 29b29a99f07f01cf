/* The daemon is killed while a call waits for its answer: each call ends with an error. */

#include "abi.h"
#include <pthread.h>
#include <time.h>

enum { LIST, TRACE, COMMAND, SUBSCRIBE, OPEN, CALLS };

struct call {
    int which, code;
    herd_t *herd;
};

static void *waits(void *given) {
    struct call *call = given;
    herd_nodes_t *nodes = NULL;
    herd_replies_t *replies = NULL;
    herd_t *other = NULL;
    switch (call->which) {
    case LIST: call->code = herd_list(call->herd, &nodes); break;
    case TRACE: call->code = herd_trace(call->herd, &nodes); break;
    case COMMAND: call->code = herd_command(call->herd, "all ping", &replies); break;
    case SUBSCRIBE: call->code = herd_subscribe(call->herd); break;
    case OPEN:
        /* Opening waits for nobody; what is asked on the new handle does. */
        call->code = herd_open(NULL, &other);
        if (call->code == 0) call->code = herd_list(other, &nodes);
        herd_close(other);
        break;
    }
    CHECK(nodes == NULL && replies == NULL);
    return NULL;
}

int main(void) {
    for (int which = LIST; which < CALLS; which++) {
        struct call call = {.which = which, .code = 0, .herd = opened()};
        const struct timespec moment = {.tv_sec = 0, .tv_nsec = 200000000};
        pthread_t thread;
        ask("pause");
        CHECK(pthread_create(&thread, NULL, waits, &call) == 0);
        nanosleep(&moment, NULL);
        ask("kill");
        CHECK(pthread_join(thread, NULL) == 0);
        /* To subscribe takes no answer where the kernel took the question. */
        if (call.code != HERD_ERR_GONE && !(which == SUBSCRIBE && call.code == 0)) {
            fprintf(stderr, "call %d: %s\n", which, herd_strerror(call.code));
            exit(1);
        }
        herd_event_t *event = NULL;
        if (which == SUBSCRIBE) CHECK(herd_next_event(call.herd, &event) != 0 && event == NULL);
        ask("start");
        herd_close(call.herd);
    }
    return 0;
}
