/* The daemon is paused under an open handle: an error in time; it goes on: so does the handle. */

#include "abi.h"

int main(void) {
    herd_t *herd = subscribed();
    ask("pause");
    herd_nodes_t *nodes = NULL;
    herd_event_t *event = NULL;
    CHECK(herd_next_event(herd, &event) == HERD_AGAIN && event == NULL);
    CHECK(herd_list(herd, &nodes) == HERD_ERR_SILENT && nodes == NULL);
    CHECK(has(herd_error_detail(herd), "said nothing"));
    ask("continue");
    CHECK(herd_list(herd, &nodes) == 0 && herd_nodes_len(nodes) == 1);
    herd_nodes_free(nodes);
    herd_close(herd);
    return 0;
}
