#include "abi.h"

static void refused(herd_t *herd, const char *words, int code, const char *why) {
    herd_replies_t *untouched = (herd_replies_t *)&untouched, *replies = untouched;
    CHECK(herd_command(herd, words, &replies) == code && replies == untouched);
    CHECK(has(herd_error_detail(herd), why));
}

/* A name far longer than any may be; the longest that still fits a request; one byte too long. */
static void too_long(herd_t *herd) {
    size_t len = (size_t)1 << 20;
    char *words = malloc(len + 32);
    CHECK(words != NULL);
    strcpy(words, "forget ");
    memset(words + 7, 'x', len);
    words[7 + len] = '\0';
    refused(herd, words, HERD_ERR_LIMIT, "1048576 bytes");
    words[7 + 4096] = '\0';
    herd_replies_t *replies = NULL;
    CHECK(herd_command(herd, words, &replies) == 0);
    CHECK(herd_replies_status(replies, 0) < 0);
    herd_replies_free(replies);
    free(words);
}

int main(void) {
    herd_replies_t *replies = NULL;
    CHECK(herd_command(NULL, "ping", &replies) == HERD_ERR_INVALID && replies == NULL);
    CHECK(herd_command(NULL, NULL, NULL) == HERD_ERR_INVALID);
    herd_t *herd = opened();
    CHECK(herd_command(herd, "ping", NULL) == HERD_ERR_INVALID);
    refused(herd, NULL, HERD_ERR_INVALID, "NULL");
    refused(herd, "", HERD_ERR_INVALID, "VERB is missing");
    refused(herd, "lsit", HERD_ERR_INVALID, "did you mean `list`?");
    refused(herd, "ping \"x", HERD_ERR_INVALID, "double quote");
    refused(herd, "ping \xff", HERD_ERR_INVALID, "UTF-8");
    refused(herd, "watch", HERD_ERR_INVALID, "herd_subscribe()");
    too_long(herd);

    const char *good[] = {"ping", "remote \"vm 3\" ping", "  ping\tremote vm\" \"3 ", "-- ping"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK(herd_command(herd, good[i], &replies) == 0);
        CHECK(herd_replies_len(replies) == 1 && same(herd_replies_text(replies, 0), "pong\n"));
        herd_replies_free(replies);
    }
    const char *verbs[] = {"list", "trace", "trace all", "trace \"vm 3\"", "version", "all list"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        CHECK(herd_command(herd, verbs[i], &replies) == 0);
        CHECK(herd_replies_len(replies) >= 1 && herd_replies_status(replies, 0) == 0);
        herd_replies_free(replies);
    }
    herd_close(herd);
    return 0;
}
