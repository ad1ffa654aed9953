/*
 * Signs of life of the server (http_server_respond_sign()): what a client that knows them hears, one
 * that does not, and one that has left. Server and clients are on one loop.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/http/held.h"
#include "lib/http/server.h"
#include "lib/testing/test.h"

enum {
    SIGNS = 3, /* before each answer */
};

struct scene {
    struct loop *loop;
    struct http_server *server;
    struct http_server_request *waiting;
    struct loop_timer next;
    unsigned sign_left;
    bool is_asked;
    bool has_left; /* a sign said that its peer has left */
    bool is_answered;
    struct http_held *held;
    unsigned signs; /* that the client has heard */
    int status;
    bool is_done;
    struct loop_timer look; /* whether the client's first bytes are there */
    int fd;
    bool is_there;
};

enum {
    LINE_BYTES = 17, /* "HTTP/1.1 200 OK\r\n" */
};

static void on_next(void *arg)
{
    struct scene *s = arg;

    if (s->sign_left > 0) {
        s->sign_left--;
        if (!http_server_respond_sign(s->waiting))
            s->has_left = true;
        loop_timer_start(&s->next, 5 * NS_PER_MS);
        return;
    }
    http_server_respond_text(TAKE(s->waiting), 200, "late");
    s->is_answered = true;
}

static void on_signs(void *arg, struct http_server_request *request)
{
    struct scene *s = arg;

    s->waiting = request;
    s->is_asked = true;
    s->sign_left = SIGNS;
    s->is_answered = false;
    loop_timer_start(&s->next, 5 * NS_PER_MS);
}

static void on_heard(void *arg, int status, struct slice body UNUSED, const struct error *err)
{
    struct scene *s = arg;

    s->status = err->code == ERR_NONE ? status : -1;
    s->signs += s->status >= 100 && s->status < 200;
    s->is_done = s->status < 100 || s->status >= 200;
}

static void scene_make(struct scene *s)
{
    static const struct http_route routes[] = {{"GET", "/signs", on_signs}};
    struct http_server_config config = {.listener_count = 1};
    struct error err = ERROR_INIT;

    *s = (struct scene){.status = 0};
    assert_ok(loop_new(env_real(), 1, &s->loop, &err), &err);
    loop_timer_init(&s->next, s->loop, on_next, s);
    config.listeners[0] = (struct http_listener){
        .address = "127.0.0.1", .routes = routes, .route_count = ARRAY_LEN(routes), .arg = s};
    assert_ok(http_server_new(s->loop, &config, &s->server, &err), &err);
}

static void scene_drop(struct scene *s)
{
    http_held_free(s->held);
    http_server_free(s->server);
    loop_run(s->loop);
    loop_free(s->loop);
}

/* A client of its own that sends this; nothing of the answer is read. */
static int client_ask(const struct scene *s, const char *request)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_server_port(s->server, 0)),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    return fd;
}

static void test_signs_of_life_come_before_each_answer(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct scene s;
    scene_make(&s);
    assert_ok(http_held_new(s.loop, "127.0.0.1", http_server_port(s.server, 0), on_heard, &s,
                            &s.held, &err),
              &err);
    for (unsigned i = 1; i <= 2; i++) { /* and the connection stays */
        s.is_done = false;
        assert_ok(http_held_ask(s.held, "/signs", 20 * NS_PER_SEC, 0, &err), &err);
        assert_true(loop_run_until(s.loop, &s.is_done));
        assert_int_equal(s.status, 200);
        assert_int_equal(s.signs, i * SIGNS);
        assert_int_equal(http_server_connection_count(s.server), 1);
    }
    assert_false(s.has_left);
    scene_drop(&s);
}

static void on_look(void *arg)
{
    struct scene *s = arg;
    char line[LINE_BYTES];

    s->is_there = recv(s->fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT) == sizeof(line);
    if (!s->is_there)
        loop_timer_start(&s->look, NS_PER_MS);
}

static void test_a_client_of_http_1_0_gets_no_sign(void **state UNUSED)
{
    char line[LINE_BYTES];
    struct scene s;
    scene_make(&s);
    s.fd = client_ask(&s, "GET /signs HTTP/1.0\r\nHost: x\r\n\r\n");
    loop_timer_init(&s.look, s.loop, on_look, &s);
    on_look(&s);
    assert_true(loop_run_until(s.loop, &s.is_there));
    assert_int_equal(recv(s.fd, line, sizeof(line), 0), sizeof(line));
    assert_memory_equal(line, "HTTP/1.1 200 OK\r\n", sizeof(line));
    assert_false(s.has_left);
    (void)close(s.fd);
    scene_drop(&s);
}

static void test_a_sign_tells_that_its_peer_has_left(void **state UNUSED)
{
    struct linger reset = {.l_onoff = 1};
    struct scene s;
    scene_make(&s);
    int fd = client_ask(&s, "GET /signs HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(loop_run_until(s.loop, &s.is_asked));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    (void)close(fd); /* by a reset */
    assert_true(loop_run_until(s.loop, &s.is_answered));
    assert_true(s.has_left);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_signs_of_life_come_before_each_answer),
        TEST(test_a_client_of_http_1_0_gets_no_sign),
        TEST(test_a_sign_tells_that_its_peer_has_left),
    };
    return TEST_MAIN(tests);
}
