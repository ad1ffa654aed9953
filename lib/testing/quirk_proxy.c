/*
 * One thread a connection: reads a request whole, decides what it suffers, asks the store over a
 * connection of its own, reads the answer whole, and gives it back as well or badly as decided.
 *
 * "Whole" makes the middle of an answer a place that can be named: half of it, head included, so
 * that also an answer without a body has one.
 */
#include "lib/testing/quirk_proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/testing/history.h"
#include "lib/testing/test.h"

enum {
    DRIP_PIECES = 24,
    DRIP_MS = 8,
    READ_BYTES = 64 * 1024,
};

struct quirk_connection {
    struct quirk_proxy *p;
    struct quirk_connection *next;
    pthread_t thread;
    int fd;       /* guarded by p->mu where it is closed or shut down; -1: closed */
    int store_fd; /* likewise */
    bool is_done; /* guarded by p->mu: may be joined */
};

/* A request or an answer: head and body in one piece. */
struct message {
    struct buf bytes;
    size_t head_n; /* with the empty line */
    char method[QUIRK_TEXT_BYTES];
    char target[2048];
    int status;
};

static const char *const names[QUIRKS] = {
    [QUIRK_NONE] = "none",
    [QUIRK_UNAVAILABLE] = "unavailable",
    [QUIRK_THROTTLE] = "throttle",
    [QUIRK_BROKEN] = "broken",
    [QUIRK_OK_ERROR] = "ok-error",
    [QUIRK_RESET_REQUEST] = "reset-request",
    [QUIRK_RESET_ANSWER] = "reset-answer",
    [QUIRK_TRUNCATE] = "truncate",
    [QUIRK_DRIP] = "drip",
    [QUIRK_LOSE_ANSWER] = "lose-answer",
};

const char *quirk_name(enum quirk quirk)
{
    return names[quirk];
}

enum quirk quirk_of_name(const char *name)
{
    unsigned q = 0;

    while (q < QUIRKS && strcmp(names[q], name) != 0)
        q++;
    return (enum quirk)q;
}

/* ---- sockets ---- */

static bool send_all(int fd, const uint8_t *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = send(fd, p + done, n - done, MSG_NOSIGNAL);
        if (put <= 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

/* Closes under the lock, so that quirk_proxy_stop() never touches a descriptor that is another's.
 */
static void close_one(struct quirk_connection *c, int *fd, bool with_reset)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(pthread_mutex_lock(&c->p->mu), 0);
    if (*fd >= 0) {
        if (with_reset)
            (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        (void)close(*fd); /* what was sent is in the kernel's hands */
    }
    *fd = -1;
    assert_int_equal(pthread_mutex_unlock(&c->p->mu), 0);
}

static bool store_connect(struct quirk_connection *c)
{
    struct sockaddr_in at = loopback(c->p->store_port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
        (void)close(fd); /* never used */
        return false;
    }
    assert_int_equal(pthread_mutex_lock(&c->p->mu), 0);
    bool is_ending = c->p->is_ending;
    c->store_fd = fd;
    assert_int_equal(pthread_mutex_unlock(&c->p->mu), 0);
    return !is_ending;
}

/* ---- messages ---- */

/* Appends what arrives; false at the end of the connection or without memory. */
static bool message_more(int fd, struct message *m)
{
    struct error err = ERROR_INIT;
    uint8_t piece[READ_BYTES];
    ssize_t got = recv(fd, piece, sizeof(piece), 0);

    return got > 0 && buf_append(&m->bytes, piece, (size_t)got, &err) == 0;
}

static size_t find(const struct message *m, size_t from, const char *text)
{
    const uint8_t *at = NULL;

    if (m->bytes.p && m->bytes.n >= from)
        at = memmem(m->bytes.p + from, m->bytes.n - from, text, strlen(text));
    return at ? (size_t)(at - m->bytes.p) : SIZE_MAX;
}

static bool head_read(int fd, struct message *m)
{
    size_t end = find(m, 0, "\r\n\r\n");

    while (end == SIZE_MAX) {
        if (m->bytes.n > QUIRK_HEAD_BYTES_MAX || !message_more(fd, m))
            return false;
        end = find(m, 0, "\r\n\r\n");
    }
    m->head_n = end + 4;
    return true;
}

/* The value of a header, or NULL; terminated by a copy that the caller frees. */
static char *header_value(const struct message *m, const char *name)
{
    CLEANUP(mem_free) char *head = strndup((const char *)m->bytes.p, m->head_n);
    char wanted[80];

    assert_non_null(head);
    (void)snprintf(wanted, sizeof(wanted), "\r\n%s:", name);
    char *at = strcasestr(head, wanted);
    if (!at)
        return NULL;
    at += strlen(wanted);
    at += strspn(at, " \t");
    return strndup(at, strcspn(at, "\r"));
}

static bool body_read(int fd, struct message *m, size_t bytes)
{
    while (m->bytes.n < m->head_n + bytes) {
        if (!message_more(fd, m))
            return false;
    }
    return true;
}

static bool request_read(struct quirk_connection *c, struct message *m)
{
    CLEANUP(mem_free) char *length = NULL;
    CLEANUP(mem_free) char *expect = NULL;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!head_read(c->fd, m) ||
        sscanf((const char *)m->bytes.p, "%63s %2047s", m->method, m->target) != 2)
        return false;
    expect = header_value(m, "Expect");
    if (expect && !send_all(c->fd, (const uint8_t *)go_on, sizeof(go_on) - 1))
        return false;
    length = header_value(m, "Content-Length");
    return body_read(c->fd, m, length ? strtoull(length, NULL, 10) : 0);
}

/* Skips interim answers, so that m begins with the real one. */
static bool answer_head_read(int fd, struct message *m)
{
    for (;;) {
        if (!head_read(fd, m) || sscanf((const char *)m->bytes.p, "%*s %d", &m->status) != 1)
            return false;
        if (m->status >= 200)
            return true;
        memmove(m->bytes.p, m->bytes.p + m->head_n, m->bytes.n - m->head_n);
        m->bytes.n -= m->head_n;
    }
}

static bool answer_read(int fd, const char *method, struct message *m)
{
    CLEANUP(mem_free) char *length = NULL;
    CLEANUP(mem_free) char *encoding = NULL;

    if (!answer_head_read(fd, m))
        return false;
    if (strcmp(method, "HEAD") == 0 || m->status == 204 || m->status == 304)
        return true;
    encoding = header_value(m, "Transfer-Encoding");
    if (encoding) {
        while (find(m, m->head_n - 2, "\r\n0\r\n\r\n") == SIZE_MAX) {
            if (!message_more(fd, m))
                return false;
        }
        return true;
    }
    length = header_value(m, "Content-Length");
    if (length)
        return body_read(fd, m, strtoull(length, NULL, 10));
    while (message_more(fd, m)) {
    }
    return true;
}

/* ---- what a request suffers ---- */

static bool rule_fits(const struct quirk_rule *rule, const struct message *m)
{
    return rule->quirk != QUIRK_NONE &&
           (!rule->method[0] || strcmp(rule->method, m->method) == 0) &&
           (!rule->part[0] || strstr(m->target, rule->part));
}

static enum quirk quirk_decide(struct quirk_proxy *p, const struct message *m)
{
    if (p->strike_at && p->requests == p->strike_at)
        return p->strike;
    if (p->chance) {
        p->luck = history_mix(p->luck);
        if (p->luck % p->chance == 0)
            return (enum quirk)(1 + p->luck / p->chance % (QUIRKS - 1));
    }
    if (!rule_fits(&p->rule, m))
        return QUIRK_NONE;
    if (p->rule.pass_count > 0) {
        p->rule.pass_count--;
        return QUIRK_NONE;
    }
    if (p->rule.each && ++p->rule.fitted % p->rule.each != 0)
        return QUIRK_NONE;
    enum quirk quirk = p->rule.quirk;
    if (p->rule.times > 0 && --p->rule.times == 0)
        p->rule.quirk = QUIRK_NONE;
    return quirk;
}

static enum quirk quirk_take(struct quirk_proxy *p, const struct message *m)
{
    assert_int_equal(pthread_mutex_lock(&p->mu), 0);
    p->requests++;
    enum quirk quirk = quirk_decide(p, m);
    p->suffered += quirk != QUIRK_NONE;
    assert_int_equal(pthread_mutex_unlock(&p->mu), 0);
    return quirk;
}

/* ---- answers of our own ---- */

/* Instead of asking the store; the body is an error document as S3 writes it. */
static bool answer_instead(struct quirk_connection *c, const char *method, const char *status_line,
                           const char *code)
{
    char body[256];
    char text[640];
    int body_n = snprintf(body, sizeof(body),
                          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code>"
                          "<Message>by the quirk proxy</Message></Error>",
                          code);
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%s",
                     status_line, body_n, strcmp(method, "HEAD") == 0 ? "" : body);

    return send_all(c->fd, (const uint8_t *)text, (size_t)n);
}

static bool answer_drip(int fd, const struct message *m)
{
    size_t piece = m->bytes.n / DRIP_PIECES + 1;

    for (size_t at = 0; at < m->bytes.n; at += piece) {
        size_t n = m->bytes.n - at < piece ? m->bytes.n - at : piece;
        if (!send_all(fd, m->bytes.p + at, n))
            return false;
        (void)poll(NULL, 0, DRIP_MS); /* slowness is the point here */
    }
    return true;
}

/* Gives the store's answer back; false ends the connection. */
static bool answer_give(struct quirk_connection *c, const struct message *m, enum quirk quirk)
{
    switch (quirk) {
    case QUIRK_DRIP:
        return answer_drip(c->fd, m);
    case QUIRK_TRUNCATE:
    case QUIRK_RESET_ANSWER:
        (void)send_all(c->fd, m->bytes.p, m->bytes.n / 2); /* ends anyway */
        if (quirk == QUIRK_RESET_ANSWER)
            close_one(c, &c->fd, true);
        return false;
    case QUIRK_LOSE_ANSWER:
        return false;
    case QUIRK_NONE:
    case QUIRK_UNAVAILABLE:
    case QUIRK_THROTTLE:
    case QUIRK_BROKEN:
    case QUIRK_OK_ERROR:
    case QUIRK_RESET_REQUEST:
    case QUIRKS:
        break;
    }
    return send_all(c->fd, m->bytes.p, m->bytes.n);
}

/* ---- connections ---- */

static bool store_ask(struct quirk_connection *c, const struct message *request, enum quirk quirk)
{
    struct message answer = {.bytes = BUF_INIT(QUIRK_HEAD_BYTES_MAX + QUIRK_BODY_BYTES_MAX)};
    size_t half = request->head_n + (request->bytes.n - request->head_n) / 2;
    bool is_open = false;

    if (store_connect(c)) {
        if (quirk == QUIRK_RESET_REQUEST) {
            (void)send_all(c->store_fd, request->bytes.p, half); /* ends anyway */
            close_one(c, &c->fd, true);
        } else if (send_all(c->store_fd, request->bytes.p, request->bytes.n) &&
                   answer_read(c->store_fd, request->method, &answer)) {
            is_open = answer_give(c, &answer, quirk);
        }
    }
    close_one(c, &c->store_fd, quirk == QUIRK_RESET_REQUEST);
    buf_destroy(&answer.bytes);
    return is_open;
}

static bool request_serve(struct quirk_connection *c, const struct message *m)
{
    enum quirk quirk = quirk_take(c->p, m);

    switch (quirk) {
    case QUIRK_UNAVAILABLE:
        return answer_instead(c, m->method, "503 Slow Down", "SlowDown");
    case QUIRK_THROTTLE:
        return answer_instead(c, m->method, "429 Too Many Requests\r\nRetry-After: 1",
                              "TooManyRequests");
    case QUIRK_BROKEN:
        return answer_instead(c, m->method, "500 Internal Server Error", "InternalError");
    case QUIRK_OK_ERROR:
        return answer_instead(c, m->method, "200 OK", "InternalError");
    case QUIRK_NONE:
    case QUIRK_RESET_REQUEST:
    case QUIRK_RESET_ANSWER:
    case QUIRK_TRUNCATE:
    case QUIRK_DRIP:
    case QUIRK_LOSE_ANSWER:
    case QUIRKS:
        break;
    }
    return store_ask(c, m, quirk);
}

static void *connection_run(void *arg)
{
    struct quirk_connection *c = arg;
    bool is_open = true;

    while (is_open) {
        struct message m = {.bytes = BUF_INIT(QUIRK_HEAD_BYTES_MAX + QUIRK_BODY_BYTES_MAX)};
        is_open = request_read(c, &m) && request_serve(c, &m);
        buf_destroy(&m.bytes);
    }
    close_one(c, &c->fd, false);
    assert_int_equal(pthread_mutex_lock(&c->p->mu), 0);
    c->is_done = true;
    assert_int_equal(pthread_mutex_unlock(&c->p->mu), 0);
    return NULL;
}

/* Joins what has ended (everything: all of it). */
static void connections_reap(struct quirk_proxy *p, bool everything)
{
    struct quirk_connection *ended = NULL;

    assert_int_equal(pthread_mutex_lock(&p->mu), 0);
    for (struct quirk_connection **at = &p->connections; *at;) {
        struct quirk_connection *c = *at;
        if (!everything && !c->is_done) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        c->next = ended;
        ended = c;
    }
    assert_int_equal(pthread_mutex_unlock(&p->mu), 0);
    while (ended) {
        struct quirk_connection *next = ended->next;
        assert_int_equal(pthread_join(ended->thread, NULL), 0);
        free(ended);
        ended = next;
    }
}

static void *acceptor_run(void *arg)
{
    struct quirk_proxy *p = arg;

    for (;;) {
        int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        connections_reap(p, false);
        struct quirk_connection *c = calloc(1, sizeof(*c));
        assert_non_null(c);
        *c = (struct quirk_connection){.p = p, .fd = fd, .store_fd = -1};
        assert_int_equal(pthread_mutex_lock(&p->mu), 0);
        c->next = p->connections;
        p->connections = c;
        assert_int_equal(pthread_create(&c->thread, NULL, connection_run, c), 0);
        assert_int_equal(pthread_mutex_unlock(&p->mu), 0);
    }
}

void quirk_proxy_start(struct quirk_proxy *p, uint16_t store_port)
{
    struct sockaddr_in at = loopback(0);
    socklen_t bytes = sizeof(at);

    *p = (struct quirk_proxy){.store_port = store_port};
    assert_int_equal(pthread_mutex_init(&p->mu, NULL), 0);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(p->fd >= 0);
    assert_int_equal(bind(p->fd, (const struct sockaddr *)&at, bytes), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&at, &bytes), 0);
    p->port = ntohs(at.sin_port);
    assert_int_equal(listen(p->fd, 64), 0);
    assert_int_equal(pthread_create(&p->acceptor, NULL, acceptor_run, p), 0);
}

void quirk_proxy_stop(struct quirk_proxy *p)
{
    if (p->port == 0)
        return;
    (void)shutdown(p->fd, SHUT_RDWR); /* wakes the acceptor */
    assert_int_equal(pthread_join(p->acceptor, NULL), 0);
    assert_int_equal(pthread_mutex_lock(&p->mu), 0);
    p->is_ending = true;
    for (struct quirk_connection *c = p->connections; c; c = c->next) {
        if (c->fd >= 0)
            (void)shutdown(c->fd, SHUT_RDWR); /* the other side may be gone */
        if (c->store_fd >= 0)
            (void)shutdown(c->store_fd, SHUT_RDWR);
    }
    assert_int_equal(pthread_mutex_unlock(&p->mu), 0);
    connections_reap(p, true);
    (void)close(p->fd); /* a listening socket */
    assert_int_equal(pthread_mutex_destroy(&p->mu), 0);
    p->port = 0;
}

/* ---- orders ---- */

void quirk_proxy_set(struct quirk_proxy *p, const struct quirk_rule *rule)
{
    assert_int_equal(pthread_mutex_lock(&p->mu), 0);
    p->rule = rule ? *rule : (struct quirk_rule){.quirk = QUIRK_NONE};
    assert_int_equal(pthread_mutex_unlock(&p->mu), 0);
}

void quirk_proxy_strike(struct quirk_proxy *p, uint64_t n, enum quirk quirk)
{
    assert_int_equal(pthread_mutex_lock(&p->mu), 0);
    p->strike_at = n;
    p->strike = quirk;
    p->requests = 0;
    p->suffered = 0;
    assert_int_equal(pthread_mutex_unlock(&p->mu), 0);
}

void quirk_proxy_chance(struct quirk_proxy *p, uint64_t one_of, uint64_t seed)
{
    assert_int_equal(pthread_mutex_lock(&p->mu), 0);
    p->chance = one_of;
    p->luck = seed;
    assert_int_equal(pthread_mutex_unlock(&p->mu), 0);
}

static uint64_t number_read(struct quirk_proxy *p, const uint64_t *number)
{
    assert_int_equal(pthread_mutex_lock(&p->mu), 0);
    uint64_t n = *number;
    assert_int_equal(pthread_mutex_unlock(&p->mu), 0);
    return n;
}

uint64_t quirk_proxy_requests(struct quirk_proxy *p)
{
    return number_read(p, &p->requests);
}

uint64_t quirk_proxy_suffered(struct quirk_proxy *p)
{
    return number_read(p, &p->suffered);
}
