/*
 * SQLite's opinion about a restored file: what it complains of, what it cannot read at all, and
 * that asking leaves no trace.
 */
#include "sidecar/restore/integrity.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    PAGE_BYTES = 4096, /* SQLite's default */
};

struct scene {
    char folder[256];
    char path[320];
};

static void scene_make(struct scene *s, const char *name)
{
    test_folder_make(s->folder);
    (void)snprintf(s->path, sizeof(s->path), "%s/%s", s->folder, name);
}

static void scene_remove(struct scene *s)
{
    test_folder_remove(s->folder);
}

/* A database in WAL mode without its log, as a restore writes it. */
static void database_make(const char *path, unsigned rows)
{
    char sql[512];
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, body);"
                   "CREATE INDEX i ON t(body);"
                   "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < %u)"
                   "INSERT INTO t(body) SELECT hex(randomblob(40)) FROM c",
                   rows);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void bytes_write(const char *path, off_t offset, const char *bytes)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, strlen(bytes), offset), strlen(bytes));
    assert_int_equal(close(fd), 0);
}

static void test_sound_database_of_any_name_passes_and_nothing_appears(void **state UNUSED)
{
    static const char *const names[] = {"app.db", "a b%20c.db", "what?mode=memory.db", "x#y%.db"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(scene_remove) struct scene s;
        struct error err = ERROR_INIT;
        char beside[330];
        test_row(names[i]);
        scene_make(&s, names[i]);
        database_make(s.path, 50);
        assert_ok(integrity_check(s.path, RESTORE_INTEGRITY_QUICK, NULL, &err), &err);
        assert_ok(integrity_check(s.path, RESTORE_INTEGRITY_FULL, NULL, &err), &err);
        (void)snprintf(beside, sizeof(beside), "%s-wal", s.path);
        assert_int_equal(access(beside, F_OK), -1);
        (void)snprintf(beside, sizeof(beside), "%s-shm", s.path);
        assert_int_equal(access(beside, F_OK), -1);
    }
}

static void test_full_check_sees_what_the_quick_one_does_not(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s;
    struct error err = ERROR_INIT;
    sqlite3 *db = NULL;

    scene_make(&s, "app.db");
    database_make(s.path, 5);
    assert_int_equal(sqlite3_open(s.path, &db), SQLITE_OK);
    /* The index holds what its definition does not say: only comparing it with the rows shows that. */
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA writable_schema=1;"
                                  "UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON "
                                  "t(lower(body))' WHERE name = 'i'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_ok(integrity_check(s.path, RESTORE_INTEGRITY_QUICK, NULL, &err), &err);
    assert_error(integrity_check(s.path, RESTORE_INTEGRITY_FULL, NULL, &err), &err, ERR_CORRUPT,
                 "full check of the restored file");
}

static void test_file_that_sqlite_cannot_read_is_corrupt(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s;
    struct error err = ERROR_INIT;

    scene_make(&s, "app.db");
    database_make(s.path, 200);
    bytes_write(s.path, PAGE_BYTES, "no page of a tree begins like this");
    assert_error(integrity_check(s.path, RESTORE_INTEGRITY_QUICK, NULL, &err), &err, ERR_CORRUPT,
                 "quick check of the restored file");
    error_clear(&err);
    bytes_write(s.path, 0, "not SQLite");
    assert_error(integrity_check(s.path, RESTORE_INTEGRITY_QUICK, NULL, &err), &err, ERR_CORRUPT,
                 "file is not a database");
}

static void test_missing_file_is_an_io_error_and_is_not_made(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s;
    struct error err = ERROR_INIT;

    scene_make(&s, "app.db");
    assert_error(integrity_check(s.path, RESTORE_INTEGRITY_FULL, NULL, &err), &err, ERR_IO,
                 "unable to open database file");
    assert_int_equal(access(s.path, F_OK), -1);
    error_clear(&err);
    assert_ok(integrity_check(s.path, RESTORE_INTEGRITY_NONE, NULL, &err), &err);
}

static void test_check_can_be_canceled(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s;
    struct error err = ERROR_INIT;
    atomic_bool is_canceled;

    atomic_init(&is_canceled, true);
    scene_make(&s, "app.db");
    database_make(s.path, 20000);
    assert_error(integrity_check(s.path, RESTORE_INTEGRITY_FULL, &is_canceled, &err), &err,
                 ERR_CANCELED, "canceled");
    error_clear(&err);
    atomic_store(&is_canceled, false);
    assert_ok(integrity_check(s.path, RESTORE_INTEGRITY_FULL, &is_canceled, &err), &err);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_sound_database_of_any_name_passes_and_nothing_appears),
        TEST(test_full_check_sees_what_the_quick_one_does_not),
        TEST(test_file_that_sqlite_cannot_read_is_corrupt),
        TEST(test_missing_file_is_an_io_error_and_is_not_made),
        TEST(test_check_can_be_canceled),
    };
    return TEST_MAIN(tests);
}
