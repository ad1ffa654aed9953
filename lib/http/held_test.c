/*
 * Connections that are held: one question after the other, and every way in which an answer does
 * not come. The server is http_peer.h.
 */
#include "lib/http/held.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/testing/http_peer.h"
#include "lib/testing/test.h"

#define LONG_NS (20 * NS_PER_SEC)

/* With signs of life: a sign may be late by the difference. */
#define SIGN_NS     (500 * NS_PER_MS)
#define DEADLINE_NS (2 * NS_PER_SEC)

struct scene {
    struct http_peer peer;
    struct loop *loop;
    struct http_held *held;
    bool is_done;
    unsigned calls;
    unsigned signs;
    unsigned signs_wanted; /* has_signs is set when there are so many */
    bool has_signs;
    int status;
    char body[HTTP_HELD_ANSWER_BYTES_MAX + 1];
    struct error err;
    const char *then; /* asked from within done */
    bool frees;       /* done frees the connection */
};

static void on_done(void *arg, int status, struct slice body, const struct error *err)
{
    struct scene *s = arg;
    struct error ask_err = ERROR_INIT;

    if (err->code == ERR_NONE && status < 200) {
        assert_int_equal(body.n, 0);
        assert_true(http_held_is_asking(s->held));
        s->signs++;
        s->has_signs = s->signs >= s->signs_wanted;
        return;
    }
    s->calls++;
    s->status = status;
    s->err = *err;
    (void)snprintf(s->body, sizeof(s->body), "%.*s", (int)body.n,
                   body.n ? (const char *)body.p : "");
    if (s->frees) {
        http_held_free(s->held);
        s->held = NULL;
    }
    s->is_done = !s->then;
    if (s->then)
        assert_ok(http_held_ask(s->held, TAKE(s->then), LONG_NS, 0, &ask_err), &ask_err);
}

static void scene_make(struct scene *s)
{
    struct error err = ERROR_INIT;

    *s = (struct scene){.err = ERROR_INIT};
    http_peer_start(&s->peer);
    assert_ok(loop_new(env_real(), 1, &s->loop, &err), &err);
    assert_ok(http_held_new(s->loop, "127.0.0.1", s->peer.port, on_done, s, &s->held, &err), &err);
}

static void scene_drop(struct scene *s)
{
    http_held_free(s->held);
    loop_run(s->loop); /* nothing is left that could happen */
    loop_free(s->loop);
    http_peer_stop(&s->peer);
}

static void ask_begin(struct scene *s, const char *target, uint64_t deadline_ns, uint64_t sign_ns)
{
    struct error err = ERROR_INIT;

    s->is_done = false;
    s->signs = 0;
    s->has_signs = false;
    assert_ok(http_held_ask(s->held, target, deadline_ns, sign_ns, &err), &err);
    assert_true(http_held_is_asking(s->held));
    assert_false(s->is_done);
}

static void ask(struct scene *s, const char *target, uint64_t deadline_ns)
{
    ask_begin(s, target, deadline_ns, 0);
    assert_true(loop_run_until(s->loop, &s->is_done));
}

static void test_questions_follow_each_other_on_one_connection(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    ask(&s, "/hello", LONG_NS);
    assert_int_equal(s.status, 200);
    assert_string_equal(s.body, "hello");
    ask(&s, "/refused", LONG_NS);
    assert_int_equal(s.status, 403);
    assert_string_equal(s.body, "forbidden");
    s.then = "/hello"; /* from within the callback */
    ask(&s, "/refused", LONG_NS);
    assert_int_equal(s.status, 200);
    ask(&s, "/drip/9", LONG_NS); /* in ten pieces */
    assert_int_equal(strlen(s.body), 9);
    assert_int_equal(atomic_load(&s.peer.accepted), 1);
    assert_int_equal(s.calls, 5);
    scene_drop(&s);
}

static void test_the_question_names_the_server(void **state UNUSED)
{
    char host[64];
    struct scene s;
    scene_make(&s);
    ask(&s, "/hello/request", LONG_NS);
    assert_int_equal(s.status, 200);
    (void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", s.peer.port);
    assert_ptr_equal(strstr(s.body, "GET /hello/request HTTP/1.1\r\n"), s.body);
    assert_non_null(strstr(s.body, host));
    scene_drop(&s);
}

static void test_an_answer_that_does_not_come_has_a_reason(void **state UNUSED)
{
    static const struct {
        const char *target;
        enum error_code code;
        const char *text;
    } rows[] = {
        {"/closed", ERR_UNAVAILABLE, "the connection was closed"},
        {"/half-head", ERR_UNAVAILABLE, "the connection was closed"},
        {"/truncated", ERR_UNAVAILABLE, "the connection was closed"},
        {"/garbage", ERR_CORRUPT, "not HTTP/1.x"},
        {"/chunked", ERR_UNSUPPORTED, "in chunks"},
        {"/big/1025", ERR_LIMIT, "1025 bytes, 1024 at most"},
        {"/headers/500", ERR_LIMIT, "head is larger"},
    };
    struct scene s;
    scene_make(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].target);
        ask(&s, rows[i].target, LONG_NS);
        assert_error(s.err.code == ERR_NONE ? 0 : -1, &s.err, rows[i].code, rows[i].text);
        ask(&s, "/hello", LONG_NS); /* the next one is none the worse */
        assert_string_equal(s.body, "hello");
    }
    ask(&s, "/hello-and-bye", LONG_NS);
    assert_string_equal(s.body, "hello");
    scene_drop(&s);
}

static void test_a_server_that_is_silent_is_given_up(void **state UNUSED)
{
    static const char *const targets[] = {"/silence", "/stall"};
    struct scene s;
    scene_make(&s);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        test_row(targets[i]);
        ask(&s, targets[i], 50 * NS_PER_MS);
        assert_error(s.err.code == ERR_NONE ? 0 : -1, &s.err, ERR_TIMEOUT, "no answer in time");
        assert_false(http_held_is_asking(s.held));
    }
    scene_drop(&s);
}

/* ---- signs of life ---- */

static void test_interim_answers_are_not_the_answer(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    ask(&s, "/interim", LONG_NS); /* also where nobody expects a sign */
    assert_int_equal(s.status, 200);
    assert_string_equal(s.body, "");
    assert_int_equal(s.signs, 1);
    ask(&s, "/signs/30", LONG_NS);
    assert_string_equal(s.body, "hello");
    assert_int_equal(s.signs, 30);
    assert_int_equal(s.calls, 2);
    assert_int_equal(atomic_load(&s.peer.accepted), 1);
    scene_drop(&s);
}

/* 250 signs, 10 ms apart, are longer than the deadline. */
static void test_signs_of_life_put_the_deadline_off(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    ask_begin(&s, "/signs/250", DEADLINE_NS, SIGN_NS);
    assert_true(loop_run_until(s.loop, &s.is_done));
    assert_ok(s.err.code == ERR_NONE ? 0 : -1, &s.err);
    assert_string_equal(s.body, "hello");
    assert_int_equal(s.signs, 250);
    scene_drop(&s);
}

/* A server in the hands of the test: its listening socket, and a connection that waits there. */
static int listener_make(unsigned *out_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *out_port = ntohs(address.sin_port);
    return fd;
}

static void send_str(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void on_pause_over(void *arg)
{
    *(bool *)arg = true;
}

/* After the first one the kernel keeps them until it is time to look. */
static void test_signs_of_life_wake_nobody(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct loop_timer pause = {0};
    bool is_over = false;
    unsigned port = 0;
    struct scene s;
    scene_make(&s);
    int listener = listener_make(&port);
    http_held_free(TAKE(s.held));
    assert_ok(http_held_new(s.loop, "127.0.0.1", port, on_done, &s, &s.held, &err), &err);
    ask_begin(&s, "/", 5 * NS_PER_SEC, SIGN_NS);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    s.signs_wanted = 1;
    send_str(fd, "HTTP/1.1 102 Processing\r\n\r\n");
    assert_true(loop_run_until(s.loop, &s.has_signs));
    s.signs_wanted = 3;
    s.has_signs = false;
    send_str(fd, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
    loop_timer_init(&pause, s.loop, on_pause_over, &is_over);
    loop_timer_start(&pause, 100 * NS_PER_MS);
    assert_true(loop_run_until(s.loop, &is_over));
    assert_int_equal(s.signs, 1);
    assert_true(loop_run_until(s.loop, &s.has_signs)); /* at the deadline, both in one go */
    send_str(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_true(loop_run_until(s.loop, &s.is_done)); /* a short answer: at the next one */
    assert_string_equal(s.body, "ok");
    (void)close(fd);
    (void)close(listener);
    scene_drop(&s);
}

static void test_a_server_without_a_sign_of_life_is_given_up(void **state UNUSED)
{
    static const struct {
        const char *target;
        unsigned signs;
    } rows[] = {{"/silence", 0}, {"/signs-then-silence/1", 1}, {"/signs-then-silence/3", 3}};
    struct scene s;
    scene_make(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].target);
        ask_begin(&s, rows[i].target, DEADLINE_NS, SIGN_NS);
        assert_true(loop_run_until(s.loop, &s.is_done));
        assert_error(s.err.code == ERR_NONE ? 0 : -1, &s.err, ERR_TIMEOUT, "no answer in time");
        assert_int_equal(s.signs, rows[i].signs);
    }
    scene_drop(&s);
}

static void test_an_end_behind_signs_of_life_is_heard_at_once(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    s.signs_wanted = 1;
    ask_begin(&s, "/signs-then-end/1", 10 * NS_PER_MIN, 5 * NS_PER_MIN);
    assert_true(loop_run_until(s.loop, &s.is_done));
    assert_error(s.err.code == ERR_NONE ? 0 : -1, &s.err, ERR_UNAVAILABLE, "was closed");
    assert_int_equal(s.signs, 1);
    scene_drop(&s);
}

/* ---- ends ---- */

static void test_nobody_who_listens_is_an_error(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);
    http_peer_stop(&s.peer);
    ask(&s, "/hello", LONG_NS);
    assert_error(s.err.code == ERR_NONE ? 0 : -1, &s.err, ERR_UNAVAILABLE, "connect: connection");
    http_peer_start(&s.peer);
    scene_drop(&s);
}

static void test_a_connection_may_go_while_it_is_asked(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct scene s;
    scene_make(&s);
    assert_ok(http_held_ask(s.held, "/silence", LONG_NS, 0, &err), &err);
    http_held_free(TAKE(s.held)); /* before it is connected */
    loop_run(s.loop);
    assert_int_equal(s.calls, 0);
    assert_ok(http_held_new(s.loop, "127.0.0.1", s.peer.port, on_done, &s, &s.held, &err), &err);
    s.frees = true;
    ask(&s, "/hello", LONG_NS);
    assert_string_equal(s.body, "hello");
    scene_drop(&s);
}

static void test_only_addresses_in_digits_are_asked(void **state UNUSED)
{
    static const char *const names[] = {"localhost", "", "127.0.0.1.2", "10.0.0.1/24", "fe80::g"};
    struct error err = ERROR_INIT;
    struct scene s;
    struct http_held *held = NULL;
    scene_make(&s);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        test_row(names[i]);
        assert_error(http_held_new(s.loop, names[i], 80, on_done, &s, &held, &err), &err, ERR_USAGE,
                     "no address");
    }
    assert_error(http_held_new(s.loop, "127.0.0.1", 65536, on_done, &s, &held, &err), &err,
                 ERR_USAGE, "no address");
    assert_ok(http_held_new(s.loop, "fd00::1", 80, on_done, &s, &held, &err), &err);
    http_held_free(held);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_questions_follow_each_other_on_one_connection),
        TEST(test_the_question_names_the_server),
        TEST(test_an_answer_that_does_not_come_has_a_reason),
        TEST(test_a_server_that_is_silent_is_given_up),
        TEST(test_interim_answers_are_not_the_answer),
        TEST(test_signs_of_life_put_the_deadline_off),
        TEST(test_signs_of_life_wake_nobody),
        TEST(test_a_server_without_a_sign_of_life_is_given_up),
        TEST(test_an_end_behind_signs_of_life_is_heard_at_once),
        TEST(test_nobody_who_listens_is_an_error),
        TEST(test_a_connection_may_go_while_it_is_asked),
        TEST(test_only_addresses_in_digits_are_asked),
    };
    return TEST_MAIN(tests);
}
