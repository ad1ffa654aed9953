/*
 * Token bucket: rate tokens a second, at most burst of them saved up. Pure; the caller owns the
 * clock. A reservation may lie in the future, so that those who wait are served in their order
 * (as golang.org/x/time/rate does it).
 */
#ifndef WALFERRY_CONTROLLER_KUBE_LIMITER_H
#define WALFERRY_CONTROLLER_KUBE_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

struct limiter {
    double rate_per_s; /* 0: no limit */
    double burst;
    double tokens; /* as of at_ns; negative: reserved ahead */
    uint64_t at_ns;
};

/* Begins with a full bucket. */
void limiter_init(struct limiter *l, double rate_per_s, double burst, uint64_t now_ns);

/* Takes a token, now or ahead. Returns how long to wait for it, 0 when it is there. */
uint64_t limiter_reserve(struct limiter *l, uint64_t now_ns);

/* Takes a token if there is one now. */
bool limiter_try(struct limiter *l, uint64_t now_ns);

#endif
