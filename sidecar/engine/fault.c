/*
 * Faults that last: kept for status, logged when they begin or change and then every 30 s.
 */
#include "sidecar/engine/engine_internal.h"

void fault_note(struct engine *e, struct fault *f, const char *what, const char *path,
                const char *destination, const struct error *err)
{
    uint64_t count = 0;

    f->last = *err;
    f->last_at_ns = env_wall_ns(e->env);
    f->streak++;
    f->total++;
    if (log_repeat_is_due(&f->repeat, err, env_monotonic_ns(e->env), &count))
        LOG_ERROR(e->log, what, LOG_STR("db", path),
                  LOG_STR(destination ? "destination" : NULL, destination), LOG_ERR(err),
                  LOG_HINT(err), LOG_U64("count", count));
}

void fault_end(struct engine *e, struct fault *f, const char *what, const char *path,
               const char *destination)
{
    f->streak = 0;
    if (log_repeat_end(&f->repeat))
        LOG_INFO(e->log, what, LOG_STR("db", path),
                 LOG_STR(destination ? "destination" : NULL, destination));
}
