/*
 * The HTTP client in time: deadlines, stalls, cancel, kept connections, ways to the server.
 */
#include <stdio.h>
#include <string.h>

#include "lib/http/client.h"
#include "lib/testing/http_fixture.h"
#include "lib/testing/sleepy_env.h"
#include "lib/testing/test.h"

/* ---- time and cancel ---- */

static void test_silence_ends_at_the_deadline(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    http_outcome_perform(
        &o, &(struct http_request){.method = "GET",
                                   .url = http_fixture_url(&f, "/silence?X-Amz-Signature=secret"),
                                   .deadline_ns = 50 * NS_PER_MS});
    assert_error(-1, &o.err, ERR_TIMEOUT, "/silence: not done within 50ms");
    assert_null(strstr(o.err.text, "secret"));
    assert_int_equal(o.status, 0);
    http_fixture_drop(&f);
}

/* Begun in time, the connection made after the machine had slept: the request is not for then. */
static void test_a_request_is_not_sent_after_a_sleep_beyond_its_deadline(void **state UNUSED)
{
    static const struct {
        uint64_t slept_ns;
        enum error_code code;
    } rows[] = {{9 * NS_PER_SEC, ERR_NONE}, {2 * NS_PER_MIN, ERR_TIMEOUT}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_fixture f;
        http_fixture_make(&f, NULL);
        struct http_outcome o = {.f = &f};
        (void)http_outcome_begin(&o, &(struct http_request){.method = "GET",
                                                            .url = http_fixture_url(&f, "/hello"),
                                                            .deadline_ns = NS_PER_MIN});
        sleepy_sleep(rows[i].slept_ns);
        assert_true(loop_run_until(f.loop, &o.is_done));
        assert_int_equal(o.err.code, rows[i].code);
        assert_int_equal(f.peer.requests, rows[i].code == ERR_NONE);
        if (rows[i].code != ERR_NONE)
            assert_error(-1, &o.err, ERR_TIMEOUT, "/hello: not sent within 1m");
        http_fixture_drop(&f);
    }
}

static void test_an_answer_that_stops_coming_is_a_stall(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    http_outcome_perform(&o, &(struct http_request){.method = "GET",
                                                    .url = http_fixture_url(&f, "/stall"),
                                                    .stall_ns = 60 * NS_PER_MS});
    assert_error(-1, &o.err, ERR_TIMEOUT, "/stall: no byte for 60ms");
    http_fixture_drop(&f);
}

static void test_a_slow_answer_is_no_stall(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    http_outcome_perform(&o, &(struct http_request){.method = "GET",
                                                    .url = http_fixture_url(&f, "/drip/120"),
                                                    .stall_ns = NS_PER_SEC});
    assert_ok(o.err.code == ERR_NONE ? 0 : -1, &o.err);
    assert_int_equal(o.body_bytes, 120);
    http_fixture_drop(&f);
}

static void test_the_deadline_holds_also_while_waiting_for_a_connection(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, &(struct http_client_config){.connections_max = 1});
    struct http_outcome first = {.f = &f};
    struct http_outcome second = {.f = &f};
    char url[512];
    (void)snprintf(url, sizeof(url), "%s", http_fixture_url(&f, "/silence"));
    struct http_exchange *x =
        http_outcome_begin(&first, &(struct http_request){.method = "GET", .url = url});
    http_outcome_perform(&second, &(struct http_request){
                                      .method = "GET", .url = url, .deadline_ns = 60 * NS_PER_MS});
    assert_int_equal(second.err.code, ERR_TIMEOUT);
    assert_false(first.is_done);
    http_cancel(x);
    assert_true(loop_run_until(f.loop, &first.is_done));
    assert_true(atomic_load(&f.peer.accepted) <= 1);
    http_fixture_drop(&f);
}

static void test_cancel_never_calls_done_inside(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome early = {.f = &f};
    struct http_outcome late = {.f = &f};
    struct http_outcome drip = {.f = &f};
    const struct http_request req = {.method = "GET", .url = http_fixture_url(&f, "/silence")};
    struct http_exchange *x = http_outcome_begin(&early, &req);
    http_cancel(x); /* before libcurl has heard of it */
    http_cancel(x);
    assert_false(early.is_done);
    struct http_exchange *y = http_outcome_begin(&late, &req);
    http_outcome_get(&drip, "/drip/5"); /* so that y is under way */
    assert_true(early.is_done);
    assert_int_equal(early.err.code, ERR_CANCELED);
    http_cancel(y);
    assert_false(late.is_done);
    assert_true(loop_run_until(f.loop, &late.is_done));
    assert_error(-1, &late.err, ERR_CANCELED, "/silence: canceled");
    assert_int_equal(early.calls + late.calls, 2);
    http_fixture_drop(&f);
}

static int on_data(void *arg, struct slice chunk UNUSED, struct error *err UNUSED)
{
    const struct http_outcome *o = arg;
    http_cancel(o->cancel);
    return 0;
}

static void test_cancel_is_safe_inside_every_callback(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome data = {.f = &f};
    struct error err = ERROR_INIT;
    const struct http_request big = {
        .method = "GET", .url = http_fixture_url(&f, "/big/1000000"), .on_data = on_data};
    /* Cancels itself in on_data, and again in its done. */
    assert_ok(http_start(f.client, &big, http_outcome_on_done, &data, &data.cancel, &err), &err);
    assert_true(loop_run_until(f.loop, &data.is_done));
    assert_int_equal(data.err.code, ERR_CANCELED);
    assert_int_equal(data.calls, 1);
    struct http_outcome other = {.f = &f};
    struct http_exchange *x = http_outcome_begin(
        &other, &(struct http_request){.method = "GET", .url = http_fixture_url(&f, "/silence")});
    struct http_outcome o = {.f = &f, .cancel = x};
    http_outcome_get(&o, "/hello");
    assert_true(loop_run_until(f.loop, &other.is_done));
    assert_int_equal(other.err.code, ERR_CANCELED);
    http_fixture_drop(&f);
}

static void test_done_may_start_the_next_request(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome second = {.f = &f};
    struct http_outcome first = {.f = &f, .then = &second, .then_path = "/chunked"};
    http_outcome_get(&first, "/hello");
    assert_true(loop_run_until(f.loop, &second.is_done));
    assert_string_equal(second.body, "abcdefg");
    assert_int_equal(atomic_load(&f.peer.accepted), 1);
    http_fixture_drop(&f);
}

static void test_freeing_the_client_cancels_what_is_under_way(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome waiting = {.f = &f};
    struct http_outcome running = {.f = &f};
    struct http_outcome drip = {.f = &f};
    const struct http_request req = {.method = "GET", .url = http_fixture_url(&f, "/silence")};
    (void)http_outcome_begin(&running, &req);
    http_outcome_get(&drip, "/drip/5");
    (void)http_outcome_begin(&waiting, &req);
    http_client_free(f.client);
    f.client = NULL;
    assert_int_equal(running.err.code, ERR_CANCELED);
    assert_int_equal(waiting.err.code, ERR_CANCELED);
    http_fixture_drop(&f);
}

/* ---- connections ---- */

static void test_connections_are_kept_and_bounded(void **state UNUSED)
{
    enum {
        COUNT = 40
    };
    struct http_fixture f;
    http_fixture_make(&f, &(struct http_client_config){.connections_max = 3});
    struct http_outcome o[COUNT] = {{.f = &f}};
    for (size_t i = 0; i < COUNT; i++) {
        o[i].f = &f;
        (void)http_outcome_begin(
            &o[i], &(struct http_request){.method = "GET", .url = http_fixture_url(&f, "/hello")});
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(loop_run_until(f.loop, &o[i].is_done));
        assert_int_equal(o[i].status, 200);
    }
    assert_true(atomic_load(&f.peer.accepted) <= 3);
    assert_int_equal(atomic_load(&f.peer.requests), COUNT);
    loop_run(f.loop); /* idle connections do not keep the loop running */
    http_fixture_drop(&f);
}

static void test_requests_that_may_share_do_not_wait_for_one_that_never_ends(void **state UNUSED)
{
    enum {
        COUNT = 3
    };
    struct http_fixture f;
    http_fixture_make(&f, &(struct http_client_config){.shares_connection = true});
    struct http_outcome watch = {.f = &f};
    struct http_outcome o[COUNT] = {{.f = &f}};
    struct http_exchange *x = http_outcome_begin(
        &watch, &(struct http_request){.method = "GET", .url = http_fixture_url(&f, "/silence")});
    for (size_t i = 0; i < COUNT; i++) {
        o[i].f = &f;
        (void)http_outcome_begin(&o[i],
                                 &(struct http_request){.method = "GET",
                                                        .url = http_fixture_url(&f, "/hello"),
                                                        .deadline_ns = 10 * NS_PER_SEC});
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(loop_run_until(f.loop, &o[i].is_done));
        assert_ok(o[i].err.code == ERR_NONE ? 0 : -1, &o[i].err);
        assert_int_equal(o[i].status, 200);
    }
    assert_false(watch.is_done);
    http_cancel(x);
    assert_true(loop_run_until(f.loop, &watch.is_done));
    http_fixture_drop(&f);
}

static void test_a_refused_connection_is_unavailable(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    (void)http_fixture_url(&f, "/hello?signature=secret");
    http_peer_stop(&f.peer);
    http_outcome_perform(&o, &(struct http_request){.method = "GET", .url = f.url});
    assert_error(-1, &o.err, ERR_UNAVAILABLE, "/hello: ");
    assert_null(strstr(o.err.text, "secret"));
    assert_int_equal(o.status, 0);
    http_client_free(f.client);
    loop_free(f.loop);
}

static void test_an_unknown_host_is_unavailable(void **state UNUSED)
{
    struct http_fixture f;
    http_fixture_make(&f, NULL);
    struct http_outcome o = {.f = &f};
    http_outcome_perform(
        &o, &(struct http_request){.method = "GET", .url = "http://nowhere.invalid/x"});
    assert_error(-1, &o.err, ERR_UNAVAILABLE, "nowhere.invalid");
    http_fixture_drop(&f);
}

static void test_a_unix_socket_can_be_the_way(void **state UNUSED)
{
    char folder[256];
    char path[300];
    struct http_peer unix_peer;
    struct http_fixture f;

    http_fixture_make(&f, NULL);
    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/socket", folder);
    http_peer_start_unix(&unix_peer, path);
    struct http_outcome o = {.f = &f};
    http_outcome_perform(&o, &(struct http_request){.method = "GET",
                                                    .url = "http://walferry/hello",
                                                    .unix_socket = path});
    assert_ok(o.err.code == ERR_NONE ? 0 : -1, &o.err);
    assert_string_equal(o.body, "hello");
    http_fixture_drop(&f);
    http_peer_stop(&unix_peer);
    test_folder_remove(folder);
}

static void test_a_missing_ca_file_is_named(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct loop *loop = NULL;
    struct http_client *client = NULL;
    assert_ok(loop_new(env_real(), 1, &loop, &err), &err);
    assert_error(http_client_new(loop, &(struct http_client_config){.ca_file = "/nowhere/ca.pem"},
                                 &client, &err),
                 &err, ERR_USAGE, "CA file /nowhere/ca.pem");
    assert_error(http_client_new(loop, &(struct http_client_config){.ca_file = "/etc/passwd"},
                                 &client, &err),
                 &err, ERR_USAGE, "CA file /etc/passwd");
    assert_non_null(strstr(err.hint, "PEM"));
    assert_null(client);
    loop_free(loop);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_silence_ends_at_the_deadline),
        TEST(test_a_request_is_not_sent_after_a_sleep_beyond_its_deadline),
        TEST(test_an_answer_that_stops_coming_is_a_stall),
        TEST(test_a_slow_answer_is_no_stall),
        TEST(test_the_deadline_holds_also_while_waiting_for_a_connection),
        TEST(test_cancel_never_calls_done_inside),
        TEST(test_cancel_is_safe_inside_every_callback),
        TEST(test_done_may_start_the_next_request),
        TEST(test_freeing_the_client_cancels_what_is_under_way),
        TEST(test_connections_are_kept_and_bounded),
        TEST(test_requests_that_may_share_do_not_wait_for_one_that_never_ends),
        TEST(test_a_refused_connection_is_unavailable),
        TEST(test_an_unknown_host_is_unavailable),
        TEST(test_a_unix_socket_can_be_the_way),
        TEST(test_a_missing_ca_file_is_named),
    };
    return TEST_MAIN(tests);
}
