/*
 * The write-ahead log: logs that the library wrote, and what it makes of damaged ones.
 */
#include "lib/sqlite/wal_format.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/testing/test.h"

static struct wal_header header_make(bool is_big_endian, uint8_t out[static WAL_HEADER_BYTES])
{
    struct wal_header h = {
        .page_size = 512,
        .is_big_endian = is_big_endian,
        .checkpoint_seq = 3,
        .salt = {{0x11223344, 0x55667788}},
    };
    wal_header_encode(&h, out);
    return h;
}

/* Runs sql on a new WAL database and answers what its log holds before the connection closes. */
static uint8_t *log_of_sql(const char *sql, size_t *out_n)
{
    char folder[256];
    char path[300];
    sqlite3 *db;

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)snprintf(path, sizeof(path), "%s/db-wal", folder);
    uint8_t *bytes = test_file_read(path, out_n);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    test_folder_remove(folder);
    return bytes;
}

static void test_every_frame_of_a_real_log_continues_it(void **state UNUSED)
{
    static const uint32_t page_sizes[] = {512, 4096, 65536};

    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++) {
        char sql[400];
        struct error err = ERROR_INIT;
        struct wal_header h;
        struct wal_frame frame = {.pgno = 0};
        size_t n;

        (void)snprintf(sql, sizeof(sql),
                       "PRAGMA page_size=%u; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                       "CREATE TABLE t(a); WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL "
                       "SELECT i+1 FROM c WHERE i<200) INSERT INTO t SELECT randomblob(700) FROM c;"
                       "DELETE FROM t WHERE rowid %% 3 = 0",
                       page_sizes[i]);
        uint8_t *log = log_of_sql(sql, &n);
        assert_int_equal(wal_header_decode(slice_of(log, n), &h, &err), 1);
        assert_int_equal(h.page_size, page_sizes[i]);
        uint64_t frames = wal_frame_count(h.page_size, n);
        assert_true(frames > 3);
        assert_int_equal(wal_frame_offset(h.page_size, frames + 1), n);
        struct wal_cksum cksum = h.cksum;
        for (uint64_t no = 1; no <= frames; no++) {
            struct slice bytes = slice_of(log + wal_frame_offset(h.page_size, no),
                                          WAL_FRAME_HEADER_BYTES + h.page_size);
            assert_true(wal_frame_check(&h, &cksum, bytes, &frame));
        }
        assert_true(frame.commit_pages > 0);
        free(log);
    }
}

static void test_frames_are_written_and_read_in_both_byte_orders(void **state UNUSED)
{
    for (int big = 0; big <= 1; big++) {
        uint8_t header[WAL_HEADER_BYTES];
        uint8_t bytes[WAL_FRAME_HEADER_BYTES + 512];
        struct wal_header decoded;
        struct wal_frame frame;
        struct error err = ERROR_INIT;
        struct wal_header h = header_make(big != 0, header);

        assert_int_equal(be32_load(header), 0x377f0682 + big);
        assert_int_equal(wal_header_decode(slice_of(header, sizeof(header)), &decoded, &err), 1);
        assert_int_equal(decoded.page_size, h.page_size);
        assert_int_equal(decoded.is_big_endian, h.is_big_endian);
        assert_int_equal(decoded.checkpoint_seq, h.checkpoint_seq);
        assert_memory_equal(&decoded.salt, &h.salt, sizeof(h.salt));
        assert_true(wal_cksum_eq(decoded.cksum, h.cksum));

        struct wal_cksum writing = h.cksum;
        struct wal_cksum reading = h.cksum;
        for (uint32_t pgno = 1; pgno <= 3; pgno++) {
            memset(bytes, (int)pgno, sizeof(bytes));
            wal_frame_encode(&h, &writing, pgno, pgno == 3 ? 3 : 0,
                             slice_of(bytes + WAL_FRAME_HEADER_BYTES, 512), bytes);
            assert_true(wal_frame_check(&h, &reading, slice_of(bytes, sizeof(bytes)), &frame));
            assert_int_equal(frame.pgno, pgno);
            assert_int_equal(frame.commit_pages, pgno == 3 ? 3 : 0);
            assert_true(wal_cksum_eq(reading, writing));
        }
    }
}

static void test_checksum_has_the_documented_sums(void **state UNUSED)
{
    static const uint8_t bytes[16] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4};
    struct wal_cksum little = {{0, 0}};
    struct wal_cksum big = {{0, 0}};

    wal_checksum(false, &little, slice_of(bytes, 8));
    assert_int_equal(little.s[0], 1); /* s0 = 1 + 0; s1 = 2 + 1 */
    assert_int_equal(little.s[1], 3);
    wal_checksum(true, &big, slice_of(bytes + 8, 8));
    assert_int_equal(big.s[0], 3);
    assert_int_equal(big.s[1], 7);
}

/* SQLite takes such a log as empty; so do we, and only a new version is an error. */
static void test_damaged_header_means_an_empty_log(void **state UNUSED)
{
    for (size_t at = 0; at < WAL_HEADER_BYTES; at++) {
        uint8_t header[WAL_HEADER_BYTES];
        struct wal_header h;
        struct error err = ERROR_INIT;

        (void)header_make(false, header);
        header[at] ^= 0x40;
        assert_int_equal(wal_header_decode(slice_of(header, sizeof(header)), &h, &err), 0);
        (void)header_make(false, header);
        assert_int_equal(wal_header_decode(slice_of(header, at), &h, &err), 0);
    }
}

static void header_seal(uint8_t header[static WAL_HEADER_BYTES])
{
    struct wal_cksum cksum = {{0, 0}};
    wal_checksum(header[3] & 1, &cksum, slice_of(header, 24));
    be32_store(header + 24, cksum.s[0]);
    be32_store(header + 28, cksum.s[1]);
}

static void test_unknown_version_under_a_right_checksum_is_an_error(void **state UNUSED)
{
    uint8_t header[WAL_HEADER_BYTES];
    struct wal_header h;
    struct error err = ERROR_INIT;

    (void)header_make(false, header);
    be32_store(header + 4, WAL_VERSION + 1);
    header_seal(header);
    assert_error(wal_header_decode(slice_of(header, sizeof(header)), &h, &err), &err,
                 ERR_UNSUPPORTED, "version 3007001 at offset 4");
}

static void test_impossible_page_size_means_an_empty_log(void **state UNUSED)
{
    static const uint32_t sizes[] = {0, 1, 256, 513, 65535, 131072, 0x80000000, UINT32_MAX};

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint8_t header[WAL_HEADER_BYTES];
        struct wal_header h;
        struct error err = ERROR_INIT;

        (void)header_make(true, header);
        be32_store(header + 8, sizes[i]);
        header_seal(header);
        assert_int_equal(wal_header_decode(slice_of(header, sizeof(header)), &h, &err), 0);
    }
}

static void test_any_changed_bit_of_a_frame_ends_the_log(void **state UNUSED)
{
    uint8_t header[WAL_HEADER_BYTES];
    uint8_t bytes[WAL_FRAME_HEADER_BYTES + 512];
    struct wal_header h = header_make(false, header);
    struct wal_cksum writing = h.cksum;
    struct wal_frame frame = {.pgno = 99};

    memset(bytes, 0x5a, sizeof(bytes));
    wal_frame_encode(&h, &writing, 1, 1, slice_of(bytes + WAL_FRAME_HEADER_BYTES, 512), bytes);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        struct wal_cksum reading = h.cksum;
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(wal_frame_check(&h, &reading, slice_of(bytes, sizeof(bytes)), &frame));
        assert_true(wal_cksum_eq(reading, h.cksum));
        assert_int_equal(frame.pgno, 99);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void test_page_number_0_ends_the_log_although_its_checksum_is_right(void **state UNUSED)
{
    uint8_t header[WAL_HEADER_BYTES];
    uint8_t bytes[WAL_FRAME_HEADER_BYTES + 512] = {0};
    struct wal_header h = header_make(false, header);
    struct wal_cksum writing = h.cksum;
    struct wal_cksum reading = h.cksum;
    struct wal_frame frame;

    wal_frame_encode(&h, &writing, 0, 1, slice_of(bytes + WAL_FRAME_HEADER_BYTES, 512), bytes);
    assert_false(wal_frame_check(&h, &reading, slice_of(bytes, sizeof(bytes)), &frame));
}

static void test_offsets_and_counts_agree_up_to_the_largest_log(void **state UNUSED)
{
    assert_int_equal(wal_frame_offset(4096, 1), 32);
    assert_int_equal(wal_frame_offset(4096, 2), 32 + 4120);
    assert_int_equal(wal_frame_count(4096, 0), 0);
    assert_int_equal(wal_frame_count(4096, 31), 0);
    assert_int_equal(wal_frame_count(4096, 32 + 4119), 0);
    assert_int_equal(wal_frame_count(4096, 32 + 4120), 1);
    int64_t end = wal_frame_offset(65536, (uint64_t)UINT32_MAX + 1);
    assert_int_equal(wal_frame_count(65536, (uint64_t)end), UINT32_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_frame_of_a_real_log_continues_it),
        TEST(test_frames_are_written_and_read_in_both_byte_orders),
        TEST(test_checksum_has_the_documented_sums),
        TEST(test_damaged_header_means_an_empty_log),
        TEST(test_unknown_version_under_a_right_checksum_is_an_error),
        TEST(test_impossible_page_size_means_an_empty_log),
        TEST(test_any_changed_bit_of_a_frame_ends_the_log),
        TEST(test_page_number_0_ends_the_log_although_its_checksum_is_right),
        TEST(test_offsets_and_counts_agree_up_to_the_largest_log),
    };
    return TEST_MAIN(tests);
}
