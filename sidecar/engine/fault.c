/*
 * Faults that last: kept for status, logged when they begin or change and then every 30 s. An error
 * takes a kilobyte, and most of a thousand databases never have one: so they are kept on the heap.
 */
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/engine_internal.h"

void error_keep(struct error **kept, const struct error *err)
{
    if (err->code == ERR_NONE) {
        free(TAKE(*kept));
        return;
    }
    if (!*kept)
        *kept = malloc(sizeof(**kept));
    if (*kept)
        **kept = *err;
}

void text_keep(char **kept, const char *text)
{
    free(TAKE(*kept));
    if (*text)
        *kept = strdup(text);
}

const struct error *fault_last(const struct fault *f)
{
    static const struct error none = ERROR_INIT;
    return f->last ? f->last : &none;
}

void fault_keep(struct engine *e, struct fault *f, const struct error *err)
{
    error_keep(&f->last, err);
    f->last_at_ns = env_wall_ns(e->env);
}

void fault_destroy(struct fault *f)
{
    free(TAKE(f->last));
}

void fault_note(struct engine *e, struct fault *f, const char *what, const char *path,
                const char *destination, const struct error *err)
{
    uint64_t count = 0;

    fault_keep(e, f, err);
    f->streak++;
    f->total++;
    if (f->streak == 1)
        engine_changed(e);
    if (log_repeat_is_due(&f->repeat, err, env_monotonic_ns(e->env), &count)) {
        LOG_ERROR(e->log, what, LOG_STR("db", path),
                  LOG_STR(destination ? "destination" : NULL, destination), LOG_ERR(err),
                  LOG_HINT(err), LOG_U64("count", count));
    }
}

void fault_end(struct engine *e, struct fault *f, const char *what, const char *path,
               const char *destination)
{
    if (f->streak > 0)
        engine_changed(e);
    f->streak = 0;
    if (log_repeat_end(&f->repeat)) {
        LOG_INFO(e->log, what, LOG_STR("db", path),
                 LOG_STR(destination ? "destination" : NULL, destination));
    }
}
