/*
 * A store that misbehaves on order: a driver around a real one, for tests of whoever writes to
 * stores.
 *
 *     struct flaky flaky = FLAKY_INIT;
 *     st = flaky_storage_new(loop, real, &flaky);
 *     flaky_set(&flaky, STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD});
 *     ...
 *     flaky_set(&flaky, STORAGE_OP_PUT, NULL);  flaky_release(&flaky);
 *
 * The orders and the counts are the test's (`struct flaky`), so they outlive the storage and may
 * serve several, one after the other or side by side. An operation is looked at once, when it is
 * started: the fault for "operation n" first, then the rule of its kind.
 *
 * Threads: the loop thread. Functions fail the test on lack of memory.
 */
#ifndef WALFERRY_LIB_TESTING_FLAKY_STORAGE_H
#define WALFERRY_LIB_TESTING_FLAKY_STORAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/storage/storage.h"
#include "lib/testing/sim_upload.h"

enum flaky_fault {
    FLAKY_NONE,
    FLAKY_FAIL,        /* the real store is not asked; answered with `code` */
    FLAKY_LOSE_ANSWER, /* the real store does it, and its success is answered with `code` */
    FLAKY_DELAY,       /* the real store is asked after delay_ns */
    FLAKY_HOLD,        /* the real store is asked at flaky_release() */
    FLAKY_HOLD_ANSWER, /* the real store does it, its answer comes at flaky_release() */
};

/* What a PUT is. */
enum flaky_step {
    FLAKY_PUT, /* of a whole object */
    FLAKY_UPLOAD_BEGIN,
    FLAKY_UPLOAD_PART,
    FLAKY_UPLOAD_COMPLETE,
    FLAKY_UPLOAD_STEPS
};

struct flaky_rule {
    enum flaky_fault fault;
    enum error_code code; /* ERR_NONE: ERR_UNAVAILABLE */
    uint64_t delay_ns;
    const char *key_part; /* only keys (prefixes of a list, first keys of a delete) that contain it;
                             NULL: all. Borrowed */
    enum flaky_step step; /* of PUTs; FLAKY_PUT: all */
    uint64_t pass_count;  /* operations that fit and are let through before */
    uint64_t times;       /* operations that suffer; 0: until the rule is changed */
};

struct flaky_op;

struct flaky {
    struct flaky_rule rule[STORAGE_OP_KINDS];
    uint64_t started[STORAGE_OP_KINDS]; /* operations since the start, by kind */
    uint64_t started_total;
    uint64_t steps[FLAKY_UPLOAD_STEPS]; /* of the PUTs, by what they were */
    uint64_t put_deadline_ns;           /* of the newest PUT of a whole object */
    uint64_t part_bytes;                /* objects can be sent in such parts; 0: they cannot */
    struct sim_uploads uploads;         /* not complete */
    uint64_t housekept;                 /* storage_housekeep_start(); these suffer nothing */
    /* Operation number strike_at (of all kinds, from 1) suffers `strike`. 0: none. */
    uint64_t strike_at;
    struct flaky_rule strike;
    uint64_t suffered; /* operations that met a fault */
    struct flaky_op *ops;
};

#define FLAKY_INIT {.strike_at = 0}

/*
 * Wraps a storage, which is freed with the wrapper. The wrapper has its type, URL and abilities, and
 * with part_bytes takes objects in parts (lib/storage/upload.h), whatever the real store can: their
 * requests are PUTs, their parts wait in `uploads`, and complete creates the object. Of a rule with a
 * step only PUTs of that kind suffer. flaky must stay until storage_free().
 */
struct storage *flaky_storage_new(struct loop *loop, struct storage *inner, struct flaky *flaky);

/* Sets (NULL: removes) the rule of a kind; STORAGE_OP_KINDS: of every kind. */
void flaky_set(struct flaky *flaky, enum storage_op_kind kind, const struct flaky_rule *rule);

/* Everything that is held goes on. Rules stay as they are. */
void flaky_release(struct flaky *flaky);

/* Operations that are held now. */
size_t flaky_held_count(const struct flaky *flaky);

#endif
