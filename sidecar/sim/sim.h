/*
 * sidecar/sim: deterministic simulation of what ships. The real engine, the real restore and real
 * SQLite live whole lives in a simulated world (lib/testing/sim.h), hours in milliseconds, and a
 * model knows what must be true.
 *
 *   play.c      one seed: draws the configuration and the rates of all faults, plays the script
 *   peace.c     its end: faults stop, everything arrives and is judged
 *   pod.c       a machine: a volume, an application, walferry; how each of them lives and dies
 *   application.c  what applications do to a database
 *   memory.c    SQLite's memory, the same each time
 *   model.c     the commits that were made and acknowledged
 *   judge.c     restores, and asks the model whether the answer may be what it is
 *   runner.c    many seeds on all cores; replay of one
 *   main.c      the program behind `make sim`
 *
 * What is asserted (the promises of docs/architecture.md):
 *   - what was acknowledged is in every later restore of the newest state
 *   - every state that restores is a state that the application had committed, byte for byte
 *   - a TXID means the same state for ever; TXIDs are created in order, each once
 *   - a restore to a moment is the state at the last boundary at or before it, and every moment of
 *     the retention window has one
 *   - once faults have stopped, replication goes on by itself (or after a restore, where two
 *     writers or a stale volume were at work) and ships everything
 *   - a store that can create if absent is never taken for one that cannot
 *   - where two writers were at work on one that cannot, which may tear each other's history: no
 *     restore gives a state that was never committed, and -adopt is a way on that restores
 *   - nothing leaks: memory, descriptors
 *
 * A seed is a whole life: the same seed makes the same life, event by event, so a failure is
 * replayed by its number.
 */
#ifndef WALFERRY_SIDECAR_SIM_SIM_H
#define WALFERRY_SIDECAR_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a life was. */
struct play_outcome {
    uint64_t trace_hash;
    uint64_t trace_count;
    uint64_t operations;   /* of files and databases */
    uint64_t simulated_ns; /* of the world's time */
    unsigned commits;
    unsigned objects;  /* created in stores */
    unsigned restores; /* judged */
    unsigned deaths;
    bool was_alone; /* one writer, nothing that asks for a person */
};

/* Where a process that plays has what cannot be in its own memory (watched files); by its id. */
#define PLAY_FOLDER "/dev/shm/walferry-sim-%d"

/*
 * Plays a seed. What goes wrong is printed with how to replay it, and ends the process (or the cmocka
 * test that runs). trace_to: NULL, or where each event is printed.
 */
void play_seed(uint64_t seed, FILE *trace_to, struct play_outcome *out);

struct runner_options {
    uint64_t first_seed;
    uint64_t count;
    double seconds_max; /* no new seed is begun after so long; 0: no such limit */
    unsigned jobs;      /* processes side by side; 0: one a core */
    bool is_quiet;      /* no line of progress */
};

struct runner_outcome {
    uint64_t played;
    uint64_t failed;
    uint64_t first_failed; /* the lowest seed that failed */
    double seconds;
    struct play_outcome sum;
};

/* Plays many seeds in child processes. Prints each failed seed. */
void runner_run(const struct runner_options *options, struct runner_outcome *out);

#endif
