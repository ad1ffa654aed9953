/*
 * Lives at random: an application that does what applications do, a store that fails, loses
 * answers and is away, a process that dies, time that jumps. Whatever happened: in the end every
 * destination has what the application sees, every object restores, and every compaction is what a
 * merge would be (its database checksum proves that while restoring).
 *
 * A seed makes the same decisions again (not the same race of threads). SEED=n runs one,
 * RUNS=n so many from there.
 */
#include "sidecar/engine/engine_scene.h"

enum {
    RUNS = 6,
    STEPS = 120,
    DESTINATIONS = 2,
};

static uint64_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)((dice_state >> 33) % sides);
}

static void options_random(struct engine_scene *s)
{
    s->dest_count = DESTINATIONS;
    for (size_t d = 0; d < DESTINATIONS; d++) {
        struct destination_options *o = &s->dest[d];
        o->sync_interval_ns = dice(2) ? NS_PER_MS : NS_PER_SEC;
        o->level_interval_ns[0] = 30 * NS_PER_SEC;
        o->level_interval_ns[1] = dice(2) ? 90 * NS_PER_SEC : 0;
        o->snapshot_interval_ns = 10 * NS_PER_MIN;
        o->snapshot_retention_ns = 20 * NS_PER_MIN;
        o->l0_retention_ns = 2 * NS_PER_MIN;
        o->is_retention_enabled = dice(3) > 0;
    }
    s->opt.checkpoint_frames = 20 + dice(200);
    s->opt.wal_keep_bytes = 64 << 10;
}

static void app_random(struct engine_scene *s, bool is_engine_there)
{
    static const char *const sql[] = {
        "DELETE FROM t WHERE id % 4 = 2",
        "VACUUM",
        "DELETE FROM t WHERE id > 150",
        "INSERT INTO t(body) SELECT randomblob(2500) FROM t LIMIT 100",
        "CREATE TABLE IF NOT EXISTS u(x)",
        "DROP TABLE IF EXISTS u",
        "PRAGMA user_version = 7",
    };
    static const char *const modes[] = {"PASSIVE", "RESTART", "TRUNCATE"};

    switch (dice(6)) {
    case 0:
        app_ok(&s->app, "sql 0 %s", sql[dice(ARRAY_LEN(sql))]);
        return;
    case 1:
        /* With the engine there the stronger ones would only wait for its reader. */
        app_ok(&s->app, "sql 0 PRAGMA wal_checkpoint(%s)", modes[is_engine_there ? 0 : dice(3)]);
        return;
    case 2:
        app_ok(&s->app, "sql 0 UPDATE t SET body = randomblob(%u) WHERE id %% %u = 0",
               1 + dice(900), 2 + dice(30));
        return;
    default:
        scene_insert(s, 0, 1 + dice(40), 1 + dice(3000));
    }
}

static void store_random(struct engine_scene *s)
{
    static const enum flaky_fault faults[] = {FLAKY_FAIL, FLAKY_LOSE_ANSWER, FLAKY_HOLD,
                                              FLAKY_HOLD_ANSWER, FLAKY_DELAY};
    struct flaky *f = &s->flaky[dice(DESTINATIONS)];
    const struct flaky_rule rule = {
        .fault = faults[dice(ARRAY_LEN(faults))],
        .delay_ns = dice(30) * NS_PER_MS,
        .pass_count = dice(4),
        .times = dice(3) ? 1 + dice(3) : 0,
    };

    if (dice(3) == 0) {
        flaky_set(f, STORAGE_OP_KINDS, NULL);
        flaky_release(f);
        return;
    }
    flaky_set(f, (enum storage_op_kind)dice(STORAGE_OP_KINDS + 1), &rule);
}

static void engine_return(struct engine_scene *s)
{
    scene_engine(s);
    scene_add(s, 0);
}

static void step_random(struct engine_scene *s)
{
    unsigned away;

    switch (dice(12)) {
    case 0:
    case 1:
        store_random(s);
        return;
    case 2:
        if (dice(3))
            return;
        if (dice(3))
            scene_kill(s);
        else
            (void)scene_stop(s); /* with whatever it could ship */
        for (away = dice(4); away > 0; away--)
            app_random(s, false);
        engine_return(s);
        return;
    case 3:
        scene_skip(s, (1 + dice(60)) * NS_PER_SEC);
        return;
    case 4:
        level_want(scene_chain(s, 0, dice(DESTINATIONS)), LTX_LEVEL_SNAPSHOT);
        return;
    case 5:
        scene_run(s, dice(40) * NS_PER_MS);
        return;
    default:
        app_random(s, true);
        scene_run(s, dice(8) * NS_PER_MS);
    }
}

static void live_and_check(uint64_t seed)
{
    struct engine_scene s;

    dice_state = seed;
    scene_init(&s);
    s.shutdown_timeout_ns = 300 * NS_PER_MS;
    options_random(&s);
    scene_database(&s, 0);
    engine_return(&s);
    for (unsigned i = 0; i < STEPS; i++)
        step_random(&s);
    for (size_t d = 0; d < DESTINATIONS; d++) {
        flaky_set(&s.flaky[d], STORAGE_OP_KINDS, NULL);
        flaky_release(&s.flaky[d]);
    }
    scene_sync(&s);
    for (size_t d = 0; d < DESTINATIONS; d++) {
        assert_int_equal(scene_chain(&s, 0, d)->state, CHAIN_FOLLOWING);
        scene_assert_replicated(&s, 0, d);
        assert_true(scene_assert_restorable(&s, 0, d) > 0);
    }
    assert_null(strstr(scene_status(&s, 0, 0)->last_error ? scene_status(&s, 0, 0)->last_error : "",
                       "bit rot"));
    assert_int_equal(scene_stop(&s), 0);
    scene_end(&s);
}

static void test_random_lives_end_with_whole_replicas(void **state UNUSED)
{
    const char *seed = getenv("SEED");
    const char *runs = getenv("RUNS");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
    uint64_t count = runs ? strtoull(runs, NULL, 10) : seed ? 1 : RUNS;

    for (uint64_t i = first; i < first + count; i++) {
        char row[32];
        (void)snprintf(row, sizeof(row), "SEED=%" PRIu64, i);
        test_row(row);
        print_message("# %s\n", row);
        live_and_check(i);
    }
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_random_lives_end_with_whole_replicas),
    };
    return TEST_MAIN(tests);
}
