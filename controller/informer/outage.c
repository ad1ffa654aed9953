/*
 * What tells an outage: no answer, or one that says "later".
 */
#include "controller/informer/outage.h"

bool outage_failed(struct outage *o, const struct env *env, const struct log *log,
                   const struct error *err)
{
    struct error same = *err; /* refused now and late then is one outage */
    uint64_t count = 0;

    if (err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT)
        return false;
    same.code = ERR_UNAVAILABLE;
    if (log_repeat_is_due(&o->repeat, &same, env_monotonic_ns(env), &count))
        LOG_WARN(log, "API server does not answer", LOG_U64("failures", count), LOG_ERR(err));
    return true;
}

void outage_succeeded(struct outage *o, const struct log *log)
{
    if (log_repeat_end(&o->repeat))
        LOG_INFO(log, "API server answers again");
}
