/*
 * The audit: one listing, a walk over each level, then the objects one after the other through the
 * streaming decoder, which keeps two pages in memory whatever the size of the object.
 *
 * Which holes matter. An object [min, max] leads to max if a state in [min - 1, max) can be reached
 * from nothing, by objects of whatever level (min 1: always). If the object behind a hole leads to
 * its end, every state that it is there for can be restored: another level's object or a newer full
 * copy has bridged the hole. Else the hole is a fault, and the first object behind it names it.
 *
 *   1. reach   one pass over all objects in ascending order of max collects, ascending, the
 *              boundaries that can be reached
 *   2. levels  of two neighbours with a hole between, the later is looked up in them
 */
#include "sidecar/restore/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/ltx/decoder.h"
#include "sidecar/engine/retain.h"
#include "sidecar/restore/plan.h"

struct audit {
    const struct audit_args *args;
    struct inventory inv;
    struct audit_result result;
    uint64_t *reached; /* boundaries that a restore can reach, ascending */
    size_t reached_count;
    uint64_t ordinal; /* of the object in the listing, for subsets */
};

const char *audit_kind_name(enum audit_kind kind)
{
    static const char *const names[AUDIT_KINDS] = {
        [AUDIT_OBJECT_OK] = "ok",
        [AUDIT_OBJECT_DAMAGED] = "damaged",
        [AUDIT_OBJECT_MISSING] = "missing",
        [AUDIT_GAP] = "gap",
        [AUDIT_BRIDGED] = "bridged",
        [AUDIT_OVERLAP] = "overlap",
        [AUDIT_UNREACHABLE] = "unreachable",
    };
    ASSERT((size_t)kind < ARRAY_LEN(names));
    return names[kind];
}

bool audit_kind_is_fault(enum audit_kind kind)
{
    return kind == AUDIT_OBJECT_DAMAGED || kind == AUDIT_GAP || kind == AUDIT_UNREACHABLE;
}

static void find(struct audit *a, const struct audit_finding *finding)
{
    a->result.fault_count += audit_kind_is_fault(finding->kind);
    a->args->on_finding(a->args->arg, finding);
}

/* ---- continuity ---- */

static int by_max(const void *a, const void *b)
{
    const struct inventory_object *x = *(const struct inventory_object *const *)a;
    const struct inventory_object *y = *(const struct inventory_object *const *)b;

    return (x->max_txid > y->max_txid) - (x->max_txid < y->max_txid);
}

/* The highest reached boundary below txid; 0: none, which is where everything begins. */
static uint64_t reached_below(const struct audit *a, uint64_t txid)
{
    size_t low = 0;
    size_t high = a->reached_count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (a->reached[mid] < txid)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? a->reached[low - 1] : 0;
}

static bool leads_on(const struct audit *a, const struct inventory_object *o)
{
    return reached_below(a, o->max_txid) >= o->min_txid - 1;
}

/* Below the oldest full copy nothing is promised: retention takes what lies there bit by bit. */
static bool is_before_window(const struct audit *a, const struct inventory_object *o)
{
    return a->reached_count && o->max_txid < a->reached[0];
}

/* Step 1. */
static int reach_collect(struct audit *a, struct error *err)
{
    size_t count = inventory_object_count(&a->inv);
    CLEANUP(mem_free) const struct inventory_object **all = mem_new(count, sizeof(*all), err);
    size_t n = 0;

    a->reached = all ? mem_new(count, sizeof(*a->reached), err) : NULL;
    if (!a->reached)
        return -1;
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < a->inv.level[level].object_count; i++)
            all[n++] = &a->inv.level[level].object[i];
    }
    ASSERT(n == count);
    qsort(all, n, sizeof(all[0]), by_max);
    for (size_t i = 0; i < n; i++) {
        bool is_known = a->reached_count && a->reached[a->reached_count - 1] == all[i]->max_txid;
        if (!is_known && leads_on(a, all[i]))
            a->reached[a->reached_count++] = all[i]->max_txid;
    }
    return 0;
}

/* Step 2. */
static void level_walk(struct audit *a, unsigned level)
{
    const struct inventory_level *l = &a->inv.level[level];

    for (size_t i = 1; i < l->object_count; i++) {
        const struct inventory_object *before = &l->object[i - 1];
        const struct inventory_object *o = &l->object[i];
        char text[160];
        bool is_base = o->min_txid == 1; /* a full copy follows from nothing */
        if (o->min_txid > before->max_txid + 1) {
            bool is_bridged = leads_on(a, o) || is_before_window(a, o);
            (void)snprintf(text, sizeof(text),
                           "TXID %016" PRIx64 " to %016" PRIx64 " are missing from level %u%s",
                           before->max_txid + 1, o->min_txid - 1, level,
                           is_bridged ? ", others make up for them" : "");
            find(a, &(struct audit_finding){.kind = is_bridged ? AUDIT_BRIDGED : AUDIT_GAP,
                                            .level = level,
                                            .min_txid = before->max_txid + 1,
                                            .max_txid = o->min_txid - 1,
                                            .text = text});
        } else if (o->min_txid <= before->max_txid && !is_base) {
            (void)snprintf(text, sizeof(text), "overlaps the object before it");
            find(a, &(struct audit_finding){.kind = AUDIT_OVERLAP,
                                            .level = level,
                                            .min_txid = o->min_txid,
                                            .max_txid = o->max_txid,
                                            .text = text});
        }
    }
}

static int tip_reach(struct audit *a, struct error *err)
{
    const struct restore_target latest = {.kind = RESTORE_LATEST};
    struct restore_plan plan = {.objects = NULL};
    struct error plan_err = ERROR_INIT;
    unsigned level = 0;
    const struct inventory_object *tip = inventory_tip(&a->inv, &level);

    a->result.tip_txid = tip->max_txid;
    if (restore_plan_make(&a->inv, &latest, 0, &plan, &plan_err) == 0) {
        restore_plan_destroy(&plan);
        return 0;
    }
    if (plan_err.code == ERR_NO_MEMORY) {
        *err = plan_err;
        return -1;
    }
    find(a, &(struct audit_finding){.kind = AUDIT_UNREACHABLE,
                                    .level = level,
                                    .min_txid = tip->min_txid,
                                    .max_txid = tip->max_txid,
                                    .text = plan_err.text});
    return 0;
}

/* ---- content ---- */

struct reading {
    struct ltx_decoder decoder;
    struct error err; /* of the get */
    bool is_done;
};

static int chunk_decode(void *arg, struct slice chunk, struct error *err)
{
    struct reading *r = arg;
    return ltx_decoder_feed(&r->decoder, chunk, err);
}

static void get_done(void *arg, const struct storage_result *result)
{
    struct reading *r = arg;
    r->err = *result->err;
    r->is_done = true;
}

static int object_decode(struct audit *a, const char *key, const struct inventory_object *o,
                         struct error *err)
{
    struct reading r = {.err = ERROR_INIT};
    const struct ltx_decoder_args decode = {.on_page = NULL};
    const struct storage_get get = {.key = key, .on_data = chunk_decode};
    int rc = -1;

    ltx_decoder_init(&r.decoder, &decode);
    if (storage_get_start(a->args->storage, &get, get_done, &r, NULL, err) == 0) {
        (void)loop_run_until(a->args->loop, &r.is_done);
        *err = r.err;
        rc = r.err.code == ERR_NONE ? ltx_decoder_finish(&r.decoder, NULL, err) : -1;
    }
    const struct ltx_header *h = ltx_decoder_header(&r.decoder);
    if (rc == 0 && (h->min_txid != o->min_txid || h->max_txid != o->max_txid)) {
        rc = error_set(err, ERR_CORRUPT, 0,
                       "the header says TXID %016" PRIx64 " to %016" PRIx64
                       ", the name something else",
                       h->min_txid, h->max_txid);
    }
    ltx_decoder_destroy(&r.decoder);
    return rc;
}

static bool is_in_subset(const struct audit *a)
{
    return a->args->subset_of == 0 ||
           a->ordinal % a->args->subset_of == a->args->subset % a->args->subset_of;
}

static int object_audit(struct audit *a, unsigned level, const struct inventory_object *o,
                        struct error *err)
{
    char key[STORAGE_KEY_BYTES_MAX];
    struct error fault = ERROR_INIT;
    struct audit_finding finding = {.kind = AUDIT_OBJECT_OK,
                                    .level = level,
                                    .min_txid = o->min_txid,
                                    .max_txid = o->max_txid,
                                    .bytes = o->bytes,
                                    .text = ""};

    a->ordinal++;
    if (!is_in_subset(a))
        return 0;
    if (object_decode(a, inventory_object_key(level, o, key), o, &fault) < 0) {
        if (fault.code != ERR_CORRUPT && fault.code != ERR_NOT_FOUND) {
            *err = fault;
            return error_wrap(err, "%s", key);
        }
        finding.kind = fault.code == ERR_CORRUPT ? AUDIT_OBJECT_DAMAGED : AUDIT_OBJECT_MISSING;
        finding.text = fault.text;
    }
    a->result.read_count++;
    a->result.read_bytes += o->bytes;
    find(a, &finding);
    return 0;
}

static int audit_all(struct audit *a, struct error *err)
{
    if (inventory_load_wait(a->args->storage, &a->inv, false, err) < 0)
        return -1;
    a->result.object_count = inventory_object_count(&a->inv);
    if (a->result.object_count == 0) {
        return error_set(err, ERR_NOT_FOUND, 0, "%s holds no backup",
                         storage_url(a->args->storage));
    }
    (void)retain_window(&a->inv, &a->result.oldest_ns,
                        &a->result.newest_ns); /* false: no window, both 0 */
    if (reach_collect(a, err) < 0)
        return -1;
    for (unsigned level = 0; level < LTX_LEVELS; level++)
        level_walk(a, level);
    if (tip_reach(a, err) < 0)
        return -1;
    for (unsigned level = 0; level < LTX_LEVELS && a->args->has_content; level++) {
        for (size_t i = 0; i < a->inv.level[level].object_count; i++) {
            if (object_audit(a, level, &a->inv.level[level].object[i], err) < 0)
                return -1;
        }
    }
    return 0;
}

int audit_run(const struct audit_args *args, struct audit_result *out, struct error *err)
{
    struct audit a = {.args = args};

    inventory_init(&a.inv);
    int rc = audit_all(&a, err);
    inventory_destroy(&a.inv);
    free(a.reached);
    if (rc == 0)
        *out = a.result;
    return rc;
}
