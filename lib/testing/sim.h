/*
 * A world for deterministic simulation: one seed, one clock, and processes that are taken in turn.
 *
 *   sim.h          time, luck, the trace, processes (this file)
 *   sim_disk.h     the files of a machine: faults, and what a crash leaves of unsynced writes
 *   sim_vfs.h      SQLite's files on such a machine
 *   sim_storage.h  an object store in memory, with everything that networks do
 *
 * Time stands still while code runs and jumps to the next timer of any process. A process is
 * whatever has an environment of its own: a program with a loop, or an application without one.
 * Everything that happens is drawn from the seed, so the same seed makes the same world; the trace
 * (a line an event) and its hash show it.
 *
 * A process dies by `is_dead`: from then on nothing that it does has any effect (files, locks,
 * requests), while its code runs on into errors and gives its memory back. For the rest of the
 * world that is a kill at that very step.
 *
 * Threads: one. Worlds may follow one another in a process, but only one exists at a time: SQLite's
 * VFS asks for it (sim_now_running()).
 */
#ifndef WALFERRY_LIB_TESTING_SIM_H
#define WALFERRY_LIB_TESTING_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"

struct sim;
struct sim_disk;

struct sim_process {
    struct sim *sim;
    struct sim_process *next; /* of the world */
    char name[16];            /* for the trace */
    struct env env;           /* what its code gets */
    struct loop *loop;        /* NULL: it has none */
    struct loop_timer nudge;  /* of the loop: sim_nudge() */
    struct sim_disk *disk;    /* its files; NULL: it has none */
    int64_t wall_skew_ns;     /* of its wall clock */
    uint64_t suspended_ns;    /* so much does its monotonic clock lack */
    uint64_t suspended_at_ns; /* is_suspended: since then it stands still (the world's time) */
    bool is_suspended;        /* its machine, see sim_suspend() */
    bool is_frozen;           /* likewise */
    uint64_t frozen_ns;       /* so much does its boot clock lack */
    uint64_t own_ns;          /* time that passed for it alone: calm, or dead */
    uint64_t strike_in;       /* it dies at so many operations from now; 0: not */
    bool is_calm;             /* suffers nothing, and the world waits for it */
    bool is_dead;
    bool is_stopped; /* SIGSTOP */
    bool is_busy;    /* its loop is taking a turn, further up the stack */
};

/* How often what goes wrong, in millionths of the operations. */
struct sim_faults {
    unsigned io_error;   /* file operations: EIO */
    unsigned no_space;   /* writes: ENOSPC */
    unsigned sync_error; /* fsync: EIO, and what was written may be lost */
    unsigned between;    /* others go on between two operations of a database */
};

struct sim {
    uint64_t seed;
    uint64_t now_ns;
    uint64_t luck;
    uint64_t trace_hash;
    uint64_t trace_count;
    FILE *trace_to; /* NULL: only the hash */
    struct sim_process *processes;
    struct sim_process *running; /* whose code runs now; NULL: the world's */
    struct sim_process world;    /* whose loop has the world's own timers */
    struct sim_faults faults;
    uint64_t operations; /* of files and databases so far */
    unsigned depth;      /* of between(), which does not nest */
    /* Others go on, while p is between two operations. May be NULL. */
    void (*between)(void *arg, struct sim_process *p);
    void *between_arg;
};

/* Begins a world. It must stay where it is. trace_to may be NULL. */
void sim_begin(struct sim *sim, uint64_t seed, FILE *trace_to);

/* Ends it. No process may be left. */
void sim_end(struct sim *sim);

/* A number below limit (> 0), of the world's generator. */
uint64_t sim_luck(struct sim *sim, uint64_t limit);

/* A number from low to high, both included. */
uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high);

/* Whether something happens that happens so many times in a million. */
bool sim_chance(struct sim *sim, unsigned millionths);

/* Adds a line to the trace: "<time> <process> <text>". Nothing that differs between two runs of a
 * seed may be in it: no address, descriptor, path or inode. */
void sim_trace(struct sim *sim, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Makes a process. with_loop: a program with a loop of its own; else only an environment. The disk
 * is borrowed and may be NULL. Fails the test on lack of memory.
 */
struct sim_process *sim_process_new(struct sim *sim, const char *name, bool with_loop,
                                    struct sim_disk *disk);

/* Takes it out of the world. Its loop must be empty. NULL ok. */
void sim_process_free(struct sim_process *p);

/* Runs the world for so long. */
void sim_run(struct sim *sim, uint64_t duration_ns);

/* Runs the world until the condition holds or so much time has passed; answers whether it holds. */
bool sim_run_until(struct sim *sim, const bool *is_done, uint64_t duration_ns);

/* One turn of one process's loop, with what is due in it and in its descriptors now. Nothing if it
 * takes a turn already, is stopped or dead. */
void sim_turn(struct sim_process *p);

/*
 * Its machine sleeps: the monotonic clock stands, the boot time's goes on. is_frozen: it is a virtual
 * one that its host has stopped, and both stand. The wall clock is right when it wakes. is_stopped is
 * the caller's.
 */
void sim_suspend(struct sim_process *p, bool is_frozen);
void sim_wake(struct sim_process *p);

/* The loop takes a turn within delay_ns: the kernel has something for its descriptors. */
void sim_nudge(struct sim_process *p, uint64_t delay_ns);

/*
 * A step of a process: an operation that the world could see. False: the process is dead, and the
 * operation must not happen.
 */
bool sim_step(struct sim_process *p);

/* Code of p runs until sim_leave() with what this answered. */
struct sim_process *sim_enter(struct sim_process *p);
void sim_leave(struct sim *sim, struct sim_process *before);

/* The process whose code runs now; NULL: none. For code that cannot be told. */
struct sim_process *sim_now_running(void);

#endif
