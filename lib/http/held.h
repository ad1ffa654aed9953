/*
 * Connections that are held, thousands of them: each asks the same server one small question after
 * the other, and between question and answer minutes may pass. libcurl keeps some 20 KB for a
 * request under way, this some 700 bytes (docs/decisions/0023-sidecars-are-listened-to.md has the
 * measurement).
 *
 * What cannot be had here: TLS, names (the server is an address in digits), proxies, bodies to send,
 * answers beyond HTTP_HELD_ANSWER_BYTES_MAX. That is client.h's.
 *
 * Threads: all on the loop thread. done never runs inside http_held_ask().
 */
#ifndef WALFERRY_LIB_HTTP_HELD_H
#define WALFERRY_LIB_HTTP_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"

enum {
    HTTP_HELD_ANSWER_BYTES_MAX = 1024, /* of a body */
};

struct http_held;

/*
 * err->code is ERR_NONE: the server has answered, with this status and body (borrowed for the call).
 * Else there is no answer: ERR_UNAVAILABLE (nobody listens, reset, closed), ERR_TIMEOUT,
 * ERR_NO_MEMORY, ERR_LIMIT (descriptors), or what http_answer_parse() says; the next question opens
 * a new connection. http_held_ask() and http_held_free() may be called from here.
 */
typedef void http_held_done_fn(void *arg, int status, struct slice body, const struct error *err);

/*
 * Prepares; nothing is sent, no descriptor taken. ip: IPv4 or IPv6 in digits.
 * ERR_USAGE (address, port), ERR_NO_MEMORY.
 */
MUST_USE int http_held_new(struct loop *loop, const char *ip, unsigned port,
                           http_held_done_fn *done, void *arg, struct http_held **out,
                           struct error *err);

/*
 * GET target ("/status/changes?seconds=15"), over the connection that there is or a new one. done is
 * called once, deadline_ns from now at the latest. One question at a time (asserted).
 * ERR_NO_MEMORY, ERR_LIMIT (descriptors, a long target).
 */
MUST_USE int http_held_ask(struct http_held *h, const char *target, uint64_t deadline_ns,
                           struct error *err);

/* Whether a question is not answered yet. */
bool http_held_is_asking(const struct http_held *h);

/* Closes the connection; a question under way is forgotten, its done not called. NULL ok. */
void http_held_free(struct http_held *h);

#endif
