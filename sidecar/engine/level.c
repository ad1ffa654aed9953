/*
 * Levels: compactions L1..L8 and snapshots L9, made from the local database, not from downloads.
 *
 *   1. A level is *due* some time after the first change since its newest object (its boundary), a
 *      snapshot some time after the newest full copy. Jitter by the database's name keeps a fleet
 *      from firing at the same instant. (This file.)
 *   2. The next encode *pins* the state that it leads to. Once the store has acknowledged that
 *      state (TXID b), the pages that changed since the boundary are read as they are there, in
 *      steps between other tasks, so commits go on being shipped meanwhile. (level_encode.c)
 *   3. While the map still stands at b, each page is checked against it: bit rot under our feet is
 *      found here, not at the restore. The object is then merged from downloads. (level_merge.c)
 *   4. All levels that are due when b is acknowledged are cut at b; one that becomes due later
 *      waits. Then the pin goes, and the objects are uploaded beside L0. (level_upload.c)
 *
 * After a restart the pages between a level's boundary and the tip are fetched from the page
 * indexes of the objects in between (cover.h), when the level is due and not before.
 *
 * If the store goes away while a state is pinned, the pin is dropped at once: it would hold back
 * the log. The level stays due.
 */
#include <stdlib.h>

#include "lib/ltx/crc64.h"
#include "sidecar/engine/cover.h"
#include "sidecar/engine/level_internal.h"

/* A page that cannot be read, or is not what it was, needs a person: each try reads on and on. */
static const uint64_t encode_retry_ceiling_ns = NS_PER_HOUR;
static const uint64_t retry_base_ns = 5 * NS_PER_SEC;

enum {
    COVER_FAILURES_MAX = 3, /* of objects that are damaged or gone, before a level begins anew */
};

static bool level_is_configured(const struct chain *c, unsigned level)
{
    if (level == LTX_LEVEL_SNAPSHOT)
        return c->opt.snapshot_interval_ns > 0;
    return level >= 1 && level <= ENGINE_LEVELS_MAX && c->opt.level_interval_ns[level - 1] > 0;
}

/* NULL: a level that this chain does not have. */
struct level_work *level_of(const struct chain *c, unsigned level)
{
    for (size_t i = 0; i < c->level_count; i++) {
        if (c->levels[i].level == level)
            return &c->levels[i];
    }
    return NULL;
}

/* ---- step 1: when ---- */

/* Up to a tenth of the interval, the same for a database each time. */
static uint64_t jitter_ns(const struct chain *c, uint64_t interval_ns)
{
    uint64_t hash = crc64(0, slice_of_str(c->db->path));
    return interval_ns / 10 > 0 ? hash % (interval_ns / 10) : 0;
}

static uint64_t level_delay_ns(const struct chain *c, const struct level_work *l)
{
    if (l->level == LTX_LEVEL_SNAPSHOT) {
        uint64_t now = env_wall_ns(c->db->engine->env);
        uint64_t due = l->due_ns + jitter_ns(c, c->opt.snapshot_interval_ns);
        return due > now ? due - now : 0;
    }
    uint64_t interval = c->opt.level_interval_ns[l->level - 1];
    return interval - jitter_ns(c, interval);
}

uint64_t level_retry_delay_ns(const struct level_work *l, uint64_t ceiling_ns)
{
    uint64_t delay = retry_base_ns;

    for (unsigned i = 1; i < l->failures && delay < ceiling_ns; i++)
        delay *= 2;
    return delay < ceiling_ns ? delay : ceiling_ns;
}

/* Stays wanted, but not at once. */
void level_put_off(struct level_work *l)
{
    l->is_wanted = false;
    l->is_put_off = true;
    loop_timer_start(&l->timer, level_retry_delay_ns(l, encode_retry_ceiling_ns));
}

static bool level_has_news(const struct level_work *l)
{
    return l->chain->at.txid > l->boundary_txid;
}

/* An object is on its way. */
static bool is_making(const struct level_work *l)
{
    return l->is_encoding || l->merge || l->is_uploading;
}

void level_arm_one(struct level_work *l)
{
    const struct chain *c = l->chain;

    if (!level_is_configured(c, l->level) || !level_has_news(l) || l->is_wanted || is_making(l) ||
        loop_timer_is_armed(&l->timer))
        return;
    loop_timer_start(&l->timer, level_delay_ns(c, l));
}

static void cover_on_done(void *arg, struct cover_result *result, const struct error *err);

/* What lies between boundary and tip is gone or damaged: the level begins anew behind a snapshot.
 */
static void level_begin_anew(struct level_work *l, const struct error *err)
{
    struct chain *c = l->chain;

    LOG_WARN(c->db->engine->log, "level begins anew behind a snapshot", LOG_STR("db", c->db->path),
             LOG_STR("destination", c->name), LOG_U64("ltx_level", l->level), LOG_ERR(err));
    l->boundary_txid = l->known_from_txid;
    l->is_changed_known = true;
    l->failures = 0;
    level_want(c, LTX_LEVEL_SNAPSHOT);
}

/* The pages between boundary and the start of this process, from the bucket. */
static void level_learn(struct level_work *l)
{
    struct chain *c = l->chain;
    struct error err = ERROR_INIT;
    const struct cover_args args = {
        .storage = c->storage,
        .inventory = &c->inv,
        .after_txid = l->boundary_txid,
        .to_txid = l->known_from_txid,
        .kind = COVER_PAGES,
        .env = c->db->engine->env,
        .work_folder = c->db->work_folder,
    };

    if (l->cover)
        return;
    if (cover_start(&args, cover_on_done, l, &l->cover, &err) == 0)
        return;
    l->cover = NULL;
    if (err.code == ERR_NO_MEMORY)
        level_put_off(l);
    else
        level_begin_anew(l, &err);
}

static void cover_on_done(void *arg, struct cover_result *result, const struct error *err)
{
    struct level_work *l = arg;
    struct chain *c = l->chain;
    struct error set_err = *err;

    l->cover = NULL;
    if (set_err.code == ERR_NONE && page_set_add_all(&l->changed, &result->pages, &set_err) == 0) {
        l->is_changed_known = true;
        l->failures = 0;
        level_want(c, l->level);
        return;
    }
    l->failures++;
    /* An object may have been deleted since the plan was made: the next one knows. */
    if ((set_err.code == ERR_NOT_FOUND || set_err.code == ERR_CORRUPT) &&
        l->failures >= COVER_FAILURES_MAX) {
        level_begin_anew(l, &set_err);
        return;
    }
    fault_note(c->db->engine, &c->fault, "page indexes for a compaction", c->db->path, c->name,
               &set_err);
    level_put_off(l);
}
static void level_on_timer(void *arg)
{
    struct level_work *l = arg;

    if (l->chain->state != CHAIN_FOLLOWING) {
        level_upload_drop(l);
        return;
    }
    if (l->is_uploading)
        level_upload_start(l);
    else if (l->is_put_off || level_has_news(l))
        level_want(l->chain, l->level);
}

void level_want(struct chain *c, unsigned level)
{
    struct level_work *l = level_of(c, level);

    if (!l || is_making(l) || c->state != CHAIN_FOLLOWING)
        return;
    l->is_put_off = false;
    if (level != LTX_LEVEL_SNAPSHOT && !l->is_changed_known) {
        level_learn(l);
        return;
    }
    l->is_wanted = true;
    chain_ship_soon(c);
}

bool level_is_any_wanted(const struct chain *c)
{
    for (size_t i = 0; i < c->level_count; i++) {
        if (c->levels[i].is_wanted)
            return true;
    }
    return false;
}

void level_reserve_pin(struct chain *c)
{
    if (!level_is_any_wanted(c) || c->db->pin_holder || c->level_job)
        return;
    c->db->pin_holder = c;
    c->is_pin_wanted = true;
}
/* ---- life ---- */

int level_init(struct chain *c, struct error *err)
{
    /* Snapshots can be asked for also where none are made by time. */
    for (unsigned level = 1; level < LTX_LEVELS; level++)
        c->level_count += level_is_configured(c, level) || level == LTX_LEVEL_SNAPSHOT;
    c->levels = mem_new(c->level_count, sizeof(*c->levels), err);
    if (!c->levels) {
        c->level_count = 0;
        return -1;
    }
    struct level_work *l = c->levels;
    for (unsigned level = 1; level < LTX_LEVELS; level++) {
        if (!level_is_configured(c, level) && level != LTX_LEVEL_SNAPSHOT)
            continue;
        l->chain = c;
        l->level = level;
        l->blob.fd = -1;
        loop_timer_init(&l->timer, c->db->engine->loop, level_on_timer, l);
        l++;
    }
    level_encode_init(c);
    return 0;
}

/* The newest full copy, of whatever level: where restores can begin. */
static const struct inventory_object *newest_base(const struct inventory *inv)
{
    const struct inventory_object *best = NULL;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = inv->level[level].object_count; i-- > 0;) {
            const struct inventory_object *o = &inv->level[level].object[i];
            if (o->min_txid != 1)
                continue;
            if (!best || o->max_txid > best->max_txid)
                best = o;
            break;
        }
    }
    return best;
}

void level_arm(struct chain *c)
{
    const struct inventory_object *base = newest_base(&c->inv);
    uint64_t base_txid = base ? base->max_txid : 0;

    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        const struct inventory_object *newest = inventory_newest(&c->inv, l->level);
        l->boundary_txid = newest ? newest->max_txid : base_txid;
        if (l->boundary_txid > c->at.txid)
            l->boundary_txid = c->at.txid;
        l->known_from_txid = c->at.txid;
        l->is_changed_known = l->boundary_txid == c->at.txid;
        l->failures = 0;
        page_set_clear(&l->changed);
        page_set_clear(&l->taken); /* of an object that was dropped */
        if (l->level == LTX_LEVEL_SNAPSHOT)
            l->due_ns = base ? base->timestamp_ns + c->opt.snapshot_interval_ns : 0;
        level_arm_one(l);
    }
}

void level_object_acknowledged(struct chain *c)
{
    const struct outgoing *out = &c->out;
    bool is_base = out->header.min_txid == 1;
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        if (out->has_every_page) {
            /* Levels begin behind a full copy; none crosses a change of the page size. */
            page_set_clear(&l->changed);
            l->boundary_txid = out->header.max_txid;
            l->is_changed_known = true;
            if (l->level == LTX_LEVEL_SNAPSHOT && is_base)
                l->due_ns = ltx_header_time_ns(&out->header) + c->opt.snapshot_interval_ns;
        } else if (l->level != LTX_LEVEL_SNAPSHOT &&
                   page_set_add_all(&l->changed, &out->pages, &err) < 0) {
            l->is_changed_known = false; /* no memory: the bucket's indexes will tell */
            l->known_from_txid = out->header.max_txid;
        }
        level_arm_one(l);
    }
    /* What lies before may have another page size, or holes: restores need a place to begin. */
    if (out->has_every_page && !is_base) {
        c->owed_txid = c->opt.snapshot_interval_ns > 0 ? out->header.max_txid : 0;
        level_want(c, LTX_LEVEL_SNAPSHOT);
    }
}

void level_stop(struct chain *c)
{
    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        loop_timer_stop(&l->timer);
        cover_cancel(TAKE(l->cover));
        level_merge_stop(l);
        l->is_wanted = false;
        l->is_put_off = false;
        if (l->op)
            storage_cancel(l->op); /* its done drops the object */
        else
            level_upload_drop(l);
    }
    c->is_pin_waiting = false;
    if (c->db->pin_holder == c)
        task_queue_push(&c->db->queue, &c->unpin_task);
}

bool level_is_busy(const struct chain *c)
{
    for (size_t i = 0; i < c->level_count; i++) {
        const struct level_work *l = &c->levels[i];
        /* Stopped: nobody goes on with what was being encoded, level_destroy() frees it. */
        if ((l->is_encoding && c->state != CHAIN_STOPPED) || l->merge || l->is_uploading || l->op)
            return true;
    }
    return task_is_pending(&c->level_task) || task_is_pending(&c->unpin_task);
}

bool level_is_wanted_or_busy(const struct chain *c, unsigned level)
{
    const struct level_work *l = level_of(c, level);
    return l && (l->is_wanted || l->is_put_off || is_making(l) || l->cover);
}

void level_destroy(struct chain *c)
{
    level_encode_destroy(c);
    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        blob_destroy(&l->blob);
        page_set_destroy(&l->changed);
        page_set_destroy(&l->taken);
    }
    free(c->levels);
    c->levels = NULL;
    c->level_count = 0;
}
