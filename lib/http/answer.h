/*
 * The grammar of HTTP/1.x answers, for connections that do without libcurl (held.h): status line,
 * headers, and a body whose length the headers tell. Pure functions on bytes; strict, since nobody
 * but our own server has to be understood: an answer in chunks, or one that ends with its connection,
 * is refused. An interim answer (1xx) is read like another, without a body.
 *
 * Source: RFC 9112 (HTTP/1.1) sections 2 to 6.
 */
#ifndef WALFERRY_LIB_HTTP_ANSWER_H
#define WALFERRY_LIB_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/base.h"

enum {
    HTTP_ANSWER_HEAD_BYTES_MAX = 4096, /* status line and headers, with the empty line */
};

struct http_answer {
    int status;        /* 100 to 599 */
    bool keeps_alive;  /* the connection may be used again */
    size_t head_bytes; /* with the empty line: where the body begins */
    size_t body_bytes; /* Content-Length; 0 for an interim answer */
};

/*
 * Reads the answer that begins at bytes. Returns 1 if it is there with its whole body, 0 if more
 * bytes are needed (out is untouched), -1:
 *   ERR_CORRUPT      not HTTP/1.0 or 1.1, a line without CR LF, a bad or missing length
 *   ERR_LIMIT        a head of more than HTTP_ANSWER_HEAD_BYTES_MAX, a body of more than
 *                    body_bytes_max
 *   ERR_UNSUPPORTED  101 (a change of protocol), a transfer coding
 */
MUST_USE int http_answer_parse(struct slice bytes, size_t body_bytes_max, struct http_answer *out,
                               struct error *err);

#endif
