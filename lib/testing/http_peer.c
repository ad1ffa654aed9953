/*
 * A small HTTP/1.1 server of plain sockets: one thread accepts, one thread a connection answers by
 * the path of each request. It is deliberately dumb: what it sends is written out in the table of
 * fixed answers, so that a test of the client does not test two programs at once.
 */
#include "lib/testing/http_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    REQUEST_HEAD_BYTES_MAX = 32768
};

struct request {
    int fd;
    char head[REQUEST_HEAD_BYTES_MAX];
    char *body;
    size_t body_bytes;
};

struct connection {
    struct http_peer *peer;
    int fd;
};

static bool send_all(int fd, const void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = send(fd, (const char *)p + done, n - done, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

static bool send_text(int fd, const char *text)
{
    return send_all(fd, text, strlen(text));
}

/* Until the client closes, or the server is stopped. */
static bool wait_for_close(int fd)
{
    char rest[4096];
    while (recv(fd, rest, sizeof(rest), 0) > 0) {
    }
    return false;
}

static bool answer_headers(int fd, unsigned count)
{
    char line[128];
    bool is_ok = send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
    for (unsigned i = 0; is_ok && i < count; i++) {
        (void)snprintf(line, sizeof(line), "X-Number-%u: %u\r\n", i, i);
        is_ok = send_text(fd, line);
    }
    return is_ok && send_text(fd, "\r\n");
}

static bool answer_pattern(int fd, int status, size_t bytes)
{
    char head[128];
    (void)snprintf(head, sizeof(head), "HTTP/1.1 %d Some\r\nContent-Length: %zu\r\n\r\n", status,
                   bytes);
    char *body = malloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        body[i] = (char)('a' + i % 23);
    bool is_ok = send_text(fd, head) && send_all(fd, body, bytes);
    free(body);
    return is_ok;
}

static bool answer_echo(const struct request *r)
{
    char head[128];
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   r->body_bytes);
    return send_text(r->fd, head) && send_all(r->fd, r->body, r->body_bytes);
}

static bool answer_drip(int fd, size_t bytes)
{
    char head[128];
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", bytes);
    bool is_ok = send_text(fd, head);
    for (size_t i = 0; is_ok && i < bytes; i++) {
        (void)usleep(10000);
        is_ok = send_text(fd, "d");
    }
    return is_ok;
}

static bool send_signs(int fd, unsigned long count)
{
    bool is_ok = true;

    for (unsigned long i = 0; is_ok && i < count; i++) {
        (void)usleep(10000);
        is_ok = send_text(fd, "HTTP/1.1 102 Processing\r\n\r\n");
    }
    (void)usleep(10000);
    return is_ok;
}

/* What is fixed text. */
static const struct {
    const char *path, *answer;
    bool stays_open;
} fixed_answers[] = {
    {"/hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Test:  a b \r\nx-test: last\r\n\r\nhello",
     true},
    {"/chunked",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
     true},
    {"/redirect", "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 4\r\n\r\ngone", true},
    {"/interim",
     "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
     true},
    {"/truncated", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", false},
    {"/truncated-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nabc", false},
    {"/half-head", "HTTP/1.1 200 OK\r\nContent-Le", false},
    {"/garbage", "220 mail.example ESMTP\r\n", false},
    {"/closed", "", false},
    {"/hello-and-bye", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false},
    {"/refused", "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nforbidden", true},
    {"/head", "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n", true},
};

/* Answers by path; false closes the connection. */
static bool peer_answer(const struct request *r)
{
    char path[256] = "";
    unsigned long number = 0;

    if (sscanf(r->head, "%*s %255s", path) != 1)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(fixed_answers); i++) {
        if (strcmp(path, fixed_answers[i].path) == 0)
            return send_text(r->fd, fixed_answers[i].answer) && fixed_answers[i].stays_open;
    }
    char *digits = strrchr(path, '/');
    if (digits)
        number = strtoul(digits + 1, NULL, 10);
    if (strncmp(path, "/big/", 5) == 0)
        return answer_pattern(r->fd, 200, number);
    if (strncmp(path, "/bad/", 5) == 0)
        return answer_pattern(r->fd, 500, number);
    if (strncmp(path, "/headers/", 9) == 0)
        return answer_headers(r->fd, (unsigned)number);
    if (strcmp(path, "/echo") == 0)
        return answer_echo(r);
    if (digits && strcmp(digits, "/request") == 0) {
        struct request shown = *r;
        shown.body = shown.head;
        shown.body_bytes = strlen(shown.head);
        return answer_echo(&shown);
    }
    if (strncmp(path, "/drip/", 6) == 0)
        return answer_drip(r->fd, number);
    if (strncmp(path, "/signs/", 7) == 0) {
        return send_signs(r->fd, number) &&
               send_text(r->fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    }
    if (strncmp(path, "/signs-then-silence/", 20) == 0)
        return send_signs(r->fd, number) && wait_for_close(r->fd);
    if (strncmp(path, "/signs-then-end/", 16) == 0)
        return !send_signs(r->fd, number); /* closes */
    if (strcmp(path, "/stall") == 0) {
        return send_text(r->fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx") &&
               wait_for_close(r->fd);
    }
    return wait_for_close(r->fd); /* /silence */
}

/* Reads head and body of a request; false at the end of the connection. */
static bool request_read(struct request *r)
{
    size_t n = 0;
    char *end = NULL;

    while (!end) {
        ssize_t got = recv(r->fd, r->head + n, sizeof(r->head) - 1 - n, 0);
        if (got <= 0)
            return false;
        n += (size_t)got;
        r->head[n] = '\0';
        end = strstr(r->head, "\r\n\r\n");
    }
    size_t head_n = (size_t)(end - r->head) + 4;
    char *length = strcasestr(r->head, "\r\ncontent-length:");
    r->body_bytes = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    r->body = malloc(r->body_bytes + 1);
    size_t have = n - head_n;
    memcpy(r->body, r->head + head_n, have);
    r->head[head_n] = '\0';
    while (have < r->body_bytes) {
        ssize_t got = recv(r->fd, r->body + have, r->body_bytes - have, 0);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return true;
}

static void *connection_run(void *arg)
{
    struct connection *c = arg;
    struct request *r = calloc(1, sizeof(*r));
    bool is_open = true;

    r->fd = c->fd;
    while (is_open && request_read(r)) {
        atomic_fetch_add(&c->peer->requests, 1);
        is_open = peer_answer(r);
        free(r->body);
        r->body = NULL;
    }
    free(r->body);
    free(r);
    (void)shutdown(c->fd, SHUT_RDWR);
    free(c);
    return NULL;
}

static void *acceptor_run(void *arg)
{
    struct http_peer *s = arg;

    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        unsigned i = atomic_load(&s->accepted);
        struct connection *c = malloc(sizeof(*c));
        *c = (struct connection){.peer = s, .fd = fd};
        s->fds[i] = fd;
        (void)pthread_create(&s->threads[i], NULL, connection_run, c);
        atomic_store(&s->accepted, i + 1);
    }
}

static void peer_listen(struct http_peer *s, int family, const struct sockaddr *address,
                        socklen_t bytes)
{
    s->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(s->fd >= 0);
    assert_int_equal(bind(s->fd, address, bytes), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    assert_int_equal(pthread_create(&s->acceptor, NULL, acceptor_run, s), 0);
}

void http_peer_start(struct http_peer *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(address);

    *s = (struct http_peer){.fd = -1};
    peer_listen(s, AF_INET, (const struct sockaddr *)&address, sizeof(address));
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &bytes), 0);
    s->port = ntohs(address.sin_port);
}

void http_peer_stop(struct http_peer *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->acceptor, NULL);
    for (unsigned i = 0; i < atomic_load(&s->accepted); i++) {
        (void)shutdown(s->fds[i], SHUT_RDWR);
        (void)pthread_join(s->threads[i], NULL);
        (void)close(s->fds[i]);
    }
    (void)close(s->fd);
}

void http_peer_start_unix(struct http_peer *s, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_in_range(n, 1, sizeof(address.sun_path) - 1);
    *s = (struct http_peer){.fd = -1};
    peer_listen(s, AF_UNIX, (const struct sockaddr *)&address, sizeof(address));
}
