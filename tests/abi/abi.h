/* What the programs share. Each tests one function of herd.h: what it promises, NULLs, misuse.
 * tests/abi.rs runs them, with DAUST_SOCKET naming the daemon of `node1`, which knows `node2`
 * (killed and started again and again) and `vm 3`. */

#ifndef ABI_H
#define ABI_H

#include <herd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 60000

#define CHECK(ok) ((ok) ? (void)0 : check_failed(__FILE__, __LINE__, #ok))

static inline void check_failed(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    exit(1);
}

static inline int same(const char *text, const char *expected) {
    if (text != NULL && strcmp(text, expected) == 0) return 1;
    fprintf(stderr, "got %s\n", text != NULL ? text : "NULL");
    return 0;
}

static inline int has(const char *text, const char *part) {
    if (text != NULL && strstr(text, part) != NULL) return 1;
    fprintf(stderr, "got %s\n", text != NULL ? text : "NULL");
    return 0;
}

static inline herd_t *opened(void) {
    herd_t *herd = NULL;
    CHECK(herd_open(NULL, &herd) == 0 && herd != NULL);
    return herd;
}

static inline herd_nodes_t *listed(void) {
    herd_t *herd = opened();
    herd_nodes_t *nodes = NULL;
    CHECK(herd_list(herd, &nodes) == 0 && nodes != NULL);
    herd_close(herd); /* The list outlives the handle. */
    return nodes;
}

static inline const herd_node_t *named(const herd_nodes_t *nodes, const char *name) {
    for (size_t i = 0; i < herd_nodes_len(nodes); i++) {
        const herd_node_t *node = herd_nodes_get(nodes, i);
        if (strcmp(herd_node_name(node), name) == 0) return node;
    }
    fprintf(stderr, "no node %s\n", name);
    exit(1);
}

static inline herd_replies_t *replied(const char *words) {
    herd_t *herd = opened();
    herd_replies_t *replies = NULL;
    CHECK(herd_command(herd, words, &replies) == 0 && replies != NULL);
    herd_close(herd);
    return replies;
}

/* Waits for an event of this type; 0 is any. */
static inline herd_event_t *awaited(herd_t *herd, int type) {
    for (;;) {
        herd_event_t *event = NULL;
        int code = herd_next_event(herd, &event);
        if (code == HERD_AGAIN) {
            struct pollfd ready = {.fd = herd_fd(herd), .events = POLLIN, .revents = 0};
            CHECK(poll(&ready, 1, PATIENCE_MS) == 1);
            continue;
        }
        CHECK(code == 0 && event != NULL);
        if (type == 0 || herd_event_type(event) == type) return event;
        herd_event_free(event);
    }
}

/* The test does this to the daemon and answers with a line. */
static inline void ask(const char *what) {
    char line[16];
    puts(what);
    fflush(stdout);
    CHECK(fgets(line, sizeof line, stdin) != NULL);
}

static inline herd_t *subscribed(void) {
    herd_t *herd = opened();
    CHECK(herd_subscribe(herd) == 0);
    return herd;
}

#endif
