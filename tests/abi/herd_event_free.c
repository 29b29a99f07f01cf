#include "abi.h"

int main(void) {
    herd_event_free(NULL);
    herd_t *herd = subscribed();
    herd_event_t *event = awaited(herd, 0), *other = awaited(herd, 0);
    herd_event_free(event);
    CHECK(herd_event_type(other) > 0);
    herd_event_free(other);
    herd_close(herd);
    return 0;
}
