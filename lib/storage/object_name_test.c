/*
 * Names of objects: made, recognised, and everything that only looks like one refused.
 */
#include "lib/storage/object_name.h"

#include <stdio.h>

#include "lib/testing/test.h"

static const struct name_row {
    const char *key;
    enum storage_layout layout;
    struct object_name name;
} name_rows[] = {
    {"0000/0000000000000001-0000000000000001.ltx", STORAGE_LAYOUT_HEX, {0, 1, 1}},
    {"0009/0000000000000001-00000000000000ff.ltx", STORAGE_LAYOUT_HEX, {9, 1, 255}},
    {"0003/0123456789abcdef-fedcba9876543210.ltx",
     STORAGE_LAYOUT_HEX,
     {3, 0x0123456789abcdef, 0xfedcba9876543210}},
    {"ltx/0/0000000000000001-0000000000000001.ltx", STORAGE_LAYOUT_LTX, {0, 1, 1}},
    {"ltx/9/0000000000000001-ffffffffffffffff.ltx", STORAGE_LAYOUT_LTX, {9, 1, UINT64_MAX}},
};

static void test_names_are_made_and_recognised(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(name_rows); i++) {
        const struct name_row *row = &name_rows[i];
        char key[STORAGE_KEY_BYTES_MAX];
        struct object_name name;
        test_row(row->key);
        assert_string_equal(object_name_format(row->layout, &row->name, key), row->key);
        assert_true(object_name_parse(row->layout, row->key, &name));
        assert_int_equal(name.level, row->name.level);
        assert_int_equal(name.min_txid, row->name.min_txid);
        assert_int_equal(name.max_txid, row->name.max_txid);
        assert_false(object_name_parse(row->layout == STORAGE_LAYOUT_HEX ? STORAGE_LAYOUT_LTX
                                                                         : STORAGE_LAYOUT_HEX,
                                       row->key, &name));
    }
}

static void test_what_is_not_exactly_a_name_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "0000",
        "0000/",
        "0000/0000000000000001-0000000000000001",
        "0000/0000000000000001-0000000000000001.lt",
        "0000/0000000000000001-0000000000000001.ltx.tmp",
        "0000/0000000000000001-0000000000000001.ltxx",
        "0000/0000000000000001-0000000000000001.LTX",
        "0000/000000000000000A-000000000000000A.ltx",
        "0000/000000000000000g-000000000000000g.ltx",
        "0000/0000000000000000-0000000000000001.ltx",
        "0000/0000000000000002-0000000000000001.ltx",
        "0000/000000000000001-0000000000000001.ltx",
        "0000/00000000000000001-0000000000000001.ltx",
        "0000/0000000000000001_0000000000000001.ltx",
        "0000/ 000000000000001-0000000000000001.ltx",
        "0000/+000000000000001-0000000000000001.ltx",
        "000a/0000000000000001-0000000000000001.ltx",
        "0010/0000000000000001-0000000000000001.ltx",
        "00000/0000000000000001-0000000000000001.ltx",
        "/0000/0000000000000001-0000000000000001.ltx",
        "x/0000/0000000000000001-0000000000000001.ltx",
        "ltx/a/0000000000000001-0000000000000001.ltx",
        "ltx/10/0000000000000001-0000000000000001.ltx",
        "ltx/00/0000000000000001-0000000000000001.ltx",
        "ltx//0000000000000001-0000000000000001.ltx",
        "ltx/0000000000000001-0000000000000001.ltx",
        "LTX/0/0000000000000001-0000000000000001.ltx",
        "fenced/00000001-00000002/0000000000000001-0000000000000001.ltx",
        ".walferry-probe/0123456789abcdef",
        "lock.json",
        "generations/0123456789abcdef/snapshots/00000000.snapshot.lz4",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct object_name name = {42, 43, 44};
        test_row(bad[i]);
        assert_false(object_name_parse(STORAGE_LAYOUT_HEX, bad[i], &name));
        assert_false(object_name_parse(STORAGE_LAYOUT_LTX, bad[i], &name));
        assert_int_equal(name.level, 42);
        assert_int_equal(name.min_txid, 43);
        assert_int_equal(name.max_txid, 44);
    }
}

static void test_every_cut_of_a_name_is_refused(void **state UNUSED)
{
    const char *whole = name_rows[0].key;

    for (size_t n = 0; n < strlen(whole); n++) {
        char cut[64];
        struct object_name name;
        (void)snprintf(cut, sizeof(cut), "%.*s", (int)n, whole);
        test_row(cut);
        assert_false(object_name_parse(STORAGE_LAYOUT_HEX, cut, &name));
    }
}

static void test_fenced_names_are_made_and_recognised(void **state UNUSED)
{
    char key[STORAGE_KEY_BYTES_MAX];
    struct object_name name;
    uint32_t epoch = 0;
    uint32_t owner = 0;

    object_name_format_fenced(7, 0xdeadbeef, 16, 17, key);
    assert_string_equal(key, "fenced/00000007-deadbeef/0000000000000010-0000000000000011.ltx");
    assert_true(object_name_parse_fenced(key, &epoch, &owner, &name));
    assert_int_equal(epoch, 7);
    assert_int_equal(owner, 0xdeadbeef);
    assert_int_equal(name.level, LTX_LEVEL_RAW);
    assert_int_equal(name.min_txid, 16);
    assert_int_equal(name.max_txid, 17);
}

static void test_what_is_not_exactly_a_fenced_name_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "fenced/",
        "fenced/00000007/0000000000000010-0000000000000011.ltx",
        "fenced/0000007-deadbeef/0000000000000010-0000000000000011.ltx",
        "fenced/00000007-DEADBEEF/0000000000000010-0000000000000011.ltx",
        "fenced/00000007-deadbeef0/0000000000000010-0000000000000011.ltx",
        "fenced/00000007-deadbeef/0000000000000000-0000000000000011.ltx",
        "fenced/00000007-deadbeef/0000000000000010-0000000000000011.ltx/",
        "0000/0000000000000010-0000000000000011.ltx",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct object_name name;
        uint32_t epoch = 42;
        uint32_t owner = 43;
        test_row(bad[i]);
        assert_false(object_name_parse_fenced(bad[i], &epoch, &owner, &name));
        assert_int_equal(epoch, 42);
        assert_int_equal(owner, 43);
    }
}

static void test_level_prefix_is_the_folder_of_its_names(void **state UNUSED)
{
    char prefix[STORAGE_KEY_BYTES_MAX];

    assert_string_equal(object_name_level_prefix(STORAGE_LAYOUT_HEX, 9, prefix), "0009/");
    assert_string_equal(object_name_level_prefix(STORAGE_LAYOUT_LTX, 0, prefix), "ltx/0/");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_names_are_made_and_recognised),
        TEST(test_what_is_not_exactly_a_name_is_refused),
        TEST(test_every_cut_of_a_name_is_refused),
        TEST(test_fenced_names_are_made_and_recognised),
        TEST(test_what_is_not_exactly_a_fenced_name_is_refused),
        TEST(test_level_prefix_is_the_folder_of_its_names),
    };
    return TEST_MAIN(tests);
}
