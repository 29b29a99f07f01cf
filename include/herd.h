/* herd.h: ask the daustd of this machine who is in the herd. See libherd(3).
 * Written by cbindgen from src/ffi (make header): do not edit.
 *
 * A function that can fail returns 0 or a negative HERD_ERR_*; its result, by the last pointer, is
 * written only on success and is then the caller's, to be freed by its own function. NULL is
 * answered with an error, never followed. Strings live as long as what they were got from; they
 * are UTF-8, with control characters escaped. */

#ifndef HERD_H
#define HERD_H

#include <stddef.h>
#include <stdint.h>

/**
 * Nobody in the herd is called that.
 */
#define HERD_ERR_UNKNOWN_NODE (-1)

/**
 * More than one live node fits; the detail lists them.
 */
#define HERD_ERR_AMBIGUOUS (-2)

/**
 * The node did not answer in time, or is known to be down.
 */
#define HERD_ERR_NO_ANSWER (-3)

/**
 * No way leads to the node.
 */
#define HERD_ERR_UNREACHABLE (-4)

/**
 * The answering node is older and does not know that command.
 */
#define HERD_ERR_UNSUPPORTED (-5)

/**
 * Not here, not now, or not by you; the detail says why and what to do.
 */
#define HERD_ERR_REFUSED (-6)

/**
 * A limit was reached; the detail names it.
 */
#define HERD_ERR_LIMIT (-7)

/**
 * The words or arguments make no sense, or a pointer is NULL that may not be.
 */
#define HERD_ERR_INVALID (-8)

/**
 * The daemon is stopping.
 */
#define HERD_ERR_STOPPING (-9)

/**
 * A fault in herd, a damaged answer, or an error that only a newer library knows.
 */
#define HERD_ERR_INTERNAL (-10)

/**
 * No event now: poll herd_fd() and try again. Not a failure.
 */
#define HERD_AGAIN (-101)

/**
 * Nobody listens on the daemon's socket: daustd does not run.
 */
#define HERD_ERR_NO_DAEMON (-102)

/**
 * The daemon's socket belongs to somebody else.
 */
#define HERD_ERR_PERMISSION (-103)

/**
 * The daemon's socket is there (or its path is none), and connecting failed.
 */
#define HERD_ERR_CONNECT (-104)

/**
 * No path was given, and none follows from the environment.
 */
#define HERD_ERR_NO_PATH (-105)

/**
 * The daemon closed the connection: close the handle, open another.
 */
#define HERD_ERR_GONE (-106)

/**
 * The daemon said nothing in time.
 */
#define HERD_ERR_SILENT (-107)

/**
 * Heard lately.
 */
#define HERD_ALIVE 0

/**
 * Not heard when it should have been; not agreed yet.
 */
#define HERD_SUSPECT 1

/**
 * Agreed to be down, or its process is proved gone.
 */
#define HERD_DOWN 2

/**
 * It said goodbye.
 */
#define HERD_LEFT 3

/**
 * A node is there, or there again.
 */
#define HERD_EVENT_UP 1

/**
 * A node was not heard when it should have been.
 */
#define HERD_EVENT_SUSPECT 2

/**
 * A node is down; the text is the reason.
 */
#define HERD_EVENT_DOWN 3

/**
 * A node said goodbye.
 */
#define HERD_EVENT_LEFT 4

/**
 * A node is reached in another way; the text is its parent, NULL if it is reached directly.
 */
#define HERD_EVENT_ROUTE 5

/**
 * The local node believes itself cut off: what it shows is old. No node is meant.
 */
#define HERD_EVENT_STALE 6

/**
 * One thing that happened: a line of daust watch.
 */
typedef struct herd_event_t herd_event_t;

/**
 * A connection to the local daustd. One thread uses it at a time; several handles are independent.
 * After fork(), parent and child must not both use it.
 */
typedef struct herd_t herd_t;

/**
 * One node, as the local node saw it when it was asked.
 */
typedef struct herd_node_t herd_node_t;

/**
 * Nodes in the order in which daust shows them.
 */
typedef struct herd_nodes_t herd_nodes_t;

/**
 * What the asked nodes answered, one reply a node.
 */
typedef struct herd_replies_t herd_replies_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Connects to the daustd that listens on this socket; NULL is the usual place, as for daust
 * (DAUST_SOCKET overrides it). Fails at once if none runs: herd_strerror() says how. Close it with
 * herd_close().
 */
int herd_open(const char *socket_path, herd_t **handle);

/**
 * Closes the handle and its subscription. What was got through it stays valid until it is freed.
 * NULL is fine.
 */
void herd_close(herd_t *handle);

/**
 * Says more about the last call on this handle: why it failed, naming node, path or limit; after a
 * herd_list() or herd_trace() that went well a warning, if the local node believes itself cut off;
 * else NULL. Valid until the next call on the handle.
 */
const char *herd_error_detail(herd_t *handle);

/**
 * The version of this library, such as "0.1.0". Never to be freed.
 */
const char *herd_version(void);

/**
 * A sentence for any code: what it means and what to do. Never NULL, never to be freed.
 */
const char *herd_strerror(int code);

/**
 * Gets the known nodes, the local one first, then by name. Free them with herd_nodes_free().
 */
int herd_list(herd_t *handle, herd_nodes_t **nodes);

/**
 * Gets the tree of routes in reading order, each node with its depth: a node stands under the last
 * one before it that is less deep. Nodes that left are not in it. Free it with herd_nodes_free().
 */
int herd_trace(herd_t *handle, herd_nodes_t **nodes);

/**
 * How many nodes there are; 0 for NULL.
 */
size_t herd_nodes_len(const herd_nodes_t *nodes);

/**
 * One of the nodes, counted from 0; NULL out of range. It lives as long as the list does.
 */
const herd_node_t *herd_nodes_get(const herd_nodes_t *nodes, size_t index);

/**
 * Frees the list, its nodes and their strings. NULL is fine.
 */
void herd_nodes_free(herd_nodes_t *nodes);

/**
 * The name as daust shows it. It lives as long as the list does.
 */
const char *herd_node_name(const herd_node_t *node);

/**
 * The id, 16 hexadecimal digits: names and addresses may change, it does not.
 */
const char *herd_node_id(const herd_node_t *node);

/**
 * The address that the node has itself; NULL if it is not known.
 */
const char *herd_node_internal_ip(const herd_node_t *node);

/**
 * The address under which others see the node, if it is none of its own; NULL if there is none.
 */
const char *herd_node_public_ip(const herd_node_t *node);

/**
 * The name of the node through which this one is reached; NULL if it has none.
 */
const char *herd_node_parent(const herd_node_t *node);

/**
 * How long ago anybody in the herd heard the node, milliseconds; -1 if it is not known, or
 * for NULL.
 */
int64_t herd_node_last_seen_ms(const herd_node_t *node);

/**
 * The round-trip time to the node, microseconds; -1 if it was not measured, or for NULL.
 */
int64_t herd_node_rtt_us(const herd_node_t *node);

/**
 * HERD_ALIVE, HERD_SUSPECT, HERD_DOWN or HERD_LEFT; HERD_ERR_INVALID for NULL.
 */
int herd_node_state(const herd_node_t *node);

/**
 * How deep the node stands in herd_trace(), 0 at the top and in herd_list(); HERD_ERR_INVALID for
 * NULL.
 */
int herd_node_depth(const herd_node_t *node);

/**
 * Carries out any verb of daust but watch, such as "remote 192.168.1.3 ping" or "all list": spaces
 * divide words, double quotes group them. Nodes have 5 seconds to answer; a host name that no node
 * bears is looked up in DNS, which may take longer. 0 says that there are replies, not that each is
 * good: see herd_replies_status(). Free them with herd_replies_free().
 */
int herd_command(herd_t *handle, const char *words, herd_replies_t **replies);

/**
 * How many replies there are; 0 for NULL.
 */
size_t herd_replies_len(const herd_replies_t *replies);

/**
 * The name of the node that answered or stayed silent; NULL where no node is meant or out of
 * range. With all, the local node is the first. It lives as long as the replies do.
 */
const char *herd_replies_node(const herd_replies_t *replies, size_t index);

/**
 * What daust prints for that answer, lines that end with newlines: the result, then why it failed
 * if it did. NULL out of range. It lives as long as the replies do.
 */
const char *herd_replies_text(const herd_replies_t *replies, size_t index);

/**
 * 0 if that node answered well, else why not; HERD_ERR_INVALID out of range.
 */
int herd_replies_status(const herd_replies_t *replies, size_t index);

/**
 * Frees the replies and their strings. NULL is fine.
 */
void herd_replies_free(herd_replies_t *replies);

/**
 * Begins to follow what happens, on a connection of its own: commands go on as before. Everything
 * that happens after it returned becomes an event. Called again it begins anew, on another
 * descriptor, as it must after herd_next_event() failed with anything but HERD_AGAIN.
 */
int herd_subscribe(herd_t *handle);

/**
 * The descriptor to poll for reading, or a negative error if nothing is subscribed to. Only
 * herd_next_event() may read it. It stays open until herd_close() or the next herd_subscribe().
 */
int herd_fd(herd_t *handle);

/**
 * Gets the next event without waiting; HERD_AGAIN if there is none now. Several may have come at
 * once: take them until HERD_AGAIN before polling again. Free each with herd_event_free().
 */
int herd_next_event(herd_t *handle, herd_event_t **event);

/**
 * What happened: one of HERD_EVENT_*; HERD_ERR_INVALID for NULL.
 */
int herd_event_type(const herd_event_t *event);

/**
 * The name of the node it happened to; NULL if no node is meant. It lives as long as the event.
 */
const char *herd_event_node(const herd_event_t *event);

/**
 * The reason, or the parent of a route; NULL if there is none. It lives as long as the event.
 */
const char *herd_event_text(const herd_event_t *event);

/**
 * Frees the event and its strings. NULL is fine.
 */
void herd_event_free(herd_event_t *event);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* HERD_H */
