/*
 * The one event loop of a program, on libuv: timers with nanosecond deadlines, jobs for a small
 * worker pool, and the uv_loop_t in which libcurl and libwebsockets hang.
 *
 * The loop thread (the one that created the loop) owns every long-lived struct. Work that may block
 * or burn goes to a worker as a job, which owns its data from submit to done and answers on the
 * loop thread. Callbacks never run inside the call that started them.
 *
 * With an environment whose clock has wait_until() (a simulation) the loop uses neither kernel
 * timers nor threads: a turn lets time pass until the first timer is due, and jobs are timers, too:
 * one at which work() runs, on the loop thread, and a later one for done(). Equal environments make
 * equal turns.
 */
#ifndef WALFERRY_LIB_IO_LOOP_H
#define WALFERRY_LIB_IO_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/base.h"

struct loop;

/*
 * Creates a loop for the calling thread. workers is the size of the pool (1..64), shared by all
 * loops of the process and fixed by the first. ERR_NO_MEMORY, ERR_LIMIT (descriptors).
 */
MUST_USE int loop_new(const struct env *env, unsigned workers, struct loop **out_loop,
                      struct error *err);

/* Closes what the loop itself owns. All timers must be stopped and no job may be under way. Accepts
 * NULL. */
void loop_free(struct loop *loop);

/* Runs callbacks until loop_stop(), or until nothing can ever happen again. */
void loop_run(struct loop *loop);

/* Makes loop_run() return at the end of this turn: what is already due may still be called. Loop
 * thread; loop_run_until() takes no notice of it. */
void loop_stop(struct loop *loop);

/*
 * Runs callbacks until *is_done is true. For commands and tests that do one thing after the other;
 * not from within a callback. Returns false if nothing is left that could ever make it true.
 */
bool loop_run_until(struct loop *loop, const bool *is_done);

/*
 * One turn: waits until something is due and runs its callbacks. False if nothing is left that
 * could ever happen. For those who wait in a callback-free place for more than a flag.
 */
bool loop_turn(struct loop *loop);

/* When the first timer is due (monotonic); UINT64_MAX: none is armed. For whoever drives several
 * loops, which only a simulation does. */
uint64_t loop_next_ns(const struct loop *loop);

/* Aborts unless called on the loop's thread. First line of functions that need the loop. */
void loop_assert_owner(const struct loop *loop);

/* What loop_new() was given; what the loop is in libuv, for the libraries that hang in it. */
const struct env *loop_env(const struct loop *loop);
uv_loop_t *loop_uv(struct loop *loop);

/* ---- timers ---- */

/* One-shot timer, embedded in its owner; needs no closing beyond loop_timer_stop(). */
struct loop_timer {
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
    uint64_t deadline_ns; /* monotonic */
    size_t heap_idx;      /* 1-based place in the loop's heap; 0 when not armed */
};

/* Prepares a timer without arming it. fn runs on the loop thread. */
void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*fn)(void *arg), void *arg);

/*
 * Arms (or re-arms) the timer to fire once, delay_ns from now. Resolution is that of the kernel's
 * high-resolution timers (about 50 us), not libuv's millisecond. Cost: O(log n) timers.
 */
void loop_timer_start(struct loop_timer *t, uint64_t delay_ns);

/* Disarms; harmless if not armed or never initialised (zeroed). */
void loop_timer_stop(struct loop_timer *t);

/* Whether it is going to fire. */
bool loop_timer_is_armed(const struct loop_timer *t);

/* ---- jobs ---- */

/*
 * Work for the pool, embedded in its owner. From submit until done runs, the job and all it points
 * at belong to the worker; the loop thread touches only is_canceled.
 */
struct job {
    void (*work)(struct job *job); /* on a worker */
    void (*done)(struct job *job); /* on the loop thread, always, also after cancel */
    atomic_bool is_canceled;       /* long jobs look at it now and then */
    struct loop *loop;
    union {
        uv_work_t uv;
        struct loop_timer timer; /* in a simulation */
    };
};

/* Hands the job to the pool. Jobs of a pool start in the order of submission. */
void job_submit(struct loop *loop, struct job *job, void (*work)(struct job *job),
                void (*done)(struct job *job));

/*
 * Asks a job to end soon. Its work still runs, if only to look at job_is_canceled(), and so does
 * done. Loop thread.
 */
void job_cancel(struct job *job);

/* For workers: whether somebody asked this job to end. */
bool job_is_canceled(struct job *job);

/* Number of jobs submitted and not yet done. Loop thread. */
unsigned loop_job_count(const struct loop *loop);

#endif
