/*
 * Ranges: what is asked for, and Content-Range headers good, bad and hostile.
 */
#include "lib/storage/s3/range.h"

#include "lib/testing/test.h"

static void test_a_range_asks_for_what_is_still_missing(void **state UNUSED)
{
    char text[RANGE_TEXT_BYTES];
    struct range_read r = {.is_wanted = true, .offset = 5, .bytes = 10};

    assert_string_equal(range_format(&r, text), "bytes=5-14");
    r.given = 4;
    assert_string_equal(range_format(&r, text), "bytes=9-14");
    r = (struct range_read){.is_wanted = true, .offset = 5};
    assert_string_equal(range_format(&r, text), "bytes=5-");
    r = (struct range_read){.is_wanted = true, .offset = UINT64_MAX, .bytes = 1};
    assert_string_equal(range_format(&r, text), "bytes=18446744073709551615-18446744073709551615");
    r = (struct range_read){.is_wanted = false};
    assert_false(range_is_partial(&r));
    r.given = 1;
    assert_true(range_is_partial(&r));
}

static void test_content_ranges_are_read(void **state UNUSED)
{
    static const struct {
        const char *text;
        struct range_extent extent;
    } rows[] = {
        {"bytes 0-0/1", {0, 0, 1}},
        {"bytes 5-9/10", {5, 9, 10}},
        {"bytes 5-9/*", {5, 9, UINT64_MAX}},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct range_extent extent = {.first = 0};
        test_row(rows[i].text);
        assert_true(range_extent_parse(rows[i].text, &extent));
        assert_int_equal(extent.first, rows[i].extent.first);
        assert_int_equal(extent.last, rows[i].extent.last);
        assert_int_equal(extent.total, rows[i].extent.total);
    }
}

static void test_what_is_no_content_range_is_refused(void **state UNUSED)
{
    static const char *const rows[] = {
        "",
        "bytes",
        "bytes ",
        "bytes 5-9",
        "bytes 9-5/10",
        "bytes -5/9",
        "bytes 5-/9",
        "bytes a-b/c",
        "bytes 5-9/9",
        "bytes 5-9/10x",
        "items 5-9/10",
        "bytes  5-9/10",
        "bytes 5-9/ 10",
        "bytes */10",
        "bytes 0-18446744073709551615/*",
        "bytes 0-99999999999999999999/*",
    };
    struct range_extent extent;

    assert_false(range_extent_parse(NULL, &extent));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i]);
        if (range_extent_parse(rows[i], &extent))
            fail_msg("\"%s\" was read", rows[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_range_asks_for_what_is_still_missing),
        TEST(test_content_ranges_are_read),
        TEST(test_what_is_no_content_range_is_refused),
    };
    return TEST_MAIN(tests);
}
