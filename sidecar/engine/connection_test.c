/*
 * Our connections: slots, the write lock, what they cost in descriptors, and what failures are
 * called.
 */
#include "sidecar/engine/connection.h"

#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/sqlite/wal_index.h"
#include "lib/testing/app_process.h"
#include "lib/testing/test.h"
#include "sidecar/engine/follow.h"
#include "sidecar/engine/lock_vfs.h"

struct place {
    char folder[256];
    char path[300];
    struct app_process app;
};

static void place_make(struct place *p)
{
    struct error err = ERROR_INIT;
    assert_ok(follow_process_init(&err), &err);
    test_folder_make(p->folder);
    (void)snprintf(p->path, sizeof(p->path), "%s/app.db", p->folder);
    app_start(&p->app);
    app_ok(&p->app, "open 0 %s", p->path);
    app_ok(&p->app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&p->app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
}

static void place_remove(struct place *p)
{
    app_stop(&p->app);
    test_folder_remove(p->folder);
}

static struct connection *open_one(const struct place *p)
{
    struct connection *c = NULL;
    struct error err = ERROR_INIT;
    assert_ok(connection_open(p->path, 0, &c, &err), &err);
    return c;
}

static int descriptor_count(void *count, const char *name UNUSED, struct error *err UNUSED)
{
    ++*(unsigned *)count;
    return 0;
}

static unsigned descriptors(void)
{
    struct error err = ERROR_INIT;
    unsigned count = 0;
    assert_ok(env_list_folder(env_real(), "/proc/self/fd", descriptor_count, &count, &err), &err);
    return count;
}

static void test_slot_0_means_that_everything_is_backfilled(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    uint32_t log_frames;
    uint32_t backfilled;
    place_make(&p);
    struct connection *a = open_one(&p);
    struct connection *c = open_one(&p);
    assert_int_equal(connection_slot(a), -1);
    assert_ok(connection_begin(a, &err), &err);
    assert_true(connection_is_reading(a));
    assert_in_range(connection_slot(a), 1, 4);
    connection_end(a);
    assert_int_equal(connection_slot(a), -1);
    assert_false(connection_is_reading(a));
    assert_ok(connection_checkpoint(c, &log_frames, &backfilled, &err), &err);
    assert_int_equal(log_frames, backfilled);
    assert_true(log_frames > 0);
    assert_ok(connection_begin(a, &err), &err);
    assert_int_equal(connection_slot(a), 0);
    connection_close(a);
    connection_close(c);
    place_remove(&p);
}

static void
test_a_checkpoint_passes_over_a_moment_of_busy_but_not_over_another_one(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    uint32_t log_frames;
    uint32_t backfilled;
    place_make(&p);
    struct connection *c = open_one(&p);
    assert_ok(connection_checkpoint(c, &log_frames, &backfilled, &err), &err);
    lock_vfs_inject(LOCK_VFS_SHM_LOCK, 0, 3, SQLITE_BUSY);
    assert_ok(connection_checkpoint(c, &log_frames, &backfilled, &err), &err);
    assert_int_equal(lock_vfs_injected_count(), 3);
    lock_vfs_inject(LOCK_VFS_SHM_LOCK, 0, 1000000, SQLITE_BUSY);
    assert_error(connection_checkpoint(c, &log_frames, &backfilled, &err), &err, ERR_BUSY,
                 "checkpoint");
    lock_vfs_inject(LOCK_VFS_SHM_LOCK, 0, 0, 0);
    connection_close(c);
    place_remove(&p);
}

/* How many syncs a checkpoint of the log takes: each of them fails once, which undoes nothing. */
static unsigned syncs_of_checkpoint(struct connection *c)
{
    struct error err = ERROR_INIT;
    uint32_t log_frames;
    uint32_t backfilled;

    for (unsigned skip = 0;; skip++) {
        lock_vfs_inject(LOCK_VFS_SYNC, skip, 1, SQLITE_IOERR_FSYNC);
        int rc = connection_checkpoint(c, &log_frames, &backfilled, &err);
        bool has_failed = lock_vfs_injected_count() > 0;
        lock_vfs_inject(LOCK_VFS_SYNC, 0, 0, 0);
        if (!has_failed) {
            assert_ok(rc, &err);
            assert_int_equal(backfilled, log_frames);
            return skip;
        }
        assert_error(rc, &err, ERR_IO, "checkpoint");
    }
}

static void test_a_checkpoint_leaves_little_to_flush_at_once(void **state UNUSED)
{
    struct place p;
    place_make(&p);
    app_ok(&p.app, "sql 0 PRAGMA wal_autocheckpoint=0");
    struct connection *c = open_one(&p);
    app_ok(&p.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(3000000))");
    assert_int_equal(syncs_of_checkpoint(c), 2); /* the log, then the database */
    app_ok(&p.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(26000000))");
    assert_int_equal(syncs_of_checkpoint(c), 2 + 3); /* and after each 8 MiB */
    connection_close(c);
    place_remove(&p);
}

static void test_the_write_lock_is_taken_without_waiting_and_writes_nothing(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    bool is_busy = true;
    uint64_t before;
    uint64_t after;
    place_make(&p);
    struct connection *c = open_one(&p);
    app_ok(&p.app, "sql 0 BEGIN IMMEDIATE");
    assert_ok(connection_begin_immediate(c, &is_busy, &err), &err);
    assert_true(is_busy);
    assert_false(connection_is_reading(c));
    assert_false(connection_writer_is_gone(c));
    app_ok(&p.app, "sql 0 COMMIT");
    assert_true(connection_writer_is_gone(c));
    assert_ok(connection_begin(c, &err), &err);
    assert_ok(connection_log_size(c, &before, &err), &err);
    connection_end(c);
    assert_ok(connection_begin_immediate(c, &is_busy, &err), &err);
    assert_false(is_busy);
    assert_int_equal(strncmp(app_ask(&p.app, "sql 0 INSERT INTO t(body) VALUES (1)"), "error 5", 7),
                     0);
    connection_end(c);
    assert_ok(connection_begin(c, &err), &err);
    assert_ok(connection_log_size(c, &after, &err), &err);
    assert_int_equal(before, after);
    app_ok(&p.app, "sql 0 INSERT INTO t(body) VALUES (1)");
    connection_close(c);
    place_remove(&p);
}

static void test_reading_goes_around_sqlite_but_through_its_handles(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    uint8_t bytes[32];
    uint64_t size = 0;
    const void *block = NULL;
    place_make(&p);
    struct connection *c = open_one(&p);
    assert_error(connection_log_read(c, 0, bytes, sizeof(bytes), &err), &err, ERR_WRONG_STATE,
                 "not open");
    assert_ok(connection_begin(c, &err), &err);
    assert_ok(connection_db_read(c, 0, bytes, 16, &err), &err);
    assert_memory_equal(bytes, "SQLite format 3", 16);
    memset(bytes, 7, sizeof(bytes));
    assert_ok(connection_db_read(c, 1 << 30, bytes, 16, &err), &err);
    assert_int_equal(bytes[0] | bytes[15], 0);
    assert_ok(connection_db_size(c, &size, &err), &err);
    assert_int_equal(size % 4096, 0);
    assert_ok(connection_db_sync(c, &err), &err);
    assert_ok(connection_log_read(c, 0, bytes, sizeof(bytes), &err), &err);
    assert_int_equal(be32_load(bytes) & ~1U, 0x377f0682);
    assert_error(connection_log_read(c, 1 << 30, bytes, 8, &err), &err, ERR_CORRUPT, "ends before");
    assert_ok(connection_index_block(c, 0, &block, &err), &err);
    struct wal_index_header h;
    assert_int_equal(wal_index_header_read(block, &h), WAL_INDEX_VALID);
    assert_ok(connection_index_block(c, 1, &block, &err), &err);
    assert_null(block);
    connection_close(c);
    place_remove(&p);
}

static void test_an_idle_connection_takes_three_descriptors(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    place_make(&p);
    unsigned before = descriptors();
    struct connection *a = open_one(&p);
    assert_ok(connection_begin(a, &err), &err);
    assert_int_equal(descriptors() - before, 3);
    for (int i = 0; i < 10; i++) {
        struct connection *b = open_one(&p);
        struct connection *c = open_one(&p);
        assert_ok(connection_begin(b, &err), &err);
        assert_ok(connection_begin(c, &err), &err);
        connection_close(c);
        connection_close(b);
    }
    print_message("# descriptors: 3 idle, %u after ten times two more connections\n",
                  descriptors() - before);
    assert_in_range(descriptors() - before, 3, 6);
    assert_in_range(connection_slot(a), 1, 4);
    connection_close(a);
    assert_int_equal(descriptors(), before);
    place_remove(&p);
}

static void test_failures_have_codes(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    struct connection *c = NULL;
    char other[320];
    place_make(&p);
    (void)snprintf(other, sizeof(other), "%s/none.db", p.folder);
    assert_error(connection_open(other, 0, &c, &err), &err, ERR_NOT_FOUND, "none.db: open");
    assert_int_equal(access(other, F_OK), -1); /* it was not created */

    struct rlimit old;
    struct rlimit few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    int lowest_free = dup(STDIN_FILENO);
    assert_int_equal(close(lowest_free), 0);
    few.rlim_cur = (rlim_t)lowest_free;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int rc = connection_open(p.path, 0, &c, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_error(rc, &err, ERR_LIMIT, "open");

    c = open_one(&p);
    lock_vfs_inject(LOCK_VFS_SHM_MAP, 0, 1, SQLITE_IOERR_SHMMAP);
    assert_error(connection_begin(c, &err), &err, ERR_IO, "begin");
    lock_vfs_inject(LOCK_VFS_READ, 0, 1, SQLITE_IOERR_READ);
    assert_error(connection_begin(c, &err), &err, ERR_IO, "begin");
    lock_vfs_inject(LOCK_VFS_SHM_LOCK, 0, 1, SQLITE_IOERR_NOMEM);
    assert_error(connection_begin(c, &err), &err, ERR_NO_MEMORY, "begin");
    lock_vfs_inject(LOCK_VFS_READ, 0, 0, 0);
    assert_ok(connection_begin(c, &err), &err);
    connection_close(c);
    place_remove(&p);
}

static void test_a_path_that_looks_like_a_uri_is_a_path(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct connection *c = NULL;
    assert_error(connection_open("file:none.db?mode=memory", 0, &c, &err), &err, ERR_NOT_FOUND,
                 "open");
}

static void test_locks_are_recorded_per_connection(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    bool is_busy;
    place_make(&p);
    struct connection *a = open_one(&p);
    struct connection *b = open_one(&p);
    assert_ok(connection_begin(a, &err), &err);
    app_ok(&p.app, "sql 0 INSERT INTO t(body) VALUES (randomblob(9000))");
    assert_ok(connection_begin_immediate(b, &is_busy, &err), &err);
    assert_false(is_busy);
    assert_in_range(connection_slot(a), 1, 4);
    assert_in_range(connection_slot(b), 1, 4);
    assert_int_not_equal(connection_slot(a), connection_slot(b));
    connection_end(a);
    assert_int_equal(connection_slot(a), -1);
    assert_in_range(connection_slot(b), 1, 4);
    connection_close(a);
    connection_close(b);
    place_remove(&p);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_slot_0_means_that_everything_is_backfilled),
        TEST(test_a_checkpoint_passes_over_a_moment_of_busy_but_not_over_another_one),
        TEST(test_a_checkpoint_leaves_little_to_flush_at_once),
        TEST(test_the_write_lock_is_taken_without_waiting_and_writes_nothing),
        TEST(test_reading_goes_around_sqlite_but_through_its_handles),
        TEST(test_an_idle_connection_takes_three_descriptors),
        TEST(test_failures_have_codes),
        TEST(test_a_path_that_looks_like_a_uri_is_a_path),
        TEST(test_locks_are_recorded_per_connection),
    };
    return TEST_MAIN(tests);
}
