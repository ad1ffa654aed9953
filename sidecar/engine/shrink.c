/*
 * Shrinking the -wal file after a peak. SQLite reuses the file from its beginning after a restart
 * and never makes it smaller by itself; its TRUNCATE checkpoint holds writers for as long as the
 * file system needs to free all of it (150 ms for 600 MB).
 *
 *   1. Ask without a lock whether the file is larger than what it keeps: the live frames, or
 *      keep_bytes if that is more.
 *   2. BEGIN IMMEDIATE, without waiting: no frame is being written, not even one that is not yet
 *      committed; no reader looks beyond mxFrame.
 *   3. Cut at most SHRINK_STEP_BYTES off the end, never live frames. Roll back.
 *
 * The caller comes again as long as there is more.
 */
#include "sidecar/engine/follow_internal.h"

enum {
    SHRINK_STEP_BYTES = 4 * 1024 * 1024,
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
    if (size - wanted > SHRINK_STEP_BYTES) {
        wanted = size - SHRINK_STEP_BYTES;
        *out_more = true;
    }
    return connection_log_truncate(f->spare, wanted, err);
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
