/*
 * sidecar/restore: from objects to a proven database file.
 *
 *   restore.h       the whole of it: choose a destination, plan, fetch, prove, swap (this file)
 *   plan.h          which objects lead to the wanted state
 *   fetch.h         parallel ranged GETs, decoding on all cores, bounded memory
 *   split.h         a large object cut at frame boundaries, by its index
 *   write.h         the output: <path>.tmp, each page once, newest first
 *   verify_state.h  the database checksum against the recorded one; publishing the page map
 *   integrity.h     PRAGMA quick_check and integrity_check before the swap
 *   guard.h         what must not be overwritten; the swap itself
 *   base.h          a database that is there already, as the oldest object (roll forward)
 *
 * In order:
 *   1. Guards: nothing at the output (or force, or roll forward), nobody has it open. A leftover
 *      "<output>.tmp" of a dead restore is removed.
 *   2. For each destination until one succeeds: list, plan, fetch. A destination that is away or
 *      damaged is logged and the next is tried. Only when *every* one answered with an empty
 *      listing is there "nothing".
 *   3. Each object is read whole and its file checksum is verified; a page is taken from the newest
 *      object that has it. An object that vanished (retention) leads to a new listing and plan.
 *   4. The database checksum is compared with the one recorded in the last object, if it has one
 *      (ours; Litestream's have none); then the integrity check, if asked for.
 *   5. fsync; stale -wal, -shm and -journal are removed; the new file takes the name; fsync of the
 *      folder; the page map is published, so that replication ships only what is new.
 *
 * A restore that dies before step 5 leaves "<output>.tmp" and nothing that looks finished. One that
 * dies between taking the name and publishing the map leaves a whole database that replication
 * refuses to ship from until it is restored again; never a map without its database.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_RESTORE_H
#define WALFERRY_SIDECAR_RESTORE_RESTORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "lib/storage/storage.h"
#include "sidecar/restore/plan.h"

enum {
    RESTORE_PARALLELISM_DEFAULT = 8,
    RESTORE_PARALLELISM_MAX = 64,
    RESTORE_UNIT_BYTES = 4 * 1024 * 1024, /* of an object fetched by one request; memory is about
                                             (parallelism + 1) times as much */
    RESTORE_REPLANS_MAX = 8,              /* new plans after objects that vanished */
};

/* A place to restore from. All borrowed for the call. */
struct restore_destination {
    struct storage *storage;
    const char *name;  /* as in the configuration: the page map is named by it */
    bool is_read_only; /* somebody else's history: see restore_run() */
};

enum restore_integrity {
    RESTORE_INTEGRITY_NONE,
    RESTORE_INTEGRITY_QUICK, /* PRAGMA quick_check */
    RESTORE_INTEGRITY_FULL,  /* PRAGMA integrity_check */
};

/* Parses "none", "quick", "full". ERR_USAGE names the three. */
MUST_USE int restore_integrity_parse(const char *text, enum restore_integrity *out,
                                     struct error *err);
const char *restore_integrity_name(enum restore_integrity integrity);

/* Parses what the flags -txid and -timestamp say (NULL: not given; both NULL: the newest state).
 * ERR_USAGE names the flag. */
MUST_USE int restore_target_parse(const char *txid, const char *timestamp,
                                  struct restore_target *out, struct error *err);

struct restore_options {
    const char *output; /* path of the database to make; its folder must exist */
    struct restore_target target;
    bool is_fenced; /* instead of target: what a fenced writer left. A fork of history, so no page
                       map is published, whatever want_page_map says */
    struct restore_fenced fenced;
    bool if_db_not_exists;  /* an existing output is success: RESTORE_DB_EXISTS; with roll_forward
                               only one that cannot be judged (no page map, no answer) */
    bool if_replica_exists; /* "positively nothing" is success: still RESTORE_NO_BACKUP */
    bool force;             /* replace an existing output, once the new file is proven */
    bool roll_forward;      /* bring an existing output that is behind its replica up to date, if
                               nobody wrote to it since; force takes precedence */
    bool dry_run;           /* only plan */
    unsigned parallelism;   /* requests at a time, 1..RESTORE_PARALLELISM_MAX; 0: the default */
    enum restore_integrity integrity;
    bool want_page_map;    /* publish one for the output: when it is the replicated database itself,
                              not a copy elsewhere */
    const char *meta_path; /* folder of page maps; NULL: beside the output */
    uint64_t unit_bytes;   /* 0: RESTORE_UNIT_BYTES; tests make it small */
    const atomic_bool *is_canceled; /* looked at now and then: ERR_CANCELED. May be NULL */
};

enum restore_outcome {
    RESTORE_FAILED,     /* -1 was answered */
    RESTORE_DONE,       /* restored, proven, in place */
    RESTORE_NO_BACKUP,  /* every destination was listed and is empty */
    RESTORE_DB_EXISTS,  /* if_db_not_exists, and it does: nothing was done */
    RESTORE_UP_TO_DATE, /* roll_forward, and the database is at the target: nothing was done */
    RESTORE_PLANNED,    /* dry_run */
};

struct restore_result {
    enum restore_outcome outcome;
    size_t destination_idx;   /* which one was restored from (DONE, PLANNED, UP_TO_DATE) */
    struct restore_plan plan; /* owned; empty unless DONE or PLANNED */
    uint64_t txid;            /* of the restored state */
    uint64_t timestamp_ns;    /* of the last transaction in it, as its object says */
    uint32_t page_size;
    uint32_t page_count;
    uint64_t bytes; /* fetched */
    uint64_t duration_ns;
    uint64_t db_checksum;
    bool is_checksum_recorded; /* the last object has a database checksum, and it is this one */
    bool is_rewind;            /* the replica goes on beyond txid */
    bool has_page_map;
    bool was_rolled_forward;
};

/* Frees the plan. Accepts a zeroed one. */
void restore_result_destroy(struct restore_result *r);

enum restore_phase {
    RESTORE_PHASE_LISTING,
    RESTORE_PHASE_FETCHING,
    RESTORE_PHASE_VERIFYING, /* checksums and integrity check */
    RESTORE_PHASE_SYNCING,   /* fsync and the swap */
};
const char *restore_phase_name(enum restore_phase phase);

struct restore_progress {
    enum restore_phase phase;
    size_t destination_idx;
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0: not known yet */
    uint64_t pages_done;
    uint64_t page_count; /* 0: not known yet */
    uint64_t elapsed_ns;
    uint64_t bytes_per_second; /* since fetching began; 0: too early to say */
    uint64_t left_ns;          /* estimate; 0: not known */
};

/* Called on the loop thread, at each change of phase and at most ten times a second. */
typedef void restore_progress_fn(void *arg, const struct restore_progress *progress);

struct restore_args {
    struct loop *loop;
    const struct env *env; /* files of the output; usually loop_env(loop) */
    const struct log *log; /* destinations that were passed over, new plans */
    const struct restore_destination *destinations; /* in order of preference */
    size_t destination_count;                       /* at least 1 */
    const struct restore_options *options;
    restore_progress_fn *on_progress; /* may be NULL */
    void *arg;                        /* of on_progress */
};

/*
 * Restores. A destination that is only read is where a first start comes from, and never what the
 * database goes on with: it is asked when every other one was listed with success and found empty,
 * it leaves no page map, and nothing is rolled forward to its state. (Where there are only such, all
 * are asked as others are: then nobody replicates what is restored.)
 *
 * Runs the loop until it is done: for commands, and before a process serves anybody.
 *
 * out  destroyed by the caller; on failure only out->outcome is set
 *
 * Returns 0 with one of the outcomes, or -1 with RESTORE_FAILED:
 *   ERR_NOT_FOUND    the outcome is RESTORE_NO_BACKUP and not if_replica_exists (the only case in
 *                    which -1 comes with another outcome, and the only one that means "nothing")
 *   ERR_EXISTS       the output exists; hint names -force
 *   ERR_BUSY         somebody has the output open
 *   ERR_WRONG_STATE  roll forward: the database has changed since the state it was at (diverged),
 *                    or nothing proves which state it is
 *   ERR_USAGE        the replica has no such state; or a destination's bucket does not exist
 *   ERR_GAP          objects are missing
 *   ERR_CORRUPT      an object is damaged, or the result is: names it
 *   ERR_NO_SPACE, ERR_ACCESS, ERR_IO, ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_NO_MEMORY, ERR_CANCELED
 * With several destinations the error is that of the first one that could not tell. On every
 * failure whatever lay at the output is as it was; the one exception is a page map that cannot be
 * published after the swap, and its text says so.
 * Threads: loop thread, not from within a callback. Jobs of the loop's pool do the work.
 */
MUST_USE int restore_run(const struct restore_args *args, struct restore_result *out,
                         struct error *err);

/* Exit status of the command: 0, 3 for "nothing there" without if_replica_exists, else the
 * status of the error code. rc and err as restore_run() answered them. */
int restore_exit_status(const struct restore_result *result, int rc, const struct error *err);

#endif
