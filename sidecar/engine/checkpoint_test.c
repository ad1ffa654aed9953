/*
 * Checkpoints without a gap: complete, blocked, beside writers, sealed; and shrinking.
 */
#include <sqlite3.h>

#include "sidecar/engine/follow_scene.h"

#define INSERT   "INSERT INTO t(body) VALUES (randomblob(3000))"
#define UPDATE_1 "UPDATE t SET body = randomblob(3000) WHERE id = 1 + abs(random() %% 50)"

static void test_checkpoint_of_an_idle_database_leaves_slot_0(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 50 " INSERT);
    struct checkpoint_outcome outcome = scene_checkpoint(&s, false);
    assert_true(outcome.is_complete);
    assert_false(outcome.was_sealed);
    assert_int_equal(outcome.blocking_frame, 0);
    assert_true(outcome.log_frames > 50);
    assert_int_equal(outcome.backfilled_frames, outcome.log_frames);
    assert_true(outcome.total_ns > 0);
    assert_int_equal(scene_slot(&s), 0);
    scene_assert_same(&s);
    outcome = scene_checkpoint(&s, true); /* again: nothing to do */
    assert_true(outcome.is_complete);
    assert_false(outcome.was_sealed);
    assert_int_equal(scene_slot(&s), 0);
    scene_assert_same(&s);
    scene_end(&s);
}

static void test_checkpoint_notes_what_was_not_noted(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    for (int i = 0; i < 5; i++) {
        app_ok(&s.app, "loop 0 20 " INSERT);
        assert_true(scene_checkpoint(&s, i % 2).is_complete);
        scene_assert_same(&s);
    }
    scene_end(&s);
}

/* The wal-index forgets what was copied when the log begins anew; what was noted before is in the
 * database all the same, and asks for no further checkpoint. */
static void test_what_was_copied_stays_copied_when_the_log_begins_anew(void **state UNUSED)
{
    struct scene s;
    struct follow_stats stats;
    struct error err = ERROR_INIT;
    scene_start(&s);
    app_ok(&s.app, "loop 0 50 " INSERT);
    assert_true(scene_checkpoint(&s, false).is_complete);
    app_ok(&s.app, "loop 0 1 " INSERT);
    assert_ok(follower_stats(s.f, &stats, &err), &err);
    assert_true(stats.log_frames > 50);
    assert_int_equal(stats.backfilled_frames, stats.log_frames);
    scene_sync(&s);
    assert_ok(follower_stats(s.f, &stats, &err), &err);
    assert_in_range(stats.log_frames, 1, 50);
    assert_int_equal(stats.backfilled_frames, 0);
    scene_end(&s);
}

static void test_checkpoint_names_the_mark_that_blocks_it(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    app_ok(&s.app, "open 1 %s", s.path);
    app_ok(&s.app, "sql 1 BEGIN");
    app_ok(&s.app, "sql 1 SELECT count(*) FROM t");
    scene_sync(&s);
    uint32_t mark = follower_end(s.f)->frame;
    app_ok(&s.app, "loop 0 30 " INSERT);
    struct checkpoint_outcome outcome = scene_checkpoint(&s, true);
    assert_false(outcome.is_complete);
    assert_false(outcome.was_sealed); /* it would not help */
    assert_int_equal(outcome.blocking_frame, mark);
    assert_int_equal(outcome.backfilled_frames, mark);
    assert_true(scene_slot(&s) >= 1);
    scene_assert_same(&s);
    assert_int_equal(scene_rows(&s, 1), 5);
    app_ok(&s.app, "sql 1 COMMIT");
    assert_true(scene_checkpoint(&s, false).is_complete);
    scene_assert_same(&s);
    scene_end(&s);
}

static void test_checkpoint_works_when_readers_took_every_slot(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    for (unsigned c = 1; c <= 6; c++) {
        app_ok(&s.app, "open %u %s", c, s.path);
        app_ok(&s.app, "sql 0 " INSERT);
        app_ok(&s.app, "sql %u BEGIN", c);
        app_ok(&s.app, "sql %u SELECT count(*) FROM t", c);
        scene_sync_and_compare(&s);
    }
    app_ok(&s.app, "loop 0 5 " INSERT);
    assert_false(scene_checkpoint(&s, true).is_complete);
    scene_assert_same(&s);
    for (unsigned c = 1; c <= 6; c++) {
        assert_int_equal(scene_rows(&s, c), c);
        app_ok(&s.app, "sql %u COMMIT", c);
        (void)scene_checkpoint(&s, false);
        scene_assert_same(&s);
    }
    assert_true(scene_checkpoint(&s, false).is_complete);
    scene_end(&s);
}

static void test_checkpoint_is_refused_while_pinned_and_while_another_runs(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    enum advance_result result;
    struct checkpoint_outcome outcome;
    struct log_end end;
    scene_start(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    assert_ok(follower_pin(s.f, &end, &err), &err);
    assert_error(follower_checkpoint(s.f, true, scene_note, &s, &result, &outcome, &err), &err,
                 ERR_BUSY, "pinned");
    follower_unpin(s.f);
    /* Somebody has the checkpoint lock. */
    const sqlite3_io_methods *m;
    sqlite3_file *file;
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(s.path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT count(*) FROM t", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_file_control(db, NULL, SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
    m = file->pMethods;
    int flags = SQLITE_SHM_EXCLUSIVE;
    assert_int_equal(m->xShmLock(file, 1, 1, SQLITE_SHM_LOCK | flags), SQLITE_OK);
    assert_error(follower_checkpoint(s.f, true, scene_note, &s, &result, &outcome, &err), &err,
                 ERR_BUSY, "checkpoint");
    assert_int_equal(m->xShmLock(file, 1, 1, SQLITE_SHM_UNLOCK | flags), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    scene_apply(&s);
    assert_true(scene_checkpoint(&s, false).is_complete);
    scene_assert_same(&s);
    scene_end(&s);
}

/* ---- beside writers ---- */

/* Turn n writes one of 400 rows that begins with n, and n itself, in one transaction. */
#define TURN(bytes)                                                                                \
    "BEGIN; UPDATE c SET n = n + 1; INSERT OR REPLACE INTO t SELECT n %% 400, n || ':' || "        \
    "hex(randomblob(" #bytes " / 2)) FROM c; COMMIT"

/* Answers 1 for each state that the application ever had. */
#define TURNS_FIT                                                                                  \
    "SELECT coalesce(max(CAST(body AS INTEGER)), 0) = (SELECT n FROM c) AND "                      \
    "count(*) = min(400, (SELECT n FROM c)) FROM t"

/* The shadow is a state that the application had. */
static void shadow_check(struct scene *s)
{
    char image[320];
    (void)snprintf(image, sizeof(image), "%s/shadow", s->folder);
    s->shadow[18] = s->shadow[19] = 1; /* a plain file without a log */
    test_file_write(image, slice_of(s->shadow, (size_t)s->shadow_pages * s->page_size));
    s->shadow[18] = s->shadow[19] = 2;
    struct app_process judge;
    app_start(&judge);
    app_ok(&judge, "open 1 %s", image);
    assert_string_equal(app_ok(&judge, "sql 1 PRAGMA integrity_check"), "ok");
    assert_string_equal(app_ok(&judge, "sql 1 " TURNS_FIT), "1");
    app_stop(&judge);
}

static void test_nothing_is_lost_beside_a_constant_writer(void **state UNUSED)
{
    static const char *const synchronous[] = {"FULL", "NORMAL", "OFF"};
    for (size_t i = 0; i < ARRAY_LEN(synchronous); i++) {
        struct scene s;
        test_row(synchronous[i]);
        unsigned complete = 0;
        scene_start(&s);
        app_ok(&s.app, "sql 0 CREATE TABLE c(n)");
        app_ok(&s.app, "sql 0 INSERT INTO c VALUES (0)");
        app_ok(&s.app, "sql 0 PRAGMA synchronous=%s", synchronous[i]);
        app_ok(&s.app, "spin 0 " TURN(2000));
        for (int round = 0; round < 200; round++) {
            scene_sync(&s);
            if (round % 4 == 0) {
                complete += scene_checkpoint(&s, round % 8 == 0).is_complete;
            }
            if (round % 40 == 0) {
                shadow_check(&s);
            }
            assert_true(follow_locks_ok(s.f));
        }
        unsigned long failed;
        unsigned long commits = app_spin_end(&s.app, &failed);
        scene_sync_and_compare(&s);
        shadow_check(&s);
        print_message("# synchronous=%s: %lu commits, %lu refused, %u of 50 checkpoints complete\n",
                      synchronous[i], commits, failed, complete);
        assert_true(complete > 0);
        scene_end(&s);
    }
}

static void test_sealing_completes_beside_a_writer_that_never_pauses(void **state UNUSED)
{
    struct scene s;
    unsigned sealed = 0;
    unsigned busy = 0;
    unsigned complete = 0;
    unsigned in_vain = 0;
    uint64_t seal_ns_max = 0;
    scene_start(&s);
    app_ok(&s.app, "loop 0 60 " INSERT);
    app_ok(&s.app, "spin 0 " UPDATE_1);
    for (int round = 0; round < 100; round++) {
        struct checkpoint_outcome o = scene_checkpoint(&s, true);
        sealed += o.was_sealed;
        busy += o.was_seal_busy;
        complete += o.is_complete;
        in_vain += o.was_sealed && !o.is_complete;
        if (o.seal_ns > seal_ns_max) {
            seal_ns_max = o.seal_ns;
        }
    }
    unsigned long failed;
    unsigned long commits = app_spin_end(&s.app, &failed);
    scene_sync_and_compare(&s);
    print_message("# %lu commits, %lu refused; 100 checkpoints: %u complete, %u sealed (%u in "
                  "vain), %u found a "
                  "writer; longest seal %.2f ms\n",
                  commits, failed, complete, sealed, in_vain, busy, (double)seal_ns_max / 1e6);
    assert_true(complete > 10);
    assert_true(in_vain < complete);
    scene_end(&s);
}

/* Nobody writes: the wait is over all the same. Somebody does: it ends right after a commit. */
static void test_awaiting_a_commit_ends_with_one_or_with_its_patience(void **state UNUSED)
{
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    scene_sync(&s);
    uint32_t change = s.f->noted.change;
    follow_await_commit(s.f, s.f->holder);
    assert_int_equal(follower_commits_since(s.f, change), 0);
    app_ok(&s.app, "spin 0 " UPDATE_1);
    uint64_t until_ns = env_monotonic_ns(env_real()) + 60 * NS_PER_SEC;
    while (follower_commits_since(s.f, change) == 0) {
        assert_true(env_monotonic_ns(env_real()) < until_ns);
        follow_await_commit(s.f, s.f->holder);
    }
    unsigned long failed;
    assert_true(app_spin_end(&s.app, &failed) > 0);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_seal_gives_up_when_a_writer_has_the_lock(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct checkpoint_outcome outcome = {.log_frames = 0};
    scene_start(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    scene_sync(&s);
    app_ok(&s.app, "sql 0 BEGIN IMMEDIATE");
    assert_ok(follow_seal(s.f, scene_note, &s, &outcome, &err), &err);
    follow_settle(s.f);
    assert_true(outcome.was_seal_busy);
    assert_false(outcome.was_sealed);
    app_ok(&s.app, "sql 0 COMMIT");
    scene_assert_same(&s);
    scene_end(&s);
}

static void test_seal_copies_and_notes_the_last_frames(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct checkpoint_outcome outcome = {.log_frames = 0};
    scene_start(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    scene_sync(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    assert_ok(follow_seal(s.f, scene_note, &s, &outcome, &err), &err);
    follow_settle(s.f);
    assert_true(outcome.was_sealed);
    assert_true(outcome.seal_ns > 0);
    scene_apply(&s);
    assert_int_equal(scene_slot(&s), 0);
    scene_assert_same(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_seal_beside_an_old_reader_stays_on_the_log(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    struct checkpoint_outcome outcome = {.log_frames = 0};
    scene_start(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    app_ok(&s.app, "open 1 %s", s.path);
    app_ok(&s.app, "sql 1 BEGIN");
    app_ok(&s.app, "sql 1 SELECT count(*) FROM t");
    app_ok(&s.app, "loop 0 5 " INSERT);
    assert_ok(follow_seal(s.f, scene_note, &s, &outcome, &err), &err);
    follow_settle(s.f);
    scene_apply(&s);
    assert_true(scene_slot(&s) >= 1);
    assert_true(outcome.blocking_frame > 0);
    scene_assert_same(&s);
    app_ok(&s.app, "loop 0 5 " INSERT);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* ---- shrinking ---- */

static uint64_t log_bytes(struct scene *s)
{
    struct stat st;
    assert_int_equal(stat(follower_wal_path(s->f), &st), 0);
    return (uint64_t)st.st_size;
}

static void test_shrink_cuts_the_tail_in_steps_and_never_live_frames(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    bool more = true;
    unsigned steps = 0;
    scene_start(&s);
    app_ok(&s.app, "loop 0 60 " INSERT);
    app_ok(&s.app, "sql 0 BEGIN");
    app_ok(&s.app, "loop 0 100 INSERT INTO t(body) VALUES (zeroblob(500000))");
    app_ok(&s.app, "sql 0 COMMIT");
    scene_sync(&s);
    uint64_t peak = log_bytes(&s);
    assert_true(peak > UINT64_C(48) * 1024 * 1024);
    /* All frames are live: nothing to cut. */
    assert_ok(follower_shrink(s.f, 0, &more, &err), &err);
    assert_false(more);
    assert_int_equal(log_bytes(&s), peak);
    assert_true(scene_checkpoint(&s, false).is_complete);
    app_ok(&s.app, "loop 0 10 " UPDATE_1);
    scene_sync(&s);
    app_ok(&s.app, "sql 0 BEGIN IMMEDIATE");
    assert_ok(follower_shrink(s.f, 65536, &more, &err), &err);
    assert_true(more); /* a writer had the lock */
    assert_int_equal(log_bytes(&s), peak);
    app_ok(&s.app, "sql 0 COMMIT");
    do {
        uint64_t before = log_bytes(&s);
        assert_ok(follower_shrink(s.f, 65536, &more, &err), &err);
        assert_true(before - log_bytes(&s) <= UINT64_C(64) * 1024 * 1024);
        steps++;
        scene_assert_same(&s);
    } while (more);
    assert_true(steps >= 3); /* 8, 16, 32, ... MiB at the quickest */
    uint64_t live = 32 + (uint64_t)follower_end(s.f)->frame * (24 + s.page_size);
    assert_int_equal(log_bytes(&s), live > 65536 ? live : 65536);
    app_ok(&s.app, "loop 0 10 " UPDATE_1);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_shrink_beside_a_constant_writer_loses_nothing(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    bool more;
    scene_start(&s);
    app_ok(&s.app, "sql 0 CREATE TABLE c(n)");
    app_ok(&s.app, "sql 0 INSERT INTO c VALUES (0)");
    app_ok(&s.app, "spin 0 " TURN(9000));
    for (int round = 0; round < 60; round++) {
        scene_sync(&s);
        (void)scene_checkpoint(&s, true);
        assert_ok(follower_shrink(s.f, 0, &more, &err), &err);
        scene_sync(&s);
    }
    assert_true(app_spin_end(&s.app, NULL) > 0);
    scene_sync_and_compare(&s);
    shadow_check(&s);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_checkpoint_of_an_idle_database_leaves_slot_0),
        TEST(test_checkpoint_notes_what_was_not_noted),
        TEST(test_what_was_copied_stays_copied_when_the_log_begins_anew),
        TEST(test_checkpoint_names_the_mark_that_blocks_it),
        TEST(test_checkpoint_works_when_readers_took_every_slot),
        TEST(test_checkpoint_is_refused_while_pinned_and_while_another_runs),
        TEST(test_nothing_is_lost_beside_a_constant_writer),
        TEST(test_sealing_completes_beside_a_writer_that_never_pauses),
        TEST(test_awaiting_a_commit_ends_with_one_or_with_its_patience),
        TEST(test_seal_gives_up_when_a_writer_has_the_lock),
        TEST(test_seal_copies_and_notes_the_last_frames),
        TEST(test_seal_beside_an_old_reader_stays_on_the_log),
        TEST(test_shrink_cuts_the_tail_in_steps_and_never_live_frames),
        TEST(test_shrink_beside_a_constant_writer_loses_nothing),
    };
    return TEST_MAIN(tests);
}
