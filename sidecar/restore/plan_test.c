/*
 * Restore plans: tables of replicas, and agreement with a search through all states over random
 * ones.
 */
#include "sidecar/restore/plan.h"

#include <stdlib.h>

#include "lib/testing/test.h"

/* Moment of a TXID in these tests: minute txid of the day. */
static uint64_t time_of(uint64_t txid)
{
    uint64_t day = 0;
    struct error err = ERROR_INIT;

    assert_ok(time_parse_rfc3339("2026-11-21T00:00:00Z", &day, &err), &err);
    return day + txid * NS_PER_MIN;
}

/*
 * Makes an inventory of a text: words "LEVEL:MIN-MAX", a space between them. Sizes grow with the
 * number of TXIDs.
 */
static void inventory_of(struct inventory *inv, const char *text)
{
    struct error err = ERROR_INIT;
    char *end = NULL;

    inventory_init(inv);
    while (*text) {
        unsigned level = (unsigned)strtoul(text, &end, 10);
        uint64_t min = strtoull(end + 1, &end, 10);
        uint64_t max = strtoull(end + 1, &end, 10);
        struct inventory_object o = {.min_txid = min,
                                     .max_txid = max,
                                     .bytes = 200 + (max - min) * 10,
                                     .timestamp_ns = time_of(max)};
        assert_ok(inventory_add(inv, level, &o, &err), &err);
        text = *end ? end + 1 : end;
    }
}

static const struct plan_row {
    const char *name;
    const char *inventory;
    struct restore_target target;
    uint64_t from;
    const char *plan; /* as an inventory, oldest first; NULL: refused */
    enum error_code code;
    const char *error;
} plan_rows[] = {
    {"raw objects alone",
     "0:1-1 0:2-2 0:3-3",
     {.kind = RESTORE_LATEST},
     0,
     "0:1-1 0:2-2 0:3-3",
     ERR_NONE,
     NULL},
    {"the newest snapshot is the start",
     "9:1-2 9:1-4 0:1-1 0:5-5 1:3-4",
     {.kind = RESTORE_LATEST},
     0,
     "9:1-4 0:5-5",
     ERR_NONE,
     NULL},
    {"levels mix",
     "9:1-10 2:11-30 1:31-36 1:11-20 0:36-36 0:37-37",
     {.kind = RESTORE_LATEST},
     0,
     "9:1-10 2:11-30 1:31-36 0:37-37",
     ERR_NONE,
     NULL},
    {"overlap is no gap",
     "9:1-10 1:5-20 2:18-30",
     {.kind = RESTORE_LATEST},
     0,
     "9:1-10 1:5-20 2:18-30",
     ERR_NONE,
     NULL},
    {"of equal reach the smaller object",
     "9:1-4 1:3-8 2:5-8",
     {.kind = RESTORE_LATEST},
     0,
     "9:1-4 2:5-8",
     ERR_NONE,
     NULL},
    {"of equal objects the higher level",
     "9:1-4 1:5-8 3:5-8 2:5-8",
     {.kind = RESTORE_LATEST},
     0,
     "9:1-4 3:5-8",
     ERR_NONE,
     NULL},
    {"a txid inside",
     "9:1-4 0:5-5 0:6-6 0:7-7",
     {.kind = RESTORE_TXID, .txid = 6},
     0,
     "9:1-4 0:5-5 0:6-6",
     ERR_NONE,
     NULL},
    {"a txid below the newest snapshot",
     "9:1-2 9:1-9 0:3-3 0:4-4",
     {.kind = RESTORE_TXID, .txid = 3},
     0,
     "9:1-2 0:3-3",
     ERR_NONE,
     NULL},
    {"a txid that was merged",
     "9:1-4 1:5-9",
     {.kind = RESTORE_TXID, .txid = 6},
     0,
     NULL,
     ERR_USAGE,
     "no object ends with TXID 0000000000000006; its neighbours are 0000000000000004 of "
     "2026-11-21T00:04:00Z and 0000000000000009 of 2026-11-21T00:09:00Z"},
    {"a txid beyond the tip",
     "9:1-4 1:5-9",
     {.kind = RESTORE_TXID, .txid = 10},
     0,
     NULL,
     ERR_USAGE,
     "TXID 000000000000000a is beyond the newest state, 0000000000000009"},
    {"a txid before the oldest snapshot",
     "9:1-4 0:3-3",
     {.kind = RESTORE_TXID, .txid = 3},
     0,
     NULL,
     ERR_USAGE,
     "0000000000000003 is before the oldest state that can be restored, 0000000000000004"},
    {"a gap before the tip",
     "9:1-4 0:5-5 0:8-8 0:9-9",
     {.kind = RESTORE_LATEST},
     0,
     NULL,
     ERR_GAP,
     "objects with TXIDs 0000000000000006 to 0000000000000007 are missing; the newest state that "
     "can be reached is 0000000000000005 of 2026-11-21T00:05:00Z"},
    {"a gap beyond the wanted txid is none",
     "9:1-4 0:5-5 0:8-8",
     {.kind = RESTORE_TXID, .txid = 5},
     0,
     "9:1-4 0:5-5",
     ERR_NONE,
     NULL},
    {"a gap below the wanted moment",
     "9:1-4 0:5-5 0:8-8 0:9-9",
     {.kind = RESTORE_TIMESTAMP, .timestamp_ns = 8},
     0,
     NULL,
     ERR_GAP,
     "objects with TXIDs 0000000000000006 to 0000000000000007 are missing"},
    {"no snapshot at all",
     "0:3-3 0:4-4",
     {.kind = RESTORE_LATEST},
     0,
     NULL,
     ERR_GAP,
     "no snapshot to begin with: objects with TXIDs 0000000000000001 to 0000000000000002"},
    {"no snapshot for a txid",
     "0:3-3 0:4-4",
     {.kind = RESTORE_TXID, .txid = 3},
     0,
     NULL,
     ERR_GAP,
     "no snapshot"},
    {"the moment of a boundary counts",
     "9:1-4 0:5-5 0:6-6",
     {.kind = RESTORE_TIMESTAMP, .timestamp_ns = 5},
     0,
     "9:1-4 0:5-5",
     ERR_NONE,
     NULL},
    {"a moment after everything",
     "9:1-4 0:5-5",
     {.kind = RESTORE_TIMESTAMP, .timestamp_ns = 99},
     0,
     "9:1-4 0:5-5",
     ERR_NONE,
     NULL},
    {"a moment before everything",
     "9:1-4 0:5-5",
     {.kind = RESTORE_TIMESTAMP, .timestamp_ns = 3},
     0,
     NULL,
     ERR_USAGE,
     "2026-11-21T00:03:00Z is before the oldest state that can be restored, 0000000000000004 of "
     "2026-11-21T00:04:00Z"},
    {"nothing at all", "", {.kind = RESTORE_LATEST}, 0, NULL, ERR_NOT_FOUND, "no objects"},
    {"forward from a state",
     "9:1-4 9:1-8 0:5-5 0:6-6 0:7-7 0:8-8 0:9-9",
     {.kind = RESTORE_LATEST},
     6,
     "9:1-8 0:9-9",
     ERR_NONE,
     NULL},
    {"forward without a snapshot",
     "0:7-7 0:8-8",
     {.kind = RESTORE_LATEST},
     6,
     "0:7-7 0:8-8",
     ERR_NONE,
     NULL},
    {"forward over a gap",
     "0:8-8",
     {.kind = RESTORE_LATEST},
     6,
     NULL,
     ERR_GAP,
     "objects with TXIDs 0000000000000007 to 0000000000000007 are missing"},
    {"forward from the tip", "9:1-4", {.kind = RESTORE_LATEST}, 4, "", ERR_NONE, NULL},
    {"forward from beyond the tip", "9:1-4", {.kind = RESTORE_LATEST}, 9, "", ERR_NONE, NULL},
    {"the highest TXID there is",
     "9:1-18446744073709551615",
     {.kind = RESTORE_LATEST},
     0,
     "9:1-18446744073709551615",
     ERR_NONE,
     NULL},
};

/* A plan as a text in the form of inventory_of(). */
static void plan_print(const struct restore_plan *plan, struct buf *out)
{
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < plan->object_count; i++) {
        const struct plan_object *o = &plan->objects[i];
        assert_ok(buf_printf(out, &err, "%s%u:%llu-%llu", i ? " " : "", o->level,
                             (unsigned long long)o->object.min_txid,
                             (unsigned long long)o->object.max_txid),
                  &err);
    }
}

static void test_plan_chooses_the_fewest_objects_or_says_what_is_missing(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(plan_rows); i++) {
        const struct plan_row *row = &plan_rows[i];
        CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
        CLEANUP(restore_plan_destroy) struct restore_plan plan = {0};
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(4096);
        struct restore_target target = row->target;
        struct error err = ERROR_INIT;

        test_row(row->name);
        inventory_of(&inv, row->inventory);
        target.timestamp_ns = time_of(target.timestamp_ns);
        int rc = restore_plan_make(&inv, &target, row->from, &plan, &err);
        if (!row->plan) {
            assert_error(rc, &err, row->code, row->error);
            continue;
        }
        assert_ok(rc, &err);
        plan_print(&plan, &text);
        assert_string_equal(buf_str(&text), row->plan);
    }
}

static void test_plan_tells_where_it_leads_and_where_the_replica_ends(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    CLEANUP(restore_plan_destroy) struct restore_plan plan = {0};
    struct restore_target target = {.kind = RESTORE_TXID, .txid = 5};
    struct error err = ERROR_INIT;

    inventory_of(&inv, "9:1-4 0:5-5 0:6-6 0:7-7");
    assert_ok(restore_plan_make(&inv, &target, 0, &plan, &err), &err);
    assert_int_equal(plan.txid, 5);
    assert_int_equal(plan.tip_txid, 7);
    assert_int_equal(plan.timestamp_ns, time_of(5));
    assert_int_equal(plan.bytes, 230 + 200);
}

static void
test_plan_takes_the_earliest_moment_that_any_object_of_a_boundary_tells(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    CLEANUP(restore_plan_destroy) struct restore_plan plan = {0};
    struct restore_target target = {.kind = RESTORE_TIMESTAMP, .timestamp_ns = time_of(5)};
    struct inventory_object late = {
        .min_txid = 1, .max_txid = 5, .bytes = 100, .timestamp_ns = time_of(50)};
    struct error err = ERROR_INIT;

    inventory_of(&inv, "9:1-4 0:5-5 0:6-6");
    assert_ok(inventory_add(&inv, 9, &late, &err), &err);
    assert_ok(restore_plan_make(&inv, &target, 0, &plan, &err), &err);
    assert_int_equal(plan.txid, 5);
    assert_int_equal(plan.timestamp_ns, time_of(5));
    assert_int_equal(plan.object_count, 1);
    assert_int_equal(plan.objects[0].level, 9);
}

/* ---- against a search through all states ---- */

enum {
    WORLD_TXIDS = 24,
    WORLD_ROUNDS = 20000
};

struct world {
    struct inventory inv;
    int steps[WORLD_TXIDS + 1]; /* fewest objects that lead to a state; -1: none */
};

/* A random replica: mostly a chain with its compactions, of which objects are then lost. */
static void world_make(struct world *w)
{
    unsigned txids = 1 + (unsigned)rand() % WORLD_TXIDS;
    unsigned objects = (unsigned)rand() % 30;
    struct error err = ERROR_INIT;

    inventory_init(&w->inv);
    for (unsigned i = 0; i < objects; i++) {
        uint64_t a = 1 + (uint64_t)rand() % txids;
        uint64_t b = a + (uint64_t)rand() % 5;
        unsigned level = (unsigned)rand() % LTX_LEVELS;
        if (rand() % 4 == 0)
            a = 1;
        struct inventory_object o = {.min_txid = a,
                                     .max_txid = b < txids ? b : txids,
                                     .bytes = 1 + (uint64_t)rand() % 50,
                                     .timestamp_ns = time_of(b < txids ? b : txids)};
        if (o.min_txid <= o.max_txid)
            assert_ok(inventory_add(&w->inv, level, &o, &err), &err);
    }
}

/* Whether an object leads to its end by fewer steps than known. */
static bool world_relax(struct world *w, const struct inventory_object *o)
{
    int *best = &w->steps[o->max_txid];
    bool is_changed = false;

    for (uint64_t n = o->min_txid - 1; n < o->max_txid; n++) {
        if (w->steps[n] < 0 || (*best >= 0 && *best <= w->steps[n] + 1))
            continue;
        *best = w->steps[n] + 1;
        is_changed = true;
    }
    return is_changed;
}

/* All states that any order of objects reaches from one, until nothing changes. */
static void world_search(struct world *w, uint64_t from)
{
    bool is_changed = true;

    for (unsigned t = 0; t <= WORLD_TXIDS; t++)
        w->steps[t] = t == from ? 0 : -1;
    while (is_changed) {
        is_changed = false;
        for (unsigned level = 0; level < LTX_LEVELS; level++) {
            for (size_t i = 0; i < w->inv.level[level].object_count; i++)
                is_changed |= world_relax(w, &w->inv.level[level].object[i]);
        }
    }
}

static bool world_has_boundary(const struct world *w, uint64_t txid)
{
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < w->inv.level[level].object_count; i++) {
            if (w->inv.level[level].object[i].max_txid == txid)
                return true;
        }
    }
    return false;
}

/* Asserts that each object of the plan can be applied to the state before it. */
static void plan_check(const struct restore_plan *plan, uint64_t from, uint64_t to)
{
    uint64_t n = from;

    for (size_t i = 0; i < plan->object_count; i++) {
        assert_true(plan->objects[i].object.min_txid <= n + 1);
        assert_true(plan->objects[i].object.max_txid > n);
        n = plan->objects[i].object.max_txid;
    }
    assert_int_equal(n, to);
    assert_int_equal(plan->txid, to);
}

static void world_check_txid(const struct world *w, uint64_t from, uint64_t txid)
{
    CLEANUP(restore_plan_destroy) struct restore_plan plan = {0};
    struct restore_target target = {.kind = RESTORE_TXID, .txid = txid};
    struct error err = ERROR_INIT;
    int rc = restore_plan_make(&w->inv, &target, from, &plan, &err);

    if (txid <= from) {
        assert_ok(rc, &err);
        assert_int_equal(plan.object_count, 0);
    } else if (w->steps[txid] > 0) {
        assert_ok(rc, &err);
        plan_check(&plan, from, txid);
        assert_int_equal(plan.object_count, w->steps[txid]);
    } else {
        assert_int_equal(rc, -1);
        if (!world_has_boundary(w, txid))
            assert_int_equal(err.code, ERR_USAGE);
        else
            assert_true(err.code == ERR_GAP || (from == 0 && err.code == ERR_USAGE));
    }
}

static void world_check_moment(const struct world *w, uint64_t minute)
{
    CLEANUP(restore_plan_destroy) struct restore_plan plan = {0};
    struct restore_target target = {.kind = RESTORE_TIMESTAMP,
                                    .timestamp_ns = time_of(minute) + NS_PER_SEC};
    struct error err = ERROR_INIT;
    uint64_t wanted = minute;

    while (wanted > 0 && !world_has_boundary(w, wanted))
        wanted--;
    int rc = restore_plan_make(&w->inv, &target, 0, &plan, &err);
    if (wanted > 0 && w->steps[wanted] > 0) {
        assert_ok(rc, &err);
        plan_check(&plan, 0, wanted);
    } else {
        assert_int_equal(rc, -1);
        assert_true(err.code == ERR_GAP || err.code == ERR_USAGE);
    }
}

static void world_check_reach(const struct world *w, uint64_t from, uint64_t limit)
{
    uint64_t wanted = from;

    for (uint64_t t = from; t <= limit && t <= WORLD_TXIDS; t++) {
        if (w->steps[t] >= 0)
            wanted = t;
    }
    assert_int_equal(restore_plan_reach(&w->inv, from, limit), wanted);
}

static void test_plan_agrees_with_a_search_through_all_states(void **state UNUSED)
{
    srand(20261121);
    for (int round = 0; round < WORLD_ROUNDS; round++) {
        struct world w;
        uint64_t from = rand() % 3 ? 0 : (uint64_t)rand() % WORLD_TXIDS;
        uint64_t txid = 1 + (uint64_t)rand() % WORLD_TXIDS;
        world_make(&w);
        world_search(&w, from);
        if (inventory_object_count(&w.inv) > 0) {
            world_check_txid(&w, from, txid);
            world_check_reach(&w, from, txid);
            if (from == 0)
                world_check_moment(&w, txid);
        }
        inventory_destroy(&w.inv);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_plan_chooses_the_fewest_objects_or_says_what_is_missing),
        TEST(test_plan_tells_where_it_leads_and_where_the_replica_ends),
        TEST(test_plan_takes_the_earliest_moment_that_any_object_of_a_boundary_tells),
        TEST(test_plan_agrees_with_a_search_through_all_states),
    };
    return TEST_MAIN(tests);
}
