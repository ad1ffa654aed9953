/*
 * Restoring, end to end on a folder: every state of replicas made from real databases, the
 * outcomes, several destinations, progress, the page map, and replicas written by Litestream.
 */
#include "sidecar/restore/restore.h"

#include "lib/testing/server.h"
#include "lib/testing/unsynced.h"
#include "sidecar/restore/restore_scene.h"

static void test_restore_answers_the_newest_state(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 44, 1);
    scene_write_levels(&s);
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DONE);
    assert_int_equal(s.result.txid, 45);
    assert_int_equal(s.result.timestamp_ns, s.replica.states[45].timestamp_ns);
    assert_int_equal(s.result.page_count, s.replica.states[45].page_count);
    assert_int_equal(s.result.db_checksum, s.replica.states[45].db_checksum);
    assert_true(s.result.is_checksum_recorded);
    assert_true(s.result.bytes > 0);
    assert_false(s.result.is_rewind);
    test_replica_assert_state(&s.replica, s.out, 45);
    scene_assert_map(&s, 45, false);
    assert_false(scene_has(s.temp));
}

/* Every TXID of a life of inserts, updates, deletes and VACUUMs. */
static void every_txid(bool has_ext, bool is_legacy, uint32_t page_size, uint64_t unit_bytes)
{
    CLEANUP(scene_remove)
    struct scene s = {.replica.has_ext = has_ext, .replica.is_legacy = is_legacy};
    struct error err = ERROR_INIT;

    scene_make(&s, page_size);
    test_replica_live(&s.replica, 41, page_size);
    scene_write_levels(&s);
    s.options.unit_bytes = unit_bytes;
    for (uint64_t t = 1; t <= s.replica.txid; t++) {
        s.options.target = (struct restore_target){.kind = RESTORE_TXID, .txid = t};
        assert_ok(scene_restore(&s, &err), &err);
        assert_int_equal(s.result.txid, t);
        assert_int_equal(s.result.is_checksum_recorded, has_ext);
        test_replica_assert_state(&s.replica, s.out, t);
        scene_assert_map(&s, t, t < s.replica.txid);
        scene_clear_output(&s);
    }
}

static void test_restore_answers_every_txid_of_shrinking_and_growing_databases(void **state UNUSED)
{
    every_txid(true, false, 4096, 0);
    every_txid(true, false, 512, 0);
    every_txid(true, false, 65536, 0);
}

static void test_restore_cuts_large_objects_into_units(void **state UNUSED)
{
    every_txid(true, false, 1024, 200);
    every_txid(true, false, 4096, 5000);
    every_txid(false, true, 1024, 3000);
}

static void test_restore_reads_litestream_objects_of_both_encodings(void **state UNUSED)
{
    every_txid(false, false, 4096, 0);
    every_txid(false, true, 4096, 0);
}

static void test_restore_of_a_moment_answers_the_last_state_at_or_before_it(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;

    scene_make(&s, 1024);
    test_replica_live(&s.replica, 24, 7);
    scene_write_levels(&s);
    for (uint64_t t = 1; t <= s.replica.txid; t++) {
        /* The moment itself, the last nanosecond before the next, and in between. */
        static const uint64_t later_ns[] = {0, NS_PER_MIN - 1, 20 * NS_PER_SEC};
        for (size_t i = 0; i < ARRAY_LEN(later_ns); i++) {
            s.options.target = (struct restore_target){
                .kind = RESTORE_TIMESTAMP,
                .timestamp_ns = s.replica.states[t].timestamp_ns + later_ns[i]};
            assert_ok(scene_restore(&s, &err), &err);
            assert_int_equal(s.result.txid, t);
            scene_clear_output(&s);
        }
    }
    s.options.target.timestamp_ns = s.replica.states[1].timestamp_ns - 1;
    assert_error(scene_restore(&s, &err), &err, ERR_USAGE, "before the oldest state");
    scene_assert_no_output(&s);
}

static void test_restore_map_names_the_object_that_replication_will_find(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 29, 3);
    scene_write_levels(&s); /* a snapshot ends at 30, and so does a raw object */
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.plan.object_count, 1);
    assert_int_equal(s.result.plan.objects[0].level, 9);
    assert_ok(page_map_open(env_real(), s.map, &m, &err), &err);
    assert_int_equal(m.state.file_checksum, scene_file_checksum(&s, 0, 30, 30));
}

static void test_restore_without_page_map_leaves_none(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    scene_write_levels(&s);
    s.options.want_page_map = false;
    assert_ok(scene_restore(&s, &err), &err);
    assert_false(s.result.has_page_map);
    assert_false(scene_has(s.map));
}

static void test_restore_makes_the_missing_folder_of_the_output(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;
    char path[400];

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    scene_write_levels(&s);
    (void)snprintf(path, sizeof(path), "%s/a/b/other.db", s.folder);
    s.options.output = path;
    assert_ok(scene_restore(&s, &err), &err);
    test_replica_assert_state(&s.replica, path, s.replica.txid);
}

/* ---- outcomes ---- */

static void test_restore_tells_nothing_there_only_after_an_empty_listing(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char path[700];

    scene_make(&s, 4096);
    int rc = scene_restore(&s, &err);
    assert_error(rc, &err, ERR_NOT_FOUND, "no backup in file://");
    assert_int_equal(s.result.outcome, RESTORE_NO_BACKUP);
    assert_int_equal(restore_exit_status(&s.result, rc, &err), 3);

    s.options.if_replica_exists = true;
    rc = scene_restore(&s, &err);
    assert_ok(rc, &err);
    assert_int_equal(s.result.outcome, RESTORE_NO_BACKUP);
    assert_int_equal(restore_exit_status(&s.result, rc, &err), 0);
    scene_assert_no_output(&s);

    /* A backup of 0.3 is something. */
    (void)snprintf(path, sizeof(path), "%s/generations/0123456789abcdef/snapshots", s.replica.root);
    assert_ok(env_mkdir_all(env_real(), path, 0700, &err), &err);
    (void)snprintf(path, sizeof(path),
                   "%s/generations/0123456789abcdef/snapshots/00000000.snapshot.lz4",
                   s.replica.root);
    test_file_write(path, SLICE_LIT("x"));
    rc = scene_restore(&s, &err);
    assert_error(rc, &err, ERR_UNSUPPORTED, "Litestream 0.3");
    assert_int_equal(s.result.outcome, RESTORE_FAILED);
    assert_int_equal(restore_exit_status(&s.result, rc, &err), 1);
}

static void test_restore_never_replaces_an_existing_database(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;
    size_t n = 0;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    scene_write_levels(&s);
    test_file_write(s.out, SLICE_LIT("precious"));
    assert_error(scene_restore(&s, &err), &err, ERR_EXISTS, "out.db exists");
    assert_non_null(strstr(err.hint, "-force"));

    s.options.if_db_not_exists = true;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DB_EXISTS);
    uint8_t *bytes = test_file_read(s.out, &n);
    assert_true(slice_eq_str(slice_of(bytes, n), "precious"));
    free(bytes);

    s.options.if_db_not_exists = false;
    s.options.force = true;
    assert_ok(scene_restore(&s, &err), &err);
    test_replica_assert_state(&s.replica, s.out, s.replica.txid);
}

static void test_restore_takes_an_empty_file_for_no_database(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    scene_write_levels(&s);
    test_file_write(s.out, SLICE_EMPTY);
    s.options.if_db_not_exists = true;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DONE);
    test_replica_assert_state(&s.replica, s.out, s.replica.txid);
}

static void test_restore_dry_run_plans_and_writes_nothing(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 36, 1);
    scene_write_levels(&s);
    s.options.dry_run = true;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_PLANNED);
    assert_int_equal(s.result.plan.object_count, 4);
    assert_int_equal(s.result.txid, 37);
    scene_assert_no_output(&s);
}

static void test_restore_removes_what_belongs_to_a_database_that_is_gone(void **state UNUSED)
{
    static const char *const leftovers[] = {"-wal", "-shm",     "-journal",
                                            ".tmp", ".tmp-wal", ".old-wal"};
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;
    char path[400];

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    scene_write_levels(&s);
    for (size_t i = 0; i < ARRAY_LEN(leftovers); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", s.out, leftovers[i]);
        test_file_write(path, SLICE_LIT("of another life"));
    }
    assert_ok(scene_restore(&s, &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(leftovers); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", s.out, leftovers[i]);
        test_row(leftovers[i]);
        assert_false(scene_has(path));
    }
    test_replica_assert_state(&s.replica, s.out, s.replica.txid);
}

/* New, and over another that left a log: first the log is gone for good, then the name changes hands. */
static void test_restored_database_and_map_survive_a_crash_of_the_machine(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;
    struct unsynced u;
    char path[400];

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 36, 1);
    scene_write_levels(&s);
    unsynced_init(&u);
    s.env = &u.env;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(unsynced_count(&u), 0);
    s.options.force = true;
    (void)snprintf(path, sizeof(path), "%s-wal", s.out);
    test_file_write(path, SLICE_LIT("of another life"));
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(unsynced_count(&u), 0);
    assert_int_equal(unsynced_early_names(&u), 0);
    test_replica_assert_state(&s.replica, s.out, s.replica.txid);
}

static void test_restore_can_be_canceled(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;
    atomic_bool is_canceled = true;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    scene_write_levels(&s);
    s.options.is_canceled = &is_canceled;
    assert_error(scene_restore(&s, &err), &err, ERR_CANCELED, "canceled");
    scene_assert_no_output(&s);
}

/* ---- several destinations ---- */

/* Restores from both, in this order. */
static int restore_both(struct scene *s, struct storage *first, struct storage *second,
                        struct error *err)
{
    const struct restore_destination destinations[] = {{.storage = first, .name = "first"},
                                                       {.storage = second, .name = "second"}};
    const struct restore_args args = {.loop = s->loop,
                                      .env = s->env,
                                      .log = &s->log,
                                      .destinations = destinations,
                                      .destination_count = 2,
                                      .options = &s->options};

    restore_result_destroy(&s->result);
    error_clear(err);
    return restore_run(&args, &s->result, err);
}

static void storage_close(struct storage **st)
{
    storage_free(*st);
}

static void test_restore_falls_through_to_the_next_destination(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    CLEANUP(storage_close) struct storage *empty = NULL;
    CLEANUP(storage_close) struct storage *broken = NULL;
    struct error err = ERROR_INIT;
    char path[700];

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    scene_write_levels(&s);
    (void)snprintf(path, sizeof(path), "%s/empty", s.folder);
    assert_ok(storage_file_new(s.loop, env_real(), path, &empty, &err), &err);
    (void)snprintf(path, sizeof(path), "%s/broken/ltx/0", s.folder);
    assert_ok(env_mkdir_all(env_real(), path, 0700, &err), &err);
    (void)snprintf(path, sizeof(path), "%s/broken/ltx/0/%016d-%016d.ltx", s.folder, 1, 1);
    test_file_write(path, SLICE_LIT("rubbish"));
    (void)snprintf(path, sizeof(path), "%s/broken", s.folder);
    assert_ok(storage_file_new(s.loop, env_real(), path, &broken, &err), &err);

    assert_ok(restore_both(&s, empty, s.storage, &err), &err);
    assert_int_equal(s.result.destination_idx, 1);
    scene_clear_output(&s);
    assert_ok(restore_both(&s, broken, s.storage, &err), &err);
    assert_int_equal(s.result.destination_idx, 1);
    test_replica_assert_state(&s.replica, s.out, s.replica.txid);
    scene_clear_output(&s);

    /* One that is empty and one that cannot tell are not "nothing". */
    s.options.if_replica_exists = true;
    assert_error(restore_both(&s, empty, broken, &err), &err, ERR_CORRUPT, "broken");
    assert_int_equal(s.result.outcome, RESTORE_FAILED);
    assert_error(restore_both(&s, broken, empty, &err), &err, ERR_CORRUPT, "broken");
    assert_ok(restore_both(&s, empty, empty, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_NO_BACKUP);
}

/* ---- progress ---- */

struct seen_progress {
    unsigned phases; /* a bit each */
    struct restore_progress last_fetch;
};

static void on_progress(void *arg, const struct restore_progress *p)
{
    struct seen_progress *seen = arg;

    seen->phases |= 1U << p->phase;
    if (p->phase == RESTORE_PHASE_FETCHING)
        seen->last_fetch = *p;
}

static void test_restore_tells_its_progress(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct seen_progress seen = {0};
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 3, 1);
    scene_write_levels(&s);
    const struct restore_args args = {.loop = s.loop,
                                      .env = s.env,
                                      .log = &s.log,
                                      .destinations = &s.destination,
                                      .destination_count = 1,
                                      .options = &s.options,
                                      .on_progress = on_progress,
                                      .arg = &seen};
    assert_ok(restore_run(&args, &s.result, &err), &err);
    assert_int_equal(seen.phases, 15);
    assert_int_equal(seen.last_fetch.bytes_total, s.result.plan.bytes);
    assert_string_equal(restore_phase_name(RESTORE_PHASE_SYNCING), "syncing");
}

/* ---- written by Litestream ---- */

static void litestream_once(const struct scene *s, const char *litestream, const char *url)
{
    char log_path[400];
    const char *argv[] = {litestream, "replicate", "-once", s->replica.db_path, url, NULL};

    (void)snprintf(log_path, sizeof(log_path), "%s/litestream.log", s->folder);
    free(test_process_run(argv, NULL, log_path, 30 * NS_PER_SEC, 0));
}

static void test_restore_of_a_replica_by_litestream_equals_the_original(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char litestream[256];
    char url[600];
    size_t n = 0;
    size_t restored_n = 0;

    if (!test_peer_path("litestream", litestream))
        test_skip("litestream is not built: %s", litestream);
    scene_make(&s, 4096);
    (void)snprintf(url, sizeof(url), "file://%s", s.replica.root);
    (void)test_replica_commit(&s.replica, "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER "
                                          "PRIMARY KEY, a TEXT, b BLOB); CREATE INDEX i ON t(a)");
    for (unsigned i = 0; i < 6; i++) {
        test_replica_live(&s.replica, 4, i);
        litestream_once(&s, litestream, url);
        assert_int_equal(
            sqlite3_wal_checkpoint_v2(s.replica.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL),
            SQLITE_OK);
        assert_ok(scene_restore(&s, &err), &err);
        uint8_t *wanted = test_file_read(s.replica.db_path, &n);
        uint8_t *got = test_file_read(s.out, &restored_n);
        assert_int_equal(restored_n, n);
        assert_memory_equal(wanted, got, n);
        free(wanted);
        free(got);
        scene_clear_output(&s);
    }
}

/* Moves an object of level 0 to where a fenced writer leaves it. */
static void object_fence(struct scene *s, const char *folder, uint64_t min, uint64_t max)
{
    char from[700];
    char to[900];

    test_replica_path(&s->replica, 0, min, max, from);
    (void)snprintf(to, sizeof(to), "%s/fenced", s->replica.root);
    (void)mkdir(to, 0700); /* there already: fine */
    (void)snprintf(to, sizeof(to), "%s/fenced/%s", s->replica.root, folder);
    assert_int_equal(mkdir(to, 0700), 0);
    (void)snprintf(to, sizeof(to), "%s/fenced/%s/%016llx-%016llx.ltx", s->replica.root, folder,
                   (unsigned long long)min, (unsigned long long)max);
    assert_int_equal(rename(from, to), 0);
}

static void
test_restore_of_what_a_fenced_writer_left_is_a_fork_without_page_map(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 11, 5);
    for (uint64_t t = 1; t <= 12; t++)
        test_replica_write(&s.replica, 0, t, t);
    object_fence(&s, "00000003-0a1b2c3d", 12, 12);
    test_replica_commit(&s.replica, "CREATE TABLE winner(x)");
    test_replica_write(&s.replica, 0, 12, 13); /* the winner's history goes on from 11, too */
    s.options.is_fenced = true;
    s.options.fenced = (struct restore_fenced){.epoch = 3, .owner = 0x0a1b2c3d};

    s.options.dry_run = true;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_PLANNED);
    assert_int_equal(s.result.plan.object_count, 12);
    assert_true(s.result.plan.objects[11].is_fenced);
    s.options.dry_run = false;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DONE);
    assert_int_equal(s.result.txid, 12);
    assert_true(s.result.is_checksum_recorded);
    assert_false(s.result.has_page_map);
    assert_false(scene_has(s.map)); /* although it was wanted */
    test_replica_assert_state(&s.replica, s.out, 12);
    scene_clear_output(&s);
    s.options.is_fenced = false;
    assert_ok(scene_restore(&s, &err), &err);
    test_replica_assert_state(&s.replica, s.out, 13);
}

static void test_restore_refuses_a_fenced_object_without_the_state_before_it(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {.replica.has_ext = true};
    struct error err = ERROR_INIT;

    scene_make(&s, 4096);
    test_replica_live(&s.replica, 11, 5);
    test_replica_write(&s.replica, 0, 11, 11);
    object_fence(&s, "00000003-0a1b2c3d", 11, 11);
    s.options.is_fenced = true;
    s.options.fenced = (struct restore_fenced){.epoch = 3, .owner = 0x0a1b2c3d};
    assert_error(scene_restore(&s, &err), &err, ERR_GAP, "the replica itself is gone");
    test_replica_write(&s.replica, 9, 1, 8);
    test_replica_write(&s.replica, 1, 9, 12); /* merged the boundary away */
    assert_error(scene_restore(&s, &err), &err, ERR_USAGE,
                 "continues TXID 000000000000000a, which cannot be restored");
    s.options.fenced.owner = 1;
    assert_error(scene_restore(&s, &err), &err, ERR_USAGE,
                 "no fenced writer 00000003-00000001 left anything");
    s.options.target = (struct restore_target){.kind = RESTORE_TXID, .txid = 8};
    assert_error(scene_restore(&s, &err), &err, ERR_USAGE, "one state");
    scene_assert_no_output(&s);
}

static void test_fenced_writers_are_named_as_their_folder(void **state UNUSED)
{
    static const char *const wrong[] = {"",
                                        "3-1",
                                        "00000003",
                                        "00000003-0a1b2c3",
                                        "00000003-0a1b2c3dd",
                                        "00000003/0a1b2c3d",
                                        "0000000G-0a1b2c3d",
                                        "00000003-0A1B2C3D"};
    struct restore_fenced f;
    struct error err = ERROR_INIT;

    assert_ok(restore_fenced_parse("00000003-0a1b2c3d", &f, &err), &err);
    assert_int_equal(f.epoch, 3);
    assert_int_equal(f.owner, 0x0a1b2c3d);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        test_row(wrong[i]);
        assert_error(restore_fenced_parse(wrong[i], &f, &err), &err, ERR_USAGE, "EPOCH-OWNER");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_restore_answers_the_newest_state),
        TEST(test_restore_answers_every_txid_of_shrinking_and_growing_databases),
        TEST(test_restore_cuts_large_objects_into_units),
        TEST(test_restore_reads_litestream_objects_of_both_encodings),
        TEST(test_restore_of_a_moment_answers_the_last_state_at_or_before_it),
        TEST(test_restore_map_names_the_object_that_replication_will_find),
        TEST(test_restore_without_page_map_leaves_none),
        TEST(test_restore_makes_the_missing_folder_of_the_output),
        TEST(test_restore_tells_nothing_there_only_after_an_empty_listing),
        TEST(test_restore_never_replaces_an_existing_database),
        TEST(test_restore_takes_an_empty_file_for_no_database),
        TEST(test_restore_dry_run_plans_and_writes_nothing),
        TEST(test_restore_removes_what_belongs_to_a_database_that_is_gone),
        TEST(test_restored_database_and_map_survive_a_crash_of_the_machine),
        TEST(test_restore_can_be_canceled),
        TEST(test_restore_falls_through_to_the_next_destination),
        TEST(test_restore_tells_its_progress),
        TEST(test_restore_of_a_replica_by_litestream_equals_the_original),
        TEST(test_restore_of_what_a_fenced_writer_left_is_a_fork_without_page_map),
        TEST(test_restore_refuses_a_fenced_object_without_the_state_before_it),
        TEST(test_fenced_writers_are_named_as_their_folder),
    };
    return TEST_MAIN(tests);
}
