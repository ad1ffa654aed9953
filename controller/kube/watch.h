/*
 * What a collection holds, followed for ever: list and watch as client-go's reflector does it.
 *
 *   1. picture: WatchList, a watch that begins with all objects (sendInitialEvents, Kubernetes
 *      1.32 and newer) and says by a bookmark that they were all; where the server does not do
 *      that, once and for ever after, a list (limit 500; resourceVersion 0 the first time, the
 *      newest after a 410), cut into its items while it streams in
 *   2. watch from the picture's resource version, for 300 to 600 s (random) a request; every event
 *      and bookmark carries the version to go on from
 *   3. clean end of a watch: again from the last version, at once. Less than a second and no event:
 *      as a failure
 *   4. 410 in any of its shapes (HTTP status, event of type ERROR, version too large): 1 again,
 *      with the newest version. The handler hears on_begin, all objects, on_synced, and forgets
 *      what was not among them
 *   5. failures (transport, 429, 5xx, garbage): again after 0.8 s, doubled up to 30 s, random
 *      between half and all of it; never earlier than Retry-After; back to 0.8 s after two healthy
 *      minutes. From the last version, so nothing is lost and nothing listed again
 *   6. silence of a watch for three minutes (bookmarks come each minute): as a failure. Servers
 *      that send no bookmark are found out: then the limit is the request's own time
 *
 * Objects come one at a time, parsed from the stream; the memory is that of the largest one.
 *
 * Threads: all on the loop thread. Callbacks never run inside kube_watch_start().
 * Source: client-go tools/cache/reflector.go; KEP-3157 (WatchList), KEP-956 (bookmarks).
 */
#ifndef WALFERRY_CONTROLLER_KUBE_WATCH_H
#define WALFERRY_CONTROLLER_KUBE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/kube/client.h"

enum {
    KUBE_OBJECT_BYTES_MAX = 8 << 20, /* of one event; etcd takes 1.5 MiB */
    KUBE_LIST_LIMIT = 500,
};

struct kube_watch;

enum kube_change {
    KUBE_OBJECT_IS,   /* added or changed: this is what it is now */
    KUBE_OBJECT_GONE, /* deleted: this is what it was */
};

struct kube_watch_handler {
    /* A new picture begins: what is not told until on_synced does not exist any more. */
    void (*on_begin)(void *arg);
    /*
     * One object; borrowed for the call. -1 (out of memory) makes the watch begin a new picture
     * later; an object that the handler cannot use is its own business.
     */
    int (*on_object)(void *arg, enum kube_change change, struct jsonval object, struct error *err);
    /* The picture is complete. */
    void (*on_synced)(void *arg);
    /* Something failed and will be tried again in delay_ns: for the log. May be NULL. */
    void (*on_fault)(void *arg, const struct error *err, uint64_t delay_ns);
};

/* How patient it is; zeros stand for the values above. For tests. */
struct kube_watch_timing {
    uint64_t request_ns_min, request_ns_max; /* timeoutSeconds of a watch */
    uint64_t backoff_ns_min, backoff_ns_max;
    uint64_t healthy_ns;
    uint64_t silence_ns;
    uint64_t margin_ns; /* beyond the request's time, until the server has ended it; 30 s */
    uint64_t short_ns;  /* a watch that ends sooner and without an event has failed */
};

struct kube_watch_config {
    const struct kube_resource *resource; /* borrowed */
    const char *namespace_name;           /* NULL: all; copied */
    const char *label_selector;           /* copied; NULL: everything */
    const char *field_selector;
    bool is_metadata_only;
    struct kube_watch_handler handler; /* copied */
    void *arg;
    struct kube_watch_timing timing;
};

/* Begins. ERR_USAGE (names), ERR_NO_MEMORY. */
MUST_USE int kube_watch_start(struct kube_client *c, const struct kube_watch_config *config,
                              struct kube_watch **out, struct error *err);

/* Ends; no callback runs any more. Safe within its callbacks. NULL ok. */
void kube_watch_stop(struct kube_watch *w);

/* Begins a new picture soon, whatever it is doing. */
void kube_watch_relist(struct kube_watch *w);

enum kube_watch_end { /* why a watch request ended: label `reason` */
    KUBE_END_CLEAN,
    KUBE_END_EXPIRED,
    KUBE_END_ERROR,
    KUBE_END_SILENCE,
    KUBE_ENDS,
};

extern const char *const kube_watch_end_names[KUBE_ENDS];

struct kube_watch_stats {
    uint64_t end_counts[KUBE_ENDS]; /* watch requests that ended */
    uint64_t relist_count;          /* pictures begun after the first */
    uint64_t event_count;           /* bookmarks not counted */
    uint64_t bookmark_count;
    uint64_t garbage_count; /* documents that were none */
    bool is_synced;         /* a picture is complete */
    bool is_streaming_list; /* the server does WatchList */
    char version[KUBE_VERSION_BYTES];
};

/* Valid until kube_watch_stop(). */
const struct kube_watch_stats *kube_watch_stats(const struct kube_watch *w);

#endif
