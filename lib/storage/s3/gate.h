/*
 * The gate before a host: how many requests of this process it gets at a time, whatever the number
 * of stores. Without one, a thousand databases that start together open a thousand connections.
 *
 * Whoever comes first enters first. Large bodies (S3_GATE_BULK_BYTES and more, in or out) never
 * take all places: a snapshot does not hold up another database's commit.
 *
 * Threads: all on the loop thread.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_GATE_H
#define WALFERRY_LIB_STORAGE_S3_GATE_H

#include "lib/base/base.h"
#include "lib/io/loop.h"

#define S3_GATE_BULK_BYTES (UINT64_C(1) << 20)
/*
 * So long a request may wait at the gate without losing of its deadline: a fleet that starts or
 * commits at once queues up here, and that is no fault of the host. Not longer, since a writer's
 * deadlines are part of fencing (they add up to less than the shortest L0 retention, a minute).
 */
#define S3_GATE_GRACE_NS (10 * NS_PER_SEC)

enum {
    S3_GATE_PLACES = 16,      /* requests under way; connections to a host, see http/client.h */
    S3_GATE_BULK_PLACES = 12, /* of these for large bodies */
};

struct s3_gate;

/* ERR_NO_MEMORY. */
MUST_USE int s3_gate_new(struct loop *loop, struct s3_gate **out, struct error *err);

/* Nobody may be inside or waiting any more (asserted). Accepts NULL. */
void s3_gate_free(struct s3_gate *gate);

/* One who wants to enter, embedded in him. Zeroed: neither waiting nor inside. */
struct s3_gate_visit {
    struct s3_gate *gate; /* NULL: neither */
    struct s3_gate_visit *prev, *next;
    bool is_inside;
    bool is_bulk;
    void (*fn)(void *arg);
    void *arg;
};

/*
 * True: inside at once. False: fn runs when there is room, never within a call of this header, and
 * the visit is inside then. bytes: of the body, in or out; 0 if not known (then it counts as
 * small).
 */
MUST_USE bool s3_gate_enter(struct s3_gate *gate, struct s3_gate_visit *visit, uint64_t bytes,
                            void (*fn)(void *arg), void *arg);

/* Leaves, or stops waiting (fn will not run). Harmless if neither. */
void s3_gate_leave(struct s3_gate_visit *visit);

#endif
