/*
 * The simulation as tests: a bounded number of seeds, and that a seed is a life: the same events
 * each time, whatever was played before in the same process.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"
#include "sidecar/sim/sim.h"

enum {
    SEEDS = 400,
    SECONDS_MAX = 12, /* on a busy machine fewer seeds are played */
};

static struct play_outcome play(uint64_t seed)
{
    struct play_outcome o;

    play_seed(seed, NULL, &o);
    return o;
}

static void test_a_seed_makes_the_same_life_again(void **state UNUSED)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct play_outcome first = play(seed);
        (void)play(seed + 100); /* what was before does not matter */
        struct play_outcome again = play(seed);
        assert_true(first.trace_count > 10);
        assert_int_equal(again.trace_count, first.trace_count);
        assert_int_equal(again.trace_hash, first.trace_hash);
        assert_int_equal(again.operations, first.operations);
    }
}

static void test_another_seed_makes_another_life(void **state UNUSED)
{
    uint64_t hash = play(1).trace_hash;

    for (uint64_t seed = 2; seed <= 6; seed++)
        assert_int_not_equal(play(seed).trace_hash, hash);
}

static void test_lives_keep_every_promise(void **state UNUSED)
{
    const struct runner_options options = {
        .first_seed = 1, .count = SEEDS, .seconds_max = SECONDS_MAX};
    struct runner_outcome o;

    runner_run(&options, &o);
    print_message("# %" PRIu64 " lives: %u commits, %u objects, %u restores, %u deaths\n", o.played,
                  o.sum.commits, o.sum.objects, o.sum.restores, o.sum.deaths);
    assert_int_equal(o.failed, 0);
    assert_true(o.played > 0);
    assert_true(o.sum.objects > 0);
    assert_true(o.sum.restores > 0);
}

/* Memory and descriptors after many lives are what they were after a few. */
static void test_lives_leave_no_descriptor_behind(void **state UNUSED)
{
    (void)play(1);
    int before = dup(0);
    assert_true(before >= 0);
    (void)close(before);
    for (uint64_t seed = 200; seed < 230; seed++)
        (void)play(seed);
    int after = dup(0);
    (void)close(after);
    assert_int_equal(after, before); /* the lowest free number */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_seed_makes_the_same_life_again),
        TEST(test_another_seed_makes_another_life),
        TEST(test_lives_leave_no_descriptor_behind),
        TEST(test_lives_keep_every_promise),
    };
    return TEST_MAIN(tests);
}
