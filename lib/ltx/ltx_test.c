/*
 * Headers, trailers, checksums and TXIDs of LTX files.
 */
#include "lib/ltx/ltx.h"

#include "lib/ltx/fixture_internal.h"

static void test_header_of_the_real_encoder_is_decoded_and_written_back(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    struct ltx_header h;
    struct ltx_header wanted = fixture_header_a();
    uint8_t again[LTX_HEADER_BYTES];
    struct error err = ERROR_INIT;

    fixture_hex(fixture_vector_a, &file);
    assert_int_equal(file.n, 210);
    assert_ok(ltx_header_decode(buf_slice(&file), &h, &err), &err);
    assert_memory_equal(&h, &wanted, sizeof(h));
    assert_ok(ltx_header_encode(&h, again, &err), &err);
    assert_memory_equal(again, file.p, sizeof(again));
    assert_true(ltx_header_time_ns(&h) == NS_PER_SEC);
}

static void test_extension_is_written_where_it_is_documented(void **state UNUSED)
{
    struct ltx_header h = fixture_header_a();
    struct ltx_header again;
    uint8_t bytes[LTX_HEADER_BYTES];
    struct error err = ERROR_INIT;

    h.has_ext = true;
    h.epoch = 0x01020304;
    h.owner = 0xfffefdfc;
    h.db_checksum = UINT64_C(0x8877665544332211);
    h.wal_cksum = (struct wal_cksum){{0xa1a2a3a4, 0xb1b2b3b4}};
    assert_ok(ltx_header_encode(&h, bytes, &err), &err);
    assert_memory_equal(bytes + 72, "\x01\x02\x03\x04\xff\xfe\xfd\xfc", 8);
    assert_memory_equal(bytes + 80, "WFX1\x88\x77\x66\x55\x44\x33\x22\x11", 12);
    assert_memory_equal(bytes + 92, "\xa1\xa2\xa3\xa4\xb1\xb2\xb3\xb4", 8);
    assert_ok(ltx_header_decode(slice_of(bytes, sizeof(bytes)), &again, &err), &err);
    h.node_id = UINT64_C(0x01020304fffefdfc);
    assert_memory_equal(&again, &h, sizeof(h));
}

static void test_node_id_of_somebody_else_is_kept(void **state UNUSED)
{
    struct ltx_header h = fixture_header_a();
    struct ltx_header again;
    uint8_t bytes[LTX_HEADER_BYTES];
    struct error err = ERROR_INIT;

    h.node_id = UINT64_C(0x1122334455667788);
    assert_ok(ltx_header_encode(&h, bytes, &err), &err);
    memset(bytes + 80, 'X', 20);
    assert_ok(ltx_header_decode(slice_of(bytes, sizeof(bytes)), &again, &err), &err);
    assert_memory_equal(&again, &h, sizeof(h));
}

/* A header that is right but for what a row changes at an offset. */
static const struct header_row {
    const char *name;
    size_t offset;
    unsigned width; /* bytes of value */
    uint64_t value;
    const char *text; /* NULL: it stays right */
} header_rows[] = {
    {"as it was", 0, 4, 0x4c545831, NULL},
    {"magic", 0, 4, 0x4c545832, "not an LTX file: magic 4c545832 at offset 0"},
    {"unknown flag", 4, 4, 3, "unknown flags 00000003 at offset 4"},
    {"high flag", 4, 4, 0x80000002, "unknown flags 80000002"},
    {"page size 0", 8, 4, 0, "page size 0 is not a power of two"},
    {"page size 256", 8, 4, 256, "page size 256"},
    {"page size 513", 8, 4, 513, "page size 513"},
    {"page size 65536", 8, 4, 65536, NULL},
    {"page size 131072", 8, 4, 131072, "page size 131072"},
    {"page size 2^31", 8, 4, 0x80000000, "page size 2147483648"},
    {"no pages", 12, 4, 0, NULL},
    {"all pages", 12, 4, UINT32_MAX, NULL},
    {"MinTXID 0", 16, 8, 0, "MinTXID is 0"},
    {"MaxTXID below", 16, 8, 2, "MaxTXID 0000000000000001 is below MinTXID 0000000000000002"},
    {"MaxTXID largest", 24, 8, UINT64_MAX, NULL},
    {"time before 1970", 32, 8, UINT64_MAX, NULL},
    {"pre-apply", 40, 8, 1, "pre-apply checksum 0000000000000001 in a file that is without"},
    {"negative WAL offset", 48, 8, UINT64_MAX, "WAL offset -1 is negative"},
    {"WAL fields without offset", 48, 8, 0, "WAL salts without a WAL offset"},
    {"negative WAL size", 56, 8, UINT64_C(1) << 63, "is negative"},
    {"checksums, snapshot", 4, 4, 0, NULL},
};

static void test_header_that_breaks_a_rule_is_refused_with_its_name(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(header_rows); i++) {
        const struct header_row *row = &header_rows[i];
        struct ltx_header h = fixture_header_a();
        struct ltx_header out = {.page_size = 42};
        uint8_t bytes[LTX_HEADER_BYTES];
        struct error err = ERROR_INIT;

        test_row(row->name);
        assert_ok(ltx_header_encode(&h, bytes, &err), &err);
        if (row->width == 4)
            be32_store(bytes + row->offset, (uint32_t)row->value);
        else
            be64_store(bytes + row->offset, row->value);
        int rc = ltx_header_decode(slice_of(bytes, sizeof(bytes)), &out, &err);
        if (!row->text) {
            uint8_t again[LTX_HEADER_BYTES];
            assert_ok(rc, &err);
            assert_ok(ltx_header_encode(&out, again, &err), &err);
            assert_memory_equal(again, bytes, sizeof(bytes));
        } else {
            assert_error(rc, &err, ERR_CORRUPT, row->text);
            assert_int_equal(out.page_size, 42);
        }
    }
}

static void test_checksum_fields_follow_flag_and_snapshot(void **state UNUSED)
{
    static const struct {
        const char *name;
        bool has_checksums, has_ext;
        uint64_t min_txid, pre_apply, db_checksum;
        const char *text;
    } rows[] = {
        {"tracked", true, false, 2, LTX_CHECKSUM_FLAG | 5, 0, NULL},
        {"tracked without", true, false, 2, 0, 0, "has not bit 63"},
        {"tracked without bit", true, false, 2, 5, 0, "0000000000000005 has not bit 63"},
        {"tracked snapshot", true, false, 1, 0, 0, NULL},
        {"tracked snapshot with", true, false, 1, LTX_CHECKSUM_FLAG, 0, "that is a snapshot"},
        {"untracked with", false, false, 2, LTX_CHECKSUM_FLAG, 0, "without checksums"},
        {"extension", false, true, 2, 0, LTX_CHECKSUM_FLAG, NULL},
        {"extension without bit", false, true, 2, 0, 1, "database checksum 0000000000000001"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ltx_header h = fixture_header_a();
        uint8_t bytes[LTX_HEADER_BYTES];
        struct error err = ERROR_INIT;

        test_row(rows[i].name);
        h.has_checksums = rows[i].has_checksums;
        h.min_txid = rows[i].min_txid;
        h.max_txid = 2;
        h.pre_apply_checksum = rows[i].pre_apply;
        h.has_ext = rows[i].has_ext;
        h.db_checksum = rows[i].db_checksum;
        int rc = ltx_header_encode(&h, bytes, &err);
        if (rows[i].text)
            assert_error(rc, &err, ERR_CORRUPT, rows[i].text);
        else
            assert_ok(rc, &err);
    }
}

static void test_short_header_says_how_short(void **state UNUSED)
{
    uint8_t bytes[LTX_HEADER_BYTES] = {0};
    struct ltx_header h;
    struct error err = ERROR_INIT;

    assert_error(ltx_header_decode(slice_of(bytes, 99), &h, &err), &err, ERR_CORRUPT,
                 "ends after 99 of 100 bytes");
    assert_error(ltx_header_decode(SLICE_EMPTY, &h, &err), &err, ERR_CORRUPT, "ends after 0 of");
}

static void test_trailer_follows_its_header(void **state UNUSED)
{
    static const struct {
        const char *name;
        bool has_checksums;
        uint32_t commit;
        uint64_t post_apply, file;
        const char *text;
    } rows[] = {
        {"untracked", false, 2, 0, LTX_CHECKSUM_FLAG, NULL},
        {"untracked with", false, 2, 1, LTX_CHECKSUM_FLAG, "in a file without checksums"},
        {"tracked", true, 2, LTX_CHECKSUM_FLAG | 7, LTX_CHECKSUM_FLAG, NULL},
        {"tracked without", true, 2, 0, LTX_CHECKSUM_FLAG, "0000000000000000 has not bit 63"},
        {"empty database", true, 0, LTX_CHECKSUM_FLAG, LTX_CHECKSUM_FLAG, NULL},
        {"empty database, other", true, 0, LTX_CHECKSUM_FLAG | 1, LTX_CHECKSUM_FLAG, "of an empty"},
        {"file checksum", false, 2, 0, 1, "file checksum 0000000000000001 has not bit 63"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ltx_header h = {.has_checksums = rows[i].has_checksums, .commit = rows[i].commit};
        struct ltx_trailer t = {.post_apply_checksum = rows[i].post_apply,
                                .file_checksum = rows[i].file};
        struct ltx_trailer out = {0, 0};
        uint8_t bytes[LTX_TRAILER_BYTES];
        struct error err = ERROR_INIT;

        test_row(rows[i].name);
        ltx_trailer_encode(&t, bytes);
        int rc = ltx_trailer_decode(bytes, &h, &out, &err);
        if (rows[i].text) {
            assert_error(rc, &err, ERR_CORRUPT, rows[i].text);
        } else {
            assert_ok(rc, &err);
            assert_memory_equal(&out, &t, sizeof(t));
        }
    }
}

static void test_page_and_database_checksums_are_those_of_the_real_encoder(void **state UNUSED)
{
    uint8_t page[512];
    uint64_t db = LTX_CHECKSUM_FLAG;

    fixture_page(page, 512, 1);
    uint64_t first = ltx_page_checksum(1, slice_of(page, 512));
    assert_true(first == UINT64_C(0xf3ce1aa9c84e246a));
    fixture_page(page, 512, 2);
    uint64_t second = ltx_page_checksum(2, slice_of(page, 512));
    assert_true(second == UINT64_C(0xe02f354afbf03977));
    db = ltx_db_checksum_toggle(ltx_db_checksum_toggle(db, first), second);
    assert_true(db == UINT64_C(0x93e12fe333be1d1d));
    assert_true(ltx_db_checksum_toggle(ltx_db_checksum_toggle(db, first), second) ==
                LTX_CHECKSUM_FLAG);
}

static void test_txids_are_sixteen_hex_digits(void **state UNUSED)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "000000000000001",
                                      "00000000000000001",
                                      "000000000000000g",
                                      "0x00000000000001",
                                      " 000000000000001"};
    char text[LTX_TXID_TEXT_BYTES];
    uint64_t txid = 0;
    struct error err = ERROR_INIT;

    assert_string_equal(ltx_txid_format(UINT64_C(0x123456789abcdef0), text), "123456789abcdef0");
    assert_string_equal(ltx_txid_format(1, text), "0000000000000001");
    assert_ok(ltx_txid_parse("00000000DEADbeef", &txid, &err), &err);
    assert_true(txid == 0xdeadbeef);
    assert_ok(ltx_txid_parse("ffffffffffffffff", &txid, &err), &err);
    assert_true(txid == UINT64_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        test_row(bad[i]);
        assert_error(ltx_txid_parse(bad[i], &txid, &err), &err, ERR_USAGE, "is not a TXID");
    }
}

static void test_times_outside_the_representable_are_cut(void **state UNUSED)
{
    struct ltx_header h = {.timestamp_ms = -1};
    assert_true(ltx_header_time_ns(&h) == 0);
    h.timestamp_ms = INT64_MAX;
    assert_true(ltx_header_time_ns(&h) == UINT64_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_header_of_the_real_encoder_is_decoded_and_written_back),
        TEST(test_extension_is_written_where_it_is_documented),
        TEST(test_node_id_of_somebody_else_is_kept),
        TEST(test_header_that_breaks_a_rule_is_refused_with_its_name),
        TEST(test_checksum_fields_follow_flag_and_snapshot),
        TEST(test_short_header_says_how_short),
        TEST(test_trailer_follows_its_header),
        TEST(test_page_and_database_checksums_are_those_of_the_real_encoder),
        TEST(test_txids_are_sixteen_hex_digits),
        TEST(test_times_outside_the_representable_are_cut),
    };
    return TEST_MAIN(tests);
}
