/*
 * Listening to sidecars: who was asked for its status once (scrape.h) is held by a connection on
 * which GET /status/changes waits (sidecar/control/control.h), and answers when there is something
 * new. While there is not, a sidecar sends a sign of life every 15 seconds (lib/http/held.h), which
 * costs a fleet that is idle next to nothing, and is how one that hangs, or whose node is lost, is
 * noticed; one that ends is noticed at once. Sidecars that cannot do this (older ones) answer every
 * 15 seconds.
 *
 * News are no status: they say "look at this resource again". Whoever does calls listen_to() with
 * the version that the sidecar told with its status; until then nothing is asked, so a resource whose
 * passes fail is not driven by this. A sidecar that answers, but not this question (an older one, a
 * proxy), or breaks it off, is let alone for LISTEN_REST_S; its resource is to be looked at as
 * without listening.
 *
 * Why, and what it costs: docs/decisions/0023-sidecars-are-listened-to.md, 0030-signs-of-life.md.
 *
 * Threads: all on the loop thread. on_news never runs inside a call.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_LISTEN_H
#define WALFERRY_CONTROLLER_REPLICA_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"

enum {
    LISTEN_VERSION_BYTES = 64,     /* room for a version */
    LISTEN_DESCRIPTORS = 1024,     /* left to everything else */
    LISTEN_WAIT_S_MAX = 60,        /* sidecars keep no question longer without a sign of life */
    LISTEN_SIGNS_MAX = 40,         /* instead of an answer; sidecars send up to 60 */
    LISTEN_REST_S = 60,            /* until one that broke off is asked again */
    LISTEN_ANSWER_GRACE_MS = 2000, /* for an answer or a sign, beyond the time that it may wait */
};

struct listeners;

/* Look at this resource ("namespace/name") again, delay_ns from now. */
typedef void listen_news_fn(void *arg, const char *resource, uint64_t delay_ns);

/* wait_ns: how long a sidecar may be silent: whole seconds, 1 to LISTEN_WAIT_S_MAX.
 * ERR_NO_MEMORY. */
MUST_USE int listeners_new(struct loop *loop, uint64_t wait_ns, listen_news_fn *on_news, void *arg,
                           struct listeners **out, struct error *err);
void listeners_free(struct listeners *l);

/* What was seen of a pod; all of it is copied. */
struct listen_pod {
    const char *key;      /* "namespace/name" */
    const char *resource; /* whose it is, likewise */
    const char *ip;
    uint64_t port;
    const char *version; /* of the status that was seen; "": it told none */
};

/*
 * Listens to the pod from this version on. True: news will come by themselves, or the loss of the
 * sidecar. False: not (it told no version, rests, too many descriptors, no memory).
 */
bool listen_to(struct listeners *l, const struct listen_pod *pod);

/* The pod is gone, or has no running sidecar any more. */
void listen_end(struct listeners *l, const char *key);
/* All of them: we lead no more. */
void listen_end_all(struct listeners *l);

struct listen_stats {
    size_t count;        /* sidecars that are listened to, or rest */
    uint64_t same_count; /* answers without news, and signs of life */
    uint64_t news_count; /* answers with news */
    uint64_t lost_count; /* no answer, or none to this question */
};

/* What happened so far; valid until listeners_free(). */
const struct listen_stats *listen_stats(const struct listeners *l);

#endif
