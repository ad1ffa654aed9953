/*
 * walferry-sim: plays lives of walferry in a simulated world (sim.h).
 *
 *     SIM_SEEDS=20000 walferry-sim      plays seeds 1..20000 on all cores
 *     SIM_SEED=17 SIM_TRACE=1 walferry-sim    replays one, with each event
 *
 *   SIM_SEED     the only seed, or the first one
 *   SIM_SEEDS    how many (1 with SIM_SEED; else as many as two minutes have)
 *   SIM_SECONDS  no new seed is begun after so long
 *   SIM_JOBS     processes side by side (one a core)
 *   SIM_TRACE    1: print the trace and the log of walferry
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "sidecar/sim/sim.h"

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static int replay(uint64_t seed, FILE *trace_to)
{
    struct play_outcome o;

    play_seed(seed, trace_to, &o);
    printf("seed %" PRIu64 ": trace %016" PRIx64 " of %" PRIu64 " events, %u commits, %u objects, "
           "%u restores, %u deaths, %.1f s simulated\n",
           seed, o.trace_hash, o.trace_count, o.commits, o.objects, o.restores, o.deaths,
           (double)o.simulated_ns / 1e9);
    return 0;
}

static int play_many(uint64_t first)
{
    const struct runner_options options = {
        .first_seed = first,
        .count = number("SIM_SEEDS", 1000000),
        .seconds_max = (double)number("SIM_SECONDS", getenv("SIM_SEEDS") ? 0 : 120),
        .jobs = (unsigned)number("SIM_JOBS", 0),
    };
    struct runner_outcome o;
    struct rusage u;

    runner_run(&options, &o);
    (void)getrusage(RUSAGE_CHILDREN, &u); /* cannot fail with this argument */
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    printf("%" PRIu64 " lives in %.1f s (%.1f ms of CPU each): %u commits, %u objects, "
           "%u restores, %u deaths, %.1f days simulated; %" PRIu64 " failed\n",
           o.played, o.seconds, 1000 * cpu / (double)(o.played ? o.played : 1), o.sum.commits,
           o.sum.objects, o.sum.restores, o.sum.deaths, (double)o.sum.simulated_ns / 1e9 / 86400,
           o.failed);
    return o.failed > 0;
}

int main(void)
{
    uint64_t seed = number("SIM_SEED", 0);

    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* in order with the log; only looks may suffer */

    if (seed > 0 && number("SIM_SEEDS", 1) == 1)
        return replay(seed, number("SIM_TRACE", 0) ? stdout : NULL);
    return play_many(seed > 0 ? seed : 1);
}
