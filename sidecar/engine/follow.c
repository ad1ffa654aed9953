/*
 * Following the log: look, advance, hand over.
 *
 * What a reader's slot means (wal.c: walTryBeginRead, walCheckpoint, walRestartLog):
 *
 *   slot >= 1, mark M  Frames up to M may be copied into the database, none beyond. A restart of
 * the log wants slots 1..4 exclusively: it cannot happen. slot 0             Taken if everything
 * was backfilled. A backfill wants slot 0 exclusively: it cannot happen. A restart can; a second
 * one cannot, because it would need a backfill of what was written since (an empty log may be
 * "restarted" again and again, nothing is lost by that).
 *
 * So as long as a read transaction is held without a break:
 *
 *   I1  holder on slot >= 1: same salts, mxFrame only grows, mark <= noted end. A page at the noted
 *       end is its newest frame <= end.frame, else the database file: what is in the file is of
 *       frames <= mark.
 *   I2  holder on slot 0: the database file is the noted end. Whatever stands in the log later came
 *       after: frames beyond end.frame of the same log (an application's reader kept it from
 *       restarting), or all frames of a log with other salts.
 *   I3  end.frame = 0: all frames of whatever log there is came after. (The first frame of an empty
 *       log may get new random salts without a restart.)
 *
 * Anything else cannot be explained: follow_start_anew(), ADVANCE_UNPROVEN.
 *
 * Advancing (slot >= 1): read the wal-index header, take the page numbers of the new frames from
 * the wal-index, move the end. The log is not read and no lock is taken.
 *
 * Hand-over:
 *   1. Begin the spare while the holder still holds; then read the header.
 *   2. The spare is on slot >= 1: note up to that header; it is not older than the spare's
 *      snapshot, so the spare's mark <= end (I1). The spare becomes the holder.
 *   3. The spare is on slot 0, the holder on slot >= 1: when the spare began, nBackfill = mxFrame;
 *      but nBackfill <= mark <= end.frame <= mxFrame, so its snapshot is the noted end (I2).
 *   4. Both are on slot 0: nothing came, or the log was restarted and is empty (a writer rolled
 *      back, or TRUNCATE). The database file is still what it was; the holder stays. If frames came
 *      in the meantime: once more from 1, which must end at 2.
 *
 * A header that stays torn means that a writer died between its two copies, if the write lock is
 * free. After TORN_PATIENCE a read transaction makes SQLite recover the wal-index from the log.
 */
#include "sidecar/engine/follow.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/follow_internal.h"

#define TORN_PATIENCE_NS NS_PER_SEC

enum {
    HEADER_TRIES = 1000, /* a writer stores 96 bytes; it may be preempted between them */
    HAND_OVER_TRIES = 8,
};

/* ---- the wal-index ---- */

int follow_map(struct follower *f, uint32_t frame_no, struct wal_index_map *out, struct error *err)
{
    size_t wanted = frame_no ? wal_index_block_of(frame_no) + 1 : 1;

    if (wanted > f->block_cap) {
        size_t cap = wanted + wanted / 2;
        const void **grown = (const void **)realloc((void *)f->blocks, cap * sizeof(*grown));
        if (!grown) {
            return error_set(err, ERR_NO_MEMORY, 0, "%s: wal-index of %zu blocks", f->path, cap);
        }
        f->blocks = grown;
        f->block_cap = cap;
    }
    for (; f->block_count < wanted; f->block_count++) {
        const void *block = NULL;
        if (connection_index_block(f->holder, f->block_count, &block, err) < 0) {
            return -1;
        }
        if (!block) {
            return error_set(err, ERR_CORRUPT, 0, "%s: wal-index has no block %zu for frame %u",
                             f->path, f->block_count, frame_no);
        }
        f->blocks[f->block_count] = block;
    }
    *out = (struct wal_index_map){.blocks = f->blocks, .block_count = f->block_count};
    return 0;
}

int follow_header_read(struct follower *f, struct wal_index_header *out, struct error *err)
{
    for (unsigned i = 0; i < HEADER_TRIES; i++) {
        enum wal_index_state state = wal_index_header_read(atomic_load(&f->block0), out);
        if (state == WAL_INDEX_VALID) {
            return 1;
        }
        if (state == WAL_INDEX_UNSUPPORTED) {
            return error_set(err, ERR_UNSUPPORTED, 0, "%s: wal-index has an unknown version",
                             f->path);
        }
        (void)sched_yield(); /* cannot fail on Linux */
    }
    return 0;
}

struct wal_checkpoint_info follow_checkpoint_info(const struct follower *f)
{
    struct wal_checkpoint_info info;
    wal_checkpoint_info_read(atomic_load(&f->block0), &info);
    return info;
}

static void header_words(const struct wal_index_header *h, uint32_t out[static LOOK_WORDS])
{
    out[0] = h->change;
    out[1] = h->page_size;
    out[2] = h->is_big_endian;
    out[3] = h->mx_frame;
    out[4] = h->page_count;
    out[5] = h->frame_cksum.s[0];
    out[6] = h->frame_cksum.s[1];
    out[7] = h->salt.s[0];
    out[8] = h->salt.s[1];
}

enum look_result follower_look(const struct follower *f)
{
    struct wal_index_header h;
    uint32_t words[LOOK_WORDS];

    if (wal_index_header_read(atomic_load_explicit(&f->block0, memory_order_relaxed), &h) !=
        WAL_INDEX_VALID) {
        return LOOK_TORN;
    }
    header_words(&h, words);
    for (size_t i = 0; i < LOOK_WORDS; i++) {
        if (atomic_load_explicit(&f->look[i], memory_order_relaxed) != words[i]) {
            return LOOK_CHANGED;
        }
    }
    return LOOK_SAME;
}

uint32_t follower_commits_since(const struct follower *f, uint32_t change)
{
    struct wal_index_header h;

    if (wal_index_header_read(atomic_load_explicit(&f->block0, memory_order_relaxed), &h) !=
        WAL_INDEX_VALID) {
        return 0;
    }
    return h.change - change < UINT32_MAX / 2 ? h.change - change : 0;
}

/* The header h stands for the noted end from now on. */
static void header_set(struct follower *f, const struct wal_index_header *h)
{
    uint32_t words[LOOK_WORDS];

    header_words(h, words);
    for (size_t i = 0; i < LOOK_WORDS; i++) {
        atomic_store_explicit(&f->look[i], words[i], memory_order_relaxed);
    }
    f->noted = *h;
}

/* ---- connections ---- */

int follow_connect(struct follower *f, struct connection **c, struct error *err)
{
    if (*c) {
        return 0;
    }
    return connection_open(f->path, f->options.busy_timeout_ns, c, err);
}

void follow_settle(struct follower *f)
{
    connection_close(TAKE(f->spare));
    connection_close(TAKE(f->checkpointer));
}

int follow_check_usable(struct follower *f, struct error *err)
{
    if (f->is_released) {
        return error_set(err, ERR_WRONG_STATE, 0, "%s: the log was let go", f->path);
    }
    if (connection_has_moved(f->holder)) {
        error_set(err, ERR_WRONG_STATE, 0, "%s: the path names another file now", f->path);
        return error_hint(err, "replace a database only while no program has it open");
    }
    return 0;
}

/* The spare takes the holder's place. The old one is kept if a pin needs it. */
static void holder_swap(struct follower *f)
{
    struct connection *old = f->holder;

    f->holder = TAKE(f->spare);
    if (f->has_pin && !f->is_pin_broken && !f->pin_holder) {
        f->pin_holder = old;
        return;
    }
    connection_end(old);
    f->spare = old;
}

/* ---- what a header tells ---- */

enum step {
    STEP_NONE,     /* the noted end is the newest commit */
    STEP_SAME_LOG, /* frames were added */
    STEP_NEW_LOG,  /* the log was restarted, which the locks explain */
    STEP_BROKEN,   /* not explained */
};

static enum step step_to(const struct view *now, const struct wal_index_header *h)
{
    if (now->end.salt[0] == h->salt.s[0] && now->end.salt[1] == h->salt.s[1]) {
        if (h->mx_frame > now->end.frame) {
            return STEP_SAME_LOG;
        }
        if (h->mx_frame < now->end.frame) {
            return STEP_BROKEN;
        }
        bool is_same = h->mx_frame == 0 || (now->end.cksum[0] == h->frame_cksum.s[0] &&
                                            now->end.cksum[1] == h->frame_cksum.s[1]);
        return is_same ? STEP_NONE : STEP_BROKEN;
    }
    return now->is_backfilled || now->end.frame == 0 ? STEP_NEW_LOG : STEP_BROKEN; /* I2, I3 */
}

/* Page size and count when the log is empty: they stand in the database file. */
static int size_of_file(const struct follower *f, struct log_end *end, struct error *err)
{
    uint8_t bytes[DB_HEADER_BYTES];
    struct db_header header;
    uint64_t size = 0;

    if (connection_db_read(f->holder, 0, bytes, sizeof(bytes), err) < 0 ||
        connection_db_size(f->holder, &size, err) < 0) {
        return -1;
    }
    if (db_header_decode(slice_of(bytes, sizeof(bytes)), &header, err) < 0) {
        return error_wrap(err, "%s", f->path);
    }
    uint64_t pages = (size + header.page_size - 1) / header.page_size;
    /* The file may be longer than the database: SQLITE_FCNTL_CHUNK_SIZE. */
    if (header.has_page_count && header.page_count < pages) {
        pages = header.page_count;
    }
    if (pages > UINT32_MAX) {
        return error_set(err, ERR_CORRUPT, 0, "%s: %llu bytes are too many pages", f->path,
                         (unsigned long long)size);
    }
    end->page_size = header.page_size;
    end->page_count = (uint32_t)pages;
    return 0;
}

static int end_of(const struct follower *f, const struct wal_index_header *h, struct log_end *out,
                  struct error *err)
{
    struct log_end end = {.salt = {h->salt.s[0], h->salt.s[1]}};

    if (h->mx_frame == 0) {
        if (size_of_file(f, &end, err) < 0) {
            return -1;
        }
    } else {
        end.frame = h->mx_frame;
        end.cksum[0] = h->frame_cksum.s[0];
        end.cksum[1] = h->frame_cksum.s[1];
        end.page_size = h->page_size;
        end.page_count = h->page_count;
    }
    *out = end;
    return 0;
}

static int frames_note(struct follower *f, uint32_t first, uint32_t last, note_fn *note, void *arg,
                       struct error *err)
{
    struct wal_index_map map;

    if (last < first) {
        return 0;
    }
    if (follow_map(f, last, &map, err) < 0) {
        return -1;
    }
    for (uint32_t frame = first; frame <= last; frame++) {
        uint32_t pgno = wal_index_pgno(&map, frame);
        if (pgno == 0) {
            return error_set(err, ERR_CORRUPT, 0, "%s: wal-index has no page for frame %u of %u",
                             f->path, frame, last);
        }
        if (note(arg, pgno, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Pages by which the database grew are noted whether or not a frame holds them: an object must be
 * complete without trusting that SQLite writes every page that it adds. */
static int growth_note(const struct log_end *from, const struct log_end *to, note_fn *note,
                       void *arg, struct error *err)
{
    uint32_t lock_pgno = db_lock_pgno(to->page_size);

    for (uint64_t pgno = (uint64_t)from->page_count + 1; pgno <= to->page_count; pgno++) {
        if (pgno != lock_pgno && note(arg, (uint32_t)pgno, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What a recovery rebuilt tells nothing of its past: the frames that end a commit do. */
static int commit_frames_count(struct follower *f, const struct wal_index_header *h,
                               struct error *err)
{
    const struct log_identity log = {
        .salt = h->salt, .page_size = h->page_size, .is_big_endian = h->is_big_endian};
    bool is_same_log = wal_salt_eq(h->salt, f->noted.salt) && h->mx_frame >= f->noted.mx_frame;
    struct wal_frame frame;

    for (uint32_t n = is_same_log ? f->noted.mx_frame + 1 : 1; n <= h->mx_frame; n++) {
        if (log_reader_frame(f->holder, &log, n, &frame, err) < 0) {
            return -1;
        }
        f->commits_seen += frame.commit_pages > 0;
    }
    return 0;
}

/*
 * How many transactions lie between the noted header and h. SQLite counts them in the header, one a
 * commit (wal.c: walFrames), and goes on through restarts of the log; only a recovery of the
 * wal-index sets the counter to 0. One that we did not cause and that is followed by more commits
 * than were counted before goes unseen: then too few are counted.
 */
static int commits_count(struct follower *f, const struct wal_index_header *h, struct error *err)
{
    uint32_t more = h->change - f->noted.change;

    if (more < UINT32_MAX / 2 && !f->is_recovered) {
        f->commits_seen += more;
        return 0;
    }
    f->is_recovered = false;
    return commit_frames_count(f, h, err);
}

int follow_note_header(struct follower *f, const struct wal_index_header *h, note_fn *note,
                       void *arg, struct error *err)
{
    struct log_end end;
    enum step step = step_to(&f->now, h);

    ASSERT(step != STEP_BROKEN);
    if (step != STEP_NONE) {
        uint32_t first = step == STEP_SAME_LOG ? f->now.end.frame + 1 : 1;
        if (end_of(f, h, &end, err) < 0 || frames_note(f, first, h->mx_frame, note, arg, err) < 0 ||
            growth_note(&f->now.end, &end, note, arg, err) < 0) {
            return -1;
        }
        f->now.end = end;
        f->now.is_big_endian = h->is_big_endian;
    }
    if (commits_count(f, h, err) < 0) {
        return -1;
    }
    header_set(f, h);
    return 0;
}

/* ---- starting ---- */

/* The view of a holder that has just begun. 0: what it sees changed meanwhile, begin again. */
static int view_begin(struct follower *f, struct error *err)
{
    struct wal_index_header h;
    struct log_end end;
    int rc = follow_header_read(f, &h, err);

    if (rc <= 0) {
        return rc;
    }
    bool is_on_slot_0 = connection_slot(f->holder) == 0;
    uint32_t backfill = follow_checkpoint_info(f).backfill;
    /* On slot 0 the database file is the header's state only if no frame came since. */
    if (is_on_slot_0 && backfill != h.mx_frame) {
        return 0;
    }
    if (end_of(f, &h, &end, err) < 0) {
        return -1;
    }
    f->now = (struct view){
        .end = end,
        .is_backfilled = is_on_slot_0,
        .is_big_endian = h.is_big_endian,
    };
    f->backfill_seen = backfill;
    if (f->has_noted && commits_count(f, &h, err) < 0) {
        return -1;
    }
    f->has_noted = true;
    header_set(f, &h);
    return 1;
}

int follow_start_anew(struct follower *f, struct error *err)
{
    f->is_pin_broken = f->has_pin;
    connection_close(TAKE(f->pin_holder));
    connection_close(TAKE(f->spare));
    connection_end(f->holder);
    f->log.frame_no = 0;
    for (unsigned i = 0; i < HAND_OVER_TRIES; i++) {
        struct wal_index_map map;
        if (connection_begin(f->holder, err) < 0 || follow_map(f, 0, &map, err) < 0) {
            return -1;
        }
        ASSERT(map.blocks);
        atomic_store(&f->block0, map.blocks[0]);
        int rc = view_begin(f, err);
        if (rc > 0 && follow_locks_check(f, err) == 0) {
            return 0;
        }
        connection_end(f->holder);
        if (rc != 0) {
            return -1;
        }
    }
    return error_set(err, ERR_BUSY, 0, "%s: the log changes too fast to begin reading", f->path);
}

/* ---- handing over ---- */

enum hand {
    HAND_DONE,
    HAND_AGAIN,  /* frames came in a moment that asks for another try */
    HAND_BROKEN, /* history cannot be explained */
};

/* The spare sits on slot >= 1: steps 1 and 2. */
static int hand_to_log(struct follower *f, const struct wal_index_header *h, note_fn *note,
                       void *arg, enum hand *out, struct error *err)
{
    *out = HAND_BROKEN;
    if (step_to(&f->now, h) == STEP_BROKEN) {
        return 0;
    }
    if (follow_note_header(f, h, note, arg, err) < 0) {
        return -1;
    }
    f->now.is_backfilled = false;
    holder_swap(f);
    *out = HAND_DONE;
    return 0;
}

/* The spare sits on slot 0: steps 3 and 4. */
static int hand_to_file(struct follower *f, const struct wal_index_header *h, note_fn *note,
                        void *arg, enum hand *out, struct error *err)
{
    if (!f->now.is_backfilled) {
        /* Step 3. Backfill beyond what was noted would mean that our mark did not hold. */
        if (follow_checkpoint_info(f).backfill > f->now.end.frame) {
            *out = HAND_BROKEN;
            return 0;
        }
        f->now.is_backfilled = true;
        holder_swap(f);
        *out = HAND_DONE;
        return 0;
    }
    enum step step = step_to(&f->now, h);
    if (step == STEP_BROKEN || (step != STEP_NONE && h->mx_frame != 0)) {
        *out = step == STEP_BROKEN ? HAND_BROKEN : HAND_AGAIN;
        return 0;
    }
    *out = HAND_DONE;
    return follow_note_header(f, h, note, arg, err);
}

static int hand_over_once(struct follower *f, note_fn *note, void *arg, enum hand *out,
                          struct error *err)
{
    struct wal_index_header h;

    if (follow_connect(f, &f->spare, err) < 0 || connection_begin(f->spare, err) < 0) {
        return -1;
    }
    int rc = follow_header_read(f, &h, err);
    if (rc == 0) {
        *out = HAND_AGAIN;
    } else if (rc > 0 && connection_slot(f->spare) > 0) {
        rc = hand_to_log(f, &h, note, arg, out, err);
    } else if (rc > 0) {
        rc = hand_to_file(f, &h, note, arg, out, err);
    }
    if (f->spare) {
        connection_end(f->spare);
    }
    return rc < 0 ? -1 : 0;
}

int follow_hand_over(struct follower *f, note_fn *note, void *arg, enum advance_result *out_result,
                     struct error *err)
{
    for (unsigned i = 0; i < HAND_OVER_TRIES; i++) {
        enum hand hand = HAND_AGAIN;
        if (hand_over_once(f, note, arg, &hand, err) < 0) {
            return error_wrap(err, "hand over");
        }
        if (hand == HAND_DONE) {
            *out_result = ADVANCE_PROVEN;
            return 0;
        }
        if (hand == HAND_BROKEN) {
            if (follow_start_anew(f, err) < 0) {
                return -1;
            }
            *out_result = ADVANCE_UNPROVEN;
            return 0;
        }
    }
    return error_set(err, ERR_BUSY, 0, "%s: hand over: the log changes too fast", f->path);
}

/* ---- advancing ---- */

/*
 * The header is torn. A living writer completes it at once; a dead one leaves it so, and then a
 * read transaction makes SQLite recover. *out_is_whole: it did.
 */
static int torn_recover(struct follower *f, bool *out_is_whole, struct error *err)
{
    uint64_t now_ns = env_monotonic_ns(f->env);

    *out_is_whole = false;
    if (f->torn_since_ns == 0) {
        f->torn_since_ns = now_ns;
    }
    if (now_ns - f->torn_since_ns < TORN_PATIENCE_NS) {
        return 0;
    }
    if (!connection_writer_is_gone(f->holder)) {
        error_set(err, ERR_WRONG_STATE, 0, "%s: the wal-index header is torn", f->path);
        return error_hint(err, "a program stopped in the middle of a commit still holds the write "
                               "lock; end it or let it go on");
    }
    if (follow_connect(f, &f->spare, err) < 0 || connection_begin(f->spare, err) < 0) {
        return error_wrap(err, "recover the wal-index");
    }
    connection_end(f->spare);
    f->is_recovered = true;
    *out_is_whole = true;
    return 0;
}

static void foreign_checkpoint_note(struct follower *f)
{
    uint32_t backfill = follow_checkpoint_info(f).backfill;

    if (backfill > f->backfill_seen) {
        f->foreign_checkpoints++;
    }
    f->backfill_seen = backfill;
}

/* The header is whole: go where it says. */
static int header_follow(struct follower *f, const struct wal_index_header *h, note_fn *note,
                         void *arg, enum advance_result *out_result, struct error *err)
{
    switch (step_to(&f->now, h)) {
    case STEP_BROKEN:
        if (follow_start_anew(f, err) < 0) {
            return -1;
        }
        *out_result = ADVANCE_UNPROVEN;
        return 0;
    case STEP_SAME_LOG:
    case STEP_NEW_LOG:
        if (f->now.is_backfilled) {
            return follow_hand_over(f, note, arg, out_result, err);
        }
        break;
    case STEP_NONE:
        break;
    }
    *out_result = ADVANCE_PROVEN;
    return follow_note_header(f, h, note, arg, err);
}

int follow_advance(struct follower *f, note_fn *note, void *arg, enum advance_result *out_result,
                   struct error *err)
{
    struct wal_index_header h;

    if (!connection_is_reading(f->holder)) {
        if (follow_start_anew(f, err) < 0) {
            return -1;
        }
        *out_result = ADVANCE_UNPROVEN;
        return 0;
    }
    int rc = follow_header_read(f, &h, err);
    if (rc == 0) {
        bool is_whole;
        if (torn_recover(f, &is_whole, err) < 0) {
            return -1;
        }
        rc = is_whole ? follow_header_read(f, &h, err) : 0;
    }
    if (rc < 0) {
        return -1;
    }
    if (rc == 0) {
        *out_result = ADVANCE_PROVEN; /* nothing new is known */
        return 0;
    }
    f->torn_since_ns = 0;
    foreign_checkpoint_note(f);
    return header_follow(f, &h, note, arg, out_result, err);
}

int follower_advance(struct follower *f, note_fn *note, void *arg, enum advance_result *out_result,
                     struct error *err)
{
    if (follow_check_usable(f, err) < 0) {
        return -1;
    }
    int rc = follow_advance(f, note, arg, out_result, err);
    follow_settle(f);
    return rc;
}

/* ---- small answers ---- */

const struct log_end *follower_end(const struct follower *f)
{
    return &f->now.end;
}

const char *follower_path(const struct follower *f)
{
    return f->path;
}

const char *follower_wal_path(const struct follower *f)
{
    return f->wal_path;
}

enum follow_state follower_check_moved(struct follower *f)
{
    return connection_has_moved(f->holder) ? FOLLOW_MOVED : FOLLOW_OK;
}

int follower_stats(struct follower *f, struct follow_stats *out, struct error *err)
{
    uint64_t wal_bytes = 0;

    if (connection_log_size(f->holder, &wal_bytes, err) < 0) {
        return -1;
    }
    /* On slot 0 all that was noted is in the database, also once a restart has set the wal-index's
     * count back: the log would seem to be full and not copied at all. */
    uint32_t backfilled =
        f->now.is_backfilled ? f->noted.mx_frame : follow_checkpoint_info(f).backfill;
    *out = (struct follow_stats){
        .wal_file_bytes = wal_bytes,
        .log_frames = f->noted.mx_frame,
        .backfilled_frames = backfilled,
        .commits_seen = f->commits_seen,
        .change = f->noted.change,
        .foreign_checkpoints = f->foreign_checkpoints,
        .holder_slot = connection_slot(f->holder),
    };
    return 0;
}
