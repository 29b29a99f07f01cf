/* After fork: the parent's handles go on, the child opens its own. */

#include "abi.h"
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    herd_t *herd = subscribed();
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            herd_nodes_t *nodes = listed();
            int complete = herd_nodes_len(nodes) == 3;
            herd_nodes_free(nodes);
            /* Closing what was inherited says nothing to the daemon. */
            herd_close(herd);
            exit(complete ? 0 : 1);
        }
        herd_nodes_t *nodes = NULL;
        CHECK(herd_list(herd, &nodes) == 0 && herd_nodes_len(nodes) == 3);
        herd_nodes_free(nodes);
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(herd_list(herd, &nodes) == 0 && herd_nodes_len(nodes) == 3);
        herd_nodes_free(nodes);
    }
    /* node2 comes and goes: the subscription lives. */
    herd_event_free(awaited(herd, 0));
    herd_close(herd);
    return 0;
}
