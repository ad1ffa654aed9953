/*
 * A database's life under the engine: not there yet, not in WAL mode, replaced, short of space,
 * one of hundreds; and how everything ends.
 */
#include <malloc.h>

#include "sidecar/engine/engine_scene.h"

static enum status_db_state state_of(const struct engine_scene *s)
{
    return scene_db(s, 0)->state;
}

static const struct status_db *db_status(struct engine_scene *s)
{
    struct status_process process;
    struct error err = ERROR_INIT;

    assert_ok(engine_status(s->engine, &process, &err), &err);
    return &process.dbs[0];
}

/* ---- appearing ---- */

static void test_database_that_appears_later_is_followed(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_ABSENT);
    scene_sync(&s); /* nothing is there, so nothing is unshipped */
    assert_int_equal(s.flaky[0].started_total, 0);
    scene_database(&s, 0);
    scene_insert(&s, 0, 10, 100);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->acknowledged_txid > 0);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_sync_looks_for_a_database_that_nobody_has_noticed_yet(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_ABSENT);
    scene_database(&s, 0); /* the loop does not run meanwhile: no event is seen */
    scene_insert(&s, 0, 10, 100);
    scene_sync(&s);
    assert_true(scene_acknowledged(&s) > 0);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

static void test_database_is_waited_for_until_it_is_in_wal_mode(void **state UNUSED)
{
    struct engine_scene s;
    char path[300];
    scene_init(&s);
    s.opt.enable_wal = false;
    app_ok(&s.app, "open 0 %s", scene_path(&s, 0, path));
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_NOT_WAL);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES(1)");
    app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_FOLLOWING);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_wal_mode_is_switched_on_if_that_was_ordered(void **state UNUSED)
{
    struct engine_scene s;
    char path[300];
    scene_init(&s);
    app_ok(&s.app, "open 0 %s", scene_path(&s, 0, path));
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_FOLLOWING);
    scene_insert(&s, 0, 10, 100);
    assert_string_equal(app_ok(&s.app, "sql 0 PRAGMA journal_mode"), "wal");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_file_that_is_no_database_is_told_and_waited_for(void **state UNUSED)
{
    struct engine_scene s;
    char path[300];
    scene_init(&s);
    scene_shell("yes garbage | head -c 20000 > %s/app0.db", s.folder);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_DAMAGED);
    assert_int_equal(s.flaky[0].started_total, 0);
    assert_int_equal(unlink(scene_path(&s, 0, path)), 0);
    scene_database(&s, 0);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_FOLLOWING);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* ---- changing under us ---- */

static void test_database_that_is_replaced_while_running_is_judged_anew(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 10, 100);
    scene_sync(&s);

    /* Deleted and made anew: that is another database, and the backup stays. */
    app_ok(&s.app, "close 0");
    scene_shell("rm %s/app0.db*", s.folder);
    scene_database(&s, 0);
    scene_insert(&s, 0, 1, 100);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_REFUSED);
    assert_int_equal(scene_count(&s, 0, 0, 0), 2);
    assert_int_equal(scene_stop(&s), 1);
    assert_int_equal(s.first_error.code, ERR_WRONG_STATE);
    scene_end(&s);
}

static void test_database_that_is_deleted_while_running_becomes_absent(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    app_ok(&s.app, "close 0");
    scene_shell("rm %s/app0.db*", s.folder);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_ABSENT);
    assert_int_equal(scene_stop(&s), 0);
    scene_end(&s);
}

static void test_other_page_size_is_a_full_copy_and_a_snapshot(void **state UNUSED)
{
    static const unsigned sizes[] = {8192, 512, 65536, 4096};
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].level_interval_ns[0] = 30 * NS_PER_SEC;
    scene_begin(&s);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (unsigned k = 0; k < 2; k++) {
            scene_insert(&s, 0, 200, 300);
            scene_sync(&s);
        }
        assert_int_equal(scene_stop(&s), 0);
        app_ok(&s.app, "sql 0 PRAGMA journal_mode=DELETE");
        app_ok(&s.app, "sql 0 PRAGMA page_size=%u", sizes[i]);
        app_ok(&s.app, "sql 0 VACUUM");
        app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
        scene_engine(&s);
        scene_add(&s, 0);
        scene_sync(&s);
        uint64_t txid = scene_status(&s, 0, 0)->acknowledged_txid;
        SCENE_UNTIL(&s, scene_status(&s, 0, 0)->snapshot_txid == txid);
        const struct status_destination *told = scene_status(&s, 0, 0);
        assert_true(told->snapshot_count > 0);
        assert_int_equal(told->snapshots[told->snapshot_count - 1].max_txid, txid);
        assert_int_equal(scene_db(&s, 0)->end_seen.page_size, sizes[i]);
        scene_assert_replicated(&s, 0, 0);
        scene_insert(&s, 0, 1, 300);
        scene_sync_and_compare(&s);
        scene_skip(&s, NS_PER_MIN);
        SCENE_UNTIL(&s, scene_status(&s, 0, 0)->levels[1].newest_txid == txid + 1);
    }
    scene_assert_restorable(&s, 0, 0);
    scene_end(&s);
}

static void test_reader_of_the_application_is_told_and_does_not_stop_shipping(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.checkpoint_frames = 20;
    scene_begin(&s);
    scene_insert(&s, 0, 10, 100);
    app_ok(&s.app, "open 1 %s/app0.db", s.folder);
    app_ok(&s.app, "sql 1 BEGIN");
    app_ok(&s.app, "sql 1 SELECT count(*) FROM t");
    for (unsigned i = 0; i < 10; i++) {
        scene_insert(&s, 0, 50, 300);
        scene_sync(&s);
    }
    SCENE_UNTIL(&s, scene_db(&s, 0)->blocked_since_ns > 0);
    scene_assert_replicated(&s, 0, 0);
    app_ok(&s.app, "sql 1 COMMIT");
    scene_skip(&s, NS_PER_MIN);
    scene_insert(&s, 0, 50, 300);
    SCENE_UNTIL(&s, scene_db(&s, 0)->blocked_since_ns == 0);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->differences_total, 0);
    scene_end(&s);
}

static void test_killed_application_does_not_disturb(void **state UNUSED)
{
    struct engine_scene s;
    char path[300];
    scene_init(&s);
    scene_begin(&s);
    for (unsigned i = 0; i < 5; i++) {
        app_ok(&s.app, "spin 0 INSERT INTO t(body) VALUES(randomblob(2000))");
        scene_run(&s, 30 * NS_PER_MS);
        app_kill(&s.app);
        app_start(&s.app);
        app_ok(&s.app, "open 0 %s", scene_path(&s, 0, path));
        app_ok(&s.app, "sql 0 PRAGMA busy_timeout=10000");
        scene_insert(&s, 0, 1, 100);
        scene_sync_and_compare(&s);
    }
    scene_end(&s);
}

static void test_torn_header_of_the_log_is_recovered(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 10, 100);
    scene_sync(&s);
    app_ok(&s.app, "tear %s/app0.db", s.folder);
    SCENE_UNTIL(&s, follower_look(scene_db(&s, 0)->follower) == LOOK_TORN);
    SCENE_UNTIL_LATER(&s, NS_PER_SEC,
                      database_is_following(scene_db(&s, 0)) &&
                          follower_look(scene_db(&s, 0)->follower) == LOOK_SAME);
    scene_insert(&s, 0, 10, 100);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_exclusive_application_is_waited_for(void **state UNUSED)
{
    struct engine_scene s;
    char path[300];
    scene_init(&s);
    s.opt.busy_timeout_ns = 50 * NS_PER_MS;
    app_ok(&s.app, "open 0 %s", scene_path(&s, 0, path));
    app_ok(&s.app, "sql 0 PRAGMA locking_mode=EXCLUSIVE");
    app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, state_of(&s) != STATUS_DB_OPENING);
    assert_int_not_equal(state_of(&s), STATUS_DB_FOLLOWING);
    assert_non_null(scene_db(&s, 0)->state_detail);
    app_ok(&s.app, "close 0");
    scene_database(&s, 0);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_FOLLOWING);
    scene_insert(&s, 0, 10, 100);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* ---- the reserve of free disk space ---- */

static void test_below_the_reserve_the_log_is_the_applications(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.reserve_bytes = 64U << 20;
    scene_begin(&s);
    scene_insert(&s, 0, 100, 1000);
    scene_sync(&s);
    /* We hold a reader: the application cannot truncate. */
    scene_insert(&s, 0, 1, 10);
    assert_string_equal(app_ok(&s.app, "sql 0 PRAGMA busy_timeout=50"), "50");
    assert_int_equal(app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)")[0], '1');

    atomic_store(&s.free_bytes, 10 << 20);
    scene_skip(&s, 10 * NS_PER_SEC);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_DISK_FULL);
    assert_string_equal(app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0");
    scene_insert(&s, 0, 10, 1000);
    assert_string_equal(app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0");
    scene_insert(&s, 0, 10, 1000);
    scene_run(&s, 50 * NS_PER_MS);
    /* Who asks is not told that everything is shipped. */
    s.is_done = false;
    engine_sync(s.engine, 100 * NS_PER_MS, scene_on_done, &s);
    SCENE_UNTIL(&s, s.is_done);
    assert_int_equal(s.unshipped, 1);

    atomic_store(&s.free_bytes, 70 << 20); /* not enough yet: no swinging */
    scene_skip(&s, 10 * NS_PER_SEC);
    scene_run(&s, 100 * NS_PER_MS);
    assert_int_equal(state_of(&s), STATUS_DB_DISK_FULL);
    atomic_store(&s.free_bytes, 100 << 20);
    scene_skip(&s, 10 * NS_PER_SEC);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_FOLLOWING);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->differences_total, 1);
    scene_insert(&s, 0, 10, 1000);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_below_the_reserve_a_store_that_comes_back_has_to_wait(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.reserve_bytes = 64U << 20;
    flaky_set(&s.flaky[0], STORAGE_OP_KINDS, &(struct flaky_rule){.fault = FLAKY_FAIL});
    scene_database(&s, 0);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->error_streak > 0);
    atomic_store(&s.free_bytes, 1);
    scene_skip(&s, 10 * NS_PER_SEC);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_DISK_FULL);
    flaky_set(&s.flaky[0], STORAGE_OP_KINDS, NULL);
    scene_skip(&s, NS_PER_MIN);
    SCENE_UNTIL(&s, s.flaky[0].started[STORAGE_OP_LIST] > 1);
    scene_run(&s, 100 * NS_PER_MS);
    assert_int_equal(state_of(&s), STATUS_DB_DISK_FULL); /* attaching does not take the log again */
    atomic_store(&s.free_bytes, -1);
    scene_skip(&s, NS_PER_MIN);
    SCENE_UNTIL(&s, state_of(&s) == STATUS_DB_FOLLOWING);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* ---- the end ---- */

static void test_stop_ships_the_tail_of_all_databases(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest_count = 2;
    for (size_t d = 0; d < 2; d++)
        s.dest[d].sync_interval_ns = NS_PER_HOUR;
    scene_engine(&s);
    for (size_t i = 0; i < 5; i++) {
        scene_database(&s, i);
        scene_add(&s, i);
    }
    scene_sync(&s);
    for (size_t i = 0; i < 5; i++)
        scene_insert(&s, i, 10, 100);
    for (size_t i = 0; i < 5; i++)
        SCENE_UNTIL(&s, scene_status(&s, i, 1)->lag_commits > 0);
    assert_int_equal(scene_stop(&s), 0);
    for (size_t i = 0; i < 5; i++) {
        scene_assert_replicated(&s, i, 0);
        scene_assert_replicated(&s, i, 1);
    }
    scene_end(&s);
}

static void test_stop_tells_what_could_not_be_shipped(void **state UNUSED)
{
    static const struct {
        enum flaky_fault fault;
        enum error_code code; /* why */
    } rows[] = {{FLAKY_HOLD, ERR_NONE}, {FLAKY_FAIL, ERR_UNAVAILABLE}};

    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        struct engine_scene s;
        scene_init(&s);
        scene_engine(&s);
        for (size_t i = 0; i < 3; i++) {
            scene_database(&s, i);
            scene_add(&s, i);
        }
        scene_sync(&s);
        flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = rows[r].fault});
        scene_insert(&s, 1, 10, 100);
        scene_insert(&s, 2, 10, 100);
        s.is_done = false;
        engine_stop(s.engine, scene_on_done, &s);
        SCENE_UNTIL(&s, s.flaky[0].suffered >= 2);
        scene_run(&s, 20 * NS_PER_MS);
        assert_false(s.is_done); /* it may still come */
        scene_skip(&s, NS_PER_MIN);
        SCENE_UNTIL(&s, s.is_done);
        assert_int_equal(s.unshipped, 2);
        assert_non_null(strstr(s.first_path, "/app1.db"));
        assert_int_equal(s.first_error.code, rows[r].code);
        scene_end(&s);
    }
}

static void test_stop_is_quick_when_there_is_nothing_to_do(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_engine(&s);
    assert_int_equal(scene_stop(&s), 0); /* no database at all */
    scene_begin(&s);
    uint64_t began = env_monotonic_ns(env_real());
    assert_int_equal(scene_stop(&s), 0);
    assert_true(env_monotonic_ns(env_real()) - began < 5 * NS_PER_SEC);

    /* Also when it comes before anything was looked at. */
    scene_engine(&s);
    scene_add(&s, 0);
    assert_int_equal(scene_stop(&s), 0);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

/* A database that is being opened has not been looked at: whoever has no time learns that nothing is
 * known of it, with no error, and may ask again. */
static void test_orders_without_time_do_not_take_a_database_for_shipped(void **state UNUSED)
{
    static scene_order *const orders[] = {engine_sync, engine_snapshot, engine_expire};

    for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
        struct engine_scene s;
        scene_init(&s);
        scene_database(&s, 0);
        scene_insert(&s, 0, 5, 100);
        scene_engine(&s);
        scene_add(&s, 0);
        s.is_done = false;
        orders[i](s.engine, 0, scene_on_done, &s);
        SCENE_UNTIL(&s, s.is_done);
        assert_int_equal(s.unshipped, 1);
        assert_int_equal(s.first_error.code, ERR_NONE);
        scene_wait(&s, orders[i]);
        scene_sync_and_compare(&s);
        scene_end(&s);
    }
}

static void test_sync_of_one_database_does_not_wait_for_others(void **state UNUSED)
{
    struct engine_scene s;
    struct error err = ERROR_INIT;
    char path[300];
    scene_init(&s);
    scene_engine(&s);
    scene_database(&s, 0);
    scene_add(&s, 0);
    scene_sync(&s);
    scene_database(&s, 1);
    flaky_set(&s.flaky[0], STORAGE_OP_LIST, &(struct flaky_rule){.fault = FLAKY_HOLD});
    scene_add(&s, 1);
    scene_insert(&s, 0, 1, 100);
    s.is_done = false;
    assert_ok(engine_sync_database(s.engine, scene_path(&s, 0, path), 10 * NS_PER_SEC,
                                   scene_on_done, &s, &err),
              &err);
    SCENE_UNTIL(&s, s.is_done);
    assert_int_equal(s.unshipped, 0);
    scene_assert_replicated(&s, 0, 0);
    assert_error(engine_sync_database(s.engine, "/nowhere", NS_PER_SEC, scene_on_done, &s, &err),
                 &err, ERR_NOT_FOUND, "/nowhere");
    scene_end(&s);
}

/* Ending at any moment: no leak, no hang, and the next start goes on. */
static void test_engine_can_be_freed_at_any_moment(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest_count = 2;
    s.dest[0].level_interval_ns[0] = NS_PER_MS;
    s.dest[0].snapshot_interval_ns = 2 * NS_PER_MS;
    s.dest[0].l0_retention_ns = 10 * NS_PER_MS;
    s.dest[0].snapshot_retention_ns = NS_PER_SEC;
    s.dest[0].is_retention_enabled = true;
    s.opt.checkpoint_frames = 10;
    scene_database(&s, 0);
    for (unsigned turns = 0; turns < 60; turns++) {
        scene_engine(&s);
        scene_add(&s, 0);
        for (unsigned i = 0; i < turns; i++) {
            scene_turn(&s, UINT64_MAX, "");
            if (i % 8 == 5)
                scene_insert(&s, 0, 3, 500);
        }
        scene_kill(&s);
    }
    /* Proof of ownership lasts half of it, and a listing of a busy machine takes its time. */
    s.dest[0].l0_retention_ns = NS_PER_MIN;
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync(&s);
    scene_assert_replicated(&s, 0, 0);
    scene_assert_replicated(&s, 0, 1);
    scene_kill(&s); /* its retention would delete what was just listed */
    scene_assert_restorable(&s, 0, 0);
    scene_end(&s);
}

/* ---- many ---- */

enum {
    MANY = 300,
    CROWD = 40, /* more than attach to one bucket at a time (bucket.c) */
    TURNS = 32,
};

static void databases_make(struct engine_scene *s, size_t count)
{
    char path[300];

    for (size_t i = 0; i < count; i++) {
        app_ok(&s->app, "open 0 %s", scene_path(s, i, path));
        app_ok(&s->app, "sql 0 PRAGMA journal_mode=WAL");
        app_ok(&s->app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
        app_ok(&s->app, "close 0");
    }
}

/* How many chains have asked the bucket what it holds, and how many wait for their turn to ask. */
static void turns_count(const struct engine_scene *s, size_t *out_asking, size_t *out_waiting)
{
    *out_asking = *out_waiting = 0;
    for (size_t i = 0; i < s->engine->db_count; i++) {
        const struct chain *c = &s->engine->dbs[i]->chains[0];
        *out_asking += c->turn_bucket && c->has_turn;
        *out_waiting += c->turn_bucket && !c->has_turn;
    }
}

static bool crowd_stands(const struct engine_scene *s)
{
    size_t asking;
    size_t waiting;

    turns_count(s, &asking, &waiting);
    assert_in_range(asking, 0, TURNS);
    return asking == TURNS && waiting == CROWD - TURNS;
}

static void test_crowd_of_databases_attaches_in_turns(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    databases_make(&s, CROWD);
    flaky_set(&s.flaky[0], STORAGE_OP_LIST, &(struct flaky_rule){.fault = FLAKY_HOLD});
    scene_engine(&s);
    for (size_t i = 0; i < CROWD; i++)
        scene_add(&s, i);
    SCENE_UNTIL(&s, crowd_stands(&s));
    flaky_set(&s.flaky[0], STORAGE_OP_LIST, NULL);
    flaky_release(&s.flaky[0]);
    scene_sync(&s);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(scene_status(&s, i, 0)->acknowledged_txid, 1);
    scene_end(&s);
}

static void test_engine_can_be_freed_while_databases_wait_for_their_turn(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    databases_make(&s, CROWD);
    flaky_set(&s.flaky[0], STORAGE_OP_LIST, &(struct flaky_rule){.fault = FLAKY_HOLD});
    scene_engine(&s);
    for (size_t i = 0; i < CROWD; i++)
        scene_add(&s, i);
    SCENE_UNTIL(&s, crowd_stands(&s));
    scene_kill(&s); /* every one of them, in the order of the engine */
    flaky_set(&s.flaky[0], STORAGE_OP_LIST, NULL);
    scene_engine(&s);
    for (size_t i = 0; i < CROWD; i++)
        scene_add(&s, i);
    scene_sync(&s);
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(scene_status(&s, i, 0)->acknowledged_txid, 1);
    scene_end(&s);
}

static void test_hundreds_of_idle_databases_cost_nothing(void **state UNUSED)
{
    struct engine_scene s;
    char path[300];
    scene_init(&s);
    s.opt.monitor_interval_ns = 20 * NS_PER_MS;
    s.dest[0].level_interval_ns[0] = 30 * NS_PER_SEC;
    s.dest[0].snapshot_interval_ns = NS_PER_DAY;
    s.dest[0].is_retention_enabled = true;
    s.dest[0].l0_retention_ns = 5 * NS_PER_MIN;
    s.dest[0].snapshot_retention_ns = NS_PER_DAY;
    databases_make(&s, MANY);
    scene_engine(&s);
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < MANY; i++)
        scene_add(&s, i);
    scene_sync(&s);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(scene_status(&s, i, 0)->acknowledged_txid, 1);
    scene_run(&s, 100 * NS_PER_MS);
    size_t after = mallinfo2().uordblks;
    print_message("# %zu bytes of heap for each of %d databases\n", (after - before) / MANY,
                  (int)MANY);

    uint64_t requests = s.flaky[0].started_total;
    unsigned polls = scene_db(&s, 0)->poll_count;
    scene_run(&s, 500 * NS_PER_MS);
    assert_true(scene_db(&s, 0)->poll_count > polls + 5);
    assert_int_equal(s.flaky[0].started_total, requests);
    assert_int_equal(loop_job_count(s.loop), 0);

    /* One that wakes up is found among them. */
    app_ok(&s.app, "open 0 %s", scene_path(&s, 217, path));
    scene_insert(&s, 0, 10, 100);
    SCENE_UNTIL(&s, scene_status(&s, 217, 0)->acknowledged_txid == 2);
    app_ok(&s.app, "close 0");
    assert_int_equal(scene_stop(&s), 0);
    scene_end(&s);
}

static void test_locks_that_are_lost_are_counted_and_taken_again(void **state UNUSED)
{
    struct engine_scene s;
    char path[300];
    scene_init(&s);
    scene_begin(&s);
    assert_int_equal(db_status(&s)->locks_lost_total, 0);
    int fd = open(scene_path(&s, 0, path), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0); /* drops every lock that this process has on the file */
    scene_insert(&s, 0, 10, 100);
    task_queue_push(&scene_db(&s, 0)->queue, &scene_db(&s, 0)->checkpoint_task);
    SCENE_UNTIL(&s, db_status(&s)->locks_lost_total == 1 && state_of(&s) == STATUS_DB_FOLLOWING);
    scene_sync_and_compare(&s);
    assert_int_equal(db_status(&s)->locks_lost_total, 1);
    scene_end(&s);
}

/* A task that keeps the queue of the database until the test lets it go. */
struct gate {
    struct task task;
    uv_sem_t is_open;
};

static void gate_work(struct task *task)
{
    struct gate *gate = CONTAINER_OF(task, struct gate, task);

    uv_sem_wait(&gate->is_open);
}

static void gate_done(struct task *task UNUSED)
{
    /* What is queued behind it begins when this returns. */
}

/* What is queued already still needs to know it: the end comes by a task, behind all others. */
static void test_what_the_store_lacks_is_known_until_the_database_is_closed(void **state UNUSED)
{
    struct engine_scene s;
    struct error why = ERROR_INIT;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 10, 100);
    scene_sync(&s);
    struct database *db = scene_db(&s, 0);
    struct chain *c = scene_chain(&s, 0, 0);
    SCENE_UNTIL(&s, chain_is_quiet(c) && task_queue_is_idle(&db->queue));

    struct gate gate = {.task = {.work = gate_work, .done = gate_done, .urgency = TASK_URGENT}};
    assert_int_equal(uv_sem_init(&gate.is_open, 0), 0);
    task_queue_push(&db->queue, &gate.task);
    c->needs_all = true; /* as after a first copy that the store did not get */
    task_queue_push(&db->queue, &c->encode_task);
    (void)error_set(&why, ERR_IO, EIO, "a checkpoint met a disk with errors");
    database_reopen(db, &why);
    /* Asserted when the gate is open: the worker behind it would wait for ever. */
    bool is_queued = task_is_pending(&c->encode_task);
    bool is_known = c->needs_all && c->is_tracking;
    uv_sem_post(&gate.is_open);
    assert_true(is_queued);
    assert_true(is_known);
    SCENE_UNTIL(&s, !task_is_pending(&c->encode_task));
    assert_int_equal(c->encode_result, ENCODE_OBJECT);
    assert_true(c->out.has_every_page);

    SCENE_UNTIL(&s, !db->follower);
    assert_false(c->is_tracking);
    scene_insert(&s, 0, 10, 100);
    scene_sync_and_compare(&s);
    uv_sem_destroy(&gate.is_open);
    scene_end(&s);
}

static void test_status_tells_that_a_database_is_being_compared(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    SCENE_UNTIL(&s, chain_is_quiet(scene_chain(&s, 0, 0)));
    assert_int_equal(db_status(&s)->state, STATUS_DB_FOLLOWING);
    scene_chain(&s, 0, 0)->needs_difference = true;
    scene_insert(&s, 0, 10, 100);
    SCENE_UNTIL(&s, db_status(&s)->state == STATUS_DB_DIFFERENCE);
    assert_non_null(strstr(db_status(&s)->state_detail, "comparing"));
    SCENE_UNTIL(&s, db_status(&s)->state == STATUS_DB_FOLLOWING);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->differences_total, 1);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_database_that_appears_later_is_followed),
        TEST(test_sync_looks_for_a_database_that_nobody_has_noticed_yet),
        TEST(test_database_is_waited_for_until_it_is_in_wal_mode),
        TEST(test_wal_mode_is_switched_on_if_that_was_ordered),
        TEST(test_file_that_is_no_database_is_told_and_waited_for),
        TEST(test_database_that_is_replaced_while_running_is_judged_anew),
        TEST(test_database_that_is_deleted_while_running_becomes_absent),
        TEST(test_other_page_size_is_a_full_copy_and_a_snapshot),
        TEST(test_reader_of_the_application_is_told_and_does_not_stop_shipping),
        TEST(test_killed_application_does_not_disturb),
        TEST(test_torn_header_of_the_log_is_recovered),
        TEST(test_exclusive_application_is_waited_for),
        TEST(test_below_the_reserve_the_log_is_the_applications),
        TEST(test_below_the_reserve_a_store_that_comes_back_has_to_wait),
        TEST(test_stop_ships_the_tail_of_all_databases),
        TEST(test_stop_tells_what_could_not_be_shipped),
        TEST(test_stop_is_quick_when_there_is_nothing_to_do),
        TEST(test_orders_without_time_do_not_take_a_database_for_shipped),
        TEST(test_sync_of_one_database_does_not_wait_for_others),
        TEST(test_engine_can_be_freed_at_any_moment),
        TEST(test_crowd_of_databases_attaches_in_turns),
        TEST(test_engine_can_be_freed_while_databases_wait_for_their_turn),
        TEST(test_hundreds_of_idle_databases_cost_nothing),
        TEST(test_locks_that_are_lost_are_counted_and_taken_again),
        TEST(test_what_the_store_lacks_is_known_until_the_database_is_closed),
        TEST(test_status_tells_that_a_database_is_being_compared),
    };
    return TEST_MAIN(tests);
}
