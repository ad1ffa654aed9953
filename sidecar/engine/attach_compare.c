/*
 * Comparing the database with the newest state of a replica that names no checksum of it:
 * Litestream's. Equal, page by page, is descent as good as any; and the checksums that were compared
 * are the page map from which replication goes on without sending a page twice.
 *
 *   1. In one task: the checksum of each page of the database goes into a new page map that has no
 *      name yet. If the log still holds the position of the tip, by its salts and frame, then of each
 *      page as it was there (the application may have written since); otherwise as it is now. The
 *      chain tracks from that state on, so the rest may take its time.
 *   2. The objects that lead to the tip are planned as for a restore, and read newest first, in
 *      pieces of COMPARE_BYTES. The first version of a page that comes by is the newest; it is
 *      compared with ours. One that differs decides, and the rest is not read: a database that is
 *      somebody else's costs hardly more than the objects after the last snapshot.
 *   3. All pages were seen, and each object was proven by its file checksum: the map gets its name.
 *
 * Of a page beyond the smallest size that a newer object states, the older version does not count
 * (the database shrank and grew again).
 */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/ltx/decoder.h"
#include "lib/sqlite/db_header.h"
#include "sidecar/engine/attach_internal.h"

enum {
    COMPARE_BYTES = 4 << 20, /* of an object, read and compared at a time */
    COMPARE_OBJECTS_MAX = COVER_OBJECTS_MAX,
};

struct compare_object {
    char key[STORAGE_KEY_BYTES_MAX];
    uint64_t bytes;
};

struct comparison {
    /* Step 1. Owner: task. */
    struct page_map ours; /* not published */
    struct log_end at;    /* the state whose checksums it has */
    uint64_t db_checksum;
    bool is_different;
    /* Step 2. Owner: loop, but the decoder and what it leads to: task. */
    struct compare_object *objects; /* newest first */
    size_t object_count;
    size_t object_idx;
    uint64_t offset; /* of what was asked for of the object so far */
    struct buf piece;
    bool has_piece;
    struct ltx_decoder decoder; /* of the object at object_idx */
    struct page_set seen;
    uint32_t page_count;                    /* the smallest size of the database in newer objects */
    struct map_entry run[FULL_BATCH_PAGES]; /* entries of ours, of neighbouring pages */
    uint32_t run_count;
};

void attach_compare_free(struct comparison *k)
{
    if (!k)
        return;
    page_map_close(&k->ours);
    ltx_decoder_destroy(&k->decoder);
    page_set_destroy(&k->seen);
    buf_destroy(&k->piece);
    free(k->objects);
    free(k);
}

/* ---- step 1 ---- */

/* Which state to compare, and whether it can be the tip's at all. */
static int state_choose(struct attach *a, struct error *err)
{
    struct follower *f = a->c->db->follower;
    const struct lineage_tip *tip = &a->facts.tip;
    struct comparison *k = a->compare;

    k->at = *follower_end(f);
    if (a->facts.log_contains_tip && tip->end.frame < k->at.frame) {
        int rc = follower_end_at(f, tip->end.frame, &k->at, err);
        if (rc < 0)
            return -1;
        k->is_different = rc == 0; /* no commit ends there: another log after all */
    }
    k->is_different |= k->at.page_size != tip->page_size || k->at.page_count != tip->page_count;
    return 0;
}

static int checksums_take(struct attach *a, struct task *task, uint8_t *page, struct error *err)
{
    struct comparison *k = a->compare;
    struct follower *f = a->c->db->follower;
    bool is_now = k->at.frame == follower_end(f)->frame;
    uint32_t lock_pgno = db_lock_pgno(k->at.page_size);
    size_t n = 0;

    k->db_checksum = LTX_CHECKSUM_FLAG;
    for (uint32_t pgno = 1; pgno <= k->at.page_count; pgno++) {
        if (pgno != lock_pgno) {
            int rc = is_now ? follower_page_read(f, pgno, page, err)
                            : follower_page_read_at(f, &k->at, pgno, page, err);
            if (rc < 0)
                return -1;
            if (!is_now && rc == 0) { /* it has changed since, and was checkpointed */
                k->is_different = true;
                return 0;
            }
            uint64_t checksum = ltx_page_checksum(pgno, slice_of(page, k->at.page_size));
            k->db_checksum = ltx_db_checksum_toggle(k->db_checksum, checksum);
            k->run[n++] = (struct map_entry){.pgno = pgno, .checksum = checksum};
        }
        if (n < FULL_BATCH_PAGES && pgno < k->at.page_count)
            continue;
        if (task_is_canceled(task))
            return error_set(err, ERR_CANCELED, 0, "stopped");
        if (page_map_write(&k->ours, k->run, n, err) < 0)
            return -1;
        n = 0;
    }
    return 0;
}

/* From the compared state on, what is noted counts. */
static int track_from(struct chain *c, const struct log_end *at, struct error *err)
{
    c->is_tracking = true;
    if (follower_note_since(c->db->follower, at->frame, chain_note, c, err) == 0)
        return 0;
    if (err->code != ERR_WRONG_STATE)
        return -1;
    /* The log restarted just now: not even what was read of it is certain. Once more. */
    return error_set(err, ERR_BUSY, 0, "%s: the log was restarted while it was read", c->db->path);
}

int attach_compare_begin(struct attach *a, struct task *task, struct error *err)
{
    struct chain *c = a->c;
    struct comparison *k = mem_new(1, sizeof(*k), err);

    if (!k)
        return -1;
    attach_compare_free(a->compare);
    a->compare = k;
    k->ours = (struct page_map)PAGE_MAP_INIT;
    k->piece = (struct buf)BUF_INIT(COMPARE_BYTES);
    k->page_count = a->facts.tip.page_count;
    if (state_choose(a, err) < 0)
        return -1;
    if (k->is_different)
        return 0;
    CLEANUP(mem_free) uint8_t *page = mem_new(1, k->at.page_size, err);
    if (!page ||
        page_map_create(c->db->engine->env, c->map_path, c->db->path, k->at.page_size, &k->ours,
                        err) < 0 ||
        checksums_take(a, task, page, err) < 0)
        return -1;
    k->ours.state.page_count = k->at.page_count; /* for page_map_read() */
    return k->is_different ? 0 : track_from(c, &k->at, err);
}

/* ---- step 2: task ---- */

/* Our checksum of a page. */
static int ours_find(struct comparison *k, uint32_t pgno, uint64_t *out_checksum, struct error *err)
{
    if (pgno < k->run[0].pgno || pgno - k->run[0].pgno >= k->run_count) {
        uint32_t left = k->at.page_count - pgno + 1;
        k->run_count = left < FULL_BATCH_PAGES ? left : FULL_BATCH_PAGES;
        for (uint32_t i = 0; i < k->run_count; i++)
            k->run[i] = (struct map_entry){.pgno = pgno + i};
        if (page_map_read(&k->ours, k->run, k->run_count, err) < 0)
            return -1;
    }
    *out_checksum = k->run[pgno - k->run[0].pgno].checksum;
    return 0;
}

static int page_compare(void *arg, uint32_t pgno, struct slice page, struct error *err)
{
    struct comparison *k = arg;
    uint64_t checksum = 0;

    if (k->is_different || pgno > k->page_count || page_set_has(&k->seen, pgno))
        return 0;
    if (page_set_add(&k->seen, pgno, err) < 0 || ours_find(k, pgno, &checksum, err) < 0)
        return -1;
    k->is_different = page.n != k->at.page_size || ltx_page_checksum(pgno, page) != checksum;
    return 0;
}

bool attach_compare_has_bytes(const struct attach *a)
{
    return a->compare && a->compare->has_piece;
}

int attach_compare_take(struct attach *a, struct error *err)
{
    struct comparison *k = a->compare;
    const struct compare_object *o = &k->objects[k->object_idx];

    k->has_piece = false;
    if (ltx_decoder_feed(&k->decoder, buf_slice(&k->piece), err) < 0)
        return error_wrap(err, "%s", o->key);
    if (k->offset < o->bytes || k->is_different)
        return 0;
    if (ltx_decoder_finish(&k->decoder, NULL, err) < 0)
        return error_wrap(err, "%s", o->key);
    const struct ltx_header *h = ltx_decoder_header(&k->decoder);
    if (h->commit < k->page_count)
        k->page_count = h->commit;
    ltx_decoder_destroy(&k->decoder);
    k->object_idx++;
    k->offset = 0;
    return 0;
}

/* ---- step 2: loop thread ---- */

static int plan_make(struct attach *a, struct error *err)
{
    struct comparison *k = a->compare;
    size_t cap = 0;
    unsigned level = 0;

    for (uint64_t at = 0; at < a->facts.tip.txid;) {
        const struct inventory_object *o =
            cover_furthest(&a->c->inv, at, a->facts.tip.txid, &level);
        if (!o)
            return error_set(err, ERR_GAP, 0, "no object follows TXID %016" PRIx64, at);
        if (k->object_count == COMPARE_OBJECTS_MAX) {
            return error_set(err, ERR_LIMIT, 0, "more than %d objects lead to the newest state",
                             (int)COMPARE_OBJECTS_MAX);
        }
        if (k->object_count == cap) {
            cap = cap ? cap * 2 : 8;
            struct compare_object *more = realloc(k->objects, cap * sizeof(*more));
            if (!more)
                return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu objects", cap);
            k->objects = more;
        }
        ASSERT(k->objects);
        struct compare_object *next = &k->objects[k->object_count++];
        (void)inventory_object_key(level, o, next->key); /* returns next->key */
        next->bytes = o->bytes;
        at = o->max_txid;
    }
    ASSERT(k->objects); /* a tip has a TXID */
    for (size_t i = 0, j = k->object_count - 1; i < j; i++, j--) {
        struct compare_object swapped = k->objects[i];
        k->objects[i] = k->objects[j];
        k->objects[j] = swapped;
    }
    return 0;
}

static int piece_collect(void *arg, struct slice chunk, struct error *err)
{
    struct attach *a = arg;
    return buf_append_slice(&a->compare->piece, chunk, err);
}

static void piece_on_done(void *arg, const struct storage_result *result)
{
    struct attach *a = arg;
    struct comparison *k = a->compare;

    a->op = NULL;
    if (result->err->code != ERR_NONE || a->is_canceled) {
        struct error err = *result->err;
        attach_fail(a, "comparing with the replica", &err);
        return;
    }
    k->offset += k->piece.n;
    k->has_piece = true;
    attach_judge_start(a); /* the task: take() */
}

/* The answer is known: judged and applied in one more run of the task. */
static void decide(struct attach *a, bool is_equal)
{
    a->facts.content_is_tip = is_equal ? LINEAGE_YES : LINEAGE_NO;
    a->verdict = lineage_judge(&a->facts, &a->reason);
    ASSERT(a->verdict != LINEAGE_NEEDS_REPLICA && a->verdict != LINEAGE_NEEDS_CONTENT);
    a->is_applying = true;
    attach_judge_start(a);
}

static bool has_all_pages(const struct attach *a)
{
    uint32_t page_count = a->facts.tip.page_count;
    bool has_lock_page = db_lock_pgno(a->facts.tip.page_size) <= page_count;

    return a->compare->seen.page_count == page_count - has_lock_page;
}

void attach_compare_next(struct attach *a)
{
    struct comparison *k = a->compare;
    struct error err = ERROR_INIT;

    if (k->is_different) {
        decide(a, false);
        return;
    }
    if (!k->objects) {
        chain_set_state(a->c, CHAIN_ATTACHING,
                        "comparing the database with the replica that Litestream wrote");
        if (plan_make(a, &err) < 0) {
            attach_fail(a, "comparing with the replica", &err);
            return;
        }
    }
    if (k->object_idx == k->object_count) {
        decide(a, has_all_pages(a));
        return;
    }
    ASSERT(k->objects);
    const struct compare_object *o = &k->objects[k->object_idx];
    if (k->offset == 0) {
        ltx_decoder_init(&k->decoder,
                         &(struct ltx_decoder_args){.on_page = page_compare, .arg = k});
    }
    uint64_t left = o->bytes - k->offset;
    const struct storage_get get = {.key = o->key,
                                    .offset = k->offset,
                                    .bytes = left < COMPARE_BYTES ? left : COMPARE_BYTES,
                                    .on_data = piece_collect};
    buf_clear(&k->piece);
    if (storage_get_start(a->c->storage, &get, piece_on_done, a, &a->op, &err) < 0)
        attach_fail(a, "comparing with the replica", &err);
}

/* ---- step 3 ---- */

int attach_compare_apply(struct attach *a, struct error *err)
{
    struct chain *c = a->c;
    struct comparison *k = a->compare;
    struct map_state state = attach_state_of_tip(a);

    state.db_checksum = k->db_checksum;
    state.end = k->at;
    page_map_close(&c->map);
    c->map = k->ours;
    k->ours = (struct page_map)PAGE_MAP_INIT;
    c->map.state.page_count = 0;
    if (page_map_publish(&c->map, &state, err) < 0)
        return -1;
    c->at = c->map.state;
    return 0;
}
