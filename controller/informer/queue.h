/*
 * Keys that wait for a worker, as client-go's workqueue has them:
 *
 *   - a key that waits is not added twice; one that is being worked on is run once more afterwards
 *   - a key is never worked on by two workers at once
 *   - after failures it comes back after 5 ms, doubled up to 1000 s, and not sooner than a bucket
 *     over all failing keys (10 a second, burst 100) allows; queue_forget() begins anew
 *   - keys whose object somebody has edited go first; those of a resync, or of a look again after a
 *     while, wait behind all others: a crowd of pods must not hold up an edit
 *
 * A worker is not a thread but a slot: work() starts what is to be done on the loop (requests,
 * timers) and queue_finish() says that it is over. A worker that is done before work() returns
 * calls queue_finish() there.
 *
 * Threads: all on the loop thread. work() never runs inside queue_add().
 * Source: client-go util/workqueue/{queue,delaying_queue,default_rate_limiters}.go.
 */
#ifndef WALFERRY_CONTROLLER_INFORMER_QUEUE_H
#define WALFERRY_CONTROLLER_INFORMER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "lib/metrics/metrics.h"

enum {
    QUEUE_KEYS_MAX = 1 << 20,
    QUEUE_KEY_BYTES_MAX = 512,
};

struct queue;

/* Must lead to exactly one queue_finish(q, key, ...). key is borrowed until then. */
typedef void queue_work_fn(void *arg, const char *key);

struct queue_config {
    const char *name; /* label of the metrics; borrowed */
    unsigned workers; /* 0: 4 */
    queue_work_fn *work;
    /* A key could not be kept (memory, QUEUE_KEYS_MAX): whoever feeds the queue shall feed it all
     * again. From the loop, a second later. */
    void (*on_lost)(void *arg);
    void *arg;
    /* 0: the values above. For tests. */
    uint64_t backoff_ns_min, backoff_ns_max;
    double retry_rate_per_s, retry_burst;
};

/* Keys are taken, but none is given out before queue_resume(). ERR_NO_MEMORY. */
MUST_USE int queue_new(struct loop *loop, const struct queue_config *config, struct queue **out,
                       struct error *err);

/* No key may be under work (see queue_pause()). NULL ok. */
void queue_free(struct queue *q);

/* Gives out keys from now on: we lead. */
void queue_resume(struct queue *q);

/* Gives out no more; what is under work goes on. on_idle (may be NULL) is called from the loop when
 * the last worker has finished. */
void queue_pause(struct queue *q, void (*on_idle)(void *arg), void *arg);

/* Keys under work now. */
unsigned queue_busy_count(const struct queue *q);

enum queue_priority {
    QUEUE_EDIT,   /* somebody has changed the object itself, and waits */
    QUEUE_CHANGE, /* something about it has changed, or is known for the first time; also a retry */
    QUEUE_RESYNC, /* nothing has, as far as we know */
    QUEUE_PRIORITIES,
};

/* Adds a key: now, or after delay_ns (an earlier time that is set already stays). Copied. */
void queue_add(struct queue *q, const char *key, enum queue_priority priority);
void queue_add_after(struct queue *q, const char *key, uint64_t delay_ns);

/* How a worker ended. */
enum queue_outcome {
    QUEUE_DONE,  /* all is well: failures are forgotten */
    QUEUE_RETRY, /* failed: again, after its back-off */
    QUEUE_AFTER, /* all is well, look again after delay_ns */
};

/* Ends the work on key. delay_ns counts for QUEUE_AFTER only. */
void queue_finish(struct queue *q, const char *key, enum queue_outcome outcome, uint64_t delay_ns);

/* Failures of key in a row. */
unsigned queue_failures(const struct queue *q, const char *key);

/* Forgets failures of key: its back-off begins anew. */
void queue_forget(struct queue *q, const char *key);

/* ---- for metrics: workqueue_* ---- */

struct queue_stats {
    const char *name;
    size_t depth;         /* ready keys, not those that wait for a moment */
    size_t delayed_count; /* those */
    uint64_t add_count;
    uint64_t retry_count;
    uint64_t done_counts[3]; /* by enum queue_outcome */
    uint64_t unfinished_ns;  /* sum of what workers have spent on keys under work */
    uint64_t longest_running_ns;
    struct metrics_histogram waited; /* from add to work */
    struct metrics_histogram worked;
};

/* As of now. */
void queue_stats(const struct queue *q, struct queue_stats *out);

#endif
