/*
 * Sealing: the last frames of a checkpoint are copied under the write lock, because writers never
 * leave a pause in which a reader could land on slot 0.
 *
 *   1. Right after a commit (moment.c), BEGIN IMMEDIATE on the spare. A writer has the lock: ask
 *      again for SEAL_PATIENCE, first at once, then after short pauses; then give up; the caller
 *      backs off. If that was in vain the last time, ask without pauses: a writer in a tight loop
 *      with synchronous=FULL lets go for microseconds only. Asking costs the writer nothing, but
 *      without pauses it costs us the whole patience in CPU time. From here no commit and no
 *      restart can happen: a restart needs the write lock.
 *   2. Note the last frames. The noted end is now the newest commit, and stays it.
 *   3. End the holder, whose mark is older. The write lock protects the log, and the spare's own
 *      read transaction sits at the newest commit.
 *   4. PASSIVE: copies the few frames left, with the fsync of both files. A reader that is just
 *      beginning locks its slot for an instant and makes PASSIVE stop before an old mark that
 *      nobody uses: up to SEAL_PASSES times.
 *   5. Begin the holder again: on slot 0, unless an application's reader held back step 4.
 *   6. Roll the spare back. Nothing was written.
 *
 * The application's writers wait from 1 to 6, which seal_ns reports: a few milliseconds at most,
 * since the caller has seen to it that little is left. One with busy_timeout=0 sees SQLITE_BUSY.
 *
 * If step 5 fails, history is broken: the next advance starts anew.
 */
#include <sched.h>

#include "sidecar/engine/follow_internal.h"

#define SEAL_PATIENCE_NS (10 * NS_PER_MS)

enum {
    SEAL_PROMPT_TRIES = 16, /* for the lock, before pauses begin */
    SEAL_PAUSE_US = 100,
    SEAL_PASSES = 3,
};

/* Step 1. */
static int lock_take(struct follower *f, bool *out_is_busy, struct error *err)
{
    uint64_t began_ns = env_monotonic_ns(f->env);

    for (unsigned tries = 1;; tries++) {
        if (connection_begin_immediate(f->spare, out_is_busy, err) < 0) {
            return -1;
        }
        if (!*out_is_busy || env_monotonic_ns(f->env) - began_ns > SEAL_PATIENCE_NS) {
            return 0;
        }
        if (tries < SEAL_PROMPT_TRIES || f->busy_seals > 0) {
            (void)sched_yield(); /* cannot fail on Linux */
        } else {
            connection_pause(f->spare, SEAL_PAUSE_US);
        }
    }
}

/* Step 4. */
static int rest_copy(struct follower *f, struct checkpoint_outcome *outcome, struct error *err)
{
    uint32_t log_frames;
    uint32_t backfilled;

    for (unsigned i = 0; i < SEAL_PASSES; i++) {
        if (connection_checkpoint(f->checkpointer, &log_frames, &backfilled, err) < 0) {
            return -1;
        }
        outcome->backfilled_frames = backfilled;
        outcome->blocking_frame = backfilled < log_frames ? backfilled : 0;
        if (backfilled == log_frames) {
            break;
        }
    }
    return 0;
}

/* Steps 3 to 5. */
static int holder_renew(struct follower *f, struct checkpoint_outcome *outcome, struct error *err)
{
    struct error pass_err = ERROR_INIT;

    connection_end(f->holder);
    int rc = rest_copy(f, outcome, &pass_err);
    /* Whatever became of the pass, there must be a holder before the write lock goes. */
    if (connection_begin(f->holder, err) < 0) {
        return error_wrap(err, "seal");
    }
    f->now.is_backfilled = connection_slot(f->holder) == 0;
    if (rc < 0) {
        *err = pass_err;
        return error_wrap(err, "seal");
    }
    return 0;
}

int follow_seal(struct follower *f, note_fn *note, void *arg, struct checkpoint_outcome *outcome,
                struct error *err)
{
    struct wal_index_header h;
    bool is_busy;

    ASSERT(!f->now.is_backfilled);
    if (follow_connect(f, &f->spare, err) < 0 || follow_connect(f, &f->checkpointer, err) < 0) {
        return -1;
    }
    follow_await_commit(f, f->spare);
    if (lock_take(f, &is_busy, err) < 0) {
        return -1;
    }
    if (is_busy) {
        f->busy_seals++;
        outcome->was_seal_busy = true;
        return 0;
    }
    f->busy_seals = 0;
    uint64_t began_ns = env_monotonic_ns(f->env);
    /* Under the write lock the header is whole. */
    int rc = follow_header_read(f, &h, err);
    if (rc == 0) {
        rc = error_set(err, ERR_BUSY, 0, "%s: seal: the wal-index header is torn", f->path);
    }
    if (rc > 0) {
        rc = follow_note_header(f, &h, note, arg, err);
    }
    if (rc == 0) {
        rc = holder_renew(f, outcome, err);
    }
    connection_end(f->spare);
    if (rc < 0) {
        return -1;
    }
    outcome->was_sealed = true;
    outcome->seal_ns = env_monotonic_ns(f->env) - began_ns;
    return 0;
}
