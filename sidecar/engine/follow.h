/*
 * Following one database's write-ahead log: what is committed, which pages changed, what a page
 * looked like at a point, and checkpoints without a gap.
 *
 * A follower owns our SQLite connections to one database. Idle it has one, the *holder*, which sits
 * in a read transaction:
 *
 *   holder on slot >= 1   nobody can restart, truncate or delete the log; backfill stops at its
 * mark holder on slot 0      everything was backfilled when it began; no backfill at all now, so at
 *                         most one restart of the log can follow
 *
 * Hence an unbroken history: either the log goes on (same salts), or it restarted exactly once
 * while the holder sat on slot 0. Anything else is *unproven* and the caller takes the difference.
 *
 * The end of what was noted is a `struct log_end`. It moves only in follower_advance() and
 * follower_checkpoint(), which report each page number they pass to a sink. Pages are read as they
 * were at the noted end, or at a pinned one.
 *
 * Threads: follower_look() on the loop thread at any time; everything else belongs to the one job
 * that the database has under way (owner: job until done).
 *
 * Sources: SQLite's wal.c (top comment; walTryBeginRead, walCheckpoint, walRestartLog),
 * walformat.html; the experiments of docs/architecture.md.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_FOLLOW_H
#define WALFERRY_SIDECAR_ENGINE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

struct follower;

/*
 * `origin` of the ERR_WRONG_STATE that follower_checkpoint() answers when the kernel has lost our
 * locks: the caller reopens, and counts it. No errno and no SQLite result is negative.
 */
enum {
    FOLLOW_ORIGIN_LOCKS_LOST = -1
};

/* A point in the history of a database: the log's identity and the last committed frame noted. */
struct log_end {
    uint32_t salt[2];    /* of the log; the pair is its identity. {0,0}: there is no log yet */
    uint32_t frame;      /* last committed frame, from 1; 0: the log is empty */
    uint32_t cksum[2];   /* running checksum at that frame (aFrameCksum); {0,0} if frame is 0 */
    uint32_t page_size;  /* bytes */
    uint32_t page_count; /* size of the database in pages at that point */
};

/* Why a database cannot be followed now. Each is a state with a name for status and logs. */
enum follow_state {
    FOLLOW_OK,
    FOLLOW_ABSENT,      /* no file of that name (also: empty file; nothing to replicate yet) */
    FOLLOW_NOT_WAL,     /* journal_mode is not WAL, and we were told not to switch it on */
    FOLLOW_EXCLUSIVE,   /* an application holds it with locking_mode=EXCLUSIVE: no shared -shm */
    FOLLOW_NETWORK_FS,  /* the file system cannot share memory between processes (statfs magic) */
    FOLLOW_MOVED,       /* the path names another file now (or none): SQLITE_FCNTL_HAS_MOVED */
    FOLLOW_HEADER_TORN, /* the two wal-index header copies differ for long: a writer died between */
    FOLLOW_READ_ONLY,   /* we cannot write -shm/-wal beside it: wrong user or read-only volume */
    FOLLOW_NOT_DATABASE, /* the file is not a SQLite database (or encrypted) */
    FOLLOW_BUSY,         /* a lock is held by somebody for longer than our patience; try again */
};

/* Lower-case words for status and logs: "ok", "absent", "not in WAL mode", ... */
const char *follow_state_text(enum follow_state state);

struct follow_options {
    bool enable_wal;          /* journal-mode: enable. false: require, FOLLOW_NOT_WAL */
    bool allow_network_fs;    /* skip the statfs refusal */
    uint64_t busy_timeout_ns; /* of our own connections */
};

/* Gets each page number that changed; may be called several times for one page. */
typedef int note_fn(void *arg, uint32_t pgno, struct error *err);

/*
 * Opens the database and takes the holder's read transaction. Writes nothing into the database
 * (except, with enable_wal, the switch to WAL mode).
 * On ERR_WRONG_STATE *out_state says which state; *out is untouched. Other errors: ERR_NO_MEMORY,
 * ERR_IO, ERR_LIMIT (descriptors).
 */
MUST_USE int follower_open(const struct env *env, const char *path,
                           const struct follow_options *options, struct follower **out,
                           enum follow_state *out_state, struct error *err);

/*
 * Ends all transactions and closes without checkpoint: the log stays for the next start. NULL ok.
 */
void follower_close(struct follower *f);

/* The path as given to follower_open(), and where the log is. Borrowed for the follower's life. */
const char *follower_path(const struct follower *f);
const char *follower_wal_path(const struct follower *f);

/* What follower_look() saw. */
enum look_result {
    LOOK_SAME,    /* the wal-index header is as at the noted end */
    LOOK_CHANGED, /* something was committed (or the log restarted): follower_advance() */
    LOOK_TORN,    /* the two header copies differ right now: look again soon */
};

/* The exact question, on mapped memory: tens of nanoseconds, no system call, any thread. */
enum look_result follower_look(const struct follower *f);

/* How many transactions were committed since the counter stood at change (of follower_stats()); 0 if
 * that cannot be told right now. As cheap as follower_look(); any thread. */
uint32_t follower_commits_since(const struct follower *f, uint32_t change);

/* The end of what was noted. */
const struct log_end *follower_end(const struct follower *f);

/* Whether the path still names the file that we have open (one stat); FOLLOW_OK or FOLLOW_MOVED. */
enum follow_state follower_check_moved(struct follower *f);

enum advance_result {
    ADVANCE_PROVEN,   /* every page that changed since the last end went to note */
    ADVANCE_UNPROVEN, /* history is broken: the new end is valid, but what changed is not known */
};

/*
 * Moves the end to what is committed now and gives note every page in between. When the log was
 * restarted or appended to under a holder on slot 0, hands over to a reader on slot >= 1.
 * Never waits for the application. Cost: O(frames); the log itself is not read.
 *   ERR_WRONG_STATE   the header is torn or the file moved: *out_state-like detail in the text; the
 *               caller reopens
 *   ERR_CORRUPT wal-index content is impossible
 */
MUST_USE int follower_advance(struct follower *f, note_fn *note, void *arg,
                              enum advance_result *out_result, struct error *err);

/*
 * Whether `end` (of an earlier process) lies in the current log: same salts, and the frame's
 * stored checksum is the same. Then what came after is known: follower_note_since().
 */
MUST_USE int follower_contains(struct follower *f, const struct log_end *end, bool *out_contains,
                               struct error *err);

/* Gives note the pages of frames (frame, noted end] of the current log. ERR_WRONG_STATE: the log
 * was restarted meanwhile (possible on slot 0 only): what changed is not known, take the
 * difference. */
MUST_USE int follower_note_since(struct follower *f, uint32_t frame, note_fn *note, void *arg,
                                 struct error *err);

/*
 * The page as it was at the noted end: from the log (the frame's own checksum is verified against
 * its predecessor's) or from the database file. page_size bytes. Pages that neither holds (growth)
 * are zeros. ERR_CORRUPT names frame and offset; ERR_IO.
 */
MUST_USE int follower_page_read(struct follower *f, uint32_t pgno, uint8_t *out_page,
                                struct error *err);

/*
 * The commit that ends with a frame of the current log, 1..the noted end's. Returns 1 with *out; 0 if
 * no commit ends there; -1: ERR_IO, ERR_CORRUPT (the log is shorter).
 */
MUST_USE int follower_end_at(struct follower *f, uint32_t frame, struct log_end *out,
                             struct error *err);

/*
 * The page as it was at such a commit. Returns 1 with the page; 0 if that cannot be told any more: a
 * later version may stand in the database file already. Whether the log was restarted in between
 * (possible on slot 0 only) is for follower_note_since() to tell, after the last page.
 * ERR_CORRUPT, ERR_IO.
 */
MUST_USE int follower_page_read_at(struct follower *f, const struct log_end *at, uint32_t pgno,
                                   uint8_t *out_page, struct error *err);

/*
 * Pins the noted end: until follower_unpin(), follower_page_read_pinned() answers pages as they
 * were there, while follower_advance() goes on. Checkpoints are refused meanwhile (ERR_BUSY) and
 * the log grows. One pin at a time.
 */
MUST_USE int follower_pin(struct follower *f, struct log_end *out_end, struct error *err);
MUST_USE int follower_page_read_pinned(struct follower *f, uint32_t pgno, uint8_t *out_page,
                                       struct error *err);
/*
 * The same for pages pgno .. pgno + count - 1, one behind the other in out_pages. Neighbours that the
 * database file has are read at once.
 */
MUST_USE int follower_run_read_pinned(struct follower *f, uint32_t pgno, uint32_t count,
                                      uint8_t *out_pages, struct error *err);
void follower_unpin(struct follower *f);

/* What a checkpoint did, for metrics and the decision what to do next. */
struct checkpoint_outcome {
    uint32_t log_frames;        /* in the log when it began */
    uint32_t backfilled_frames; /* of these now in the database file */
    bool is_complete;           /* all of them: the next write restarts the log */
    bool was_sealed;            /* the write lock was taken for the last frames */
    bool was_seal_busy;         /* sealing was wanted, but a writer had the lock */
    uint64_t seal_ns;           /* how long the write lock was held */
    uint64_t total_ns;
    uint32_t blocking_frame; /* not complete: the read mark of the application that blocks; 0 */
};

/*
 * A checkpoint without a gap (design, steps 1 to 3): notes everything, PASSIVE on its own
 * connection, fsync of the database, then sits on slot 0 if all was backfilled. With may_seal and
 * writers that never leave a pause, takes the write lock for the last few frames; never waits for
 * it longer than 10 ms, in which nobody else waits. ADVANCE_UNPROVEN in *out_result as in
 * follower_advance(). Verifies by /proc/self/fdinfo that our locks are still there.
 * ERR_BUSY: pinned, or somebody else is checkpointing. Other errors as follower_advance().
 */
MUST_USE int follower_checkpoint(struct follower *f, bool may_seal, note_fn *note, void *arg,
                                 enum advance_result *out_result,
                                 struct checkpoint_outcome *out_outcome, struct error *err);

/*
 * Whether a checkpoint of the application waits for our reader (FULL, RESTART, TRUNCATE), with the
 * write lock in hand: follower_step_aside() lets it pass. Not while pinned, and not where
 * the kernel does not show locks. One system call at most. Threads: as the job, of which none may be
 * under way.
 */
bool follower_is_in_the_way(struct follower *f);

/* As follower_advance(), and hands over to a reader on the newest commit. ERR_BUSY: not now. */
MUST_USE int follower_step_aside(struct follower *f, note_fn *note, void *arg,
                                 enum advance_result *out_result, struct error *err);

/*
 * Shrinks the -wal file after a peak: under the write lock, cuts at most 4 MiB of the tail beyond
 * the live frames. *out_more: call again later. Only after a restart of the log (frame count small
 * against the file); otherwise does nothing. A writer that has the lock: nothing is done, more.
 */
MUST_USE int follower_shrink(struct follower *f, uint64_t keep_bytes, bool *out_more,
                             struct error *err);

/*
 * Lets the readers go, so that the application can checkpoint and truncate the log (free-space
 * reserve). History is unproven afterwards; only follower_reacquire() or follower_close() follow.
 */
void follower_release(struct follower *f);
MUST_USE int follower_reacquire(struct follower *f, struct error *err);

/* For status. Cheap; job thread. */
struct follow_stats {
    uint64_t wal_file_bytes;
    uint32_t log_frames;
    uint32_t backfilled_frames;
    uint64_t commits_seen;        /* transactions noted since the opening */
    uint32_t change;              /* SQLite's counter of them at the noted end; wraps */
    uint64_t foreign_checkpoints; /* backfill moved without us */
    int holder_slot;              /* 0..4; -1 none */
};
MUST_USE int follower_stats(struct follower *f, struct follow_stats *out, struct error *err);

/* Once per process before any connection: no page cache preallocation, no lookaside, the shim VFS.
 * Threads: before others start. */
MUST_USE int follow_process_init(struct error *err);

/* SQLite's version in use, and whether it is one with the WAL-reset bug (3.7.0 .. 3.51.2 without
 * the back-ports 3.44.6 and 3.50.7). */
const char *follow_sqlite_version(void);
bool follow_sqlite_has_wal_reset_bug(void);

#endif
