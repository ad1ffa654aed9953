/*
 * The loop in a simulation: time is a number that only wait_until() moves, jobs run on the loop,
 * and equal environments make equal turns.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/io/loop.h"
#include "lib/testing/test.h"

/* The whole world: a clock and a generator. */
struct world {
    struct env env;
    uint64_t now_ns;
    uint64_t luck;
    struct loop *loop;
    char said[64]; /* what happened, in order */
    size_t said_n;
};

static uint64_t world_now(void *ctx)
{
    return ((struct world *)ctx)->now_ns;
}

static void world_wait(void *ctx, uint64_t ns)
{
    struct world *w = ctx;
    if (ns > w->now_ns)
        w->now_ns = ns;
}

static void world_fill(void *ctx, void *p, size_t n)
{
    struct world *w = ctx;
    uint8_t *at = p;

    for (size_t i = 0; i < n; i++) {
        w->luck = w->luck * UINT64_C(6364136223846793005) + 1442695040888963407;
        at[i] = (uint8_t)(w->luck >> 56);
    }
}

static void world_begin(struct world *w, uint64_t luck)
{
    struct error err = ERROR_INIT;

    *w = (struct world){.env = *env_real(), .now_ns = NS_PER_SEC, .luck = luck};
    w->env.clock = (struct env_clock){.wall_ns = world_now,
                                      .monotonic_ns = world_now,
                                      .boot_ns = world_now,
                                      .wait_until = world_wait,
                                      .ctx = w};
    w->env.random = (struct env_random){.fill = world_fill, .ctx = w};
    assert_ok(loop_new(&w->env, 2, &w->loop, &err), &err);
}

static void world_end(struct world *w)
{
    loop_run(w->loop);
    loop_free(w->loop);
}

static void say(struct world *w, char what)
{
    assert_true(w->said_n < sizeof(w->said) - 1);
    w->said[w->said_n++] = what;
}

static void timer_says_t(void *world)
{
    say(world, 't');
}

static void test_a_simulated_day_passes_without_waiting(void **state UNUSED)
{
    struct world w;
    struct loop_timer timer;

    world_begin(&w, 1);
    assert_int_equal(loop_next_ns(w.loop), UINT64_MAX);
    loop_timer_init(&timer, w.loop, timer_says_t, &w);
    loop_timer_start(&timer, NS_PER_DAY);
    assert_int_equal(loop_next_ns(w.loop), NS_PER_SEC + NS_PER_DAY);
    assert_true(loop_turn(w.loop));
    assert_int_equal(w.now_ns, NS_PER_SEC + NS_PER_DAY);
    assert_string_equal(w.said, "t");
    assert_false(loop_turn(w.loop));
    world_end(&w);
}

struct speaking_job {
    struct job job;
    struct world *w;
    char name;
    bool is_done;
};

static void job_works(struct job *job)
{
    struct speaking_job *j = CONTAINER_OF(job, struct speaking_job, job);
    say(j->w, j->name);
}

static void job_is_done(struct job *job)
{
    struct speaking_job *j = CONTAINER_OF(job, struct speaking_job, job);
    say(j->w, (char)(j->name - 'a' + 'A'));
    j->is_done = true;
}

static void jobs_run(struct world *w, uint64_t luck)
{
    struct speaking_job jobs[6];

    world_begin(w, luck);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct speaking_job){.w = w, .name = (char)('a' + i)};
        job_submit(w->loop, &jobs[i].job, job_works, job_is_done);
    }
    assert_int_equal(w->said_n, 0); /* never inside the call */
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_true(loop_run_until(w->loop, &jobs[i].is_done));
    assert_int_equal(loop_job_count(w->loop), 0);
    world_end(w);
}

static void test_simulated_jobs_start_in_the_order_of_submission(void **state UNUSED)
{
    for (uint64_t luck = 1; luck < 50; luck++) {
        struct world w;
        char last = 0;
        jobs_run(&w, luck);
        for (size_t i = 0; i < w.said_n; i++) {
            if (w.said[i] < 'a')
                continue;
            assert_true(w.said[i] > last);
            last = w.said[i];
        }
        assert_int_equal(last, 'f');
        assert_int_equal(w.said_n, 12);
    }
}

static void test_equal_worlds_make_equal_turns(void **state UNUSED)
{
    struct world a;
    struct world b;
    unsigned others = 0;

    jobs_run(&a, 7);
    jobs_run(&b, 7);
    assert_string_equal(a.said, b.said);
    assert_int_equal(a.now_ns, b.now_ns);
    for (uint64_t luck = 8; luck < 28; luck++) {
        jobs_run(&b, luck);
        others += strcmp(a.said, b.said) != 0;
    }
    assert_true(others > 0); /* and others make others */
}

static void timer_stops(void *world)
{
    struct world *w = world;
    loop_stop(w->loop);
}

static void test_a_simulated_loop_can_be_stopped(void **state UNUSED)
{
    struct world w;
    struct loop_timer first;
    struct loop_timer second;

    world_begin(&w, 1);
    loop_timer_init(&first, w.loop, timer_stops, &w);
    loop_timer_init(&second, w.loop, timer_says_t, &w);
    loop_timer_start(&first, 5);
    loop_timer_start(&second, 10);
    loop_run(w.loop);
    assert_int_equal(w.said_n, 0);
    loop_run(w.loop);
    assert_string_equal(w.said, "t");
    world_end(&w);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_simulated_day_passes_without_waiting),
        TEST(test_simulated_jobs_start_in_the_order_of_submission),
        TEST(test_equal_worlds_make_equal_turns),
        TEST(test_a_simulated_loop_can_be_stopped),
    };
    return TEST_MAIN(tests);
}
