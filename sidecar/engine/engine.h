/*
 * sidecar/engine: continuous replication of any number of databases, each to one or more
 * destinations, on one event loop and a small worker pool.
 *
 *   follow.h      one database's log: what is committed, pages at a point, checkpoints
 *   page_set.h    which pages a destination still lacks
 *   page_map.h    what a destination has: a checksum a page, on disk
 *   lineage.h     whether a database may go on where the bucket ends
 *   task_queue.h  one job at a time for a database
 *   database.c    a database's states; what happens while it is followed: database_*.c
 *   chain.c       a destination's states and when it ships
 *   attach.c      taking up a chain: list, judge, heal, join
 *   sibling.h     what another destination knows of the history of one that lags
 *   encode.c      pages to LTX objects
 *   ship.c        objects to the store; refusals, fencing
 *   level.c       compactions and snapshots: when; how: level_*.c
 *   bucket_lease.h  the lease of a prefix, if wanted
 *   retain.c      what may be deleted; expire.c deletes it
 *   validate.c    listing the prefix now and then: is the chain still whole?
 *   (docs/architecture.md draws the flow)
 *
 * Threads: every function of this header on the loop thread.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_ENGINE_H
#define WALFERRY_SIDECAR_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "lib/storage/object_name.h"
#include "lib/storage/storage.h"
#include "sidecar/control/status.h"

enum {
    ENGINE_LEVELS_MAX = 8, /* compaction levels L1..L8 */
};

struct engine;

/* What a destination keeps, and how often it writes. All durations in nanoseconds. */
struct destination_options {
    const char *name;          /* unique within the database */
    struct storage *storage;   /* owned by the engine from engine_add_database() on */
    uint64_t sync_interval_ns; /* at most one L0 in this time (the first goes at once) */
    uint64_t level_interval_ns[ENGINE_LEVELS_MAX]; /* L1, L2, ...; 0 ends the list */
    uint64_t snapshot_interval_ns;                 /* 0: none by time */
    uint64_t snapshot_retention_ns;
    uint64_t l0_retention_ns;
    uint64_t validation_interval_ns; /* how often the prefix is listed and checked; 0: never */
    bool is_retention_enabled;       /* false: nothing is ever deleted (lifecycle rules do it) */
    bool is_suspended;               /* see struct destination_pace */
    bool require_fencing;            /* refuse a store without create-if-absent */
    bool lease;                      /* wait for a lease of the prefix before attaching */
    bool adopt;                      /* continue whatever lies there with this database (-adopt) */
};

/* What of a destination can change while it is followed. */
struct destination_pace {
    uint64_t sync_interval_ns;
    uint64_t snapshot_interval_ns;
    uint64_t snapshot_retention_ns;
    uint64_t l0_retention_ns;
    uint64_t validation_interval_ns;
    bool is_retention_enabled;
    bool is_read_only; /* whatever would write there is refused, also at the end of the process */
    bool is_suspended; /* nothing is shipped until this ends, unless somebody asks for it (sync) or
                        * the process ends: the sets of changed pages wait */
};

struct database_options {
    const char *path;
    const char *meta_path;        /* NULL: ".NAME-walferry" beside the database */
    bool enable_wal;              /* journal-mode: enable */
    bool may_seal;                /* take the write lock for an instant when writers never pause */
    uint64_t monitor_interval_ns; /* the poll behind inotify */
    uint64_t checkpoint_interval_ns; /* 0: not by time */
    uint64_t busy_timeout_ns;
    uint32_t checkpoint_frames; /* frames in the log that make a checkpoint due */
    uint64_t wal_keep_bytes;    /* the log is cut down to this after a peak */
    uint64_t reserve_bytes;     /* free disk space that is left to the application */
    const struct destination_options *destinations;
    size_t destination_count;
};

struct engine_options {
    struct loop *loop;
    const struct log *log;        /* borrowed for the engine's life */
    const char *version;          /* of this build, for status */
    const char *commit;           /* likewise */
    uint64_t shutdown_timeout_ns; /* for the tail of all databases together */
    /* A database was refused because it is an older state of its replica, unchanged: a restore
     * could roll it forward, once the engine lets go of it. Not from within: a timer is to call
     * engine_stop(). NULL: nobody does. */
    void (*on_stale)(void *arg, const char *path);
    void *stale_arg;
};

/* Makes an engine without databases. ERR_NO_MEMORY, ERR_LIMIT (inotify instances). */
MUST_USE int engine_new(const struct engine_options *options, struct engine **out,
                        struct error *err);

/*
 * Adds a database and begins to look for it. options are copied; the storages become the engine's
 * (also on failure). ERR_NO_MEMORY, ERR_LIMIT (descriptors, inotify watches), ERR_EXISTS.
 */
MUST_USE int engine_add_database(struct engine *e, const struct database_options *options,
                                 struct error *err);

/* Whether a database of this path was added. */
bool engine_has_database(const struct engine *e, const char *path);

/* Stops at once what is left and frees everything. After engine_stop()'s callback, or to abort. */
void engine_free(struct engine *e);

/* What a drain, a stop or a sync could not do. Borrowed during the callback. */
struct engine_outcome {
    /* With commits that some destination has not acknowledged, or (snapshot, expire) whose snapshot
     * or pass of retention was not finished in time. */
    size_t unshipped_databases;
    const char *first_path; /* of these; NULL if none */
    const char *first_destination;
    const struct error *first_error; /* why, code ERR_NONE if only time ran out */
};
typedef void engine_done_fn(void *arg, const struct engine_outcome *outcome);

/*
 * Ships what is committed now, of all databases in parallel, and calls done when every destination
 * has acknowledged it or timeout_ns has passed. Databases that are absent have nothing to ship.
 */
void engine_sync(struct engine *e, uint64_t timeout_ns, engine_done_fn *done, void *arg);

/* As engine_sync() for one database. ERR_NOT_FOUND: there is none of that path. */
MUST_USE int engine_sync_database(struct engine *e, const char *path, uint64_t timeout_ns,
                                  engine_done_fn *done, void *arg, struct error *err);

/* As engine_sync(), then closes everything; engine_free() may follow from done on. */
void engine_stop(struct engine *e, engine_done_fn *done, void *arg);

/* The pod is ending: ship eagerly, without sync-interval, from now on. */
void engine_drain(struct engine *e);

/*
 * Changes the pace of a destination; what waits is looked at again. ERR_NOT_FOUND: no database of
 * that path, or no destination of that name.
 */
MUST_USE int engine_set_pace(struct engine *e, const char *path, const char *destination,
                             const struct destination_pace *pace, struct error *err);

/* Writes a snapshot (L9) to every destination; done as engine_sync(). */
void engine_snapshot(struct engine *e, uint64_t timeout_ns, engine_done_fn *done, void *arg);

/* One pass of retention over every destination; done as engine_sync(). */
void engine_expire(struct engine *e, uint64_t timeout_ns, engine_done_fn *done, void *arg);

/* From now on on_change is called whenever a state, a fault or a refusal of retention begins or
 * ends: engine_status() may then say something else in words. It only takes notice; NULL: nobody
 * does. */
void engine_listen(struct engine *e, void (*on_change)(void *arg), void *arg);

/* Fills in what the engine knows of itself (struct status_source). Valid until the next call. */
int engine_status(void *engine, struct status_process *out, struct error *err);

#endif
