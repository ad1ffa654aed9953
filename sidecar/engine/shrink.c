/*
 * Shrinking the -wal file after a peak. SQLite reuses the file from its beginning after a restart
 * and never makes it smaller by itself; its TRUNCATE checkpoint holds writers for as long as the
 * file system needs to free all of it (150 ms for 600 MB).
 *
 *   1. Ask without a lock whether the file is larger than what it keeps: the live frames, or
 *      keep_bytes if that is more.
 *   2. Let the page cache of what will be cut go, while nobody waits: freeing it is what makes a
 *      cut slow (0.17 ms a MiB; without it 32 MiB are cut in 0.04 ms: measured on ext4). And sync
 *      the log: a cut changes its inode, and waits if the journal is just writing the inode as it
 *      was before, however long a busy disk takes for that (18 ms while a checkpoint was flushed).
 *   3. Right after a commit (moment.c), BEGIN IMMEDIATE, without waiting: no frame is being
 *      written, not even one that is not yet committed; no reader looks beyond mxFrame.
 *   4. Cut one step off the end, never live frames. Roll back. The step doubles while cuts are done
 *      in no time, and halves when one was not (memory file systems have no cache to let go).
 *
 * The caller comes again as long as there is more.
 */
#include <fcntl.h>

#include "sidecar/engine/follow_internal.h"

#define CUT_QUICK_NS (NS_PER_MS / 2)
#define CUT_SLOW_NS  (2 * NS_PER_MS)

enum {
    CUT_BYTES_MIN = 8 * 1024 * 1024, /* also the first one */
    CUT_BYTES_MAX = 256 * 1024 * 1024,
};

/* How long the file shall be after this step; its own length if nothing is to be done. */
static int target_bytes(struct follower *f, uint64_t keep_bytes, uint64_t *out_size,
                        uint64_t *out_wanted, struct error *err)
{
    struct wal_index_header h;
    uint64_t size = 0;

    if (connection_log_size(f->holder, &size, err) < 0) {
        return -1;
    }
    int rc = follow_header_read(f, &h, err);
    if (rc < 0) {
        return -1;
    }
    uint64_t live = WAL_HEADER_BYTES;
    if (rc == 0) {
        live = size; /* torn: nothing is known */
    } else if (h.mx_frame > 0) {
        live = (uint64_t)wal_frame_offset(h.page_size, (uint64_t)h.mx_frame + 1);
    }
    *out_wanted = live > keep_bytes ? live : keep_bytes;
    *out_size = size;
    return 0;
}

/* Where a step from size to wanted ends. */
static uint64_t step_end(const struct follower *f, uint64_t size, uint64_t wanted)
{
    uint64_t step = f->cut_bytes ? f->cut_bytes : CUT_BYTES_MIN;
    return size - wanted > step ? size - step : wanted;
}

static void step_adapt(struct follower *f, uint64_t cut_bytes, uint64_t took_ns)
{
    if (took_ns > CUT_SLOW_NS) {
        f->cut_bytes = cut_bytes / 2 > CUT_BYTES_MIN ? cut_bytes / 2 : CUT_BYTES_MIN;
    } else if (took_ns < CUT_QUICK_NS) {
        f->cut_bytes = cut_bytes * 2 < CUT_BYTES_MAX ? cut_bytes * 2 : CUT_BYTES_MAX;
    }
}

/*
 * Step 2. Through a descriptor of our own: the log carries no locks that closing it would drop. The
 * sync is for its duration only: whoever wrote the log asks for what must be durable.
 */
static void tail_forget(struct follower *f, uint64_t size, uint64_t wanted)
{
    struct error ignored = ERROR_INIT; /* the cut only takes longer */
    uint64_t end = step_end(f, size, wanted);
    int fd;

    if (env_open(f->env, f->wal_path, O_RDONLY, 0, &fd, &ignored) < 0) {
        return;
    }
    env_drop_cache(f->env, fd, (int64_t)end, (int64_t)(size - end));
    IGNORE(env_fsync(f->env, fd, f->wal_path, &ignored)); /* as above */
    env_close_quietly(f->env, fd);                        /* nothing was written */
}

/* Step 4. */
static int cut_step(struct follower *f, uint64_t keep_bytes, bool *out_more, struct error *err)
{
    uint64_t size;
    uint64_t wanted;

    if (target_bytes(f, keep_bytes, &size, &wanted, err) < 0) {
        return -1;
    }
    *out_more = false;
    if (size <= wanted) {
        return 0;
    }
    uint64_t end = step_end(f, size, wanted);
    uint64_t began_ns = env_monotonic_ns(f->env);
    if (connection_log_truncate(f->spare, end, err) < 0) {
        return -1;
    }
    *out_more = end > wanted;
    if (*out_more) { /* the last one may be short: it tells nothing */
        step_adapt(f, size - end, env_monotonic_ns(f->env) - began_ns);
    }
    return 0;
}

int follower_shrink(struct follower *f, uint64_t keep_bytes, bool *out_more, struct error *err)
{
    uint64_t size;
    uint64_t wanted;
    bool is_busy;
    bool more = false;

    if (follow_check_usable(f, err) < 0 || target_bytes(f, keep_bytes, &size, &wanted, err) < 0) {
        return -1;
    }
    if (size <= wanted) {
        *out_more = false;
        return 0;
    }
    if (follow_connect(f, &f->spare, err) < 0) {
        return -1;
    }
    tail_forget(f, size, wanted);
    follow_await_commit(f, f->spare);
    int rc = connection_begin_immediate(f->spare, &is_busy, err);
    if (rc == 0 && is_busy) {
        more = true;
    } else if (rc == 0) {
        rc = cut_step(f, keep_bytes, &more, err);
    }
    follow_settle(f);
    if (rc < 0) {
        return error_wrap(err, "shrink the log");
    }
    *out_more = more;
    return 0;
}
