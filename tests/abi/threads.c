/* Handles are independent: each thread has its own. */

#include "abi.h"
#include <pthread.h>

static void *work(void *unused) {
    (void)unused;
    herd_t *herd = opened();
    for (int i = 0; i < 10; i++) {
        herd_nodes_t *nodes = NULL;
        CHECK(herd_list(herd, &nodes) == 0 && herd_nodes_len(nodes) == 3);
        herd_nodes_free(nodes);
    }
    herd_close(herd);
    return NULL;
}

int main(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    return 0;
}
