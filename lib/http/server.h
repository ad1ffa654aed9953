/*
 * The HTTP/1.1 server of a program: metrics, health, control socket, admission webhook. It hangs in
 * the event loop, on libwebsockets, and listens on TCP addresses and UNIX sockets.
 *
 *     static const struct http_route routes[] = {
 *         {"GET", "/healthz", on_healthz},
 *         {"POST", "/sync", on_sync},
 *     };
 *     struct http_server_config config = {.listener_count = 1};
 *     config.listeners[0] = (struct http_listener){.address = "127.0.0.1", .routes = routes, ...};
 *     http_server_new(loop, &config, &server, err);
 *
 * A handler is called once for each request that has a route, whole body included, and answers by
 * http_server_respond(), in the handler or any time later. Everything else the server answers
 * itself, with a line of text:
 *
 *   400  not HTTP/1.x, no or two Host headers, bad lengths, bad percent-escapes
 *   404  no such path                        405  path exists, method does not (with Allow)
 *   408  head or body not in time            411  a body of unknown length (chunked)
 *   413  body too large                      417  an expectation other than 100-continue
 *   431  head too large, too many headers    501  an unknown transfer coding
 *   503  too many connections                505  another version than HTTP/1.0 and 1.1
 *
 * A route for GET serves HEAD too. Connections are kept; pipelined requests are answered in order,
 * one at a time. Every answer carries `Cache-Control: no-store` and `X-Content-Type-Options:
 * nosniff`.
 *
 * libwebsockets carries the sockets (readiness, TLS, partial writes) in its raw role; the grammar
 * of requests is server_request.h, since its own parser closes without an answer where 431 is due,
 * takes CONNECT and h2c as a change of protocol, and reads chunked bodies as further requests.
 *
 * Threads: all on the loop thread.
 */
#ifndef WALFERRY_LIB_HTTP_SERVER_H
#define WALFERRY_LIB_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/base.h"
#include "lib/http/client.h"
#include "lib/io/loop.h"
#include "lib/tls/identity.h"

enum {
    HTTP_SERVER_LISTENERS_MAX = 4,
    HTTP_SERVER_ROUTES_MAX = 64,          /* of a listener */
    HTTP_SERVER_CONNECTIONS_MAX = 16384,  /* the most a configuration may ask for */
    HTTP_SERVER_RESPONSE_HEADERS_MAX = 8, /* of the handler's own */
    HTTP_SERVER_ACCEPTS_MAX = 64,         /* connections taken in one turn of the loop */
};

struct http_server;
struct http_server_request; /* from the handler's call until http_server_respond() */

/* Must lead to exactly one http_server_respond(request, ...). arg is the listener's. */
typedef void http_handler_fn(void *arg, struct http_server_request *request);

struct http_route {
    const char *method; /* "GET" (serves HEAD too), "POST", ... */
    const char *path;   /* exactly this, after percent-decoding: "/metrics" */
    http_handler_fn *handler;
};

/*
 * One place to listen: an address and port, or a UNIX socket. Routes and unix_path are borrowed
 * until http_server_free(), the rest is read by http_server_new() only.
 */
struct http_listener {
    const char *address; /* IPv4 or IPv6 in digits; "" or NULL: every address of the host */
    unsigned port;       /* 0: the kernel picks, see http_server_port() */

    /* Instead of an address. A socket file that nobody listens on any more is replaced; one that
     * somebody listens on is ERR_EXISTS. Removed at http_server_free(). */
    const char *unix_path;
    mode_t unix_mode; /* of the socket file: who may connect; 0: 0600 */

    /* PEM files: serve TLS 1.2 and newer (not on UNIX sockets). Both or none. */
    const char *cert_path;
    const char *key_path;

    /* Instead of files: serve TLS with what this holds at each handshake, so that it can be
     * replaced while connections go on. Borrowed until http_server_free(). */
    struct tls_identity *identity;

    const struct http_route *routes;
    size_t route_count;
    void *arg; /* for the handlers */
};

struct http_server_config {
    struct http_listener listeners[HTTP_SERVER_LISTENERS_MAX];
    size_t listener_count;

    size_t head_bytes_max;       /* request line and headers; 0: 8 KiB */
    size_t body_bytes_max;       /* 0: 64 KiB */
    unsigned connections_max;    /* of all listeners; 0: 256. The longest idle one makes room */
    uint64_t request_timeout_ns; /* from the first byte to the last of a request; 0: 10 s */
    uint64_t idle_timeout_ns;    /* a connection without a request; 0: 90 s */
    uint64_t first_timeout_ns;   /* a new connection, until its first byte; 0: request_timeout_ns */
    uint64_t write_timeout_ns;   /* without the peer taking a byte of the answer; 0: 30 s */

    const struct log *log; /* debug lines, libwebsockets' own too; NULL: none. Borrowed */
};

/*
 * Opens all listeners and begins to serve. config is read, what it points at is borrowed.
 * ERR_USAGE (address, path too long, certificate or key unreadable), ERR_EXISTS (address or socket
 * in use), ERR_ACCESS, ERR_UNSUPPORTED (libwebsockets' libuv plug-in is not installed),
 * ERR_NO_MEMORY.
 */
MUST_USE int http_server_new(struct loop *loop, const struct http_server_config *config,
                             struct http_server **out, struct error *err);

/*
 * Stops listening and closes all connections. Requests that were not answered stay valid until
 * http_server_respond(), which then does nothing but free them. Not from within a handler.
 * What libwebsockets allocated for the server (about 50 KB, two descriptors) stays until the
 * process ends, see server.c: a program has one server, not one a request. Accepts NULL.
 */
void http_server_free(struct http_server *server);

/* The port that a listener got; 0 for a UNIX socket. */
unsigned http_server_port(const struct http_server *server, size_t listener_idx);

/* Connections open now. */
unsigned http_server_connection_count(const struct http_server *server);

/* ---- what a handler may ask; valid until http_server_respond() ---- */

/* As sent: "GET", "HEAD", "POST", ... */
const char *http_server_request_method(const struct http_server_request *request);
/* Decoded, without the query. */
const char *http_server_request_path(const struct http_server_request *request);
/* A header (the first of that name, any case); NULL if there is none. */
const char *http_server_request_header(const struct http_server_request *request, const char *name);
/* All of it; empty if none was sent. */
struct slice http_server_request_body(const struct http_server_request *request);

/*
 * Appends the decoded value of a parameter of the query to out.
 * Returns 1 if it is there, 0 if not, -1: ERR_USAGE (bad escape, a zero byte), ERR_LIMIT.
 */
MUST_USE int http_server_request_param(const struct http_server_request *request, const char *name,
                                       struct buf *out, struct error *err);

/* ---- the answer ---- */

struct http_server_response {
    int status;                        /* 200, 404, ... */
    const char *content_type;          /* NULL: "text/plain; charset=utf-8" */
    struct buf body;                   /* moved out: empty afterwards. {0} for none */
    const struct http_header *headers; /* further ones; no CR or LF in them (asserted) */
    size_t header_count;
};

/*
 * A sign of life to who waits for a late answer: an interim answer, "102 Processing" (RFC 2518,
 * 10.1), before http_server_respond(), as often as the handler likes. Only for peers that asked for
 * it: not every client expects one. One of HTTP/1.0 gets none.
 * False: the peer has left; nobody will hear the answer either.
 */
bool http_server_respond_sign(struct http_server_request *request);

/*
 * Answers a request, which is gone afterwards. response->body is taken. If memory is out, or the
 * peer has left, the connection is closed instead.
 */
void http_server_respond(struct http_server_request *request,
                         struct http_server_response *response);

/* The same with a line of text; fmt without newline at its end. */
void http_server_respond_text(struct http_server_request *request, int status, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif
