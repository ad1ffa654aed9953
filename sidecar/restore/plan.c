/*
 * The plan: which objects lead from one state to another.
 *
 *   1. The target becomes a TXID T: the tip; the wanted one; or the highest boundary whose moment
 *      is not after the wanted one. A boundary that lies in several levels has the earliest moment
 *      that any of its objects tells (a compaction may carry the time of its upload).
 *   2. Interval cover: with the objects in ascending order of min, from a database at n choose,
 *      among all with min <= n + 1 and max <= T, the one that reaches furthest; repeat from there.
 *      That is the fewest objects, and it reaches every boundary that any order reaches: whatever
 *      can be applied at n and leads beyond n' > n can be applied at n', too.
 *   3. Ended before T: there is a hole (ERR_GAP), or no object to begin with that is old enough.
 *
 * Which boundaries can be reached at all (for the error texts) is one walk in ascending order of
 * max: x is reachable if an object with max x has min <= R + 1, where R is the highest reachable
 * boundary before x.
 */
#include "sidecar/restore/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/hex.h"
#include "lib/ltx/ltx.h"

/* An object and where it came from. */
struct candidate {
    const struct inventory_object *object;
    unsigned level;
};

/* ---- walks ---- */

/* All objects in ascending order of max_txid: a merge of the levels. */
struct boundary_walk {
    const struct inventory *inventory;
    size_t next_idx[LTX_LEVELS];
};

static const struct inventory_object *boundary_walk_next(struct boundary_walk *w)
{
    const struct inventory_object *first = NULL;
    unsigned first_level = 0;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        const struct inventory_level *l = &w->inventory->level[level];
        if (w->next_idx[level] == l->object_count)
            continue;
        const struct inventory_object *o = &l->object[w->next_idx[level]];
        if (!first || o->max_txid < first->max_txid) {
            first = o;
            first_level = level;
        }
    }
    if (first)
        w->next_idx[first_level]++;
    return first;
}

uint64_t restore_plan_reach(const struct inventory *inventory, uint64_t from_txid,
                            uint64_t limit_txid)
{
    struct boundary_walk walk = {.inventory = inventory};
    const struct inventory_object *o = NULL;
    uint64_t reached = from_txid;

    while ((o = boundary_walk_next(&walk)) && o->max_txid <= limit_txid) {
        if (o->max_txid > reached && o->min_txid <= reached + 1)
            reached = o->max_txid;
    }
    return reached;
}

/* The lowest boundary above txid that can be reached from nothing; 0 if there is none. */
static uint64_t reachable_after(const struct inventory *inventory, uint64_t txid)
{
    struct boundary_walk walk = {.inventory = inventory};
    const struct inventory_object *o = NULL;
    uint64_t reached = 0;

    while ((o = boundary_walk_next(&walk))) {
        if (o->min_txid > reached + 1)
            continue;
        if (o->max_txid > txid)
            return o->max_txid;
        reached = o->max_txid;
    }
    return 0;
}

/* The moment of a boundary: the earliest that an object with it tells; 0 if nobody has it. */
static uint64_t boundary_time(const struct inventory *inventory, uint64_t txid)
{
    uint64_t earliest = 0;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        const struct inventory_level *l = &inventory->level[level];
        for (size_t i = inventory_lower_bound(inventory, level, txid);
             i < l->object_count && l->object[i].max_txid == txid; i++) {
            if (earliest == 0 || l->object[i].timestamp_ns < earliest)
                earliest = l->object[i].timestamp_ns;
        }
    }
    return earliest;
}

/* ---- texts ---- */

struct boundary_text {
    char text[LTX_TXID_TEXT_BYTES + TIME_TEXT_BYTES + 8];
};

/* "000000000000000a of 2026-11-21T09:37:00Z" */
static struct boundary_text boundary_text(const struct inventory *inventory, uint64_t txid)
{
    struct boundary_text out;
    char txid_text[LTX_TXID_TEXT_BYTES];
    char time_text[TIME_TEXT_BYTES];

    (void)snprintf(out.text, sizeof(out.text), "%s of %s", ltx_txid_format(txid, txid_text),
                   time_format_rfc3339(boundary_time(inventory, txid), time_text));
    return out;
}

/* ---- step 1: the target as a TXID ---- */

static uint64_t tip_txid(const struct inventory *inventory)
{
    uint64_t tip = 0;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        const struct inventory_object *o = inventory_newest(inventory, level);
        if (o && o->max_txid > tip)
            tip = o->max_txid;
    }
    return tip;
}

/* The highest boundary at or before a moment; 0 if all are later. */
static uint64_t txid_at(const struct inventory *inventory, uint64_t timestamp_ns)
{
    uint64_t txid = 0;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        const struct inventory_level *l = &inventory->level[level];
        /* Backwards: the first that is old enough is the highest of its level. */
        for (size_t i = l->object_count; i > 0 && l->object[i - 1].max_txid > txid; i--) {
            if (l->object[i - 1].timestamp_ns <= timestamp_ns)
                txid = l->object[i - 1].max_txid;
        }
    }
    return txid;
}

/* ERR_USAGE: nothing is as old as the target. */
static int too_old(const struct inventory *inventory, const struct restore_target *target,
                   struct error *err)
{
    char wanted[TIME_TEXT_BYTES];
    uint64_t oldest = reachable_after(inventory, 0);

    if (oldest == 0)
        return error_set(err, ERR_GAP, 0, "no snapshot: no object begins with TXID 1");
    struct boundary_text oldest_text = boundary_text(inventory, oldest);
    if (target->kind == RESTORE_TIMESTAMP)
        time_format_rfc3339(target->timestamp_ns, wanted);
    else
        ltx_txid_format(target->txid, wanted);
    (void)error_set(err, ERR_USAGE, 0, "%s is before the oldest state that can be restored, %s",
                    wanted, oldest_text.text);
    return error_hint(err,
                      "a replica reaches back to its first object, or as far as retention left it");
}

/* ERR_USAGE: no object ends with the wanted TXID. */
static int no_boundary(const struct inventory *inventory, uint64_t txid, uint64_t tip,
                       struct error *err)
{
    char wanted[LTX_TXID_TEXT_BYTES];
    uint64_t below = restore_plan_reach(inventory, 0, txid);
    uint64_t above = reachable_after(inventory, txid);
    struct boundary_text below_text = boundary_text(inventory, below);
    struct boundary_text above_text = boundary_text(inventory, above);

    ltx_txid_format(txid, wanted);
    if (txid > tip) {
        return error_set(err, ERR_USAGE, 0, "TXID %s is beyond the newest state, %s", wanted,
                         boundary_text(inventory, tip).text);
    }
    if (below == 0 || above == 0) {
        (void)error_set(err, ERR_USAGE, 0, "no object ends with TXID %s; the nearest state is %s",
                        wanted, below ? below_text.text : above_text.text);
    } else {
        (void)error_set(err, ERR_USAGE, 0,
                        "no object ends with TXID %s; its neighbours are %s and %s", wanted,
                        below_text.text, above_text.text);
    }
    return error_hint(err, "compaction has merged it with others: only states at which an object "
                           "ends can be restored");
}

/* Whether an object ends with txid. */
static bool is_boundary(const struct inventory *inventory, uint64_t txid)
{
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        const struct inventory_level *l = &inventory->level[level];
        size_t i = inventory_lower_bound(inventory, level, txid);
        if (i < l->object_count && l->object[i].max_txid == txid)
            return true;
    }
    return false;
}

static int target_resolve(const struct inventory *inventory, const struct restore_target *target,
                          uint64_t from_txid, uint64_t *out_txid, struct error *err)
{
    uint64_t tip = tip_txid(inventory);
    uint64_t txid = tip;

    switch (target->kind) {
    case RESTORE_LATEST:
        break;
    case RESTORE_TXID:
        txid = target->txid;
        if (txid > from_txid && !is_boundary(inventory, txid))
            return no_boundary(inventory, txid, tip, err);
        break;
    case RESTORE_TIMESTAMP:
        txid = txid_at(inventory, target->timestamp_ns);
        if (txid == 0)
            return too_old(inventory, target, err);
        break;
    }
    *out_txid = txid;
    return 0;
}

/* ---- step 2: the cover ---- */

static int candidate_by_min(const void *a, const void *b)
{
    uint64_t min_a = ((const struct candidate *)a)->object->min_txid;
    uint64_t min_b = ((const struct candidate *)b)->object->min_txid;

    return (min_a > min_b) - (min_a < min_b);
}

/* All objects that end in (from, to], ascending by min. The caller frees. */
static struct candidate *candidates_make(const struct inventory *inventory, uint64_t from,
                                         uint64_t to, size_t *out_count, struct error *err)
{
    struct candidate *c = mem_new(inventory_object_count(inventory) + 1, sizeof(*c), err);
    size_t n = 0;

    for (unsigned level = 0; c && level < LTX_LEVELS; level++) {
        const struct inventory_level *l = &inventory->level[level];
        for (size_t i = inventory_lower_bound(inventory, level, from + 1);
             i < l->object_count && l->object[i].max_txid <= to; i++)
            c[n++] = (struct candidate){.object = &l->object[i], .level = level};
    }
    if (c)
        qsort(c, n, sizeof(*c), candidate_by_min);
    *out_count = n;
    return c;
}

/* Whether a leads further than b, or as far with less to fetch. */
static bool candidate_is_better(const struct candidate *a, const struct candidate *b)
{
    if (!b->object || a->object->max_txid != b->object->max_txid)
        return !b->object || a->object->max_txid > b->object->max_txid;
    if (a->object->bytes != b->object->bytes)
        return a->object->bytes < b->object->bytes;
    return a->level > b->level;
}

/* ERR_GAP: the cover ended at `reached`; next is the first candidate that it could not use. */
static int gap(const struct inventory *inventory, uint64_t reached, const struct candidate *next,
               struct error *err)
{
    char first[LTX_TXID_TEXT_BYTES];
    char last[LTX_TXID_TEXT_BYTES];

    ltx_txid_format(reached + 1, first);
    ltx_txid_format(next->object->min_txid - 1, last);
    if (reached == 0) {
        return error_set(err, ERR_GAP, 0,
                         "no snapshot to begin with: objects with TXIDs %s to %s are missing",
                         first, last);
    }
    (void)error_set(err, ERR_GAP, 0,
                    "objects with TXIDs %s to %s are missing; the newest state that can be reached "
                    "is %s",
                    first, last, boundary_text(inventory, reached).text);
    return error_hint(err, "-txid %s restores it", ltx_txid_format(reached, first));
}

/* Adds an object to the plan, which has room for it. */
static void plan_append(struct restore_plan *plan, const struct candidate *c)
{
    plan->objects[plan->object_count++] =
        (struct plan_object){.level = c->level, .object = *c->object};
    plan->bytes += c->object->bytes;
}

static int plan_cover(const struct inventory *inventory, uint64_t to, struct restore_plan *plan,
                      struct error *err)
{
    size_t n = 0;
    CLEANUP(mem_free)
    struct candidate *c = candidates_make(inventory, plan->from_txid, to, &n, err);
    struct candidate best = {.object = NULL};
    uint64_t reached = plan->from_txid;

    if (!c)
        return -1;
    for (size_t i = 0; reached < to;) {
        for (; i < n && c[i].object->min_txid <= reached + 1; i++) {
            if (candidate_is_better(&c[i], &best))
                best = c[i];
        }
        if (!best.object || best.object->max_txid <= reached) {
            ASSERT(i < n); /* `to` is a boundary, so its object has not been used */
            return gap(inventory, reached, &c[i], err);
        }
        plan_append(plan, &best);
        reached = best.object->max_txid;
    }
    return 0;
}

/* ---- the door ---- */

void restore_plan_destroy(struct restore_plan *plan)
{
    free(plan->objects);
    *plan = (struct restore_plan){0};
}

int restore_plan_make(const struct inventory *inventory, const struct restore_target *target,
                      uint64_t from_txid, struct restore_plan *out, struct error *err)
{
    CLEANUP(restore_plan_destroy) struct restore_plan plan = {.from_txid = from_txid};
    uint64_t to = 0;

    if (inventory_object_count(inventory) == 0)
        return error_set(err, ERR_NOT_FOUND, 0, "the replica has no objects");
    if (target_resolve(inventory, target, from_txid, &to, err) < 0)
        return -1;
    plan.tip_txid = tip_txid(inventory);
    plan.txid = to > from_txid ? to : from_txid;
    plan.timestamp_ns = boundary_time(inventory, plan.txid);
    if (to > from_txid) {
        /* No snapshot is old enough: retention's doing, if a later one can be restored. */
        if (from_txid == 0 && target->kind != RESTORE_LATEST &&
            restore_plan_reach(inventory, 0, to) == 0)
            return too_old(inventory, target, err);
        plan.objects = mem_new(inventory_object_count(inventory), sizeof(*plan.objects), err);
        if (!plan.objects || plan_cover(inventory, to, &plan, err) < 0)
            return -1;
        struct plan_object *fitted =
            realloc(plan.objects, plan.object_count * sizeof(*plan.objects));
        plan.objects = fitted ? fitted : plan.objects;
    }
    *out = plan;
    plan = (struct restore_plan){0};
    return 0;
}

/* ---- what fenced writers left ---- */

const char *restore_plan_object_key(const struct plan_object *object,
                                    char out[static STORAGE_KEY_BYTES_MAX])
{
    if (!object->is_fenced)
        return inventory_object_key(object->level, &object->object, out);
    return object_name_format_fenced(object->fenced.epoch, object->fenced.owner,
                                     object->object.min_txid, object->object.max_txid, out);
}

int restore_fenced_parse(const char *text, struct restore_fenced *out, struct error *err)
{
    uint64_t epoch;
    uint64_t owner;

    if (strlen(text) != 17 || text[8] != '-' || !hex_number(text, 8, &epoch) ||
        !hex_number(text + 9, 8, &owner)) {
        (void)error_set(err, ERR_USAGE, 0,
                        "\"%.40s\" is not EPOCH-OWNER (8 lower-case hexadecimal digits each)",
                        text);
        return error_hint(err, "walferry ltx -level all lists what fenced writers left");
    }
    *out = (struct restore_fenced){.epoch = (uint32_t)epoch, .owner = (uint32_t)owner};
    return 0;
}

static const struct inventory_fenced *fenced_find(const struct inventory *inventory,
                                                  const struct restore_fenced *which)
{
    const struct inventory_fenced *best = NULL;

    for (size_t i = 0; i < inventory->fenced_count; i++) {
        const struct inventory_fenced *f = &inventory->fenced[i];
        if (f->epoch == which->epoch && f->owner == which->owner &&
            (!best || f->max_txid > best->max_txid))
            best = f;
    }
    return best;
}

/* The plan that leads to the state before it, if it does not hold the whole database itself. */
static int fenced_base(const struct inventory *inventory, const struct inventory_fenced *f,
                       struct restore_plan *out, struct error *err)
{
    const struct restore_target before = {.kind = RESTORE_TXID, .txid = f->min_txid - 1};
    char txid[LTX_TXID_TEXT_BYTES];

    if (f->min_txid == 1)
        return 0;
    int rc = inventory_object_count(inventory) == 0
                 ? error_set(err, ERR_GAP, 0, "the replica itself is gone")
                 : restore_plan_make(inventory, &before, 0, out, err);
    return rc == 0
               ? 0
               : error_wrap(err, "what %08x-%08x left continues TXID %s, which cannot be restored",
                            f->epoch, f->owner, ltx_txid_format(before.txid, txid));
}

int restore_plan_make_fenced(const struct inventory *inventory, const struct restore_fenced *which,
                             struct restore_plan *out, struct error *err)
{
    CLEANUP(restore_plan_destroy) struct restore_plan plan = {.from_txid = 0};
    const struct inventory_fenced *f = fenced_find(inventory, which);

    if (!f) {
        (void)error_set(err, ERR_USAGE, 0, "no fenced writer %08x-%08x left anything here",
                        which->epoch, which->owner);
        return error_hint(err, "walferry ltx -level all lists what fenced writers left");
    }
    if (fenced_base(inventory, f, &plan, err) < 0)
        return -1;
    struct plan_object *all =
        realloc(plan.objects, (plan.object_count + 1) * sizeof(*plan.objects));
    if (!all)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a plan");
    plan.objects = all;
    plan.objects[plan.object_count++] =
        (struct plan_object){.object = {.min_txid = f->min_txid,
                                        .max_txid = f->max_txid,
                                        .bytes = f->bytes,
                                        .timestamp_ns = f->timestamp_ns},
                             .is_fenced = true,
                             .fenced = *which};
    plan.bytes += f->bytes;
    plan.txid = f->max_txid;
    plan.tip_txid = f->max_txid;
    plan.timestamp_ns = f->timestamp_ns;
    *out = plan;
    plan = (struct restore_plan){0};
    return 0;
}
