/*
 * HTTP requests of a program: libcurl's multi interface on the event loop. Connections are kept and
 * shared, HTTP/2 is used where the server has it (see http_client_writes_over_http2()), nothing
 * blocks.
 *
 * What cannot be had here, on purpose: redirects are never followed (a 3xx is an answer like any
 * other), credentials are never forwarded, protocols are http and https only, and certificates are
 * verified (peer and host) unless the configuration says `skip_verify`, which is logged by its
 * owner. Bodies come from a blob or a slice, so a request can be repeated.
 *
 * Threads: all on the loop thread. Callbacks never run inside http_start().
 */
#ifndef WALFERRY_LIB_HTTP_CLIENT_H
#define WALFERRY_LIB_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/blob.h"
#include "lib/io/loop.h"

enum {
    HTTP_HEADERS_MAX = 32,             /* of a request */
    HTTP_ERROR_BODY_BYTES_MAX = 65536, /* kept of an answer that is not 2xx */
    HTTP_RESPONSE_HEADERS_MAX = 100,
};

struct http_client;
struct http_exchange; /* a request under way; gone once done was called */

struct http_client_config {
    const char *ca_file;         /* PEM bundle instead of the system's; NULL: system's */
    bool skip_verify;            /* do not verify TLS certificates: the user said so, aloud */
    unsigned connections_max;    /* per host; 0: 16 */
    uint64_t connect_timeout_ns; /* 0: 10 s */
    const char *user_agent;      /* NULL: "walferry" */

    /* PEM texts, copied; NULL: none. ca_pem is trusted instead of the system's (and ca_file). */
    const char *ca_pem;
    const char *cert_pem, *key_pem; /* who we are, for servers that ask: both or none */
    /* The name to ask for (SNI) and to find in the certificate, whatever the URL's host is. */
    const char *tls_server_name;
    const char *proxy_url; /* http://, https:// or socks5://; NULL: by the environment */
    bool accepts_gzip;     /* answers may come compressed; limits count what they unpack to */
    bool
        shares_connection; /* with HTTP/2, wait for a connection to share instead of opening more */
};

/* config is read, not kept. The first client of the process makes it ignore SIGPIPE (a peer that
 * closes is an error of one exchange), unless a handler is installed. ERR_USAGE if the CA file
 * cannot be read or a PEM text holds none, ERR_NO_MEMORY. */
MUST_USE int http_client_new(struct loop *loop, const struct http_client_config *config,
                             struct http_client **out, struct error *err);

/* Requests that start from now on go by this configuration (connections_max stays); those under way
 * and their connections are left alone. On failure nothing has changed. Errors of
 * http_client_new(). */
MUST_USE int http_client_reconfigure(struct http_client *c, const struct http_client_config *config,
                                     struct error *err);

/* Cancels what is under way (done runs with ERR_CANCELED) and closes the connections. NULL ok. Not
 * from within a callback of this client. */
void http_client_free(struct http_client *c);

/*
 * Whether PUT and DELETE may use HTTP/2 like all other methods. Older libcurl than 8.14.1 resets a
 * stream that ended without a body, although it is over; servers count resets (a thousand in a row
 * are an attack, CVE-2023-44487) and cut the connection with all that is on it. With those, PUT and
 * DELETE go over HTTP/1.1. Any thread.
 */
bool http_client_writes_over_http2(void);

struct http_header {
    const char *name;
    const char *value;
};

struct http_request {
    const char *method;                /* "GET", "PUT", ... */
    const char *url;                   /* absolute, already percent-encoded */
    const struct http_header *headers; /* copied */
    size_t header_count;
    /* The body, if any: a part of a blob (borrowed until done) or a slice (copied). */
    const struct blob *body_blob;
    uint64_t body_offset;
    uint64_t body_bytes;
    struct slice body_slice;
    bool has_body;           /* also an empty one: sends Content-Length: 0 */
    uint64_t body_bytes_max; /* of an answer kept in response->body; 0: 1 MiB */
    uint64_t deadline_ns;    /* whole exchange, from now; 0: none. After a sleep of the machine that
                                goes beyond it nothing more is sent */
    uint64_t stall_ns;       /* ends with ERR_TIMEOUT after so long without a byte; 0: 30 s */
    /*
     * Receives the body of a 2xx answer instead of response->body; may be NULL. Answering -1 with
     * err filled ends the exchange with that error.
     */
    int (*on_data)(void *arg, struct slice chunk, struct error *err);
    const char *unix_socket; /* connect there instead of to the URL's host; NULL: no */
    const char *shown_url;   /* what errors call the URL; NULL: the URL without user and query */
};

/* Valid during done. */
struct http_response {
    int status;              /* 0 if no answer came */
    struct slice body;       /* of a non-2xx answer, or without on_data */
    const struct error *err; /* transport: code ERR_NONE if an answer came whole */
    const struct http_exchange *exchange;
    uint64_t sent_bytes;
    uint64_t received_bytes;
};

typedef void http_done_fn(void *arg, const struct http_response *response);

/*
 * Starts a request; everything in req is copied except body_blob. *out (may be NULL) is for
 * http_cancel(). Errors at start: ERR_NO_MEMORY, ERR_USAGE (bad URL).
 * Transport errors in done: ERR_UNAVAILABLE (cannot connect, reset, TLS handshake cut),
 * ERR_TIMEOUT, ERR_ACCESS (certificate not trusted), ERR_LIMIT (answer too large), ERR_CANCELED.
 */
MUST_USE int http_start(struct http_client *c, const struct http_request *req, http_done_fn *done,
                        void *arg, struct http_exchange **out, struct error *err);

/*
 * Ends an exchange soon: its done runs with ERR_CANCELED from the loop, never inside this call.
 * Safe in every callback, also for the exchange that is calling.
 */
void http_cancel(struct http_exchange *x);

/*
 * Ends an exchange at once: its done runs with ERR_CANCELED (or what was decided before) within
 * this call. For owners that go away while the client stays. Not from within an on_data of this
 * client (asserted), nor for the exchange whose done is calling.
 */
void http_abort(struct http_exchange *x);

/* A header of the answer (last one of that name, any case), NULL if it has none. During done. */
const char *http_response_header(const struct http_response *response, const char *name);

/* http_start() for one-after-the-other code: runs the loop; the answer's body goes to body. */
MUST_USE int http_wait(struct http_client *c, const struct http_request *req, int *out_status,
                       struct buf *body, struct error *err);

#endif
