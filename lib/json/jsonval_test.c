/*
 * JSON input: typed values, errors with their place, and what is refused.
 */
#include "lib/json/jsonval.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/testing/test.h"

static const char sample[] =
    "{\"items\": [{\"name\": \"one\", \"size\": 17, \"ok\": true, \"ratio\": 0.5},\n"
    "             {\"name\": null, \"size\": \"18446744073709551615\"}],\n"
    " \"meta\": {\"version\": \"42\", \"deep\": {\"er\": -7}}}\n";

static void parse(struct jsonval_doc *doc, const char *text)
{
    struct error err = ERROR_INIT;
    assert_ok(jsonval_parse(doc, "answer", slice_of_str(text), &err), &err);
}

static void test_values_are_found_by_key_and_way(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    const char *text = NULL;
    uint64_t u64 = 0;
    int64_t i64 = 0;
    double f64 = 0;
    bool flag = false;

    parse(&doc, sample);
    struct jsonval items = jsonval_get(jsonval_root(&doc), "items");
    assert_int_equal(jsonval_count(items), 2);
    struct jsonval one = jsonval_first(items);
    assert_ok(jsonval_str(jsonval_get(one, "name"), &text, &err), &err);
    assert_string_equal(text, "one");
    assert_ok(jsonval_u64(jsonval_get(one, "size"), &u64, &err), &err);
    assert_int_equal(u64, 17);
    assert_ok(jsonval_bool(jsonval_get(one, "ok"), &flag, &err), &err);
    assert_true(flag);
    assert_ok(jsonval_f64(jsonval_get(one, "ratio"), &f64, &err), &err);
    assert_true(f64 == 0.5);
    struct jsonval two = jsonval_next(one);
    assert_ok(jsonval_u64(jsonval_get(two, "size"), &u64, &err), &err);
    assert_true(u64 == UINT64_MAX);
    assert_false(jsonval_exists(jsonval_next(two)));
    assert_ok(jsonval_i64(jsonval_way(jsonval_root(&doc), "meta.deep.er"), &i64, &err), &err);
    assert_true(i64 == -7);
    assert_string_equal(jsonval_key(jsonval_first(jsonval_get(jsonval_root(&doc), "meta"))),
                        "version");
}

static void test_errors_name_document_and_place(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    const char *text = NULL;
    uint64_t number = 0;
    bool flag = false;

    parse(&doc, sample);
    struct jsonval root = jsonval_root(&doc);
    struct jsonval two = jsonval_next(jsonval_first(jsonval_get(root, "items")));
    assert_error(jsonval_str(jsonval_get(two, "name"), &text, &err), &err, ERR_CORRUPT,
                 "answer: items[1].name: expected a string, found null");
    assert_error(jsonval_bool(jsonval_get(two, "gone"), &flag, &err), &err, ERR_CORRUPT,
                 "answer: items[1].gone: expected true or false, found nothing");
    assert_error(jsonval_str(jsonval_way(root, "meta.lost.more"), &text, &err), &err, ERR_CORRUPT,
                 "answer: meta.lost.more: expected a string, found nothing");
    assert_error(jsonval_u64(jsonval_way(root, "meta.deep.er"), &number, &err), &err, ERR_CORRUPT,
                 "answer: meta.deep.er: -7 is negative");
    assert_error(jsonval_u64(root, &number, &err), &err, ERR_CORRUPT,
                 "answer: expected a number, found an object");
    assert_error(
        jsonval_u64(jsonval_get(jsonval_first(jsonval_get(root, "items")), "ratio"), &number, &err),
        &err, ERR_CORRUPT, "answer: items[0].ratio: 0.5 is not a whole number");
}

static void test_missing_and_null_take_the_fallback(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    const char *text = NULL;
    uint64_t number = 0;
    bool flag = false;

    parse(&doc, "{\"null\": null, \"n\": 3, \"t\": \"x\"}");
    struct jsonval root = jsonval_root(&doc);
    assert_ok(jsonval_str_or(jsonval_get(root, "null"), "f", &text, &err), &err);
    assert_string_equal(text, "f");
    assert_ok(jsonval_u64_or(jsonval_get(root, "none"), 9, &number, &err), &err);
    assert_int_equal(number, 9);
    assert_ok(jsonval_u64_or(jsonval_get(root, "n"), 9, &number, &err), &err);
    assert_int_equal(number, 3);
    assert_ok(jsonval_bool_or(jsonval_get(root, "none"), true, &flag, &err), &err);
    assert_true(flag);
    assert_error(jsonval_bool_or(jsonval_get(root, "t"), true, &flag, &err), &err, ERR_CORRUPT,
                 "answer: t: expected true or false, found a string");
}

static void test_broken_documents_are_refused(void **state UNUSED)
{
    static const struct {
        const char *name;
        struct slice text;
        const char *error;
    } rows[] = {
        {"empty", {NULL, 0}, "answer: not JSON at byte 0"},
        {"word", {(const uint8_t *)"tru", 3}, "answer: not JSON"},
        {"open object", {(const uint8_t *)"{\"a\":1", 6}, "answer: not JSON"},
        {"two documents", {(const uint8_t *)"1 2", 3}, "answer: text after the document at byte 2"},
        {"bracket too many", {(const uint8_t *)"[]]", 3}, "text after the document at byte 2"},
        {"string without end", {(const uint8_t *)"\"ab", 3}, "string without end at byte 3"},
        {"backslash at the end", {(const uint8_t *)"\"\\", 2}, "string without end"},
        {"not utf-8", {(const uint8_t *)"\"\xff\"", 3}, "not UTF-8 at byte 1"},
        {"cut utf-8", {(const uint8_t *)"\"\xe2\x82", 3}, "not UTF-8 at byte 1"},
        {"escaped zero", {(const uint8_t *)"\"a\\u0000b\"", 10}, "zero byte in a string at byte 2"},
        {"zero byte", {(const uint8_t *)"[1,\0 2]", 7}, "not JSON at byte 3"},
        {"raw newline", {(const uint8_t *)"\"a\nb\"", 5}, "control character in a string"},
        {"key twice",
         {(const uint8_t *)"{\"x\":{\"a\":1,\"b\":2,\"a\":3}}", 25},
         "answer: x: key \"a\" is here twice"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jsonval_doc doc = JSONVAL_DOC_INIT;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        assert_error(jsonval_parse(&doc, "answer", rows[i].text, &err), &err, ERR_CORRUPT,
                     rows[i].error);
        assert_null(doc.root);
    }
}

static void test_every_cut_of_a_document_is_refused(void **state UNUSED)
{
    for (size_t n = 0; n + 2 < sizeof(sample); n++) {
        struct jsonval_doc doc = JSONVAL_DOC_INIT;
        struct error err = ERROR_INIT;
        assert_error(jsonval_parse(&doc, "cut", slice_of(sample, n), &err), &err, ERR_CORRUPT,
                     "cut: ");
    }
}

static void test_duplicates_are_found_among_many_keys(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(100000);
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(&text, "{", &err), &err);
    for (int i = 0; i < 500; i++)
        assert_ok(buf_printf(&text, &err, "\"k%d\":0,", i), &err);
    assert_ok(buf_append_str(&text, "\"k250\":1}", &err), &err);
    assert_error(jsonval_parse(&doc, "many", buf_slice(&text), &err), &err, ERR_CORRUPT,
                 "many: key \"k250\" is here twice");
}

static void test_limits_of_depth_values_and_size_hold(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(10 << 20);
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    uint8_t *p;

    assert_ok(buf_extend(&text, 100000, &p, &err), &err);
    memset(p, '[', 100000);
    assert_error(jsonval_parse(&doc, "deep", buf_slice(&text), &err), &err, ERR_LIMIT,
                 "deep: nested deeper than 64 at byte 64");
    buf_clear(&text);
    assert_ok(buf_extend(&text, JSONVAL_VALUES_MAX + 2, &p, &err), &err);
    memset(p, ',', JSONVAL_VALUES_MAX + 2);
    assert_error(jsonval_parse(&doc, "wide", buf_slice(&text), &err), &err, ERR_LIMIT,
                 "wide: more than 1048576 values");
    assert_error(jsonval_parse(&doc, "big", slice_of(p, JSONVAL_BYTES_MAX + 1), &err), &err,
                 ERR_LIMIT, "big: 33554433 bytes, more than 33554432");
}

static void test_numbers_that_lost_digits_are_refused(void **state UNUSED)
{
    static const char *const rows[] = {
        "9007199254740994",         "1e300", "1.5", "\"\"", "\"12x\"",
        "\"18446744073709551616\"", "\"-1\""};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
        struct error err = ERROR_INIT;
        uint64_t value = 42;
        test_row(rows[i]);
        parse(&doc, rows[i]);
        assert_error(jsonval_u64(jsonval_root(&doc), &value, &err), &err, ERR_CORRUPT, "is not a");
        assert_int_equal(value, 42);
    }
}

static void test_a_value_is_written_as_it_was_read(void **state UNUSED)
{
    static const char text[] = "{\"a\":[1,2.5,\"x/y\",null,true,{}],\"b\":{\"c\":[]}}";
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1024);
    struct error err = ERROR_INIT;
    struct json_writer w;

    parse(&doc, text);
    json_writer_init(&w, &out, JSON_COMPACT);
    jsonval_write(jsonval_root(&doc), &w, NULL);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_string_equal(buf_str(&out), text);
}

static void test_a_value_too_deep_to_be_written_is_an_error(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1024);
    char text[2 * JSONVAL_DEPTH_MAX + 1] = "";
    struct error err = ERROR_INIT;
    struct json_writer w;

    memset(text, '[', 40);
    memset(text + 40, ']', 40);
    parse(&doc, text);
    json_writer_init(&w, &out, JSON_COMPACT);
    jsonval_write(jsonval_root(&doc), &w, NULL);
    assert_error(json_writer_finish(&w, &err), &err, ERR_LIMIT, "deeper than can be written");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_values_are_found_by_key_and_way),
        TEST(test_errors_name_document_and_place),
        TEST(test_missing_and_null_take_the_fallback),
        TEST(test_broken_documents_are_refused),
        TEST(test_every_cut_of_a_document_is_refused),
        TEST(test_duplicates_are_found_among_many_keys),
        TEST(test_limits_of_depth_values_and_size_hold),
        TEST(test_numbers_that_lost_digits_are_refused),
        TEST(test_a_value_is_written_as_it_was_read),
        TEST(test_a_value_too_deep_to_be_written_is_an_error),
    };
    return TEST_MAIN(tests);
}
