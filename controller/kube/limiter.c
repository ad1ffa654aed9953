/*
 * Token bucket with debts: a reservation takes its token at once, even one that is not there yet,
 * and is told when it will be. So the order of reservations is the order of service.
 */
#include "controller/kube/limiter.h"

void limiter_init(struct limiter *l, double rate_per_s, double burst, uint64_t now_ns)
{
    *l = (struct limiter){
        .rate_per_s = rate_per_s, .burst = burst, .tokens = burst, .at_ns = now_ns};
}

static void limiter_advance(struct limiter *l, uint64_t now_ns)
{
    if (now_ns <= l->at_ns)
        return;
    l->tokens += (double)(now_ns - l->at_ns) / (double)NS_PER_SEC * l->rate_per_s;
    if (l->tokens > l->burst)
        l->tokens = l->burst;
    l->at_ns = now_ns;
}

uint64_t limiter_reserve(struct limiter *l, uint64_t now_ns)
{
    if (l->rate_per_s <= 0)
        return 0;
    limiter_advance(l, now_ns);
    l->tokens -= 1;
    if (l->tokens >= 0)
        return 0;
    return (uint64_t)(-l->tokens / l->rate_per_s * (double)NS_PER_SEC) + 1;
}

bool limiter_try(struct limiter *l, uint64_t now_ns)
{
    if (l->rate_per_s <= 0)
        return true;
    limiter_advance(l, now_ns);
    if (l->tokens < 1)
        return false;
    l->tokens -= 1;
    return true;
}
