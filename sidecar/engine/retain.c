/*
 * The decision and its proof.
 *
 *   1. bases   every object that starts at TXID 1; the oldest kept one gives the floor
 *   2. levels  a compaction that ends at or before the floor is not needed any more
 *   3. L0      old enough, and covered by a compaction that stays or before the floor
 *      Beside the levels: what fenced writers left goes by its age alone
 *   4. proof   walk the remaining objects in the order of their ends: each boundary from the floor
 *              on must follow from one that is reachable. If that fails (a replica with holes), L0
 *              of the window stay, and the rest is proven again
 */
#include "sidecar/engine/retain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void retain_plan_destroy(struct retain_plan *p)
{
    free(p->victims);
    free(p->fenced);
    *p = (struct retain_plan){.victims = NULL};
}

/* An object and whether it stays. */
struct candidate {
    struct inventory_object o;
    unsigned level;
    bool is_victim;
};

struct candidates {
    struct candidate *at;
    size_t count;
};

static void candidates_destroy(struct candidates *c)
{
    free(c->at);
}

static int candidates_collect(const struct inventory *inv, struct candidates *out,
                              struct error *err)
{
    out->at = mem_new(inventory_object_count(inv) + 1, sizeof(*out->at), err);
    if (!out->at)
        return -1;
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < inv->level[level].object_count; i++) {
            out->at[out->count++] =
                (struct candidate){.o = inv->level[level].object[i], .level = level};
        }
    }
    return 0;
}

static bool is_older_than(uint64_t timestamp_ns, uint64_t age_ns, uint64_t now_ns)
{
    return timestamp_ns < now_ns && now_ns - timestamp_ns > age_ns;
}

/* Step 1: the newest base before the window's start; without one the oldest there is. */
static uint64_t floor_find(const struct candidates *c, const struct retain_policy *policy)
{
    uint64_t floor = 0;
    uint64_t oldest = 0;

    for (size_t i = 0; i < c->count; i++) {
        const struct inventory_object *o = &c->at[i].o;
        if (o->min_txid != 1)
            continue;
        if (!oldest || o->max_txid < oldest)
            oldest = o->max_txid;
        if (policy->snapshot_retention_ns &&
            is_older_than(o->timestamp_ns, policy->snapshot_retention_ns, policy->now_ns) &&
            o->max_txid > floor)
            floor = o->max_txid;
    }
    return floor ? floor : oldest;
}

/* Whether a compaction or base that stays holds all that an L0 object holds, and ends beyond the
 * floor (or is the base there). */
static bool is_covered(const struct inventory *inv, const struct inventory_object *o,
                       uint64_t floor_txid)
{
    for (unsigned level = 1; level < LTX_LEVELS; level++) {
        for (size_t i = inventory_lower_bound(inv, level, o->max_txid);
             i < inv->level[level].object_count; i++) {
            const struct inventory_object *cover = &inv->level[level].object[i];
            if (cover->min_txid <= o->min_txid && cover->max_txid >= floor_txid)
                return true;
        }
    }
    return false;
}

static bool is_victim(const struct inventory *inv, const struct candidate *c,
                      const struct retain_policy *policy, uint64_t floor_txid)
{
    const struct inventory_object *newest = inventory_newest(inv, c->level);
    bool is_newest =
        newest && newest->max_txid == c->o.max_txid && newest->min_txid == c->o.min_txid;
    bool is_below = c->o.max_txid < floor_txid;

    if (is_newest)
        return false;
    if (c->level == LTX_LEVEL_RAW) {
        if (!is_older_than(c->o.timestamp_ns, policy->l0_retention_ns, policy->now_ns))
            return false;
        if (is_below || !policy->l0_retention_ns)
            return is_below;
        return c->o.max_txid == floor_txid
                   ? is_covered(inv, &c->o, floor_txid) && c->o.min_txid != 1
                   : is_covered(inv, &c->o, floor_txid);
    }
    return is_below;
}

/* ---- step 4 ---- */

static int by_end(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;

    if (x->o.max_txid != y->o.max_txid)
        return x->o.max_txid < y->o.max_txid ? -1 : 1;
    if (x->o.min_txid != y->o.min_txid)
        return x->o.min_txid < y->o.min_txid ? -1 : 1;
    return 0;
}

/*
 * With objects in the order of their ends, reach[] holds the reachable boundaries in ascending
 * order; an object leads to its end if some reachable boundary b has min - 1 <= b < max, that is,
 * if the largest reachable boundary below max is at least min - 1.
 */
static bool leads_on(const uint64_t *reach, size_t reach_count, const struct inventory_object *o)
{
    size_t n = reach_count;

    if (o->min_txid == 1)
        return true;
    while (n > 0 && reach[n - 1] >= o->max_txid)
        n--;
    return n > 0 && reach[n - 1] >= o->min_txid - 1;
}

/* Marks which boundaries are reachable from the objects that stay (or from all of them). */
static size_t reach_walk(const struct candidates *c, bool with_victims, uint64_t *reach)
{
    size_t count = 0;

    for (size_t i = 0; i < c->count; i++) {
        if ((c->at[i].is_victim && !with_victims) || !leads_on(reach, count, &c->at[i].o))
            continue;
        if (count == 0 || reach[count - 1] != c->at[i].o.max_txid)
            reach[count++] = c->at[i].o.max_txid;
    }
    return count;
}

static bool reach_has(const uint64_t *reach, size_t count, uint64_t txid)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (reach[mid] < txid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && reach[low] == txid;
}

static int plan_prove(struct candidates *c, uint64_t floor_txid, struct error *err)
{
    CLEANUP(mem_free) uint64_t *before = mem_new(c->count + 1, sizeof(*before), err);
    CLEANUP(mem_free) uint64_t *after = before ? mem_new(c->count + 1, sizeof(*after), err) : NULL;

    if (!after)
        return -1;
    qsort(c->at, c->count, sizeof(*c->at), by_end);
    size_t before_count = reach_walk(c, true, before);
    size_t after_count = reach_walk(c, false, after);
    for (size_t i = 0; i < c->count; i++) {
        uint64_t txid = c->at[i].o.max_txid;
        bool is_promised = !c->at[i].is_victim && txid >= floor_txid;
        bool is_tip = i == c->count - 1;
        if ((is_promised || is_tip) && reach_has(before, before_count, txid) &&
            !reach_has(after, after_count, txid)) {
            return error_set(err, ERR_GAP, 0,
                             "after this deletion TXID %016" PRIx64 " could not be restored", txid);
        }
    }
    return 0;
}

/* A compaction that covers raw objects may itself hang behind a hole, which only they bridge: then
 * all of the window stay. False if none was to go. */
static bool raw_spare(struct candidates *c, uint64_t floor_txid)
{
    bool has_spared = false;

    for (size_t i = 0; i < c->count; i++) {
        struct candidate *x = &c->at[i];
        if (x->level != LTX_LEVEL_RAW || !x->is_victim || x->o.max_txid < floor_txid)
            continue;
        x->is_victim = false;
        has_spared = true;
    }
    return has_spared;
}

static int victims_list(const struct candidates *c, struct retain_plan *out, struct error *err)
{
    out->victims = mem_new(c->count + 1, sizeof(*out->victims), err);
    if (!out->victims)
        return -1;
    for (size_t i = 0; i < c->count; i++) {
        if (!c->at[i].is_victim)
            continue;
        out->victims[out->victim_count++] =
            (struct retain_victim){.level = c->at[i].level, .object = c->at[i].o};
        out->bytes += c->at[i].o.bytes;
    }
    return 0;
}

static int fenced_list(const struct inventory *inv, const struct retain_policy *policy,
                       struct retain_plan *out, struct error *err)
{
    out->fenced = mem_new(inv->fenced_count + 1, sizeof(*out->fenced), err);
    if (!out->fenced)
        return -1;
    for (size_t i = 0; i < inv->fenced_count && policy->snapshot_retention_ns; i++) {
        const struct inventory_fenced *f = &inv->fenced[i];
        if (!is_older_than(f->timestamp_ns, policy->snapshot_retention_ns, policy->now_ns))
            continue;
        out->fenced[out->fenced_count++] = *f;
        out->bytes += f->bytes;
    }
    return 0;
}

int retain_decide(const struct inventory *inv, const struct retain_policy *policy,
                  struct retain_plan *out, struct error *err)
{
    CLEANUP(candidates_destroy) struct candidates c = {.at = NULL};
    struct retain_plan plan = {.victims = NULL};

    if (candidates_collect(inv, &c, err) < 0)
        return -1;
    plan.floor_txid = floor_find(&c, policy);
    for (size_t i = 0; i < c.count && plan.floor_txid; i++)
        c.at[i].is_victim = is_victim(inv, &c.at[i], policy, plan.floor_txid);
    int rc = plan_prove(&c, plan.floor_txid, err);
    if (rc < 0 && err->code == ERR_GAP && raw_spare(&c, plan.floor_txid))
        rc = plan_prove(&c, plan.floor_txid, err);
    if (rc < 0 || victims_list(&c, &plan, err) < 0 || fenced_list(inv, policy, &plan, err) < 0) {
        retain_plan_destroy(&plan);
        return -1;
    }
    error_clear(err);
    *out = plan;
    return 0;
}

uint64_t retain_number_kept_ns(uint64_t l0_retention_ns, uint64_t snapshot_retention_ns)
{
    uint64_t kept_ns = l0_retention_ns ? l0_retention_ns : snapshot_retention_ns;

    return kept_ns ? kept_ns : UINT64_MAX;
}

int retain_check(const struct inventory *inv, struct error *err)
{
    CLEANUP(candidates_destroy) struct candidates c = {.at = NULL};

    if (candidates_collect(inv, &c, err) < 0)
        return -1;
    if (c.count == 0)
        return 0;
    CLEANUP(mem_free) uint64_t *reach = mem_new(c.count + 1, sizeof(*reach), err);
    if (!reach)
        return -1;
    qsort(c.at, c.count, sizeof(*c.at), by_end);
    size_t n = reach_walk(&c, true, reach);
    uint64_t tip = c.at[c.count - 1].o.max_txid;
    if (reach_has(reach, n, tip))
        return 0;
    return error_set(err, ERR_GAP, 0,
                     "TXID %016" PRIx64 " cannot be restored: objects behind TXID %016" PRIx64
                     " are missing",
                     tip, n ? reach[n - 1] : 0);
}

/* The moment, if it is still to come and comes before due. */
static uint64_t earlier(uint64_t due, uint64_t timestamp_ns, uint64_t age_ns, uint64_t now_ns)
{
    uint64_t at;

    if (!checked_add_u64(timestamp_ns, age_ns, &at) || at < now_ns || at >= due)
        return due;
    return at + 1; /* older than, not as old as */
}

uint64_t retain_next_due(const struct inventory *inv, const struct retain_policy *policy)
{
    const struct inventory_level *raw = &inv->level[LTX_LEVEL_RAW];
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; policy->l0_retention_ns && i + 1 < raw->object_count; i++)
        due = earlier(due, raw->object[i].timestamp_ns, policy->l0_retention_ns, policy->now_ns);
    for (unsigned level = 0; policy->snapshot_retention_ns && level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < inv->level[level].object_count; i++) {
            const struct inventory_object *o = &inv->level[level].object[i];
            if (o->min_txid == 1)
                due = earlier(due, o->timestamp_ns, policy->snapshot_retention_ns, policy->now_ns);
        }
    }
    for (size_t i = 0; policy->snapshot_retention_ns && i < inv->fenced_count; i++) {
        due = earlier(due, inv->fenced[i].timestamp_ns, policy->snapshot_retention_ns,
                      policy->now_ns);
    }
    return due;
}

bool retain_window(const struct inventory *inv, uint64_t *out_oldest_ns, uint64_t *out_newest_ns)
{
    const struct inventory_object *tip;
    uint64_t oldest = 0;
    unsigned level;

    for (unsigned l = 0; l < LTX_LEVELS; l++) {
        for (size_t i = 0; i < inv->level[l].object_count; i++) {
            const struct inventory_object *o = &inv->level[l].object[i];
            if (o->min_txid != 1)
                break; /* ascending ends: further full copies of this level are newer */
            if (!oldest || o->timestamp_ns < oldest)
                oldest = o->timestamp_ns;
            break;
        }
    }
    tip = inventory_tip(inv, &level);
    if (!oldest || !tip)
        return false;
    *out_oldest_ns = oldest;
    *out_newest_ns = tip->timestamp_ns;
    return true;
}
