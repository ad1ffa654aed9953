/*
 * The life of `walferry replicate` once everything is configured: the engine, the child process
 * (-exec), signals, and how it all ends.
 *
 *   SIGTERM, SIGINT, SIGQUIT  the first: the child is told and waited for; then the tail of all
 *   (SIGHUP without a child)  databases is shipped in parallel under one deadline; then everything
 *                             closes. The second: ends at once, with exit status 1
 *   SIGHUP, SIGUSR1, SIGUSR2  are passed on to the child
 *   the child ends by itself  as after a first signal; its exit status is ours
 *   a database is stale       (only if asked for) everything closes
 *
 * Exit status: the child's if that is not 0; 5 if fenced; 1 if something committed here has not
 * reached a destination; else 0. The reason also goes into the termination message
 * (/dev/termination-log where the container runtime made one).
 */
#ifndef WALFERRY_SIDECAR_COMMAND_SUPERVISE_H
#define WALFERRY_SIDECAR_COMMAND_SUPERVISE_H

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "sidecar/engine/engine.h"

/* From the engine to the supervisor; zeroed at first, outlives both. */
struct supervise_stale {
    struct supervisor *supervisor;
    bool is_found; /* the engine told of one; it stays so until both begin anew */
};

/* engine_options.on_stale, with such a link as its arg: everything ends, to be begun anew. */
void supervise_on_stale(void *stale, const char *path);

struct supervise_options {
    struct loop *loop;
    const struct log *log;
    struct engine *engine;
    const char *exec;       /* command line of the child; NULL: none */
    bool is_once;           /* sync, then end */
    bool force_snapshot;    /* with is_once */
    bool enforce_retention; /* with is_once */
    bool has_failed;        /* something else did: the exit status is 1 at best */
    uint64_t timeout_ns;    /* of each step of is_once, for what fails; slow work is waited for */
    struct supervise_stale *stale; /* NULL: a stale database is no reason to end */
};

/* How it ended. */
struct supervise_end {
    int status;    /* for the process */
    bool is_stale; /* a database is an older state of its replica, and nobody uses it: roll it
                      forward and begin again. No signal has come */
};

/* Runs until the end. -1: the child cannot be started. */
MUST_USE int supervise_run(const struct supervise_options *options, struct supervise_end *out,
                           struct error *err);

#endif
