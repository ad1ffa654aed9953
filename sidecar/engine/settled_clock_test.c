/*
 * Jumps of the wall clock, back and forward, once and again.
 */
#include "sidecar/engine/settled_clock.h"

#include "lib/base/base.h"
#include "lib/testing/test.h"

enum {
    SETTLE_S = 300
};

/* In seconds, from a moment at which the wall clock shows 1,000,000 and the boot clock 1,000. */
struct scene {
    struct settled_clock clock;
    uint64_t unsettled_ns;
};

static void begin(struct scene *s)
{
    settled_clock_init(&s->clock, 1000000 * NS_PER_SEC, 1000 * NS_PER_SEC);
}

/* What is believed when so much time has passed and the wall clock is so far off. */
static int64_t believed(struct scene *s, uint64_t passed_s, int64_t off_s)
{
    uint64_t boot_ns = (1000 + passed_s) * NS_PER_SEC;
    uint64_t wall_ns = (uint64_t)(1000000 + (int64_t)passed_s + off_s) * NS_PER_SEC;
    uint64_t ns =
        settled_clock_ns(&s->clock, wall_ns, boot_ns, SETTLE_S * NS_PER_SEC, &s->unsettled_ns);

    assert_true(ns <= wall_ns);
    return (int64_t)(ns / NS_PER_SEC) - 1000000;
}

static void test_a_steady_clock_is_believed(void **state UNUSED)
{
    struct scene s;
    begin(&s);
    assert_int_equal(believed(&s, 0, 0), 0);
    assert_int_equal(believed(&s, 86400, 0), 86400);
    assert_int_equal(s.unsettled_ns, 0);
}

static void test_a_jump_forward_is_believed_when_it_has_stood(void **state UNUSED)
{
    struct scene s;
    begin(&s);
    assert_int_equal(believed(&s, 10, 77581), 10);
    assert_int_equal(s.unsettled_ns, SETTLE_S * NS_PER_SEC);
    assert_int_equal(believed(&s, 210, 77581), 210);
    assert_int_equal(s.unsettled_ns, 100 * NS_PER_SEC);
    assert_int_equal(believed(&s, 309, 77581), 309);
    assert_int_equal(believed(&s, 310, 77581), 310 + 77581);
    assert_int_equal(s.unsettled_ns, 0);
}

static void test_a_second_jump_begins_anew(void **state UNUSED)
{
    struct scene s;
    begin(&s);
    assert_int_equal(believed(&s, 10, 3600), 10);
    assert_int_equal(believed(&s, 300, 7200), 300);
    assert_int_equal(believed(&s, 400, 7200), 400);
    assert_int_equal(believed(&s, 600, 7200), 600 + 7200);
}

static void test_a_jump_back_counts_at_once(void **state UNUSED)
{
    struct scene s;
    begin(&s);
    assert_int_equal(believed(&s, 10, -3600), 10 - 3600);
    assert_int_equal(s.unsettled_ns, 0);
    assert_int_equal(believed(&s, 20, 0), 20 - 3600); /* and this is one forward */
    assert_int_equal(believed(&s, 320, 0), 320);
}

static void test_a_clock_that_comes_back_has_never_been_away(void **state UNUSED)
{
    struct scene s;
    begin(&s);
    assert_int_equal(believed(&s, 10, 3600), 10);
    assert_int_equal(believed(&s, 20, 0), 20);
    assert_int_equal(s.unsettled_ns, 0);
    assert_int_equal(believed(&s, 1000, 3600), 1000);
}

static void test_a_steered_clock_is_followed(void **state UNUSED)
{
    struct scene s;
    begin(&s);
    for (uint64_t i = 1; i <= 100; i++) /* half a millisecond a second, looked at each half hour */
        assert_int_equal(believed(&s, i * 1800, (int64_t)(i * 9 / 10)), i * 1800 + i * 9 / 10);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_steady_clock_is_believed),
        TEST(test_a_jump_forward_is_believed_when_it_has_stood),
        TEST(test_a_second_jump_begins_anew),
        TEST(test_a_jump_back_counts_at_once),
        TEST(test_a_clock_that_comes_back_has_never_been_away),
        TEST(test_a_steered_clock_is_followed),
    };
    return TEST_MAIN(tests);
}
