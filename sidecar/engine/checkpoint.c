/*
 * A checkpoint without a gap: nothing gets into the database file before it is noted, and the log
 * is given free for its restart only in a moment when everything of it is noted and copied.
 *
 *   1. Hand over: note everything; the fresh holder's mark is what was noted. If commits come every
 *      few milliseconds, right after one: the first pass often fits in before the next.
 *   2. PASSIVE on the connection that was the holder before copies the frames up to that mark. Writers
 *      go on.
 *      If it stopped short of the end, it did not fsync the database: do that now, so that the
 *      fsync of the last step is short.
 *   3. Hand over again. Everything was copied and nothing came: the fresh holder sits on slot 0,
 *      done. Otherwise its mark is newer, and there may be only little left: again from 2, as long
 *      as that makes the rest much smaller.
 *   4. Writers that leave pauses in which a pass fits: right after a commit, once more from 1. It is
 *      over before the next one, and nobody has met a lock.
 *   5. Writers that never pause: the few frames left are copied under the write lock (seal.c).
 *
 * While the holder sits on slot >= 1 the log cannot restart, so SQLite's WAL-reset bug cannot
 * happen to our checkpoint whatever version the library has.
 *
 * What holds a checkpoint back is a reader of the application with an older mark. If it is the same
 * mark twice, that reader stays longer than we want to try.
 */
#include "sidecar/engine/follow_internal.h"

enum {
    PASSES_MAX = 6,
    SEAL_BYTES_MAX = 1024 * 1024, /* under the write lock: below a millisecond of copying */
    SEAL_BYTES_FEW = 64 * 1024,   /* another pass would not make the writers' wait shorter */
    MOMENTS_MAX = 2,              /* tries of step 4 */
};

/* Commits that follow each other so closely are worth waiting for. */
static const uint64_t near_commit_ns = 5 * NS_PER_MS;

struct checkpoint_run {
    bool may_seal;
    note_fn *note;
    void *arg;
    enum advance_result result;
    struct checkpoint_outcome outcome;
    bool is_blocked;  /* the last pass was held back by another reader */
    uint32_t commits; /* that came during the last pass */
};

/* The last frame that the holder lets be backfilled. */
static uint32_t holder_mark(const struct follower *f)
{
    int slot = connection_slot(f->holder);
    ASSERT(slot >= 1 && slot < WAL_INDEX_READ_MARKS);
    return follow_checkpoint_info(f).read_mark[slot];
}

static bool is_over(const struct follower *f, const struct checkpoint_run *run)
{
    return run->result == ADVANCE_UNPROVEN || f->now.is_backfilled;
}

/* What a seal would have to copy under the write lock. */
static uint64_t bytes_left(const struct follower *f)
{
    uint32_t backfill = follow_checkpoint_info(f).backfill;
    uint64_t frames = f->now.end.frame > backfill ? f->now.end.frame - backfill : 0;
    return frames * f->now.end.page_size;
}

/* Step 2. */
static int pass_once(struct follower *f, struct checkpoint_run *run, struct error *err)
{
    uint32_t before = follow_checkpoint_info(f).backfill;
    uint32_t mark = holder_mark(f);
    uint32_t log_frames;
    uint32_t backfilled;

    if (follow_connect(f, &f->spare, err) < 0 ||
        connection_checkpoint(f->spare, &log_frames, &backfilled, err) < 0) {
        return -1;
    }
    run->is_blocked = backfilled < mark;
    run->outcome.backfilled_frames = backfilled;
    run->outcome.blocking_frame = run->is_blocked ? backfilled : 0;
    f->backfill_seen = backfilled;
    if (backfilled > before && backfilled < log_frames) {
        return connection_db_sync(f->spare, err);
    }
    return 0;
}

/* Steps 2 and 3, once. */
static int pass_and_hand_over(struct follower *f, struct checkpoint_run *run, struct error *err)
{
    uint32_t change = f->noted.change;

    if (pass_once(f, run, err) < 0 ||
        follow_hand_over(f, run->note, run->arg, &run->result, err) < 0) {
        return -1;
    }
    run->commits = f->noted.change - change;
    return 0;
}

/* Whether the next commit is a few milliseconds away, by the pace since the last checkpoint. */
static bool is_commit_near(const struct follower *f)
{
    uint64_t commits = f->commits_seen - f->checkpoint_commits;
    uint64_t ns = env_monotonic_ns(f->env) - f->checkpoint_ns;

    return f->checkpoint_ns > 0 && commits > 0 && ns / commits <= near_commit_ns;
}

/* Steps 1 to 3. */
static int passes_run(struct follower *f, struct checkpoint_run *run, struct error *err)
{
    if (is_commit_near(f)) {
        follow_await_commit(f, f->holder);
    }
    if (follow_hand_over(f, run->note, run->arg, &run->result, err) < 0) {
        return -1;
    }
    uint64_t left = UINT64_MAX;
    for (unsigned i = 0; i < PASSES_MAX && !is_over(f, run); i++) {
        bool was_blocked = run->is_blocked;
        uint64_t left_before = left;
        uint32_t blocked_at = run->outcome.blocking_frame;
        if (pass_and_hand_over(f, run, err) < 0) {
            return -1;
        }
        if (run->is_blocked && was_blocked && run->outcome.blocking_frame == blocked_at) {
            break; /* a reader that stays */
        }
        left = bytes_left(f);
        if (run->may_seal && !run->is_blocked && left <= SEAL_BYTES_MAX &&
            (left <= SEAL_BYTES_FEW || left > left_before / 2)) {
            break;
        }
    }
    return 0;
}

/* What step 5 would need: few frames left, and no reader of the application that holds them back. */
static bool can_seal(const struct follower *f, const struct checkpoint_run *run)
{
    return !is_over(f, run) && run->may_seal && !run->is_blocked && bytes_left(f) <= SEAL_BYTES_MAX;
}

/* Step 4. More than one commit during a pass: there is no pause that it would fit in. */
static int moments_try(struct follower *f, struct checkpoint_run *run, struct error *err)
{
    for (unsigned i = 0; i < MOMENTS_MAX && run->commits <= 1 && can_seal(f, run); i++) {
        follow_await_commit(f, f->holder);
        if (follow_hand_over(f, run->note, run->arg, &run->result, err) < 0) {
            return -1;
        }
        if (!is_over(f, run) && pass_and_hand_over(f, run, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int checkpoint_run(struct follower *f, struct checkpoint_run *run, struct error *err)
{
    if (follow_locks_check(f, err) < 0 ||
        follow_advance(f, run->note, run->arg, &run->result, err) < 0) {
        return -1;
    }
    run->outcome.log_frames = f->now.end.frame;
    run->outcome.backfilled_frames = follow_checkpoint_info(f).backfill;
    if (!is_over(f, run) && passes_run(f, run, err) < 0) {
        return -1;
    }
    if (moments_try(f, run, err) < 0) {
        return -1;
    }
    /* Step 5. */
    if (!can_seal(f, run)) {
        return 0;
    }
    return follow_seal(f, run->note, run->arg, &run->outcome, err);
}

int follower_checkpoint(struct follower *f, bool may_seal, note_fn *note, void *arg,
                        enum advance_result *out_result, struct checkpoint_outcome *out_outcome,
                        struct error *err)
{
    struct checkpoint_run run = {.may_seal = may_seal, .note = note, .arg = arg};
    uint64_t began_ns = env_monotonic_ns(f->env);

    if (follow_check_usable(f, err) < 0) {
        return -1;
    }
    if (f->has_pin) {
        return error_set(err, ERR_BUSY, 0, "%s: checkpoint: a state of the database is pinned",
                         f->path);
    }
    int rc = checkpoint_run(f, &run, err);
    follow_settle(f);
    if (rc < 0) {
        return -1;
    }
    run.outcome.is_complete = f->now.is_backfilled;
    if (run.outcome.is_complete) {
        run.outcome.backfilled_frames = f->now.end.frame;
        run.outcome.blocking_frame = 0;
    }
    f->backfill_seen = follow_checkpoint_info(f).backfill;
    f->checkpoint_ns = env_monotonic_ns(f->env);
    f->checkpoint_commits = f->commits_seen;
    run.outcome.total_ns = env_monotonic_ns(f->env) - began_ns;
    *out_result = run.result;
    *out_outcome = run.outcome;
    return 0;
}
