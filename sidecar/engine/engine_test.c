/*
 * A database from its first object on: what is shipped when, and what status tells of it.
 */
#include "sidecar/engine/engine_scene.h"

static void test_first_object_and_increments_lead_to_the_applications_state(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    assert_int_equal(scene_chain(&s, 0, 0)->at.txid, 1);
    scene_assert_replicated(&s, 0, 0);

    for (unsigned i = 0; i < 5; i++) {
        scene_insert(&s, 0, 20, 200);
        scene_sync_and_compare(&s);
    }
    app_ok(&s.app, "sql 0 DELETE FROM t WHERE id %% 2");
    app_ok(&s.app, "sql 0 VACUUM");
    scene_sync_and_compare(&s);
    assert_int_equal(scene_count(&s, 0, 0, 0), scene_chain(&s, 0, 0)->at.txid);
    assert_true(scene_assert_restorable(&s, 0, 0) >= 7);
    assert_int_equal(scene_stop(&s), 0);
    scene_end(&s);
}

static void test_commits_are_noticed_and_shipped_without_being_asked(void **state UNUSED)
{
    static const char *const modes[] = {"NORMAL", "FULL"};
    struct engine_scene s;
    scene_init(&s);
    s.opt.monitor_interval_ns = 20 * NS_PER_SEC; /* the poll cannot be what finds them */
    scene_begin(&s);

    for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
        app_ok(&s.app, "sql 0 PRAGMA synchronous=%s", modes[m]);
        for (unsigned i = 0; i < 10; i++) {
            uint64_t before = scene_status(&s, 0, 0)->acknowledged_txid;
            uint64_t began = env_monotonic_ns(env_real());
            scene_insert(&s, 0, 1, 100);
            SCENE_UNTIL(&s, scene_status(&s, 0, 0)->acknowledged_txid > before);
            assert_true(env_monotonic_ns(env_real()) - began < 10 * NS_PER_SEC);
            SCENE_UNTIL(&s, scene_status(&s, 0, 0)->lag_ns == 0);
        }
    }
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

static void test_sync_interval_makes_one_object_of_many_commits(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].sync_interval_ns = NS_PER_HOUR;
    scene_begin(&s);
    scene_skip(&s, NS_PER_HOUR);

    /* The first commit after a pause goes at once. */
    scene_insert(&s, 0, 1, 100);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->acknowledged_txid == 2);
    app_ok(&s.app, "loop 0 50 INSERT INTO t(body) VALUES(randomblob(50))");
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->lag_commits > 0);
    scene_run(&s, 200 * NS_PER_MS);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 2);
    assert_true(scene_status(&s, 0, 0)->lag_ns > 0);
    assert_int_equal(scene_status(&s, 0, 0)->local_txid, 3);

    scene_skip(&s, NS_PER_HOUR);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->acknowledged_txid == 3);
    scene_run(&s, 50 * NS_PER_MS);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 3);
    assert_int_equal(scene_status(&s, 0, 0)->lag_ns, 0);
    scene_assert_replicated(&s, 0, 0);

    /* Who waits, and a pod that ends, do not wait for the interval. */
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 4);
    scene_insert(&s, 0, 1, 100);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->lag_commits > 0);
    engine_drain(s.engine);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->acknowledged_txid == 5);
    scene_insert(&s, 0, 1, 100);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->acknowledged_txid == 6);
    scene_end(&s);
}

static void test_commits_while_a_put_is_under_way_make_the_next_object(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);

    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD});
    scene_insert(&s, 0, 10, 100);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    const struct status_destination *d = scene_status(&s, 0, 0);
    assert_int_equal(d->acknowledged_txid, 1);
    assert_true(d->lag_ns > 0);
    assert_true(d->lag_bytes > 0);
    assert_true(d->dirty_page_count > 0);
    assert_true(d->oldest_unshipped_at_ns > 0);

    uint64_t pages = d->dirty_page_count;
    for (unsigned i = 0; i < 20; i++)
        scene_insert(&s, 0, 10, 500);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->dirty_page_count > pages);
    scene_run(&s, 100 * NS_PER_MS);
    assert_int_equal(flaky_held_count(&s.flaky[0]), 1); /* one in flight */

    flaky_set(&s.flaky[0], STORAGE_OP_PUT, NULL);
    flaky_release(&s.flaky[0]);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->lag_ns == 0);
    d = scene_status(&s, 0, 0);
    assert_int_equal(d->acknowledged_txid, 3);
    assert_int_equal(d->lag_bytes, 0);
    assert_int_equal(d->lag_commits, 0);
    assert_int_equal(d->dirty_page_count, 0);
    assert_int_equal(d->state, STATUS_DESTINATION_FOLLOWING);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

static void test_commit_that_changes_no_page_makes_no_object(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 10, 100);
    scene_sync(&s);

    app_ok(&s.app, "sql 0 UPDATE t SET body = zeroblob(100) WHERE id = 3");
    scene_sync(&s);
    uint64_t puts = s.flaky[0].started[STORAGE_OP_PUT];
    uint64_t frames = scene_db(&s, 0)->frames_total;
    for (unsigned i = 0; i < 5; i++) {
        app_ok(&s.app, "sql 0 BEGIN; UPDATE t SET body = randomblob(100) WHERE id = 3; "
                       "UPDATE t SET body = zeroblob(100) WHERE id = 3; COMMIT");
        scene_sync(&s);
    }
    assert_int_equal(s.flaky[0].started[STORAGE_OP_PUT], puts);
    assert_true(scene_db(&s, 0)->frames_total >= frames + 5);
    assert_int_equal(scene_status(&s, 0, 0)->lag_ns, 0);

    app_ok(&s.app, "sql 0 UPDATE t SET body = x'00' WHERE id = 3");
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].started[STORAGE_OP_PUT], puts + 1);
    scene_end(&s);
}

static void test_idle_database_costs_no_request(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.monitor_interval_ns = 5 * NS_PER_MS;
    s.dest[0].level_interval_ns[0] = 100 * NS_PER_MS;
    s.dest[0].snapshot_interval_ns = NS_PER_DAY;
    s.dest[0].is_retention_enabled = true;
    s.dest[0].l0_retention_ns = NS_PER_MIN;
    s.dest[0].snapshot_retention_ns = NS_PER_DAY;
    scene_begin(&s);
    scene_insert(&s, 0, 10, 100);
    scene_sync(&s);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->levels[1].newest_txid == 2);
    scene_run(&s, 100 * NS_PER_MS);

    uint64_t requests = s.flaky[0].started_total;
    unsigned polls = scene_db(&s, 0)->poll_count;
    scene_run(&s, 500 * NS_PER_MS);
    assert_true(scene_db(&s, 0)->poll_count > polls + 20);
    assert_int_equal(s.flaky[0].started_total, requests);
    assert_true(task_queue_is_idle(&scene_db(&s, 0)->queue));
    scene_end(&s);
}

static void test_log_is_checkpointed_and_cut_while_objects_are_shipped(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.checkpoint_frames = 100;
    s.opt.wal_keep_bytes = 256 << 10;
    scene_begin(&s);

    scene_insert(&s, 0, 1500, 3000); /* a peak: 6 MB of log */
    /* Checkpoints become due by what is written, so writing goes on until one has let it shrink. */
    for (unsigned i = 0; i < 40 || scene_db(&s, 0)->stats_seen.wal_file_bytes >= 4U << 20; i++) {
        scene_insert(&s, 0, 30, 1000);
        scene_sync(&s);
        assert_in_range(i, 0, 1000);
    }
    assert_true(scene_db(&s, 0)->checkpoints[STATUS_CHECKPOINT_PASSIVE].total > 0);
    assert_int_equal(scene_status(&s, 0, 0)->differences_total, 0);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

/* A log that is far larger than what it keeps and has begun anew: the engine is about to cut it. */
static void log_after_a_peak(struct engine_scene *s)
{
    s->opt.checkpoint_frames = 100;
    s->opt.wal_keep_bytes = 64 << 10;
    scene_begin(s);
    scene_insert(s, 0, 6000, 3000); /* 24 MB of log: several cuts */
    scene_sync(s);
    SCENE_UNTIL(s, scene_db(s, 0)->stats_seen.backfilled_frames ==
                       scene_db(s, 0)->stats_seen.log_frames);
}

static void test_engine_that_ends_amid_cutting_the_log_leaves_nothing_behind(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    log_after_a_peak(&s);
    scene_insert(&s, 0, 1, 10); /* the log begins anew, and may be cut */
    SCENE_UNTIL(&s, scene_db(&s, 0)->shrink_task.is_running);
    scene_kill(&s);
    assert_int_equal(loop_next_ns(s.loop), UINT64_MAX); /* no timer of the freed database */
    scene_end(&s);
}

static void test_log_is_not_cut_again_and_again_beside_an_open_transaction(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    log_after_a_peak(&s);
    app_ok(&s.app, "sql 0 BEGIN IMMEDIATE"); /* has nothing to do with the log yet */
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES(1)");
    app_ok(&s.app, "sql 0 COMMIT");
    app_ok(&s.app, "sql 0 BEGIN IMMEDIATE");
    struct database *db = scene_db(&s, 0);
    SCENE_UNTIL_LATER(&s, 100 * NS_PER_MS, db->shrink_wait_ns == 5 * NS_PER_SEC);
    uint64_t tries = db->checkpoints[STATUS_CHECKPOINT_SHRINK].total;
    assert_in_range(tries, 8, 16); /* 20 ms, 40 ms, ... 5 s */
    app_ok(&s.app, "sql 0 ROLLBACK");
    SCENE_UNTIL_LATER(&s, NS_PER_SEC, db->stats_seen.wal_file_bytes < 2U << 20);
    assert_int_equal(db->shrink_wait_ns, 0);
    scene_end(&s);
}

/* Many small commits from another process, as fast as it can, with checkpoints in between: every
 * object leads to a state that the application had. */
static void test_busy_application_is_followed_state_by_state(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.checkpoint_frames = 200;
    scene_begin(&s);
    app_ok(&s.app, "open 1 %s/app0.db", s.folder);

    app_ok(&s.app, "spin 1 INSERT INTO t(body) VALUES(randomblob(300))");
    scene_run(&s, NS_PER_SEC);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->acknowledged_txid > 6); /* also on a busy machine */
    unsigned long done = app_spin_end(&s.app, NULL);
    assert_true(done > 5);
    scene_sync_and_compare(&s);
    assert_true(scene_assert_restorable(&s, 0, 0) > 5);
    assert_int_equal(scene_status(&s, 0, 0)->differences_total, 0);
    scene_end(&s);
}

/* A clock that somebody sets: only the wall's, as NTP or an administrator does it. */
static int64_t wall_step_ns;

static uint64_t stepped_wall_ns(void *scene)
{
    return (uint64_t)((int64_t)scene_wall_ns(scene) + wall_step_ns);
}

static void test_moments_go_on_when_the_clock_is_set_back(void **state UNUSED)
{
    struct engine_scene s;
    struct inventory inv;
    wall_step_ns = 0;
    scene_init(&s);
    s.env.clock.wall_ns = stepped_wall_ns;
    scene_begin(&s);
    for (int i = 0; i < 3; i++) {
        scene_insert(&s, 0, 5, 100);
        scene_sync(&s);
        wall_step_ns -= (int64_t)(3600 * NS_PER_SEC); /* an hour, each time */
    }
    wall_step_ns = (int64_t)(2 * 3600 * NS_PER_SEC);
    scene_insert(&s, 0, 5, 100);
    scene_sync(&s);
    scene_list(&s, 0, 0, &inv);
    const struct inventory_level *raw = &inv.level[0];
    assert_in_range(raw->object_count, 4, 8);
    for (size_t i = 1; i < raw->object_count; i++)
        assert_true(raw->object[i].timestamp_ns >= raw->object[i - 1].timestamp_ns + NS_PER_MS);
    inventory_destroy(&inv);
    scene_assert_restorable(&s, 0, 0);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

static void test_several_databases_share_a_loop(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_engine(&s);
    for (size_t i = 0; i < 4; i++) {
        scene_database(&s, i);
        scene_add(&s, i);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < 4; i++)
            scene_insert(&s, i, 10 * (unsigned)(i + 1), 200);
        scene_sync(&s);
    }
    for (size_t i = 0; i < 4; i++)
        scene_assert_replicated(&s, i, 0);

    struct error err = ERROR_INIT;
    char path[300];
    struct database_options again = s.opt;
    again.path = scene_path(&s, 2, path);
    assert_true(engine_has_database(s.engine, path));
    assert_error(engine_add_database(s.engine, &again, &err), &err, ERR_EXISTS,
                 "replicated already");
    assert_int_equal(scene_stop(&s), 0);
    scene_end(&s);
}

static void test_status_tells_what_the_engine_did(void **state UNUSED)
{
    struct engine_scene s;
    struct status_process p;
    struct error err = ERROR_INIT;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 100, 100);
    scene_sync(&s);

    assert_ok(engine_status(s.engine, &p, &err), &err);
    assert_int_equal(p.db_count, 1);
    assert_string_equal(p.version, "test");
    const struct status_db *db = &p.dbs[0];
    assert_int_equal(db->state, STATUS_DB_FOLLOWING);
    assert_int_equal(db->page_size, 4096);
    assert_true(db->page_count > 3);
    assert_int_equal(db->commits_total, 1);
    assert_true(db->last_commit_at_ns > 0);
    assert_int_equal(db->destination_count, 1);
    const struct status_destination *d = &db->destinations[0];
    assert_string_equal(d->name, "first");
    assert_string_equal(d->type, "file");
    assert_true(d->is_attached);
    assert_int_equal(d->syncs_total, 2);
    assert_int_equal(d->acknowledged_txid, 2);
    assert_int_equal(d->local_txid, 2);
    assert_int_equal(d->epoch, 1);
    assert_int_equal(d->object_count, 2);
    assert_int_equal(d->objects[0].max_txid, 2);
    assert_int_equal(d->objects[1].max_txid, 1);
    assert_int_equal(d->levels[0].object_count, 2);
    assert_int_equal(d->levels[0].written_total, 2);
    assert_int_equal(d->levels[0].newest_txid, 2);
    assert_true(d->restore_oldest_at_ns > 0);
    assert_true(d->restore_newest_at_ns > d->restore_oldest_at_ns);
    assert_true(d->last_success_at_ns > 0);
    assert_null(d->last_error);
    assert_int_equal(d->errors_total, 0);
    assert_int_equal(d->requests.op[STORAGE_OP_PUT].requests, 2);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_first_object_and_increments_lead_to_the_applications_state),
        TEST(test_commits_are_noticed_and_shipped_without_being_asked),
        TEST(test_sync_interval_makes_one_object_of_many_commits),
        TEST(test_commits_while_a_put_is_under_way_make_the_next_object),
        TEST(test_commit_that_changes_no_page_makes_no_object),
        TEST(test_idle_database_costs_no_request),
        TEST(test_log_is_checkpointed_and_cut_while_objects_are_shipped),
        TEST(test_engine_that_ends_amid_cutting_the_log_leaves_nothing_behind),
        TEST(test_log_is_not_cut_again_and_again_beside_an_open_transaction),
        TEST(test_busy_application_is_followed_state_by_state),
        TEST(test_moments_go_on_when_the_clock_is_set_back),
        TEST(test_several_databases_share_a_loop),
        TEST(test_status_tells_what_the_engine_did),
    };
    return TEST_MAIN(tests);
}
