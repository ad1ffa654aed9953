/*
 * The HTTP client: what is sent and what comes back, whole or broken. The server is http_peer.h.
 */
#include "lib/http/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testing/http_fixture.h"
#include "lib/testing/test.h"

/* ---- answers ---- */

static void test_get_returns_status_body_and_headers(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f, .want_header = "X-TEST"};
    http_outcome_get(&o, "/hello");
    assert_int_equal(o.err.code, ERR_NONE);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.body, "hello");
    assert_string_equal(o.header, "last");
    assert_int_equal(o.received_bytes, 5);
    http_fixture_drop(&f);
}

static void test_answers_come_as_they_are(void **state UNUSED)
{
    static const struct {
        const char *path;
        int status;
        const char *body, *header_name, *header;
    } rows[] = {
        {"/chunked", 200, "abcdefg", "Transfer-Encoding", "chunked"},
        {"/redirect", 302, "gone", "location", "/hello"},
        {"/refused", 403, "forbidden", "Nothing", "(none)"},
        {"/interim", 200, "", "X-Early", "(none)"},
        {"/headers/98", 200, "", "x-number-97", "97"},
    };
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_outcome o = {.f = &f, .want_header = rows[i].header_name};
        test_row(rows[i].path);
        http_outcome_get(&o, rows[i].path);
        assert_ok(o.err.code == ERR_NONE ? 0 : -1, &o.err);
        assert_int_equal(o.status, rows[i].status);
        assert_string_equal(o.body, rows[i].body);
        assert_string_equal(o.header, rows[i].header);
    }
    assert_int_equal(atomic_load(&f.peer.accepted), 1); /* the connection is kept */
    http_fixture_drop(&f);
}

static void test_broken_answers_are_errors_with_a_code(void **state UNUSED)
{
    static const struct {
        const char *path;
        enum error_code code;
        const char *text;
    } rows[] = {
        {"/truncated", ERR_UNAVAILABLE, "/truncated: "},
        {"/truncated-chunk", ERR_UNAVAILABLE, "/truncated-chunk: "},
        {"/half-head", ERR_UNAVAILABLE, "/half-head: the answer ended among its headers"},
        {"/garbage", ERR_UNAVAILABLE, "GET http://127.0.0.1:"},
        {"/closed", ERR_UNAVAILABLE, "Empty reply"},
        {"/headers/200", ERR_LIMIT, "more than 100 headers"},
        {"/big/1048577", ERR_LIMIT, "larger than 1048576 bytes"},
    };
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_outcome o = {.f = &f};
        test_row(rows[i].path);
        http_outcome_get(&o, rows[i].path);
        assert_error(o.err.code == ERR_NONE ? 0 : -1, &o.err, rows[i].code, rows[i].text);
    }
    http_fixture_drop(&f);
}

static void test_only_the_beginning_of_a_long_refusal_is_kept(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    http_outcome_perform(&o, &(struct http_request){.method = "GET",
                                                    .url = http_fixture_url(&f, "/bad/5000000"),
                                                    .body_bytes_max = 10});
    assert_ok(o.err.code == ERR_NONE ? 0 : -1, &o.err);
    assert_int_equal(o.status, 500);
    assert_int_equal(o.body_bytes, HTTP_ERROR_BODY_BYTES_MAX);
    http_fixture_drop(&f);
}

static void test_head_has_headers_and_no_body(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f, .want_header = "content-length"};
    http_outcome_perform(
        &o, &(struct http_request){.method = "HEAD", .url = http_fixture_url(&f, "/head")});
    assert_int_equal(o.status, 200);
    assert_string_equal(o.header, "12345");
    assert_int_equal(o.body_bytes, 0);
    http_fixture_drop(&f);
}

/* ---- requests ---- */

static void test_the_request_is_what_was_asked_for(void **state UNUSED)
{
    struct http_fixture f;
    const struct http_header headers[] = {{"X-One", "1"}, {"X-Empty", ""}, {"Host", "example"}};
    http_fixture_make(&f, &(struct http_client_config){.user_agent = "test/1"});
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(4096);
    struct error err = ERROR_INIT;
    int status = 0;
    assert_ok(http_wait(f.client,
                        &(struct http_request){.method = "DELETE",
                                               .url = http_fixture_url(&f, "/request"),
                                               .headers = headers,
                                               .header_count = ARRAY_LEN(headers)},
                        &status, &body, &err),
              &err);
    assert_int_equal(status, 200);
    assert_ptr_equal(strstr(buf_str(&body), "DELETE /request HTTP/1.1\r\n"), body.p);
    assert_non_null(strstr(buf_str(&body), "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(buf_str(&body), "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(buf_str(&body), "\r\nHost: example\r\n"));
    assert_non_null(strstr(buf_str(&body), "\r\nUser-Agent: test/1\r\n"));
    assert_null(strcasestr(buf_str(&body), "Expect"));
    assert_null(strcasestr(buf_str(&body), "Accept-Encoding"));
    http_fixture_drop(&f);
}

static void test_paths_are_sent_as_they_are_written(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    http_outcome_get(&o, "/nothing/../request");
    assert_ptr_equal(strstr(o.body, "GET /nothing/../request "), o.body);
    http_fixture_drop(&f);
}

static void test_what_cannot_be_sent_is_refused_at_once(void **state UNUSED)
{
    static const struct http_header bad_header = {"X-A", "1\r\nX-B: 2"};
    const struct {
        const char *name;
        struct http_request req;
        const char *text;
    } rows[] = {
        {"no url", {.method = "GET", .url = "nothing"}, "GET nothing"},
        {"other protocol",
         {.method = "GET", .url = "file:///etc/passwd"},
         "neither http nor https"},
        {"gopher", {.method = "GET", .url = "gopher://127.0.0.1/"}, "neither http nor https"},
        {"method", {.method = "GET /x", .url = "http://a/"}, "not an HTTP method"},
        {"header",
         {.method = "GET", .url = "http://a/", .headers = &bad_header, .header_count = 1},
         "header \"X-A\""},
    };
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        assert_error(http_start(f.client, &rows[i].req, http_outcome_on_done, NULL, NULL, &err),
                     &err, ERR_USAGE, rows[i].text);
    }
    http_fixture_drop(&f);
}

static void test_bodies_of_any_size_arrive_whole(void **state UNUSED)
{
    static const size_t sizes[] = {0, 1, 65536, 3000000};
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = sizes[i];
        CLEANUP(mem_free) uint8_t *p = malloc(n + 1);
        CLEANUP(buf_destroy) struct buf echo = BUF_INIT(4000000);
        struct error err = ERROR_INIT;
        int status = 0;
        for (size_t j = 0; j < n; j++)
            p[j] = (uint8_t)(j * 7 + j / 256);
        assert_ok(http_wait(f.client,
                            &(struct http_request){.method = "PUT",
                                                   .url = http_fixture_url(&f, "/echo"),
                                                   .has_body = true,
                                                   .body_slice = slice_of(p, n)},
                            &status, &echo, &err),
                  &err);
        assert_int_equal(status, 200);
        assert_int_equal(echo.n, n);
        assert_true(n == 0 || memcmp(echo.p, p, n) == 0);
    }
    http_fixture_drop(&f);
}

static void test_a_part_of_a_blob_is_sent(void **state UNUSED)
{
    struct http_fixture f;
    struct error err = ERROR_INIT;
    http_fixture_make(&f, NULL);
    CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
    assert_ok(blob_of_slice(env_real(), SLICE_LIT("0123456789"), &blob, &err), &err);
    struct http_outcome o = {.f = &f};
    http_outcome_perform(&o, &(struct http_request){.method = "POST",
                                                    .url = http_fixture_url(&f, "/echo"),
                                                    .has_body = true,
                                                    .body_blob = &blob,
                                                    .body_offset = 3,
                                                    .body_bytes = 4});
    assert_string_equal(o.body, "3456");
    assert_int_equal(o.sent_bytes, 4);
    http_fixture_drop(&f);
}

static void test_a_dead_kept_connection_is_replaced_and_the_body_sent_again(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    for (int i = 0; i < 3; i++) {
        struct http_outcome hello = {.f = &f};
        struct http_outcome o = {.f = &f};
        http_outcome_get(&hello,
                         "/hello-and-bye"); /* keeps alive by its words, closes all the same */
        assert_int_equal(hello.status, 200);
        http_outcome_perform(&o, &(struct http_request){.method = "PUT",
                                                        .url = http_fixture_url(&f, "/echo"),
                                                        .has_body = true,
                                                        .body_slice = SLICE_LIT("again")});
        assert_ok(o.err.code == ERR_NONE ? 0 : -1, &o.err);
        assert_string_equal(o.body, "again");
    }
    http_fixture_drop(&f);
}

/* ---- data as it comes ---- */

static int on_data(void *arg, struct slice chunk, struct error *err)
{
    struct http_outcome *o = arg;
    o->body_bytes += chunk.n;
    if (o->refuses_data)
        return error_set(err, ERR_CORRUPT, 0, "not a page");
    return 0;
}

static void on_data_done(void *arg, const struct http_response *response)
{
    struct http_outcome *o = arg;
    size_t streamed = o->body_bytes;
    http_outcome_on_done(arg, response);
    assert_int_equal(response->body.n, 0);
    o->body_bytes = streamed;
}

static void stream(struct http_outcome *o, const char *path)
{
    struct error err = ERROR_INIT;
    const struct http_request req = {.method = "GET",
                                     .url = http_fixture_url(o->f, path),
                                     .on_data = on_data,
                                     .body_bytes_max = 1};
    assert_ok(http_start(o->f->client, &req, on_data_done, o, NULL, &err), &err);
    assert_true(loop_run_until(o->f->loop, &o->is_done));
}

static void test_large_answers_are_streamed(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    stream(&o, "/big/20000000");
    assert_ok(o.err.code == ERR_NONE ? 0 : -1, &o.err);
    assert_int_equal(o.body_bytes, 20000000);
    assert_int_equal(o.received_bytes, 20000000);
    http_fixture_drop(&f);
}

static void test_a_refusal_is_not_streamed(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    struct error err = ERROR_INIT;
    const struct http_request req = {
        .method = "GET", .url = http_fixture_url(&f, "/refused"), .on_data = on_data};
    assert_ok(http_start(f.client, &req, http_outcome_on_done, &o, NULL, &err), &err);
    assert_true(loop_run_until(f.loop, &o.is_done));
    assert_int_equal(o.status, 403);
    assert_string_equal(o.body, "forbidden");
    http_fixture_drop(&f);
}

static void test_the_receiver_can_refuse_data(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f, .refuses_data = true};
    stream(&o, "/big/1000");
    assert_error(-1, &o.err, ERR_CORRUPT, "/big/1000: not a page");
    http_fixture_drop(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_get_returns_status_body_and_headers),
        TEST(test_answers_come_as_they_are),
        TEST(test_broken_answers_are_errors_with_a_code),
        TEST(test_only_the_beginning_of_a_long_refusal_is_kept),
        TEST(test_head_has_headers_and_no_body),
        TEST(test_the_request_is_what_was_asked_for),
        TEST(test_paths_are_sent_as_they_are_written),
        TEST(test_what_cannot_be_sent_is_refused_at_once),
        TEST(test_bodies_of_any_size_arrive_whole),
        TEST(test_a_part_of_a_blob_is_sent),
        TEST(test_a_dead_kept_connection_is_replaced_and_the_body_sent_again),
        TEST(test_large_answers_are_streamed),
        TEST(test_a_refusal_is_not_streamed),
        TEST(test_the_receiver_can_refuse_data),
    };
    return TEST_MAIN(tests);
}
