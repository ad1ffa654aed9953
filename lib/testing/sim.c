/*
 * The world's clock and its scheduler.
 *
 *   next    the process whose loop has the earliest deadline, in the world's time; of two equal
 *           ones the one that was made first
 *   turn    the world's time becomes that deadline, the loop takes a turn
 *
 * A process that waits inside its own code (a command that does one thing after the other: its loop
 * is driven by loop_run_until()) calls wait_until() of its clock; the others then take their turns
 * until its deadline. A calm or dead process waits alone: only its own clocks move.
 *
 * A process's monotonic clock lacks the time in which it was suspended; its clock of the boot time
 * does not. Wall clocks differ by a skew that may jump.
 */
#include "lib/testing/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testing/history.h"
#include "lib/testing/memory_files.h"
#include "lib/testing/sim_disk.h"
#include "lib/testing/test.h"

static const uint64_t wall_at_start_ns = UINT64_C(1796083200) * NS_PER_SEC; /* December 2026 */
static const uint64_t boot_at_start_ns = 1000 * NS_PER_SEC;

enum {
    TRACE_LINE_BYTES = 512
};

static struct sim *the_world;

/* ---- luck ---- */

static uint64_t luck_next(struct sim *sim)
{
    sim->luck += UINT64_C(0x9e3779b97f4a7c15);
    return history_mix(sim->luck);
}

uint64_t sim_luck(struct sim *sim, uint64_t limit)
{
    ASSERT(limit > 0);
    return luck_next(sim) % limit;
}

uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high)
{
    return low + sim_luck(sim, high - low + 1);
}

bool sim_chance(struct sim *sim, unsigned millionths)
{
    return millionths > 0 && sim_luck(sim, 1000000) < millionths;
}

/* ---- the trace ---- */

void sim_trace(struct sim *sim, const char *fmt, ...)
{
    char line[TRACE_LINE_BYTES];
    va_list ap;
    const struct sim_process *p = sim->running;
    int head =
        snprintf(line, sizeof(line), "%12.6f %-6s ", (double)sim->now_ns / 1e9, p ? p->name : "-");

    va_start(ap, fmt);
    (void)vsnprintf(line + head, sizeof(line) - (size_t)head, fmt, ap); /* cut is good enough */
    va_end(ap);
    for (char *at = strstr(line, MEMORY_FILES_HOME); at; at = strstr(at, MEMORY_FILES_HOME))
        memmove(at, at + strlen(MEMORY_FILES_HOME), strlen(at + strlen(MEMORY_FILES_HOME)) + 1);
    for (const char *at = line; *at; at++)
        sim->trace_hash = (sim->trace_hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    sim->trace_count++;
    if (sim->trace_to)
        (void)fprintf(sim->trace_to, "%s\n", line);
}

/* ---- clocks ---- */

/* Of the sleep under way. */
static uint64_t sleep_ns(const struct sim_process *p)
{
    return p->is_suspended ? p->sim->now_ns - p->suspended_at_ns : 0;
}

static uint64_t slept_ns(const struct sim_process *p)
{
    return p->suspended_ns + sleep_ns(p);
}

static uint64_t process_monotonic_ns(void *ctx)
{
    const struct sim_process *p = ctx;
    return boot_at_start_ns + p->sim->now_ns + p->own_ns - slept_ns(p);
}

static uint64_t process_boot_ns(void *ctx)
{
    const struct sim_process *p = ctx;
    return boot_at_start_ns + p->sim->now_ns + p->own_ns - p->frozen_ns -
           (p->is_frozen ? sleep_ns(p) : 0);
}

static uint64_t process_wall_ns(void *ctx)
{
    const struct sim_process *p = ctx;
    return wall_at_start_ns + p->sim->now_ns + p->own_ns + (uint64_t)p->wall_skew_ns;
}

/* The moment of the world at which p's monotonic clock shows ns. */
static uint64_t world_ns(const struct sim_process *p, uint64_t ns)
{
    uint64_t at = ns + slept_ns(p);

    if (ns == UINT64_MAX)
        return UINT64_MAX;
    return at < boot_at_start_ns + p->own_ns ? 0 : at - boot_at_start_ns - p->own_ns;
}

/* ---- turns ---- */

static bool is_ready(const struct sim_process *p)
{
    return p->loop && !p->is_busy && !p->is_stopped && !p->is_dead && !p->is_calm;
}

void sim_turn(struct sim_process *p)
{
    if (!is_ready(p))
        return;
    struct sim_process *before = sim_enter(p);
    p->is_busy = true;
    (void)loop_turn(p->loop); /* whether something is left shows in loop_next_ns() */
    p->is_busy = false;
    sim_leave(p->sim, before);
}

/* Takes the next turn up to a moment. False: there is none, and that moment has come. */
static bool world_go(struct sim *sim, uint64_t until_ns)
{
    struct sim_process *first = NULL;
    uint64_t first_ns = UINT64_MAX;

    for (struct sim_process *p = sim->processes; p; p = p->next) {
        uint64_t at = is_ready(p) ? world_ns(p, loop_next_ns(p->loop)) : UINT64_MAX;
        if (at < first_ns) {
            first = p;
            first_ns = at;
        }
    }
    if (!first || first_ns > until_ns) {
        if (until_ns > sim->now_ns)
            sim->now_ns = until_ns;
        return false;
    }
    if (first_ns > sim->now_ns)
        sim->now_ns = first_ns;
    sim_turn(first);
    return true;
}

/* wait_until() of a process's clock. */
static void process_wait(void *ctx, uint64_t ns)
{
    struct sim_process *p = ctx;
    uint64_t now_ns = process_monotonic_ns(p);

    if (ns <= now_ns)
        return;
    if (p->is_calm || p->is_dead) {
        p->own_ns += ns - now_ns;
        return;
    }
    bool was_busy = p->is_busy;
    struct sim_process *before = sim_enter(NULL);
    p->is_busy = true;
    while (loop_next_ns(p->loop) >= ns && !p->is_dead && world_go(p->sim, world_ns(p, ns))) {
    }
    p->is_busy = was_busy;
    sim_leave(p->sim, before);
}

void sim_suspend(struct sim_process *p, bool is_frozen)
{
    p->is_suspended = true;
    p->is_frozen = is_frozen;
    p->suspended_at_ns = p->sim->now_ns;
}

void sim_wake(struct sim_process *p)
{
    p->suspended_ns += sleep_ns(p);
    p->frozen_ns += p->is_frozen ? sleep_ns(p) : 0;
    p->is_suspended = false;
    p->is_frozen = false;
}

void sim_run(struct sim *sim, uint64_t duration_ns)
{
    uint64_t until_ns = sim->now_ns + duration_ns;

    while (world_go(sim, until_ns)) {
    }
}

bool sim_run_until(struct sim *sim, const bool *is_done, uint64_t duration_ns)
{
    uint64_t until_ns = sim->now_ns + duration_ns;

    while (!*is_done && world_go(sim, until_ns)) {
    }
    return *is_done;
}

static void nudged(void *arg UNUSED)
{
    /* Its only purpose is the turn. */
}

void sim_nudge(struct sim_process *p, uint64_t delay_ns)
{
    if (p->loop && !loop_timer_is_armed(&p->nudge))
        loop_timer_start(&p->nudge, delay_ns);
}

/* ---- processes ---- */

static void process_fill(void *ctx, void *out, size_t n)
{
    struct sim_process *p = ctx;
    uint8_t *at = out;

    while (n > 0) {
        uint64_t v = luck_next(p->sim);
        size_t part = n < sizeof(v) ? n : sizeof(v);
        memcpy(at, &v, part);
        at += part;
        n -= part;
    }
}

static void process_init(struct sim_process *p, struct sim *sim, const char *name, bool with_loop,
                         struct sim_disk *disk)
{
    struct error err = ERROR_INIT;

    *p = (struct sim_process){.sim = sim, .disk = disk};
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    p->env.clock = (struct env_clock){.wall_ns = process_wall_ns,
                                      .monotonic_ns = process_monotonic_ns,
                                      .boot_ns = process_boot_ns,
                                      .wait_until = process_wait,
                                      .ctx = p};
    p->env.random = (struct env_random){.fill = process_fill, .ctx = p};
    sim_disk_env(p);
    if (with_loop) {
        assert_ok(loop_new(&p->env, 1, &p->loop, &err), &err);
        loop_timer_init(&p->nudge, p->loop, nudged, NULL);
    }
    struct sim_process **at = &sim->processes;
    while (*at)
        at = &(*at)->next;
    *at = p;
}

static void process_destroy(struct sim_process *p)
{
    struct sim_process **at = &p->sim->processes;

    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    if (p->loop) {
        loop_timer_stop(&p->nudge);
        loop_free(p->loop);
    }
}

struct sim_process *sim_process_new(struct sim *sim, const char *name, bool with_loop,
                                    struct sim_disk *disk)
{
    struct sim_process *p = malloc(sizeof(*p));

    assert_non_null(p);
    process_init(p, sim, name, with_loop, disk);
    return p;
}

void sim_process_free(struct sim_process *p)
{
    if (!p)
        return;
    process_destroy(p);
    free(p);
}

bool sim_step(struct sim_process *p)
{
    struct sim *sim = p->sim;

    if (p->is_dead)
        return false;
    if (p->is_calm)
        return true;
    sim->operations++;
    if (p->strike_in > 0 && --p->strike_in == 0) {
        p->is_dead = true;
        sim_trace(sim, "%s dies here", p->name);
        return false;
    }
    return true;
}

struct sim_process *sim_enter(struct sim_process *p)
{
    struct sim_process *before = the_world->running;
    the_world->running = p;
    return before;
}

void sim_leave(struct sim *sim, struct sim_process *before)
{
    sim->running = before;
}

struct sim_process *sim_now_running(void)
{
    return the_world ? the_world->running : NULL;
}

/* ---- the world ---- */

void sim_begin(struct sim *sim, uint64_t seed, FILE *trace_to)
{
    ASSERT(!the_world);
    *sim = (struct sim){.seed = seed,
                        .luck = history_mix(seed),
                        .trace_hash = UINT64_C(0xcbf29ce484222325),
                        .trace_to = trace_to};
    the_world = sim;
    process_init(&sim->world, sim, "world", true, NULL);
}

void sim_end(struct sim *sim)
{
    process_destroy(&sim->world);
    ASSERT(!sim->processes);
    the_world = NULL;
}
