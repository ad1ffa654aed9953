/*
 * The quirk proxy in front of the server of http_peer.h: what passes is untouched, each quirk does
 * what its name says, and counts say what happened.
 */
#include "lib/testing/quirk_proxy.h"

#include <stdio.h>
#include <string.h>

#include "lib/testing/http_fixture.h"
#include "lib/testing/test.h"

static struct http_fixture fixture;
static struct quirk_proxy proxy;

static int setup(void **state UNUSED)
{
    http_fixture_make(&fixture, NULL);
    quirk_proxy_start(&proxy, fixture.peer.port);
    return 0;
}

static int teardown(void **state UNUSED)
{
    quirk_proxy_stop(&proxy);
    http_fixture_drop(&fixture);
    return 0;
}

static struct http_outcome ask(const char *method, const char *path, const char *body)
{
    struct http_outcome o = {.f = &fixture};
    char url[128];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", proxy.port, path);
    http_outcome_perform(&o, &(struct http_request){.method = method,
                                                    .url = url,
                                                    .body_slice = slice_of_str(body ? body : ""),
                                                    .has_body = body,
                                                    .deadline_ns = 20 * NS_PER_SEC});
    return o;
}

static void order(enum quirk quirk, uint64_t times)
{
    quirk_proxy_set(&proxy, &(struct quirk_rule){.quirk = quirk, .times = times});
}

static void test_what_passes_the_proxy_is_untouched(void **state UNUSED)
{
    struct http_outcome hello = ask("GET", "/hello", NULL);
    struct http_outcome echo = ask("PUT", "/echo", "a body of a request");
    struct http_outcome chunked = ask("GET", "/chunked", NULL);
    struct http_outcome interim = ask("GET", "/interim", NULL);
    struct http_outcome head = ask("HEAD", "/head", NULL);
    struct http_outcome big = ask("GET", "/big/300000", NULL);

    assert_string_equal(hello.body, "hello");
    assert_string_equal(echo.body, "a body of a request");
    assert_string_equal(chunked.body, "abcdefg");
    assert_int_equal(interim.status, 200);
    assert_int_equal(head.status, 200);
    assert_int_equal(head.err.code, ERR_NONE);
    assert_int_equal(big.body_bytes, 300000);
    assert_int_equal(quirk_proxy_requests(&proxy), 6);
    assert_int_equal(quirk_proxy_suffered(&proxy), 0);
}

static void test_refusals_do_not_reach_the_store(void **state UNUSED)
{
    static const struct {
        enum quirk quirk;
        int status;
        const char *part;
    } rows[] = {
        {QUIRK_UNAVAILABLE, 503, "<Code>SlowDown</Code>"},
        {QUIRK_THROTTLE, 429, "<Code>TooManyRequests</Code>"},
        {QUIRK_BROKEN, 500, "<Code>InternalError</Code>"},
        {QUIRK_OK_ERROR, 200, "<Error><Code>InternalError</Code>"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(quirk_name(rows[i].quirk));
        order(rows[i].quirk, 1);
        struct http_outcome refused = ask("GET", "/hello", NULL);
        assert_int_equal(refused.status, rows[i].status);
        assert_non_null(strstr(refused.body, rows[i].part));
        assert_int_equal(atomic_load(&fixture.peer.requests), i);
        struct http_outcome passed = ask("GET", "/hello", NULL);
        assert_string_equal(passed.body, "hello");
    }
}

static void test_answers_are_cut_after_the_store_has_done_it(void **state UNUSED)
{
    static const enum quirk quirks[] = {QUIRK_RESET_ANSWER, QUIRK_TRUNCATE, QUIRK_LOSE_ANSWER};

    for (size_t i = 0; i < ARRAY_LEN(quirks); i++) {
        test_row(quirk_name(quirks[i]));
        order(quirks[i], 1);
        struct http_outcome o = ask("GET", "/big/100000", NULL);
        assert_int_equal(o.err.code, ERR_UNAVAILABLE);
        assert_int_equal(atomic_load(&fixture.peer.requests), i + 1);
    }
}

static void test_a_reset_request_reaches_the_store_in_part(void **state UNUSED)
{
    order(QUIRK_RESET_REQUEST, 1);
    struct http_outcome o = ask("PUT", "/echo", "twenty bytes of body");

    assert_int_equal(o.err.code, ERR_UNAVAILABLE);
    assert_int_equal(atomic_load(&fixture.peer.requests), 0); /* it never had a whole one */
}

static void test_a_dripping_answer_arrives_whole(void **state UNUSED)
{
    order(QUIRK_DRIP, 1);
    struct http_outcome o = ask("GET", "/big/5000", NULL);

    assert_int_equal(o.err.code, ERR_NONE);
    assert_int_equal(o.body_bytes, 5000);
    assert_int_equal(quirk_proxy_suffered(&proxy), 1);
}

static void test_rules_choose_by_method_target_and_count(void **state UNUSED)
{
    const struct quirk_rule rule = {
        .quirk = QUIRK_UNAVAILABLE, .method = "PUT", .part = "/ec", .pass_count = 1, .times = 2};

    quirk_proxy_set(&proxy, &rule);
    assert_int_equal(ask("GET", "/hello", NULL).status, 200);
    assert_int_equal(ask("PUT", "/hello", "x").status, 200);
    assert_int_equal(ask("PUT", "/echo", "x").status, 200);
    assert_int_equal(ask("PUT", "/echo", "x").status, 503);
    assert_int_equal(ask("PUT", "/echo", "x").status, 503);
    assert_int_equal(ask("PUT", "/echo", "x").status, 200);
}

static void test_a_rule_can_spoil_each_third_request(void **state UNUSED)
{
    quirk_proxy_set(&proxy, &(struct quirk_rule){.quirk = QUIRK_BROKEN, .each = 3});
    for (unsigned i = 1; i <= 9; i++)
        assert_int_equal(ask("GET", "/hello", NULL).status, i % 3 == 0 ? 500 : 200);
}

static void test_the_nth_request_suffers_the_strike(void **state UNUSED)
{
    assert_int_equal(ask("GET", "/hello", NULL).status, 200);
    quirk_proxy_strike(&proxy, 2, QUIRK_BROKEN);
    assert_int_equal(ask("GET", "/hello", NULL).status, 200);
    assert_int_equal(ask("GET", "/hello", NULL).status, 500);
    assert_int_equal(ask("GET", "/hello", NULL).status, 200);
    assert_int_equal(quirk_proxy_requests(&proxy), 3);
    assert_int_equal(quirk_proxy_suffered(&proxy), 1);
}

static void test_a_chance_of_one_strikes_each_request(void **state UNUSED)
{
    quirk_proxy_chance(&proxy, 1, 7);
    for (unsigned i = 1; i <= 5; i++) {
        (void)ask("GET", "/hello", NULL);
        assert_int_equal(quirk_proxy_suffered(&proxy), i);
    }
    quirk_proxy_chance(&proxy, 0, 0);
    assert_int_equal(ask("GET", "/hello", NULL).status, 200);
}

static void test_names_of_quirks_lead_back_to_them(void **state UNUSED)
{
    for (unsigned q = 0; q < QUIRKS; q++)
        assert_int_equal(quirk_of_name(quirk_name((enum quirk)q)), q);
    assert_int_equal(quirk_of_name("no-such-quirk"), QUIRKS);
}

#define PROXY_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        PROXY_TEST(test_what_passes_the_proxy_is_untouched),
        PROXY_TEST(test_refusals_do_not_reach_the_store),
        PROXY_TEST(test_answers_are_cut_after_the_store_has_done_it),
        PROXY_TEST(test_a_reset_request_reaches_the_store_in_part),
        PROXY_TEST(test_a_dripping_answer_arrives_whole),
        PROXY_TEST(test_rules_choose_by_method_target_and_count),
        PROXY_TEST(test_a_rule_can_spoil_each_third_request),
        PROXY_TEST(test_the_nth_request_suffers_the_strike),
        PROXY_TEST(test_a_chance_of_one_strikes_each_request),
        TEST(test_names_of_quirks_lead_back_to_them),
    };
    return TEST_MAIN(tests);
}
