/*
 * Connections that are held, thousands of them: each asks the same server one small question after
 * the other, and between question and answer minutes may pass. libcurl keeps some 20 KB for a
 * request under way, this some 700 bytes (docs/decisions/0023-sidecars-are-listened-to.md has the
 * measurement).
 *
 * An answer that waits for long can be preceded by signs of life: interim answers (1xx), such as
 * http_server_respond_sign() sends. They are not waited for: the kernel keeps the few bytes without
 * waking this process (SO_RCVLOWAT), and it looks once in the time in which one must have come,
 * many connections at the same moment. So a sign costs a seventh of what a question and its answer do
 * (docs/decisions/0030-signs-of-life.md).
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
 * status is 100 to 199: signs of life came; the question goes on, and neither http_held_ask() nor
 * http_held_free() may be called from here.
 * Else, err->code is ERR_NONE: the server has answered, with this status and body (borrowed for the
 * call).
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
 * GET target ("/status/changes?seconds=15"), over the connection that there is or a new one. One
 * question at a time (asserted).
 *
 * deadline_ns  from now: until then the answer must have come
 * sign_ns      0: the server sends no signs of life. Else a sign will do until the deadline, and after
 *              that one in each sign_ns, for as long as the server likes; less than deadline_ns, and
 *              what is between them is how late a sign may be (noticed up to half of that later)
 *
 * done is called once with an answer or an error, and before that for signs.
 * ERR_NO_MEMORY, ERR_LIMIT (descriptors, a long target).
 */
MUST_USE int http_held_ask(struct http_held *h, const char *target, uint64_t deadline_ns,
                           uint64_t sign_ns, struct error *err);

/* Whether a question is not answered yet. */
bool http_held_is_asking(const struct http_held *h);

/* Closes the connection; a question under way is forgotten, its done not called. NULL ok. */
void http_held_free(struct http_held *h);

#endif
