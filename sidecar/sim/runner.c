/*
 * Many seeds on all cores: a child process for each core plays every n-th seed, one after the other,
 * and writes down in shared memory what it has done. A failed seed ends its child; another takes up
 * the seeds behind it. A seed that does not end is ended by a timer.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/testing/test.h"
#include "sidecar/sim/sim.h"

enum {
    JOBS_MAX = 64,
    SEED_SECONDS_MAX = 20, /* of CPU, for one seed: it takes some milliseconds */
    REPORTED_MAX = 20,     /* failed seeds that are printed one by one */
};

/* One for each child, shared. */
struct track {
    uint64_t seed; /* being played, or the next one */
    uint64_t played;
    bool is_over;
    struct play_outcome sum;
    pid_t pid;
};

struct runner {
    const struct runner_options *options;
    struct runner_outcome *out;
    struct track *tracks;
    unsigned jobs;
    uint64_t started_ns;
};

static void outcome_add(struct play_outcome *sum, const struct play_outcome *o)
{
    sum->trace_count += o->trace_count;
    sum->operations += o->operations;
    sum->simulated_ns += o->simulated_ns;
    sum->commits += o->commits;
    sum->objects += o->objects;
    sum->restores += o->restores;
    sum->deaths += o->deaths;
}

static double seconds_since(uint64_t ns)
{
    return (double)(env_monotonic_ns(env_real()) - ns) / 1e9;
}

static bool is_time_up(const struct runner *r)
{
    return r->options->seconds_max > 0 && seconds_since(r->started_ns) >= r->options->seconds_max;
}

static NO_RETURN void child_play(const struct runner *r, struct track *t)
{
    const struct itimerval patience = {.it_value = {.tv_sec = SEED_SECONDS_MAX}};
    uint64_t end = r->options->first_seed + r->options->count;
    while (t->seed < end && !is_time_up(r)) {
        struct play_outcome o;
        (void)setitimer(ITIMER_PROF, &patience, NULL); /* cannot fail with these arguments */
        play_seed(t->seed, NULL, &o);
        outcome_add(&t->sum, &o);
        t->played++;
        t->seed += r->jobs;
    }
    t->is_over = true;
    exit(0); /* not _exit(): a sanitizer looks for leaks now */
}

static void child_start(const struct runner *r, struct track *t)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child_play(r, t);
    t->pid = pid; /* by us alone: the memory is shared */
}

/* What a child left that did not come to its end. Its own folder; nobody else's. */
static void child_clean(pid_t pid)
{
    char command[96];

    (void)snprintf(command, sizeof(command), "rm -rf " PLAY_FOLDER, (int)pid);
    IGNORE(system(command)); /* what stays costs memory only */
}

static void child_ended(struct runner *r, struct track *t, int status)
{
    uint64_t end = r->options->first_seed + r->options->count;

    pid_t pid = t->pid;

    t->pid = 0;
    if (t->is_over)
        return;
    child_clean(pid);
    if (r->out->failed++ == 0 || t->seed < r->out->first_failed)
        r->out->first_failed = t->seed;
    if (r->out->failed <= REPORTED_MAX) {
        (void)fprintf(stderr,
                      "seed %" PRIu64 " %s (replay: SIM_SEED=%" PRIu64 " SIM_TRACE=1 make sim)\n",
                      t->seed,
                      !WIFSIGNALED(status)          ? "failed"
                      : WTERMSIG(status) == SIGPROF ? "does not end"
                                                    : "crashed",
                      t->seed);
    }
    t->played++;
    t->seed += r->jobs;
    if (t->seed < end && !is_time_up(r))
        child_start(r, t);
}

void runner_run(const struct runner_options *options, struct runner_outcome *out)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct runner r = {.options = options, .out = out};
    int status = 0;

    r.jobs = options->jobs ? options->jobs : cores > 0 ? (unsigned)cores : 1;
    if (r.jobs > JOBS_MAX)
        r.jobs = JOBS_MAX;
    *out = (struct runner_outcome){.played = 0};
    r.tracks = mmap(NULL, r.jobs * sizeof(*r.tracks), PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(r.tracks != MAP_FAILED);
    r.started_ns = env_monotonic_ns(env_real());
    for (unsigned i = 0; i < r.jobs; i++) {
        r.tracks[i].seed = options->first_seed + i;
        if (i < options->count)
            child_start(&r, &r.tracks[i]);
    }
    for (pid_t pid = wait(&status); pid > 0; pid = wait(&status)) {
        for (unsigned i = 0; i < r.jobs; i++) {
            if (r.tracks[i].pid == pid)
                child_ended(&r, &r.tracks[i], status);
        }
    }
    for (unsigned i = 0; i < r.jobs; i++) {
        out->played += r.tracks[i].played;
        outcome_add(&out->sum, &r.tracks[i].sum);
    }
    out->seconds = seconds_since(r.started_ns);
    (void)munmap(r.tracks, r.jobs * sizeof(*r.tracks));
}
