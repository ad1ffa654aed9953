/*
 * The loop: when timers fire and in which order, what may be done inside callbacks, how jobs come
 * back, and when the loop ends by itself.
 */
#include "lib/io/loop.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    MANY_TIMERS = 500
};

static struct loop *loop_for_test(void)
{
    struct error err = ERROR_INIT;
    struct loop *loop = NULL;
    assert_ok(loop_new(env_real(), 2, &loop, &err), &err);
    return loop;
}

/* What the callbacks of a test write down. */
struct record {
    struct loop *loop;
    unsigned calls;
    size_t order[MANY_TIMERS];
    uint64_t last_deadline_ns;
    bool is_done;
};

struct numbered_timer {
    struct loop_timer timer;
    struct record *record;
    size_t number;
    struct numbered_timer *victim; /* stopped by the callback */
    uint64_t again_ns;             /* started again with this delay, if not 0 */
    unsigned again_count;
};

static void timer_on_fire(void *arg)
{
    struct numbered_timer *t = arg;

    assert_false(loop_timer_is_armed(&t->timer));
    assert_true(t->timer.deadline_ns >= t->record->last_deadline_ns);
    assert_true(t->timer.deadline_ns <= env_monotonic_ns(loop_env(t->timer.loop)));
    t->record->last_deadline_ns = t->timer.deadline_ns;
    t->record->order[t->record->calls % MANY_TIMERS] = t->number;
    t->record->calls++;
    if (t->victim)
        loop_timer_stop(&t->victim->timer);
    if (t->again_count > 0) {
        t->again_count--;
        loop_timer_start(&t->timer, t->again_ns);
    }
}

static void timer_prepare(struct numbered_timer *t, struct record *record, size_t number)
{
    *t = (struct numbered_timer){.record = record, .number = number};
    loop_timer_init(&t->timer, record->loop, timer_on_fire, t);
}

static void test_timers_fire_in_the_order_of_their_deadlines(void **state UNUSED)
{
    static struct numbered_timer timers[MANY_TIMERS];
    struct record record = {.loop = loop_for_test()};

    /* 7 and 500 have no common divisor: each delay once, in a mixed order. */
    for (size_t i = 0; i < MANY_TIMERS; i++) {
        size_t rank = i * 7 % MANY_TIMERS;
        timer_prepare(&timers[i], &record, rank);
        loop_timer_start(&timers[i].timer, NS_PER_MS + rank * 20 * NS_PER_US);
    }
    loop_run(record.loop); /* the callback compares deadlines */
    assert_int_equal(record.calls, MANY_TIMERS);
    loop_free(record.loop);
}

static void test_stopped_timers_never_fire(void **state UNUSED)
{
    static struct numbered_timer timers[MANY_TIMERS];
    struct record record = {.loop = loop_for_test()};

    for (size_t i = 0; i < MANY_TIMERS; i++) {
        timer_prepare(&timers[i], &record, i);
        loop_timer_start(&timers[i].timer, NS_PER_MS + i * NS_PER_US);
    }
    for (size_t i = 0; i < MANY_TIMERS; i++) {
        if (i % 3 != 0)
            loop_timer_stop(&timers[i].timer);
    }
    loop_run(record.loop);
    assert_int_equal(record.calls, (MANY_TIMERS + 2) / 3);
    for (size_t i = 0; i < record.calls; i++)
        assert_int_equal(record.order[i] % 3, 0);
    loop_free(record.loop);
}

static void test_a_callback_may_stop_a_timer_that_is_due_too(void **state UNUSED)
{
    struct record record = {.loop = loop_for_test()};
    struct numbered_timer first;
    struct numbered_timer second;

    timer_prepare(&first, &record, 1);
    timer_prepare(&second, &record, 2);
    first.victim = &second;
    loop_timer_start(&first.timer, 0);
    loop_timer_start(&second.timer, 1);
    (void)usleep(1000); /* both are due when the loop begins */
    loop_run(record.loop);
    assert_int_equal(record.calls, 1);
    loop_free(record.loop);
}

static void test_a_callback_may_start_its_timer_again(void **state UNUSED)
{
    struct record record = {.loop = loop_for_test()};
    struct numbered_timer t;

    timer_prepare(&t, &record, 1);
    t.again_count = 20;
    t.again_ns = 0;
    loop_timer_start(&t.timer, 0);
    loop_run(record.loop);
    assert_int_equal(record.calls, 21);
    assert_false(loop_timer_is_armed(&t.timer));
    loop_free(record.loop);
}

static void test_starting_an_armed_timer_moves_it(void **state UNUSED)
{
    struct record record = {.loop = loop_for_test()};
    struct numbered_timer a;
    struct numbered_timer b;

    timer_prepare(&a, &record, 1);
    timer_prepare(&b, &record, 2);
    loop_timer_start(&a.timer, NS_PER_MS);
    loop_timer_start(&b.timer, 2 * NS_PER_MS);
    loop_timer_start(&a.timer, 3 * NS_PER_MS);
    loop_run(record.loop);
    assert_int_equal(record.calls, 2);
    assert_int_equal(record.order[0], 2);
    assert_int_equal(record.order[1], 1);
    loop_free(record.loop);
}

static void test_timers_are_finer_than_a_millisecond(void **state UNUSED)
{
    struct record record = {.loop = loop_for_test()};
    struct numbered_timer t;

    timer_prepare(&t, &record, 1);
    t.again_count = 99;
    t.again_ns = 100 * NS_PER_US;
    uint64_t start_ns = env_monotonic_ns(env_real());
    loop_timer_start(&t.timer, t.again_ns);
    loop_run(record.loop);
    uint64_t took_ns = env_monotonic_ns(env_real()) - start_ns;
    assert_int_equal(record.calls, 100);
    assert_true(took_ns >= 100 * t.again_ns); /* never early */
    /* With a millisecond clock 100 of them take 100 ms at least. */
    loop_free(record.loop);
    if (took_ns >= 100 * NS_PER_MS)
        test_skip("the machine is too busy to tell: %llu us", (unsigned long long)took_ns / 1000);
}

static void test_a_zeroed_timer_can_be_stopped(void **state UNUSED)
{
    struct loop_timer t = {.heap_idx = 0};
    loop_timer_stop(&t);
    assert_false(loop_timer_is_armed(&t));
}

static void stop_on_fire(void *arg)
{
    struct record *record = arg;
    record->calls++;
    loop_stop(record->loop);
}

static void test_loop_stop_ends_a_loop_that_has_more_to_do(void **state UNUSED)
{
    struct record record = {.loop = loop_for_test()};
    struct loop_timer soon;
    struct loop_timer late;

    loop_timer_init(&soon, record.loop, stop_on_fire, &record);
    loop_timer_init(&late, record.loop, stop_on_fire, &record);
    loop_timer_start(&soon, NS_PER_MS);
    loop_timer_start(&late, 3600 * NS_PER_SEC);
    loop_run(record.loop);
    assert_int_equal(record.calls, 1);
    assert_true(loop_timer_is_armed(&late));
    loop_timer_stop(&late);
    loop_run(record.loop); /* nothing left: returns */
    loop_free(record.loop);
}

static void done_on_fire(void *arg)
{
    struct record *record = arg;
    record->is_done = true;
}

static void test_run_until_returns_when_the_condition_holds(void **state UNUSED)
{
    struct record record = {.loop = loop_for_test()};
    struct loop_timer soon;
    struct loop_timer late;

    loop_timer_init(&soon, record.loop, done_on_fire, &record);
    loop_timer_init(&late, record.loop, done_on_fire, &record);
    loop_timer_start(&soon, NS_PER_MS);
    loop_timer_start(&late, 3600 * NS_PER_SEC);
    assert_true(loop_run_until(record.loop, &record.is_done));
    loop_timer_stop(&late);
    loop_free(record.loop);
}

static void test_run_until_tells_when_nothing_can_make_it_true(void **state UNUSED)
{
    struct record record = {.loop = loop_for_test()};
    bool never = false;
    struct loop_timer soon;

    loop_timer_init(&soon, record.loop, done_on_fire, &record);
    loop_timer_start(&soon, NS_PER_MS);
    assert_false(loop_run_until(record.loop, &never));
    assert_true(record.is_done);
    loop_free(record.loop);
}

/* ---- jobs ---- */

struct sum_job {
    struct job job;
    uint64_t from;
    uint64_t result;
    bool was_canceled;
    bool is_done;
    pthread_t worker;
    struct sum_job *next; /* submitted by done */
};

static void sum_work(struct job *job)
{
    struct sum_job *s = CONTAINER_OF(job, struct sum_job, job);
    s->worker = pthread_self();
    for (uint64_t i = 0; i < 1000; i++)
        s->result += s->from + i;
}

static void sum_on_done(struct job *job)
{
    struct sum_job *s = CONTAINER_OF(job, struct sum_job, job);
    loop_assert_owner(job->loop);
    s->is_done = true;
    if (s->next)
        job_submit(job->loop, &s->next->job, sum_work, sum_on_done);
}

static void test_jobs_run_on_workers_and_answer_on_the_loop(void **state UNUSED)
{
    struct loop *loop = loop_for_test();
    struct sum_job jobs[20] = {{.from = 0}};
    struct sum_job last = {.from = 77};

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i].from = i;
        job_submit(loop, &jobs[i].job, sum_work, sum_on_done);
        assert_false(jobs[i].is_done);
    }
    jobs[3].next = &last;
    assert_int_equal(loop_job_count(loop), ARRAY_LEN(jobs));
    loop_run(loop);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        assert_true(jobs[i].is_done);
        assert_int_equal(jobs[i].result, 499500 + 1000 * i);
        assert_false(pthread_equal(jobs[i].worker, pthread_self()));
    }
    assert_true(last.is_done);
    assert_int_equal(loop_job_count(loop), 0);
    loop_free(loop);
}

static void endless_work(struct job *job)
{
    struct sum_job *s = CONTAINER_OF(job, struct sum_job, job);
    while (!job_is_canceled(job))
        (void)usleep(100);
    s->was_canceled = true;
}

static void test_a_canceled_job_ends_and_still_answers(void **state UNUSED)
{
    struct loop *loop = loop_for_test();
    struct sum_job jobs[6] = {{.from = 0}}; /* more than workers: some are canceled while queued */

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        job_submit(loop, &jobs[i].job, endless_work, sum_on_done);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        job_cancel(&jobs[i].job);
    loop_run(loop);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        assert_true(jobs[i].is_done);
        assert_true(jobs[i].was_canceled);
    }
    loop_free(loop);
}

static void test_the_size_of_the_pool_is_not_left_in_the_environment(void **state UNUSED)
{
    struct loop *loop = loop_for_test();
    assert_null(getenv("UV_THREADPOOL_SIZE"));
    loop_free(loop);
}

static void test_a_loop_with_nothing_to_do_ends_at_once(void **state UNUSED)
{
    struct loop *loop = loop_for_test();
    loop_run(loop);
    assert_ptr_equal(loop_env(loop), env_real());
    loop_free(loop);
    loop_free(NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_the_size_of_the_pool_is_not_left_in_the_environment),
        TEST(test_a_loop_with_nothing_to_do_ends_at_once),
        TEST(test_timers_fire_in_the_order_of_their_deadlines),
        TEST(test_stopped_timers_never_fire),
        TEST(test_a_callback_may_stop_a_timer_that_is_due_too),
        TEST(test_a_callback_may_start_its_timer_again),
        TEST(test_starting_an_armed_timer_moves_it),
        TEST(test_timers_are_finer_than_a_millisecond),
        TEST(test_a_zeroed_timer_can_be_stopped),
        TEST(test_loop_stop_ends_a_loop_that_has_more_to_do),
        TEST(test_run_until_returns_when_the_condition_holds),
        TEST(test_run_until_tells_when_nothing_can_make_it_true),
        TEST(test_jobs_run_on_workers_and_answer_on_the_loop),
        TEST(test_a_canceled_job_ends_and_still_answers),
    };
    return TEST_MAIN(tests);
}
