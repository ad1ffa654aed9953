/*
 * Heads of requests: what is understood, and what is refused with which status.
 */
#include "lib/http/server_request.h"

#include <stdlib.h>

#include "lib/testing/test.h"

enum {
    HEAD_BYTES_MAX = 8192
};

/* Finds and parses a head; *out points into bytes. */
static int parse(char *bytes, struct http_head *out, struct error *err)
{
    size_t at = 0;
    int64_t end = http_head_find_end(slice_of_str(bytes), &at);

    if (end <= 0)
        return error_set(err, ERR_CORRUPT, 400, "no end of the head");
    return http_head_parse(bytes, (size_t)end, out, err);
}

static const struct good_row {
    const char *name, *bytes;
    const char *method, *path, *query;
    uint64_t body_bytes;
    bool keeps_alive, wants_continue;
} good_rows[] = {
    {"plain", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/", "", 0, true, false},
    {"query", "GET /a/b?c=d&e HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/a/b", "c=d&e", 0, true, false},
    {"escapes", "GET /%41%2f%e2%82%AC HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/A/\xe2\x82\xac", "", 0,
     true, false},
    {"version 1.0", "GET /x HTTP/1.0\r\n\r\n", "GET", "/x", "", 0, false, false},
    {"version 1.0 kept", "GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/x", "", 0,
     true, false},
    {"closing", "GET /x HTTP/1.1\r\nHost: x\r\nConnection: foo , Close\r\n\r\n", "GET", "/x", "", 0,
     false, false},
    {"body", "POST /x HTTP/1.1\r\nhOST:x\r\nContent-Length: 012\r\n\r\n", "POST", "/x", "", 12,
     true, false},
    {"continue", "PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length:5\t\r\nExpect: 100-Continue\r\n\r\n",
     "PUT", "/x", "", 5, true, true},
    {"absolute form", "GET http://pod:1/x?y HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/x", "y", 0, true,
     false},
    {"absolute form without path", "GET HTTPS://pod HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/", "", 0,
     true, false},
    {"empty line before", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/", "", 0, true, false},
    {"dots are names", "GET /../a//b HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "/../a//b", "", 0, true,
     false},
};

static void test_well_formed_heads_are_understood(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(good_rows); i++) {
        const struct good_row *row = &good_rows[i];
        struct error err = ERROR_INIT;
        struct http_head head;
        CLEANUP(mem_free) char *bytes = str_dup(row->bytes, &err);
        test_row(row->name);
        assert_ok(parse(bytes, &head, &err), &err);
        assert_string_equal(head.method, row->method);
        assert_string_equal(head.path, row->path);
        assert_string_equal(head.query, row->query);
        assert_int_equal(head.body_bytes, row->body_bytes);
        assert_int_equal(head.keeps_alive, row->keeps_alive);
        assert_int_equal(head.wants_continue, row->wants_continue);
    }
}

static const struct bad_row {
    const char *name, *bytes;
    int status;
    const char *text;
} bad_rows[] = {
    {"no target", "GET\r\n\r\n", 400, "not METHOD target version"},
    {"no version", "GET /\r\n\r\n", 400, "not METHOD target version"},
    {"two spaces", "GET  / HTTP/1.1\r\n\r\n", 400, "version"},
    {"odd method", "G(T / HTTP/1.1\r\n\r\n", 400, "not a token"},
    {"other protocol", "GET / SIP/2.0\r\n\r\n", 400, "version"},
    {"HTTP/2", "GET / HTTP/2.0\r\n\r\n", 505, "HTTP/1.1"},
    {"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\n", 505, "HTTP/1.1"},
    {"version with a tail", "GET / HTTP/1.1 x\r\n\r\n", 505, "HTTP/1.1"},
    {"relative path", "GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "absolute path"},
    {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "absolute path"},
    {"authority", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "absolute path"},
    {"escape cut", "GET /%4 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad escape"},
    {"escape not hex", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad escape"},
    {"escape of zero", "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad escape"},
    {"control in path", "GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad escape"},
    {"no host", "GET / HTTP/1.1\r\n\r\n", 400, "one Host"},
    {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "one Host"},
    {"no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", 400, "no colon"},
    {"space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "not a token"},
    {"no name", "GET / HTTP/1.1\r\n: a\r\n\r\n", 400, "not a token"},
    {"continued line", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400, "continued"},
    {"carriage return in value", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400, "control character"},
    {"bare line feed", "GET / HTTP/1.1\nHost: a\n\n", 400, "no end"},
    {"empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no end"},
    {"negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400,
     "not a number"},
    {"signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n", 400,
     "not a number"},
    {"list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\n", 400,
     "not a number"},
    {"empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", 400, "empty"},
    {"huge length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
     400, "64 bits"},
    {"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
     400, "more than one"},
    {"chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 411,
     "Content-Length"},
    {"both lengths",
     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "both"},
    {"other coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "gzip"},
    {"expectation", "GET / HTTP/1.1\r\nHost: x\r\nExpect: miracle\r\n\r\n", 417, "miracle"},
};

static void test_other_heads_are_refused_with_their_status(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
        const struct bad_row *row = &bad_rows[i];
        struct error err = ERROR_INIT;
        struct http_head head;
        CLEANUP(mem_free) char *bytes = str_dup(row->bytes, &err);
        int rc = parse(bytes, &head, &err);
        test_row(row->name);
        assert_int_equal(rc, -1);
        assert_int_equal(err.origin, row->status);
        assert_non_null(strstr(err.text, row->text));
    }
}

static void test_a_head_of_too_many_headers_is_refused(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct http_head head;
    CLEANUP(buf_destroy) struct buf bytes = BUF_INIT(HEAD_BYTES_MAX);

    assert_ok(buf_append_str(&bytes, "GET / HTTP/1.1\r\n", &err), &err);
    for (int i = 0; i <= HTTP_HEAD_HEADERS_MAX; i++)
        assert_ok(buf_printf(&bytes, &err, "h%d: x\r\n", i), &err);
    assert_ok(buf_append_str(&bytes, "\r\n", &err), &err);
    assert_int_equal(parse((char *)bytes.p, &head, &err), -1);
    assert_int_equal(err.origin, 431);
}

static void test_the_end_of_a_head_is_found_byte_by_byte(void **state UNUSED)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nbody";
    size_t at = 0;

    for (size_t n = 0; n < 27; n++)
        assert_int_equal(http_head_find_end(slice_of(text, n), &at), 0);
    assert_int_equal(http_head_find_end(slice_of(text, sizeof(text) - 1), &at), 27);
    at = 0;
    assert_int_equal(http_head_find_end(slice_of("GET\0", 4), &at), -1);
}

static void test_headers_are_found_whatever_their_case(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct http_head head;
    CLEANUP(mem_free)
    char *bytes = str_dup("GET / HTTP/1.1\r\nHost:  a b \t\r\nX-Empty:\r\n\r\n", &err);

    assert_ok(parse(bytes, &head, &err), &err);
    assert_string_equal(http_head_header(&head, "HOST"), "a b");
    assert_string_equal(http_head_header(&head, "x-empty"), "");
    assert_null(http_head_header(&head, "X"));
}

static void test_parameters_are_decoded(void **state UNUSED)
{
    static const struct {
        const char *query, *value;
        int rc;
    } rows[] = {
        {"path=%2fdata%2Fapp.db", "/data/app.db", 1},
        {"a=1&path=x+y&path=z", "x y", 1},
        {"path", "", 1},
        {"path=&b", "", 1},
        {"apath=1&b=path", "", 0},
        {"", "", 0},
        {"path=%", "", -1},
        {"path=%4", "", -1},
        {"path=%4&x", "", -1},
        {"path=%00", "", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(buf_destroy) struct buf value = BUF_INIT(64);
        test_row(rows[i].query);
        assert_int_equal(http_query_param(rows[i].query, "path", &value, &err), rows[i].rc);
        if (rows[i].rc >= 0)
            assert_string_equal(buf_str(&value), rows[i].value);
    }
}

static void test_a_long_parameter_is_an_error(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf value = BUF_INIT(3);

    assert_error(http_query_param("path=abcd", "path", &value, &err), &err, ERR_LIMIT, "path");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_well_formed_heads_are_understood),
        TEST(test_other_heads_are_refused_with_their_status),
        TEST(test_a_head_of_too_many_headers_is_refused),
        TEST(test_the_end_of_a_head_is_found_byte_by_byte),
        TEST(test_headers_are_found_whatever_their_case),
        TEST(test_parameters_are_decoded),
        TEST(test_a_long_parameter_is_an_error),
    };
    return TEST_MAIN(tests);
}
