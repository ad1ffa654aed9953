/*
 * Listening to a sidecar whose answers the test gives: what is news, what is not, and when it is let
 * alone. Server and listeners are on one loop.
 */
#include "controller/replica/listen.h"

#include <stdio.h>
#include <string.h>

#include "lib/http/server.h"
#include "lib/testing/test.h"

#define V1 "0000000000000001.0000000000000001"
#define V2 "0000000000000001.0000000000000002"

struct scene {
    struct loop *loop;
    struct http_server *server;
    struct listeners *listeners;
    struct http_server_request *waiting; /* NULL: nobody */
    unsigned questions;
    unsigned long seconds; /* of the last question */
    unsigned long signs;   /* that it asks for */
    bool is_old;           /* the sidecar has no such path */
    bool is_asked;
    unsigned news;
    bool has_news;
    uint64_t delay_ns; /* of the last news */
    char resource[64];
    struct loop_timer patience;
};

static void on_changes(void *arg, struct http_server_request *request)
{
    struct scene *s = arg;

    CLEANUP(buf_destroy) struct buf seconds = BUF_INIT(16);
    CLEANUP(buf_destroy) struct buf signs = BUF_INIT(16);
    struct error err = ERROR_INIT;

    assert_int_equal(http_server_request_param(request, "seconds", &seconds, &err), 1);
    assert_int_equal(http_server_request_param(request, "signs", &signs, &err), 1);
    s->seconds = strtoul(buf_str(&seconds), NULL, 10);
    s->signs = strtoul(buf_str(&signs), NULL, 10);
    s->questions++;
    s->is_asked = true;
    if (s->is_old) {
        http_server_respond_text(request, 404, "no such path");
        return;
    }
    assert_null(s->waiting); /* one at a time */
    s->waiting = request;
}

static void on_news(void *arg, const char *resource, uint64_t delay_ns)
{
    struct scene *s = arg;

    s->news++;
    s->has_news = true;
    s->delay_ns = delay_ns;
    (void)snprintf(s->resource, sizeof(s->resource), "%s", resource);
}

static void on_impatience(void *arg UNUSED)
{
    fail_msg("waited in vain");
}

static void until(struct scene *s, bool *is_true)
{
    loop_timer_start(&s->patience, 60 * NS_PER_SEC);
    assert_true(loop_run_until(s->loop, is_true));
    loop_timer_stop(&s->patience);
    *is_true = false;
}

static void server_make(struct scene *s)
{
    static const struct http_route routes[] = {{"GET", "/status/changes", on_changes}};
    struct http_server_config config = {.listener_count = 1};
    struct error err = ERROR_INIT;

    config.listeners[0] = (struct http_listener){
        .address = "127.0.0.1", .routes = routes, .route_count = ARRAY_LEN(routes), .arg = s};
    assert_ok(http_server_new(s->loop, &config, &s->server, &err), &err);
}

static void scene_make_patient(struct scene *s, uint64_t wait_ns)
{
    struct error err = ERROR_INIT;

    *s = (struct scene){.waiting = NULL};
    assert_ok(loop_new(env_real(), 1, &s->loop, &err), &err);
    loop_timer_init(&s->patience, s->loop, on_impatience, s);
    server_make(s);
    assert_ok(listeners_new(s->loop, wait_ns, on_news, s, &s->listeners, &err), &err);
}

static void scene_make(struct scene *s)
{
    scene_make_patient(s, 15 * NS_PER_SEC);
}

static void scene_drop(struct scene *s)
{
    listeners_free(s->listeners);
    http_server_free(s->server);
    if (s->waiting)
        http_server_respond_text(TAKE(s->waiting), 503, "ending");
    loop_run(s->loop);
    loop_free(s->loop);
}

static bool hear(struct scene *s, const char *version)
{
    return listen_to(s->listeners, &(struct listen_pod){.key = "shop/app-0",
                                                        .resource = "shop/app",
                                                        .ip = "127.0.0.1",
                                                        .port = http_server_port(s->server, 0),
                                                        .version = version});
}

static void answer(struct scene *s, const char *version)
{
    assert_non_null(s->waiting);
    http_server_respond_text(TAKE(s->waiting), 200, "%s", version);
}

static void test_the_same_version_is_asked_for_again(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    assert_true(hear(&s, V1));
    until(&s, &s.is_asked);
    assert_true(hear(&s, V1)); /* another pass meanwhile: the question stays */
    answer(&s, V1);
    until(&s, &s.is_asked);
    answer(&s, V1);
    until(&s, &s.is_asked);
    assert_int_equal(s.questions, 3);
    assert_int_equal(http_server_connection_count(s.server), 1);
    assert_int_equal(s.news, 0);
    assert_int_equal(listen_stats(s.listeners)->same_count, 2);
    scene_drop(&s);
}

static void test_another_version_is_news_until_somebody_has_looked(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    assert_true(hear(&s, V1));
    until(&s, &s.is_asked);
    answer(&s, V2);
    until(&s, &s.has_news);
    assert_string_equal(s.resource, "shop/app");
    assert_int_equal(s.delay_ns, 0);
    assert_int_equal(s.questions, 1); /* and nothing is asked */
    assert_true(hear(&s, V2));
    until(&s, &s.is_asked);
    answer(&s, V1);
    until(&s, &s.has_news);
    assert_in_range(s.delay_ns, 0, NS_PER_SEC); /* not all the time */
    assert_int_equal(listen_stats(s.listeners)->news_count, 2);
    scene_drop(&s);
}

static void test_a_version_seen_meanwhile_is_no_news(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    assert_true(hear(&s, V1));
    until(&s, &s.is_asked);
    assert_true(hear(&s, V2)); /* a pass for another reason has seen it */
    answer(&s, V2);
    until(&s, &s.is_asked);
    assert_int_equal(s.news, 0);
    scene_drop(&s);
}

static void test_a_sidecar_that_ends_is_news_and_rests(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    unsigned port = http_server_port(s.server, 0);
    assert_true(hear(&s, V1));
    until(&s, &s.is_asked);
    http_server_free(s.server);
    http_server_respond_text(TAKE(s.waiting), 200, V1); /* nobody hears it */
    until(&s, &s.has_news);
    assert_int_equal(s.delay_ns, NS_PER_SEC);
    assert_int_equal(listen_stats(s.listeners)->lost_count, 1);
    server_make(&s);
    struct listen_pod pod = {.key = "shop/app-0",
                             .resource = "shop/app",
                             .ip = "127.0.0.1",
                             .port = port,
                             .version = V1};
    assert_false(listen_to(s.listeners, &pod)); /* rests */
    listen_end(s.listeners, "shop/app-0");      /* its scrape failed */
    pod.port = http_server_port(s.server, 0);
    assert_true(listen_to(s.listeners, &pod));
    until(&s, &s.is_asked);
    scene_drop(&s);
}

static void test_a_sidecar_without_this_question_is_let_alone(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    assert_false(hear(&s, "")); /* it told no version */
    assert_false(hear(&s, "a b"));
    assert_false(hear(&s, "0/../metrics"));
    assert_int_equal(listen_stats(s.listeners)->count, 0);
    s.is_old = true;
    assert_true(hear(&s, V1));
    until(&s, &s.has_news);
    assert_false(hear(&s, V1));
    assert_int_equal(s.questions, 1);
    scene_drop(&s);
}

static void test_a_pod_may_move_change_hands_and_go(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    struct listen_pod pod = {.key = "shop/app-0",
                             .resource = "shop/old",
                             .ip = "::1", /* nobody listens there */
                             .port = http_server_port(s.server, 0),
                             .version = V1};
    assert_true(listen_to(s.listeners, &pod));
    assert_true(hear(&s, V1));
    until(&s, &s.is_asked);
    answer(&s, V2);
    until(&s, &s.has_news);
    assert_string_equal(s.resource, "shop/app");
    assert_int_equal(s.news, 1);
    assert_true(hear(&s, V2));
    until(&s, &s.is_asked);
    listen_end(s.listeners, "shop/app-0");
    listen_end(s.listeners, "shop/app-0");
    assert_int_equal(listen_stats(s.listeners)->count, 0);
    assert_true(hear(&s, V2));
    listen_end_all(s.listeners); /* while it connects */
    assert_int_equal(listen_stats(s.listeners)->count, 0);
    assert_int_equal(s.news, 1);
    scene_drop(&s);
}

static void test_signs_of_life_are_no_news_and_their_end_is(void **state UNUSED)
{
    struct scene s;
    scene_make_patient(&s, NS_PER_SEC);
    assert_true(hear(&s, V1));
    until(&s, &s.is_asked);
    answer(&s, V1);
    until(&s, &s.is_asked); /* the first question that wants signs */
    assert_true(http_server_respond_sign(s.waiting));
    assert_true(http_server_respond_sign(s.waiting));
    answer(&s, V2);
    until(&s, &s.has_news);
    assert_int_equal(listen_stats(s.listeners)->same_count, 3);
    assert_int_equal(listen_stats(s.listeners)->news_count, 1);
    assert_true(hear(&s, V2));
    until(&s, &s.is_asked);
    assert_true(http_server_respond_sign(s.waiting));
    until(&s, &s.has_news); /* then it hangs */
    assert_int_equal(listen_stats(s.listeners)->same_count, 4);
    assert_int_equal(listen_stats(s.listeners)->lost_count, 1);
    assert_int_equal(s.questions, 3);
    assert_false(hear(&s, V2));
    scene_drop(&s);
}

/* A fleet that a new leader begins with is not heard of at one moment. */
static void test_only_the_first_question_waits_for_a_part_of_the_time(void **state UNUSED)
{
    unsigned long shortest = 15, longest = 1, fewest = LISTEN_SIGNS_MAX, most = 0;
    struct scene s;
    scene_make(&s);

    for (unsigned i = 0; i < 40; i++) {
        assert_true(hear(&s, V1));
        until(&s, &s.is_asked);
        assert_in_range(s.seconds, 1, 15);
        assert_int_equal(s.signs, 0);
        shortest = s.seconds < shortest ? s.seconds : shortest;
        longest = s.seconds > longest ? s.seconds : longest;
        answer(&s, V1);
        until(&s, &s.is_asked);
        assert_int_equal(s.seconds, 15);
        assert_in_range(s.signs, LISTEN_SIGNS_MAX / 2, LISTEN_SIGNS_MAX);
        fewest = s.signs < fewest ? s.signs : fewest;
        most = s.signs > most ? s.signs : most;
        listen_end(s.listeners, "shop/app-0");
        answer(&s, V1); /* nobody hears it */
    }
    assert_true(longest - shortest >= 3); /* by chance, once in 10^26 tries it is not */
    assert_true(most - fewest >= 3);      /* likewise */
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_the_same_version_is_asked_for_again),
        TEST(test_another_version_is_news_until_somebody_has_looked),
        TEST(test_a_version_seen_meanwhile_is_no_news),
        TEST(test_a_sidecar_that_ends_is_news_and_rests),
        TEST(test_a_sidecar_without_this_question_is_let_alone),
        TEST(test_a_pod_may_move_change_hands_and_go),
        TEST(test_signs_of_life_are_no_news_and_their_end_is),
        TEST(test_only_the_first_question_waits_for_a_part_of_the_time),
    };
    return TEST_MAIN(tests);
}
