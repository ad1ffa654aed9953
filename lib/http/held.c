/*
 * One connection on libuv's stream, one question at a time.
 *
 *     NONE --ask--> CONNECTING --> OPEN --ask--> OPEN, asking --answer--> OPEN
 *      ^                |            |                |
 *      +---- error, deadline, end of the connection --+   (a question that waits hears of it)
 *
 * A connection (struct link) lives longer than its owner: libuv calls back after uv_close(), and
 * the request for connecting is in it. So the owner lets go of it and it frees itself.
 * What the server sends without being asked ends the connection.
 *
 * Signs of life (interim answers) are waited for so:
 *   1. the first one of a question is an event, as an answer is
 *   2. from then on the socket's low-water mark is above what a few signs are, and below what an
 *      answer of our own server is: signs wake nobody, answers and the end of the connection do
 *   3. at each deadline what has come is taken: a sign, and the deadline goes on by sign_ns; nothing,
 *      and the server is silent. A short answer of another server, which was below the mark, is
 *      found here, too
 *   4. the phase of the deadlines is the signs': a deadline is behind the time of a sign by how late
 *      one may be. If this process was late itself, the next sign is an event again, and tells
 *   5. deadlines are put off to the next of common moments, so that this process wakes once for many
 */
#include "lib/http/held.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "lib/http/answer.h"

enum {
    HELD_REQUEST_BYTES_MAX = 512,
    HELD_READ_BYTES = 4096, /* read at once, all connections into the same place */
    HELD_IN_BYTES_MAX = HTTP_ANSWER_HEAD_BYTES_MAX + HTTP_HELD_ANSWER_BYTES_MAX,
    HELD_LOW_WATER = 128, /* bytes: more than four signs, less than an answer of our server */
};

struct link {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct http_held *held; /* NULL: closed by its owner */
    bool is_open;
    int low_water; /* bytes that must have come before we hear of them; 1 between questions */
};

struct http_held {
    struct loop *loop;
    http_held_done_fn *done;
    void *arg;
    struct link *link; /* NULL: no connection */
    char *question;    /* what is sent; NULL: nothing is asked */
    struct buf in;     /* of the answer, as far as it has come in pieces */
    struct loop_timer deadline;
    uint64_t sign_ns; /* 0: no signs of life */
    uint64_t late_ns; /* how late a sign may be */
    uint64_t due_ns;  /* monotonic: of the deadline, with signs */
    uint16_t port;
    char ip[46];
};

/* ---- ends ---- */

static void link_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void link_close(struct http_held *h)
{
    struct link *link = TAKE(h->link);

    buf_destroy(&h->in);
    if (!link)
        return;
    link->held = NULL;
    uv_close((uv_handle_t *)&link->tcp, link_on_closed);
}

/* The question, if there is one, has come to this. h may be gone afterwards. */
static void settle(struct http_held *h, int status, struct slice body, struct error *err)
{
    loop_timer_stop(&h->deadline);
    if (!h->question)
        return;
    free(TAKE(h->question));
    if (err->code != ERR_NONE)
        (void)error_wrap(err, "%s port %u", h->ip, h->port);
    h->done(h->arg, status, body, err);
}

/* The connection is of no use any more. */
static void break_off(struct http_held *h, struct error *err)
{
    link_close(h);
    settle(h, 0, SLICE_EMPTY, err);
}

static void break_off_uv(struct http_held *h, const char *what, int rc)
{
    struct error err = ERROR_INIT;
    enum error_code code = ERR_UNAVAILABLE;

    if (rc == UV_ENOMEM)
        code = ERR_NO_MEMORY;
    else if (rc == UV_EMFILE || rc == UV_ENFILE)
        code = ERR_LIMIT;
    (void)error_set(&err, code, -rc, "%s: %s", what,
                    rc == UV_EOF ? "the connection was closed" : uv_strerror(rc));
    break_off(h, &err);
}

/* ---- when something must have come ---- */

static uint64_t now_ns(const struct http_held *h)
{
    return env_monotonic_ns(loop_env(h->loop));
}

/* Step 5. */
static void deadline_set(struct http_held *h, uint64_t due_ns)
{
    uint64_t grid_ns = h->late_ns / 2 + 1;
    uint64_t now = now_ns(h);

    h->due_ns = due_ns + (grid_ns - due_ns % grid_ns) % grid_ns;
    loop_timer_start(&h->deadline, h->due_ns > now ? h->due_ns - now : 0);
}

/* Step 2. */
static void low_water_set(struct link *link, int bytes)
{
    uv_os_fd_t fd;

    if (link->low_water == bytes || uv_fileno((uv_handle_t *)&link->tcp, &fd) < 0)
        return;
    /* Where it cannot be set, each sign is an event: it costs more. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
    link->low_water = bytes;
}

/* ---- the answer ---- */

static void on_room_wanted(uv_handle_t *handle UNUSED, size_t bytes UNUSED, uv_buf_t *out)
{
    static char room[HELD_READ_BYTES]; /* used until link_on_read() returns. owner: loop thread */

    *out = uv_buf_init(room, sizeof(room));
}

/* The rest of an answer, or of a sign, is not here yet: keeps what is. bytes may lie in h->in. */
static int rest_keep(struct http_held *h, struct slice bytes, struct error *err)
{
    if (h->in.n == 0)
        return buf_append_slice(&h->in, bytes, err);
    memmove(h->in.p, bytes.p, bytes.n);
    h->in.n = bytes.n;
    return 0;
}

static void answer_settle(struct http_held *h, const struct http_answer *answer, struct slice bytes)
{
    char body[HTTP_HELD_ANSWER_BYTES_MAX];
    struct error err = ERROR_INIT;

    ASSERT(bytes.p);                                                /* it has a head */
    memcpy(body, bytes.p + answer->head_bytes, answer->body_bytes); /* the buffer may go first */
    buf_destroy(&h->in);
    if (answer->keeps_alive)
        low_water_set(h->link, 1); /* what comes without being asked is an event, too */
    else
        link_close(h);
    settle(h, answer->status, slice_of(body, answer->body_bytes), &err);
}

/*
 * Reads what has come so far; bytes are borrowed. Returns how many signs of life were among it, -1
 * when the question is settled: then h may be gone.
 */
static int answer_look(struct http_held *h, struct slice bytes)
{
    struct error err = ERROR_INIT;
    struct http_answer answer;
    int signs = 0, rc;

    while ((rc = http_answer_parse(bytes, HTTP_HELD_ANSWER_BYTES_MAX, &answer, &err)) == 1 &&
           answer.status < 200) {
        h->done(h->arg, answer.status, SLICE_EMPTY, &err);
        bytes = slice_sub(bytes, answer.head_bytes, bytes.n);
        signs++;
    }
    if (rc == 0 && bytes.n == 0)
        buf_destroy(&h->in);
    else if (rc == 0)
        rc = rest_keep(h, bytes, &err);
    else if (rc == 1 && answer.head_bytes + answer.body_bytes != bytes.n)
        rc = error_set(&err, ERR_CORRUPT, 0, "bytes behind the answer");
    if (rc == 0)
        return signs;
    if (rc == 1)
        answer_settle(h, &answer, bytes);
    else
        break_off(h, &err);
    return -1;
}

/* The same for bytes that were read just now. */
static int bytes_look(struct http_held *h, struct slice bytes)
{
    struct error err = ERROR_INIT;

    if (h->in.n == 0)
        return answer_look(h, bytes);
    if (buf_append_slice(&h->in, bytes, &err) == 0)
        return answer_look(h, buf_slice(&h->in));
    break_off(h, &err);
    return -1;
}

static void link_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *room)
{
    struct link *link = stream->data;
    struct http_held *h = link->held;

    if (!h || n == 0) /* closed meanwhile; "try again" */
        return;
    if (n < 0) {
        break_off_uv(h, "read", (int)n);
        return;
    }
    if (!h->question) {
        link_close(h); /* it speaks without being asked */
        return;
    }
    int signs = bytes_look(h, slice_of(room->base, (size_t)n));
    if (signs < 0 || h->sign_ns == 0)
        return;
    /* Steps 1 and 4: one sign tells the phase, several say that we were late. */
    if (signs > 0)
        deadline_set(h, now_ns(h) + h->sign_ns + h->late_ns);
    low_water_set(link, signs == 1 && h->in.n == 0 ? HELD_LOW_WATER : 1);
}

/* Step 3: what has come below the low-water mark. The number of signs, -1 when the question is
 * settled. */
static int link_look(struct http_held *h)
{
    char room[HELD_READ_BYTES];
    uv_os_fd_t fd;
    int rc = uv_fileno((uv_handle_t *)&h->link->tcp, &fd);

    ASSERT(rc == 0); /* it is open */
    ssize_t n = recv(fd, room, sizeof(room), MSG_DONTWAIT);
    if (n > 0)
        return bytes_look(h, slice_of(room, (size_t)n));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    break_off_uv(h, "read", n == 0 ? UV_EOF : uv_translate_sys_error(errno));
    return -1;
}

static void on_deadline(void *arg)
{
    struct http_held *h = arg;
    struct error err = ERROR_INIT;
    int signs = h->sign_ns > 0 && h->link->is_open ? link_look(h) : 0;

    if (signs < 0)
        return;
    if (signs == 0) {
        (void)error_set(&err, ERR_TIMEOUT, 0, "no answer in time");
        break_off(h, &err);
        return;
    }
    /* Step 4. */
    bool is_late = now_ns(h) - h->due_ns > h->late_ns / 2;
    deadline_set(h, is_late ? now_ns(h) + h->sign_ns + h->late_ns : h->due_ns + h->sign_ns);
    low_water_set(h->link, is_late || h->in.n > 0 ? 1 : HELD_LOW_WATER);
}

/* ---- the question ---- */

/* 0, or what libuv says. The buffer of the socket is empty: a new one, or the last question was
 * answered. So a question is taken whole. */
static int question_send(struct http_held *h)
{
    uv_buf_t bytes = uv_buf_init(h->question, (unsigned)strlen(h->question));
    int n = uv_try_write((uv_stream_t *)&h->link->tcp, &bytes, 1);

    if (n < 0)
        return n;
    return n == (int)bytes.len ? 0 : UV_EAGAIN;
}

static void link_on_connected(uv_connect_t *request, int rc)
{
    struct link *link = request->handle->data;
    struct http_held *h = link->held;

    if (!h)
        return;
    link->is_open = rc == 0;
    if (rc == 0)
        rc = uv_read_start((uv_stream_t *)&link->tcp, on_room_wanted, link_on_read);
    if (rc == 0)
        rc = question_send(h);
    if (rc < 0)
        break_off_uv(h, "connect", rc);
}

static int address_of(const struct http_held *h, struct sockaddr_storage *out)
{
    return uv_ip4_addr(h->ip, h->port, (struct sockaddr_in *)out) == 0
               ? 0
               : uv_ip6_addr(h->ip, h->port, (struct sockaddr_in6 *)out);
}

static int link_open(struct http_held *h, struct error *err)
{
    struct sockaddr_storage address;
    struct link *link = mem_new(1, sizeof(*link), err);

    if (!link)
        return -1;
    int rc = uv_tcp_init(loop_uv(h->loop), &link->tcp);
    if (rc < 0) {
        free(link);
        return error_set_errno(err, -rc, "socket");
    }
    link->tcp.data = link;
    link->held = h;
    link->low_water = 1;
    h->link = link;
    rc = address_of(h, &address);
    ASSERT(rc == 0); /* http_held_new() has read it */
    rc = uv_tcp_connect(&link->connect, &link->tcp, (const struct sockaddr *)&address,
                        link_on_connected);
    if (rc == 0)
        return 0;
    link_close(h);
    (void)error_set_errno(err, -rc, "connect to %s port %u", h->ip, h->port);
    if (rc == UV_EMFILE || rc == UV_ENFILE)
        err->code = ERR_LIMIT;
    return -1;
}

/* Until when something must have come. */
static void question_time(struct http_held *h, uint64_t deadline_ns, uint64_t sign_ns)
{
    h->sign_ns = sign_ns;
    h->late_ns = deadline_ns - sign_ns;
    if (sign_ns > 0)
        deadline_set(h, now_ns(h) + deadline_ns);
    else
        loop_timer_start(&h->deadline, deadline_ns);
}

int http_held_ask(struct http_held *h, const char *target, uint64_t deadline_ns, uint64_t sign_ns,
                  struct error *err)
{
    bool is_v6 = strchr(h->ip, ':') != NULL;

    loop_assert_owner(h->loop);
    ASSERT(!h->question && sign_ns < deadline_ns);
    if (strlen(target) > HELD_REQUEST_BYTES_MAX / 2)
        return error_set(err, ERR_LIMIT, 0, "a target of %zu bytes", strlen(target));
    h->question = str_printf(err, "GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\n\r\n", target,
                             is_v6 ? "[" : "", h->ip, is_v6 ? "]" : "", h->port);
    if (!h->question)
        return -1;
    if (!h->link && link_open(h, err) < 0) {
        free(TAKE(h->question));
        return -1;
    }
    question_time(h, deadline_ns, sign_ns);
    if (!h->link->is_open)
        return 0;
    int rc = question_send(h);
    if (rc < 0) {
        loop_timer_stop(&h->deadline);
        link_close(h);
        free(TAKE(h->question));
        (void)error_set_errno(err, -rc, "write to %s port %u", h->ip, h->port);
        err->code = ERR_UNAVAILABLE;
        return -1;
    }
    return 0;
}

bool http_held_is_asking(const struct http_held *h)
{
    return h->question != NULL;
}

/* ---- life ---- */

int http_held_new(struct loop *loop, const char *ip, unsigned port, http_held_done_fn *done,
                  void *arg, struct http_held **out, struct error *err)
{
    struct sockaddr_storage address;
    struct http_held *h = mem_new(1, sizeof(*h), err);

    loop_assert_owner(loop);
    if (!h)
        return -1;
    h->loop = loop;
    h->done = done;
    h->arg = arg;
    h->port = (uint16_t)port;
    h->in = (struct buf)BUF_INIT(HELD_IN_BYTES_MAX);
    (void)snprintf(h->ip, sizeof(h->ip), "%s", ip); /* too long a text is no address either */
    loop_timer_init(&h->deadline, loop, on_deadline, h);
    if (port == 0 || port > UINT16_MAX || strlen(ip) >= sizeof(h->ip) ||
        address_of(h, &address) < 0) {
        free(h);
        return error_set(err, ERR_USAGE, 0, "%.60s port %u is no address", ip, port);
    }
    *out = h;
    return 0;
}

void http_held_free(struct http_held *h)
{
    if (!h)
        return;
    loop_timer_stop(&h->deadline);
    link_close(h);
    free(h->question);
    free(h);
}
