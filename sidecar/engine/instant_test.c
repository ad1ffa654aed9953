/*
 * Ages by two clocks, of which one may stand or be set.
 */
#include "sidecar/engine/instant.h"

#include "lib/testing/test.h"

static struct instant shown; /* by the clocks */

static uint64_t wall_ns(void *ctx UNUSED)
{
    return shown.wall_ns;
}

static uint64_t boot_ns(void *ctx UNUSED)
{
    return shown.boot_ns;
}

static void test_an_age_is_what_the_clock_says_that_says_more(void **state UNUSED)
{
    static const struct instant then = {.boot_ns = 100, .wall_ns = 5000};
    static const struct {
        const char *name;
        struct instant now;
        uint64_t age_ns;
    } rows[] = {
        {"now", {100, 5000}, 0},
        {"both went on", {130, 5030}, 30},
        {"the machine was stopped", {101, 8000}, 3000},
        {"set back", {130, 1000}, 30},
        {"set forward a little", {130, 5031}, 31},
    };
    struct env env = *env_real();

    env.clock.wall_ns = wall_ns;
    env.clock.boot_ns = boot_ns;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].name);
        shown = rows[i].now;
        assert_int_equal(instant_age_ns(&env, then), rows[i].age_ns);
        assert_int_equal(instant_age_ns(&env, instant_now(&env)), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_an_age_is_what_the_clock_says_that_says_more),
    };
    return TEST_MAIN(tests);
}
