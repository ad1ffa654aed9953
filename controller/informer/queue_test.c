/*
 * The work queue: once, never twice at a time, later, and after failures.
 */
#include "controller/informer/queue.h"

#include <stdio.h>
#include <string.h>

#include "lib/testing/test.h"

struct scene {
    struct loop *loop;
    struct queue *q;
    char given[64][16]; /* keys in the order in which they were given out */
    size_t count;
    size_t want; /* keys to wait for */
    bool is_enough;
    bool finishes; /* at once */
    enum queue_outcome outcome;
    uint64_t delay_ns;
    unsigned failures_left; /* RETRY so often, then DONE */
    bool is_idle;
    bool is_lost;
};

static void on_work(void *arg, const char *key)
{
    struct scene *s = arg;

    assert_true(s->count < ARRAY_LEN(s->given));
    (void)snprintf(s->given[s->count++], sizeof(s->given[0]), "%s", key);
    s->is_enough = s->count >= s->want;
    if (!s->finishes)
        return;
    enum queue_outcome outcome = s->outcome;
    if (s->failures_left > 0) {
        s->failures_left--;
        outcome = QUEUE_RETRY;
    }
    queue_finish(s->q, key, outcome, s->delay_ns);
}

static void on_lost(void *arg)
{
    struct scene *s = arg;

    s->is_lost = true;
}

static void on_idle(void *arg)
{
    struct scene *s = arg;

    s->is_idle = true;
}

static void scene_make(struct scene *s, unsigned workers)
{
    struct error err = ERROR_INIT;

    *s = (struct scene){.finishes = true, .outcome = QUEUE_DONE};
    assert_ok(loop_new(env_real(), 1, &s->loop, &err), &err);
    assert_ok(queue_new(s->loop,
                        &(struct queue_config){.name = "test",
                                               .workers = workers,
                                               .work = on_work,
                                               .on_lost = on_lost,
                                               .arg = s,
                                               .backoff_ns_max = 20 * NS_PER_MS},
                        &s->q, &err),
              &err);
    queue_resume(s->q);
}

static void scene_drop(struct scene *s)
{
    queue_free(s->q);
    loop_free(s->loop);
}

static void given(struct scene *s, size_t count)
{
    s->want = count;
    s->is_enough = s->count >= count;
    assert_true(loop_run_until(s->loop, &s->is_enough));
}

static void end_wait(void *arg)
{
    bool *is_over = arg;

    *is_over = true;
}

/* Runs the loop for a while: so that what must not happen has its chance. */
static void linger(struct scene *s, uint64_t ns)
{
    struct loop_timer t;
    bool is_over = false;

    loop_timer_init(&t, s->loop, end_wait, &is_over);
    loop_timer_start(&t, ns);
    assert_true(loop_run_until(s->loop, &is_over));
}

static void test_queue_gives_a_key_once_however_often_it_was_added(void **state UNUSED)
{
    struct scene s;
    struct queue_stats stats;
    scene_make(&s, 1);

    for (int i = 0; i < 5; i++) {
        queue_add(s.q, "a", QUEUE_CHANGE);
        queue_add(s.q, "b", QUEUE_CHANGE);
    }
    assert_int_equal(s.count, 0); /* never inside queue_add() */
    given(&s, 2);
    linger(&s, 2 * NS_PER_MS);
    assert_int_equal(s.count, 2);
    assert_string_equal(s.given[0], "a");
    assert_string_equal(s.given[1], "b");
    queue_stats(s.q, &stats);
    assert_int_equal(stats.add_count, 2);
    assert_int_equal(stats.done_counts[QUEUE_DONE], 2);
    assert_int_equal(stats.depth, 0);
    scene_drop(&s);
}

static void test_queue_runs_a_key_again_that_was_added_meanwhile(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, 4);
    s.finishes = false;

    queue_add(s.q, "a", QUEUE_CHANGE);
    given(&s, 1);
    queue_add(s.q, "a", QUEUE_CHANGE);
    queue_add(s.q, "a", QUEUE_CHANGE);
    linger(&s, 2 * NS_PER_MS);
    assert_int_equal(s.count, 1); /* not twice at a time, though workers are free */
    queue_finish(s.q, "a", QUEUE_DONE, 0);
    given(&s, 2);
    queue_finish(s.q, "a", QUEUE_DONE, 0);
    linger(&s, 2 * NS_PER_MS);
    assert_int_equal(s.count, 2);
    scene_drop(&s);
}

static void test_queue_has_no_more_workers_than_it_may(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, 2);
    s.finishes = false;

    queue_add(s.q, "a", QUEUE_CHANGE);
    queue_add(s.q, "b", QUEUE_CHANGE);
    queue_add(s.q, "c", QUEUE_CHANGE);
    given(&s, 2);
    linger(&s, 2 * NS_PER_MS);
    assert_int_equal(s.count, 2);
    assert_int_equal(queue_busy_count(s.q), 2);
    queue_finish(s.q, "b", QUEUE_DONE, 0);
    given(&s, 3);
    assert_string_equal(s.given[2], "c");
    queue_finish(s.q, "a", QUEUE_DONE, 0);
    queue_finish(s.q, "c", QUEUE_DONE, 0);
    scene_drop(&s);
}

static void test_queue_serves_edits_before_changes_before_resyncs(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, 1);

    queue_add(s.q, "r1", QUEUE_RESYNC);
    queue_add(s.q, "r2", QUEUE_RESYNC);
    queue_add(s.q, "c1", QUEUE_CHANGE);
    queue_add(s.q, "e1", QUEUE_EDIT);
    queue_add(s.q, "r2", QUEUE_CHANGE); /* moves forward */
    queue_add(s.q, "c1", QUEUE_RESYNC); /* does not move back */
    given(&s, 4);
    assert_string_equal(s.given[0], "e1");
    assert_string_equal(s.given[1], "c1");
    assert_string_equal(s.given[2], "r2");
    assert_string_equal(s.given[3], "r1");
    scene_drop(&s);
}

static void test_queue_looks_again_behind_what_has_changed(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, 1);

    s.outcome = QUEUE_AFTER;
    s.delay_ns = NS_PER_MS;
    queue_add(s.q, "again", QUEUE_EDIT);
    given(&s, 1);
    queue_pause(s.q, NULL, NULL);
    linger(&s, 10 * NS_PER_MS); /* its time comes meanwhile */
    s.outcome = QUEUE_DONE;
    queue_add(s.q, "changed", QUEUE_CHANGE);
    queue_resume(s.q);
    given(&s, 3);
    assert_string_equal(s.given[1], "changed");
    assert_string_equal(s.given[2], "again");
    scene_drop(&s);
}

static void test_queue_waits_longer_after_each_failure(void **state UNUSED)
{
    struct scene s;
    struct queue_stats stats;
    scene_make(&s, 1);
    s.failures_left = 4;

    uint64_t before = env_monotonic_ns(env_real());
    queue_add(s.q, "a", QUEUE_CHANGE);
    given(&s, 4);
    assert_int_equal(queue_failures(s.q, "a"), 4);
    given(&s, 5);
    /* 5 + 10 + 20 + 20 (the ceiling of this test) */
    assert_true(env_monotonic_ns(env_real()) - before >= 55 * NS_PER_MS);
    assert_int_equal(queue_failures(s.q, "a"), 0);
    queue_stats(s.q, &stats);
    assert_int_equal(stats.retry_count, 4);
    scene_drop(&s);
}

static void test_queue_forgets_failures_when_told(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, 1);
    s.failures_left = 1;

    queue_add(s.q, "a", QUEUE_CHANGE);
    given(&s, 1);
    queue_forget(s.q, "a");
    queue_forget(s.q, "unknown");
    assert_int_equal(queue_failures(s.q, "a"), 0);
    given(&s, 2); /* its time stays set */
    scene_drop(&s);
}

static void test_queue_gives_later_what_was_added_for_later(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, 1);

    queue_add_after(s.q, "late", 30 * NS_PER_MS);
    queue_add_after(s.q, "early", 40 * NS_PER_MS);
    queue_add_after(s.q, "early", 5 * NS_PER_MS);   /* earlier wins */
    queue_add_after(s.q, "late", 500 * NS_PER_SEC); /* later does not */
    queue_add(s.q, "now", QUEUE_CHANGE);
    given(&s, 3);
    assert_string_equal(s.given[0], "now");
    assert_string_equal(s.given[1], "early");
    assert_string_equal(s.given[2], "late");
    /* A key that is worked on anyway does not come again at its time: the worker decides anew. */
    queue_add_after(s.q, "x", 10 * NS_PER_MS);
    queue_add(s.q, "x", QUEUE_CHANGE);
    given(&s, 4);
    linger(&s, 15 * NS_PER_MS);
    assert_int_equal(s.count, 4);
    s.outcome = QUEUE_AFTER;
    s.delay_ns = NS_PER_MS;
    queue_add(s.q, "y", QUEUE_CHANGE);
    given(&s, 7);
    assert_string_equal(s.given[6], "y");
    scene_drop(&s);
}

static void test_queue_pauses_and_says_when_nobody_works_any_more(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, 2);
    s.finishes = false;

    queue_add(s.q, "a", QUEUE_CHANGE);
    given(&s, 1);
    queue_pause(s.q, on_idle, &s);
    queue_add(s.q, "b", QUEUE_CHANGE);
    linger(&s, 2 * NS_PER_MS);
    assert_false(s.is_idle);
    assert_int_equal(s.count, 1);
    queue_finish(s.q, "a", QUEUE_DONE, 0);
    assert_false(s.is_idle);
    assert_true(loop_run_until(s.loop, &s.is_idle));
    assert_int_equal(s.count, 1);
    queue_resume(s.q);
    given(&s, 2);
    queue_finish(s.q, "b", QUEUE_DONE, 0);
    scene_drop(&s);
}

static void test_queue_spaces_the_retries_of_many_keys(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    scene_make(&s, 4);

    queue_free(s.q);
    assert_ok(queue_new(s.loop,
                        &(struct queue_config){.name = "test",
                                               .work = on_work,
                                               .on_lost = on_lost,
                                               .arg = &s,
                                               .backoff_ns_min = 1,
                                               .retry_rate_per_s = 100,
                                               .retry_burst = 1},
                        &s.q, &err),
              &err);
    queue_resume(s.q);
    s.failures_left = 4;
    uint64_t before = env_monotonic_ns(env_real());
    queue_add(s.q, "a", QUEUE_CHANGE);
    queue_add(s.q, "b", QUEUE_CHANGE);
    queue_add(s.q, "c", QUEUE_CHANGE);
    queue_add(s.q, "d", QUEUE_CHANGE);
    given(&s, 8);
    /* The first retry is free, the other three come 10 ms apart. */
    assert_true(env_monotonic_ns(env_real()) - before >= 29 * NS_PER_MS);
    assert_false(s.is_lost);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_queue_gives_a_key_once_however_often_it_was_added),
        TEST(test_queue_runs_a_key_again_that_was_added_meanwhile),
        TEST(test_queue_has_no_more_workers_than_it_may),
        TEST(test_queue_serves_edits_before_changes_before_resyncs),
        TEST(test_queue_looks_again_behind_what_has_changed),
        TEST(test_queue_waits_longer_after_each_failure),
        TEST(test_queue_forgets_failures_when_told),
        TEST(test_queue_gives_later_what_was_added_for_later),
        TEST(test_queue_pauses_and_says_when_nobody_works_any_more),
        TEST(test_queue_spaces_the_retries_of_many_keys),
    };
    return TEST_MAIN(tests);
}
