#include "abi.h"

int main(void) {
    CHECK(herd_event_text(NULL) == NULL);
    herd_t *herd = subscribed();
    herd_event_t *event = awaited(herd, HERD_EVENT_DOWN);
    CHECK(herd_event_text(event) != NULL && strlen(herd_event_text(event)) > 0);
    herd_event_free(event);
    herd_close(herd);
    return 0;
}
