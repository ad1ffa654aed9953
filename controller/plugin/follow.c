/*
 * A watch that ends: by what its objects say, by time, or by a signal.
 */
#include "controller/plugin/follow.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "controller/plugin/facts.h"
#include "lib/io/signals.h"

struct following {
    const struct follow *follow;
    bool is_done;
    enum follow_end end;
    struct error err; /* of a callback */
};

static void finish(struct following *f, enum follow_end end)
{
    if (f->is_done)
        return;
    f->is_done = true;
    f->end = end;
}

/* What a callback has answered. */
static void hear(struct following *f, int rc)
{
    if (rc != 0)
        finish(f, FOLLOW_ENOUGH);
}

static int on_object(void *arg, enum kube_change change, struct jsonval object,
                     struct error *err UNUSED)
{
    struct following *f = arg;

    if (f->is_done ||
        (f->follow->name && strcmp(fact_text(object, "metadata.name"), f->follow->name) != 0))
        return 0;
    hear(f, f->follow->on_object(f->follow->arg, object, change == KUBE_OBJECT_GONE, &f->err));
    return 0;
}

static void on_begin(void *arg UNUSED)
{
}

static void on_synced(void *arg)
{
    struct following *f = arg;

    if (!f->is_done && f->follow->on_synced)
        hear(f, f->follow->on_synced(f->follow->arg, &f->err));
}

static void on_fault(void *arg UNUSED, const struct error *err, uint64_t delay_ns)
{
    char text[FACT_TEXT_BYTES];

    (void)fprintf(stderr, "Warning: %s; again in %s\n", err->text,
                  age_format(delay_ns + NS_PER_SEC - 1, text));
}

static void on_timeout(void *arg)
{
    finish(arg, FOLLOW_TIMEOUT);
}

static void on_signal(void *arg, int signum UNUSED)
{
    finish(arg, FOLLOW_INTERRUPTED);
}

static int watch_start(struct session *s, struct following *f, struct kube_watch **out,
                       struct error *err)
{
    CLEANUP(mem_free)
    char *selector = f->follow->name ? str_printf(err, "metadata.name=%s", f->follow->name) : NULL;
    const struct kube_watch_config config = {
        .resource = f->follow->resource,
        .namespace_name = f->follow->namespace_name,
        .field_selector = selector,
        .label_selector = f->follow->label_selector,
        .handler = {.on_begin = on_begin,
                    .on_object = on_object,
                    .on_synced = on_synced,
                    .on_fault = on_fault},
        .arg = f,
    };

    if (f->follow->name && !selector)
        return -1;
    return kube_watch_start(s->client, &config, out, err);
}

int follow_run(struct session *s, const struct follow *follow, enum follow_end *out_end,
               struct error *err)
{
    static const int signums[] = {SIGINT, SIGTERM};
    struct following f = {.follow = follow, .err = ERROR_INIT};
    struct kube_watch *watch = NULL;
    struct signals *signals = NULL;
    struct loop_timer timer;

    loop_timer_init(&timer, s->loop, on_timeout, &f);
    if (watch_start(s, &f, &watch, err) < 0)
        return -1;
    int rc = signals_new(s->loop, signums, ARRAY_LEN(signums), on_signal, &f, &signals, err);
    if (rc == 0) {
        if (follow->timeout_ns > 0)
            loop_timer_start(&timer, follow->timeout_ns);
        bool is_done = loop_run_until(s->loop, &f.is_done);
        ASSERT(is_done);
    }
    loop_timer_stop(&timer);
    signals_free(signals);
    kube_watch_stop(watch);
    if (rc == 0 && f.err.code != ERR_NONE) {
        *err = f.err;
        rc = -1;
    }
    if (rc == 0)
        *out_end = f.end;
    return rc;
}
