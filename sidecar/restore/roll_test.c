/*
 * Roll forward: databases that are behind their replica become its newest state; everything else
 * stays as it is, and is told apart.
 */
#include <sys/wait.h>

#include "sidecar/restore/restore_scene.h"

enum {
    STALE_TXID = 6, /* where the database of most tests stands */
    TIP_TXID = 10
};

/* A WAL database of ten states; a change of its content is the same wherever it is made. */
static void roll_scene_make(struct scene *s)
{
    char sql[1500];

    s->replica.has_ext = true;
    scene_make_files(s, 1024);
    (void)test_replica_commit(&s->replica,
                              "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, x); "
                              "CREATE INDEX i ON t(x); PRAGMA wal_checkpoint(TRUNCATE)");
    for (unsigned t = 2; t <= TIP_TXID; t++) {
        (void)snprintf(sql, sizeof(sql),
                       "INSERT INTO t(x) VALUES ('%0700u'), ('b%0500u'); DELETE FROM t WHERE id = "
                       "%u; PRAGMA wal_checkpoint(TRUNCATE)",
                       t, t, t / 2);
        (void)test_replica_commit(&s->replica, sql);
    }
    test_replica_write(&s->replica, 9, 1, 4);
    for (uint64_t t = 5; t <= TIP_TXID; t++)
        test_replica_write(&s->replica, 0, t, t);
    s->options.roll_forward = true;
}

/* Puts the database of a state at the output. */
static void database_put(struct scene *s, uint64_t txid)
{
    const struct test_replica_state *state = &s->replica.states[txid];
    test_file_write(s->out,
                    slice_of(state->image, (size_t)state->page_count * s->replica.page_size));
}

/* Writes the page map of a state; changes is applied to its header. */
static void map_put(struct scene *s, uint64_t txid, const struct map_state *changes)
{
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    const struct test_replica_state *state = &s->replica.states[txid];
    struct map_state header = changes ? *changes : (struct map_state){0};
    struct error err = ERROR_INIT;

    header.page_size = s->replica.page_size;
    header.page_count = state->page_count;
    header.txid = txid;
    header.db_checksum = state->db_checksum;
    header.file_checksum = 1;
    assert_ok(page_map_create(env_real(), s->map, s->out, header.page_size, &m, &err), &err);
    for (uint32_t p = 1; p <= header.page_count; p++) {
        struct slice page =
            slice_of(state->image + (size_t)(p - 1) * header.page_size, header.page_size);
        struct map_entry e = {.pgno = p, .checksum = ltx_page_checksum(p, page)};
        assert_ok(page_map_write(&m, &e, 1, &err), &err);
    }
    assert_ok(page_map_publish(&m, &header, &err), &err);
    if (header.pending_txid) {
        assert_ok(
            page_map_set_pending(&m, changes->pending_txid, changes->pending_file_checksum, &err),
            &err);
    }
}

static void file_copy(const char *from, const char *to)
{
    size_t n = 0;
    uint8_t *bytes = test_file_read(from, &n);
    test_file_write(to, slice_of(bytes, n));
    free(bytes);
}

/* What database and log at the output are together becomes the kept state of a TXID. */
static void state_take(struct scene *s, uint64_t txid)
{
    struct test_replica_state *state = &s->replica.states[txid];
    sqlite3 *db = NULL;
    char copy[400];
    char from[400];
    char to[410];
    size_t n = 0;

    (void)snprintf(copy, sizeof(copy), "%s/copy.db", s->folder);
    (void)snprintf(from, sizeof(from), "%s-wal", s->out);
    (void)snprintf(to, sizeof(to), "%s-wal", copy);
    file_copy(s->out, copy);
    file_copy(from, to);
    assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    free(state->image);
    state->image = test_file_read(copy, &n);
    assert_int_equal(n, (size_t)state->page_count * s->replica.page_size);
    state->db_checksum = LTX_CHECKSUM_FLAG;
    for (uint32_t p = 1; p <= state->page_count; p++) {
        struct slice page =
            slice_of(state->image + (size_t)(p - 1) * s->replica.page_size, s->replica.page_size);
        state->db_checksum = ltx_db_checksum_toggle(state->db_checksum, ltx_page_checksum(p, page));
    }
}

static void stale_put(struct scene *s)
{
    database_put(s, STALE_TXID);
    map_put(s, STALE_TXID, NULL);
}

static void test_roll_forward_recovers_the_log_of_a_killed_application_first(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char wal[400];
    int status = 0;

    /* The file is at 5, and 6 lies in the log of an application that was killed. (Another process
     * counts changes differently on page 1, which every later object has.) */
    roll_scene_make(&s);
    database_put(&s, STALE_TXID - 1);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sqlite3 *db = NULL;
        char sql[1500];
        (void)snprintf(sql, sizeof(sql),
                       "PRAGMA wal_autocheckpoint=0; INSERT INTO t(x) VALUES ('%0700u'), "
                       "('b%0500u'); DELETE FROM t WHERE id = %u",
                       STALE_TXID, STALE_TXID, STALE_TXID / 2);
        int rc = sqlite3_open(s.out, &db);
        _exit(rc == SQLITE_OK ? sqlite3_exec(db, sql, NULL, NULL, NULL) : rc);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)snprintf(wal, sizeof(wal), "%s-wal", s.out);
    assert_true(scene_has(wal));
    state_take(&s, STALE_TXID);
    map_put(&s, STALE_TXID, NULL);

    scene_storage_open(&s);
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DONE);
    test_replica_assert_state(&s.replica, s.out, TIP_TXID);
    assert_false(scene_has(wal));
}

static void test_roll_forward_brings_a_stale_database_to_the_tip(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    roll_scene_make(&s);
    scene_storage_open(&s);
    stale_put(&s);
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DONE);
    assert_true(s.result.was_rolled_forward);
    assert_int_equal(s.result.txid, TIP_TXID);
    assert_int_equal(s.result.plan.object_count, TIP_TXID - STALE_TXID);
    assert_int_equal(s.result.db_checksum, s.replica.states[TIP_TXID].db_checksum);
    test_replica_assert_state(&s.replica, s.out, TIP_TXID);
    scene_assert_map(&s, TIP_TXID, false);

    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_UP_TO_DATE);
}

static void test_roll_forward_needs_no_object_before_the_state_of_the_database(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char path[700];

    roll_scene_make(&s);
    scene_storage_open(&s);
    stale_put(&s);
    test_replica_path(&s.replica, 9, 1, 4, path);
    assert_int_equal(unlink(path), 0);
    assert_ok(scene_restore(&s, &err), &err);
    test_replica_assert_state(&s.replica, s.out, TIP_TXID);
}

static void test_roll_forward_restores_where_there_is_no_database(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    roll_scene_make(&s);
    scene_storage_open(&s);
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DONE);
    assert_false(s.result.was_rolled_forward);
    test_replica_assert_state(&s.replica, s.out, TIP_TXID);
}

static void test_roll_forward_refuses_a_database_that_was_written_to(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    sqlite3 *db = NULL;
    size_t n = 0;
    size_t n_after = 0;

    roll_scene_make(&s);
    scene_storage_open(&s);
    stale_put(&s);
    assert_int_equal(sqlite3_open(s.out, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "INSERT INTO t(x) VALUES ('mine')", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    uint8_t *before = test_file_read(s.out, &n);
    assert_error(scene_restore(&s, &err), &err, ERR_WRONG_STATE, "two histories");
    assert_non_null(strstr(err.hint, "-force"));
    uint8_t *after = test_file_read(s.out, &n_after);
    assert_true(slice_eq(slice_of(before, n), slice_of(after, n_after)));
    free(before);
    free(after);

    s.options.force = true;
    assert_ok(scene_restore(&s, &err), &err);
    test_replica_assert_state(&s.replica, s.out, TIP_TXID);
}

static void test_roll_forward_refuses_objects_of_another_history(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    /* Same TXIDs, but the database is not the state 6 of this replica. */
    roll_scene_make(&s);
    scene_storage_open(&s);
    struct test_replica_state *six = &s.replica.states[STALE_TXID];
    uint32_t pgno = 2;
    while (s.replica.states[7].is_changed[pgno] || s.replica.states[8].is_changed[pgno] ||
           s.replica.states[9].is_changed[pgno] || s.replica.states[10].is_changed[pgno])
        pgno++;
    assert_true(pgno <= six->page_count);
    struct slice page = slice_of(six->image + (size_t)(pgno - 1) * 1024, 1024);
    six->db_checksum = ltx_db_checksum_toggle(six->db_checksum, ltx_page_checksum(pgno, page));
    six->image[(size_t)(pgno - 1) * 1024 + 500] ^= 1;
    six->db_checksum = ltx_db_checksum_toggle(six->db_checksum, ltx_page_checksum(pgno, page));
    stale_put(&s);
    assert_error(scene_restore(&s, &err), &err, ERR_WRONG_STATE, "do not belong together");
    test_replica_assert_state(&s.replica, s.out, STALE_TXID);
    assert_false(scene_has(s.temp));
}

/* ---- nothing to do ---- */

static void test_roll_forward_leaves_a_rewound_database_where_it_is(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    roll_scene_make(&s);
    scene_storage_open(&s);
    database_put(&s, STALE_TXID);
    map_put(&s, STALE_TXID, &(struct map_state){.is_rewind = true});
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_UP_TO_DATE);
    test_replica_assert_state(&s.replica, s.out, STALE_TXID);
}

/* The volume is an old copy, of the moment after a restore: the replica has gone on since. */
static void
test_roll_forward_brings_a_rewound_database_forward_once_the_replica_went_on(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    roll_scene_make(&s);
    scene_storage_open(&s);
    database_put(&s, STALE_TXID);
    map_put(&s, STALE_TXID, &(struct map_state){.is_rewind = true, .rewind_tip_txid = TIP_TXID});
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_UP_TO_DATE);
    test_replica_assert_state(&s.replica, s.out, STALE_TXID);

    map_put(&s, STALE_TXID,
            &(struct map_state){.is_rewind = true, .rewind_tip_txid = TIP_TXID - 1});
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DONE);
    test_replica_assert_state(&s.replica, s.out, TIP_TXID);
    scene_assert_map(&s, TIP_TXID, false);
}

static void test_roll_forward_leaves_a_database_whose_own_object_is_the_tip(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    /* The map is one behind, since the process died before it heard of its success. */
    roll_scene_make(&s);
    scene_storage_open(&s);
    database_put(&s, TIP_TXID);
    struct map_state pending = {.pending_txid = TIP_TXID};
    pending.pending_file_checksum = scene_file_checksum(&s, 0, TIP_TXID, TIP_TXID);
    map_put(&s, TIP_TXID - 1, &pending);
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_UP_TO_DATE);

    /* The same without the record: its content tells. */
    map_put(&s, STALE_TXID, NULL);
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_UP_TO_DATE);
    test_replica_assert_state(&s.replica, s.out, TIP_TXID);
}

static void test_roll_forward_without_a_map_proves_nothing(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    roll_scene_make(&s);
    scene_storage_open(&s);
    database_put(&s, STALE_TXID);
    assert_error(scene_restore(&s, &err), &err, ERR_WRONG_STATE, "no page map");
    s.options.if_db_not_exists = true;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DB_EXISTS);
    test_replica_assert_state(&s.replica, s.out, STALE_TXID);
}

/* A restore to an earlier moment died between the new file and its map: the old map is at the tip. */
static void
test_roll_forward_does_not_take_the_map_of_the_file_before_for_its_own(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    struct map_state of_another = {.file_id = 0};

    roll_scene_make(&s);
    scene_storage_open(&s);
    database_put(&s, TIP_TXID);
    assert_ok(page_map_file_id(env_real(), s.out, &of_another.file_id, &err), &err);
    of_another.file_id++;
    map_put(&s, TIP_TXID, &of_another);
    database_put(&s, STALE_TXID);
    assert_error(scene_restore(&s, &err), &err, ERR_WRONG_STATE, "no page map of its own");
    s.options.if_db_not_exists = true;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(s.result.outcome, RESTORE_DB_EXISTS);
    test_replica_assert_state(&s.replica, s.out, STALE_TXID);
}

/* A copy of a volume has other inodes; what is in it tells. */
static void test_roll_forward_knows_a_copied_database_by_its_content(void **state UNUSED)
{
    static const uint64_t txids[] = {STALE_TXID, TIP_TXID};

    for (size_t i = 0; i < ARRAY_LEN(txids); i++) {
        CLEANUP(scene_remove) struct scene s = {0};
        struct error err = ERROR_INIT;
        struct map_state of_another = {.file_id = 1};

        roll_scene_make(&s);
        scene_storage_open(&s);
        database_put(&s, txids[i]);
        map_put(&s, txids[i], &of_another);
        assert_ok(scene_restore(&s, &err), &err);
        assert_int_equal(s.result.outcome,
                         txids[i] == TIP_TXID ? RESTORE_UP_TO_DATE : RESTORE_DONE);
        test_replica_assert_state(&s.replica, s.out, TIP_TXID);
    }
}

static void test_roll_forward_is_to_the_newest_state_only(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    roll_scene_make(&s);
    scene_storage_open(&s);
    s.options.target = (struct restore_target){.kind = RESTORE_TXID, .txid = 7};
    assert_error(scene_restore(&s, &err), &err, ERR_USAGE, "newest state only");
}

static void test_roll_forward_leaves_the_database_when_an_object_is_damaged(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    char path[700];
    size_t n = 0;

    roll_scene_make(&s);
    scene_storage_open(&s);
    stale_put(&s);
    test_replica_path(&s.replica, 0, 8, 8, path);
    uint8_t *bytes = test_file_read(path, &n);
    bytes[n - 3] ^= 4;
    test_file_write(path, slice_of(bytes, n));
    free(bytes);
    assert_error(scene_restore(&s, &err), &err, ERR_CORRUPT, "0000000000000008.ltx");
    test_replica_assert_state(&s.replica, s.out, STALE_TXID);
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    assert_ok(page_map_open(env_real(), s.map, &m, &err), &err);
    assert_int_equal(m.state.txid, STALE_TXID);
}

/* The test that forks comes first: there are no threads yet. */
int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_roll_forward_recovers_the_log_of_a_killed_application_first),
        TEST(test_roll_forward_brings_a_stale_database_to_the_tip),
        TEST(test_roll_forward_needs_no_object_before_the_state_of_the_database),
        TEST(test_roll_forward_restores_where_there_is_no_database),
        TEST(test_roll_forward_refuses_a_database_that_was_written_to),
        TEST(test_roll_forward_refuses_objects_of_another_history),
        TEST(test_roll_forward_leaves_a_rewound_database_where_it_is),
        TEST(test_roll_forward_brings_a_rewound_database_forward_once_the_replica_went_on),
        TEST(test_roll_forward_leaves_a_database_whose_own_object_is_the_tip),
        TEST(test_roll_forward_without_a_map_proves_nothing),
        TEST(test_roll_forward_does_not_take_the_map_of_the_file_before_for_its_own),
        TEST(test_roll_forward_knows_a_copied_database_by_its_content),
        TEST(test_roll_forward_is_to_the_newest_state_only),
        TEST(test_roll_forward_leaves_the_database_when_an_object_is_damaged),
    };
    return TEST_MAIN(tests);
}
