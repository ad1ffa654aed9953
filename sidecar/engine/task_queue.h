/*
 * One job at a time for a database: what touches its connections, sets and maps runs here, in the
 * order of urgency. A task is embedded in its owner and is queued at most once; asking again while
 * it runs makes it run again afterwards.
 *
 * Threads: all functions on the loop thread; work() runs on a worker and owns the database's
 * job-side data until done() has returned: done(), on the loop thread, has it to itself, since what
 * it pushes starts only afterwards.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_TASK_QUEUE_H
#define WALFERRY_SIDECAR_ENGINE_TASK_QUEUE_H

#include <stdbool.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"

/* Most urgent first. */
enum task_urgency {
    TASK_URGENT,     /* commits on their way to the store, acknowledgements into the map */
    TASK_NORMAL,     /* open, attach, checkpoint */
    TASK_BACKGROUND, /* steps of snapshots and compactions */
    TASK_URGENCIES
};

struct task_queue;

struct task {
    void (*work)(struct task *task); /* on a worker */
    void (*done)(struct task *task); /* on the loop thread */
    enum task_urgency urgency;
    struct task_queue *queue; /* where it is queued or running; NULL otherwise */
    struct task *next;
    bool is_running;
    bool is_wanted_again;
};

struct task_queue {
    struct loop *loop;
    struct task *first[TASK_URGENCIES];
    struct task *last[TASK_URGENCIES];
    struct task *running;
    struct job job;
    bool is_in_done; /* a done() runs: the next task waits for it to return */
    bool is_closed;
    void (*on_idle)(void *arg); /* called when nothing is queued or running any more; may be NULL */
    void *on_idle_arg;
};

/* Prepares an empty queue; allocates nothing. */
void task_queue_init(struct task_queue *q, struct loop *loop);

/* Queues the task behind those of its urgency; nothing if it is queued already. A closed queue
 * takes nothing. */
void task_queue_push(struct task_queue *q, struct task *task);

/* Drops what is queued and takes nothing more; what runs is asked to end (job_is_canceled()). */
void task_queue_close(struct task_queue *q);

/* Whether the task is queued or running. */
bool task_is_pending(const struct task *task);
bool task_queue_is_idle(const struct task_queue *q);

/* For work(): whether the queue was closed, so that a long task should end. Any thread. */
bool task_is_canceled(struct task *task);

#endif
