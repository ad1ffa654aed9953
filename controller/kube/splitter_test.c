/*
 * Streams cut into documents, whatever the pieces are in which they come.
 */
#include "controller/kube/splitter.h"

#include <string.h>

#include "lib/testing/test.h"

/* What was given out, joined by '|'. */
struct heard {
    char text[512];
    bool refuses;
};

static int hear(void *arg, struct slice document, struct error *err)
{
    struct heard *h = arg;
    size_t n = strlen(h->text);

    if (h->refuses)
        return error_set(err, ERR_NO_MEMORY, 0, "no more");
    assert_true(n + document.n + 2 < sizeof(h->text));
    memcpy(h->text + n, document.p, document.n);
    memcpy(h->text + n + document.n, "|", 2);
    return 0;
}

static void test_lines_are_the_same_wherever_the_stream_is_cut(void **state UNUSED)
{
    static const char stream[] = "{\"a\":1}\n\n{\"b\":\"x\\ny\"}\r\n[3]\n{\"rest";

    for (size_t cut = 0; cut < sizeof(stream); cut++) {
        struct line_splitter s = LINE_SPLITTER_INIT(100);
        struct heard h = {.text = ""};
        struct error err = ERROR_INIT;
        struct slice all = slice_of(stream, sizeof(stream) - 1);
        assert_ok(line_splitter_feed(&s, slice_sub(all, 0, cut), hear, &h, &err), &err);
        assert_ok(line_splitter_feed(&s, slice_sub(all, cut, all.n), hear, &h, &err), &err);
        assert_string_equal(h.text, "{\"a\":1}|{\"b\":\"x\\ny\"}|[3]|");
        assert_int_equal(line_splitter_rest(&s), 6);
        line_splitter_destroy(&s);
    }
}

static void test_lines_longer_than_the_maximum_are_refused(void **state UNUSED)
{
    struct line_splitter s = LINE_SPLITTER_INIT(8);
    struct heard h = {.text = ""};
    struct error err = ERROR_INIT;

    assert_ok(line_splitter_feed(&s, SLICE_LIT("12345678\n1234"), hear, &h, &err), &err);
    assert_error(line_splitter_feed(&s, SLICE_LIT("56789\n"), hear, &h, &err), &err, ERR_LIMIT,
                 "longer than 8 bytes");
    assert_string_equal(h.text, "12345678|");
    line_splitter_destroy(&s);
}

static void test_lines_stop_where_the_reader_refuses(void **state UNUSED)
{
    struct line_splitter s = LINE_SPLITTER_INIT(8);
    struct heard h = {.refuses = true};
    struct error err = ERROR_INIT;

    assert_error(line_splitter_feed(&s, SLICE_LIT("1\n2\n"), hear, &h, &err), &err, ERR_NO_MEMORY,
                 "no more");
    line_splitter_destroy(&s);
}

/* Lists: what comes out of them as items and as envelope. */
static const struct {
    const char *name, *text, *items, *envelope;
} lists[] = {
    {"items last", "{\"kind\":\"L\",\"metadata\":{\"v\":\"7\"},\"items\":[{\"a\":1},{\"b\":[{}]}]}",
     "{\"a\":1}|{\"b\":[{}]}|", "{\"kind\":\"L\",\"metadata\":{\"v\":\"7\"},\"items\":[]}"},
    {"items first", "{ \"items\" : [ {\"a\":\"]\"} , {} ], \"metadata\":{}}\n", "{\"a\":\"]\"}|{}|",
     "{ \"items\" : [], \"metadata\":{}}\n"},
    {"none", "{\"items\":[]}", "", "{\"items\":[]}"},
    {"null", "{\"items\":null,\"kind\":\"L\"}", "", "{\"items\":null,\"kind\":\"L\"}"},
    {"strings that look like structure",
     "{\"x\":\"\\\"items\\\":[{\",\"items\":[{\"q\":\"\\\\\\\"}{\"}]}", "{\"q\":\"\\\\\\\"}{\"}|",
     "{\"x\":\"\\\"items\\\":[{\",\"items\":[]}"},
    {"items as a value", "{\"kind\":\"items\",\"y\":[{\"z\":1}],\"items\":[{}]}", "{}|",
     "{\"kind\":\"items\",\"y\":[{\"z\":1}],\"items\":[]}"},
    {"items deeper", "{\"spec\":{\"items\":[{\"z\":1}]},\"items\":[{}]}", "{}|",
     "{\"spec\":{\"items\":[{\"z\":1}]},\"items\":[]}"},
    {"keys that begin alike", "{\"item\":[1],\"itemss\":[2],\"items\":[{}]}", "{}|",
     "{\"item\":[1],\"itemss\":[2],\"items\":[]}"},
};

static void test_items_are_the_same_wherever_the_list_is_cut(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct slice all = slice_of_str(lists[i].text);
        test_row(lists[i].name);
        for (size_t cut = 0; cut <= all.n; cut++) {
            struct item_splitter s = ITEM_SPLITTER_INIT(100);
            struct heard h = {.text = ""};
            struct slice envelope;
            struct error err = ERROR_INIT;
            assert_ok(item_splitter_feed(&s, slice_sub(all, 0, cut), hear, &h, &err), &err);
            assert_ok(item_splitter_feed(&s, slice_sub(all, cut, all.n), hear, &h, &err), &err);
            assert_ok(item_splitter_end(&s, &envelope, &err), &err);
            assert_string_equal(h.text, lists[i].items);
            assert_true(slice_eq_str(envelope, lists[i].envelope));
            item_splitter_destroy(&s);
        }
    }
}

static void test_items_refuse_what_is_no_list(void **state UNUSED)
{
    static const struct {
        const char *name, *text, *what;
        enum error_code code;
    } rows[] = {
        {"a number as item", "{\"items\":[1]}", "no object", ERR_CORRUPT},
        {"a string as item", "{\"items\":[\"a\"]}", "no object", ERR_CORRUPT},
        {"cut in an item", "{\"items\":[{\"a\"", "ends in the middle", ERR_CORRUPT},
        {"cut behind the items", "{\"items\":[{}]", "ends in the middle", ERR_CORRUPT},
        {"nothing", "", "ends in the middle", ERR_CORRUPT},
        {"closed too often", "}", "more brackets", ERR_CORRUPT},
        {"a long item", "{\"items\":[{\"a\":\"0123456789012345678901234567890123456789\"}]}",
         "an item of the list is longer than 40", ERR_LIMIT},
        {"a long envelope", "{\"a\":\"0123456789012345678901234567890123456789\"}",
         "around the items is longer than 40", ERR_LIMIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct item_splitter s = ITEM_SPLITTER_INIT(40);
        struct heard h = {.text = ""};
        struct slice envelope;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        int rc = item_splitter_feed(&s, slice_of_str(rows[i].text), hear, &h, &err);
        if (rc == 0)
            rc = item_splitter_end(&s, &envelope, &err);
        assert_error(rc, &err, rows[i].code, rows[i].what);
        item_splitter_destroy(&s);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_lines_are_the_same_wherever_the_stream_is_cut),
        TEST(test_lines_longer_than_the_maximum_are_refused),
        TEST(test_lines_stop_where_the_reader_refuses),
        TEST(test_items_are_the_same_wherever_the_list_is_cut),
        TEST(test_items_refuse_what_is_no_list),
    };
    return TEST_MAIN(tests);
}
