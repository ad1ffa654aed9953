/*
 * The lease of a prefix: one of two has it, whatever sleeps, dies or is away.
 */
#include "sidecar/engine/bucket_lease.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/file/file.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/flaky_storage.h"
#include "lib/testing/test.h"
#include "sidecar/engine/lease_record.h"

enum {
    WRITERS = 2,
    STEP_SECONDS = 4,
    PATIENCE_SECONDS = 30, /* of real time, for anything that must happen */
};

struct stage;

struct writer {
    struct stage *s;
    struct storage *st;
    struct flaky flaky;
    struct bucket_lease *lease;
    unsigned changes;
    unsigned faults;
    bool is_ended;
};

struct stage {
    char folder[256];
    struct env env;
    atomic_uint_fast64_t skew_ns;
    struct loop *loop;
    struct loop_timer tick;
    struct writer writer[WRITERS];
};

static uint64_t stage_wall_ns(void *ctx)
{
    return env_wall_ns(env_real()) + atomic_load(&((struct stage *)ctx)->skew_ns);
}

static uint64_t stage_monotonic_ns(void *ctx)
{
    return env_monotonic_ns(env_real()) + atomic_load(&((struct stage *)ctx)->skew_ns);
}

static uint64_t stage_boot_ns(void *ctx)
{
    return env_boot_ns(env_real()) + atomic_load(&((struct stage *)ctx)->skew_ns);
}

static void tick(void *arg UNUSED)
{
    /* Its only purpose is to end a turn of the loop. */
}

static void on_change(void *arg)
{
    ((struct writer *)arg)->changes++;
}

static void on_fault(void *arg, const struct error *err)
{
    assert_int_not_equal(err->code, ERR_NONE);
    ((struct writer *)arg)->faults++;
}

static void on_end(void *arg)
{
    struct writer *w = arg;
    w->lease = NULL;
    w->is_ended = true;
}

static void stage_open(struct stage *s)
{
    struct error err = ERROR_INIT;

    *s = (struct stage){.env = *env_real()};
    s->env.clock = (struct env_clock){.wall_ns = stage_wall_ns,
                                      .monotonic_ns = stage_monotonic_ns,
                                      .boot_ns = stage_boot_ns,
                                      .ctx = s};
    test_folder_make(s->folder);
    assert_ok(loop_new(&s->env, 2, &s->loop, &err), &err);
    loop_timer_init(&s->tick, s->loop, tick, s);
    for (size_t i = 0; i < WRITERS; i++) {
        char root[300];
        struct storage *inner = NULL;
        (void)snprintf(root, sizeof(root), "%s/bucket", s->folder);
        s->writer[i].s = s;
        assert_ok(storage_file_new(s->loop, &s->env, root, &inner, &err), &err);
        s->writer[i].st = flaky_storage_new(s->loop, inner, &s->writer[i].flaky);
    }
}

static void turn(struct stage *s, uint64_t until_ns, const char *what)
{
    if (env_monotonic_ns(env_real()) > until_ns) {
        print_error("# waited in vain for: %s\n", what);
        fail();
    }
    loop_timer_start(&s->tick, 2 * NS_PER_MS);
    (void)uv_run(loop_uv(s->loop), UV_RUN_ONCE);
    loop_timer_stop(&s->tick);
}

#define UNTIL(s, condition)                                                                        \
    do {                                                                                           \
        uint64_t until_ns = env_monotonic_ns(env_real()) + PATIENCE_SECONDS * NS_PER_SEC;          \
        while (!(condition))                                                                       \
            turn((s), until_ns, #condition);                                                       \
    } while (0)

/* Time jumps; timers that are due then fire in the next turn. */
static void jump(struct stage *s, uint64_t ns)
{
    loop_timer_start(&s->tick, 0);
    atomic_fetch_add(&s->skew_ns, ns);
    loop_timer_stop(&s->tick); /* it was the first: the loop looks at the clock again */
}

/* Time flies, some seconds every few turns of the loop, so that whoever renews can do so: what the
 * disk is asked for is done before time goes on. */
static void pass(struct stage *s, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i += STEP_SECONDS) {
        jump(s, STEP_SECONDS * NS_PER_SEC);
        for (unsigned calm = 0; calm < 5; calm = loop_job_count(s->loop) > 0 ? 0 : calm + 1)
            turn(s, UINT64_MAX, "");
    }
}

static void ask(struct stage *s, size_t i)
{
    struct writer *w = &s->writer[i];
    struct error err = ERROR_INIT;
    const struct bucket_lease_args args = {.loop = s->loop,
                                           .storage = w->st,
                                           .owner = (uint32_t)(0xa0 + i),
                                           .on_change = on_change,
                                           .on_fault = on_fault,
                                           .arg = w};
    w->is_ended = false;
    assert_ok(bucket_lease_new(&args, &w->lease, &err), &err);
}

static void end(struct stage *s, size_t i, bool is_given_up)
{
    struct writer *w = &s->writer[i];

    if (!w->lease)
        return;
    bucket_lease_end(w->lease, is_given_up, on_end, w);
    UNTIL(s, w->is_ended);
}

static bool is_held(const struct stage *s, size_t i)
{
    return s->writer[i].lease && bucket_lease_is_held(s->writer[i].lease);
}

static void stage_close(struct stage *s)
{
    for (size_t i = 0; i < WRITERS; i++) {
        flaky_set(&s->writer[i].flaky, STORAGE_OP_KINDS, NULL);
        flaky_release(&s->writer[i].flaky);
        end(s, i, false);
        storage_free(s->writer[i].st);
    }
    loop_run(s->loop);
    loop_free(s->loop);
    test_folder_remove(s->folder);
}

static int count_one(void *arg, const struct storage_object *object UNUSED,
                     struct error *err UNUSED)
{
    (*(size_t *)arg)++;
    return 0;
}

static size_t objects(struct stage *s)
{
    const struct storage_list list = {.prefix = LEASE_PREFIX, .on_object = count_one};
    struct error err = ERROR_INIT;
    size_t count = 0;
    assert_ok(storage_list_wait(s->writer[0].st, &list, &count, &err), &err);
    return count;
}

/* ---- tests ---- */

static void test_second_waits_while_the_first_renews_and_names_it(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    ask(&s, 0);
    UNTIL(&s, is_held(&s, 0));
    assert_int_equal(s.writer[0].changes, 1);
    ask(&s, 1);
    UNTIL(&s, bucket_lease_holder(s.writer[1].lease)[0]);
    assert_non_null(strstr(bucket_lease_holder(s.writer[1].lease), "(000000a0)"));
    for (unsigned i = 0; i < 10; i++) {
        pass(&s, 12);
        assert_true(is_held(&s, 0));
        assert_false(is_held(&s, 1));
    }
    assert_int_equal(s.writer[0].changes, 1); /* renewing is no news */
    assert_in_range(objects(&s), 1, 2);       /* what was renewed is deleted */
    stage_close(&s);
}

static void test_lease_that_was_given_up_is_had_at_once(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    ask(&s, 0);
    UNTIL(&s, is_held(&s, 0));
    end(&s, 0, true);
    assert_int_equal(objects(&s), 0);
    ask(&s, 1);
    UNTIL(&s, is_held(&s, 1));
    stage_close(&s);
}

static void test_lease_of_a_dead_writer_is_taken_over_after_a_while(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    ask(&s, 0);
    UNTIL(&s, is_held(&s, 0));
    end(&s, 0, false); /* as by a kill */
    assert_int_equal(objects(&s), 1);
    ask(&s, 1);
    pass(&s, 20);
    assert_false(is_held(&s, 1));
    pass(&s, 25);
    UNTIL(&s, is_held(&s, 1));
    stage_close(&s);
}

static void test_lease_that_expired_long_ago_is_had_at_once(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    ask(&s, 0);
    UNTIL(&s, is_held(&s, 0));
    end(&s, 0, false);
    jump(&s, NS_PER_HOUR);
    ask(&s, 1);
    UNTIL(&s, is_held(&s, 1));
    stage_close(&s);
}

static void test_only_one_of_two_that_ask_at_once_gets_it(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    for (size_t i = 0; i < WRITERS; i++) { /* both have seen that there is none */
        flaky_set(&s.writer[i].flaky, STORAGE_OP_PUT,
                  &(struct flaky_rule){.fault = FLAKY_HOLD, .times = 1});
        ask(&s, i);
        UNTIL(&s, flaky_held_count(&s.writer[i].flaky) == 1);
    }
    flaky_release(&s.writer[0].flaky);
    flaky_release(&s.writer[1].flaky);
    UNTIL(&s, is_held(&s, 0) || is_held(&s, 1));
    size_t winner = is_held(&s, 0) ? 0 : 1;
    UNTIL(&s, bucket_lease_holder(s.writer[1 - winner].lease)[0]);
    assert_false(is_held(&s, 1 - winner));
    stage_close(&s);
}

static void test_lost_answer_is_recognised_as_ours(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    flaky_set(&s.writer[0].flaky, STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_LOSE_ANSWER, .times = 1});
    ask(&s, 0);
    UNTIL(&s, s.writer[0].faults == 1);
    pass(&s, 3);
    UNTIL(&s, is_held(&s, 0));
    stage_close(&s);
}

static void test_holder_that_slept_looks_before_it_goes_on(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    ask(&s, 0);
    UNTIL(&s, is_held(&s, 0));
    /* It sleeps: its requests stay where they are. */
    flaky_set(&s.writer[0].flaky, STORAGE_OP_KINDS, &(struct flaky_rule){.fault = FLAKY_HOLD});
    ask(&s, 1);
    pass(&s, 60);
    UNTIL(&s, is_held(&s, 1));
    assert_false(is_held(&s, 0));
    pass(&s, 60); /* several numbers are used and deleted meanwhile */
    flaky_set(&s.writer[0].flaky, STORAGE_OP_KINDS, NULL);
    flaky_release(&s.writer[0].flaky);
    UNTIL(&s, bucket_lease_holder(s.writer[0].lease)[0]);
    assert_false(is_held(&s, 0));
    assert_int_equal(s.writer[0].changes, 2);
    pass(&s, 60);
    UNTIL(&s, is_held(&s, 1));
    assert_false(is_held(&s, 0));
    stage_close(&s);
}

static void test_store_that_is_away_ends_the_lease_and_gives_it_back(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    ask(&s, 0);
    UNTIL(&s, is_held(&s, 0));
    flaky_set(&s.writer[0].flaky, STORAGE_OP_KINDS, &(struct flaky_rule){.fault = FLAKY_FAIL});
    pass(&s, 40);
    assert_false(is_held(&s, 0)); /* by now somebody else might have it */
    assert_true(s.writer[0].faults > 2);
    flaky_set(&s.writer[0].flaky, STORAGE_OP_KINDS, NULL);
    pass(&s, 5);
    UNTIL(&s, is_held(&s, 0)); /* nobody had */
    stage_close(&s);
}

static void test_record_that_nobody_understands_is_waited_for_as_any_other(void **state UNUSED)
{
    struct stage s;
    char command[600];
    stage_open(&s);
    (void)snprintf(command, sizeof(command),
                   "mkdir -p %s/bucket/lease && printf junk > "
                   "%s/bucket/lease/0000000000000009",
                   s.folder, s.folder);
    assert_int_equal(system(command), 0);
    ask(&s, 0);
    pass(&s, 20);
    assert_false(is_held(&s, 0));
    pass(&s, 25);
    UNTIL(&s, is_held(&s, 0));
    UNTIL(&s, objects(&s) == 1);
    stage_close(&s);
}

static void test_it_can_be_ended_in_the_middle_of_anything(void **state UNUSED)
{
    for (unsigned turns = 0; turns < 12; turns++) {
        struct stage s;
        stage_open(&s);
        ask(&s, 0);
        for (unsigned i = 0; i < turns; i++)
            turn(&s, UINT64_MAX, "");
        end(&s, 0, turns % 2);
        stage_close(&s);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_second_waits_while_the_first_renews_and_names_it),
        TEST(test_lease_that_was_given_up_is_had_at_once),
        TEST(test_lease_of_a_dead_writer_is_taken_over_after_a_while),
        TEST(test_lease_that_expired_long_ago_is_had_at_once),
        TEST(test_only_one_of_two_that_ask_at_once_gets_it),
        TEST(test_lost_answer_is_recognised_as_ours),
        TEST(test_holder_that_slept_looks_before_it_goes_on),
        TEST(test_store_that_is_away_ends_the_lease_and_gives_it_back),
        TEST(test_record_that_nobody_understands_is_waited_for_as_any_other),
        TEST(test_it_can_be_ended_in_the_middle_of_anything),
    };
    return TEST_MAIN(tests);
}
