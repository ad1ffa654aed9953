/*
 * What retention may delete: the rules one by one, then random replicas against the restore
 * planner, which is the one who has to live with the result.
 */
#include "sidecar/engine/retain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"
#include "sidecar/restore/plan.h"

#define NOW (UINT64_C(1000) * NS_PER_DAY)

static void add(struct inventory *inv, unsigned level, uint64_t min, uint64_t max, uint64_t age_ns)
{
    struct error err = ERROR_INIT;
    const struct inventory_object o = {.min_txid = min,
                                       .max_txid = max,
                                       .bytes = 100,
                                       .timestamp_ns = NOW - age_ns,
                                       .layout = STORAGE_LAYOUT_LTX};
    assert_ok(inventory_add(inv, level, &o, &err), &err);
}

static struct retain_policy policy(uint64_t snapshot_ns, uint64_t l0_ns)
{
    return (struct retain_policy){
        .now_ns = NOW, .snapshot_retention_ns = snapshot_ns, .l0_retention_ns = l0_ns};
}

static int by_name(const void *a, const void *b)
{
    const struct retain_victim *x = a;
    const struct retain_victim *y = b;

    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->object.max_txid != y->object.max_txid)
        return x->object.max_txid < y->object.max_txid ? -1 : 1;
    return x->object.min_txid < y->object.min_txid ? -1 : x->object.min_txid > y->object.min_txid;
}

/* Victims as "level:min-max ...", in order. */
static void expect(const char *row, const struct inventory *inv, struct retain_policy p,
                   const char *wanted)
{
    struct error err = ERROR_INIT;
    struct retain_plan plan = {.victims = NULL};
    char got[1024] = "";

    test_row(row);
    assert_ok(retain_decide(inv, &p, &plan, &err), &err);
    qsort(plan.victims, plan.victim_count, sizeof(*plan.victims), by_name);
    for (size_t i = 0; i < plan.victim_count; i++) {
        const struct retain_victim *v = &plan.victims[i];
        size_t n = strlen(got);
        (void)snprintf(got + n, sizeof(got) - n, "%s%u:%" PRIu64 "-%" PRIu64, n ? " " : "",
                       v->level, v->object.min_txid, v->object.max_txid);
    }
    assert_int_equal(plan.bytes, 100 * plan.victim_count);
    if (strcmp(got, wanted) != 0) {
        print_error("# row \"%s\": victims \"%s\", wanted \"%s\"\n", row, got, wanted);
        fail();
    }
    retain_plan_destroy(&plan);
}

/* ---- rules ---- */

static void test_empty_replica_and_one_without_a_base_keep_everything(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    expect("empty", &inv, policy(NS_PER_DAY, NS_PER_MIN), "");
    add(&inv, 0, 5, 5, 30 * NS_PER_DAY);
    add(&inv, 0, 6, 6, 20 * NS_PER_DAY);
    add(&inv, 1, 5, 6, 20 * NS_PER_DAY);
    expect("no base", &inv, policy(NS_PER_DAY, NS_PER_MIN), "");
    inventory_destroy(&inv);
}

static void test_raw_objects_go_when_they_are_old_and_covered(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    add(&inv, 0, 1, 1, 60 * NS_PER_MIN);
    for (uint64_t t = 2; t <= 6; t++)
        add(&inv, 0, t, t, (10 - t) * NS_PER_MIN);
    add(&inv, 1, 2, 4, 6 * NS_PER_MIN);
    expect("too young", &inv, policy(0, 20 * NS_PER_MIN), "");
    expect("covered and old", &inv, policy(0, NS_PER_MIN), "0:2-2 0:3-3 0:4-4");
    expect("partly old", &inv, policy(0, 6 * NS_PER_MIN + 1), "0:2-2 0:3-3");
    expect("raw objects go with snapshots only", &inv, policy(0, 0), "");
    inventory_destroy(&inv);
}

static void test_raw_object_that_is_the_only_base_stays(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    add(&inv, 0, 1, 1, 60 * NS_PER_MIN);
    add(&inv, 0, 2, 2, 50 * NS_PER_MIN);
    add(&inv, 1, 2, 2, 50 * NS_PER_MIN);
    add(&inv, 0, 3, 3, 40 * NS_PER_MIN);
    expect("first object is the base", &inv, policy(NS_PER_DAY, NS_PER_MIN), "0:2-2");
    inventory_destroy(&inv);
}

static void test_newest_raw_object_and_newest_of_each_level_stay(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    add(&inv, 0, 1, 1, 90 * NS_PER_DAY);
    add(&inv, 0, 2, 2, 80 * NS_PER_DAY);
    add(&inv, 1, 2, 2, 80 * NS_PER_DAY);
    add(&inv, 2, 2, 2, 80 * NS_PER_DAY);
    add(&inv, 9, 1, 2, 80 * NS_PER_DAY);
    /* The raw object 1 lies before the floor; everything else is the newest of its level. */
    expect("idle for long", &inv, policy(NS_PER_DAY, NS_PER_MIN), "0:1-1");
    inventory_destroy(&inv);
}

static void test_window_begins_with_the_snapshot_before_it(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    uint64_t txid = 1;

    /* A snapshot a day, an L1 and an L0 between two; day 9 is the oldest. */
    for (unsigned age = 9; age >= 1; age--, txid += 2) {
        add(&inv, 9, 1, txid, age * NS_PER_DAY);
        add(&inv, 0, txid + 1, txid + 1, age * NS_PER_DAY - 12 * NS_PER_HOUR);
        add(&inv, 1, txid + 1, txid + 1, age * NS_PER_DAY - 12 * NS_PER_HOUR);
    }
    expect("all in the window", &inv, policy(30 * NS_PER_DAY, 0), "");
    /* 3.5 days: the snapshot that is 4 days old (TXID 11) is where the window's first moment is
     * restored from. */
    expect("3.5 days", &inv, policy(3 * NS_PER_DAY + 12 * NS_PER_HOUR, 0),
           "0:2-2 0:4-4 0:6-6 0:8-8 0:10-10 1:2-2 1:4-4 1:6-6 1:8-8 1:10-10 "
           "9:1-1 9:1-3 9:1-5 9:1-7 9:1-9");
    expect("everything is older than the window", &inv, policy(NS_PER_HOUR, 0),
           "0:2-2 0:4-4 0:6-6 0:8-8 0:10-10 0:12-12 0:14-14 0:16-16 1:2-2 1:4-4 1:6-6 1:8-8 "
           "1:10-10 1:12-12 1:14-14 1:16-16 9:1-1 9:1-3 9:1-5 9:1-7 9:1-9 9:1-11 9:1-13 9:1-15");
    expect("keep everything", &inv, policy(0, 0), "");
    inventory_destroy(&inv);
}

static void test_compaction_that_reaches_over_the_floor_stays(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    add(&inv, 9, 1, 1, 9 * NS_PER_DAY);
    add(&inv, 1, 2, 5, 8 * NS_PER_DAY);
    add(&inv, 9, 1, 7, 5 * NS_PER_DAY);
    add(&inv, 1, 6, 10, 4 * NS_PER_DAY);
    add(&inv, 1, 11, 12, 3 * NS_PER_DAY);
    add(&inv, 0, 12, 12, 3 * NS_PER_DAY);
    expect("floor 7", &inv, policy(4 * NS_PER_DAY + NS_PER_HOUR, NS_PER_MIN), "1:2-5 9:1-1");
    inventory_destroy(&inv);
}

/* A window that is shorter than the L0 retention: a sleeper relies on the latter. */
static void test_young_raw_objects_before_the_window_stay(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    add(&inv, 0, 1, 1, 6 * NS_PER_MIN);
    add(&inv, 0, 2, 2, 4 * NS_PER_MIN);
    add(&inv, 0, 3, 3, 3 * NS_PER_MIN);
    add(&inv, 1, 2, 3, 3 * NS_PER_MIN);
    add(&inv, 9, 1, 3, 3 * NS_PER_MIN);
    add(&inv, 0, 4, 4, 30 * NS_PER_SEC);
    expect("5 minutes", &inv, policy(NS_PER_MIN, 5 * NS_PER_MIN), "0:1-1");
    expect("200 s", &inv, policy(NS_PER_MIN, 200 * NS_PER_SEC), "0:1-1 0:2-2");
    expect("with the window", &inv, policy(NS_PER_MIN, 0), "0:1-1 0:2-2");
    inventory_destroy(&inv);
}

static void test_a_number_is_kept_as_long_as_its_object(void **state UNUSED)
{
    assert_int_equal(retain_number_kept_ns(5 * NS_PER_MIN, NS_PER_DAY), 5 * NS_PER_MIN);
    assert_int_equal(retain_number_kept_ns(5 * NS_PER_MIN, 0), 5 * NS_PER_MIN);
    assert_int_equal(retain_number_kept_ns(0, NS_PER_DAY), NS_PER_DAY);
    assert_true(retain_number_kept_ns(0, 0) == UINT64_MAX);
}

static void test_timestamps_in_the_future_are_young(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    add(&inv, 9, 1, 1, 0);
    inv.level[9].object[0].timestamp_ns = NOW + NS_PER_DAY;
    add(&inv, 0, 2, 2, 0);
    inv.level[0].object[0].timestamp_ns = NOW + NS_PER_DAY;
    add(&inv, 1, 2, 2, 0);
    add(&inv, 0, 3, 3, 0);
    expect("clock was set back", &inv, policy(NS_PER_HOUR, NS_PER_MIN), "");
    inventory_destroy(&inv);
}

static void test_replica_with_a_hole_keeps_its_raw_objects(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;

    /* 4 is missing. What could be restored (1..3, by L0 or L1) can be afterwards; what could not
     * is not made worse. */
    add(&inv, 9, 1, 1, 10 * NS_PER_DAY);
    add(&inv, 0, 2, 2, 9 * NS_PER_DAY);
    add(&inv, 0, 3, 3, 9 * NS_PER_DAY);
    add(&inv, 1, 2, 3, 9 * NS_PER_DAY);
    add(&inv, 0, 5, 5, 8 * NS_PER_DAY);
    add(&inv, 0, 6, 6, 7 * NS_PER_DAY);
    expect("hole at 4", &inv, policy(NS_PER_DAY, NS_PER_MIN), "0:2-2 0:3-3");
    inventory_destroy(&inv);
}

static void test_window_is_that_of_bases_and_tip(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    uint64_t oldest = 7;
    uint64_t newest = 7;

    assert_false(retain_window(&inv, &oldest, &newest));
    add(&inv, 0, 5, 5, NS_PER_HOUR);
    assert_false(retain_window(&inv, &oldest, &newest));
    assert_int_equal(oldest, 7);
    add(&inv, 9, 1, 4, 3 * NS_PER_HOUR);
    add(&inv, 9, 1, 2, 5 * NS_PER_HOUR);
    assert_true(retain_window(&inv, &oldest, &newest));
    assert_int_equal(oldest, NOW - 5 * NS_PER_HOUR);
    assert_int_equal(newest, NOW - NS_PER_HOUR);
    add(&inv, 0, 1, 1, 6 * NS_PER_HOUR);
    assert_true(retain_window(&inv, &oldest, &newest));
    assert_int_equal(oldest, NOW - 6 * NS_PER_HOUR);
    inventory_destroy(&inv);
}

static void test_next_due_is_when_time_alone_makes_something_deletable(void **state UNUSED)
{
    struct inventory inv = INVENTORY_INIT;
    struct retain_policy p = policy(NS_PER_DAY, NS_PER_HOUR);

    assert_true(retain_next_due(&inv, &p) == UINT64_MAX);
    add(&inv, 0, 2, 2, 10 * NS_PER_MIN); /* the newest never goes */
    assert_true(retain_next_due(&inv, &p) == UINT64_MAX);
    add(&inv, 0, 3, 3, NS_PER_MIN);
    assert_int_equal(retain_next_due(&inv, &p), NOW + 50 * NS_PER_MIN + 1);
    add(&inv, 9, 1, 2, NS_PER_DAY - 5 * NS_PER_MIN);
    assert_int_equal(retain_next_due(&inv, &p), NOW + 5 * NS_PER_MIN + 1);
    p.now_ns += 6 * NS_PER_MIN; /* the moment of the base has passed */
    assert_int_equal(retain_next_due(&inv, &p), NOW + 50 * NS_PER_MIN + 1);
    p.now_ns += NS_PER_DAY;
    assert_true(retain_next_due(&inv, &p) == UINT64_MAX);
    p = policy(0, 0);
    assert_true(retain_next_due(&inv, &p) == UINT64_MAX);
    inventory_destroy(&inv);
}

/* ---- property ---- */

enum {
    RANDOM_REPLICAS = 3000,
    TXIDS_MAX = 60,
};

static uint64_t dice_state;

static uint64_t dice(uint64_t sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (dice_state >> 33) % sides;
}

/* A life of TXIDS_MAX commits: raw objects, compactions of three levels cut at random boundaries,
 * snapshots; then some objects lost. */
static void replica_random(struct inventory *inv)
{
    uint64_t count = 1 + dice(TXIDS_MAX);
    uint64_t boundary[4] = {0, 1, 1, 1};
    uint64_t step_ns = dice(2) ? NS_PER_HOUR : NS_PER_MIN;
    unsigned lost_in = (unsigned)dice(12); /* one of so many; 0: none */

    for (uint64_t t = 1; t <= count; t++) {
        uint64_t age = (count - t) * step_ns + dice(step_ns);
        bool is_cut = dice(3) == 0;
        if (!lost_in || dice(lost_in + 2))
            add(inv, 0, t, t, age);
        for (unsigned level = 1; level <= 3 && is_cut && t > 1; level++) {
            if (dice(level + 1) || t <= boundary[level])
                continue;
            if (!lost_in || dice(lost_in + 2))
                add(inv, level, boundary[level] + 1, t, age);
            boundary[level] = t;
        }
        if (is_cut && dice(4) == 0)
            add(inv, 9, 1, t, age);
    }
}

static bool can_restore(const struct inventory *inv, struct restore_target target)
{
    struct error err = ERROR_INIT;
    struct restore_plan plan = {.objects = NULL};
    bool is_ok = inventory_object_count(inv) > 0 &&
                 restore_plan_make(inv, &target, 0, &plan, &err) == 0 && plan.object_count > 0;
    restore_plan_destroy(&plan);
    return is_ok;
}

static struct restore_target at_txid(uint64_t txid)
{
    return (struct restore_target){.kind = RESTORE_TXID, .txid = txid};
}

static void inventory_without(const struct inventory *inv, const struct retain_plan *plan,
                              struct inventory *out)
{
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < inv->level[level].object_count; i++) {
            const struct inventory_object *o = &inv->level[level].object[i];
            add(out, level, o->min_txid, o->max_txid, NOW - o->timestamp_ns);
        }
    }
    for (size_t i = 0; i < plan->victim_count; i++) {
        assert_true(inventory_remove(out, plan->victims[i].level, plan->victims[i].object.min_txid,
                                     plan->victims[i].object.max_txid,
                                     plan->victims[i].object.layout));
    }
}

/* Every boundary that is left from the floor on, the tip, and every moment of the window. */
static void check_promises(const struct inventory *before, const struct inventory *after,
                           const struct retain_plan *plan, const struct retain_policy *p)
{
    unsigned level;
    const struct inventory_object *tip = inventory_tip(before, &level);

    for (level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < after->level[level].object_count; i++) {
            uint64_t txid = after->level[level].object[i].max_txid;
            if (txid >= plan->floor_txid && can_restore(before, at_txid(txid)))
                assert_true(can_restore(after, at_txid(txid)));
        }
    }
    if (tip && can_restore(before, at_txid(tip->max_txid)))
        assert_true(can_restore(after, at_txid(tip->max_txid)));
    for (unsigned i = 0; i <= 8 && p->snapshot_retention_ns; i++) {
        struct restore_target t = {.kind = RESTORE_TIMESTAMP,
                                   .timestamp_ns = NOW - p->snapshot_retention_ns / 8 * i};
        if (can_restore(before, t))
            assert_true(can_restore(after, t));
    }
}

static void check_kept(const struct inventory *before, const struct retain_plan *plan,
                       const struct retain_policy *p)
{
    for (size_t i = 0; i < plan->victim_count; i++) {
        const struct retain_victim *v = &plan->victims[i];
        const struct inventory_object *newest = inventory_newest(before, v->level);
        assert_int_not_equal(newest->max_txid, v->object.max_txid);
        if (v->level == 0 && v->object.max_txid >= plan->floor_txid)
            assert_true(p->l0_retention_ns > 0);
        if (v->level == 0)
            assert_true(NOW - v->object.timestamp_ns > p->l0_retention_ns);
        if (v->level > 0)
            assert_true(v->object.max_txid < plan->floor_txid);
    }
}

static void test_every_promised_boundary_of_random_replicas_stays_restorable(void **state UNUSED)
{
    uint64_t deleted = 0;
    unsigned refused = 0;

    for (unsigned seed = 1; seed <= RANDOM_REPLICAS; seed++) {
        struct inventory before = INVENTORY_INIT;
        struct inventory after = INVENTORY_INIT;
        struct retain_plan plan = {.victims = NULL};
        struct error err = ERROR_INIT;
        char row[32];

        (void)snprintf(row, sizeof(row), "seed %u", seed);
        test_row(row);
        dice_state = seed;
        replica_random(&before);
        struct retain_policy p = policy(dice(3) ? dice(50) * NS_PER_HOUR : dice(50) * NS_PER_MIN,
                                        dice(4) ? dice(300) * NS_PER_MIN : 0);
        if (retain_decide(&before, &p, &plan, &err) < 0) {
            assert_int_equal(err.code, ERR_GAP);
            refused++;
        } else {
            deleted += plan.victim_count;
            inventory_without(&before, &plan, &after);
            check_promises(&before, &after, &plan, &p);
            check_kept(&before, &plan, &p);
        }
        retain_plan_destroy(&plan);
        inventory_destroy(&before);
        inventory_destroy(&after);
    }
    print_message("# %u replicas, %" PRIu64 " objects deleted, %u plans refused\n", RANDOM_REPLICAS,
                  deleted, refused);
    assert_true(deleted > RANDOM_REPLICAS);
    assert_int_equal(refused, 0);
}

static void test_what_fenced_writers_left_goes_by_its_age(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    struct error err = ERROR_INIT;
    struct retain_plan plan = {.victims = NULL};
    struct inventory_fenced f = {.epoch = 3,
                                 .owner = 0xbeef,
                                 .min_txid = 7,
                                 .max_txid = 7,
                                 .bytes = 50,
                                 .timestamp_ns = NOW - 8 * NS_PER_DAY};

    add(&inv, 9, 1, 6, NS_PER_HOUR);
    assert_ok(inventory_add_fenced(&inv, &f, &err), &err);
    f.epoch = 4;
    f.timestamp_ns = NOW - 6 * NS_PER_DAY;
    assert_ok(inventory_add_fenced(&inv, &f, &err), &err);
    struct retain_policy p = policy(7 * NS_PER_DAY, NS_PER_MIN);
    assert_ok(retain_decide(&inv, &p, &plan, &err), &err);
    assert_int_equal(plan.victim_count, 0);
    assert_int_equal(plan.fenced_count, 1);
    assert_int_equal(plan.fenced[0].epoch, 3);
    assert_int_equal(plan.bytes, 50);
    retain_plan_destroy(&plan);
    assert_int_equal(retain_next_due(&inv, &p), NOW + NS_PER_DAY + 1); /* the other one */

    p = policy(0, NS_PER_MIN); /* keep everything */
    assert_ok(retain_decide(&inv, &p, &plan, &err), &err);
    assert_int_equal(plan.fenced_count, 0);
    retain_plan_destroy(&plan);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_empty_replica_and_one_without_a_base_keep_everything),
        TEST(test_raw_objects_go_when_they_are_old_and_covered),
        TEST(test_raw_object_that_is_the_only_base_stays),
        TEST(test_newest_raw_object_and_newest_of_each_level_stay),
        TEST(test_window_begins_with_the_snapshot_before_it),
        TEST(test_compaction_that_reaches_over_the_floor_stays),
        TEST(test_young_raw_objects_before_the_window_stay),
        TEST(test_a_number_is_kept_as_long_as_its_object),
        TEST(test_timestamps_in_the_future_are_young),
        TEST(test_replica_with_a_hole_keeps_its_raw_objects),
        TEST(test_window_is_that_of_bases_and_tip),
        TEST(test_next_due_is_when_time_alone_makes_something_deletable),
        TEST(test_every_promised_boundary_of_random_replicas_stays_restorable),
        TEST(test_what_fenced_writers_left_goes_by_its_age),
    };
    return TEST_MAIN(tests);
}
