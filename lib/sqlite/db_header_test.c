/*
 * The header of a database: one that the library wrote, and ones that nobody should believe.
 */
#include "lib/sqlite/db_header.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/testing/test.h"

static void header_make(uint8_t out[static DB_HEADER_BYTES])
{
    memset(out, 0, DB_HEADER_BYTES);
    memcpy(out, "SQLite format 3", 16);
    be16_store(out + 16, 4096);
    out[18] = 2;
    out[19] = 2;
    be32_store(out + 24, 7);
    be32_store(out + 28, 123);
    be32_store(out + 92, 7);
}

static void test_header_of_a_real_wal_database_is_decoded(void **state UNUSED)
{
    static const uint32_t page_sizes[] = {512, 1024, 4096, 32768, 65536};

    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++) {
        char folder[256];
        char path[300];
        char sql[200];
        sqlite3 *db;
        struct db_header h;
        struct error err = ERROR_INIT;
        size_t n;

        test_folder_make(folder);
        (void)snprintf(path, sizeof(path), "%s/db", folder);
        (void)snprintf(sql, sizeof(sql),
                       "PRAGMA page_size=%u; PRAGMA user_version=77; PRAGMA application_id=99;"
                       "CREATE TABLE t(a); INSERT INTO t VALUES(1); PRAGMA journal_mode=WAL",
                       page_sizes[i]);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        uint8_t *bytes = test_file_read(path, &n);

        assert_ok(db_header_decode(slice_of(bytes, n), &h, &err), &err);
        assert_int_equal(h.page_size, page_sizes[i]);
        assert_true(h.is_wal);
        assert_true(h.has_page_count);
        assert_int_equal(h.page_count, n / page_sizes[i]);
        assert_int_equal(h.user_version, 77);
        assert_int_equal(h.application_id, 99);
        assert_int_equal(h.sqlite_version, sqlite3_libversion_number());
        free(bytes);
        test_folder_remove(folder);
    }
}

static void test_rollback_journal_is_not_taken_for_wal(void **state UNUSED)
{
    uint8_t bytes[DB_HEADER_BYTES];
    struct db_header h;
    struct error err = ERROR_INIT;

    header_make(bytes);
    bytes[18] = 1;
    assert_ok(db_header_decode(slice_of(bytes, sizeof(bytes)), &h, &err), &err);
    assert_false(h.is_wal);
    assert_int_equal(h.write_version, 1);
}

static void test_page_count_of_an_old_writer_is_not_trusted(void **state UNUSED)
{
    uint8_t bytes[DB_HEADER_BYTES];
    struct db_header h;
    struct error err = ERROR_INIT;

    header_make(bytes);
    be32_store(bytes + 92, 6);
    assert_ok(db_header_decode(slice_of(bytes, sizeof(bytes)), &h, &err), &err);
    assert_false(h.has_page_count);
}

static void test_damaged_headers_are_refused(void **state UNUSED)
{
    static const struct {
        const char *name;
        size_t bytes, offset;
        uint16_t value;
        const char *text;
    } rows[] = {
        {"empty", 0, 16, 4096, "ends after 0 of 100 bytes"},
        {"one byte short", 99, 16, 4096, "ends after 99 of 100 bytes"},
        {"magic", 100, 0, 0x4141, "not an SQLite database"},
        {"end of magic", 100, 14, 0x3358, "not an SQLite database"},
        {"page size 0", 100, 16, 0, "page size 0 at offset 16"},
        {"page size 256", 100, 16, 256, "page size 256"},
        {"page size 4095", 100, 16, 4095, "page size 4095"},
        {"page size 2", 100, 16, 2, "page size 2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t bytes[DB_HEADER_BYTES];
        struct db_header h = {.page_size = 42};
        struct error err = ERROR_INIT;

        test_row(rows[i].name);
        header_make(bytes);
        be16_store(bytes + rows[i].offset, rows[i].value);
        assert_error(db_header_decode(slice_of(bytes, rows[i].bytes), &h, &err), &err, ERR_CORRUPT,
                     rows[i].text);
        assert_int_equal(h.page_size, 42);
    }
}

static void test_lock_page_of_each_page_size(void **state UNUSED)
{
    static const struct {
        uint32_t page_size, pgno;
    } rows[] = {
        {512, 2097153}, {1024, 1048577}, {2048, 524289}, {4096, 262145},
        {8192, 131073}, {16384, 65537},  {32768, 32769}, {65536, 16385},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(db_lock_pgno(rows[i].page_size), rows[i].pgno);
        assert_true(db_page_size_is_valid(rows[i].page_size));
        assert_false(db_page_size_is_valid(rows[i].page_size + 1));
    }
    assert_int_equal(db_lock_pgno_at(4096, 0x10000), 17);
    assert_false(db_page_size_is_valid(131072));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_header_of_a_real_wal_database_is_decoded),
        TEST(test_rollback_journal_is_not_taken_for_wal),
        TEST(test_page_count_of_an_old_writer_is_not_trusted),
        TEST(test_damaged_headers_are_refused),
        TEST(test_lock_page_of_each_page_size),
    };
    return TEST_MAIN(tests);
}
