/*
 * An engine in whose life any one allocation (its own or SQLite's), or any one file operation,
 * fails: it goes on by itself, everything arrives, every boundary of the bucket restores.
 *
 * The life syncs, checkpoints, compacts, snapshots and expires. NTH=1 fails each in turn; by
 * default FAULTS of them are spread evenly, behind an offset that changes from run to run (SEED=n
 * repeats it).
 */
#include "lib/testing/fault_alloc.h"
#include "lib/testing/fault_env.h"
#include "sidecar/engine/engine_scene.h"

enum {
    FAULTS = 10,
};

/* An order that may meet the fault, and must succeed when given again. */
static void order(struct engine_scene *s, scene_order *what)
{
    if (!scene_try(s, what))
        scene_wait(s, what);
}

static void life_run(struct engine_scene *s)
{
    order(s, engine_sync);
    for (unsigned i = 0; i < 4; i++) {
        scene_insert(s, 0, 60, 500);
        scene_live(s, i);
        order(s, engine_sync);
        scene_skip(s, 2 * NS_PER_MIN);
        scene_run(s, 5 * NS_PER_MS);
    }
    order(s, engine_snapshot);
    scene_skip(s, NS_PER_HOUR);
    order(s, engine_expire);
}

enum what_fails {
    ALLOCATIONS,
    FILE_OPERATIONS,
};

/* A whole life with its n-th call failing (0: none); answers how many calls there were. */
static uint64_t live(enum what_fails what, uint64_t n)
{
    struct engine_scene s;
    struct fault_env fe;
    uint64_t calls;

    scene_init(&s);
    scene_with_levels(&s);
    s.dest[0].l0_retention_ns = NS_PER_MIN;
    s.dest[0].snapshot_retention_ns = 30 * NS_PER_MIN;
    s.dest[0].is_retention_enabled = true;
    fault_env_init(&fe, FAULT_FAIL, 0);
    s.env.file = fe.env.file;
    scene_database(&s, 0);
    scene_engine(&s);
    scene_add(&s, 0);
    if (what == FILE_OPERATIONS)
        (void)fault_env_arm(&fe, n); /* what was before does not matter */
    else
        fault_alloc_arm(n);
    life_run(&s);
    calls = what == FILE_OPERATIONS ? fault_env_arm(&fe, 0) : fault_alloc_calls();
    (void)fault_alloc_disarm(); /* the number of calls tells */
    scene_insert(&s, 0, 1, 10);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_chain(&s, 0, 0)->state, CHAIN_FOLLOWING);
    assert_int_equal(scene_stop(&s), 0); /* no retention while we look */
    assert_true(scene_assert_restorable(&s, 0, 0) > 2);
    scene_end(&s);
    return calls;
}

static void each_fails_once(enum what_fails what)
{
    const char *nth = getenv("NTH");
    const char *seed = getenv("SEED");
    uint64_t calls = live(what, 0);
    uint64_t step = nth ? strtoull(nth, NULL, 10) : calls / FAULTS;
    step = step > 0 ? step : 1;
    uint64_t offset = seed ? strtoull(seed, NULL, 10) : env_wall_ns(env_real());
    char row[64];

    print_message("# %" PRIu64 " calls, SEED=%" PRIu64 "\n", calls, offset % step);
    for (uint64_t n = 1 + offset % step; n <= calls; n += step) {
        (void)snprintf(row, sizeof(row), "call %" PRIu64, n);
        test_row(row);
        (void)live(what, n); /* how many calls a fault saves does not matter */
    }
}

static void test_engine_goes_on_when_any_allocation_fails(void **state UNUSED)
{
    each_fails_once(ALLOCATIONS);
}

static void test_engine_goes_on_when_any_file_operation_fails(void **state UNUSED)
{
    each_fails_once(FILE_OPERATIONS);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    fault_alloc_sqlite();
    static const struct CMUnitTest tests[] = {
        TEST(test_engine_goes_on_when_any_allocation_fails),
        TEST(test_engine_goes_on_when_any_file_operation_fails),
    };
    return TEST_MAIN(tests);
}
