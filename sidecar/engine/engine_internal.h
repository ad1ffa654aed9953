/*
 * The structs behind engine.h: engine, database, chain. Only files of this folder include it.
 *
 * Each field says who may touch it. "loop": the loop thread, at any time. "task": the database's
 * one running task, else the loop thread while no task of the database is running; tasks hand
 * results to the loop in their done().
 */
#ifndef WALFERRY_SIDECAR_ENGINE_ENGINE_INTERNAL_H
#define WALFERRY_SIDECAR_ENGINE_ENGINE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/blob.h"
#include "lib/io/loop.h"
#include "lib/io/watch.h"
#include "lib/ltx/ltx.h"
#include "lib/metrics/metrics.h"
#include "lib/storage/inventory.h"
#include "lib/storage/upload.h"
#include "sidecar/control/status.h"
#include "sidecar/engine/engine.h"
#include "sidecar/engine/follow.h"
#include "sidecar/engine/instant.h"
#include "sidecar/engine/lineage.h"
#include "sidecar/engine/page_map.h"
#include "sidecar/engine/page_set.h"
#include "sidecar/engine/settled_clock.h"
#include "sidecar/engine/task_queue.h"

enum {
    CHAIN_LEVELS = ENGINE_LEVELS_MAX + 1, /* index = level; 0 is unused */
    BLOB_MEMORY_BYTES = 1 << 20,          /* of an object under construction kept in memory */
    LEVEL_STEP_PAGES = 4096,              /* encoded in one step of a compaction or snapshot */
    FULL_BATCH_PAGES = 1024,              /* map entries read at a time */
    ENGINE_DISKS_MAX = 8,                 /* file systems whose free space is remembered */
    DATABASE_DESCRIPTORS = 5,             /* of a database, beside one for each destination */
    PROCESS_DESCRIPTORS = 100,            /* of everything else, with connections and checkpoints */
};

struct engine;
struct database;
struct chain;
struct bucket;

/* A fault as status shows it. Owner: loop. */
struct fault {
    struct error *last;  /* NULL: none since the start. Read by fault_last() */
    uint64_t last_at_ns; /* wall clock */
    uint64_t streak;
    uint64_t total;
    struct log_repeat repeat;
};

/* ---- chain: one destination of one database ---- */

enum chain_state {
    CHAIN_WAITING,   /* the database is not followed yet */
    CHAIN_ATTACHING, /* finding out where the bucket ends and whether we may go on */
    CHAIN_FOLLOWING, /* attached */
    CHAIN_FENCED,    /* another writer won; stopped */
    CHAIN_REFUSED,   /* descent is not proven; stopped */
    CHAIN_STOPPED,   /* closing */
};

/* Pages and their checksums that an object carries, ascending: what the map learns when the store
 * has acknowledged it. */
struct entry_list {
    struct map_entry *entry;
    size_t count;
    size_t cap;
};

/* An L0 object from encoding to the acknowledgement. */
struct outgoing {
    bool is_full;        /* encoded and not yet acknowledged */
    bool has_every_page; /* the map starts anew with it */
    struct blob blob;
    struct storage_upload *upload; /* instead of blob: all parts are there (full_copy.c) */
    uint64_t bytes;
    struct ltx_header header;
    uint64_t file_checksum;
    size_t page_count;         /* in it */
    struct entry_list entries; /* none with an upload */
    struct page_set pages;     /* the same pages, for the levels' sets */
    struct log_end end;        /* the state it leads to */
    uint64_t db_checksum;
    uint64_t oldest_commit_ns; /* monotonic: first commit in it was noticed then */
    uint64_t news_count;       /* as the chain's */
    uint64_t commits_total;    /* of the database, at the state that it leads to */
    uint64_t started_ns;       /* monotonic: when its encoding began */
    uint64_t put_started_ns;
    unsigned failures; /* puts that failed so far */
};

/* Why an encode task ended. */
enum encode_result {
    ENCODE_NOTHING,  /* the destination has everything */
    ENCODE_OBJECT,   /* chain->out is full */
    ENCODE_COPY,     /* every page has to go, and can be sent as it is encoded: full_copy.c */
    ENCODE_UNPROVEN, /* history is broken: difference tasks first */
};

/* A compaction or snapshot on its way: one level of one chain. */
struct level_work {
    bool is_wanted;          /* due; waits for a pinned state. Owner: loop */
    bool is_encoding;        /* pages are being written. Owner: loop */
    bool is_uploading;       /* Owner: loop */
    bool is_put_off;         /* is wanted again when the timer fires. Owner: loop */
    struct loop_timer timer; /* due time, or the next try. Owner: loop */
    uint64_t due_ns;
    struct page_set changed;  /* pages since boundary. Owner: task */
    bool is_changed_known;    /* false: changes before this process are not in `changed` yet */
    uint64_t known_from_txid; /* changes after this TXID are in `changed` */
    uint64_t boundary_txid;   /* where the level's newest object ends. Owner: loop */
    struct page_set taken;    /* pages of the object under construction. Owner: task */
    struct blob blob;         /* finished, until uploaded. Owner: loop */
    struct ltx_header header;
    uint64_t put_started_ns;
    unsigned failures; /* in a row, since the last object of this level */
    struct storage_op *op;
    struct cover *cover;       /* page indexes being fetched. Owner: loop */
    struct level_merge *merge; /* the object is being made from downloads. Owner: loop */
    struct chain *chain;
    unsigned level;
};

/* What the page map tells before the bucket is asked. */
struct local_proof {
    bool is_same_file; /* it is for the very file that was opened */
    bool is_unchanged; /* and the log stands where it does */
};

struct chain {
    struct database *db;
    struct storage *storage;
    char *name;
    struct destination_options opt; /* pointers inside: name above, storage above */
    enum chain_state state;         /* loop */
    uint64_t state_since_ns;
    char *state_detail; /* NULL: nothing to say */
    size_t ordinal;     /* among the database's chains */

    /* Position: what the store has acknowledged. Owner: task. */
    struct map_state at;        /* txid 0: nothing yet */
    uint64_t acknowledged_txid; /* at.txid, for status. Owner: loop */
    struct page_map map;        /* task */
    char *map_path;
    char *next_map_path;   /* "<map>.next": what the map will be once a full copy has arrived */
    uint64_t timestamp_ms; /* of the newest object: times only grow */
    struct inventory inv;  /* loop */
    uint32_t epoch;
    uint32_t owner;
    bool has_accepted; /* an object of this attachment was accepted */
    /* The last proof that we own the prefix: when the request that proved it was sent. When its
     * answer was taken up says nothing; a process may have slept in between. */
    struct instant proven_at;
    struct instant asked_at; /* when the request was sent that may be the next one */

    /* What the store lacks. Owner: task. */
    bool is_tracking;      /* notes go to `dirty` */
    bool needs_all;        /* next object has every page */
    bool needs_difference; /* compare database and map before the next object */
    bool must_send_dirty;  /* also pages whose checksum is the map's: after a rewind */
    struct page_set dirty;

    /* Shipping. Owner: loop (out: task while encode runs). */
    struct outgoing out;
    struct task encode_task;
    enum encode_result encode_result;
    struct task difference_task;
    uint64_t difference_since_ns; /* monotonic: when it was asked for, last */
    struct task commit_task;      /* the acknowledged object goes into the map */
    struct loop_timer ship_timer; /* sync-interval, or back-off after a failure */
    uint64_t last_ship_ns;        /* monotonic: last L0 handed to the store */
    uint64_t oldest_commit_ns;    /* monotonic: first commit noticed and not encoded; 0 none */
    uint64_t news_count; /* changes noticed and not encoded, at least one for all commits */
    uint64_t commits_acknowledged; /* of the database's commits_total, those the store has */
    bool is_put_under_way;
    struct full_copy *copy; /* the first object, while its parts are made and sent. full_copy.c */
    struct task copy_task;
    bool must_stage;       /* the next full copy is not sent in parts while it is made */
    bool is_resolving;     /* reading the object that refused ours */
    bool has_seen_newer;   /* the listing for proof found an object beyond our tip */
    struct storage_op *op; /* the L0 put, or attach's request */
    struct buf reply;      /* bytes of a small read */
    uint8_t conflict_head[LTX_HEADER_BYTES];

    /* Attaching. */
    struct attach *attach; /* while CHAIN_ATTACHING; attach.c */
    struct task attach_task;
    struct loop_timer attach_timer;
    unsigned attach_failures;
    bool has_adopted;           /* -adopt counts once */
    bool is_descendant;         /* attached, and the database provably continues what lies there */
    bool is_unproven;           /* refused, and another destination could still prove descent */
    struct local_proof found;   /* by claim_look(). Owner: task */
    struct local_proof proof;   /* the loop's copy */
    struct bucket_lease *lease; /* NULL: not wanted, or not asked for yet. Owner: loop */
    bool is_lease_ending;
    uint64_t owed_txid; /* a full copy in mid-chain: not shipped before a snapshot reaches it */
    struct bucket *turn_bucket; /* NULL: has no turn and waits for none. Owner: loop */
    struct chain *turn_next;    /* who waits behind us */
    bool has_turn;

    /* Levels: those of 1..8 (compactions) that are configured, and 9 (snapshots). Ascending. */
    struct level_work *levels;
    size_t level_count;
    struct task level_task;
    struct level_job *level_job; /* the pinned encoding under way; level.c */
    struct task unpin_task;
    uint64_t snapshot_asked_txid; /* the state whose snapshot a wait has asked for. Owner: loop */
    struct map_state pinned;      /* the acknowledged state that is pinned */
    uint64_t pinned_timestamp_ms;
    bool is_pin_wanted;  /* this encode may pin its state: db->pin_holder is us */
    bool is_pin_waiting; /* the pinned state is on its way to the store */
    bool has_pin;        /* task: the follower is pinned for us */

    /* Retention. */
    struct expire *expire; /* a pass under way; expire.c */
    struct loop_timer expire_timer;
    struct settled_clock age_clock; /* by which retention counts ages */

    /* Housekeeping. Owner: loop. */
    struct storage_op *housekeep_op; /* a pass under way */
    uint64_t housekept_ns;           /* monotonic: when the last one began; 0: never */

    /* Validation. */
    struct validation *validation; /* a pass under way; validate.c */
    struct loop_timer validate_timer;

    /* For status. Owner: loop. */
    struct fault fault;
    uint64_t last_success_at_ns;
    uint64_t dirty_page_count; /* in `dirty` and in the object on its way */
    uint64_t syncs_total, sync_ns_total, sync_pages_total, differences_total, conflicts_total;
    uint32_t fenced_by_epoch, fenced_by_owner;
    uint64_t rotten_pages_total, rotten_at_ns, merges_total;
    uint32_t rotten_pgno;
    uint64_t retention_at_ns, retention_errors_total;
    struct error *retention_error; /* NULL: none */
    struct status_object *recent;  /* newest first */
    size_t recent_count, recent_cap;
    struct {
        uint64_t written, written_bytes, deleted;
    } level_total[LTX_LEVELS];
    struct metrics_histogram upload_seconds;
};

/* ---- database ---- */

struct database {
    /* What the poll reads of a thousand idle databases, each second: in few cache lines. */
    struct engine *engine;
    struct follower *follower; /* task; the pointer changes only when no task runs */
    unsigned poll_count;
    unsigned calm_polls; /* since the last event, commit or task */
    bool is_closing;
    bool is_resting;        /* most polls leave it alone: database_notice.c */
    bool is_told_of_writes; /* the kernel tells of every write to its log. Owner: open_task */
    bool is_released;       /* the readers were let go: below the reserve */
    bool is_notified;       /* a change was noticed that no task has noted yet */
    struct watch_entry wal_watch;
    struct task close_task;

    char *path;
    char *meta_path;             /* NULL: default */
    char *work_folder;           /* where temporary files go: the folder of the maps */
    struct database_options opt; /* destinations: NULL */
    struct chain *chains;
    size_t chain_count;
    struct task_queue queue;
    enum status_db_state state;
    uint64_t state_since_ns;
    char *state_detail; /* NULL: nothing to say */

    struct task open_task;
    enum follow_state open_state;
    struct follower *opened; /* result of open_task */
    uint64_t file_id;        /* of the open file; 0: not known */
    uint32_t owner;          /* random for each opening: writes to all destinations. Owner: loop */
    uint64_t timestamp_ms;   /* newest that an object of this owner got. Owner: task */
    dev_t device;            /* that the file was on when it was opened. Owner: task */
    int claim_fd;            /* our lock on this database; -1: not taken */
    struct task advance_task;
    struct task checkpoint_task;
    struct task shrink_task;
    struct task release_task;
    struct job final_job; /* closes the follower at the end */
    bool is_final_done;
    struct error task_err; /* of the task that runs or was just done. Owner: task */
    enum advance_result task_result;
    struct checkpoint_outcome outcome;
    bool shrink_more;
    struct follow_stats stats;      /* refreshed by tasks; read by the loop when none runs */
    struct follow_stats stats_seen; /* loop's copy */
    struct chain *pin_holder;       /* loop */

    struct watch_entry folder_watch;
    struct watch_entry file_watch;
    struct loop_timer look_timer; /* re-looks after a wake-up */
    unsigned look_step;
    struct loop_timer aside_timer; /* another look whether a checkpoint waits for us */
    bool is_stepping_aside;        /* what advance_task is wanted for */
    struct loop_timer retry_timer; /* open again, back-off */
    unsigned open_failures;
    struct loop_timer checkpoint_timer;
    struct loop_timer shrink_timer; /* the next cut of the log */
    uint64_t shrink_wait_ns;        /* for a writer that has the lock; 0: none has */
    uint64_t torn_since_ns;
    bool is_moved;               /* task: the path names another file now (or none) */
    unsigned held_back_count;    /* checkpoints in a row that readers held back */
    uint64_t last_checkpoint_ns; /* monotonic */

    struct fault fault;
    uint64_t commits_total, frames_total;
    uint64_t last_commit_at_ns;
    uint64_t disk_free_bytes;
    struct status_checkpoint checkpoints[STATUS_CHECKPOINT_MODES];
    struct metrics_histogram checkpoint_seconds;
    uint64_t last_checkpoint_at_ns, busy_total, seals_given_up_total, locks_lost_total;
    uint64_t blocked_since_ns;
    struct log_end end_seen; /* loop's copy of the noted end, for status */
};

/* ---- engine ---- */

struct engine_wait;

/* A file system and what was free there. reserve.c */
struct disk {
    dev_t device;
    uint64_t asked_ns; /* monotonic; 0: never */
    uint64_t free_bytes;
};

struct engine {
    const struct env *env;
    struct loop *loop;
    const struct log *log;
    struct engine_options opt;
    void (*on_change)(void *arg); /* NULL: nobody listens */
    void *change_arg;
    struct watch *watch;
    struct log_repeat watch_repeat; /* that there is none left for a log */
    struct database **dbs;
    size_t db_count;
    size_t db_cap;
    struct loop_timer poll_timer; /* one for all databases */
    uint64_t last_object_ns;      /* monotonic: shipped since memory was given back; 0: none */
    uint64_t poll_interval_ns;
    bool is_draining;
    bool is_stopping;
    uint64_t started_at_ns;
    struct bucket *buckets;
    struct disk disks[ENGINE_DISKS_MAX];
    uint64_t descriptor_limit;      /* of the process */
    uint64_t descriptors_wanted;    /* by all databases */
    struct engine_wait *waits;      /* sync, stop, snapshot, expire under way */
    struct engine_wait *spare_wait; /* for an order when memory is out */
    struct status_db *status_dbs;   /* reused by engine_status() */
    struct status_destination *status_destinations;
    size_t status_db_cap, status_destination_cap;
};

/* engine.c: something changed that a waiting sync or stop may have waited for. */
void engine_check_waits(struct engine *e);
/* What status says in words may have changed: tells who listens. engine_status.c */
void engine_changed(const struct engine *e);

/* validate.c */
void validate_init(struct chain *c);
void validate_arm(struct chain *c);
void validate_stop(struct chain *c);

/* bucket.c: what a probe found out about a bucket holds for all prefixes in it. */
bool bucket_is_probed(const struct engine *e, const struct storage *st, bool *out_can_create);
void bucket_set_probed(struct engine *e, const struct storage *st, bool can_create);
/* Whether c may attach now; else attach_continue(c) is called when it is its turn. */
MUST_USE bool bucket_turn_take(struct chain *c);
void bucket_turn_end(struct chain *c); /* gives it back, or stops waiting; harmless if neither */
void bucket_destroy_all(struct engine *e);

/* reserve.c */
void reserve_init(struct database *db);
void reserve_check(struct database *db); /* lets the readers go, or takes the log up again */

/* fault.c */
void fault_note(struct engine *e, struct fault *f, const char *what, const char *path,
                const char *destination, const struct error *err);
void fault_end(struct engine *e, struct fault *f, const char *what, const char *path,
               const char *destination);
/* Keeps err as the last fault without counting it as one. */
void fault_keep(struct engine *e, struct fault *f, const struct error *err);
const struct error *fault_last(const struct fault *f); /* code ERR_NONE if there is none */
void fault_destroy(struct fault *f);
/* *kept becomes a copy of err, or NULL if err is none (or memory is out). The owner frees it. */
void error_keep(struct error **kept, const struct error *err);
/* *kept becomes a copy of text, or NULL if it is empty (or memory is out). The owner frees it. */
void text_keep(char **kept, const char *text);

/* database.c, database_notice.c, database_checkpoint.c */
MUST_USE int database_new(struct engine *e, const struct database_options *opt,
                          struct database **out, struct error *err);
void database_start(struct database *db);
void database_poll(struct database *db);
void database_close(struct database *db); /* asynchronous; database_is_closed() tells */
bool database_is_closed(const struct database *db);
void database_free(struct database *db);
bool database_is_following(const struct database *db);
/* Something was committed: looks now and tells the chains. */
void database_look(struct database *db);
/* Asks for a checkpoint if one is due. */
void database_consider_checkpoint(struct database *db);
/* History is unproven: every tracking chain takes the difference. Task side. */
void database_mark_unproven(struct database *db);
/* The sink of follower_advance(): adds a page to every tracking chain's set. arg: the database. */
int database_note(void *db, uint32_t pgno, struct error *err);
/* Copies what tasks learned for status. Loop thread, from done(). */
void database_refresh(struct database *db);
void database_set_state(struct database *db, enum status_db_state state, const char *detail);
/* A task of the database itself has failed (db->task_err): reopens, or tells. Loop thread. */
void database_task_failed(struct database *db, const char *what);
/* The follower cannot go on (moved, torn, I/O): close it and open again. Loop thread. */
void database_reopen(struct database *db, const struct error *why);

/* claim.c: task side */
MUST_USE int claim_take(struct database *db, struct error *err);
void claim_look(struct database *db, const struct follower *f);
void claim_release(struct database *db);

/* chain.c */
MUST_USE int chain_init(struct chain *c, struct database *db, const struct destination_options *opt,
                        size_t ordinal, struct error *err);
void chain_destroy(struct chain *c);
void chain_set_state(struct chain *c, enum chain_state state, const char *detail);
void chain_start(struct chain *c); /* the database is followed now: attach */
void chain_set_pace(struct chain *c, const struct destination_pace *pace);
void chain_suspend(struct chain *c);     /* the database is not followed any more */
void chain_clear_needs(struct chain *c); /* task side: what the store lacks is not known any more */
void chain_stop(struct chain *c);        /* cancels requests and timers, for good */
void chain_commit_noticed(struct chain *c); /* one or more */
void chain_hurry(struct chain *c);          /* ends a back-off: somebody waits */
void chain_ship_soon(struct chain *c);      /* encodes now, or when sync-interval allows */
bool chain_has_unshipped(const struct chain *c);
/* For callbacks of requests and tasks: false if the chain has stopped meanwhile. */
bool chain_goes_on(struct chain *c);
bool chain_is_quiet(const struct chain *c); /* no request or task under way */
void chain_forget_object(struct chain *c);  /* drops chain->out: it was acknowledged */
/* Drops chain->out unacknowledged: its commits count as unshipped again. */
void chain_take_back(struct chain *c);

/* The sink of follower_note_since(): a page for this chain only. arg: the chain. Task side. */
int chain_note(void *chain, uint32_t pgno, struct error *err);

/* attach.c */
void attach_init(struct chain *c);
void attach_start(struct chain *c);
void attach_continue(struct chain *c); /* its turn has come */
void attach_cancel(struct chain *c);

/* chain_lease.c */
MUST_USE bool chain_lease_take(struct chain *c); /* else attach_continue() follows */
/* False: ship_on_timer() follows when it is ours again, or the chain attaches again. */
MUST_USE bool chain_lease_allows_put(struct chain *c);
void chain_lease_end(struct chain *c); /* c->lease is NULL afterwards, soon */

/* encode.c: task side */
void encode_work(struct task *task);
void difference_work(struct task *task);
void commit_work(struct task *task);
/* The map of a full copy that has arrived takes the name. Harmless when it did so before. */
MUST_USE int encode_next_map_take(struct chain *c, struct error *err);
MUST_USE int entry_list_add(struct entry_list *l, uint32_t pgno, uint64_t checksum,
                            struct error *err);
void entry_list_destroy(struct entry_list *l);
/* XOR of all page checksums of the database at the noted end; entries (may be NULL) collects them.
 */
MUST_USE int encode_db_checksum(struct database *db, struct task *task, struct entry_list *entries,
                                uint64_t *out_checksum, struct error *err);

/* What has come to the log is noted; a page size that has changed makes the next object a full copy. */
MUST_USE int encode_advance(struct chain *c, struct error *err);
/* The header of the next L0 object, which leads to end; its database checksum is still missing. */
struct ltx_header encode_header_of_l0(struct chain *c, const struct log_end *end);

/* full_copy.c */
void full_copy_init(struct chain *c);
/* Task side. */
bool full_copy_is_possible(const struct chain *c, const struct log_end *end);
/* False: not now, the object has to be staged. ship_start() or ship_copy_failed() follow. */
MUST_USE bool full_copy_start(struct chain *c);
void full_copy_stop(struct chain *c); /* c->copy is NULL afterwards, soon */
bool full_copy_is_busy(const struct chain *c);
void full_copy_destroy(struct chain *c);

/* ship.c */
uint64_t ship_backoff_ns(const struct engine *e, unsigned failures);
/* is_ours: the database's side has failed, not the store. */
void ship_copy_failed(struct chain *c, const struct error *err, bool is_ours);
void ship_start(struct chain *c);         /* puts chain->out */
void ship_encoded(struct task *task);     /* done() of encode_task */
void ship_differenced(struct task *task); /* done() of difference_task */
void ship_committed(struct task *task);   /* done() of commit_task */
void ship_on_timer(void *chain);
/* Counts and shows an object that the store has acknowledged. */
void ship_note_object(struct chain *c, unsigned level, const struct ltx_header *h, uint64_t bytes,
                      uint64_t put_started_ns);

/* level.c, level_encode.c */
MUST_USE int level_init(struct chain *c, struct error *err);
void level_arm(struct chain *c);                 /* after attaching: boundaries, due times */
void level_object_acknowledged(struct chain *c); /* an L0 went into the map: sets, due times */
void level_state_pinned(struct chain *c);        /* the pinned state is acknowledged: encode */
void level_abandon(struct chain *c);             /* drop the pin and what is under construction */
void level_stop(struct chain *c);
void level_want(struct chain *c, unsigned level); /* now, whatever the timer says */
bool level_is_busy(const struct chain *c);
bool level_is_wanted_or_busy(const struct chain *c, unsigned level);
bool level_is_any_wanted(const struct chain *c);
void level_reserve_pin(struct chain *c); /* before an encode: it may pin its state */
void level_destroy(struct chain *c);

/* expire.c */
void expire_init(struct chain *c);
void expire_arm(struct chain *c);
void expire_start(struct chain *c);
void expire_stop(struct chain *c);
bool expire_is_busy(const struct chain *c);

/* housekeep.c */
void housekeep_consider(struct chain *c); /* a full copy has arrived */
void housekeep_stop(struct chain *c);

/* engine_status.c uses the structs above directly. */

#endif
