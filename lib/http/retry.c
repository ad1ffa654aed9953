/*
 * Back-off. The ceiling of the delay before try number n+1 is base * 2^(n-1), at most the policy's;
 * the delay is a random part of it ("full jitter"). A server's Retry-After is a lower bound: its
 * wish is added as a whole to the jitter, because a fleet that was told the same number of seconds
 * would come back as one. Nothing is started that could only begin after the deadline.
 */
#include "lib/http/retry.h"

#include <string.h>

static const uint64_t retry_after_ns_max = NS_PER_HOUR;

const struct retry_policy retry_policy_default = {
    .base_ns = 200 * NS_PER_MS,
    .ceiling_ns = 20 * NS_PER_SEC,
    .tries_max = 10,
};

void retry_init(struct retry *r, const struct retry_policy *policy, const struct env *env,
                uint64_t total_ns)
{
    ASSERT(policy->base_ns > 0 && policy->base_ns <= policy->ceiling_ns);
    *r = (struct retry){.policy = policy};
    if (total_ns > 0 && !checked_add_u64(env_monotonic_ns(env), total_ns, &r->deadline_ns))
        r->deadline_ns = 0; /* further away than the clock reaches: none */
}

static uint64_t ceiling_of_try(const struct retry_policy *policy, unsigned tries)
{
    uint64_t ceiling_ns = policy->base_ns;

    for (unsigned i = 1; i < tries && ceiling_ns < policy->ceiling_ns; i++)
        ceiling_ns = ceiling_ns > policy->ceiling_ns / 2 ? policy->ceiling_ns : ceiling_ns * 2;
    return ceiling_ns;
}

/* The end: err keeps the last cause and tells the number of tries and the first cause. */
static bool retry_give_up(const struct retry *r, struct error *err)
{
    if (r->tries < 2)
        return false;
    if (strcmp(r->first.text, err->text) == 0)
        (void)error_wrap(err, "%u tries, each", r->tries);
    else
        (void)error_wrap(err, "%u tries, first \"%.300s\", last", r->tries, r->first.text);
    return false;
}

bool retry_next(struct retry *r, const struct env *env, uint64_t retry_after_ns,
                uint64_t *out_delay_ns, struct error *err)
{
    uint64_t begin_ns;

    ASSERT(err->code != ERR_NONE);
    r->tries++;
    if (r->tries == 1)
        r->first = *err;
    if (!error_is_retryable(err->code))
        return retry_give_up(r, err);
    if (r->policy->tries_max > 0 && r->tries >= r->policy->tries_max)
        return retry_give_up(r, err);
    if (retry_after_ns > retry_after_ns_max)
        retry_after_ns = retry_after_ns_max;
    uint64_t delay_ns =
        retry_after_ns + env_random_below(env, ceiling_of_try(r->policy, r->tries) + 1);
    if (r->deadline_ns > 0 && (!checked_add_u64(env_monotonic_ns(env), delay_ns, &begin_ns) ||
                               begin_ns >= r->deadline_ns))
        return retry_give_up(r, err);
    *out_delay_ns = delay_ns;
    return true;
}

uint64_t retry_after_parse(const char *value, uint64_t wall_ns)
{
    struct error ignored = ERROR_INIT;
    uint64_t at_ns = 0;
    uint64_t delay_ns = 0;

    if (!value || !*value)
        return 0;
    if (value[strspn(value, "0123456789")] == '\0') {
        /* Read on only until it is more than the hour that is the most we wait. */
        uint64_t s = 0;
        for (const char *p = value; *p && s <= retry_after_ns_max / NS_PER_SEC; p++)
            s = s * 10 + (uint64_t)(*p - '0');
        delay_ns = s * NS_PER_SEC;
    } else if (time_parse_http(value, &at_ns, &ignored) == 0 && at_ns > wall_ns) {
        delay_ns = at_ns - wall_ns;
    }
    return delay_ns < retry_after_ns_max ? delay_ns : retry_after_ns_max;
}
