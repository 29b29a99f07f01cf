#include "abi.h"

int main(void) {
    CHECK(herd_event_node(NULL) == NULL);
    herd_t *herd = subscribed();
    herd_event_t *event = awaited(herd, HERD_EVENT_DOWN);
    herd_close(herd); /* An event outlives its handle. */
    CHECK(same(herd_event_node(event), "node2"));
    herd_event_free(event);
    return 0;
}
