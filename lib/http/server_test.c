/*
 * The server as its clients see it: real sockets, one loop on a thread of its own.
 */
#include "lib/http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/testing/server.h"
#include "lib/testing/test.h"

enum {
    ANSWER_BYTES_MAX = 4 * 1024 * 1024,
    BIG_BYTES = 1024 * 1024,
};

/* ---- a server on a thread ---- */

struct fixture {
    pthread_t thread;
    pthread_barrier_t is_ready;
    struct http_server_config config;
    struct loop *loop;
    struct http_server *server;
    int rc;
    struct error err;
    unsigned port;
    uv_async_t stop;
    struct loop_timer later;
    struct http_server_request *waiting; /* of /late */
    char folder[256];
    char unix_path[300];
};

static void respond(struct http_server_request *request, int status, struct slice body)
{
    struct error err = ERROR_INIT;
    struct http_server_response response = {.status = status, .body = BUF_INIT(ANSWER_BYTES_MAX)};

    ASSERT(buf_append_slice(&response.body, body, &err) == 0);
    http_server_respond(request, &response);
}

static void on_hello(void *arg UNUSED, struct http_server_request *request)
{
    http_server_respond_text(request, 200, "hello %s",
                             http_server_request_header(request, "User-Agent")
                                 ? http_server_request_header(request, "User-Agent")
                                 : "stranger");
}

static void on_echo(void *arg UNUSED, struct http_server_request *request)
{
    respond(request, 200, http_server_request_body(request));
}

static void on_param(void *arg UNUSED, struct http_server_request *request)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf value = BUF_INIT(1024);
    int rc = http_server_request_param(request, "name", &value, &err);

    http_server_respond_text(request, rc < 0 ? 400 : 200, "%s",
                             rc < 0 ? err.text : buf_str(&value));
}

static void on_big(void *arg UNUSED, struct http_server_request *request)
{
    struct error err = ERROR_INIT;
    struct http_header header = {"X-Size", "big"};
    struct http_server_response response = {.status = 200,
                                            .content_type = "application/octet-stream",
                                            .body = BUF_INIT(ANSWER_BYTES_MAX),
                                            .headers = &header,
                                            .header_count = 1};
    uint8_t *p = NULL;

    ASSERT(buf_extend(&response.body, BIG_BYTES, &p, &err) == 0);
    for (size_t i = 0; i < BIG_BYTES; i++)
        p[i] = (uint8_t)(i % 251);
    http_server_respond(request, &response);
}

static void on_later(void *arg)
{
    struct fixture *f = arg;

    http_server_respond_text(f->waiting, 200, "late");
    f->waiting = NULL;
}

static void on_late(void *arg, struct http_server_request *request)
{
    struct fixture *f = arg;

    ASSERT(!f->waiting);
    f->waiting = request;
    loop_timer_start(&f->later, 50 * NS_PER_MS);
}

static const struct http_route routes[] = {
    {"GET", "/hello", on_hello}, {"POST", "/echo", on_echo}, {"GET", "/param", on_param},
    {"GET", "/big", on_big},     {"GET", "/late", on_late},  {"PUT", "/hello", on_hello},
};

static void on_stop(uv_async_t *stop)
{
    struct fixture *f = stop->data;

    http_server_free(f->server);
    loop_timer_stop(&f->later);
    if (f->waiting)
        http_server_respond_text(f->waiting, 200, "nobody hears this");
    uv_close((uv_handle_t *)stop, NULL);
}

static void *run(void *arg)
{
    struct fixture *f = arg;

    ASSERT(loop_new(env_real(), 1, &f->loop, &f->err) == 0);
    loop_timer_init(&f->later, f->loop, on_later, f);
    ASSERT(uv_async_init(loop_uv(f->loop), &f->stop, on_stop) == 0);
    f->stop.data = f;
    f->rc = http_server_new(f->loop, &f->config, &f->server, &f->err);
    if (f->rc == 0)
        f->port = http_server_port(f->server, 0);
    pthread_barrier_wait(&f->is_ready);
    loop_run(f->loop); /* ends by itself once the server is gone */
    loop_free(f->loop);
    return NULL;
}

static void fixture_start(struct fixture *f)
{
    test_folder_make(f->folder);
    (void)snprintf(f->unix_path, sizeof(f->unix_path), "%s/socket", f->folder);
    if (f->config.listener_count == 0) {
        f->config.listener_count = 1;
        f->config.listeners[0] = (struct http_listener){
            .address = "127.0.0.1", .routes = routes, .route_count = ARRAY_LEN(routes), .arg = f};
    }
    pthread_barrier_init(&f->is_ready, NULL, 2);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    pthread_barrier_wait(&f->is_ready);
}

static void fixture_end(struct fixture *f)
{
    uv_async_send(&f->stop);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    pthread_barrier_destroy(&f->is_ready);
    test_folder_remove(f->folder);
}

/* ---- a client ---- */

static int client_connect(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void client_send(int fd, const char *text)
{
    struct slice rest = slice_of_str(text);

    while (rest.n > 0) {
        ssize_t n = send(fd, rest.p, rest.n, MSG_NOSIGNAL);
        if (n < 0)
            return; /* the server has had enough; the answer tells */
        rest = slice_sub(rest, (size_t)n, rest.n);
    }
}

/* Reads one answer (head and as many bytes as Content-Length says); the status, -1: closed. */
static int client_receive(int fd, bool is_head, struct buf *out)
{
    struct error err = ERROR_INIT;
    char *end = NULL;
    size_t wanted = 0;

    buf_clear(out);
    while (!end || (!is_head && out->n < wanted)) {
        uint8_t piece[16384];
        size_t n_max = end ? wanted - out->n : 1; /* never a byte of the next answer */
        ssize_t n = recv(fd, piece, n_max < sizeof(piece) ? n_max : sizeof(piece), 0);
        if (n <= 0)
            return -1;
        assert_ok(buf_append(out, piece, (size_t)n, &err), &err);
        if (!end && (end = strstr(buf_str(out), "\r\n\r\n")) != NULL) {
            const char *length = strcasestr(buf_str(out), "content-length: ");
            assert_non_null(length);
            wanted = out->n + (size_t)strtoul(length + 16, NULL, 10);
        }
    }
    assert_int_equal(strncmp(buf_str(out), "HTTP/1.1 ", 9), 0);
    return (int)strtol(buf_str(out) + 9, NULL, 10);
}

/* True if the server closes within the patience of the socket, sending nothing. */
static bool client_is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* ---- tests ---- */

static const struct exchange_row {
    const char *name, *request;
    int status;
    const char *part;
    bool is_closed_after;
} exchange_rows[] = {
    {"plain", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 200, "\r\n\r\nhello stranger\n", false},
    {"header", "GET /hello HTTP/1.1\r\nHost: x\r\nuser-agent: probe\r\n\r\n", 200, "hello probe",
     false},
    {"type", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 200,
     "Content-Type: text/plain; charset=utf-8\r\n", false},
    {"not kept in caches", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", 200,
     "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n", false},
    {"version 1.0", "GET /hello HTTP/1.0\r\n\r\n", 200, "Connection: close\r\n", true},
    {"asked to close", "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200,
     "Connection: close\r\n", true},
    {"parameter", "GET /param?name=a%20b HTTP/1.1\r\nHost: x\r\n\r\n", 200, "\r\n\r\na b\n", false},
    {"escaped path", "GET /%68ello HTTP/1.1\r\nHost: x\r\n\r\n", 200, "hello", false},
    {"body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200, "\r\n\r\nabc",
     false},
    {"empty body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 200,
     "Content-Length: 0\r\n", false},
    {"no body", "POST /echo HTTP/1.1\r\nHost: x\r\n\r\n", 200, "Content-Length: 0\r\n", false},
    {"body of a GET", "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200,
     "hello", false},
    {"unknown path", "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, "no such path", false},
    {"dots are not resolved", "GET /x/../hello HTTP/1.1\r\nHost: x\r\n\r\n", 404, "", false},
    {"unknown path with body", "POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", 404,
     "", true},
    {"other method", "DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Allow: GET, HEAD, PUT\r\n",
     false},
    {"unheard-of method", "BREW /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Allow: POST\r\n", false},
    {"HEAD of a POST", "OPTIONS /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405, "Allow: POST\r\n", false},
    {"no HTTP", "\x16\x03\x01 hello\r\n\r\n", 400, "", true},
    {"zero byte is seen", "GET / HTTP/1.1\r\nHost\r\n\r\n", 400, "no colon", true},
    {"line feeds", "GET /hello HTTP/1.1\nHost: x\n\n", 400, "CR LF", true},
    {"upgrade is ignored",
     "GET /hello HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n"
     "Connection: Upgrade, HTTP2-Settings\r\n\r\n",
     200, "hello", false},
    {"connect", "CONNECT /hello HTTP/1.1\r\nHost: x\r\n\r\n", 405, "", false},
    {"chunked", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
     411, "", true},
    {"negative length", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "",
     true},
    {"body too large", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\nabc", 413,
     "", true},
    {"body far too large",
     "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\nabc", 413, "",
     true},
    {"version 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "", true},
};

static void test_requests_get_their_answers(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    assert_ok(f.rc, &f.err);
    for (size_t i = 0; i < ARRAY_LEN(exchange_rows); i++) {
        const struct exchange_row *row = &exchange_rows[i];
        int fd = client_connect(f.port);
        test_row(row->name);
        client_send(fd, row->request);
        assert_int_equal(client_receive(fd, false, &answer), row->status);
        assert_non_null(strstr(buf_str(&answer), row->part));
        if (row->is_closed_after) {
            assert_true(client_is_closed(fd));
        } else {
            client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_int_equal(client_receive(fd, false, &answer), 200);
        }
        close(fd);
    }
    fixture_end(&f);
}

static void test_head_has_the_headers_of_get_and_no_body(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int fd = client_connect(f.port);
    client_send(fd, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_receive(fd, true, &answer), 200);
    assert_non_null(strstr(buf_str(&answer), "Content-Length: 15\r\n"));
    client_send(fd, "HEAD /big HTTP/1.1\r\nHost: x\r\n\r\nHEAD /no HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_receive(fd, true, &answer), 200);
    assert_non_null(strstr(buf_str(&answer), "Content-Length: 1048576\r\n"));
    assert_int_equal(client_receive(fd, true, &answer), 404);
    close(fd);
    fixture_end(&f);
}

static void test_large_answers_arrive_whole(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int fd = client_connect(f.port);
    for (int round = 0; round < 3; round++) {
        client_send(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(client_receive(fd, false, &answer), 200);
        assert_non_null(strstr(buf_str(&answer), "X-Size: big\r\n"));
        for (size_t i = 0; i < BIG_BYTES; i++)
            assert_int_equal(answer.p[answer.n - BIG_BYTES + i], i % 251);
    }
    close(fd);
    fixture_end(&f);
}

static void test_pipelined_requests_are_answered_in_order(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct fixture f = {.port = 0};
    CLEANUP(buf_destroy) struct buf requests = BUF_INIT(65536);
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int fd = client_connect(f.port);
    assert_ok(buf_append_str(&requests, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n", &err), &err);
    for (int i = 0; i < 300; i++) {
        assert_ok(buf_printf(&requests, &err,
                             "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n%04d", i),
                  &err);
    }
    client_send(fd, buf_str(&requests));
    assert_int_equal(client_receive(fd, false, &answer), 200);
    assert_non_null(strstr(buf_str(&answer), "late"));
    for (int i = 0; i < 300; i++) {
        assert_int_equal(client_receive(fd, false, &answer), 200);
        assert_int_equal(strtol(strstr(buf_str(&answer), "\r\n\r\n") + 4, NULL, 10), i);
    }
    close(fd);
    fixture_end(&f);
}

static void test_a_request_may_arrive_byte_by_byte(void **state UNUSED)
{
    static const char request[] =
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    struct fixture f = {.port = 0};
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int fd = client_connect(f.port);
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        char piece[2] = {request[i]};
        client_send(fd, piece);
    }
    assert_int_equal(client_receive(fd, false, &answer), 200);
    assert_non_null(strstr(buf_str(&answer), "hello"));
    close(fd);
    fixture_end(&f);
}

static void test_continue_is_sent_where_it_is_expected(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    char line[64] = "";
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int fd = client_connect(f.port);
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                    "Expect: 100-continue\r\n\r\n");
    assert_int_equal(recv(fd, line, 25, MSG_WAITALL), 25);
    assert_string_equal(line, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(fd, "ok");
    assert_int_equal(client_receive(fd, false, &answer), 200);
    close(fd);
    fixture_end(&f);
}

static void test_a_head_too_large_is_answered_431(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct fixture f = {.port = 0};
    CLEANUP(buf_destroy) struct buf request = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    for (size_t bytes = 7000; bytes < 200000; bytes *= 3) {
        int fd = client_connect(f.port);
        buf_clear(&request);
        assert_ok(buf_append_str(&request, "GET /hello HTTP/1.1\r\nHost: x\r\nX: ", &err), &err);
        for (size_t i = 0; i < bytes; i++)
            assert_ok(buf_append_byte(&request, 'a', &err), &err);
        assert_ok(buf_append_str(&request, "\r\n\r\n", &err), &err);
        client_send(fd, buf_str(&request));
        assert_int_equal(client_receive(fd, false, &answer), bytes < 8000 ? 200 : 431);
        close(fd);
    }
    fixture_end(&f);
}

static void test_a_peer_that_sends_slowly_is_answered_408(void **state UNUSED)
{
    struct fixture f = {.config.request_timeout_ns = 150 * NS_PER_MS};
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int in_head = client_connect(f.port);
    int in_body = client_connect(f.port);
    int silent = client_connect(f.port);
    client_send(in_head, "GET /hello HTTP/1.1\r\nHost:");
    client_send(in_body, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhell");
    assert_int_equal(client_receive(in_head, false, &answer), 408);
    assert_true(client_is_closed(in_head));
    assert_int_equal(client_receive(in_body, false, &answer), 408);
    assert_true(client_is_closed(in_body));
    assert_true(client_is_closed(silent));
    close(in_head);
    close(in_body);
    close(silent);
    fixture_end(&f);
}

static void test_a_new_connection_may_be_silent_for_longer(void **state UNUSED)
{
    struct fixture f = {.config.request_timeout_ns = 150 * NS_PER_MS,
                        .config.first_timeout_ns = 600 * NS_PER_SEC};
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int silent = client_connect(f.port);
    int slow = client_connect(f.port);
    client_send(slow, "GET /hello HTTP/1.1\r\nHost:");
    assert_int_equal(client_receive(slow, false, &answer), 408); /* its time is over */
    client_send(silent, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_receive(silent, false, &answer), 200);
    close(slow);
    close(silent);
    fixture_end(&f);
}

static void test_an_idle_connection_is_closed_in_silence(void **state UNUSED)
{
    struct fixture f = {.config.idle_timeout_ns = 100 * NS_PER_MS};
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int fd = client_connect(f.port);
    client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_receive(fd, false, &answer), 200);
    assert_true(client_is_closed(fd));
    close(fd);
    fixture_end(&f);
}

static void test_a_peer_that_does_not_read_is_closed(void **state UNUSED)
{
    struct fixture f = {.config.write_timeout_ns = 150 * NS_PER_MS};
    struct rusage before, after;
    int small = 4096;
    size_t got = 0;
    char piece[16384];

    fixture_start(&f);
    int fd = client_connect(f.port);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    /* Pipelined bytes behind it must not make the loop spin while it cannot write. */
    for (int i = 0; i < 30; i++)
        client_send(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    getrusage(RUSAGE_SELF, &before);
    usleep(600000); /* the time passes unused: that is what is tested */
    getrusage(RUSAGE_SELF, &after);
    int64_t busy_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 +
                      after.ru_utime.tv_usec - before.ru_utime.tv_usec +
                      (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 +
                      after.ru_stime.tv_usec - before.ru_stime.tv_usec;
    assert_true(busy_us < 300000);
    for (ssize_t n = 1; n > 0; got += n > 0 ? (size_t)n : 0)
        n = recv(fd, piece, sizeof(piece), 0);
    assert_true(got < (size_t)30 * BIG_BYTES);
    close(fd);
    fixture_end(&f);
}

static void test_the_longest_idle_connection_makes_room(void **state UNUSED)
{
    enum {
        MAX = 50
    };
    struct fixture f = {.config.connections_max = MAX};
    int fds[MAX];
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    for (int i = 0; i < MAX; i++) {
        fds[i] = client_connect(f.port);
        client_send(fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(client_receive(fds[i], false, &answer), 200);
    }
    int probe = client_connect(f.port);
    client_send(probe, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_receive(probe, false, &answer), 200);
    assert_true(client_is_closed(fds[0]));
    client_send(fds[MAX - 1], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_receive(fds[MAX - 1], false, &answer), 200);
    for (int i = 0; i < MAX; i++)
        close(fds[i]);
    close(probe);
    fixture_end(&f);
}

static void test_a_full_house_turns_newcomers_away_and_recovers(void **state UNUSED)
{
    enum {
        MAX = 200,
        TRIES = 500,
    };
    struct fixture f = {.config.connections_max = MAX};
    int fds[TRIES], count = 0, status = 200;
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    /* Whoever is let in stays within a next request, until the house is full of such. */
    while (status == 200 && count < TRIES) {
        fds[count] = client_connect(f.port);
        client_send(fds[count], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\n");
        status = client_receive(fds[count], false, &answer);
        count++;
    }
    assert_int_equal(status, 503);
    assert_true(count > MAX);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    for (int tries = 0; status != 200; tries++) { /* until the server has seen them leave */
        int fd = client_connect(f.port);
        assert_true(tries < 1000);
        client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        status = client_receive(fd, false, &answer);
        close(fd);
    }
    fixture_end(&f);
}

static void test_a_peer_that_left_may_be_answered(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    fixture_start(&f);
    int fd = client_connect(f.port);
    client_send(fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    close(fd);
    fd = client_connect(f.port);
    client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_receive(fd, false, &answer), 200);
    usleep(100000); /* the late answer finds nobody */
    client_send(fd, "GET /late HTTP/1.1\r\nHost: x\r\n\r\n");
    fixture_end(&f); /* and this one finds no server */
    close(fd);
}

static int unix_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static struct http_listener unix_listener(const char *path)
{
    return (struct http_listener){
        .unix_path = path, .routes = routes, .route_count = ARRAY_LEN(routes)};
}

static void test_a_unix_socket_is_private_and_goes_with_its_server(void **state UNUSED)
{
    struct fixture f = {.config.listener_count = 2};
    struct stat st;
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(ANSWER_BYTES_MAX);

    f.config.listeners[0] = (struct http_listener){.address = "::1", .routes = routes};
    f.config.listeners[1] = unix_listener(f.unix_path);
    fixture_start(&f);
    assert_ok(f.rc, &f.err);
    assert_int_equal(stat(f.unix_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    int fd = unix_connect(f.unix_path);
    client_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(client_receive(fd, false, &answer), 200);
    close(fd);
    fixture_end(&f);
    assert_int_equal(stat(f.unix_path, &st), -1);
}

static void test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(void **state UNUSED)
{
    struct fixture first = {.config.listener_count = 1}, second = {.config.listener_count = 1};
    char folder[256], path[300];
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(stale >= 0);
    if (stale < 0)
        return;
    assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
    close(stale); /* the file stays, as after a crash */
    first.config.listeners[0] = unix_listener(path);
    first.config.listeners[0].unix_mode = 0666;
    second.config.listeners[0] = unix_listener(path);
    fixture_start(&first);
    assert_ok(first.rc, &first.err);
    fixture_start(&second);
    assert_error(second.rc, &second.err, ERR_EXISTS, "in use by another process");
    fixture_end(&second);
    close(unix_connect(path)); /* the first one's file survived the second's failure */
    fixture_end(&first);
    test_folder_remove(folder);
}

static void test_a_file_in_the_place_of_a_socket_is_kept(void **state UNUSED)
{
    struct fixture f = {.config.listener_count = 1};
    char folder[256], path[300];
    size_t n = 0;

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    test_file_write(path, SLICE_LIT("precious"));
    f.config.listeners[0] = unix_listener(path);
    fixture_start(&f);
    assert_error(f.rc, &f.err, ERR_EXISTS, "is not a socket");
    fixture_end(&f);
    CLEANUP(mem_free) uint8_t *content = test_file_read(path, &n);
    assert_int_equal(n, 8);
    test_folder_remove(folder);
}

static const struct config_row {
    const char *name;
    struct http_listener listener;
    enum error_code code;
    const char *text;
} config_rows[] = {
    {"name for an address", {.address = "localhost"}, ERR_USAGE, "localhost is not an IP address"},
    {"port", {.address = "127.0.0.1", .port = 65536}, ERR_USAGE, "65536"},
    {"address of somebody else", {.address = "203.0.113.1"}, ERR_IO, "203.0.113.1"},
    {"long path",
     {.unix_path = "/tmp/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
     ERR_USAGE,
     "longer than"},
    {"no folder", {.unix_path = "/proc/nonexistent/s"}, ERR_NOT_FOUND, "/proc/nonexistent/s"},
    {"no certificate",
     {.address = "127.0.0.1", .cert_path = "/nonexistent/c.pem", .key_path = "/nonexistent/k.pem"},
     ERR_USAGE,
     "/nonexistent/c.pem"},
};

static void test_what_cannot_be_listened_on_is_named(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(config_rows); i++) {
        struct fixture f = {.config.listener_count = 1};
        f.config.listeners[0] = config_rows[i].listener;
        test_row(config_rows[i].name);
        fixture_start(&f);
        assert_error(f.rc, &f.err, config_rows[i].code, config_rows[i].text);
        fixture_end(&f);
    }
}

static void test_a_port_in_use_is_an_error(void **state UNUSED)
{
    struct fixture first = {.port = 0}, second = {.config.listener_count = 1};

    fixture_start(&first);
    second.config.listeners[0] = (struct http_listener){.address = "127.0.0.1", .port = first.port};
    fixture_start(&second);
    assert_error(second.rc, &second.err, ERR_EXISTS, "127.0.0.1 port");
    fixture_end(&second);
    fixture_end(&first);
}

static void test_tls_is_served_with_the_given_certificate(void **state UNUSED)
{
    struct fixture f = {.config.listener_count = 1};
    struct test_tls tls;
    char folder[256], url[64], log[300];

    test_folder_make(folder);
    test_tls_make(&tls, folder);
    f.config.listeners[0] = (struct http_listener){.address = "127.0.0.1",
                                                   .cert_path = tls.server_cert_path,
                                                   .key_path = tls.server_key_path,
                                                   .routes = routes,
                                                   .route_count = ARRAY_LEN(routes)};
    fixture_start(&f);
    assert_ok(f.rc, &f.err);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/hello", f.port);
    (void)snprintf(log, sizeof(log), "%s/curl.log", folder);
    const char *const curl[] = {"curl", "-sS", "--cacert", tls.ca_path, "-A",
                                "tls",  url,   url,        NULL};
    CLEANUP(mem_free) char *out = test_process_run(curl, NULL, log, 20 * NS_PER_SEC, 0);
    assert_string_equal(out, "hello tls\nhello tls\n");
    int plain = client_connect(f.port); /* not TLS: closed, and the next one is served */
    client_send(plain, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    char piece[64];
    while (recv(plain, piece, sizeof(piece), 0) > 0) {
    }
    close(plain);
    CLEANUP(mem_free) char *again = test_process_run(curl, NULL, log, 20 * NS_PER_SEC, 0);
    assert_string_equal(again, "hello tls\nhello tls\n");
    fixture_end(&f);
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_requests_get_their_answers),
        TEST(test_head_has_the_headers_of_get_and_no_body),
        TEST(test_large_answers_arrive_whole),
        TEST(test_pipelined_requests_are_answered_in_order),
        TEST(test_a_request_may_arrive_byte_by_byte),
        TEST(test_continue_is_sent_where_it_is_expected),
        TEST(test_a_head_too_large_is_answered_431),
        TEST(test_a_peer_that_sends_slowly_is_answered_408),
        TEST(test_a_new_connection_may_be_silent_for_longer),
        TEST(test_an_idle_connection_is_closed_in_silence),
        TEST(test_a_peer_that_does_not_read_is_closed),
        TEST(test_the_longest_idle_connection_makes_room),
        TEST(test_a_full_house_turns_newcomers_away_and_recovers),
        TEST(test_a_peer_that_left_may_be_answered),
        TEST(test_a_unix_socket_is_private_and_goes_with_its_server),
        TEST(test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not),
        TEST(test_a_file_in_the_place_of_a_socket_is_kept),
        TEST(test_what_cannot_be_listened_on_is_named),
        TEST(test_a_port_in_use_is_an_error),
        TEST(test_tls_is_served_with_the_given_certificate),
    };
    return TEST_MAIN(tests);
}
