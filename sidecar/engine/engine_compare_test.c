/*
 * Going on with a replica of Litestream's, whose objects name no checksum of the database: what only
 * a comparison with the replica can prove.
 *
 * The replicas are our own, stripped of what Litestream does not write. (The real one's, in turn with
 * ours, are e2e/interop's.)
 */
#include "lib/io/file_read.h"
#include "lib/ltx/reader.h"
#include "lib/ltx/writer.h"
#include "lib/storage/object_name.h"
#include "sidecar/engine/engine_scene.h"

enum {
    OBJECT_BYTES_MAX = 64 << 20,
};

/* ---- the replica becomes Litestream's ---- */

static void strip(const struct env *env, const char *path)
{
    CLEANUP(buf_destroy) struct buf bytes = BUF_INIT(OBJECT_BYTES_MAX);
    CLEANUP(ltx_reader_close) struct ltx_reader r = {.blob = NULL};
    struct blob_writer file;
    struct ltx_writer w = {.is_open = false};
    struct ltx_trailer trailer;
    struct blob blob;
    struct error err = ERROR_INIT;
    uint32_t pgno;
    struct slice page;
    int rc;

    assert_ok(file_read(env, path, &bytes, &err), &err);
    const struct ltx_reader_args args = {.bytes = buf_slice(&bytes)};
    assert_ok(ltx_reader_open(&r, &args, &err), &err);
    struct ltx_header h = *ltx_reader_header(&r);
    h.has_ext = false;
    h.node_id = 0;
    blob_writer_init(&file, env, "/tmp", OBJECT_BYTES_MAX);
    assert_ok(ltx_writer_open(&w, &(struct ltx_writer_args){.header = h, .out = &file}, &err),
              &err);
    while ((rc = ltx_reader_next(&r, &pgno, &page, &err)) > 0)
        assert_ok(ltx_writer_page(&w, pgno, page, &err), &err);
    assert_ok(rc, &err);
    assert_ok(ltx_writer_finish(&w, 0, &trailer, &err), &err);
    assert_ok(blob_writer_finish(&file, &blob, &err), &err);
    uint8_t *out = malloc(blob.bytes);
    assert_non_null(out);
    assert_ok(blob_read(&blob, 0, out, blob.bytes, &err), &err);
    test_file_write(path, slice_of(out, blob.bytes));
    free(out);
    blob_destroy(&blob);
    blob_writer_destroy(&file);
    ltx_writer_close(&w);
}

/* From TXID first on, at every level. */
static void bucket_strip(struct engine_scene *s, uint64_t first)
{
    struct inventory inv;
    char bucket[300];
    char key[STORAGE_KEY_BYTES_MAX];
    char path[STORAGE_KEY_BYTES_MAX + 300];

    scene_list(s, 0, 0, &inv);
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < inv.level[level].object_count; i++) {
            const struct inventory_object *o = &inv.level[level].object[i];
            if (o->max_txid < first)
                continue;
            (void)snprintf(path, sizeof(path), "%s/%s", scene_bucket(s, 0, 0, bucket),
                           inventory_object_key(level, o, key));
            strip(&s->env, path);
        }
    }
    inventory_destroy(&inv);
}

/* ---- lives before ---- */

/* TXIDs 1 to 6: growth, changes, a shrink and growth again. The engine has stopped. */
static void live(struct engine_scene *s, unsigned rows, unsigned bytes)
{
    scene_begin(s);
    scene_insert(s, 0, rows, bytes);
    scene_sync(s);
    scene_insert(s, 0, rows, bytes);
    scene_sync(s);
    app_ok(&s->app, "sql 0 DELETE FROM t WHERE id > %u", rows / 2);
    app_ok(&s->app, "sql 0 VACUUM");
    scene_sync(s);
    scene_insert(s, 0, rows, bytes);
    scene_sync(s);
    app_ok(&s->app, "sql 0 UPDATE t SET body = zeroblob(10) WHERE id %% 3 = 0");
    scene_sync(s);
    assert_int_equal(scene_stop(s), 0);
}

static void map_remove(struct engine_scene *s)
{
    scene_shell("rm -r %s/.app0.db-walferry", s->folder);
}

/* Into the database file with everything: the log is gone, and what it could prove. */
static void close_app(struct engine_scene *s)
{
    app_ok(&s->app, "close 0");
}

static void go_on(struct engine_scene *s)
{
    scene_engine(s);
    scene_add(s, 0);
}

static void expect_following(struct engine_scene *s, uint64_t pages_max)
{
    SCENE_UNTIL(s, scene_chain(s, 0, 0)->state == CHAIN_FOLLOWING);
    scene_insert(s, 0, 1, 100);
    scene_sync_and_compare(s);
    const struct status_destination *d = scene_status(s, 0, 0);
    if (d->sync_pages_total > pages_max) {
        fail_msg("%llu pages were sent, wanted at most %llu",
                 (unsigned long long)d->sync_pages_total, (unsigned long long)pages_max);
    }
}

static void expect_refused(struct engine_scene *s, const char *reason_part)
{
    SCENE_UNTIL(s, scene_chain(s, 0, 0)->state == CHAIN_REFUSED);
    assert_non_null(strstr(scene_status(s, 0, 0)->state_detail, reason_part));
    scene_insert(s, 0, 1, 10);
    scene_run(s, 50 * NS_PER_MS);
    assert_int_equal(s->flaky[0].started[STORAGE_OP_PUT], 0);
    assert_false(scene_chain(s, 0, 0)->is_tracking);
}

/* What was counted before belongs to the life before. */
static void counts_forget(struct engine_scene *s)
{
    memset(s->flaky[0].started, 0, sizeof(s->flaky[0].started));
}

/* ---- no page map ---- */

static void test_database_that_equals_litestreams_replica_goes_on(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    live(&s, 200, 700);
    map_remove(&s);
    close_app(&s);
    bucket_strip(&s, 1);
    scene_database(&s, 0);
    go_on(&s);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_FOLLOWING);
    assert_int_equal(scene_status(&s, 0, 0)->syncs_total, 0); /* nothing is sent again */
    expect_following(&s, 6);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 7);

    /* The map that came of it is one like any other. */
    assert_int_equal(scene_stop(&s), 0);
    go_on(&s);
    expect_following(&s, 6);
    scene_end(&s);
}

/* More than is read at a time, and of more than one level. */
static void test_large_replica_is_compared_in_pieces(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_levels(&s);
    live(&s, 3000, 3000);
    map_remove(&s);
    close_app(&s);
    bucket_strip(&s, 1);
    scene_database(&s, 0);
    counts_forget(&s);
    go_on(&s);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_FOLLOWING);
    assert_true(s.flaky[0].started[STORAGE_OP_GET] > 6);
    expect_following(&s, 6);
    scene_end(&s);
}

static void test_what_is_written_during_the_comparison_is_sent(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    live(&s, 200, 700);
    map_remove(&s);
    close_app(&s);
    bucket_strip(&s, 1);
    scene_database(&s, 0);
    const struct flaky_rule hold = {.fault = FLAKY_HOLD, .pass_count = 3, .times = 1};
    flaky_set(&s.flaky[0], STORAGE_OP_GET, &hold);
    go_on(&s);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    scene_insert(&s, 0, 40, 700);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(PASSIVE)");
    scene_insert(&s, 0, 1, 700);
    flaky_release(&s.flaky[0]);
    expect_following(&s, 40);
    scene_end(&s);
}

static void test_database_that_differs_in_one_page_is_refused(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    live(&s, 200, 700);
    map_remove(&s);
    app_ok(&s.app, "sql 0 UPDATE t SET body = zeroblob(10) WHERE id = 1");
    close_app(&s);
    bucket_strip(&s, 1);
    scene_database(&s, 0);
    counts_forget(&s);
    go_on(&s);
    expect_refused(&s, "nothing proves that this database descends");
    scene_end(&s);
}

/* The size tells already: nothing is downloaded. */
static void test_empty_database_costs_no_download_of_litestreams_replica(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    live(&s, 200, 700);
    close_app(&s);
    scene_shell("rm -r %s/app0.db* %s/.app0.db-walferry", s.folder, s.folder);
    bucket_strip(&s, 1);
    scene_database(&s, 0);
    counts_forget(&s);
    go_on(&s);
    expect_refused(&s, "nothing proves that this database descends");
    assert_int_equal(s.flaky[0].started[STORAGE_OP_GET],
                     2); /* head and tail of the newest object */
    scene_end(&s);
}

static void test_failing_downloads_are_tried_again(void **state UNUSED)
{
    for (uint64_t n = 0; n < 8; n++) {
        struct engine_scene s;
        scene_init(&s);
        live(&s, 100, 300);
        map_remove(&s);
        close_app(&s);
        bucket_strip(&s, 1);
        scene_database(&s, 0);
        const struct flaky_rule fail_once = {.fault = FLAKY_FAIL, .pass_count = n, .times = 1};
        flaky_set(&s.flaky[0], STORAGE_OP_GET, &fail_once);
        go_on(&s);
        expect_following(&s, 6);
        scene_end(&s);
    }
}

static void test_stopping_during_the_comparison_leaves_nothing_behind(void **state UNUSED)
{
    for (uint64_t n = 2; n < 8; n++) {
        struct engine_scene s;
        scene_init(&s);
        live(&s, 100, 300);
        map_remove(&s);
        close_app(&s);
        bucket_strip(&s, 1);
        scene_database(&s, 0);
        const struct flaky_rule hold = {.fault = FLAKY_HOLD, .pass_count = n, .times = 1};
        flaky_set(&s.flaky[0], STORAGE_OP_GET, &hold);
        go_on(&s);
        SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
        scene_kill(&s);
        scene_shell("! ls %s/.app0.db-walferry/*.map*", s.folder);
        flaky_set(&s.flaky[0], STORAGE_OP_GET, NULL);
        go_on(&s);
        expect_following(&s, 6);
        scene_end(&s);
    }
}

/* ---- walferry, Litestream, walferry ---- */

/* The page map is at TXID 4, the database and the bucket at 6, and 5 and 6 are Litestream's. */
static void live_in_turn(struct engine_scene *s)
{
    scene_begin(s);
    for (unsigned i = 0; i < 3; i++) {
        scene_insert(s, 0, 60, 500);
        scene_sync(s);
    }
    assert_int_equal(scene_stop(s), 0);
    scene_shell("cp -r %s/.app0.db-walferry %s/kept-map", s->folder, s->folder);
    app_ok(&s->app, "sql 0 PRAGMA wal_checkpoint(RESTART)");
    go_on(s);
    for (unsigned i = 0; i < 2; i++) {
        app_ok(&s->app, "sql 0 UPDATE t SET body = randomblob(500) WHERE id %% 9 = %u", i);
        scene_sync(s);
    }
    assert_int_equal(scene_stop(s), 0);
    scene_shell("cd %s && rm -r .app0.db-walferry && mv kept-map .app0.db-walferry", s->folder);
    bucket_strip(s, 5);
}

static void test_map_from_before_litestream_goes_on_if_the_content_is_equal(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    live_in_turn(&s);
    close_app(&s);
    scene_database(&s, 0);
    go_on(&s);
    expect_following(&s, 6);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 7);
    scene_end(&s);
}

/* The log leads on from where Litestream ended, which is compared as it was then. */
static void test_map_from_before_litestream_goes_on_in_the_log_that_leads_on(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    live_in_turn(&s);
    app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(300) WHERE id %% 4 = 1");
    scene_insert(&s, 0, 20, 500);
    go_on(&s);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_FOLLOWING);
    assert_non_null(strstr(scene_chain(&s, 0, 0)->state_detail, "leads on from exactly"));
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 7);
    scene_end(&s);
}

/* What was overwritten in the database file since cannot be compared any more. */
static void
test_log_that_was_checkpointed_beyond_litestreams_end_proves_nothing(void **state UNUSED)
{
    static const char *const modes[] = {"PASSIVE", "RESTART", "TRUNCATE"};

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct engine_scene s;
        test_row(modes[i]);
        scene_init(&s);
        live_in_turn(&s);
        app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(300) WHERE id %% 4 = 1");
        app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(%s)", modes[i]);
        scene_insert(&s, 0, 20, 500);
        counts_forget(&s);
        go_on(&s);
        expect_refused(&s, "two histories have grown apart");
        scene_end(&s);
    }
}

/* Salts and position fit, as they do for an old copy of the volume that was written to. */
static void test_log_of_an_old_copy_is_no_proof(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 60, 500);
    scene_sync(&s);
    assert_int_equal(scene_stop(&s), 0);
    scene_shell("cd %s && mkdir old && cp -r app0.db app0.db-wal .app0.db-walferry old", s.folder);
    go_on(&s);
    app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(500) WHERE id = 7");
    scene_sync(&s);
    assert_int_equal(scene_stop(&s), 0);
    bucket_strip(&s, 3);
    app_kill(&s.app);
    scene_shell("cd %s && rm -r app0.db* .app0.db-walferry && mv old/.app0.db-walferry old/* .",
                s.folder);
    app_start(&s.app);
    scene_database(&s, 0);
    for (unsigned i = 0; i < 3; i++)
        app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(500) WHERE id = 7");
    counts_forget(&s);
    go_on(&s);
    expect_refused(&s, "two histories have grown apart");
    scene_end(&s);
}

static void test_old_copy_is_stale_although_the_newer_objects_are_litestreams(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 60, 500);
    scene_sync(&s);
    assert_int_equal(scene_stop(&s), 0);
    close_app(&s);
    scene_shell("cd %s && mkdir old && cp -r app0.db .app0.db-walferry old", s.folder);
    scene_database(&s, 0);
    go_on(&s);
    scene_insert(&s, 0, 60, 500);
    scene_sync(&s);
    assert_int_equal(scene_stop(&s), 0);
    close_app(&s);
    bucket_strip(&s, 3);
    scene_shell("cd %s && rm -r app0.db* .app0.db-walferry && mv old/.app0.db-walferry old/* .",
                s.folder);
    scene_database(&s, 0);
    counts_forget(&s);
    go_on(&s);
    expect_refused(&s, "older state of this replica");
    assert_int_equal(s.flaky[0].started[STORAGE_OP_GET], 2);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_database_that_equals_litestreams_replica_goes_on),
        TEST(test_large_replica_is_compared_in_pieces),
        TEST(test_what_is_written_during_the_comparison_is_sent),
        TEST(test_database_that_differs_in_one_page_is_refused),
        TEST(test_empty_database_costs_no_download_of_litestreams_replica),
        TEST(test_failing_downloads_are_tried_again),
        TEST(test_stopping_during_the_comparison_leaves_nothing_behind),
        TEST(test_map_from_before_litestream_goes_on_if_the_content_is_equal),
        TEST(test_map_from_before_litestream_goes_on_in_the_log_that_leads_on),
        TEST(test_log_that_was_checkpointed_beyond_litestreams_end_proves_nothing),
        TEST(test_log_of_an_old_copy_is_no_proof),
        TEST(test_old_copy_is_stale_although_the_newer_objects_are_litestreams),
    };
    return TEST_MAIN(tests);
}
