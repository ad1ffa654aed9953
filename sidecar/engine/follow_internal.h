/*
 * The inside of a follower, shared by follow.c (look, advance, hand over), follow_open.c (states,
 * open, release), follow_read.c (pages, pin, contains), follow_locks.c, checkpoint.c, seal.c,
 * shrink.c, moment.c, step_aside.c.
 *
 * Threads: follower_look() reads `block0` and `look`, both atomic; all else belongs to the job that
 * the database has under way.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_FOLLOW_INTERNAL_H
#define WALFERRY_SIDECAR_ENGINE_FOLLOW_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/sqlite/sqlite.h"
#include "sidecar/engine/connection.h"
#include "sidecar/engine/follow.h"
#include "sidecar/engine/log_reader.h"

enum {
    LOOK_WORDS = 9, /* the fields of a wal-index header, for lock-free comparison */
};

/*
 * A state of the database whose pages can be read, because a read transaction keeps what it
 * consists of.
 *
 *   is_backfilled   the database file alone; the reader sits on slot 0, nothing is backfilled, and
 *                   the log may be restarted at any time: it is not looked at
 *   otherwise       the newest frame up to end.frame, else the database file; the log cannot be
 *                   restarted, and no frame beyond end.frame is backfilled
 */
struct view {
    struct log_end end;
    bool is_backfilled;
    bool is_big_endian; /* checksums of the log */
};

struct follower {
    /* What follower_look() reads of a thousand followers, each second: in one cache line or two. */
    _Atomic(const void *) block0;
    _Atomic uint32_t look[LOOK_WORDS]; /* `noted`, for follower_look() */

    const struct env *env;
    char *path;
    char *wal_path;
    struct follow_options options;

    /* Connections. The holder is always open; it reads except after follower_release() or a failed
     * hand-over (then history is broken). The others are open only while they are needed. */
    struct connection *holder;
    struct connection
        *spare; /* the other hand; also the one that checkpoints or takes the write lock */
    struct connection *checkpointer; /* while the spare has the write lock */
    struct connection *pin_holder;   /* the slot-0 reader of a pin, once the holder moved on */

    struct view now;    /* the noted end */
    struct view pinned; /* valid if has_pin */
    bool has_pin;
    bool is_pin_broken; /* the locks that kept it are gone */
    bool is_released;

    /* The wal-index. */
    const void **blocks; /* blocks[0 .. block_count) are mapped; the first is block0 */
    size_t block_count;
    size_t block_cap;
    struct wal_index_header noted; /* the header at the noted end */
    uint64_t torn_since_ns;        /* monotonic; 0: the header is whole */

    struct log_reader log;
    bool can_see_locks; /* /proc/self/fdinfo shows POSIX locks here */
    int db_lock_fd;     /* that showed our lock on the database; 0: not known */
    int shm_lock_fd;    /* likewise, of -shm */
    uint32_t backfill_seen;
    unsigned busy_seals; /* in a row, that found the write lock taken all the time */
    uint64_t cut_bytes;  /* of the log at a time; 0: not tried yet */
    uint64_t commits_seen;
    uint64_t checkpoint_ns;      /* monotonic: when the last checkpoint ended; 0: none did */
    uint64_t checkpoint_commits; /* commits_seen then */
    bool has_noted;              /* `noted` is a header that was there */
    bool is_recovered;           /* SQLite's counter of transactions may have begun anew */
    uint64_t foreign_checkpoints;
};

/* ---- follow.c ---- */

/*
 * Reads the wal-index header, waiting out a writer that is just storing it. Returns 1, or 0 if it
 * stays torn; -1 ERR_UNSUPPORTED.
 */
MUST_USE int follow_header_read(struct follower *f, struct wal_index_header *out,
                                struct error *err);

/*
 * Gives the read transaction to a fresh one on the newest commit, noting what came until then. The
 * new holder sits on slot 0 exactly if everything noted is in the database file. On failure nothing
 * has changed. ERR_BUSY: too much is going on right now.
 */
MUST_USE int follow_hand_over(struct follower *f, note_fn *note, void *arg,
                              enum advance_result *out_result, struct error *err);

/* Notes what is in the header h and moves the end there. The holder must keep it readable. */
MUST_USE int follow_note_header(struct follower *f, const struct wal_index_header *h, note_fn *note,
                                void *arg, struct error *err);

/* Ends all transactions and starts anew at the newest commit: history is broken. */
MUST_USE int follow_start_anew(struct follower *f, struct error *err);

/* follower_advance() without looking whether the file moved; leaves the spare open. */
MUST_USE int follow_advance(struct follower *f, note_fn *note, void *arg,
                            enum advance_result *out_result, struct error *err);

/* Opens a connection unless *c is one. */
MUST_USE int follow_connect(struct follower *f, struct connection **c, struct error *err);

/* Closes the connections that an idle follower does not need. */
void follow_settle(struct follower *f);

/* Maps all blocks of the wal-index up to the one that holds frame_no (0: block 0). */
MUST_USE int follow_map(struct follower *f, uint32_t frame_no, struct wal_index_map *out,
                        struct error *err);

/* What the wal-index says about checkpoints now. */
struct wal_checkpoint_info follow_checkpoint_info(const struct follower *f);

/* ERR_WRONG_STATE after release, or if the path names another file. */
MUST_USE int follow_check_usable(struct follower *f, struct error *err);

/* ---- follow_open.c ---- */

/* Whether a file system of this statfs magic cannot share memory between processes safely. */
bool follow_fs_is_network(uint64_t magic);

/* ---- follow_read.c ---- */

/* A page as it was at the end of a view; the errors of follower_page_read(). */
MUST_USE int follow_view_read(struct follower *f, const struct view *v, uint32_t pgno,
                              uint8_t *out_page, struct error *err);

/* The log of a view, for log_reader. */
struct log_identity follow_log_of(const struct view *v);

/* ---- follow_locks.c ---- */

/*
 * Whether the kernel still knows the locks that our connections hold: SHARED on the database, the
 * dead-man switch of -shm, the holder's slot. True if it cannot be told here.
 */
bool follow_locks_ok(struct follower *f);

/* ERR_WRONG_STATE unless follow_locks_ok(): only closing every connection and opening the follower
 * again brings them back. */
MUST_USE int follow_locks_check(struct follower *f, struct error *err);

/*
 * Whether another process checkpoints right now. Asks the kernel by the descriptor of -shm that showed
 * our locks, and takes nothing. False where locks cannot be seen.
 */
bool follow_checkpointer_is_there(struct follower *f);

/* Finds out at open whether locks can be seen at all. */
void follow_locks_probe(struct follower *f);

/* ---- moment.c ---- */

/*
 * Waits for the moment right after a commit, some 15 ms at most: whoever writes at some pace will
 * not want the write lock for a while now. Sleeps on a connection.
 */
void follow_await_commit(struct follower *f, const struct connection *c);

/* ---- seal.c ---- */

/*
 * Backfills the last frames under the write lock. *outcome: was_sealed, was_seal_busy, seal_ns,
 * backfilled_frames, is_complete.
 */
MUST_USE int follow_seal(struct follower *f, note_fn *note, void *arg,
                         struct checkpoint_outcome *outcome, struct error *err);

#endif
