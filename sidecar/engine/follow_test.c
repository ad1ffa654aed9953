/*
 * Following: named states at open, what counts as committed, hand-overs, broken history. Every
 * application is a process of its own; every comparison is with what SQLite itself answers.
 */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sqlite3.h>

#include "sidecar/engine/follow_scene.h"

/* ---- named states ---- */

static void refuse_check(struct scene *s, enum follow_state wanted, const char *text)
{
    struct error err = ERROR_INIT;
    enum follow_state state = FOLLOW_OK;
    assert_error(scene_open_rc(s, &state, &err), &err, ERR_WRONG_STATE, text);
    assert_int_equal(state, wanted);
    assert_null(s->f);
}

static void test_open_names_an_absent_and_an_empty_database(void **state UNUSED)
{
    struct scene s;
    scene_init(&s);
    refuse_check(&s, FOLLOW_ABSENT, "absent");
    test_file_write(s.path, SLICE_EMPTY);
    refuse_check(&s, FOLLOW_ABSENT, "empty");
    scene_end(&s);
}

static void test_open_names_what_is_not_a_database(void **state UNUSED)
{
    struct scene s;
    uint8_t junk[4096];
    memset(junk, 'x', sizeof(junk));
    scene_init(&s);
    test_file_write(s.path, slice_of(junk, sizeof(junk)));
    refuse_check(&s, FOLLOW_NOT_DATABASE, "not a database");
    assert_int_equal(unlink(s.path), 0);
    assert_int_equal(mkdir(s.path, 0700), 0);
    refuse_check(&s, FOLLOW_NOT_DATABASE, "regular file");
    scene_end(&s);
}

static void test_open_names_a_database_without_wal_and_leaves_it_alone(void **state UNUSED)
{
    struct scene s;
    scene_init(&s);
    app_ok(&s.app, "open 0 %s", s.path);
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    refuse_check(&s, FOLLOW_NOT_WAL, "not in WAL mode");
    assert_string_equal(app_ok(&s.app, "sql 0 PRAGMA journal_mode"), "delete");
    scene_end(&s);
}

static void test_open_switches_wal_on_when_told_to(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    enum follow_state follow_state;
    struct follow_options options = {.enable_wal = true, .busy_timeout_ns = NS_PER_MS};
    scene_init(&s);
    app_ok(&s.app, "open 0 %s", s.path);
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    app_ok(&s.app, "sql 0 BEGIN");
    app_ok(&s.app, "sql 0 SELECT count(*) FROM t");
    assert_error(follower_open(&s.env, s.path, &options, &s.f, &follow_state, &err), &err,
                 ERR_WRONG_STATE, "busy");
    assert_int_equal(follow_state, FOLLOW_BUSY);
    app_ok(&s.app, "sql 0 COMMIT");
    assert_ok(follower_open(&s.env, s.path, &options, &s.f, &follow_state, &err), &err);
    scene_shadow_all(&s);
    app_ok(&s.app, "sql 0 SELECT count(*) FROM t");
    assert_string_equal(app_ok(&s.app, "sql 0 PRAGMA journal_mode"), "wal");
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(100))");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_open_names_exclusive_locking(void **state UNUSED)
{
    struct scene s;
    scene_init(&s);
    app_ok(&s.app, "open 0 %s", s.path);
    app_ok(&s.app, "sql 0 PRAGMA locking_mode=EXCLUSIVE");
    app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    refuse_check(&s, FOLLOW_EXCLUSIVE, "exclusively");
    app_ok(&s.app, "close 0");
    app_ok(&s.app, "open 0 %s", s.path);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES ('x')");
    scene_follow(&s);
    scene_assert_same(&s);
    scene_end(&s);
}

static void test_open_names_exclusive_locking_after_shared_memory_was_used(void **state UNUSED)
{
    struct scene s;
    scene_init(&s);
    app_ok(&s.app, "open 0 %s", s.path);
    app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    app_ok(&s.app, "sql 0 PRAGMA locking_mode=EXCLUSIVE");
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES ('x')");
    refuse_check(&s, FOLLOW_EXCLUSIVE, "exclusively");
    scene_end(&s);
}

static void test_open_names_a_file_that_another_user_owns(void **state UNUSED)
{
    struct scene s;
    if (geteuid() != 0)
        test_skip("needs root to become another user");
    scene_init(&s);
    app_ok(&s.app, "open 0 %s", s.path);
    app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    assert_int_equal(chmod(s.folder, 0755), 0);
    assert_int_equal(chmod(s.path, 0644), 0);
    assert_int_equal(seteuid(65534), 0);
    refuse_check(&s, FOLLOW_READ_ONLY, "not writable");
    assert_int_equal(seteuid(0), 0);
    /* The database would be ours, the files beside it are not. */
    assert_int_equal(chmod(s.path, 0666), 0);
    assert_int_equal(seteuid(65534), 0);
    refuse_check(&s, FOLLOW_READ_ONLY, "not writable");
    assert_int_equal(seteuid(0), 0);
    scene_end(&s);
}

static void test_open_follows_a_wal_database_without_its_log(void **state UNUSED)
{
    struct scene s;
    scene_init(&s);
    app_ok(&s.app, "open 0 %s", s.path);
    app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    app_ok(&s.app, "close 0"); /* the last one checkpoints and deletes the log */
    scene_follow(&s);
    assert_int_equal(follower_end(s.f)->frame, 0);
    assert_int_equal(follower_end(s.f)->salt[0], 0);
    assert_int_equal(scene_slot(&s), 0);
    app_ok(&s.app, "open 0 %s", s.path);
    scene_assert_same(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(10000))");
    scene_sync_and_compare(&s);
    assert_true(scene_slot(&s) >= 1);
    scene_end(&s);
}

static void test_network_file_systems_are_known_by_their_magic(void **state UNUSED)
{
    assert_true(follow_fs_is_network(0x6969));     /* NFS */
    assert_true(follow_fs_is_network(0x65735546)); /* FUSE, virtiofs */
    assert_true(follow_fs_is_network(0x01021997)); /* 9p */
    assert_true(follow_fs_is_network(0xFFFFFFFFFF534D42));
    assert_false(follow_fs_is_network(0xEF53));     /* ext4 */
    assert_false(follow_fs_is_network(0x01021994)); /* tmpfs */
    assert_false(follow_fs_is_network(0x794C7630)); /* overlayfs */
}

static void test_states_have_words(void **state UNUSED)
{
    for (int i = FOLLOW_OK; i <= FOLLOW_BUSY; i++)
        assert_string_not_equal(follow_state_text((enum follow_state)i), "unknown");
    assert_true(strlen(follow_sqlite_version()) >= 5);
    if (sqlite3_libversion_number() == 3040001)
        assert_true(follow_sqlite_has_wal_reset_bug());
}

static void test_a_moved_database_is_noticed(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    enum advance_result result;
    char other[320];
    scene_start(&s);
    assert_int_equal(follower_check_moved(s.f), FOLLOW_OK);
    (void)snprintf(other, sizeof(other), "%s/other.db", s.folder);
    assert_int_equal(rename(s.path, other), 0);
    assert_int_equal(follower_check_moved(s.f), FOLLOW_MOVED);
    assert_error(follower_advance(s.f, scene_note, &s, &result, &err), &err, ERR_WRONG_STATE,
                 "another file");
    scene_end(&s);
}

/* ---- what is committed ---- */

static void test_advance_notes_every_commit(void **state UNUSED)
{
    static const char *const synchronous[] = {"FULL", "NORMAL", "OFF"};
    for (size_t i = 0; i < ARRAY_LEN(synchronous); i++) {
        struct scene s;
        test_row(synchronous[i]);
        scene_start(&s);
        app_ok(&s.app, "sql 0 PRAGMA synchronous=%s", synchronous[i]);
        assert_int_equal(follower_look(s.f), LOOK_SAME);
        for (int round = 0; round < 20; round++) {
            app_ok(&s.app, "loop 0 7 INSERT INTO t(body) VALUES (randomblob(1 + 600 * %d))", round);
            app_ok(&s.app, "sql 0 DELETE FROM t WHERE id %% 5 = %d", round % 5);
            assert_int_equal(follower_look(s.f), LOOK_CHANGED);
            scene_sync_and_compare(&s);
        }
        struct follow_stats stats;
        struct error err = ERROR_INIT;
        assert_ok(follower_stats(s.f, &stats, &err), &err);
        assert_int_equal(stats.commits_seen, 160);
        assert_int_equal(stats.log_frames, follower_end(s.f)->frame);
        assert_true(stats.wal_file_bytes > 0);
        scene_end(&s);
    }
}

static void test_every_page_size_is_followed(void **state UNUSED)
{
    for (uint32_t size = 512; size <= 65536; size *= 2) {
        struct scene s;
        scene_init(&s);
        app_ok(&s.app, "open 0 %s", s.path);
        app_ok(&s.app, "sql 0 PRAGMA page_size=%u", size);
        app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
        app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
        scene_follow(&s);
        assert_int_equal(s.page_size, size);
        app_ok(&s.app, "loop 0 10 INSERT INTO t(body) VALUES (randomblob(30000))");
        scene_sync_and_compare(&s);
        assert_true(scene_checkpoint(&s, false).is_complete);
        app_ok(&s.app, "loop 0 10 UPDATE t SET body = randomblob(20000) WHERE id = 3");
        scene_sync_and_compare(&s);
        scene_end(&s);
    }
}

static void test_a_commit_whose_fsync_failed_is_never_noted(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "sql 0 PRAGMA synchronous=FULL");
    app_ok(&s.app, "sql 0 INSERT INTO t VALUES (1, 'one')");
    scene_sync(&s);
    uint32_t frame = follower_end(s.f)->frame;
    app_ok(&s.app, "fail_sync 1");
    assert_int_equal(strncmp(app_ask(&s.app, "sql 0 INSERT INTO t VALUES (2, 'two')"), "error", 5),
                     0);
    assert_int_equal(follower_look(s.f), LOOK_SAME);
    scene_sync_and_compare(&s);
    assert_int_equal(follower_end(s.f)->frame, frame);
    /* The next commit overwrites the frame that looked committed. */
    app_ok(&s.app, "sql 0 INSERT INTO t VALUES (3, 'three')");
    scene_sync_and_compare(&s);
    assert_int_equal(follower_end(s.f)->frame, frame + 1);
    scene_end(&s);
}

static void test_spilled_frames_are_not_noted_before_the_commit(void **state UNUSED)
{
    struct scene s;
    struct stat before;
    struct stat after;
    scene_start(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t VALUES (1, 'one')");
    scene_sync(&s);
    assert_int_equal(stat(follower_wal_path(s.f), &before), 0);
    app_ok(&s.app, "sql 0 PRAGMA cache_size=5");
    app_ok(&s.app, "sql 0 BEGIN");
    app_ok(&s.app, "loop 0 200 INSERT INTO t(body) VALUES (randomblob(4000))");
    assert_int_equal(stat(follower_wal_path(s.f), &after), 0);
    assert_true(after.st_size > before.st_size + INT64_C(100) * 4096); /* spilled indeed */
    assert_int_equal(follower_look(s.f), LOOK_SAME);
    scene_sync(&s);
    assert_int_equal(s.shadow_pages, 2);
    app_ok(&s.app, "sql 0 ROLLBACK");
    scene_sync_and_compare(&s);
    app_ok(&s.app, "sql 0 BEGIN");
    app_ok(&s.app, "loop 0 200 INSERT INTO t(body) VALUES (randomblob(4000))");
    app_ok(&s.app, "sql 0 UPDATE t SET body = 'again' WHERE id = 1"); /* rewritten in place */
    app_ok(&s.app, "sql 0 COMMIT");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_a_killed_writer_leaves_nothing_behind(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    for (int round = 0; round < 3; round++) {
        app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES ('kept')");
        app_ok(&s.app, "sql 0 PRAGMA cache_size=5");
        app_ok(&s.app, "sql 0 BEGIN");
        app_ok(&s.app, "loop 0 50 INSERT INTO t(body) VALUES (randomblob(4000))");
        app_kill(&s.app);
        app_start(&s.app);
        app_ok(&s.app, "open 0 %s", s.path);
        scene_sync_and_compare(&s);
        assert_int_equal(scene_rows(&s, 0), round + 1);
    }
    scene_end(&s);
}

static void test_a_writer_killed_between_the_header_copies_is_recovered(void **state UNUSED)
{
    struct scene s;
    struct app_process vandal;
    scene_start(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES ('one')");
    scene_sync(&s);
    app_start(&vandal);
    app_ok(&vandal, "tear %s", s.path);
    app_stop(&vandal);
    assert_int_equal(follower_look(s.f), LOOK_TORN);
    assert_int_equal(scene_advance(&s), ADVANCE_PROVEN); /* waits and sees */
    assert_int_equal(follower_look(s.f), LOOK_TORN);
    s.clock_skew_ns += 2 * NS_PER_SEC;
    scene_sync(&s);
    assert_int_equal(follower_look(s.f), LOOK_SAME);
    scene_assert_same(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(9000))");
    scene_sync_and_compare(&s);
    assert_true(scene_checkpoint(&s, false).is_complete);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(9000))");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_a_torn_header_under_a_live_writer_is_reported(void **state UNUSED)
{
    struct scene s;
    struct app_process vandal;
    struct error err = ERROR_INIT;
    enum advance_result result;
    scene_start(&s);
    app_ok(&s.app, "sql 0 BEGIN IMMEDIATE");
    app_start(&vandal);
    app_ok(&vandal, "tear %s", s.path);
    assert_int_equal(scene_advance(&s), ADVANCE_PROVEN);
    s.clock_skew_ns += 2 * NS_PER_SEC;
    assert_error(follower_advance(s.f, scene_note, &s, &result, &err), &err, ERR_WRONG_STATE,
                 "torn");
    app_ok(&vandal, "tear %s", s.path); /* the writer goes on */
    app_stop(&vandal);
    app_ok(&s.app, "sql 0 COMMIT");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* ---- history ---- */

static void test_hand_over_follows_a_restarted_log(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    for (int round = 0; round < 10; round++) {
        app_ok(&s.app, "loop 0 5 INSERT INTO t(body) VALUES (randomblob(5000))");
        scene_sync(&s);
        uint32_t salt = follower_end(s.f)->salt[0];
        struct checkpoint_outcome outcome = scene_checkpoint(&s, false);
        assert_true(outcome.is_complete);
        assert_int_equal(outcome.backfilled_frames, outcome.log_frames);
        assert_int_equal(scene_slot(&s), 0);
        scene_assert_same(&s);
        app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
        assert_int_equal(follower_look(s.f), LOOK_CHANGED);
        scene_sync(&s);
        assert_int_not_equal(follower_end(s.f)->salt[0], salt);
        assert_true(scene_slot(&s) >= 1);
        scene_assert_same(&s);
    }
    scene_end(&s);
}

static void test_many_commits_after_a_restart_are_all_noted(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 300 INSERT INTO t(body) VALUES (randomblob(3000))");
    scene_sync(&s);
    assert_true(scene_checkpoint(&s, false).is_complete);
    app_ok(&s.app,
           "loop 0 900 UPDATE t SET body = randomblob(3000) WHERE id = 1 + abs(random() %% 300)");
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)"); /* cannot backfill under slot 0 */
    app_ok(&s.app,
           "loop 0 50 UPDATE t SET body = randomblob(3000) WHERE id = 1 + abs(random() %% 300)");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_a_rolled_back_restart_loses_nothing(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    assert_true(scene_checkpoint(&s, false).is_complete);
    app_ok(&s.app, "sql 0 PRAGMA cache_size=5");
    for (int round = 0; round < 3; round++) {
        app_ok(&s.app, "sql 0 BEGIN");
        app_ok(&s.app, "loop 0 50 INSERT INTO t(body) VALUES (randomblob(4000))"); /* spills */
        app_ok(&s.app, "sql 0 ROLLBACK");
        scene_sync_and_compare(&s);
        assert_int_equal(follower_end(s.f)->frame, 0);
        assert_int_equal(scene_slot(&s), 0);
    }
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(50000))");
    scene_sync_and_compare(&s);
    assert_true(scene_slot(&s) >= 1);
    scene_end(&s);
}

static void test_salts_that_are_random_twice_are_explained(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "open 1 %s", s.path);
    app_ok(&s.app, "sql 1 SELECT count(*) FROM t");
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    assert_true(scene_checkpoint(&s, false).is_complete);
    /* An emptied log, once and again; its first frame then comes from a fresh connection. */
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    scene_sync_and_compare(&s);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    app_ok(&s.app, "sql 1 INSERT INTO t(body) VALUES (randomblob(7000))");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_a_reader_of_the_application_makes_the_log_go_on(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    app_ok(&s.app, "open 1 %s", s.path);
    app_ok(&s.app, "sql 1 BEGIN");
    app_ok(&s.app, "sql 1 SELECT count(*) FROM t");
    assert_true(scene_checkpoint(&s, false).is_complete);
    struct log_end before = *follower_end(s.f);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    assert_int_equal(follower_end(s.f)->salt[0], before.salt[0]);
    assert_true(follower_end(s.f)->frame > before.frame);
    assert_true(scene_slot(&s) >= 1);
    scene_assert_same(&s);
    app_ok(&s.app, "sql 1 COMMIT");
    assert_true(scene_checkpoint(&s, false).is_complete);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync_and_compare(&s);
    assert_int_not_equal(follower_end(s.f)->salt[0], before.salt[0]);
    scene_end(&s);
}

static void test_checkpoints_of_the_application_are_harmless(void **state UNUSED)
{
    static const char *const modes[] = {"PASSIVE", "FULL", "RESTART", "TRUNCATE"};
    struct scene s;
    struct follow_stats stats;
    struct error err = ERROR_INIT;
    scene_start(&s);
    for (int round = 0; round < 24; round++) {
        app_ok(&s.app, "loop 0 3 INSERT INTO t(body) VALUES (randomblob(5000))");
        app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(%s)", modes[round % 4]);
        app_ok(&s.app, "loop 0 3 UPDATE t SET body = randomblob(5000) WHERE id = %d", round);
        if (round % 3 == 0)
            app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(%s)", modes[(round / 4) % 4]);
        scene_sync_and_compare(&s);
        if (round % 5 == 4)
            (void)scene_checkpoint(&s, false);
    }
    assert_ok(follower_stats(s.f, &stats, &err), &err);
    assert_true(stats.foreign_checkpoints > 0);
    scene_end(&s);
}

static void test_vacuum_growth_and_shrinking_are_followed(void **state UNUSED)
{
    struct scene s;
    scene_init(&s);
    app_ok(&s.app, "open 0 %s", s.path);
    app_ok(&s.app, "sql 0 PRAGMA auto_vacuum=INCREMENTAL");
    app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&s.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    scene_follow(&s);
    for (int round = 0; round < 6; round++) {
        app_ok(&s.app, "loop 0 300 INSERT INTO t(body) VALUES (randomblob(6000))");
        scene_sync_and_compare(&s);
        app_ok(&s.app, "sql 0 DELETE FROM t WHERE id %% 4 <> 0");
        scene_sync_and_compare(&s);
        app_ok(&s.app, round % 2 ? "sql 0 VACUUM" : "sql 0 PRAGMA incremental_vacuum");
        scene_sync_and_compare(&s);
        if (round % 3 == 1)
            (void)scene_checkpoint(&s, false);
        /* Shrunk and grown again between two looks. */
        app_ok(&s.app, "sql 0 DELETE FROM t WHERE id %% 8 <> 0");
        app_ok(&s.app, "sql 0 VACUUM");
        app_ok(&s.app, "loop 0 200 INSERT INTO t(body) VALUES (zeroblob(9000))");
        scene_sync_and_compare(&s);
        assert_true(scene_checkpoint(&s, false).is_complete);
        scene_assert_same(&s);
    }
    scene_end(&s);
}

static void test_pages_by_which_the_database_grew_are_noted_without_a_frame(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 10 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    uint32_t pages = follower_end(s.f)->page_count;
    s.f->now.end.page_count = pages - 5; /* as if it had been so small */
    app_ok(&s.app, "sql 0 UPDATE t SET body = 'x' WHERE id = 1");
    assert_int_equal(scene_advance(&s), ADVANCE_PROVEN);
    for (uint32_t p = pages - 4; p <= pages; p++)
        assert_int_equal(s.noted[p], 1);
    scene_end(&s);
}

static void test_lost_locks_are_noticed_by_the_next_checkpoint(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    enum advance_result result;
    struct checkpoint_outcome outcome;
    scene_start(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    assert_true(follow_locks_ok(s.f));
    assert_true(s.f->can_see_locks);
    int fd = open(s.path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0); /* drops every lock that this process has on the database */
    assert_false(follow_locks_ok(s.f));
    assert_error(follower_checkpoint(s.f, false, scene_note, &s, &result, &outcome, &err), &err,
                 ERR_WRONG_STATE, "locks");
    assert_int_equal(err.origin, FOLLOW_ORIGIN_LOCKS_LOST);
    /* Opened anew it has them again, and the log proves that nothing was missed. */
    struct log_end end = *follower_end(s.f);
    bool contains = false;
    follower_close(TAKE(s.f));
    scene_follow(&s);
    assert_true(follow_locks_ok(s.f));
    assert_ok(follower_contains(s.f, &end, &contains, &err), &err);
    assert_true(contains);
    scene_end(&s);
}

static void test_a_restart_under_lost_locks_asks_for_a_new_start(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    enum advance_result result;
    char shm[320];
    bool contains = true;
    scene_start(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    (void)snprintf(shm, sizeof(shm), "%s-shm", s.path);
    int fd = open(shm, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(RESTART)");
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    struct log_end end = *follower_end(s.f);
    assert_error(follower_advance(s.f, scene_note, &s, &result, &err), &err, ERR_WRONG_STATE,
                 "locks");
    follower_close(TAKE(s.f));
    scene_follow(&s);
    assert_ok(follower_contains(s.f, &end, &contains, &err), &err);
    assert_false(contains);
    scene_assert_same(&s);
    scene_end(&s);
}

static void test_a_restart_that_no_lock_explains_is_unproven(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    connection_end(s.f->holder); /* as if the transaction had ended by itself */
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(RESTART)");
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    assert_int_equal(scene_advance(&s), ADVANCE_UNPROVEN);
    scene_shadow_all(&s);
    scene_assert_same(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_release_lets_the_application_truncate(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct stat st;
    enum advance_result result;
    scene_start(&s);
    app_ok(&s.app, "loop 0 20 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    follower_release(s.f);
    assert_error(follower_advance(s.f, scene_note, &s, &result, &err), &err, ERR_WRONG_STATE,
                 "let go");
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(stat(follower_wal_path(s.f), &st), 0);
    assert_int_equal(st.st_size, 0);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    assert_ok(follower_reacquire(s.f, &err), &err);
    scene_shadow_all(&s);
    scene_assert_same(&s);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_closing_last_keeps_log_and_database_as_they_are(void **state UNUSED)
{
    struct scene s;
    size_t db_before_n;
    size_t db_after_n;
    size_t log_before_n;
    size_t log_after_n;
    scene_start(&s);
    app_ok(&s.app, "loop 0 20 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    app_ok(&s.app, "close 0");
    char *log_path = strdup(follower_wal_path(s.f));
    uint8_t *log_before = test_file_read(log_path, &log_before_n);
    follower_close(s.f);
    s.f = NULL;
    uint8_t *db_before = test_file_read(s.path, &db_before_n);
    uint8_t *log_after = test_file_read(log_path, &log_after_n);
    assert_int_equal(log_before_n, log_after_n);
    assert_memory_equal(log_before, log_after, log_before_n);
    scene_follow(&s);
    follower_close(s.f);
    s.f = NULL;
    uint8_t *db_after = test_file_read(s.path, &db_after_n);
    assert_int_equal(db_before_n, db_after_n);
    assert_memory_equal(db_before, db_after, db_before_n);
    free(db_before);
    free(db_after);
    free(log_before);
    free(log_after);
    free(log_path);
    scene_end(&s);
}

static void script_run(struct scene *s, bool is_followed)
{
    for (int round = 0; round < 12; round++) {
        app_ok(&s->app, "loop 0 20 INSERT INTO t(body) VALUES (zeroblob(%d))", 500 * round + 1);
        app_ok(&s->app, "sql 0 UPDATE t SET body = 'x' || id WHERE id %% 7 = %d", round % 7);
        if (round == 8)
            app_ok(&s->app, "sql 0 VACUUM");
        if (is_followed) {
            scene_sync(s);
            (void)scene_checkpoint(s, round % 2);
        } else {
            app_ok(&s->app, "sql 0 PRAGMA wal_checkpoint(PASSIVE)");
        }
    }
}

static void test_nothing_is_written_into_the_users_database(void **state UNUSED)
{
    struct scene followed;
    struct scene twin;
    size_t n[2];
    scene_start(&followed);
    script_run(&followed, true);
    follower_close(followed.f);
    followed.f = NULL;
    app_ok(&followed.app, "close 0");

    scene_init(&twin);
    app_ok(&twin.app, "open 0 %s", twin.path);
    app_ok(&twin.app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&twin.app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    script_run(&twin, false);
    app_ok(&twin.app, "close 0");

    uint8_t *a = test_file_read(followed.path, &n[0]);
    uint8_t *b = test_file_read(twin.path, &n[1]);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(a, b, n[0]);
    free(a);
    free(b);
    scene_end(&followed);
    scene_end(&twin);
}

static void test_an_idle_follower_is_small_and_quick_to_look(void **state UNUSED)
{
    const unsigned looks = 1000000;
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 20 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(&s);
    follower_close(TAKE(s.f));
    struct mallinfo2 before = mallinfo2();
    struct error err = ERROR_INIT;
    enum follow_state follow_state;
    assert_ok(scene_open_rc(&s, &follow_state, &err), &err);
    struct mallinfo2 after = mallinfo2();
    print_message("# heap of an idle follower: %zu bytes\n", after.uordblks - before.uordblks);
    uint64_t began_ns = env_monotonic_ns(env_real());
    unsigned same = 0;
    for (unsigned i = 0; i < looks; i++)
        same += follower_look(s.f) == LOOK_SAME;
    uint64_t took_ns = env_monotonic_ns(env_real()) - began_ns;
    print_message("# a look: %.1f ns\n", (double)took_ns / looks);
    assert_int_equal(same, looks);
    scene_end(&s);
}

/* ---- threads ---- */

struct looker {
    const struct follower *f;
    atomic_bool is_over;
    unsigned changes; /* owner: the thread, until it is joined */
};

static void *look_on(void *arg)
{
    struct looker *l = arg;
    while (!atomic_load(&l->is_over))
        l->changes += follower_look(l->f) == LOOK_CHANGED;
    return NULL;
}

static void test_look_may_be_asked_from_another_thread_at_any_time(void **state UNUSED)
{
    struct scene s;
    struct looker looker = {.changes = 0};
    pthread_t thread;
    scene_start(&s);
    looker.f = s.f;
    assert_int_equal(pthread_create(&thread, NULL, look_on, &looker), 0);
    for (int round = 0; round < 30; round++) {
        app_ok(&s.app, "loop 0 5 INSERT INTO t(body) VALUES (randomblob(5000))");
        scene_sync(&s);
        (void)scene_checkpoint(&s, true);
    }
    atomic_store(&looker.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(looker.changes > 0);
    scene_assert_same(&s);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_open_names_an_absent_and_an_empty_database),
        TEST(test_open_names_what_is_not_a_database),
        TEST(test_open_names_a_database_without_wal_and_leaves_it_alone),
        TEST(test_open_switches_wal_on_when_told_to),
        TEST(test_open_names_exclusive_locking),
        TEST(test_open_names_exclusive_locking_after_shared_memory_was_used),
        TEST(test_open_names_a_file_that_another_user_owns),
        TEST(test_open_follows_a_wal_database_without_its_log),
        TEST(test_network_file_systems_are_known_by_their_magic),
        TEST(test_states_have_words),
        TEST(test_a_moved_database_is_noticed),
        TEST(test_advance_notes_every_commit),
        TEST(test_every_page_size_is_followed),
        TEST(test_a_commit_whose_fsync_failed_is_never_noted),
        TEST(test_spilled_frames_are_not_noted_before_the_commit),
        TEST(test_a_killed_writer_leaves_nothing_behind),
        TEST(test_a_writer_killed_between_the_header_copies_is_recovered),
        TEST(test_a_torn_header_under_a_live_writer_is_reported),
        TEST(test_hand_over_follows_a_restarted_log),
        TEST(test_many_commits_after_a_restart_are_all_noted),
        TEST(test_a_rolled_back_restart_loses_nothing),
        TEST(test_salts_that_are_random_twice_are_explained),
        TEST(test_a_reader_of_the_application_makes_the_log_go_on),
        TEST(test_checkpoints_of_the_application_are_harmless),
        TEST(test_vacuum_growth_and_shrinking_are_followed),
        TEST(test_pages_by_which_the_database_grew_are_noted_without_a_frame),
        TEST(test_lost_locks_are_noticed_by_the_next_checkpoint),
        TEST(test_a_restart_under_lost_locks_asks_for_a_new_start),
        TEST(test_a_restart_that_no_lock_explains_is_unproven),
        TEST(test_release_lets_the_application_truncate),
        TEST(test_closing_last_keeps_log_and_database_as_they_are),
        TEST(test_nothing_is_written_into_the_users_database),
        TEST(test_look_may_be_asked_from_another_thread_at_any_time),
        TEST(test_an_idle_follower_is_small_and_quick_to_look),
    };
    return TEST_MAIN(tests);
}
