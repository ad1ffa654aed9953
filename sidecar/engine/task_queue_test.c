/*
 * One task at a time, the most urgent first, and done() to itself.
 */
#include "sidecar/engine/task_queue.h"

#include <stdatomic.h>
#include <string.h>

#include "lib/testing/test.h"

struct recorder;

struct recorded {
    struct task task;
    struct recorder *r;
    char name;
    unsigned done_count;
    void (*in_done)(struct recorded *t); /* what the test does there; may be NULL */
};

struct recorder {
    struct loop *loop;
    struct task_queue queue;
    atomic_uint at_work;
    unsigned most_at_work;
    unsigned in_done; /* work() that began inside a done() */
    bool is_in_done;
    atomic_bool may_go_on;
    char order[32]; /* names in the order of their work() */
    bool is_idle;
    unsigned idle_count;
    bool was_canceled;
};

static void recorded_work(struct task *task)
{
    struct recorded *t = CONTAINER_OF(task, struct recorded, task);
    struct recorder *r = t->r;
    unsigned now = atomic_fetch_add(&r->at_work, 1) + 1;

    if (now > r->most_at_work)
        r->most_at_work = now;
    if (r->is_in_done)
        r->in_done++;
    r->order[strlen(r->order)] = t->name;
    while (t->name == 'W' && !atomic_load(&r->may_go_on) && !task_is_canceled(task)) {
    }
    r->was_canceled = task_is_canceled(task);
    atomic_fetch_sub(&r->at_work, 1);
}

static void recorded_done(struct task *task)
{
    struct recorded *t = CONTAINER_OF(task, struct recorded, task);

    t->done_count++;
    t->r->is_in_done = true;
    if (t->in_done)
        t->in_done(t);
    t->r->is_in_done = false;
}

static void on_idle(void *arg)
{
    struct recorder *r = arg;
    r->is_idle = true;
    r->idle_count++;
}

static void recorder_open(struct recorder *r)
{
    struct error err = ERROR_INIT;
    *r = (struct recorder){.is_idle = false};
    assert_ok(loop_new(env_real(), 4, &r->loop, &err), &err);
    task_queue_init(&r->queue, r->loop);
    r->queue.on_idle = on_idle;
    r->queue.on_idle_arg = r;
}

static void recorder_close(struct recorder *r)
{
    assert_true(task_queue_is_idle(&r->queue));
    assert_int_equal(r->in_done, 0);
    loop_free(r->loop);
}

static struct recorded recorded(struct recorder *r, char name, enum task_urgency urgency)
{
    return (struct recorded){
        .task = {.work = recorded_work, .done = recorded_done, .urgency = urgency},
        .r = r,
        .name = name,
    };
}

static void run_until_idle(struct recorder *r)
{
    r->is_idle = false;
    assert_true(loop_run_until(r->loop, &r->is_idle));
}

static void test_queue_runs_the_most_urgent_first_and_one_at_a_time(void **state UNUSED)
{
    struct recorder r;
    recorder_open(&r);
    struct recorded wait = recorded(&r, 'W', TASK_BACKGROUND);
    struct recorded b1 = recorded(&r, 'b', TASK_BACKGROUND);
    struct recorded n1 = recorded(&r, 'n', TASK_NORMAL);
    struct recorded u1 = recorded(&r, 'u', TASK_URGENT);
    struct recorded u2 = recorded(&r, 'v', TASK_URGENT);
    struct recorded n2 = recorded(&r, 'm', TASK_NORMAL);
    struct recorded *all[] = {&wait, &b1, &n1, &u1, &u2, &n2};

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        task_queue_push(&r.queue, &all[i]->task);
    assert_true(task_is_pending(&b1.task));
    atomic_store(&r.may_go_on, true);
    run_until_idle(&r);
    assert_string_equal(r.order, "Wuvnmb");
    assert_int_equal(r.most_at_work, 1);
    assert_int_equal(r.idle_count, 1);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        assert_int_equal(all[i]->done_count, 1);
        assert_false(task_is_pending(&all[i]->task));
    }
    recorder_close(&r);
}

static void test_queue_takes_a_task_once(void **state UNUSED)
{
    struct recorder r;
    recorder_open(&r);
    struct recorded wait = recorded(&r, 'W', TASK_NORMAL);
    struct recorded n = recorded(&r, 'n', TASK_NORMAL);

    task_queue_push(&r.queue, &wait.task);
    task_queue_push(&r.queue, &n.task);
    task_queue_push(&r.queue, &n.task);
    atomic_store(&r.may_go_on, true);
    run_until_idle(&r);
    assert_string_equal(r.order, "Wn");
    recorder_close(&r);
}

static void test_queue_runs_a_task_again_that_was_asked_for_while_it_ran(void **state UNUSED)
{
    struct recorder r;
    recorder_open(&r);
    struct recorded wait = recorded(&r, 'W', TASK_NORMAL);

    task_queue_push(&r.queue, &wait.task);
    task_queue_push(&r.queue, &wait.task);
    task_queue_push(&r.queue, &wait.task);
    atomic_store(&r.may_go_on, true);
    run_until_idle(&r);
    assert_string_equal(r.order, "WW");
    assert_int_equal(wait.done_count, 2);
    recorder_close(&r);
}

static struct recorded pushed_in_done;

static void push_and_linger(struct recorded *t)
{
    task_queue_push(&t->r->queue, &pushed_in_done.task);
    task_queue_push(&t->r->queue, &t->task); /* itself, too */
    assert_true(task_is_pending(&pushed_in_done.task));
    assert_false(task_queue_is_idle(&t->r->queue));
    t->in_done = NULL;
    uint64_t until = env_monotonic_ns(env_real()) + 5 * NS_PER_MS;
    while (env_monotonic_ns(env_real()) < until) {
    } /* work() that began now would be counted */
}

static void test_queue_starts_nothing_before_done_has_returned(void **state UNUSED)
{
    struct recorder r;
    recorder_open(&r);
    struct recorded first = recorded(&r, 'f', TASK_NORMAL);
    pushed_in_done = recorded(&r, 'p', TASK_URGENT);
    first.in_done = push_and_linger;

    task_queue_push(&r.queue, &first.task);
    run_until_idle(&r);
    assert_string_equal(r.order, "fpf");
    recorder_close(&r);
}

static void test_closed_queue_drops_what_waits_and_asks_what_runs_to_end(void **state UNUSED)
{
    struct recorder r;
    recorder_open(&r);
    struct recorded wait = recorded(&r, 'W', TASK_NORMAL);
    struct recorded n = recorded(&r, 'n', TASK_NORMAL);

    task_queue_push(&r.queue, &wait.task);
    task_queue_push(&r.queue, &wait.task); /* wanted again: not any more */
    task_queue_push(&r.queue, &n.task);
    task_queue_close(&r.queue);
    assert_false(task_is_pending(&n.task));
    assert_false(task_queue_is_idle(&r.queue));
    task_queue_push(&r.queue, &n.task);
    run_until_idle(&r);
    assert_string_equal(r.order, "W");
    assert_true(r.was_canceled);
    assert_int_equal(wait.done_count, 1);
    assert_int_equal(n.done_count, 0);
    recorder_close(&r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_queue_runs_the_most_urgent_first_and_one_at_a_time),
        TEST(test_queue_takes_a_task_once),
        TEST(test_queue_runs_a_task_again_that_was_asked_for_while_it_ran),
        TEST(test_queue_starts_nothing_before_done_has_returned),
        TEST(test_closed_queue_drops_what_waits_and_asks_what_runs_to_end),
    };
    return TEST_MAIN(tests);
}
