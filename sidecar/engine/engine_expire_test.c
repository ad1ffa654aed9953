/*
 * Retention end to end: what ages is deleted, what was promised stays restorable, and nothing is
 * asked of the store when there is nothing to delete.
 */
#include "sidecar/engine/engine_scene.h"

/* The oldest base is what restores of the window's start begin with, and the only one so old. */
static void assert_window_begins_with(const struct inventory_level *bases, uint64_t begin_ns)
{
    assert_true(bases->object_count > 1);
    assert_true(bases->object[0].timestamp_ns < begin_ns);
    assert_true(bases->object[1].timestamp_ns >= begin_ns);
}

static void test_retention_keeps_the_window_restorable(void **state UNUSED)
{
    struct engine_scene s;
    struct inventory inv;
    scene_init(&s);
    scene_hold_time(&s);
    scene_with_levels(&s);
    s.dest[0].snapshot_interval_ns = 5 * NS_PER_MIN;
    s.dest[0].snapshot_retention_ns = 20 * NS_PER_MIN;
    s.dest[0].l0_retention_ns = 90 * NS_PER_SEC;
    s.dest[0].is_retention_enabled = true;
    scene_begin(&s);
    scene_insert(&s, 0, 100, 200);
    for (unsigned i = 0; i < 120; i++) {
        scene_live(&s, i);
        scene_sync(&s);
        scene_pass(&s, 20 * NS_PER_SEC);
    }
    for (unsigned i = 0; i < 12; i++) /* the last commits get old, too */
        scene_pass(&s, 10 * NS_PER_SEC);
    assert_int_equal(scene_newest(&s, 1), scene_acknowledged(&s));
    scene_wait(&s, engine_expire);
    SCENE_UNTIL(&s, scene_is_at_rest(&s));
    const struct status_destination d = *scene_status(&s, 0, 0);
    assert_true(d.levels[0].deleted_total > 80);
    assert_true(d.levels[9].deleted_total >= 2);
    assert_true(d.levels[9].object_count < 8);
    assert_int_equal(d.levels[0].newest_txid, d.acknowledged_txid);
    assert_int_equal(d.retention_at_ns, env_wall_ns(&s.env));
    assert_null(d.retention_error);
    /* Memory and bucket agree. */
    scene_list(&s, 0, 0, &inv);
    for (unsigned level = 0; level < LTX_LEVELS; level++)
        assert_int_equal(inv.level[level].object_count, d.levels[level].object_count);
    assert_int_equal(inv.level[LTX_LEVEL_SNAPSHOT].object[0].timestamp_ns, d.restore_oldest_at_ns);
    assert_window_begins_with(&inv.level[LTX_LEVEL_SNAPSHOT], d.retention_at_ns - 20 * NS_PER_MIN);
    inventory_destroy(&inv);
    assert_true(scene_assert_restorable(&s, 0, 0) > 10);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

static void test_retention_that_is_off_deletes_nothing(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_levels(&s);
    s.dest[0].l0_retention_ns = NS_PER_MIN;
    s.dest[0].snapshot_retention_ns = NS_PER_MIN;
    scene_begin(&s);
    for (unsigned i = 0; i < 6; i++) {
        scene_insert(&s, 0, 5, 100);
        scene_sync(&s);
        scene_skip(&s, 2 * NS_PER_MIN);
        scene_run(&s, 5 * NS_PER_MS);
    }
    scene_wait(&s, engine_expire);
    assert_int_equal(s.flaky[0].started[STORAGE_OP_DELETE], 0);
    assert_int_equal(scene_count(&s, 0, 0, 0), 7);
    scene_end(&s);
}

/* Six raw objects a minute old, in level 1 as well; they are kept for five. */
static void scene_with_young_objects(struct engine_scene *s)
{
    scene_init(s);
    scene_hold_time(s);
    scene_with_levels(s);
    s->dest[0].l0_retention_ns = 5 * NS_PER_MIN;
    s->dest[0].snapshot_retention_ns = NS_PER_DAY;
    s->dest[0].is_retention_enabled = true;
    scene_begin(s);
    for (unsigned i = 0; i < 5; i++) {
        scene_insert(s, 0, 5, 100);
        scene_sync(s);
    }
    scene_pass(s, NS_PER_MIN);
    assert_int_equal(scene_newest(s, 1), 6);
}

static void test_raw_objects_age_out_while_nothing_is_committed(void **state UNUSED)
{
    struct engine_scene s;
    scene_with_young_objects(&s);
    assert_int_equal(scene_count(&s, 0, 0, 0), 6);
    scene_pass(&s, 10 * NS_PER_MIN);
    assert_int_equal(scene_status(&s, 0, 0)->levels[0].object_count, 2); /* base and newest */
    assert_int_equal(scene_count(&s, 0, 0, 0), 2);
    scene_pass(&s, 3 * NS_PER_HOUR);
    assert_int_equal(scene_newest(&s, 9), 6);
    assert_int_equal(scene_count(&s, 0, 0, 0), 2); /* the window begins before the snapshot */
    scene_pass(&s, NS_PER_DAY);
    assert_int_equal(scene_status(&s, 0, 0)->levels[0].object_count, 1);
    scene_assert_restorable(&s, 0, 0);
    scene_assert_replicated(&s, 0, 0);

    /* Then nothing is left to do, for ever. */
    uint64_t requests = s.flaky[0].started_total;
    for (unsigned i = 0; i < 10; i++)
        scene_pass(&s, NS_PER_DAY);
    assert_int_equal(s.flaky[0].started_total, requests);
    scene_end(&s);
}

/* Another writer relies on what is young, whatever our wall clock says. */
static void test_a_wall_clock_that_jumps_makes_nothing_old_at_once(void **state UNUSED)
{
    struct engine_scene s;
    scene_with_young_objects(&s);
    atomic_store(&s.wall_skew_ns, 12 * NS_PER_HOUR);
    scene_wait(&s, engine_expire);
    scene_pass(&s, NS_PER_MIN);
    scene_wait(&s, engine_expire);
    assert_int_equal(scene_count(&s, 0, 0, 0), 6);
    scene_pass(&s, 10 * NS_PER_MIN); /* by itself, when the clock has stood */
    assert_int_equal(scene_count(&s, 0, 0, 0), 2);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

static void test_deletion_that_fails_is_tried_again(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_hold_time(&s);
    scene_with_levels(&s);
    s.dest[0].l0_retention_ns = 5 * NS_PER_MIN;
    s.dest[0].snapshot_retention_ns = NS_PER_DAY;
    s.dest[0].is_retention_enabled = true;
    scene_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_DELETE,
              &(struct flaky_rule){.fault = FLAKY_FAIL, .code = ERR_ACCESS, .times = 2});
    for (unsigned i = 0; i < 3; i++) {
        scene_insert(&s, 0, 5, 100);
        scene_sync(&s);
    }
    scene_pass(&s, 3 * NS_PER_MIN);
    assert_int_equal(scene_newest(&s, 2), 4); /* no compaction is left to start a pass */
    scene_pass(&s, 10 * NS_PER_MIN);
    assert_int_equal(scene_status(&s, 0, 0)->retention_errors_total, 1);
    assert_non_null(scene_status(&s, 0, 0)->retention_error);
    assert_int_equal(scene_count(&s, 0, 0, 0), 4);
    scene_pass(&s, 2 * NS_PER_MIN);
    assert_int_equal(scene_status(&s, 0, 0)->retention_errors_total, 2);
    scene_pass(&s, 2 * NS_PER_MIN);
    assert_int_equal(scene_status(&s, 0, 0)->levels[0].object_count, 2);
    assert_null(scene_status(&s, 0, 0)->retention_error);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

/* Clearing away what dead uploads left is a matter of once a day. */
static void test_housekeeping_follows_a_snapshot_once_a_day(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    assert_int_equal(s.flaky[0].housekept, 0);
    scene_wait(&s, engine_snapshot);
    assert_int_equal(s.flaky[0].housekept, 1);
    scene_insert(&s, 0, 10, 100);
    scene_sync(&s);
    scene_wait(&s, engine_snapshot);
    assert_int_equal(scene_count(&s, 0, 0, 9), 2);
    assert_int_equal(s.flaky[0].housekept, 1);
    scene_skip(&s, NS_PER_DAY);
    scene_insert(&s, 0, 10, 100);
    scene_sync(&s);
    scene_wait(&s, engine_snapshot);
    assert_int_equal(s.flaky[0].housekept, 2);
    scene_end(&s);
}

static void test_retention_expires_what_fenced_writers_left(void **state UNUSED)
{
    struct engine_scene s;
    struct inventory inv;
    scene_init(&s);
    s.dest[0].is_retention_enabled = true;
    s.dest[0].snapshot_retention_ns = NS_PER_DAY;
    scene_shell("cd %s && mkdir -p bucket-0-0/fenced/00000001-000000aa "
                "bucket-0-0/fenced/00000002-000000bb && touch -d '2 days ago' "
                "bucket-0-0/fenced/00000001-000000aa/0000000000000007-0000000000000007.ltx && "
                "touch bucket-0-0/fenced/00000002-000000bb/0000000000000009-0000000000000009.ltx",
                s.folder);
    scene_begin(&s);
    scene_wait(&s, engine_expire);
    scene_list(&s, 0, 0, &inv);
    assert_int_equal(inv.fenced_count, 1);
    assert_int_equal(inv.fenced[0].owner, 0xbb);
    inventory_destroy(&inv);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_retention_keeps_the_window_restorable),
        TEST(test_retention_that_is_off_deletes_nothing),
        TEST(test_raw_objects_age_out_while_nothing_is_committed),
        TEST(test_a_wall_clock_that_jumps_makes_nothing_old_at_once),
        TEST(test_deletion_that_fails_is_tried_again),
        TEST(test_housekeeping_follows_a_snapshot_once_a_day),
        TEST(test_retention_expires_what_fenced_writers_left),
    };
    return TEST_MAIN(tests);
}
