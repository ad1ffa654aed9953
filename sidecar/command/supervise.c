/*
 * A small state machine: RUNNING -> (child told) -> STOPPING -> DONE.
 */
#include "sidecar/command/supervise.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cli/termination.h"
#include "lib/io/child.h"
#include "lib/io/shellwords.h"
#include "lib/io/signals.h"

struct supervisor {
    const struct supervise_options *opt;
    struct signals *signals;
    struct reaper *reaper;
    struct child *child;
    int child_status;
    bool is_signaled; /* a signal that ends came once */
    bool is_stopping; /* engine_stop() was called */
    bool is_stale;    /* and that is why */
    struct loop_timer stale_timer;
    int status;
};

static void tell_unshipped(struct supervisor *s, const struct engine_outcome *o)
{
    char text[1536];

    (void)snprintf(text, sizeof(text), "%zu database%s unshipped commits; first %s (%s): %s\n",
                   o->unshipped_databases, o->unshipped_databases == 1 ? " has" : "s have",
                   o->first_path, o->first_destination ? o->first_destination : "not followed",
                   o->first_error->code != ERR_NONE ? o->first_error->text : "no time was left");
    LOG_ERROR(s->opt->log, "ended with unshipped commits",
              LOG_U64("databases", o->unshipped_databases), LOG_STR("first", o->first_path),
              LOG_STR("destination", o->first_destination),
              LOG_STR("error", o->first_error->code != ERR_NONE ? o->first_error->text : NULL));
    termination_message(loop_env(s->opt->loop), slice_of_str(text));
}

static void stopped(void *arg, const struct engine_outcome *outcome)
{
    struct supervisor *s = arg;

    s->status = s->child_status;
    if (s->is_stale && !s->is_signaled) {
        LOG_INFO(s->opt->log, "a database is to be rolled forward");
    } else if (outcome->unshipped_databases > 0) {
        tell_unshipped(s, outcome);
        if (s->status == 0)
            s->status = outcome->first_error->code == ERR_FENCED ? 5 : 1;
    } else {
        LOG_INFO(s->opt->log, "ended, everything is shipped");
    }
    loop_stop(s->opt->loop);
}

static void stop(struct supervisor *s)
{
    if (s->is_stopping)
        return;
    s->is_stopping = true;
    engine_stop(s->opt->engine, stopped, s);
}

/* ---- a stale database ---- */

void supervise_on_stale(void *stale, const char *path UNUSED)
{
    struct supervise_stale *link = stale;
    struct supervisor *s = link->supervisor;

    link->is_found = true;
    if (s)
        loop_timer_start(&s->stale_timer, 0);
}

static void stale_on_timer(void *arg)
{
    struct supervisor *s = arg;

    s->is_stale = s->is_stale || !s->is_stopping; /* the second of two changes nothing */
    stop(s);
}

/* ---- child and signals ---- */

static void child_ended(void *arg, const struct child_exit *exit)
{
    struct supervisor *s = arg;

    s->child = NULL;
    s->child_status = child_exit_status(exit);
    LOG_INFO(s->opt->log, "application ended", LOG_I64("status", s->child_status));
    stop(s);
}

static void signaled(void *arg, int signum)
{
    struct supervisor *s = arg;
    char name[16];

    LOG_INFO(s->opt->log, "signal", LOG_STR("signal", signal_name(signum, name)),
             LOG_BOOL("is_second", s->is_signaled));
    if (signum == SIGUSR1 || signum == SIGUSR2 || (s->child && signum == SIGHUP)) {
        if (s->child) /* the application's own business; without one nobody's */
            child_signal(s->child, signum);
        return;
    }
    if (s->is_signaled) {
        termination_message(loop_env(s->opt->loop), slice_of_str("aborted by a second signal\n"));
        if (s->child)
            child_signal(s->child, SIGKILL);
        _exit(1);
    }
    s->is_signaled = true;
    if (s->child) {
        engine_drain(s->opt->engine);
        child_signal(s->child, signum);
        return;
    }
    stop(s);
}

static int child_begin(struct supervisor *s, struct error *err)
{
    CLEANUP(shellwords_destroy) struct shellwords words = {.argv = NULL};

    if (shellwords_split(s->opt->exec, &words, err) < 0 ||
        reaper_new(s->opt->loop, &s->reaper, err) < 0)
        return error_wrap(err, "-exec");
    const struct child_config config = {.argv = words.argv};
    if (child_start(s->reaper, &config, child_ended, s, &s->child, err) < 0)
        return error_wrap(err, "-exec");
    return 0;
}

/* ---- once: sync, snapshot, retention, end ---- */

/* A step of -once that did not come about makes the exit status. */
static void once_judge(struct supervisor *s, const char *what, const struct engine_outcome *o)
{
    if (o->unshipped_databases == 0)
        return;
    s->child_status = 1;
    LOG_ERROR(s->opt->log, what, LOG_U64("databases", o->unshipped_databases),
              LOG_STR("first", o->first_path), LOG_STR("destination", o->first_destination),
              LOG_STR("error", o->first_error->code != ERR_NONE ? o->first_error->text : NULL));
}

/*
 * Whether a step has only run out of time: a large database and a slow store need what they need.
 * What fails, is refused or not followed has a reason, and is not waited for any longer.
 */
static bool once_needs_time(const struct supervisor *s, const struct engine_outcome *o)
{
    return o->unshipped_databases > 0 && o->first_destination && o->first_error->code == ERR_NONE &&
           !s->is_stopping;
}

static void once_expired(void *arg, const struct engine_outcome *outcome)
{
    struct supervisor *s = arg;

    if (once_needs_time(s, outcome)) {
        engine_expire(s->opt->engine, s->opt->timeout_ns, once_expired, s);
        return;
    }
    once_judge(arg, "retention was not enforced", outcome);
    stop(arg);
}

static void once_snapshotted(void *arg, const struct engine_outcome *outcome)
{
    struct supervisor *s = arg;

    if (s->opt->force_snapshot && once_needs_time(s, outcome)) {
        engine_snapshot(s->opt->engine, s->opt->timeout_ns, once_snapshotted, s);
        return;
    }
    if (s->opt->force_snapshot)
        once_judge(s, "snapshot was not written", outcome);
    if (s->opt->enforce_retention)
        engine_expire(s->opt->engine, s->opt->timeout_ns, once_expired, s);
    else
        stop(s);
}

static void once_synced(void *arg, const struct engine_outcome *outcome)
{
    struct supervisor *s = arg;

    if (once_needs_time(s, outcome))
        engine_sync(s->opt->engine, s->opt->timeout_ns, once_synced, s);
    else if (s->opt->force_snapshot && !s->is_stopping)
        engine_snapshot(s->opt->engine, s->opt->timeout_ns, once_snapshotted, s);
    else
        once_snapshotted(s, outcome);
}

int supervise_run(const struct supervise_options *options, struct supervise_end *out,
                  struct error *err)
{
    struct supervisor s = {.opt = options, .child_status = options->has_failed};
    static const int heard[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

    if (signals_new(options->loop, heard, ARRAY_LEN(heard), signaled, &s, &s.signals, err) < 0)
        return -1;
    if (options->exec && child_begin(&s, err) < 0) {
        signals_free(s.signals);
        reaper_free(s.reaper);
        return -1;
    }
    loop_timer_init(&s.stale_timer, options->loop, stale_on_timer, &s);
    if (options->stale)
        options->stale->supervisor = &s;
    if (options->is_once)
        engine_sync(options->engine, options->timeout_ns, once_synced, &s);
    loop_run(options->loop);
    signals_free(s.signals);
    reaper_free(s.reaper);
    loop_timer_stop(&s.stale_timer);
    if (options->stale)
        options->stale->supervisor = NULL;
    *out = (struct supervise_end){.status = s.status, .is_stale = s.is_stale && !s.is_signaled};
    return 0;
}
