/* What happens in the herd, in a poll loop that could serve other descriptors too.
 * Build it: cc watch.c $(pkg-config --cflags --libs herd) -o watch */

#include <herd.h>
#include <poll.h>
#include <stdio.h>

static const char *const words[] = {
    [HERD_EVENT_UP] = "up",     [HERD_EVENT_SUSPECT] = "suspect", [HERD_EVENT_DOWN] = "down",
    [HERD_EVENT_LEFT] = "left", [HERD_EVENT_ROUTE] = "route",     [HERD_EVENT_STALE] = "stale",
};

static void print(const herd_event_t *event) {
    const char *node = herd_event_node(event), *text = herd_event_text(event);
    printf("%s %s%s%s\n", words[herd_event_type(event)], node ? node : "", text ? ": " : "",
           text ? text : "");
    fflush(stdout);
}

int main(void) {
    herd_t *herd;
    int code = herd_open(NULL, &herd);
    if (code == 0) code = herd_subscribe(herd);
    if (code != 0) {
        fprintf(stderr, "%s\n", herd_strerror(code));
        return 1;
    }
    do {
        struct pollfd ready = {.fd = herd_fd(herd), .events = POLLIN};
        poll(&ready, 1, -1);
        herd_event_t *event;
        while ((code = herd_next_event(herd, &event)) == 0) {
            print(event);
            herd_event_free(event);
        }
    } while (code == HERD_AGAIN);
    fprintf(stderr, "%s\n", herd_error_detail(herd));
    herd_close(herd);
    return 1;
}
