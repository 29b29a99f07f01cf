#include "abi.h"

int main(void) {
    herd_event_t *untouched = (herd_event_t *)&untouched, *event = untouched;
    CHECK(herd_next_event(NULL, &event) == HERD_ERR_INVALID);
    herd_t *herd = opened();
    CHECK(herd_next_event(herd, &event) == HERD_ERR_INVALID);
    CHECK(has(herd_error_detail(herd), "herd_subscribe()"));
    CHECK(herd_subscribe(herd) == 0);
    CHECK(herd_next_event(herd, NULL) == HERD_ERR_INVALID);

    /* It never waits: between two events there is a time without. */
    int code = 0, again = 0;
    for (int i = 0; i < 1000 && !again; i++) {
        event = untouched;
        code = herd_next_event(herd, &event);
        again = code == HERD_AGAIN;
        CHECK(again ? event == untouched : code == 0);
        if (!again) herd_event_free(event);
    }
    CHECK(again);
    herd_event_free(awaited(herd, HERD_EVENT_DOWN));
    herd_event_free(awaited(herd, HERD_EVENT_UP));
    herd_close(herd);
    return 0;
}
