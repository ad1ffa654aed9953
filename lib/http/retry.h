/*
 * When to try again: exponential back-off with full jitter (a random delay between 0 and the
 * current ceiling, so that a fleet does not return at the same instant), never below what the
 * server asked for by Retry-After. Pure; the caller owns the timer.
 * Source: RFC 9110 section 10.2.3 (Retry-After); AWS Architecture Blog, "Exponential Backoff And
 * Jitter" (full jitter).
 */
#ifndef WALFERRY_LIB_HTTP_RETRY_H
#define WALFERRY_LIB_HTTP_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

struct retry_policy {
    uint64_t base_ns;    /* first ceiling, doubled each try */
    uint64_t ceiling_ns; /* never more than this */
    unsigned tries_max;  /* requests in all, including the first; 0: until the deadline */
};

/* 200 ms doubling to 20 s, 10 tries. */
extern const struct retry_policy retry_policy_default;

struct retry {
    const struct retry_policy *policy;
    unsigned tries;       /* requests made so far */
    uint64_t deadline_ns; /* monotonic; 0: none */
    struct error first;   /* of the first failure */
};

/* Begins: policy is borrowed and outlives r; total_ns from now is the deadline, 0 for none. */
void retry_init(struct retry *r, const struct retry_policy *policy, const struct env *env,
                uint64_t total_ns);

/*
 * After a failed request: whether to try again, and when. retry_after_ns is the server's wish, 0 if
 * none. False: *err now tells number of tries, first and last cause.
 */
bool retry_next(struct retry *r, const struct env *env, uint64_t retry_after_ns,
                uint64_t *out_delay_ns, struct error *err);

/* A Retry-After header (seconds or an HTTP date) as a delay from wall_ns; 0 if NULL or unreadable.
 * At most one hour. */
uint64_t retry_after_parse(const char *value, uint64_t wall_ns);

#endif
