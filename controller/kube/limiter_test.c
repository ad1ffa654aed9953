/*
 * The token bucket: bursts, the rate behind them, and the order of those who wait.
 */
#include "controller/kube/limiter.h"

#include "lib/testing/test.h"

static void test_limiter_lets_a_burst_pass_and_spaces_what_follows(void **state UNUSED)
{
    struct limiter l;
    uint64_t now = 5 * NS_PER_SEC;

    limiter_init(&l, 50, 100, now);
    for (int i = 0; i < 100; i++)
        assert_int_equal(limiter_reserve(&l, now), 0);
    for (uint64_t i = 1; i <= 5; i++)
        assert_in_range(limiter_reserve(&l, now), i * 20 * NS_PER_MS, i * 20 * NS_PER_MS + 1000);
    /* Five were taken ahead; the sixth comes due 120 ms after the burst. */
    assert_in_range(limiter_reserve(&l, now + 100 * NS_PER_MS), 20 * NS_PER_MS,
                    20 * NS_PER_MS + 1000);
}

static void test_limiter_saves_no_more_than_its_burst(void **state UNUSED)
{
    struct limiter l;

    limiter_init(&l, 10, 2, 0);
    assert_true(limiter_try(&l, 0));
    assert_true(limiter_try(&l, 0));
    assert_false(limiter_try(&l, 0));
    assert_false(limiter_try(&l, 99 * NS_PER_MS));
    assert_true(limiter_try(&l, 101 * NS_PER_MS));
    uint64_t late = NS_PER_HOUR;
    assert_true(limiter_try(&l, late));
    assert_true(limiter_try(&l, late));
    assert_false(limiter_try(&l, late));
}

static void test_limiter_without_a_rate_never_waits(void **state UNUSED)
{
    struct limiter l;

    limiter_init(&l, 0, 0, 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(limiter_reserve(&l, 0), 0);
    assert_true(limiter_try(&l, 0));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_limiter_lets_a_burst_pass_and_spaces_what_follows),
        TEST(test_limiter_saves_no_more_than_its_burst),
        TEST(test_limiter_without_a_rate_never_waits),
    };
    return TEST_MAIN(tests);
}
