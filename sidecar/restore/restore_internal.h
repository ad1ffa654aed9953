/*
 * Inside a restore: restore.c is the door and chooses the destination, attempt.c restores from one
 * of them, roll.c brings an existing database forward. See restore.h.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_RESTORE_INTERNAL_H
#define WALFERRY_SIDECAR_RESTORE_RESTORE_INTERNAL_H

#include "lib/ltx/ltx.h"
#include "lib/storage/inventory.h"
#include "sidecar/restore/base.h"
#include "sidecar/restore/guard.h"
#include "sidecar/restore/restore.h"

struct restore {
    const struct restore_args *args;
    const struct restore_options *options;
    struct guard guard;
    struct restore_result result; /* becomes the caller's */
    struct restore_progress progress;
    uint64_t started_ns; /* monotonic */
    uint64_t fetch_started_ns;
    uint64_t reported_ns;
};

enum attempt_outcome {
    ATTEMPT_FAILED,     /* another destination may do better */
    ATTEMPT_IMPOSSIBLE, /* failed, and no destination would help */
    ATTEMPT_EMPTY,      /* listed, and there is nothing */
    ATTEMPT_DONE,       /* r->result is filled */
};

/*
 * Restores from one destination.
 *
 * base  the database to bring forward; NULL: from nothing
 *
 * FAILED and IMPOSSIBLE fill err.
 */
enum attempt_outcome restore_attempt(struct restore *r, size_t destination_idx,
                                     const struct base *base, struct error *err);

enum roll_outcome {
    ROLL_FAILED,     /* another destination may do better */
    ROLL_REFUSED,    /* diverged, or a local failure */
    ROLL_UNKNOWN,    /* there is no usable page map of this destination */
    ROLL_UP_TO_DATE, /* nothing to do */
    ROLL_DONE,
};

/* Brings the existing output forward by one destination. FAILED and REFUSED fill err. */
enum roll_outcome restore_roll(struct restore *r, size_t destination_idx, struct error *err);

/* Lists a destination. A bucket that does not exist is ERR_USAGE: it is not "nothing there". */
MUST_USE int restore_list(struct restore *r, size_t destination_idx, struct inventory *inventory,
                          struct error *err);

/* Header and trailer of an object, by two small requests. */
MUST_USE int restore_object_ends(struct storage *st, unsigned level,
                                 const struct inventory_object *object,
                                 struct ltx_header *out_header, struct ltx_trailer *out_trailer,
                                 struct error *err);

/* Runs fn(arg) on a worker and the loop until it has answered. */
MUST_USE int restore_step(struct loop *loop, int (*fn)(void *arg, struct error *err), void *arg,
                          struct error *err);

/* Tells that a phase begins. */
void restore_set_phase(struct restore *r, enum restore_phase phase);

/* Tells about progress, if the last time is long enough ago. */
void restore_report(struct restore *r);

/* Whether any destination is written to, too: see restore_run(). */
bool restore_has_own(const struct restore *r);

/* Whether the caller asked to end (options.is_canceled). */
bool restore_is_canceled(const struct restore *r);

#endif
