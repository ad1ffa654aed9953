/*
 * Events, which `kubectl describe` and `kubectl events` show (events.k8s.io/v1).
 *
 * The first occurrence is created; the same again (object, type, reason, action, note) within six
 * minutes becomes a series of the first: count and time by merge patch, at the second occurrence
 * and then each 30 s at most while it goes on. An object gets at most 25 events in a burst and one
 * every five minutes after that, and RECORDER_PENDING_MAX wait for the server: beyond, events are
 * dropped and counted. Events inform; nothing ever waits for one or fails because of one.
 *
 * Source: client-go tools/events/event_broadcaster.go, tools/record/events_cache.go.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_RECORDER_H
#define WALFERRY_CONTROLLER_KUBE_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/kube/client.h"

enum {
    RECORDER_PENDING_MAX = 64,
    RECORDER_SERIES_MAX = 1024, /* remembered for aggregation; the oldest make room */
    RECORDER_NOTE_BYTES_MAX = 1024,
};

struct recorder;

/* reporter: "walferry.dev/controller"; instance: the pod's name, or the host's. Copied. */
MUST_USE int recorder_new(struct kube_client *client, struct loop *loop, const char *reporter,
                          const char *instance, struct recorder **out, struct error *err);

/* What has not been sent is dropped. NULL ok. */
void recorder_free(struct recorder *r);

/* The object that an event is about. */
struct recorder_object {
    const struct kube_resource *resource;
    const char *namespace_name; /* NULL: cluster-scoped; its events go to "default" */
    const char *name;
    const char *uid; /* without it `kubectl describe` does not find the event; NULL: unknown */
};

/*
 * Records. reason: why, in one word ("DestinationUnavailable"); action: what was done or tried
 * ("Probe"); the note is a sentence for people, cut at RECORDER_NOTE_BYTES_MAX.
 */
void recorder_event(struct recorder *r, const struct recorder_object *object, bool is_warning,
                    const char *reason, const char *action, const char *fmt, ...) PRINTF_LIKE(6, 7);

struct recorder_stats {
    uint64_t sent_count;    /* created */
    uint64_t series_count;  /* patched */
    uint64_t dropped_count; /* by the limits above, or refused by the server */
    unsigned pending_count;
};

/* Valid until recorder_free(). */
const struct recorder_stats *recorder_stats(const struct recorder *r);

/* Whether everything is sent: for a clean end. */
bool recorder_is_idle(const struct recorder *r);

#endif
