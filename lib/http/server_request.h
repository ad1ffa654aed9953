/*
 * The grammar of HTTP/1.x requests as the server reads them: request line, headers, what they say
 * about the body and the connection. Pure functions on bytes; strict wherever two readers could
 * understand a request differently (line ends, lengths, codings), because that is how requests are
 * smuggled.
 *
 * Source: RFC 9112 (HTTP/1.1) sections 2 to 6, RFC 9110 sections 5 and 7.2, RFC 3986 for escapes.
 */
#ifndef WALFERRY_LIB_HTTP_SERVER_REQUEST_H
#define WALFERRY_LIB_HTTP_SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    HTTP_HEAD_HEADERS_MAX = 64, /* of a request; more are answered 431 */
};

struct http_head_header {
    const char *name; /* as sent */
    const char *value;
};

/* All strings point into the bytes that were parsed. */
struct http_head {
    const char *method;
    const char *path;  /* decoded, begins with '/' */
    const char *query; /* as sent, without '?'; "" if none */
    unsigned minor;    /* HTTP/1.minor: 0 or 1 */
    struct http_head_header headers[HTTP_HEAD_HEADERS_MAX];
    size_t header_count;
    uint64_t body_bytes; /* Content-Length; 0 if none */
    bool keeps_alive;    /* the connection may be used again */
    bool wants_continue; /* Expect: 100-continue */
};

/*
 * Looks for the end of the head: the empty line. at is where the search before has stopped (0 at
 * first) and is moved on, so that bytes arriving one by one cost no more than at once.
 * Returns the length of the head with its empty line, 0 if it is not complete, -1 if a line does
 * not end in CR LF or a byte is zero (never a request).
 */
int64_t http_head_find_end(struct slice bytes, size_t *at);

/*
 * Parses a complete head, n bytes at p as http_head_find_end() told; the bytes are changed
 * (terminated in place, decoded).
 * -1: err->origin is the status to answer (400, 411, 417, 431, 501, 505), the text says why.
 */
MUST_USE int http_head_parse(char *p, size_t n, struct http_head *out, struct error *err);

/* A header of the head (the first of that name, any case); NULL if there is none. */
const char *http_head_header(const struct http_head *head, const char *name);

/*
 * Appends the decoded value of a parameter of a query ("a=1&b=x+y") to out.
 * Returns 1 if it is there, 0 if not, -1: ERR_USAGE (bad escape, a zero byte), ERR_LIMIT.
 */
MUST_USE int http_query_param(const char *query, const char *name, struct buf *out,
                              struct error *err);

/* "Not Found" for 404; "Unknown" for what we never send. */
const char *http_status_reason(int status);

#endif
