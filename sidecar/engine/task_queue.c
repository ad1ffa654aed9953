/*
 * A queue for each urgency, one task running. The job of the pool is the queue's own, so a task is
 * small and its owner may go away as soon as it is neither queued nor running.
 */
#include "sidecar/engine/task_queue.h"

#include <stddef.h>

static void queue_append(struct task_queue *q, struct task *task)
{
    task->next = NULL;
    task->queue = q;
    if (q->last[task->urgency])
        q->last[task->urgency]->next = task;
    else
        q->first[task->urgency] = task;
    q->last[task->urgency] = task;
}

static struct task *queue_take_first(struct task_queue *q)
{
    for (unsigned u = 0; u < TASK_URGENCIES; u++) {
        struct task *task = q->first[u];
        if (!task)
            continue;
        q->first[u] = task->next;
        if (!task->next)
            q->last[u] = NULL;
        task->next = NULL;
        return task;
    }
    return NULL;
}

static void queue_job_work(struct job *job)
{
    struct task_queue *q = CONTAINER_OF(job, struct task_queue, job);
    q->running->work(q->running);
}

static void queue_run_next(struct task_queue *q);

static void queue_job_done(struct job *job)
{
    struct task_queue *q = CONTAINER_OF(job, struct task_queue, job);
    struct task *task = q->running;

    q->running = NULL;
    task->is_running = false;
    task->queue = NULL;
    bool is_wanted_again = task->is_wanted_again && !q->is_closed;
    task->is_wanted_again = false;
    if (is_wanted_again)
        queue_append(q, task);
    q->is_in_done = true;
    task->done(task); /* may push, may free the owner of the task if it was not wanted again */
    q->is_in_done = false;
    queue_run_next(q);
    if (task_queue_is_idle(q) && q->on_idle)
        q->on_idle(q->on_idle_arg);
}

static void queue_run_next(struct task_queue *q)
{
    if (q->running || q->is_in_done)
        return;
    struct task *task = queue_take_first(q);
    if (!task)
        return;
    q->running = task;
    task->is_running = true;
    job_submit(q->loop, &q->job, queue_job_work, queue_job_done);
}

void task_queue_init(struct task_queue *q, struct loop *loop)
{
    *q = (struct task_queue){.loop = loop};
}

void task_queue_push(struct task_queue *q, struct task *task)
{
    loop_assert_owner(q->loop);
    if (q->is_closed)
        return;
    if (task->is_running) {
        task->is_wanted_again = true;
        return;
    }
    if (task->queue)
        return;
    queue_append(q, task);
    queue_run_next(q);
}

void task_queue_close(struct task_queue *q)
{
    loop_assert_owner(q->loop);
    q->is_closed = true;
    for (struct task *task = queue_take_first(q); task; task = queue_take_first(q))
        task->queue = NULL;
    if (q->running)
        job_cancel(&q->job);
}

bool task_is_pending(const struct task *task)
{
    return task->queue != NULL;
}

bool task_queue_is_idle(const struct task_queue *q)
{
    if (q->running || q->is_in_done)
        return false;
    for (unsigned u = 0; u < TASK_URGENCIES; u++) {
        if (q->first[u])
            return false;
    }
    return true;
}

bool task_is_canceled(struct task *task)
{
    return task->queue && job_is_canceled(&task->queue->job);
}
