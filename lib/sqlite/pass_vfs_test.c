/*
 * Everything passes: each method reaches the file of the VFS below with its arguments, and its
 * result comes back; a real database does not notice.
 */
#include "lib/sqlite/pass_vfs.h"

#include <stdio.h>

#include "lib/testing/test.h"

/* ---- a VFS below that writes down what it is asked ---- */

struct below_file {
    sqlite3_file base;
    char said[120];
};

struct front_file {
    struct pass_file pass;
    int own; /* whoever mixes up the two parts of the memory meets this */
};

enum {
    OWN = 4711,
    RESULT = 77, /* that passes through unchanged */
};

static int note(sqlite3_file *file, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int note(sqlite3_file *file, const char *fmt, ...)
{
    struct below_file *f = (struct below_file *)(void *)file;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(f->said, sizeof(f->said), fmt, ap); /* short enough */
    va_end(ap);
    return RESULT;
}

static int below_close(sqlite3_file *file)
{
    return note(file, "close");
}

static int below_read(sqlite3_file *file, void *p, int n, sqlite3_int64 offset)
{
    return note(file, "read %d %d %d", p != NULL, n, (int)offset);
}

static int below_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 offset)
{
    return note(file, "write %d %d %d", p != NULL, n, (int)offset);
}

static int below_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    return note(file, "truncate %d", (int)size);
}

static int below_sync(sqlite3_file *file, int flags)
{
    return note(file, "sync %d", flags);
}

static int below_size(sqlite3_file *file, sqlite3_int64 *out_size)
{
    *out_size = 5;
    return note(file, "size");
}

static int below_lock(sqlite3_file *file, int level)
{
    return note(file, "lock %d", level);
}

static int below_unlock(sqlite3_file *file, int level)
{
    return note(file, "unlock %d", level);
}

static int below_check(sqlite3_file *file, int *out_is_reserved)
{
    *out_is_reserved = 1;
    return note(file, "check");
}

static int below_control(sqlite3_file *file, int op, void *arg)
{
    return note(file, "control %d %d", op, arg != NULL);
}

static int below_sector(sqlite3_file *file)
{
    return note(file, "sector");
}

static int below_device(sqlite3_file *file)
{
    return note(file, "device");
}

static int below_shm_map(sqlite3_file *file, int block, int size, int extend, void volatile **out)
{
    *out = NULL;
    return note(file, "map %d %d %d", block, size, extend);
}

static int below_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return note(file, "shm-lock %d %d %d", offset, n, flags);
}

static void below_barrier(sqlite3_file *file)
{
    (void)note(file, "barrier"); /* has no result */
}

static int below_unmap(sqlite3_file *file, int is_delete)
{
    return note(file, "unmap %d", is_delete);
}

static int below_fetch(sqlite3_file *file, sqlite3_int64 offset, int n, void **out)
{
    *out = NULL;
    return note(file, "fetch %d %d", (int)offset, n);
}

static int below_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *p)
{
    return note(file, "unfetch %d %d", (int)offset, p != NULL);
}

static const sqlite3_io_methods below_methods = {
    3,
    below_close,
    below_read,
    below_write,
    below_truncate,
    below_sync,
    below_size,
    below_lock,
    below_unlock,
    below_check,
    below_control,
    below_sector,
    below_device,
    below_shm_map,
    below_shm_lock,
    below_barrier,
    below_unmap,
    below_fetch,
    below_unfetch,
};

static int below_open(sqlite3_vfs *vfs UNUSED, const char *name UNUSED, sqlite3_file *file,
                      int flags, int *out_flags)
{
    file->pMethods = flags == SQLITE_OPEN_READONLY ? NULL : &below_methods;
    *out_flags = flags;
    return file->pMethods ? SQLITE_OK : SQLITE_CANTOPEN;
}

static sqlite3_vfs below = {.iVersion = 3,
                            .szOsFile = (int)sizeof(struct below_file),
                            .zName = "below",
                            .xOpen = below_open};

/* ---- tests ---- */

/* A front file and the one below it, in memory as SQLite makes it; open. */
struct handle {
    struct front_file front;
    struct below_file below;
};

static void handle_open(struct handle *h)
{
    int flags = 0;

    memset(h, 0, sizeof(*h));
    h->front.own = OWN;
    assert_int_equal(pass_vfs_open(&below, "x", &h->front.pass, sizeof(h->front), &pass_vfs_methods,
                                   SQLITE_OPEN_READWRITE, &flags),
                     SQLITE_OK);
    assert_int_equal(flags, SQLITE_OPEN_READWRITE);
}

static void said(struct handle *h, int rc, const char *wanted)
{
    assert_int_equal(rc, RESULT);
    assert_string_equal(h->below.said, wanted);
    assert_int_equal(h->front.own, OWN);
}

static void test_each_method_passes_its_arguments_and_its_result(void **state UNUSED)
{
    struct handle h;
    sqlite3_file *f = &h.front.pass.base;
    sqlite3_int64 size = 0;
    int is_reserved = 0;
    void volatile *map = &h;
    void *page = &h;

    handle_open(&h);
    assert_ptr_equal(pass_vfs_real(f), &h.below);
    said(&h, f->pMethods->xRead(f, &h, 3, 4), "read 1 3 4");
    said(&h, f->pMethods->xWrite(f, &h, 5, 6), "write 1 5 6");
    said(&h, f->pMethods->xTruncate(f, 7), "truncate 7");
    said(&h, f->pMethods->xSync(f, 2), "sync 2");
    said(&h, f->pMethods->xFileSize(f, &size), "size");
    assert_int_equal(size, 5);
    said(&h, f->pMethods->xLock(f, 1), "lock 1");
    said(&h, f->pMethods->xUnlock(f, 1), "unlock 1");
    said(&h, f->pMethods->xCheckReservedLock(f, &is_reserved), "check");
    assert_int_equal(is_reserved, 1);
    said(&h, f->pMethods->xFileControl(f, 9, &h), "control 9 1");
    said(&h, f->pMethods->xSectorSize(f), "sector");
    said(&h, f->pMethods->xDeviceCharacteristics(f), "device");
    said(&h, f->pMethods->xShmMap(f, 1, 2, 3, &map), "map 1 2 3");
    assert_null(map);
    said(&h, f->pMethods->xShmLock(f, 4, 5, 6), "shm-lock 4 5 6");
    f->pMethods->xShmBarrier(f);
    said(&h, RESULT, "barrier");
    said(&h, f->pMethods->xShmUnmap(f, 1), "unmap 1");
    said(&h, f->pMethods->xFetch(f, 8, 9, &page), "fetch 8 9");
    assert_null(page);
    said(&h, f->pMethods->xUnfetch(f, 8, &h), "unfetch 8 1");
    said(&h, f->pMethods->xClose(f), "close");
}

static void test_a_file_that_did_not_open_has_no_methods(void **state UNUSED)
{
    struct handle h;
    int flags = 0;

    memset(&h, 0, sizeof(h));
    assert_int_equal(pass_vfs_open(&below, "x", &h.front.pass, sizeof(h.front), &pass_vfs_methods,
                                   SQLITE_OPEN_READONLY, &flags),
                     SQLITE_CANTOPEN);
    assert_null(h.front.pass.base.pMethods);
}

static sqlite3_vfs front;
static int opened_count;

static int front_open(sqlite3_vfs *vfs UNUSED, const char *name, sqlite3_file *file, int flags,
                      int *out_flags)
{
    opened_count++;
    return pass_vfs_open(sqlite3_vfs_find("unix"), name, (struct pass_file *)(void *)file,
                         sizeof(struct front_file), &pass_vfs_methods, flags, out_flags);
}

static void test_a_database_in_wal_mode_does_not_notice_it(void **state UNUSED)
{
    char folder[256], path[300];
    sqlite3 *db;

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/db", folder);
    pass_vfs_make(&front, sqlite3_vfs_find("unix"), "front", sizeof(struct front_file));
    front.xOpen = front_open;
    assert_int_equal(sqlite3_vfs_register(&front, 0), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
        assert_int_equal(sqlite3_open_v2(path, &db, flags, i == 0 ? "front" : "unix"), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db,
                                      "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(a);"
                                      "INSERT INTO t SELECT hex(randomblob(2000)) FROM "
                                      "(VALUES(1),(2),(3)); PRAGMA wal_checkpoint; VACUUM",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
    }
    assert_true(opened_count >= 2); /* database and log */
    assert_int_equal(sqlite3_vfs_unregister(&front), SQLITE_OK);
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_each_method_passes_its_arguments_and_its_result),
        TEST(test_a_file_that_did_not_open_has_no_methods),
        TEST(test_a_database_in_wal_mode_does_not_notice_it),
    };
    return TEST_MAIN(tests);
}
