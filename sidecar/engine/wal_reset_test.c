/*
 * SQLite's WAL-reset bug (3.7.0 to 3.51.2, but for 3.44.6 and 3.50.7): a checkpointer reads the
 * wal-index header, another connection then restarts a log that was copied completely, and the
 * checkpointer goes on with the old header: it says of frames of the new log that they are copied
 * before they are even written. Committed transactions are lost, or pages of different times mixed.
 *
 * While a follower holds its read transaction that cannot happen, whoever runs the checkpoint and
 * whatever the library's version: on slot >= 1 there is no restart, on slot 0 no copying.
 *
 * The experiment is exact, not a stress: something of ours runs in the window between the
 * checkpointer's look at the header and its copying.
 *
 *   library              how the window is entered
 *   3.51.3 and newer     SQLite's own sqlite3FaultSim(660), for every checkpoint
 *   older                xUnfetch, which a checkpointer calls there when its header had been old;
 *                        and the lock for copying, when it had not been
 *
 * wal_reset_libraries_test.sh runs this program once more with a library of the first kind, whose
 * check can be left out (SQLITE_SALT_CHECK=off), so that each row is seen with and without the bug.
 */
#include <sqlite3.h>

#include "sidecar/engine/follow_scene.h"
#include "sidecar/engine/lock_vfs.h"

enum {
    FAULT_IN_WINDOW = 660,
    FIRST_WITH_FAULT_660 = 3051003,
    SHM_CHECKPOINT = 1, /* numbers of the locks for xShmLock */
    SHM_READER_0 = 3,
    ROWS = 101,              /* when a scene begins */
    WITH_FAULT_660_ONLY = 3, /* tests, the last of the table */
};

static bool has_fault_660(void)
{
    return sqlite3_libversion_number() >= FIRST_WITH_FAULT_660;
}

static bool library_is_vulnerable(void)
{
    return follow_sqlite_has_wal_reset_bug() || (has_fault_660() && getenv("SQLITE_SALT_CHECK"));
}

/* ---- moments of a checkpoint at which something of ours runs ---- */

typedef void moment_fn(void);

static moment_fn *in_window;         /* once, then NULL */
static moment_fn *in_every_window;   /* each time */
static moment_fn *before_checkpoint; /* once, before a checkpointer asks for its lock */
static sqlite3_io_methods window_methods;
static const sqlite3_io_methods *plain_methods;
static int (*plain_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);

static void moment_pass(moment_fn **moment)
{
    moment_fn *now = *moment;

    *moment = NULL; /* what happens in there has no such moment of its own */
    if (now) {
        now();
    }
}

static void window_pass(void)
{
    moment_fn *every = in_every_window;

    moment_pass(&in_window);
    in_every_window = NULL;
    if (every) {
        every();
    }
    in_every_window = every;
}

static int fault_seen(int number)
{
    if (number == FAULT_IN_WINDOW) {
        window_pass();
    }
    return SQLITE_OK;
}

static int window_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *p)
{
    if (!p && !has_fault_660()) {
        window_pass();
    }
    return plain_methods->xUnfetch(file, offset, p);
}

static int window_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    if (flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)) {
        if (offset == SHM_CHECKPOINT) {
            moment_pass(&before_checkpoint);
        } else if (offset == SHM_READER_0 && !has_fault_660()) {
            window_pass();
        }
    }
    return plain_methods->xShmLock(file, offset, n, flags);
}

static int window_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                       int *out_flags)
{
    int rc = plain_open(vfs, name, file, flags, out_flags);
    if (rc == SQLITE_OK && (flags & SQLITE_OPEN_MAIN_DB)) {
        plain_methods = file->pMethods;
        window_methods = *plain_methods;
        window_methods.xUnfetch = window_unfetch;
        window_methods.xShmLock = window_shm_lock;
        file->pMethods = &window_methods;
    }
    return rc;
}

/* Into the default VFS itself, so that the follower's connections go through it, too. */
static void window_install(void)
{
    struct error err = ERROR_INIT;
    assert_ok(follow_process_init(&err), &err);
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    plain_open = vfs->xOpen;
    vfs->xOpen = window_open;
    assert_int_equal(sqlite3_test_control(SQLITE_TESTCTRL_FAULT_INSTALL, fault_seen), SQLITE_OK);
}

/* ---- the scene: writer, checkpointer B, one more connection ---- */

static sqlite3 *writer;
static sqlite3 *checkpointer;
static sqlite3 *other;
static unsigned commits;  /* rows that the writer was told are committed */
static unsigned refused;  /* commits that were answered SQLITE_BUSY */
static bool is_malformed; /* a writer has seen it already, by SQLITE_CORRUPT */

static void sql(sqlite3 *db, const char *text)
{
    char *message = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) {
        print_error("# %s: %s\n", text, message);
        fail();
    }
}

static sqlite3 *connect_through(const char *path, const char *vfs)
{
    sqlite3 *db;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    assert_int_equal(sqlite3_open_v2(path, &db, flags, vfs), SQLITE_OK);
    assert_int_equal(sqlite3_wal_autocheckpoint(db, 0), SQLITE_OK);
    sql(db, "PRAGMA synchronous=OFF"); /* no power is cut here; fsync only takes time */
    return db;
}

static int64_t ask(const char *path, const char *question, char out_text[static 64])
{
    sqlite3_stmt *stmt;
    sqlite3 *db = connect_through(path, NULL);
    int64_t answer = -1;
    assert_int_equal(sqlite3_prepare_v2(db, question, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        answer = sqlite3_column_int64(stmt, 0);
        (void)snprintf(out_text, 64, "%s", (const char *)sqlite3_column_text(stmt, 0));
    }
    (void)sqlite3_finalize(stmt); /* a malformed database has failed here already */
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return answer;
}

/* Whether everything that was committed is there, and nothing is malformed. Says what it saw. */
static bool is_sound(const struct scene *s, const char *row)
{
    char check[64] = "no answer";
    char text[64] = "";
    int64_t count = ask(s->path, "SELECT count(body) FROM t", text);
    (void)ask(s->path, "PRAGMA integrity_check(1)", check);
    print_message("# SQLite %s%s, %s: %lld of %u rows, integrity_check: %.40s\n",
                  follow_sqlite_version(), library_is_vulnerable() ? " (vulnerable)" : "", row,
                  (long long)count, commits, strcmp(check, "ok") == 0 ? "ok" : "malformed");
    return count == commits && strcmp(check, "ok") == 0 && !is_malformed;
}

static void insert_through(sqlite3 *db)
{
    int rc = sqlite3_exec(db, "INSERT INTO t(body) VALUES (randomblob(900))", NULL, NULL, NULL);
    commits += rc == SQLITE_OK;
    refused += rc == SQLITE_BUSY;
    is_malformed = is_malformed || rc == SQLITE_CORRUPT;
    if (rc != SQLITE_OK && rc != SQLITE_BUSY && rc != SQLITE_CORRUPT) {
        fail_msg("INSERT: %s", sqlite3_errmsg(db));
    }
}

static void write_one(void)
{
    insert_through(writer);
}

/* Of a transaction that has begun before. */
static void commit_one(void)
{
    sql(writer, "COMMIT");
    commits++;
}

static void checkpoint(sqlite3 *db, int mode)
{
    (void)sqlite3_wal_checkpoint_v2(db, NULL, mode, NULL, NULL);
}

/* Checkpoint A: all that is committed is copied now, so that the next write restarts the log. */
static void copy_all(void)
{
    int in_log = -1;
    int copied = -2;
    int rc = sqlite3_wal_checkpoint_v2(other, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
    assert_int_equal(rc, SQLITE_OK);
}

/* ROWS rows; the checkpointer's view of the header is old. */
static void scene_prepare(struct scene *s)
{
    scene_init(s);
    commits = refused = 0;
    is_malformed = false;
    writer = connect_through(s->path, NULL);
    sql(writer, "PRAGMA journal_mode=WAL");
    sql(writer, "CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    sql(writer, "CREATE INDEX t_body ON t(body)");
    checkpointer = connect_through(s->path, NULL);
    sql(checkpointer, "SELECT count(*) FROM t");
    other = connect_through(s->path, LOCK_VFS_NAME);
    sql(other, "SELECT count(*) FROM t");
    for (int i = 0; i < ROWS; i++) {
        write_one();
    }
}

static void scene_finish(struct scene *s)
{
    in_window = in_every_window = before_checkpoint = NULL;
    assert_int_equal(sqlite3_close(checkpointer), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    follower_close(TAKE(s->f));
    assert_int_equal(sqlite3_close(writer), SQLITE_OK);
    scene_end(s);
}

/* The reader slot of `other`. */
static int other_slot(void)
{
    sqlite3_file *file = NULL;
    assert_int_equal(sqlite3_file_control(other, NULL, SQLITE_FCNTL_FILE_POINTER, &file),
                     SQLITE_OK);
    return lock_vfs_slot(file);
}

/* B with a commit in its window; more commits afterwards, which a wrong mark would lose. */
static void checkpoint_with_commit_in_window(int mode, moment_fn *commit)
{
    in_window = commit;
    checkpoint(checkpointer, mode);
    assert_null(in_window); /* it was entered */
    write_one();
    write_one();
    checkpoint(checkpointer, SQLITE_CHECKPOINT_PASSIVE);
    write_one();
}

static const struct {
    const char *name;
    int mode;
} modes[] = {
    {"PASSIVE", SQLITE_CHECKPOINT_PASSIVE},
    {"FULL", SQLITE_CHECKPOINT_FULL},
    {"RESTART", SQLITE_CHECKPOINT_RESTART},
    {"TRUNCATE", SQLITE_CHECKPOINT_TRUNCATE},
};

/* ---- what SQLite does by itself: the rows of the table ---- */

static void test_passive_beside_a_commit_hurts_only_a_vulnerable_library(void **state UNUSED)
{
    struct scene s;
    scene_prepare(&s);
    copy_all();
    checkpoint_with_commit_in_window(SQLITE_CHECKPOINT_PASSIVE, write_one);
    assert_int_equal(refused, 0);
    assert_true(is_sound(&s, "PASSIVE, nothing held") != library_is_vulnerable());
    scene_finish(&s);
}

static void test_a_reader_on_the_log_shields_a_checkpoint(void **state UNUSED)
{
    struct scene s;
    scene_prepare(&s);
    sql(other, "BEGIN; SELECT count(*) FROM t");
    assert_true(other_slot() >= 1);
    checkpoint(writer, SQLITE_CHECKPOINT_PASSIVE);
    checkpoint_with_commit_in_window(SQLITE_CHECKPOINT_PASSIVE, write_one);
    assert_true(other_slot() >= 1);
    sql(other, "COMMIT");
    assert_true(is_sound(&s, "PASSIVE, a reader on slot >= 1"));
    scene_finish(&s);
}

static void test_a_reader_on_slot_0_shields_a_checkpoint(void **state UNUSED)
{
    struct scene s;
    scene_prepare(&s);
    copy_all();
    sql(other, "BEGIN; SELECT count(*) FROM t");
    assert_int_equal(other_slot(), 0);
    checkpoint_with_commit_in_window(SQLITE_CHECKPOINT_PASSIVE, write_one);
    sql(other, "COMMIT");
    assert_true(is_sound(&s, "PASSIVE, a reader on slot 0"));
    scene_finish(&s);
}

static void test_the_write_lock_shields_a_checkpoint(void **state UNUSED)
{
    struct scene s;
    scene_prepare(&s);
    copy_all();
    sql(other, "BEGIN IMMEDIATE");
    in_window = write_one;
    checkpoint(checkpointer, SQLITE_CHECKPOINT_PASSIVE);
    assert_null(in_window);
    assert_int_equal(refused, 1);
    sql(other, "ROLLBACK");
    write_one();
    assert_true(is_sound(&s, "PASSIVE, another connection has the write lock"));
    scene_finish(&s);
}

static void test_checkpoints_with_the_write_lock_of_their_own_are_sound(void **state UNUSED)
{
    for (size_t i = 1; i < ARRAY_LEN(modes); i++) {
        struct scene s;
        scene_prepare(&s);
        copy_all();
        checkpoint_with_commit_in_window(modes[i].mode, write_one);
        assert_int_equal(refused, 1);
        assert_true(is_sound(&s, modes[i].name));
        scene_finish(&s);
    }
}

/* SQLite makes PASSIVE of it in silence, since it cannot have the write lock. */
static void test_a_checkpoint_beside_an_open_transaction_is_passive_and_hurt(void **state UNUSED)
{
    for (size_t i = 1; i < ARRAY_LEN(modes); i++) {
        struct scene s;
        scene_prepare(&s);
        copy_all();
        sql(writer, "BEGIN IMMEDIATE; INSERT INTO t(body) VALUES (randomblob(900))");
        checkpoint_with_commit_in_window(modes[i].mode, commit_one);
        assert_true(is_sound(&s, modes[i].name) != library_is_vulnerable());
        scene_finish(&s);
    }
}

/* ---- the application's own automatic checkpoints ---- */

/* A, which has a window of its own: the commit belongs to the one of B. */
static void copy_all_by_writer(void)
{
    checkpoint(writer, SQLITE_CHECKPOINT_PASSIVE);
    in_window = write_one;
}

static void commit_automatically(void)
{
    assert_int_equal(sqlite3_wal_autocheckpoint(other, 1), SQLITE_OK);
    insert_through(other);
    assert_int_equal(sqlite3_wal_autocheckpoint(other, 0), SQLITE_OK);
}

/* A comes between a commit and its automatic checkpoint, which is B. */
static void automatic_checkpoint_with_commit_in_window(void)
{
    before_checkpoint = copy_all_by_writer;
    commit_automatically();
    assert_null(before_checkpoint);
    assert_null(in_window);
    write_one();
    write_one();
    commit_automatically();
}

static void test_an_automatic_checkpoint_hurts_only_a_vulnerable_library(void **state UNUSED)
{
    struct scene s;
    scene_prepare(&s);
    automatic_checkpoint_with_commit_in_window();
    assert_true(is_sound(&s, "autocheckpoint, nothing held") != library_is_vulnerable());
    scene_finish(&s);
}

/* ---- with a follower nothing is hurt, whatever the library ---- */

/* On the log (slot >= 1), or on slot 0; both times everything is copied. */
static void scene_follow_on(struct scene *s, bool is_on_log)
{
    if (is_on_log) {
        scene_follow(s);
        assert_true(scene_slot(s) >= 1);
        copy_all();
        return;
    }
    copy_all();
    scene_follow(s);
    assert_int_equal(scene_slot(s), 0);
}

static void test_a_follower_shields_foreign_checkpoints_of_every_mode(void **state UNUSED)
{
    for (size_t i = 0; i < 2 * ARRAY_LEN(modes); i++) {
        bool is_on_log = i % 2;
        struct scene s;
        scene_prepare(&s);
        scene_follow_on(&s, is_on_log);
        checkpoint_with_commit_in_window(modes[i / 2].mode, write_one);
        (void)scene_advance(&s);
        print_message("# a follower on %s\n", is_on_log ? "the log" : "slot 0");
        assert_true(is_sound(&s, modes[i / 2].name));
        scene_finish(&s);
    }
}

static void test_a_follower_shields_checkpoints_that_were_made_passive(void **state UNUSED)
{
    for (size_t i = 2; i < 2 * ARRAY_LEN(modes); i++) {
        bool is_on_log = i % 2;
        struct scene s;
        scene_prepare(&s);
        scene_follow_on(&s, is_on_log);
        sql(writer, "BEGIN IMMEDIATE; INSERT INTO t(body) VALUES (randomblob(900))");
        checkpoint_with_commit_in_window(modes[i / 2].mode, commit_one);
        (void)scene_advance(&s);
        print_message("# a follower on %s\n", is_on_log ? "the log" : "slot 0");
        assert_true(is_sound(&s, modes[i / 2].name));
        scene_finish(&s);
    }
}

static void test_a_follower_shields_automatic_checkpoints(void **state UNUSED)
{
    for (int is_on_log = 0; is_on_log < 2; is_on_log++) {
        struct scene s;
        scene_prepare(&s);
        scene_follow_on(&s, is_on_log);
        for (int i = 0; i < 5; i++) {
            automatic_checkpoint_with_commit_in_window();
            scene_sync(&s);
        }
        assert_true(is_sound(&s, "autocheckpoints beside a follower"));
        scene_finish(&s);
    }
}

/* ---- our own checkpoints ---- */

/* Every PASSIVE of the sequence, bulk and sealed, finds a commit in its window. */
static void test_our_checkpoints_are_sound_with_a_commit_in_every_window(void **state UNUSED)
{
    struct scene s;
    scene_prepare(&s);
    scene_follow(&s);
    for (int i = 0; i < 10; i++) {
        unsigned before = commits + refused;
        in_every_window = write_one;
        (void)scene_checkpoint(&s, i % 2);
        in_every_window = NULL;
        assert_true(commits + refused > before || i > 0);
        scene_sync(&s);
        write_one();
        scene_sync(&s);
    }
    print_message("# commits in windows of our own checkpoints: %u, refused %u\n",
                  commits - ROWS - 10, refused);
    assert_true(commits > ROWS + 10 + 9);
    assert_true(is_sound(&s, "our checkpoints"));
    scene_finish(&s);
}

/* Ours is A here: what it gave free for a restart is not spoilt by somebody else's B. */
static void test_a_foreign_checkpoint_after_ours_is_sound(void **state UNUSED)
{
    struct scene s;
    scene_prepare(&s);
    scene_follow(&s);
    for (int i = 0; i < 5; i++) {
        assert_true(scene_checkpoint(&s, true).is_complete);
        assert_int_equal(scene_slot(&s), 0);
        in_window = write_one;
        checkpoint(checkpointer, SQLITE_CHECKPOINT_PASSIVE);
        in_window = NULL;
        write_one();
        scene_sync(&s);
        write_one();
        scene_sync(&s);
    }
    assert_true(is_sound(&s, "PASSIVE after our checkpoint"));
    scene_finish(&s);
}

/* What the sequence does in every iteration, and an application that checkpoints automatically. */
static void test_our_checkpoints_and_automatic_ones_are_sound_together(void **state UNUSED)
{
    struct scene s;
    scene_prepare(&s);
    scene_follow(&s);
    for (int i = 0; i < 10; i++) {
        in_every_window = write_one;
        (void)scene_checkpoint(&s, true);
        commit_automatically();
        scene_sync(&s);
        (void)scene_checkpoint(&s, false);
        in_every_window = NULL;
        automatic_checkpoint_with_commit_in_window();
        scene_sync(&s);
    }
    assert_true(is_sound(&s, "our checkpoints and automatic ones"));
    scene_finish(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    window_install();
    static const struct CMUnitTest tests[] = {
        TEST(test_passive_beside_a_commit_hurts_only_a_vulnerable_library),
        TEST(test_a_reader_on_the_log_shields_a_checkpoint),
        TEST(test_a_reader_on_slot_0_shields_a_checkpoint),
        TEST(test_the_write_lock_shields_a_checkpoint),
        TEST(test_checkpoints_with_the_write_lock_of_their_own_are_sound),
        TEST(test_a_checkpoint_beside_an_open_transaction_is_passive_and_hurt),
        TEST(test_a_follower_shields_foreign_checkpoints_of_every_mode),
        TEST(test_a_follower_shields_checkpoints_that_were_made_passive),
        TEST(test_our_checkpoints_are_sound_with_a_commit_in_every_window),
        TEST(test_a_foreign_checkpoint_after_ours_is_sound),
        /* An automatic checkpoint finds its header unchanged: only FaultSim enters its window. */
        TEST(test_an_automatic_checkpoint_hurts_only_a_vulnerable_library),
        TEST(test_a_follower_shields_automatic_checkpoints),
        TEST(test_our_checkpoints_and_automatic_ones_are_sound_together),
    };
    size_t count = ARRAY_LEN(tests) - (has_fault_660() ? 0 : WITH_FAULT_660_ONLY);
    return test_main_run(tests, count, "tests");
}
