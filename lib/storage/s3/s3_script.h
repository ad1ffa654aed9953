/*
 * For tests of this room: an HTTP server on 127.0.0.1 that answers from a script, once a
 * connection. What a real server does once a year (cutting an answer, a 200 with an error inside,
 * 503 with Retry-After) happens here when the test wants it.
 *
 * Each request takes the first step that nobody has taken and whose `expect` stands in it (request
 * line, headers as sent, body); none is answered 599. Threads: the server has one of its own; the
 * test looks at it after script_stop(), or through script_requests().
 */
#ifndef WALFERRY_LIB_STORAGE_S3_S3_SCRIPT_H
#define WALFERRY_LIB_STORAGE_S3_S3_SCRIPT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    SCRIPT_REQUESTS_MAX = 64,
    SCRIPT_HEAD_BYTES_MAX = 32768,
};

struct script_step {
    const char *expect;  /* NULL: any request */
    const char *status;  /* "200 OK" */
    const char *headers; /* each ended by \r\n; NULL: none */
    const char *body;    /* NULL: none */
    size_t announced;    /* Content-Length, if not that of body */
    bool has_reset;      /* the connection is reset behind the body */
    bool is_no_object;   /* none of the headers that tell of an object, unless given */
    bool has_half_head;  /* the connection ends among the headers: before the given ones */
    atomic_bool has_taken;
};

struct script {
    int fd;
    unsigned port;
    char endpoint[64];
    pthread_t thread;
    struct script_step *steps;
    size_t step_count;
    atomic_uint request_count;
    char *requests[SCRIPT_REQUESTS_MAX]; /* heads, and bodies up to 32 KiB */
};

static inline size_t script_content_length(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");
    return at ? (size_t)strtoull(at + 17, NULL, 10) : 0;
}

/* Reads one request; the text of it, or NULL. Bodies beyond what is kept are read and dropped. */
static inline char *script_read(int fd)
{
    char *text = calloc(1, 2 * SCRIPT_HEAD_BYTES_MAX + 1);
    char sink[4096];
    size_t n = 0;
    char *end = NULL;

    while (n < SCRIPT_HEAD_BYTES_MAX && !end) {
        ssize_t got = read(fd, text + n, SCRIPT_HEAD_BYTES_MAX - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        end = strstr(text, "\r\n\r\n");
    }
    if (!end) {
        free(text);
        return NULL;
    }
    size_t body = n - (size_t)(end + 4 - text);
    size_t wanted = script_content_length(text);
    if (strcasestr(text, "\r\nExpect: 100-continue") &&
        write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) != 25)
        wanted = 0;
    while (body < wanted) {
        bool is_kept = n < 2 * SCRIPT_HEAD_BYTES_MAX;
        size_t room = is_kept ? 2 * SCRIPT_HEAD_BYTES_MAX - n : sizeof(sink);
        ssize_t got = read(fd, is_kept ? text + n : sink, room);
        if (got <= 0)
            break;
        body += (size_t)got;
        n += is_kept ? (size_t)got : 0;
    }
    return text;
}

static inline struct script_step *script_take(struct script *s, const char *request)
{
    for (size_t i = 0; i < s->step_count; i++) {
        struct script_step *step = &s->steps[i];
        if (!atomic_load(&step->has_taken) && (!step->expect || strstr(request, step->expect))) {
            atomic_store(&step->has_taken, true);
            return step;
        }
    }
    return NULL;
}

static inline void script_answer(int fd, const char *request, const struct script_step *step)
{
    static const struct script_step unexpected = {.status = "599 Unexpected"};
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    char head[4096];

    if (!step)
        step = &unexpected;
    const char *body = step->body && strncmp(request, "HEAD ", 5) != 0 ? step->body : "";
    size_t n = step->announced ? step->announced : strlen(step->body ? step->body : "");
    int head_n = snprintf(
        head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s%s\r\n",
        step->status, n,
        step->is_no_object ? "" : "Last-Modified: Sat, 21 Nov 2026 09:37:00 GMT\r\n",
        step->headers ? step->headers : "");
    if (step->has_half_head) {
        ssize_t put = write(fd, head, strlen("HTTP/1.1 \r\n") + strlen(step->status));
        (void)put; /* ends in any case */
        return;
    }
    if (write(fd, head, (size_t)head_n) != head_n ||
        write(fd, body, strlen(body)) != (ssize_t)strlen(body))
        return;
    if (step->has_reset) {
        usleep(20000); /* the bytes before the reset are to arrive: a reset throws them away */
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
}

static inline void *script_main(void *arg)
{
    struct script *s = arg;

    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        char *request = script_read(fd);
        if (request) {
            unsigned idx = atomic_load(&s->request_count);
            ASSERT(idx < SCRIPT_REQUESTS_MAX);
            s->requests[idx] = request;
            atomic_store(&s->request_count, idx + 1);
            script_answer(fd, request, script_take(s, request));
        }
        (void)close(fd);
    }
}

static inline void script_start(struct script *s, struct script_step *steps, size_t step_count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);

    memset(s, 0, sizeof(*s));
    s->steps = steps;
    s->step_count = step_count;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
    (void)snprintf(s->endpoint, sizeof(s->endpoint), "http://127.0.0.1:%u", s->port);
    assert_int_equal(pthread_create(&s->thread, NULL, script_main, s), 0);
}

/* Requests so far. */
static inline unsigned script_requests(struct script *s)
{
    return atomic_load(&s->request_count);
}

/* Ends the server; the requests stay until script_free(). */
static inline void script_stop(struct script *s)
{
    (void)shutdown(s->fd, SHUT_RDWR); /* ends accept() */
    (void)pthread_join(s->thread, NULL);
    (void)close(s->fd);
}

static inline void script_free(struct script *s)
{
    for (size_t i = 0; i < SCRIPT_REQUESTS_MAX; i++)
        free(s->requests[i]);
}

#endif
