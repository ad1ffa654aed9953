/*
 * Coming back: which database may go on where the bucket ends, and how much it has to send.
 */
#include "sidecar/engine/engine_scene.h"

/* A replicated database with some life, engine stopped, application still there. */
static void scene_lived(struct engine_scene *s)
{
    scene_begin(s);
    for (unsigned i = 0; i < 5; i++) {
        scene_insert(s, 0, 100, 500);
        scene_sync(s);
    }
    assert_int_equal(scene_stop(s), 0);
}

static void scene_return(struct engine_scene *s)
{
    scene_engine(s);
    scene_add(s, 0);
}

/* The last connection's closing puts everything into the database file and removes the log. */
static void scene_close_app(struct engine_scene *s)
{
    app_ok(&s->app, "close 0");
}

static void expect_refused(struct engine_scene *s, const char *reason_part)
{
    uint64_t puts = s->flaky[0].started[STORAGE_OP_PUT];

    SCENE_UNTIL(s, scene_chain(s, 0, 0)->state == CHAIN_REFUSED);
    const struct status_destination *d = scene_status(s, 0, 0);
    assert_int_equal(d->state, STATUS_DESTINATION_REFUSED);
    if (!strstr(d->state_detail, reason_part)) {
        print_error("# refused for \"%s\", wanted \"%s\"\n", d->state_detail, reason_part);
        fail();
    }
    assert_non_null(d->last_error_hint);
    /* Nothing is written, whatever is committed, and nobody believes that it is. */
    scene_insert(s, 0, 1, 10);
    scene_run(s, 100 * NS_PER_MS);
    assert_int_equal(s->flaky[0].started[STORAGE_OP_PUT], puts);
    assert_int_equal(scene_stop(s), 1);
    assert_int_equal(s->first_error.code, ERR_WRONG_STATE);
}

/* ---- the same database ---- */

static void test_restart_goes_on_in_the_same_log(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_insert(&s, 0, 3, 100);
    scene_insert(&s, 0, 3, 100);
    scene_return(&s);
    scene_sync_and_compare(&s);
    const struct status_destination *d = scene_status(&s, 0, 0);
    assert_int_equal(d->acknowledged_txid, 7);
    assert_int_equal(d->differences_total, 0);
    assert_true(d->sync_pages_total < 6);
    assert_int_equal(d->epoch, 2);

    /* Nothing happened: nothing is sent. */
    assert_int_equal(scene_stop(&s), 0);
    scene_return(&s);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 7);
    assert_int_equal(scene_status(&s, 0, 0)->syncs_total, 0);
    scene_end(&s);
}

/* What the application may do while nobody looks. */
static void test_restart_after_anything_sends_only_the_difference(void **state UNUSED)
{
    static const struct {
        const char *name;
        const char *sql[6];
        unsigned pages_max; /* that are sent; 0: any number */
    } rows[] = {
        {"log restarted", {"PRAGMA wal_checkpoint(RESTART)", "DELETE FROM t WHERE id = 7"}, 8},
        {"log restarted twice",
         {"PRAGMA wal_checkpoint(RESTART)", "DELETE FROM t WHERE id = 7",
          "PRAGMA wal_checkpoint(RESTART)", "DELETE FROM t WHERE id = 8"},
         8},
        {"log truncated",
         {"DELETE FROM t WHERE id = 7", "PRAGMA wal_checkpoint(TRUNCATE)",
          "INSERT INTO t(body) VALUES(x'00')"},
         8},
        {"truncated and quiet",
         {"DELETE FROM t WHERE id = 7", "PRAGMA wal_checkpoint(TRUNCATE)"},
         8},
        {"shrunk", {"DELETE FROM t WHERE id > 20", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"}, 0},
        {"shrunk and grown",
         {"DELETE FROM t WHERE id > 20", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)",
          "INSERT INTO t(body) SELECT randomblob(3000) FROM t"},
         0},
        {"nothing but a checkpoint", {"PRAGMA wal_checkpoint(TRUNCATE)"}, 0},
        {"new schema",
         {"CREATE TABLE v(x)", "INSERT INTO v SELECT body FROM t", "DROP TABLE t",
          "PRAGMA wal_checkpoint(RESTART)", "CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)"},
         0},
    };

    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        struct engine_scene s;
        test_row(rows[r].name);
        scene_init(&s);
        scene_lived(&s);
        for (size_t i = 0; i < ARRAY_LEN(rows[r].sql) && rows[r].sql[i]; i++)
            app_ok(&s.app, "sql 0 %s", rows[r].sql[i]);
        scene_return(&s);
        scene_sync_and_compare(&s);
        const struct status_destination *d = scene_status(&s, 0, 0);
        assert_int_equal(d->differences_total, 1);
        if (rows[r].pages_max)
            assert_in_range(d->sync_pages_total, 1, rows[r].pages_max);
        scene_insert(&s, 0, 3, 100);
        scene_sync_and_compare(&s);
        assert_int_equal(scene_status(&s, 0, 0)->differences_total, 1);
        assert_true(scene_assert_restorable(&s, 0, 0) >= 7);
        scene_end(&s);
    }
}

/* What may become of a log while nobody has it open. What counts is what SQLite makes of it. */
static void test_log_that_was_cut_or_exchanged_while_down_is_made_up_for(void **state UNUSED)
{
    static const struct {
        const char *name;
        const char *shell; /* in the folder of the database */
    } rows[] = {
        {"nothing", ":"},
        {"deleted", "rm app0.db-wal"},
        {"emptied", ": >app0.db-wal"},
        {"cut in its header", "truncate -s 20 app0.db-wal"},
        {"cut in the middle of a frame", "truncate -s 5000 app0.db-wal"},
        {"cut behind a commit that was replicated",
         "truncate -s $(($(stat -c %s app0.db-wal) - 4120)) app0.db-wal"},
        {"an earlier log of the same database", "cp earlier-wal app0.db-wal"},
        {"the log of another database", "cp other.db-wal app0.db-wal"},
        {"rubbish", "head -c 100000 /dev/urandom >app0.db-wal"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine_scene s;
        char path[300];
        test_row(rows[i].name);
        scene_init(&s);
        scene_begin(&s);
        scene_insert(&s, 0, 20, 500);
        scene_sync(&s);
        scene_shell("cd %s && cp app0.db-wal earlier-wal", s.folder);
        /* Another database, whose log is left behind by a kill. */
        app_ok(&s.app, "open 1 %s/other.db", s.folder);
        app_ok(&s.app, "sql 1 PRAGMA journal_mode=WAL");
        app_ok(&s.app, "sql 1 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
        app_ok(&s.app, "sql 1 INSERT INTO t(body) SELECT randomblob(500) FROM "
                       "(SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)");
        scene_insert(&s, 0, 20, 500);
        scene_sync(&s);
        assert_int_equal(scene_stop(&s), 0);
        app_kill(&s.app);
        scene_shell("cd %s && rm -f app0.db-shm && %s", s.folder, rows[i].shell);

        app_start(&s.app);
        app_ok(&s.app, "open 0 %s", scene_path(&s, 0, path));
        app_ok(&s.app, "sql 0 PRAGMA user_version"); /* SQLite recovers what it finds */
        scene_return(&s);
        SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_FOLLOWING);
        scene_sync(&s);
        scene_assert_replicated(&s, 0, 0);
        scene_end(&s);
    }
}

static void test_restart_without_a_map_that_finds_its_log_sends_all_pages(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_shell("rm -r %s/.app0.db-walferry", s.folder);
    scene_insert(&s, 0, 3, 100);
    scene_return(&s);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 7);
    assert_int_equal(scene_status(&s, 0, 0)->sync_pages_total,
                     scene_db(&s, 0)->end_seen.page_count);
    /* Restores need a place to begin behind it. */
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->snapshot_txid == 7);
    assert_true(scene_assert_restorable(&s, 0, 0) >= 8);
    scene_end(&s);
}

static void test_restart_without_a_map_on_equal_content_rebuilds_it(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_close_app(&s);
    scene_shell("rm -r %s/.app0.db-walferry", s.folder);
    scene_database(&s, 0);
    scene_return(&s);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->syncs_total, 0);
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    assert_true(scene_status(&s, 0, 0)->sync_pages_total < 6);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 7);
    scene_end(&s);
}

static void test_damaged_map_counts_as_none(void **state UNUSED)
{
    static const char *const damages[] = {
        "truncate -s 50 first.map",
        "truncate -s -8 first.map",
        "printf xxxx | dd of=first.map bs=1 seek=20 conv=notrunc status=none",
        "printf xxxx | dd of=first.map bs=1 seek=150 conv=notrunc status=none",
        ": > first.map",
    };

    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct engine_scene s;
        test_row(damages[i]);
        scene_init(&s);
        scene_lived(&s);
        scene_close_app(&s);
        scene_shell("cd %s/.app0.db-walferry && %s", s.folder, damages[i]);
        scene_database(&s, 0);
        scene_return(&s);
        scene_sync(&s);
        scene_insert(&s, 0, 1, 100);
        scene_sync_and_compare(&s);
        assert_true(scene_status(&s, 0, 0)->sync_pages_total < 6);
        scene_end(&s);
    }
}

static void test_bucket_that_lost_its_newest_objects_gets_all_pages(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_shell("rm %s/bucket-0-0/ltx/0/*6.ltx %s/bucket-0-0/ltx/0/*5.ltx", s.folder, s.folder);
    scene_return(&s);
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 5);
    scene_end(&s);
}

static void test_bucket_with_a_hole_gets_a_snapshot_to_restore_from(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    /* 4 is gone, and so is the map: the newest state cannot be restored by the chain. */
    scene_shell("rm %s/bucket-0-0/ltx/0/*4.ltx; rm -r %s/.app0.db-walferry", s.folder, s.folder);
    scene_insert(&s, 0, 1, 100);
    scene_return(&s);
    scene_sync(&s);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->snapshot_txid == 7);
    scene_assert_replicated(&s, 0, 0);
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* ---- another database, or another time ---- */

static void keep(struct engine_scene *s)
{
    scene_shell("cd %s && cp app0.db kept.db && cp -r .app0.db-walferry kept-map", s->folder);
}

static void put_back(struct engine_scene *s, bool with_map)
{
    scene_shell("cd %s && rm -f app0.db-wal app0.db-shm && cp kept.db copy && mv copy app0.db",
                s->folder);
    if (with_map) {
        scene_shell("cd %s && rm -r .app0.db-walferry && cp -r kept-map .app0.db-walferry",
                    s->folder);
    }
}

/* kept.db is the state of TXID 6, the bucket is at 8. */
static void scene_with_old_copy(struct engine_scene *s)
{
    scene_lived(s);
    scene_close_app(s);
    keep(s);
    scene_database(s, 0);
    scene_return(s);
    for (unsigned i = 0; i < 2; i++) {
        scene_insert(s, 0, 10, 100);
        scene_sync(s);
    }
    assert_int_equal(scene_status(s, 0, 0)->acknowledged_txid, 8);
    assert_int_equal(scene_stop(s), 0);
    scene_close_app(s);
}

static void test_stale_database_is_refused(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_old_copy(&s);
    put_back(&s, true);
    scene_database(&s, 0);
    scene_return(&s);
    expect_refused(&s, "older state of this replica (a stale volume?)");
    assert_int_equal(s.stale_count, 1); /* whoever can may roll it forward */
    assert_non_null(strstr(s.stale_path, "/app0.db"));
    scene_end(&s);
}

static void test_stale_database_that_was_written_to_has_diverged(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_old_copy(&s);
    put_back(&s, true);
    scene_database(&s, 0);
    scene_insert(&s, 0, 1, 100);
    scene_return(&s);
    expect_refused(&s, "two histories have grown apart");
    assert_int_equal(s.stale_count, 0); /* rolling it forward would lose commits */
    scene_end(&s);
}

static void test_replaced_database_is_refused(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_old_copy(&s);
    put_back(&s, false); /* the map is at the tip, the file is another one */
    scene_database(&s, 0);
    scene_return(&s);
    expect_refused(&s, "file was replaced");
    scene_end(&s);
}

static void test_empty_database_does_not_bury_a_good_backup(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_close_app(&s);
    scene_shell("rm -r %s/app0.db* %s/.app0.db-walferry", s.folder, s.folder);
    scene_database(&s, 0);
    scene_return(&s);
    expect_refused(&s, "nothing proves that this database descends");
    scene_end(&s);
}

static void test_refused_database_is_judged_again_when_it_is_replaced(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_close_app(&s);
    keep(&s);
    scene_shell("rm -r %s/app0.db* %s/.app0.db-walferry", s.folder, s.folder);
    scene_database(&s, 0);
    scene_return(&s);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_REFUSED);
    scene_close_app(&s);
    scene_shell("cd %s && rm -f app0.db-wal app0.db-shm; rm -rf .app0.db-walferry && "
                "cp -r kept-map .app0.db-walferry && mv kept.db app0.db",
                s.folder);
    scene_database(&s, 0);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_FOLLOWING);
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_adopt_continues_with_whatever_database_there_is(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_close_app(&s);
    scene_shell("rm -r %s/app0.db* %s/.app0.db-walferry", s.folder, s.folder);
    scene_database(&s, 0);
    scene_insert(&s, 0, 7, 100);
    s.dest[0].adopt = true;
    scene_return(&s);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 7);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->snapshot_txid == 7);
    scene_insert(&s, 0, 7, 100);
    scene_sync_and_compare(&s);
    assert_true(scene_assert_restorable(&s, 0, 0) >= 9); /* the old history, too */
    scene_end(&s);
}

/* ---- rewind and roll forward, by walferry's own restore ---- */

static void restore_in_place(struct engine_scene *s, uint64_t txid)
{
    struct error err = ERROR_INIT;
    struct storage *st = NULL;
    char bucket[300];
    char path[300];
    struct restore_result result = {.outcome = RESTORE_FAILED};

    assert_ok(storage_file_new(s->loop, &s->env, scene_bucket(s, 0, 0, bucket), &st, &err), &err);
    const struct restore_destination destination = {.storage = st, .name = "first"};
    const struct restore_options options = {
        .output = scene_path(s, 0, path),
        .target = {.kind = txid ? RESTORE_TXID : RESTORE_LATEST, .txid = txid},
        .force = txid != 0,
        .roll_forward = txid == 0,
        .want_page_map = true,
    };
    const struct restore_args args = {.loop = s->loop,
                                      .env = &s->env,
                                      .log = &s->log,
                                      .destinations = &destination,
                                      .destination_count = 1,
                                      .options = &options};
    assert_ok(restore_run(&args, &result, &err), &err);
    assert_int_equal(result.outcome, RESTORE_DONE);
    restore_result_destroy(&result);
    storage_free(st);
}

static void test_restored_database_goes_on_with_increments(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_close_app(&s);
    scene_shell("rm -r %s/app0.db* %s/.app0.db-walferry", s.folder, s.folder);
    restore_in_place(&s, 6);
    scene_database(&s, 0);
    scene_insert(&s, 0, 1, 100);
    scene_return(&s);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 7);
    assert_true(scene_status(&s, 0, 0)->sync_pages_total < 8);
    scene_end(&s);
}

static void test_rewound_database_leads_on_and_the_old_future_stays(void **state UNUSED)
{
    struct engine_scene s;
    char restored[300];
    char before[300];
    struct error err = ERROR_INIT;
    scene_init(&s);
    scene_lived(&s);
    scene_close_app(&s);
    (void)snprintf(restored, sizeof(restored), "%s/restored", s.folder);
    (void)snprintf(before, sizeof(before), "%s/before", s.folder);
    assert_ok(scene_restore(&s, 0, 0, 6, before, &err), &err);

    restore_in_place(&s, 3);
    scene_database(&s, 0);
    for (unsigned round = 0; round < 2; round++) { /* first the rewind alone, then more */
        scene_return(&s);
        scene_sync_and_compare(&s);
        const struct status_destination *d = scene_status(&s, 0, 0);
        assert_int_equal(d->acknowledged_txid, round == 0 ? 7 : 8);
        assert_true(d->sync_pages_total < scene_db(&s, 0)->end_seen.page_count + 1);
        assert_int_equal(scene_stop(&s), 0);
        scene_insert(&s, 0, 5, 100);
    }
    assert_ok(scene_restore(&s, 0, 0, 6, restored, &err), &err);
    scene_assert_equal_files(before, restored);
    assert_int_equal(scene_assert_restorable(&s, 0, 0), 8);
    scene_end(&s);
}

/* The copy says that it goes back on purpose. It did, and what was written since must not be buried. */
static void test_copy_of_a_rewound_volume_is_stale_once_the_replica_went_on(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_close_app(&s);
    restore_in_place(&s, 3);
    keep(&s);
    scene_database(&s, 0);
    scene_return(&s);
    scene_sync_and_compare(&s); /* 7: gone back */
    scene_insert(&s, 0, 5, 100);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 8);
    assert_int_equal(scene_stop(&s), 0);
    scene_close_app(&s);

    put_back(&s, true);
    scene_database(&s, 0);
    scene_return(&s);
    expect_refused(&s, "older state of this replica (a stale volume?)");
    scene_close_app(&s);

    put_back(&s, true);
    restore_in_place(&s, 0);
    scene_database(&s, 0);
    scene_return(&s);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 8);
    scene_end(&s);
}

static void test_rewound_database_that_dies_before_the_answer_goes_on(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_lived(&s);
    scene_close_app(&s);
    restore_in_place(&s, 3);
    scene_database(&s, 0);
    scene_insert(&s, 0, 2, 100);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD_ANSWER});
    scene_return(&s);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    scene_kill(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, NULL);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    scene_insert(&s, 0, 2, 100);
    scene_return(&s);
    scene_sync_and_compare(&s);
    assert_true(scene_assert_restorable(&s, 0, 0) >= 8);
    scene_end(&s);
}

/* A first copy may be under way for so long that the next process has made another before it comes. */
static void test_a_first_copy_of_a_dead_process_that_comes_late_is_continued(void **state UNUSED)
{
    static const struct flaky_rule lost = {.fault = FLAKY_HOLD_ANSWER, .key_part = ".ltx"};
    static const struct flaky_rule late = {.fault = FLAKY_HOLD, .key_part = ".ltx"};
    struct engine_scene s;
    scene_init(&s);
    scene_database(&s, 0);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &lost);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, scene_count(&s, 0, 0, 0) == 1 && flaky_held_count(&s.flaky[0]) == 1);
    scene_kill(&s);
    scene_shell("mv %s/bucket-0-0/ltx/0/*.ltx %s/late", s.folder, s.folder);

    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)"); /* the log does not tell */
    scene_insert(&s, 0, 5, 100);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &late);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    scene_kill(&s);
    scene_shell("mv %s/late %s/bucket-0-0/ltx/0/0000000000000001-0000000000000001.ltx", s.folder,
                s.folder);

    flaky_set(&s.flaky[0], STORAGE_OP_PUT, NULL);
    scene_insert(&s, 0, 5, 100);
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 2);
    assert_true(scene_assert_restorable(&s, 0, 0) >= 2);
    scene_end(&s);
}

static void test_stale_database_that_was_rolled_forward_goes_on(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_old_copy(&s);
    put_back(&s, true);
    restore_in_place(&s, 0);
    scene_database(&s, 0);
    scene_return(&s);
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 9);
    assert_true(scene_status(&s, 0, 0)->sync_pages_total < 8);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_restart_goes_on_in_the_same_log),
        TEST(test_restart_after_anything_sends_only_the_difference),
        TEST(test_log_that_was_cut_or_exchanged_while_down_is_made_up_for),
        TEST(test_restart_without_a_map_that_finds_its_log_sends_all_pages),
        TEST(test_restart_without_a_map_on_equal_content_rebuilds_it),
        TEST(test_damaged_map_counts_as_none),
        TEST(test_bucket_that_lost_its_newest_objects_gets_all_pages),
        TEST(test_bucket_with_a_hole_gets_a_snapshot_to_restore_from),
        TEST(test_stale_database_is_refused),
        TEST(test_stale_database_that_was_written_to_has_diverged),
        TEST(test_replaced_database_is_refused),
        TEST(test_empty_database_does_not_bury_a_good_backup),
        TEST(test_refused_database_is_judged_again_when_it_is_replaced),
        TEST(test_adopt_continues_with_whatever_database_there_is),
        TEST(test_restored_database_goes_on_with_increments),
        TEST(test_rewound_database_leads_on_and_the_old_future_stays),
        TEST(test_copy_of_a_rewound_volume_is_stale_once_the_replica_went_on),
        TEST(test_rewound_database_that_dies_before_the_answer_goes_on),
        TEST(test_a_first_copy_of_a_dead_process_that_comes_late_is_continued),
        TEST(test_stale_database_that_was_rolled_forward_goes_on),
    };
    return TEST_MAIN(tests);
}
