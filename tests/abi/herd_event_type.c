#include "abi.h"

int main(void) {
    CHECK(herd_event_type(NULL) == HERD_ERR_INVALID);
    herd_t *herd = subscribed();
    herd_event_t *event = awaited(herd, 0);
    CHECK(herd_event_type(event) >= HERD_EVENT_UP && herd_event_type(event) <= HERD_EVENT_STALE);
    herd_event_free(event);
    herd_close(herd);
    return 0;
}
