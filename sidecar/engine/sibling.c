/*
 * Halving over the TXIDs of the sibling's history:
 *
 *      lo              mid              end
 *   ---|----------------|----------------|---   boundaries up to lo are before the lagging tip,
 *      before           ^                after  those from end on are not
 *                       the first boundary from here on is read
 *
 * The newest boundary is read first: if it is before the lagging tip, all are. In the end `before`
 * and `after` are neighbours, and one of them is the witness, or nobody is.
 */
#include "sidecar/engine/sibling.h"

#include <stdlib.h>

#include "lib/ltx/ltx.h"

struct sibling_search {
    struct storage *storage;
    const struct inventory *inventory;
    struct lineage_tip tip;
    sibling_done_fn *done;
    void *arg;
    struct storage_op *op;
    bool is_canceled;
    uint64_t lo;
    uint64_t end;
    uint64_t asked_txid; /* the boundary whose header is being read */
    uint64_t mid;        /* where the search for it began */
    struct ltx_header before;
    struct ltx_header after;
    bool has_before;
    bool has_after;
    struct buf reply;
};

static void search_free(struct sibling_search *s)
{
    buf_destroy(&s->reply);
    free(s);
}

/* The first boundary from txid on, in the object of the lowest level that ends there. */
static const struct inventory_object *boundary_from(const struct inventory *inv, uint64_t txid,
                                                    unsigned *out_level)
{
    const struct inventory_object *first = NULL;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        size_t i = inventory_lower_bound(inv, level, txid);
        if (i == inv->level[level].object_count)
            continue;
        const struct inventory_object *o = &inv->level[level].object[i];
        if (first && first->max_txid <= o->max_txid)
            continue;
        first = o;
        *out_level = level;
    }
    return first;
}

/* ---- the witness ---- */

static bool is_same_state(const struct ltx_header *h, const struct lineage_tip *tip)
{
    return h->has_ext && h->db_checksum == tip->db_checksum && h->page_size == tip->page_size &&
           h->commit == tip->page_count;
}

static bool is_later_of_same_owner(const struct ltx_header *h, const struct lineage_tip *tip)
{
    return h->has_ext && h->owner == tip->owner && h->timestamp_ms > 0 &&
           (uint64_t)h->timestamp_ms > tip->timestamp_ms;
}

static struct sibling_found judge(const struct sibling_search *s)
{
    struct sibling_found found = {.answer = LINEAGE_SIBLING_NONE};

    if (s->has_after && is_same_state(&s->after, &s->tip)) {
        found = (struct sibling_found){LINEAGE_SIBLING_EQUALS, s->after.max_txid};
    } else if (s->has_before && is_same_state(&s->before, &s->tip)) {
        found = (struct sibling_found){LINEAGE_SIBLING_EQUALS, s->before.max_txid};
    } else if (s->has_after && is_later_of_same_owner(&s->after, &s->tip)) {
        found.answer = LINEAGE_SIBLING_HOLDS;
    }
    return found;
}

static void search_end(struct sibling_search *s, const struct error *err)
{
    const struct sibling_found found = judge(s);

    if (!s->is_canceled)
        s->done(s->arg, &found, err);
    search_free(s);
}

/* ---- halving ---- */

static int reply_collect(void *arg, struct slice chunk, struct error *err)
{
    struct sibling_search *s = arg;
    return buf_append_slice(&s->reply, chunk, err);
}

static void header_on_done(void *arg, const struct storage_result *result);

static int header_ask(struct sibling_search *s, unsigned level, const struct inventory_object *o,
                      struct error *err)
{
    char key[STORAGE_KEY_BYTES_MAX];
    const struct storage_get get = {.key = inventory_object_key(level, o, key),
                                    .offset = 0,
                                    .bytes = LTX_HEADER_BYTES,
                                    .on_data = reply_collect};

    buf_clear(&s->reply);
    s->asked_txid = o->max_txid;
    return storage_get_start(s->storage, &get, header_on_done, s, &s->op, err);
}

/* 1: a header is asked for; 0: before and after are neighbours. */
static int search_next(struct sibling_search *s, struct error *err)
{
    while (s->lo + 1 < s->end) {
        unsigned level = 0;
        s->mid = s->lo + (s->end - s->lo) / 2;
        const struct inventory_object *o = boundary_from(s->inventory, s->mid, &level);
        if (o && o->max_txid < s->end)
            return header_ask(s, level, o, err) < 0 ? -1 : 1;
        s->end = s->mid; /* no boundary between mid and end */
    }
    return 0;
}

static int header_take(struct sibling_search *s, struct error *err)
{
    struct ltx_header h;

    if (ltx_header_decode(buf_slice(&s->reply), &h, err) < 0)
        return -1;
    if (h.max_txid != s->asked_txid)
        return error_set(err, ERR_CORRUPT, 0, "object header does not fit its name");
    bool is_before = h.timestamp_ms < 0 || (uint64_t)h.timestamp_ms < s->tip.timestamp_ms;
    if (is_before) {
        s->before = h;
        s->has_before = true;
        s->lo = h.max_txid;
    } else {
        s->after = h;
        s->has_after = true;
        s->end = s->mid < h.max_txid ? s->mid : h.max_txid;
    }
    return 0;
}

static void header_on_done(void *arg, const struct storage_result *result)
{
    struct sibling_search *s = arg;
    struct error err = *result->err;

    s->op = NULL;
    if (err.code != ERR_NONE || s->is_canceled || header_take(s, &err) < 0) {
        search_end(s, &err);
        return;
    }
    if (search_next(s, &err) == 1)
        return;
    search_end(s, &err);
}

int sibling_search_start(struct storage *storage, const struct inventory *inventory,
                         const struct lineage_tip *tip, sibling_done_fn *done, void *arg,
                         struct sibling_search **out, struct error *err)
{
    unsigned level = 0;
    const struct inventory_object *newest = inventory_tip(inventory, &level);

    ASSERT(tip->has_ext);
    if (!newest)
        return error_set(err, ERR_NOT_FOUND, 0, "%s has no objects", storage_url(storage));
    struct sibling_search *s = mem_new(1, sizeof(*s), err);
    if (!s)
        return -1;
    *s = (struct sibling_search){
        .storage = storage,
        .inventory = inventory,
        .tip = *tip,
        .done = done,
        .arg = arg,
        .end = newest->max_txid + 1,
        .mid = newest->max_txid,
        .reply = BUF_INIT(LTX_HEADER_BYTES),
    };
    if (header_ask(s, level, newest, err) < 0) {
        search_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void sibling_search_cancel(struct sibling_search *s)
{
    if (!s)
        return;
    s->is_canceled = true;
    ASSERT(s->op); /* between two requests nobody else runs */
    storage_cancel(s->op);
}
