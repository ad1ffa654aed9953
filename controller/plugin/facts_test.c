/*
 * Ages, sizes, lenient reading; and the table they are shown in.
 */
#include "controller/plugin/facts.h"

#include <string.h>

#include "controller/plugin/table.h"
#include "lib/testing/test.h"

static void test_ages_are_those_of_kubectl(void **state UNUSED)
{
    static const struct {
        uint64_t s;
        const char *text;
    } rows[] = {
        {0, "0s"},          {1, "1s"},        {119, "119s"},      {120, "2m"},
        {130, "2m10s"},     {599, "9m59s"},   {600, "10m"},       {3600, "60m"},
        {10799, "179m"},    {10800, "3h"},    {11000, "3h3m"},    {28800, "8h"},
        {172799, "47h"},    {172800, "2d"},   {176400, "2d1h"},   {691200, "8d"},
        {63071999, "729d"}, {63072000, "2y"}, {63158400, "2y1d"}, {252288000, "8y"},
    };
    char text[FACT_TEXT_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(age_format(rows[i].s * NS_PER_SEC, text), rows[i].text);
    assert_string_equal(age_since(10 * NS_PER_SEC, 0, text), "<none>");
    /* A clock that is behind the server's. */
    assert_string_equal(age_since(10 * NS_PER_SEC, 12 * NS_PER_SEC, text), "0s");
}

static void test_sizes_have_two_digits_or_more(void **state UNUSED)
{
    char text[FACT_TEXT_BYTES];

    assert_string_equal(bytes_format(0, text), "0B");
    assert_string_equal(bytes_format(1023, text), "1023B");
    assert_string_equal(bytes_format(1536, text), "1.5KiB");
    assert_string_equal(bytes_format(20 << 20, text), "20MiB");
    assert_string_equal(bytes_format(UINT64_MAX, text), "16EiB");
}

static void test_facts_of_another_type_are_nothing(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    assert_ok(jsonval_parse(&doc, "x",
                            SLICE_LIT("{\"a\":1,\"b\":\"2026-13-01\",\"status\":{\"conditions\":[1,"
                                      "{\"type\":\"Ready\",\"status\":true}]}}"),
                            &err),
              &err);
    struct jsonval v = jsonval_root(&doc);
    assert_string_equal(fact_text(v, "a"), "");
    assert_int_equal(fact_u64(v, "b"), 0);
    assert_int_equal(fact_time_ns(v, "b"), 0);
    assert_false(fact_bool(v, "a.b.c"));
    assert_false(fact_condition_is_true(v, "Ready"));
    assert_string_equal(fact_condition(v, "Other").reason, "");
}

static void test_tables_count_characters_and_keep_their_widths(void **state UNUSED)
{
    static const char *const columns[] = {"NAME", "TEXT"};
    CLEANUP(table_destroy) struct table t = TABLE_INIT(columns, ARRAY_LEN(columns));
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(4096);
    struct error err = ERROR_INIT;

    table_cell(&t, "%s", "Übersee");
    table_cell(&t, "%s", "two\nlines\x1b[1m");
    table_cell(&t, "%s", "");
    table_cell(&t, "%d", 7);
    assert_ok(table_print(&t, &out, &err), &err);
    table_cell(&t, "%s", "x");
    table_cell(&t, "%s", "y");
    assert_ok(table_print(&t, &out, &err), &err);
    assert_string_equal(buf_str(&out), "NAME      TEXT\n"
                                       "Übersee   two lines [1m\n"
                                       "<none>    7\n"
                                       "x         y\n");
}

static void test_tables_report_a_cell_that_is_too_long(void **state UNUSED)
{
    static const char *const columns[] = {"NAME"};
    CLEANUP(table_destroy) struct table t = TABLE_INIT(columns, ARRAY_LEN(columns));
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(4096);
    struct error err = ERROR_INIT;

    table_cell(&t, "%100000d", 1);
    table_cell(&t, "%s", "x");
    assert_error(table_print(&t, &out, &err), &err, ERR_LIMIT, "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_ages_are_those_of_kubectl),
        TEST(test_sizes_have_two_digits_or_more),
        TEST(test_facts_of_another_type_are_nothing),
        TEST(test_tables_count_characters_and_keep_their_widths),
        TEST(test_tables_report_a_cell_that_is_too_long),
    };
    return TEST_MAIN(tests);
}
