/*
 * Reading pages of a state: the noted end, or the pinned one; and recognising a position that an
 * earlier process noted.
 *
 * A page of a view (follow_internal.h) is
 *
 *   1. the newest frame <= end.frame that holds it, by the hash tables of the wal-index: read from
 *      the log and verified by its checksum; the last frame's must be the one noted in the end
 *   2. otherwise what stands in the database file; zeros beyond its end
 *
 * A view that is backfilled skips 1: the log may be restarted under it.
 *
 * A commit of the log before the noted end is read in the same way, but backfill may have passed it:
 * a page that changed since is known only from a frame up to there, or if no checkpoint has come
 * further by the time that the page was read from the database file.
 *
 * A pin is a copy of the view. If the holder sits on slot >= 1 it keeps the pinned state, too: the
 * log only grows, and without checkpoints of ours the holder stays. If it sits on slot 0, the next
 * hand-over leaves it to the pin (holder_swap() in follow.c).
 */
#include "sidecar/engine/follow_internal.h"

struct log_identity follow_log_of(const struct view *v)
{
    return (struct log_identity){
        .salt = {{v->end.salt[0], v->end.salt[1]}},
        .page_size = v->end.page_size,
        .is_big_endian = v->is_big_endian,
    };
}

/* Which frame of the view holds the page; 0: none. */
static int frame_find(struct follower *f, const struct view *v, uint32_t pgno, uint32_t *out_frame,
                      struct error *err)
{
    struct wal_index_map map;

    *out_frame = 0;
    if (v->is_backfilled || v->end.frame == 0) {
        return 0;
    }
    if (follow_map(f, v->end.frame, &map, err) < 0) {
        return -1;
    }
    if (wal_index_find(&map, pgno, 1, v->end.frame, out_frame, err) < 0) {
        return error_wrap(err, "%s: page %u", f->path, pgno);
    }
    return 0;
}

/* The page out of a frame of the log. */
static int frame_read(struct follower *f, const struct view *v, uint32_t pgno, uint32_t frame,
                      uint8_t *out_page, struct error *err)
{
    const struct wal_cksum *cksum = &f->log.cksum;
    struct log_identity log = follow_log_of(v);

    if (log_reader_page(&f->log, f->holder, &log, frame, pgno, out_page, err) < 0) {
        return -1;
    }
    if (frame == v->end.frame &&
        (cksum->s[0] != v->end.cksum[0] || cksum->s[1] != v->end.cksum[1])) {
        return error_set(err, ERR_CORRUPT, 0,
                         "%s: frame %u: checksum %08x, the wal-index says %08x", f->wal_path, frame,
                         cksum->s[0], v->end.cksum[0]);
    }
    return 0;
}

/* Pages pgno .. pgno + count - 1 out of the database file. */
static int file_read(struct follower *f, const struct view *v, uint32_t pgno, uint32_t count,
                     uint8_t *out_pages, struct error *err)
{
    int64_t offset = (int64_t)(pgno - 1) * v->end.page_size;

    return count == 0 ? 0
                      : connection_db_read(f->holder, offset, out_pages,
                                           (size_t)count * v->end.page_size, err);
}

/* Several pages: those that stand in the log one by one, the runs between them at once. */
static int view_read_run(struct follower *f, const struct view *v, uint32_t pgno, uint32_t count,
                         uint8_t *out_pages, struct error *err)
{
    uint32_t page_size = v->end.page_size;
    uint32_t begin = 0; /* of the run that the database file has */

    ASSERT(pgno >= 1);
    if (!connection_is_reading(f->holder)) {
        return error_set(err, ERR_WRONG_STATE, 0, "%s: page %u: no read transaction", f->path,
                         pgno);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t frame;
        if (frame_find(f, v, pgno + i, &frame, err) < 0) {
            return -1;
        }
        if (frame == 0) {
            continue;
        }
        if (file_read(f, v, pgno + begin, i - begin, out_pages + (size_t)begin * page_size, err) <
                0 ||
            frame_read(f, v, pgno + i, frame, out_pages + (size_t)i * page_size, err) < 0) {
            return -1;
        }
        begin = i + 1;
    }
    return file_read(f, v, pgno + begin, count - begin, out_pages + (size_t)begin * page_size, err);
}

int follow_view_read(struct follower *f, const struct view *v, uint32_t pgno, uint8_t *out_page,
                     struct error *err)
{
    return view_read_run(f, v, pgno, 1, out_page, err);
}

int follower_page_read(struct follower *f, uint32_t pgno, uint8_t *out_page, struct error *err)
{
    return follow_view_read(f, &f->now, pgno, out_page, err);
}

int follower_end_at(struct follower *f, uint32_t frame, struct log_end *out, struct error *err)
{
    struct log_identity log = follow_log_of(&f->now);
    struct wal_frame last;

    ASSERT(frame >= 1 && frame <= f->now.end.frame);
    if (log_reader_frame(f->holder, &log, frame, &last, err) < 0) {
        return -1;
    }
    if (!wal_salt_eq(last.salt, log.salt) || last.commit_pages == 0) {
        return 0;
    }
    *out = f->now.end;
    out->frame = frame;
    out->cksum[0] = last.cksum.s[0];
    out->cksum[1] = last.cksum.s[1];
    out->page_count = last.commit_pages;
    return 1;
}

int follower_page_read_at(struct follower *f, const struct log_end *at, uint32_t pgno,
                          uint8_t *out_page, struct error *err)
{
    struct log_identity log = follow_log_of(&f->now);
    struct wal_index_map map;
    uint32_t frame = 0;
    uint32_t later = 0;

    ASSERT(pgno >= 1 && at->frame <= f->now.end.frame);
    if (follow_map(f, f->now.end.frame, &map, err) < 0 ||
        wal_index_find(&map, pgno, 1, at->frame, &frame, err) < 0 ||
        wal_index_find(&map, pgno, at->frame + 1, f->now.end.frame, &later, err) < 0) {
        return error_wrap(err, "%s: page %u", f->path, pgno);
    }
    if (frame > 0) {
        return log_reader_page(&f->log, f->holder, &log, frame, pgno, out_page, err) < 0 ? -1 : 1;
    }
    int64_t offset = (int64_t)(pgno - 1) * at->page_size;
    if (connection_db_read(f->holder, offset, out_page, at->page_size, err) < 0) {
        return -1;
    }
    return later == 0 || follow_checkpoint_info(f).backfill_attempted <= at->frame;
}

int follower_pin(struct follower *f, struct log_end *out_end, struct error *err)
{
    ASSERT(!f->has_pin);
    if (!connection_is_reading(f->holder)) {
        return error_set(err, ERR_WRONG_STATE, 0, "%s: pin: no read transaction", f->path);
    }
    f->pinned = f->now;
    f->has_pin = true;
    f->is_pin_broken = false;
    *out_end = f->pinned.end;
    return 0;
}

int follower_run_read_pinned(struct follower *f, uint32_t pgno, uint32_t count, uint8_t *out_pages,
                             struct error *err)
{
    ASSERT(f->has_pin);
    if (f->is_pin_broken) {
        return error_set(err, ERR_WRONG_STATE, 0,
                         "%s: page %u: the pinned state is gone, its locks were lost", f->path,
                         pgno);
    }
    return view_read_run(f, &f->pinned, pgno, count, out_pages, err);
}

int follower_page_read_pinned(struct follower *f, uint32_t pgno, uint8_t *out_page,
                              struct error *err)
{
    return follower_run_read_pinned(f, pgno, 1, out_page, err);
}

void follower_unpin(struct follower *f)
{
    connection_close(TAKE(f->pin_holder));
    f->has_pin = false;
    f->is_pin_broken = false;
}

/* Whether the log is still the one of the noted end: on slot 0 it may be restarted at any time. */
static int log_is_noted(struct follower *f, bool *out, struct error *err)
{
    struct wal_index_header h;
    int rc = follow_header_read(f, &h, err);

    if (rc < 0) {
        return -1;
    }
    *out = rc > 0 && h.salt.s[0] == f->now.end.salt[0] && h.salt.s[1] == f->now.end.salt[1];
    return 0;
}

static bool has_salts(const struct log_end *end)
{
    return end->salt[0] != 0 || end->salt[1] != 0;
}

int follower_contains(struct follower *f, const struct log_end *end, bool *out_contains,
                      struct error *err)
{
    struct wal_frame frame;
    struct log_identity log = follow_log_of(&f->now);
    const struct log_end *now = &f->now.end;

    *out_contains = false;
    if (!has_salts(end) || end->salt[0] != now->salt[0] || end->salt[1] != now->salt[1] ||
        end->page_size != now->page_size || end->frame > now->frame) {
        return 0;
    }
    if (end->frame > 0) {
        if (log_reader_frame(f->holder, &log, end->frame, &frame, err) < 0) {
            /* Shorter than its index says: not the log that was noted. */
            return err->code == ERR_CORRUPT ? 0 : -1;
        }
        if (!wal_salt_eq(frame.salt, log.salt) || frame.cksum.s[0] != end->cksum[0] ||
            frame.cksum.s[1] != end->cksum[1]) {
            return 0;
        }
    }
    return log_is_noted(f, out_contains, err);
}

int follower_note_since(struct follower *f, uint32_t frame, note_fn *note, void *arg,
                        struct error *err)
{
    struct wal_index_map map;
    bool is_noted;

    if (frame >= f->now.end.frame) {
        return 0;
    }
    if (follow_map(f, f->now.end.frame, &map, err) < 0) {
        return -1;
    }
    for (uint32_t i = frame + 1; i <= f->now.end.frame; i++) {
        uint32_t pgno = wal_index_pgno(&map, i);
        /* Also what a restart leaves behind; that is asked below. */
        if (pgno != 0 && note(arg, pgno, err) < 0) {
            return -1;
        }
    }
    if (log_is_noted(f, &is_noted, err) < 0) {
        return -1;
    }
    if (!is_noted) {
        return error_set(err, ERR_WRONG_STATE, 0,
                         "%s: the log was restarted while its frames were listed", f->path);
    }
    return 0;
}
