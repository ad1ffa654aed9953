/*
 * What the engine tells about itself: the contract between sidecar/engine and sidecar/control.
 *
 * The engine fills one `struct status_process` when it is asked (struct status_source); control
 * turns it into /metrics, /status, the health endpoints and the live page. Nothing here is stored
 * twice: the numbers are the engine's own state, copied at the moment of the question.
 *
 * Conventions, for every field below:
 *   *_ns           a duration in nanoseconds; 0 when there is none
 *   *_at_ns        a moment: wall clock, nanoseconds since 1970; 0: never, or not known
 *   *_total        only grows while the process lives
 *   *_bytes        bytes
 *   const char *   terminated UTF-8; NULL reads as "" (not known, nothing happened)
 *   txid           0: none yet
 *
 * Ownership: everything that is pointed at belongs to the engine and is valid until control returns
 * from the call in which it asked (control never keeps a pointer across a turn of the loop). The
 * engine may reuse one array for all answers. No text may contain a credential: URLs come from
 * storage_url(), errors from struct error.
 * Threads: the loop thread only.
 */
#ifndef WALFERRY_SIDECAR_CONTROL_STATUS_H
#define WALFERRY_SIDECAR_CONTROL_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/metrics/metrics.h"
#include "lib/storage/inventory.h"
#include "lib/storage/object_name.h"
#include "lib/storage/storage.h"

/* ---- destination ---- */

enum status_destination_state {
    STATUS_DESTINATION_ATTACHING, /* looking at the bucket's tip; nothing may be shipped yet */
    STATUS_DESTINATION_FOLLOWING, /* attached; shipping when there is something to ship */
    STATUS_DESTINATION_BACKOFF,   /* the last request failed; tried again by itself */
    STATUS_DESTINATION_FENCED,    /* another writer won; stopped until somebody decides */
    STATUS_DESTINATION_REFUSED, /* descent from the bucket's tip is not proven; a person decides */
    STATUS_DESTINATION_STOPPED, /* its database is */
    STATUS_DESTINATION_STATES
};

/* Lower-case word for JSON and the label `state`: "attaching", "following", ... Never NULL. */
const char *status_destination_state_name(enum status_destination_state state);

/* What lies in one level of the bucket, and what this process did to it. */
struct status_level {
    uint64_t object_count;
    uint64_t object_bytes;
    uint64_t newest_txid;
    uint64_t written_total; /* objects created by this process */
    uint64_t written_bytes_total;
    uint64_t deleted_total; /* objects removed by retention */
};

/* An object that was shipped lately. */
struct status_object {
    unsigned level;
    uint64_t min_txid;
    uint64_t max_txid;
    uint64_t bytes;
    uint64_t shipped_at_ns; /* when the store acknowledged it */
    uint64_t duration_ns;   /* from the first request to the acknowledgement */
};

enum {
    STATUS_OBJECTS_MAX = 16 /* last objects told per destination */
};

struct status_destination {
    const char *name; /* label `destination`: the configured name, else the type ("s3") */
    const char *url;  /* storage_url() */
    const char *type; /* storage_type() */

    enum status_destination_state state;
    const char *state_detail; /* a sentence for people: why it is in this state; NULL: nothing */
    uint64_t state_since_ns;  /* how long it has been in it */
    bool is_attached;         /* the tip of the bucket was seen and accepted since the start */
    /* Database and page map are here and fit each other, so the application may start before the
     * bucket has answered. */
    bool has_local_proof;
    bool can_create;          /* storage_caps: fencing by create-if-absent (false: weaker) */
    bool is_can_create_known; /* the probe has answered */

    uint64_t acknowledged_txid; /* newest L0 that the store acknowledged */
    uint64_t local_txid;        /* the TXID that the newest commit has or will get here */

    /* What the store lacks. Lag is the age of the oldest commit it has not acknowledged. */
    uint64_t lag_ns;
    uint64_t lag_bytes; /* pages that must be shipped, before compression */
    /* Transactions that were committed while this process followed the database. Exact, as SQLite
     * counts them; too low only after another program recovered the wal-index. */
    uint64_t lag_commits;
    uint64_t oldest_unshipped_at_ns;
    uint64_t dirty_page_count;

    uint64_t last_success_at_ns; /* last acknowledged write of an object */
    uint64_t last_commit_at_ns;  /* commit time inside the newest acknowledged object */
    const char *last_error;      /* of the current or last fault; NULL: none since the start */
    const char *last_error_hint;
    uint64_t last_error_at_ns;
    uint64_t error_streak; /* failures since the last success; 0: healthy */
    uint64_t errors_total; /* operations that failed after their retries */

    uint64_t syncs_total;      /* L0 objects acknowledged */
    uint64_t sync_ns_total;    /* time from the start of encoding to the acknowledgement */
    uint64_t sync_pages_total; /* pages in them */
    /* Pages of the local database that a compaction found to be not what was replicated (bit rot, or
     * a write around SQLite), and the objects that were merged from the bucket instead. */
    uint64_t rotten_pages_total;
    uint32_t rotten_pgno; /* the last one; 0: none */
    uint64_t rotten_at_ns;
    uint64_t merges_total;

    uint64_t differences_total; /* times the whole database was compared instead of followed */

    /* Lineage. */
    uint32_t epoch;           /* ours; 0 before the first attachment */
    uint32_t owner;           /* ours */
    uint32_t fenced_by_epoch; /* the winner's; 0 unless fenced */
    uint32_t fenced_by_owner;
    uint64_t conflicts_total; /* creations refused because another writer was first */

    /* Any moment between these can be restored. Both 0: nothing yet. */
    uint64_t restore_oldest_at_ns;
    uint64_t restore_newest_at_ns;
    uint64_t snapshot_txid;
    uint64_t snapshot_at_ns;                  /* of the newest snapshot (L9) */
    const struct inventory_object *snapshots; /* all that are there, oldest first */
    size_t snapshot_count;

    uint64_t retention_window_ns; /* as configured now; 0: nothing is deleted */
    uint64_t retention_at_ns;     /* last complete pass */
    uint64_t retention_errors_total;
    const char *retention_error; /* of the last pass; NULL: it was complete */

    struct status_level levels[LTX_LEVELS];
    const struct status_object *objects; /* newest first */
    size_t object_count;                 /* up to STATUS_OBJECTS_MAX */

    struct storage_counters requests;               /* *storage_counters() */
    const struct metrics_histogram *upload_seconds; /* of objects; NULL: none yet */
};

/* ---- database ---- */

enum status_db_state {
    STATUS_DB_OPENING,    /* not looked at yet */
    STATUS_DB_ABSENT,     /* no such file yet; waiting for the application to make it */
    STATUS_DB_NOT_WAL,    /* not in WAL mode; waiting for the application to turn it on */
    STATUS_DB_FOLLOWING,  /* readers are held, every commit is seen */
    STATUS_DB_DIFFERENCE, /* history is unproven: the database is being compared */
    STATUS_DB_BACKOFF,    /* opening or reading failed; tried again by itself */
    STATUS_DB_DISK_FULL,  /* below the reserve: readers let go, the application goes first */
    STATUS_DB_EXCLUSIVE,  /* the application locks exclusively (wal-index in its heap) */
    STATUS_DB_NETWORK_FILE_SYSTEM, /* shared memory does not work there */
    STATUS_DB_MOVED,               /* file was replaced or removed under the application */
    STATUS_DB_HEADER_TORN,         /* copies of the wal-index header differ for ever */
    STATUS_DB_DAMAGED,             /* not a database, or damaged beyond following */
    STATUS_DB_STOPPED,             /* the engine ends, with the process or to begin anew */
    STATUS_DB_STATES
};

/* Lower-case words for JSON and the label `state`: "following", "not_wal", ... Never NULL. */
const char *status_db_state_name(enum status_db_state state);

/* The three kinds of work under the name checkpoint; label `mode`. */
enum status_checkpoint_mode {
    STATUS_CHECKPOINT_PASSIVE, /* bulk, nobody waits: "passive" */
    STATUS_CHECKPOINT_SEAL,    /* the few last frames under the write lock: "seal" */
    STATUS_CHECKPOINT_SHRINK,  /* cutting the tail of the log: "shrink" */
    STATUS_CHECKPOINT_MODES
};

/* The words above. Never NULL. */
const char *status_checkpoint_mode_name(enum status_checkpoint_mode mode);

struct status_checkpoint {
    uint64_t total;
    uint64_t errors_total;
    uint64_t ns_total;
    uint64_t ns_max; /* longest of all; for SEAL this is how long a writer may have waited */
};

struct status_db {
    const char *path; /* absolute */
    const char *name; /* label `db`: the configured name, else path */

    enum status_db_state state;
    const char *state_detail; /* a sentence for people; NULL: nothing to say */
    uint64_t state_since_ns;

    uint32_t page_size;
    uint64_t page_count;
    uint64_t db_bytes;              /* the file */
    uint64_t wal_bytes;             /* the file, may be larger than what is live in it */
    uint64_t wal_frames;            /* mxFrame */
    uint64_t wal_backfilled_frames; /* nBackfill */
    uint64_t disk_free_bytes;       /* of its file system, 0 if not known */

    uint64_t commits_total;   /* transactions since the start, counted as lag_commits */
    uint64_t frames_total;    /* frames noted since the start */
    uint64_t wal_bytes_total; /* the same in bytes */
    uint64_t last_commit_at_ns;

    struct status_checkpoint checkpoints[STATUS_CHECKPOINT_MODES];
    const struct metrics_histogram *checkpoint_seconds; /* of all modes; NULL: none yet */
    uint64_t last_checkpoint_at_ns;
    uint64_t busy_total;           /* times a lock we wanted was taken */
    uint64_t seals_given_up_total; /* seals put off because of that */
    uint64_t locks_lost_total;     /* our locks were gone: an alarm */
    uint64_t blocked_by_reader_ns; /* how long a reader of the application has held back the log */

    const char *last_error; /* of the current or last fault; NULL: none since the start */
    const char *last_error_hint;
    uint64_t last_error_at_ns;
    uint64_t error_streak; /* failures since the last success; 0: healthy */
    uint64_t errors_total;

    struct status_destination *destinations;
    size_t destination_count;
};

/* ---- process ---- */

struct status_process {
    const char *version; /* "1.2.3" */
    const char *commit;  /* of the source; NULL: not known */
    int pid;
    uint64_t started_at_ns;
    uint64_t now_ns; /* wall clock at the moment of this answer */
    const char *sqlite_version;
    bool is_sqlite_affected_by_wal_reset_bug; /* fixed in 3.51.3, 3.50.7, 3.44.6 */
    bool is_draining;                         /* eager shipping: the pod is ending */

    struct status_db *dbs;
    size_t db_count;
};

/*
 * Fills *out. Called on the loop thread, once per question (a scrape each 15 s, a live page each
 * 2 s): it must not block and should cost O(databases x destinations). -1 with err (ERR_NO_MEMORY)
 * makes the endpoint answer 500.
 */
typedef int status_collect_fn(void *arg, struct status_process *out, struct error *err);

struct status_source {
    status_collect_fn *collect;
    void *arg;
};

#endif
