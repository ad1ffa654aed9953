/*
 * The HTTP client: libcurl's multi handle between the sockets and timers of the event loop.
 *
 * libcurl asks for sockets to be watched (on_socket_wish) and for one timer (on_timer_wish); we
 * tell it what happened (curl_multi_socket_action) and afterwards collect what is finished. libcurl
 * must not be entered again from its own callbacks, so nothing that our callers do there reaches
 * it at once:
 *
 *   1. http_start() puts the exchange into the queue `waiting` and arms the timer `sweep`.
 *   2. http_cancel() fills its error and moves it to `waiting` (decided), arms `sweep`.
 *   3. sweep, from the loop: gives new exchanges to libcurl (queue `running`), takes decided ones
 *      from it and finishes them.
 *   4. Sockets and libcurl's timer, from the loop: enter libcurl, then finish what it reports.
 *   5. An exchange reached the server over a new connection: sweep gives those that were told to
 *      share one and have none yet to libcurl again (see client_unpark()).
 *
 * Hence done runs only from steps 3 and 4, on top of the loop, never inside http_start(),
 * http_cancel() or a callback; and it may call both for any exchange. (http_abort() is the
 * exception that its name says: done runs inside it.)
 *
 * Lines. With a libcurl that cannot write over HTTP/2 (http_client_writes_over_http2()), PUT and
 * DELETE go by HTTP/1.1 over TLS. They have a multi handle, so connections, of their own: libcurl
 * 7.88 notes for a host, not for a connection, whether it can be shared, and with both kinds in one
 * pool it now and then gives a busy HTTP/1.1 connection to a second exchange, which then reads the
 * first one's answer.
 *
 * Sockets. A watched socket is a heap-allocated uv_poll_t, stopped at once when libcurl no longer
 * wants it (the number may be used again immediately) and freed by its close callback.
 */
#include "lib/http/client.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/exchange_internal.h"

enum {
    HTTP_CONNECTIONS_DEFAULT = 16,  /* per host */
    HTTP_CONNECTIONS_KEPT_MAX = 64, /* idle ones, all hosts */
};

enum line_kind {
    LINE_ANY,
    LINE_APART, /* made when it is first needed */
    LINES,
};

/* A multi handle of libcurl, with its connections. */
struct http_line {
    struct http_client *client;
    CURLM *multi;            /* NULL: not made */
    struct loop_timer timer; /* what libcurl asked for */
};

struct http_client {
    struct loop *loop;
    struct http_line lines[LINES];
    unsigned connections_max; /* per host and line */
    struct exchange_settings settings;
    struct loop_timer sweep; /* step 3 */
    struct exchange_queue waiting;
    struct exchange_queue running;
    struct http_socket *sockets; /* all that are watched */
    bool is_to_unpark;           /* step 5 */
    unsigned done_depth;         /* done callbacks on the stack */
    bool is_in_curl;             /* libcurl is on the stack, with on_data above it perhaps */
    enum error_code refuse_code; /* of http_start() while all exchanges are being ended */
};

struct http_socket {
    uv_poll_t poll;
    struct http_line *line;
    struct http_socket *next, *prev; /* in the client's list */
    curl_socket_t fd;
};

/* ---- queues ---- */

static void queue_push(struct exchange_queue *q, struct http_exchange *x)
{
    ASSERT(!x->queue);
    x->queue = q;
    x->next = NULL;
    x->prev = q->last;
    if (q->last)
        q->last->next = x;
    else
        q->first = x;
    q->last = x;
}

static void queue_remove(struct http_exchange *x)
{
    struct exchange_queue *q = x->queue;

    ASSERT(q);
    if (x->prev)
        x->prev->next = x->next;
    else
        q->first = x->next;
    if (x->next)
        x->next->prev = x->prev;
    else
        q->last = x->prev;
    x->queue = NULL;
}

static struct http_line *line_of(const struct http_exchange *x)
{
    return &x->client->lines[x->is_apart ? LINE_APART : LINE_ANY];
}

/* ---- finishing ---- */

/* Takes x from libcurl, if it has it, and calls done. */
static void client_finish(struct http_client *c, struct http_exchange *x, CURLcode result)
{
    queue_remove(x);
    /* Harmless for a handle that was never added. */
    CURLMcode rc = curl_multi_remove_handle(line_of(x)->multi, x->easy);
    ASSERT(rc == CURLM_OK);
    c->done_depth++;
    exchange_finish(x, result);
    c->done_depth--;
}

/* Finishes all exchanges, those that are decided with their own error. None can start meanwhile. */
static void client_finish_all(struct http_client *c, enum error_code code, const char *why)
{
    c->refuse_code = code;
    while (c->waiting.first || c->running.first) {
        struct http_exchange *x = c->waiting.first ? c->waiting.first : c->running.first;
        if (x->err.code == ERR_NONE)
            (void)error_set(&x->err, code, 0, "%s", why);
        client_finish(c, x, CURLE_OK);
    }
    c->refuse_code = ERR_NONE;
}

/* Step 4, second half. */
static void line_collect(struct http_line *l)
{
    int left;

    for (CURLMsg *msg = curl_multi_info_read(l->multi, &left); msg;
         msg = curl_multi_info_read(l->multi, &left)) {
        struct http_exchange *x = NULL;
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode result = msg->data.result; /* msg is gone once the handle is removed */
        CURLcode rc = curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &x);
        ASSERT(rc == CURLE_OK && x);
        client_finish(l->client, x, result);
    }
}

/* Step 4. */
static void line_enter(struct http_line *l, curl_socket_t fd, int flags)
{
    struct http_client *c = l->client;
    int running;

    c->is_in_curl = true;
    CURLMcode rc = curl_multi_socket_action(l->multi, fd, flags, &running);
    c->is_in_curl = false;
    if (rc == CURLM_ABORTED_BY_CALLBACK) {
        /* on_socket_wish() had no memory. libcurl goes on once it has lost all its transfers. */
        client_finish_all(c, ERR_NO_MEMORY, "out of memory for a socket");
        return;
    }
    ASSERT(rc == CURLM_OK || rc == CURLM_BAD_SOCKET); /* the latter: closed meanwhile */
    line_collect(l);
}

/* Gives a waiting exchange to libcurl; ends it if libcurl does not take it. */
static void client_add(struct http_client *c, struct http_exchange *x)
{
    CURLMcode rc = curl_multi_add_handle(line_of(x)->multi, x->easy);

    if (rc != CURLM_OK) {
        (void)error_set(&x->err, ERR_NO_MEMORY, (int)rc, "%s", curl_multi_strerror(rc));
        client_finish(c, x, CURLE_OK);
        return;
    }
    queue_remove(x);
    x->state = EXCHANGE_RUNNING;
    queue_push(&c->running, x);
}

/*
 * Step 5. libcurl parks an exchange that is to share a connection (CURLOPT_PIPEWAIT) while it does
 * not know whether the one being opened can be shared. With HTTP/1.1 it looks at the parked ones
 * again when an answer comes (7.88) or only when another exchange ends (8.14): behind a watch, which
 * never does, they would wait forever. Now that there is a connection, they share it or open their
 * own.
 *
 * One that has a socket already is connecting, not parked. Their order stays.
 */
static void client_unpark(struct http_client *c)
{
    struct http_exchange *next;

    c->is_to_unpark = false;
    for (struct http_exchange *x = c->running.first; x; x = next) {
        next = x->next;
        if (!x->is_parkable)
            continue;
        CURLMcode rc = curl_multi_remove_handle(line_of(x)->multi, x->easy);
        ASSERT(rc == CURLM_OK);
        CURLcode set = curl_easy_setopt(x->easy, CURLOPT_PIPEWAIT, 0L);
        ASSERT(set == CURLE_OK);
        x->is_parkable = false;
        queue_remove(x);
        x->state = EXCHANGE_WAITING;
        queue_push(&c->waiting, x);
    }
}

void exchange_on_connection(struct http_exchange *x)
{
    x->client->is_to_unpark = true;
    loop_timer_start(&x->client->sweep, 0);
}

/* Steps 3 and 5. */
static void on_sweep(void *arg)
{
    struct http_client *c = arg;

    if (c->is_to_unpark)
        client_unpark(c);
    while (c->waiting.first) {
        struct http_exchange *x = c->waiting.first;
        if (x->state == EXCHANGE_DECIDED)
            client_finish(c, x, CURLE_OK);
        else
            client_add(c, x);
    }
}

/* ---- what libcurl wants from the loop ---- */

static void on_curl_timer(void *arg)
{
    line_enter(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer_wish(CURLM *multi UNUSED, long timeout_ms, void *arg)
{
    struct http_line *l = arg;

    if (timeout_ms < 0)
        loop_timer_stop(&l->timer);
    else
        loop_timer_start(&l->timer, (uint64_t)timeout_ms * NS_PER_MS);
    return 0;
}

static void on_socket_event(uv_poll_t *poll, int status, int events)
{
    struct http_socket *s = poll->data;
    int flags = 0;

    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    line_enter(s->line, s->fd, flags); /* s may be closed when this returns */
}

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct http_socket *socket_new(struct http_line *l, curl_socket_t fd)
{
    struct http_client *c = l->client;
    struct http_socket *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    if (uv_poll_init(loop_uv(c->loop), &s->poll, fd) < 0) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    s->line = l;
    s->fd = fd;
    s->next = c->sockets;
    if (s->next)
        s->next->prev = s;
    c->sockets = s;
    return s;
}

static void socket_close(struct http_client *c, struct http_socket *s)
{
    if (s->next)
        s->next->prev = s->prev;
    if (s->prev)
        s->prev->next = s->next;
    else
        c->sockets = s->next;
    uv_close((uv_handle_t *)&s->poll, on_socket_closed);
}

/* -1 makes line_enter() see CURLM_ABORTED_BY_CALLBACK. */
static int on_socket_wish(CURL *easy UNUSED, curl_socket_t fd, int what, void *line, void *socket)
{
    struct http_line *l = line;
    struct http_socket *s = socket;
    int events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (s)
            socket_close(l->client, s);
        return 0;
    }
    if (!s) {
        s = socket_new(l, fd);
        if (!s)
            return -1;
        CURLMcode rc = curl_multi_assign(l->multi, fd, s);
        ASSERT(rc == CURLM_OK);
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    return uv_poll_start(&s->poll, events, on_socket_event) < 0 ? -1 : 0;
}

/* Makes the multi handle of a line, unless it has one. */
static int line_make(struct http_line *l, struct error *err)
{
    unsigned max = l->client->connections_max;
    long per_host = max ? (long)max : HTTP_CONNECTIONS_DEFAULT;

    if (l->multi)
        return 0;
    l->multi = curl_multi_init();
    if (!l->multi)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for the HTTP client");
    if (curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish) != CURLM_OK ||
        curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l) != CURLM_OK ||
        curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) != CURLM_OK ||
        curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l) != CURLM_OK ||
        curl_multi_setopt(l->multi, CURLMOPT_MAX_HOST_CONNECTIONS, per_host) != CURLM_OK ||
        curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CONNECTIONS_KEPT_MAX) !=
            CURLM_OK ||
        curl_multi_setopt(l->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX) != CURLM_OK) {
        return error_set(err, ERR_UNSUPPORTED, 0, "libcurl %s lacks an option that we need",
                         curl_version());
    }
    return 0;
}

/* ---- requests ---- */

int http_start(struct http_client *c, const struct http_request *req, http_done_fn *done, void *arg,
               struct http_exchange **out, struct error *err)
{
    struct http_exchange *x;

    loop_assert_owner(c->loop);
    ASSERT(done);
    if (c->refuse_code != ERR_NONE)
        return error_set(err, c->refuse_code, 0, "the HTTP client is ending its requests");
    if (exchange_new(c->loop, &c->settings, req, &x, err) < 0)
        return -1;
    x->client = c;
    if (line_make(line_of(x), err) < 0) {
        exchange_free(x);
        return -1;
    }
    x->done = done;
    x->arg = arg;
    queue_push(&c->waiting, x);
    if (x->deadline_ns > 0)
        loop_timer_start(&x->deadline, x->deadline_ns);
    loop_timer_start(&c->sweep, 0);
    if (out)
        *out = x;
    return 0;
}

void http_cancel(struct http_exchange *x)
{
    struct http_client *c = x->client;

    loop_assert_owner(c->loop);
    if (x->state == EXCHANGE_DECIDED || x->state == EXCHANGE_DONE)
        return;
    (void)error_set(&x->err, ERR_CANCELED, 0, "canceled");
    x->state = EXCHANGE_DECIDED;
    queue_remove(x);
    queue_push(&c->waiting, x);
    loop_timer_start(&c->sweep, 0);
}

void http_abort(struct http_exchange *x)
{
    struct http_client *c = x->client;

    loop_assert_owner(c->loop);
    ASSERT(!c->is_in_curl);
    ASSERT(x->state != EXCHANGE_DONE);
    if (x->err.code == ERR_NONE)
        (void)error_set(&x->err, ERR_CANCELED, 0, "canceled");
    client_finish(c, x, CURLE_OK);
}

void exchange_on_timeout(struct http_exchange *x)
{
    client_finish(x->client, x, CURLE_OK);
}

struct wait {
    struct buf *body;
    int status;
    struct error err;
    bool is_done;
};

static void wait_on_done(void *arg, const struct http_response *response)
{
    struct wait *w = arg;

    w->is_done = true;
    w->status = response->status;
    w->err = *response->err;
    if (w->err.code == ERR_NONE && buf_append_slice(w->body, response->body, &w->err) < 0)
        (void)error_wrap(&w->err, "answer"); /* http_wait() looks at w->err */
}

int http_wait(struct http_client *c, const struct http_request *req, int *out_status,
              struct buf *body, struct error *err)
{
    struct wait w = {.body = body, .err = ERROR_INIT};
    struct http_request mine = *req;

    ASSERT(!req->on_data);
    if (mine.body_bytes_max == 0)
        mine.body_bytes_max = body->max - body->n;
    if (http_start(c, &mine, wait_on_done, &w, NULL, err) < 0)
        return -1;
    bool is_done = loop_run_until(c->loop, &w.is_done);
    ASSERT(is_done);
    if (w.err.code != ERR_NONE) {
        *err = w.err;
        return -1;
    }
    *out_status = w.status;
    return 0;
}

/* ---- the client itself ---- */

/*
 * Once a process. With NOSIGNAL libcurl leaves SIGPIPE to us: a peer that closes must be an error
 * of that one exchange. A handler somebody installed stays.
 */
static void global_init(void)
{
    struct sigaction old;
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
    ASSERT(rc == CURLE_OK);
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        (void)sigaction(SIGPIPE, &ignore, NULL); /* fails only for signals that do not exist */
}

int http_client_new(struct loop *loop, const struct http_client_config *config,
                    struct http_client **out, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct http_client *c;

    loop_assert_owner(loop);
    (void)pthread_once(&once, global_init); /* cannot fail with a valid once */
    c = mem_new(1, sizeof(*c), err);
    if (!c)
        return -1;
    c->loop = loop;
    c->connections_max = config->connections_max;
    for (size_t i = 0; i < LINES; i++) {
        c->lines[i].client = c;
        loop_timer_init(&c->lines[i].timer, loop, on_curl_timer, &c->lines[i]);
    }
    loop_timer_init(&c->sweep, loop, on_sweep, c);
    if (settings_make(&c->settings, config, err) < 0 || line_make(&c->lines[LINE_ANY], err) < 0) {
        http_client_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

int http_client_reconfigure(struct http_client *c, const struct http_client_config *config,
                            struct error *err)
{
    struct exchange_settings settings;

    loop_assert_owner(c->loop);
    if (settings_make(&settings, config, err) < 0)
        return -1;
    settings_destroy(&c->settings);
    c->settings = settings;
    return 0;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    loop_assert_owner(c->loop);
    ASSERT(c->done_depth == 0); /* not from within a done */
    client_finish_all(c, ERR_CANCELED, "canceled");
    /* Closes the kept connections: the last wishes about sockets and timer come from here. */
    for (size_t i = 0; i < LINES; i++) {
        struct http_line *l = &c->lines[i];
        CURLMcode rc = curl_multi_cleanup(l->multi); /* NULL: CURLM_BAD_HANDLE, harmless */
        ASSERT(rc == CURLM_OK || !l->multi);
    }
    /* A libcurl that ran out of memory in between forgets some that it had asked for. */
    while (c->sockets)
        socket_close(c, c->sockets);
    for (size_t i = 0; i < LINES; i++)
        loop_timer_stop(&c->lines[i].timer);
    loop_timer_stop(&c->sweep);
    settings_destroy(&c->settings);
    free(c);
}
