/*
 * One connection: reads requests, hands them to handlers, writes answers.
 *
 *            first byte        head complete          body complete
 *     IDLE ------------> HEAD ---------------> BODY ----------------> HANDLING
 *      ^                   |                     |                        | http_server_respond()
 *      |                   +------ refused ------+-----------> WRITING <--+
 *      +---- kept alive ---------------------------------------- |
 *                                    closes after a refusal      v
 *                                                             DRAINING ---> CLOSED
 *
 * Rules:
 *   1. Reading stops from HANDLING until the answer is written: what a peer can make us hold is one
 *      head, one body, one read (pipelined bytes wait in `in`, further ones in the kernel).
 *   2. In each state but HANDLING a timer runs: a peer that sends slowly, reads slowly or says
 *      nothing is closed by it. Handlers have deadlines of their own.
 *   3. A refusal that leaves bytes unread shuts our direction down and reads on for a while before
 *      closing: closing at once would reset the connection, and the peer would see no answer.
 *   4. Answers are written in pieces when the socket is writable; libwebsockets keeps at most the
 *      rest of one piece.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/http/server_internal.h"

static void connection_process(struct server_connection *c);

/* ---- states ---- */

static void connection_set_state(struct server_connection *c, enum connection_state state)
{
    static const char *const names[] = {
        [CONNECTION_IDLE] = "idle",       [CONNECTION_HEAD] = "head",
        [CONNECTION_BODY] = "body",       [CONNECTION_HANDLING] = "handling",
        [CONNECTION_WRITING] = "writing", [CONNECTION_DRAINING] = "draining",
        [CONNECTION_CLOSED] = "closed",
    };
    const struct http_server_config *config = &c->server->config;
    uint64_t deadline_ns = 0;

    if (config->log) {
        LOG_TRACE(config->log, "http connection", LOG_STR("from", names[c->state]),
                  LOG_STR("to", names[state]));
    }
    /* From the first byte of the head to the last of the body one deadline runs. */
    bool is_same_request = c->state == CONNECTION_HEAD && state == CONNECTION_BODY;
    c->state = state;
    if (is_same_request)
        return;
    if (state == CONNECTION_IDLE) {
        c->idle_since_ns = env_monotonic_ns(loop_env(c->server->loop));
        deadline_ns = config->idle_timeout_ns;
    }
    if (state == CONNECTION_HEAD || state == CONNECTION_BODY)
        deadline_ns = config->request_timeout_ns;
    else if (state == CONNECTION_WRITING)
        deadline_ns = config->write_timeout_ns;
    else if (state == CONNECTION_DRAINING)
        deadline_ns = SERVER_DRAIN_NS;
    if (deadline_ns > 0)
        loop_timer_start(&c->timer, deadline_ns);
    else
        loop_timer_stop(&c->timer);
}

/* Outside of libwebsockets' callbacks only; inside of them -1 is answered. */
static void connection_kill(struct server_connection *c)
{
    lws_set_timeout(c->wsi, (enum pending_timeout)PENDING_TIMEOUT_USER_REASON_BASE,
                    LWS_TO_KILL_SYNC);
}

static void request_free(struct http_server_request *request)
{
    if (!request)
        return;
    buf_destroy(&request->head_bytes);
    buf_destroy(&request->body);
    free(request);
}

/* ---- answers ---- */

static const char *http_date(uint64_t unix_ns, char out[static 32])
{
    time_t seconds = (time_t)(unix_ns / NS_PER_SEC);
    struct tm tm;

    /* The C locale is never changed in our programs, so the names are English. */
    if (!gmtime_r(&seconds, &tm) || strftime(out, 32, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        out[0] = '\0';
    return out;
}

static int response_head_write(struct server_connection *c,
                               const struct http_server_response *response, struct error *err)
{
    char date[32];
    const char *type =
        response->content_type ? response->content_type : "text/plain; charset=utf-8";

    if (buf_printf(&c->out, err,
                   "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                   "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
                   response->status, http_status_reason(response->status),
                   http_date(env_wall_ns(loop_env(c->server->loop)), date), type,
                   response->body.n) < 0)
        return -1;
    ASSERT(response->header_count <= HTTP_SERVER_RESPONSE_HEADERS_MAX);
    for (size_t i = 0; i < response->header_count; i++) {
        const struct http_header *h = &response->headers[i];
        ASSERT(!strpbrk(h->name, "\r\n:") && !strpbrk(h->value, "\r\n"));
        if (buf_printf(&c->out, err, "%s: %s\r\n", h->name, h->value) < 0)
            return -1;
    }
    return buf_printf(&c->out, err, "Connection: %s\r\n\r\n",
                      c->closes_after ? "close" : "keep-alive");
}

/* Builds the answer and begins to write it. Takes response->body. */
static void answer_start(struct server_connection *c, struct http_server_response *response,
                         bool has_body)
{
    struct error err = ERROR_INIT;
    bool joins = has_body && response->body.n <= SERVER_JOIN_BYTES;

    ASSERT(response->status >= 200 && response->status <= 599);
    c->out = (struct buf)BUF_INIT(SERVER_JOIN_BYTES * 2);
    c->out_at = 0;
    if (response_head_write(c, response, &err) < 0 ||
        (joins && buf_append_slice(&c->out, buf_slice(&response->body), &err) < 0)) {
        buf_destroy(&response->body);
        /* Out of memory, and perhaps inside of the handler's call: a timer closes it. */
        connection_set_state(c, CONNECTION_DRAINING);
        return;
    }
    if (has_body && !joins)
        c->out_body = buf_take(&response->body);
    buf_destroy(&response->body);
    connection_set_state(c, CONNECTION_WRITING);
    (void)lws_callback_on_writable(c->wsi); /* fails for a socket that is gone: the timer's, too */
}

/* Answers without a handler. */
static void connection_refuse(struct server_connection *c, int status, const char *text,
                              const char *allow)
{
    struct error err = ERROR_INIT;
    struct http_header header = {"Allow", allow};
    struct http_server_response response = {.status = status, .body = BUF_INIT(1024)};
    bool is_head = c->request && strcmp(c->request->head.method, "HEAD") == 0;

    if (allow) {
        response.headers = &header;
        response.header_count = 1;
    }
    if (buf_printf(&response.body, &err, "%.900s\n", text) < 0)
        buf_clear(&response.body); /* then without a text */
    request_free(TAKE(c->request));
    lws_rx_flow_control(c->wsi, 0);
    answer_start(c, &response, !is_head);
}

/* A refusal after which the peer and we may disagree where the next request begins. */
static void connection_refuse_and_close(struct server_connection *c, int status, const char *text)
{
    c->closes_after = true;
    c->drains_after = true;
    connection_refuse(c, status, text, NULL);
}

bool http_server_respond_sign(struct http_server_request *request)
{
    static const char sign[] = "HTTP/1.1 102 Processing\r\n\r\n";
    struct server_connection *c = request->connection;
    unsigned char piece[sizeof(sign)];

    if (!c)
        return false;
    loop_assert_owner(c->server->loop);
    ASSERT(c->state == CONNECTION_HANDLING && c->request == request);
    if (request->head.minor == 0)
        return true;
    memcpy(piece, sign, sizeof(sign));
    return lws_write(c->wsi, piece, sizeof(sign) - 1, LWS_WRITE_RAW) >= 0;
}

void http_server_respond(struct http_server_request *request, struct http_server_response *response)
{
    struct server_connection *c = request->connection;

    if (!c) {
        buf_destroy(&response->body);
        request_free(request);
        return;
    }
    loop_assert_owner(c->server->loop);
    ASSERT(c->state == CONNECTION_HANDLING && c->request == request);
    bool has_body = strcmp(request->head.method, "HEAD") != 0;
    c->request = NULL;
    request_free(request);
    answer_start(c, response, has_body);
}

void http_server_respond_text(struct http_server_request *request, int status, const char *fmt, ...)
{
    struct error err = ERROR_INIT;
    struct http_server_response response = {.status = status, .body = BUF_INIT(65536)};
    va_list ap;

    va_start(ap, fmt);
    if (buf_vprintf(&response.body, &err, fmt, ap) < 0 ||
        buf_append_byte(&response.body, '\n', &err) < 0)
        buf_clear(&response.body); /* the status alone says most of it */
    va_end(ap);
    http_server_respond(request, &response);
}

/* ---- requests ---- */

/* Finds the route, or refuses: true if the request goes on. */
static bool request_route(struct server_connection *c)
{
    const struct http_listener *listener = &c->listener->config;
    const char *method = c->request->head.method;
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    char allow[128] = "";

    for (size_t i = 0; i < listener->route_count; i++) {
        const struct http_route *route = &listener->routes[i];
        if (strcmp(route->path, c->request->head.path) != 0)
            continue;
        if (strcmp(route->method, wanted) == 0) {
            c->route = route;
            return true;
        }
        size_t n = strlen(allow);
        (void)snprintf(allow + n, sizeof(allow) - n, "%s%s%s", n ? ", " : "", route->method,
                       strcmp(route->method, "GET") == 0 ? ", HEAD" : ""); /* a few short words */
    }
    /* A body that we do not want is not worth reading. */
    c->closes_after = c->closes_after || c->request->head.body_bytes > 0;
    c->drains_after = c->request->head.body_bytes > 0;
    if (allow[0])
        connection_refuse(c, 405, "this path has other methods, see Allow", allow);
    else
        connection_refuse(c, 404, "no such path", NULL);
    return false;
}

/* Parses the head, the first n bytes of in. False: refused. */
static bool request_begin(struct server_connection *c, size_t n)
{
    struct error err = ERROR_INIT;
    const struct http_server_config *config = &c->server->config;
    struct http_server_request *request = mem_new(1, sizeof(*request), &err);

    if (!request) {
        connection_refuse_and_close(c, 503, "out of memory");
        return false;
    }
    c->request = request;
    request->connection = c;
    request->head = (struct http_head){.method = "", .path = "", .query = ""};
    request->head_bytes = (struct buf)BUF_INIT(config->head_bytes_max);
    request->body = (struct buf)BUF_INIT(config->body_bytes_max);
    if (buf_append(&request->head_bytes, c->in.p, n, &err) < 0) {
        connection_refuse_and_close(c, 503, "out of memory");
        return false;
    }
    memmove(c->in.p, c->in.p + n, c->in.n - n);
    c->in.n -= n;
    c->scan_at = 0;
    if (http_head_parse((char *)request->head_bytes.p, n, &request->head, &err) < 0) {
        request->head.method = "";
        connection_refuse_and_close(c, err.origin, err.text);
        return false;
    }
    c->closes_after = !request->head.keeps_alive;
    if (request->head.body_bytes > config->body_bytes_max) {
        connection_refuse_and_close(c, 413, "the body is larger than is accepted here");
        return false;
    }
    return request_route(c);
}

/* Moves what has arrived of the body. True when it is complete. */
static bool request_body_read(struct server_connection *c)
{
    struct error err = ERROR_INIT;
    struct http_server_request *request = c->request;
    size_t missing = (size_t)request->head.body_bytes - request->body.n;
    size_t n = c->in.n < missing ? c->in.n : missing;

    if (n > 0) {
        if (buf_append(&request->body, c->in.p, n, &err) < 0) {
            connection_refuse_and_close(c, 503, "out of memory");
            return false;
        }
        memmove(c->in.p, c->in.p + n, c->in.n - n);
        c->in.n -= n;
    }
    return n == missing;
}

static void connection_process_head(struct server_connection *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t max = c->server->config.head_bytes_max;
    int64_t end = http_head_find_end(buf_slice(&c->in), &c->scan_at);

    if (end < 0) {
        connection_refuse_and_close(c, 400, "a line of the head does not end in CR LF");
        return;
    }
    if ((size_t)end > max || (end == 0 && c->in.n >= max)) {
        connection_refuse_and_close(c, 431, "the request line and headers are too large");
        return;
    }
    if (end == 0 || !request_begin(c, (size_t)end))
        return;
    if (c->request->head.wants_continue && c->request->head.body_bytes > c->in.n) {
        unsigned char piece[sizeof(go_on)];
        memcpy(piece, go_on, sizeof(go_on));
        /* A failure shows at the next read or write of this socket. */
        (void)lws_write(c->wsi, piece, sizeof(go_on) - 1, LWS_WRITE_RAW);
    }
    connection_set_state(c, CONNECTION_BODY);
}

/* Goes as far as the bytes in `in` lead. */
static void connection_process(struct server_connection *c)
{
    if (c->state == CONNECTION_IDLE) {
        if (c->in.n == 0) {
            buf_destroy(&c->in); /* an idle connection costs no buffer */
            return;
        }
        connection_set_state(c, CONNECTION_HEAD);
    }
    if (c->state == CONNECTION_HEAD)
        connection_process_head(c);
    if (c->state != CONNECTION_BODY || !request_body_read(c))
        return;
    connection_set_state(c, CONNECTION_HANDLING);
    lws_rx_flow_control(c->wsi, 0);
    c->route->handler(c->listener->config.arg, c->request);
}

/* ---- libwebsockets' callbacks: -1 closes the connection ---- */

static int connection_on_read(struct server_connection *c, const void *p, size_t n)
{
    struct error err = ERROR_INIT;

    /* libwebsockets gives a TLS connection 5 s after its handshake and forgets that in its raw
     * role; the deadlines here are ours. */
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
    if (c->state == CONNECTION_DRAINING) {
        c->drained_bytes += n;
        return c->drained_bytes > SERVER_DRAIN_BYTES ? -1 : 0;
    }
    if (buf_append(&c->in, p, n, &err) < 0)
        return -1;
    if (c->state <= CONNECTION_BODY)
        connection_process(c);
    return 0;
}

/* The answer is out. */
static int connection_on_written(struct server_connection *c)
{
    buf_destroy(&c->out);
    buf_destroy(&c->out_body);
    if (!c->closes_after) {
        connection_set_state(c, CONNECTION_IDLE);
        lws_rx_flow_control(c->wsi, 1);
        connection_process(c);
        return 0;
    }
    if (!c->drains_after)
        return -1;
    connection_set_state(c, CONNECTION_DRAINING);
    buf_destroy(&c->in);
    lws_rx_flow_control(c->wsi, 1);
    (void)shutdown(lws_get_socket_fd(c->wsi), SHUT_WR); /* a failure shows at the next read */
    return 0;
}

static int connection_on_writable(struct server_connection *c)
{
    if (c->state != CONNECTION_WRITING)
        return 0;
    /* Whatever libwebsockets could not write before is out when it calls here. */
    struct buf *from = c->out_at < c->out.n ? &c->out : &c->out_body;
    size_t at = from == &c->out ? c->out_at : c->out_at - c->out.n;
    size_t n = from->n - at;
    if (n == 0)
        return connection_on_written(c);
    if (n > SERVER_WRITE_BYTES)
        n = SERVER_WRITE_BYTES;
    if (lws_write(c->wsi, from->p + at, n, LWS_WRITE_RAW) < 0)
        return -1;
    c->out_at += n;
    loop_timer_start(&c->timer, c->server->config.write_timeout_ns);
    return lws_callback_on_writable(c->wsi) < 0 ? -1 : 0;
}

static void connection_on_timer(void *arg)
{
    struct server_connection *c = arg;

    if (c->state == CONNECTION_HEAD || c->state == CONNECTION_BODY)
        connection_refuse_and_close(c, 408, "the request did not arrive in time");
    else
        connection_kill(c);
}

static int connection_on_open(struct server_connection *c, struct lws *wsi)
{
    struct server_listener *listener = lws_vhost_user(lws_get_vhost(wsi));
    struct http_server *server = listener->server;

    c->wsi = wsi;
    c->listener = listener;
    c->server = server;
    c->in = (struct buf)BUF_INIT(server->config.head_bytes_max + SERVER_RECORD_BYTES * 2);
    loop_timer_init(&c->timer, server->loop, connection_on_timer, c);
    c->next = server->connections;
    if (c->next)
        c->next->prev = c;
    server->connections = c;
    server->connection_count++;
    connection_set_state(c, CONNECTION_IDLE);
    /* A new connection has to say something soon; only between requests the idle time counts. */
    loop_timer_start(&c->timer, server->config.first_timeout_ns);
    return 0;
}

static void connection_on_close(struct server_connection *c)
{
    if (!c->server || c->state == CONNECTION_CLOSED)
        return; /* closed before it was opened: a TLS handshake that broke off */
    if (c->request && c->state == CONNECTION_HANDLING)
        c->request->connection = NULL; /* the handler's until it answers */
    else
        request_free(c->request);
    c->request = NULL;
    connection_set_state(c, CONNECTION_CLOSED);
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        c->server->connections = c->next;
    c->server->connection_count--;
    buf_destroy(&c->in);
    buf_destroy(&c->out);
    buf_destroy(&c->out_body);
}

int server_connection_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                               void *in, size_t len)
{
    struct server_connection *c = user;
    struct server_listener *listener;

    switch ((int)reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        listener = lws_vhost_user(in); /* user is the SSL_CTX, in the vhost */
        if (listener && listener->config.identity)
            tls_identity_attach(listener->config.identity, user);
        return 0;
    case LWS_CALLBACK_RAW_ADOPT:
        return c ? connection_on_open(c, wsi) : -1;
    case LWS_CALLBACK_RAW_RX:
        return connection_on_read(c, in, len);
    case LWS_CALLBACK_RAW_WRITEABLE:
        return connection_on_writable(c);
    case LWS_CALLBACK_RAW_CLOSE:
        if (c)
            connection_on_close(c);
        return 0;
    default:
        return 0;
    }
}

void server_connection_open(struct server_listener *listener, int fd)
{
    lws_sock_file_fd_type socket = {.sockfd = fd};
    /* NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): its enumerators are flags */
    lws_adoption_type type = LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL;

    /* It closes the socket itself when it fails. */
    (void)lws_adopt_descriptor_vhost(listener->vhost, type, socket,
                                     listener->server->protocols[0].name, NULL);
}

bool server_connection_evict(struct http_server *server)
{
    struct server_connection *oldest = NULL;

    for (struct server_connection *c = server->connections; c; c = c->next) {
        bool is_idle = c->state == CONNECTION_IDLE;
        if (is_idle && (!oldest || c->idle_since_ns <= oldest->idle_since_ns))
            oldest = c;
    }
    if (!oldest)
        return false;
    connection_kill(oldest);
    return true;
}

void server_connection_close_all(struct http_server *server)
{
    while (server->connections)
        connection_kill(server->connections);
}

/* ---- what a handler may ask ---- */

const char *http_server_request_method(const struct http_server_request *request)
{
    return request->head.method;
}

const char *http_server_request_path(const struct http_server_request *request)
{
    return request->head.path;
}

const char *http_server_request_header(const struct http_server_request *request, const char *name)
{
    return http_head_header(&request->head, name);
}

struct slice http_server_request_body(const struct http_server_request *request)
{
    return buf_slice(&request->body);
}

int http_server_request_param(const struct http_server_request *request, const char *name,
                              struct buf *out, struct error *err)
{
    return http_query_param(request->head.query, name, out, err);
}
