/*
 * JSON output, byte for byte.
 */
#include "lib/json/json_writer.h"

#include <math.h>

#include "lib/testing/test.h"

static void sample_write(struct json_writer *w)
{
    json_writer_object(w, NULL);
    json_writer_str(w, "path", "/data/app.db");
    json_writer_u64(w, "txid", UINT64_MAX);
    json_writer_i64(w, "delta", -3);
    json_writer_bool(w, "ok", true);
    json_writer_null(w, "none");
    json_writer_str(w, "missing", NULL);
    json_writer_array(w, "list");
    json_writer_strf(w, NULL, "%016x", 12);
    json_writer_object(w, NULL);
    json_writer_end(w);
    json_writer_array(w, NULL);
    json_writer_end(w);
    json_writer_end(w);
    json_writer_time(w, "at", 1500 * NS_PER_MS);
    json_writer_time(w, "never", 0);
    json_writer_end(w);
}

static void test_compact_document_has_no_space(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(10000);
    struct error err = ERROR_INIT;
    struct json_writer w;

    json_writer_init(&w, &out, JSON_COMPACT);
    sample_write(&w);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_string_equal(
        buf_str(&out),
        "{\"path\":\"/data/app.db\",\"txid\":18446744073709551615,\"delta\":-3,\"ok\":true,"
        "\"none\":null,\"missing\":null,\"list\":[\"000000000000000c\",{},[]],"
        "\"at\":\"1970-01-01T00:00:01.5Z\",\"never\":null}");
}

static void test_pretty_document_has_one_value_a_line(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(10000);
    struct error err = ERROR_INIT;
    struct json_writer w;

    json_writer_init(&w, &out, JSON_PRETTY);
    json_writer_object(&w, NULL);
    json_writer_array(&w, "list");
    json_writer_u64(&w, NULL, 1);
    json_writer_u64(&w, NULL, 2);
    json_writer_end(&w);
    json_writer_object(&w, "empty");
    json_writer_end(&w);
    json_writer_end(&w);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_string_equal(buf_str(&out),
                        "{\n  \"list\": [\n    1,\n    2\n  ],\n  \"empty\": {}\n}\n");
}

static void test_strings_are_escaped_and_made_utf8(void **state UNUSED)
{
    static const struct {
        const char *name;
        struct slice text;
        const char *json;
    } rows[] = {
        {"plain", {(const uint8_t *)"abc/<&>", 7}, "\"abc/<&>\""},
        {"quotes", {(const uint8_t *)"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {"controls",
         {(const uint8_t *)"\b\t\n\f\r\x01\x1f\x7f", 8},
         "\"\\b\\t\\n\\f\\r\\u0001\\u001f\\u007f\""},
        {"zero byte", {(const uint8_t *)"a\0b", 3}, "\"a\\u0000b\""},
        {"utf-8",
         {(const uint8_t *)"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9},
         "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\""},
        {"stray byte",
         {(const uint8_t *)"a\xff"
                           "b",
          3},
         "\"a\xef\xbf\xbd"
         "b\""},
        {"cut sequence", {(const uint8_t *)"\xe2\x82", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"overlong", {(const uint8_t *)"\xc0\x80", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"surrogate",
         {(const uint8_t *)"\xed\xa0\x80", 3},
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"beyond unicode",
         {(const uint8_t *)"\xf4\x90\x80\x80", 4},
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"empty", {NULL, 0}, "\"\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
        struct error err = ERROR_INIT;
        struct json_writer w;
        test_row(rows[i].name);
        json_writer_init(&w, &out, JSON_COMPACT);
        json_writer_slice(&w, NULL, rows[i].text);
        assert_ok(json_writer_finish(&w, &err), &err);
        assert_string_equal(buf_str(&out), rows[i].json);
    }
}

static void test_doubles_are_short_and_exact(void **state UNUSED)
{
    static const struct {
        double value;
        const char *json;
    } rows[] = {{0.1, "0.1"},
                {1.0, "1"},
                {-2.5, "-2.5"},
                {1e300, "1e+300"},
                {0.1 + 0.2, "0.30000000000000004"},
                {NAN, "null"},
                {INFINITY, "null"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
        struct error err = ERROR_INIT;
        struct json_writer w;
        test_row(rows[i].json);
        json_writer_init(&w, &out, JSON_COMPACT);
        json_writer_f64(&w, NULL, rows[i].value);
        assert_ok(json_writer_finish(&w, &err), &err);
        assert_string_equal(buf_str(&out), rows[i].json);
    }
}

static void test_full_buffer_is_reported_at_the_end(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf full = BUF_INIT(10000);
    struct error err = ERROR_INIT;
    struct json_writer w;

    json_writer_init(&w, &full, JSON_PRETTY);
    sample_write(&w);
    assert_ok(json_writer_finish(&w, &err), &err);
    for (size_t max = 0; max < full.n; max++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(max);
        error_clear(&err);
        json_writer_init(&w, &out, JSON_PRETTY);
        sample_write(&w);
        assert_error(json_writer_finish(&w, &err), &err, ERR_LIMIT, "JSON output: ");
        assert_true(out.n <= max);
    }
}

static void test_nesting_works_up_to_the_limit(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
    struct error err = ERROR_INIT;
    struct json_writer w;

    json_writer_init(&w, &out, JSON_COMPACT);
    for (int i = 0; i < JSON_WRITER_DEPTH_MAX; i++)
        json_writer_array(&w, NULL);
    for (int i = 0; i < JSON_WRITER_DEPTH_MAX; i++)
        json_writer_end(&w);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_int_equal(out.n, 2 * JSON_WRITER_DEPTH_MAX);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_compact_document_has_no_space),
        TEST(test_pretty_document_has_one_value_a_line),
        TEST(test_strings_are_escaped_and_made_utf8),
        TEST(test_doubles_are_short_and_exact),
        TEST(test_full_buffer_is_reported_at_the_end),
        TEST(test_nesting_works_up_to_the_limit),
    };
    return TEST_MAIN(tests);
}
