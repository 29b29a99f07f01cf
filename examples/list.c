/* Who is in the herd? Build it: cc list.c $(pkg-config --cflags --libs herd) -o list */

#include <herd.h>
#include <stdio.h>

int main(void) {
    herd_t *herd;
    herd_nodes_t *nodes;
    int code = herd_open(NULL, &herd);
    if (code != 0) {
        fprintf(stderr, "%s\n", herd_strerror(code));
        return 1;
    }
    code = herd_list(herd, &nodes);
    if (code != 0) {
        fprintf(stderr, "%s\n", herd_error_detail(herd));
        herd_close(herd);
        return 1;
    }
    for (size_t i = 0; i < herd_nodes_len(nodes); i++) {
        const herd_node_t *node = herd_nodes_get(nodes, i);
        const char *ip = herd_node_internal_ip(node);
        printf("%s at %s, last seen %lld ms ago\n", herd_node_name(node), ip ? ip : "N/A",
               (long long)herd_node_last_seen_ms(node));
    }
    herd_nodes_free(nodes);
    herd_close(herd);
    return 0;
}
