/*
 * Back-off: how long, how often, and what is told in the end. Clock and chance are the test's.
 */
#include "lib/http/retry.h"

#include <string.h>

#include "lib/testing/test.h"

/* A clock that stands where it is put, and the highest or the lowest of all random numbers. */
struct still_env {
    struct env env;
    uint64_t now_ns;
    uint64_t chance;
};

static uint64_t still_now(void *ctx)
{
    const struct still_env *e = ctx;
    return e->now_ns;
}

static void still_fill(void *ctx, void *p, size_t n)
{
    const struct still_env *e = ctx;
    assert_int_equal(n, sizeof(e->chance));
    memcpy(p, &e->chance, n);
}

static void still_init(struct still_env *e)
{
    *e = (struct still_env){.env = *env_real(), .now_ns = NS_PER_HOUR};
    e->env.clock.ctx = e;
    e->env.clock.monotonic_ns = still_now;
    e->env.random.ctx = e;
    e->env.random.fill = still_fill;
}

static void unavailable(struct error *err, const char *text)
{
    (void)error_set(err, ERR_UNAVAILABLE, 503, "%s", text);
}

static void test_delays_double_up_to_the_ceiling_with_full_jitter(void **state UNUSED)
{
    static const uint64_t ceilings_ms[] = {200, 400, 800, 1600, 3200, 6400, 12800, 20000, 20000};
    struct still_env e;
    struct retry r;
    still_init(&e);
    retry_init(&r, &retry_policy_default, &e.env, 0);
    for (size_t i = 0; i < ARRAY_LEN(ceilings_ms); i++) {
        struct error err = ERROR_INIT;
        struct retry copy = r;
        uint64_t delay_ns = 1;
        unavailable(&err, "503");
        e.chance = 0;
        assert_true(retry_next(&copy, &e.env, 0, &delay_ns, &err));
        assert_int_equal(delay_ns, 0);
        e.chance = ceilings_ms[i] * NS_PER_MS; /* below the limit of ceiling + 1 */
        assert_true(retry_next(&r, &e.env, 0, &delay_ns, &err));
        assert_int_equal(delay_ns, ceilings_ms[i] * NS_PER_MS);
        assert_string_equal(err.text, "503");
    }
}

static void test_the_last_try_tells_number_first_and_last_cause(void **state UNUSED)
{
    static const struct retry_policy policy = {NS_PER_MS, NS_PER_SEC, 3};
    struct error err = ERROR_INIT;
    struct retry r;
    uint64_t delay_ns = 0;
    retry_init(&r, &policy, env_real(), 0);
    unavailable(&err, "connection refused");
    assert_true(retry_next(&r, env_real(), 0, &delay_ns, &err));
    unavailable(&err, "in between");
    assert_true(retry_next(&r, env_real(), 0, &delay_ns, &err));
    unavailable(&err, "503 SlowDown");
    delay_ns = 42;
    assert_false(retry_next(&r, env_real(), 0, &delay_ns, &err));
    assert_int_equal(delay_ns, 42);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(err.origin, 503);
    assert_string_equal(err.text, "3 tries, first \"connection refused\", last: 503 SlowDown");
}

static void test_the_same_cause_is_told_once(void **state UNUSED)
{
    static const struct retry_policy policy = {NS_PER_MS, NS_PER_SEC, 2};
    struct error err = ERROR_INIT;
    struct retry r;
    uint64_t delay_ns;
    retry_init(&r, &policy, env_real(), 0);
    unavailable(&err, "503");
    assert_true(retry_next(&r, env_real(), 0, &delay_ns, &err));
    assert_false(retry_next(&r, env_real(), 0, &delay_ns, &err));
    assert_string_equal(err.text, "2 tries, each: 503");
}

static void test_what_cannot_get_better_is_not_tried_again(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct retry r;
    uint64_t delay_ns;
    retry_init(&r, &retry_policy_default, env_real(), 0);
    (void)error_set(&err, ERR_ACCESS, 403, "403 AccessDenied");
    assert_false(retry_next(&r, env_real(), 0, &delay_ns, &err));
    assert_string_equal(err.text, "403 AccessDenied");
}

static void test_nothing_begins_after_the_deadline(void **state UNUSED)
{
    static const struct retry_policy endless = {NS_PER_SEC, NS_PER_SEC, 0};
    struct error err = ERROR_INIT;
    struct still_env e;
    struct retry r;
    uint64_t delay_ns;
    still_init(&e);
    retry_init(&r, &endless, &e.env, 10 * NS_PER_SEC);
    unavailable(&err, "503");
    e.now_ns += 9 * NS_PER_SEC;
    e.chance = NS_PER_SEC / 2;
    assert_true(retry_next(&r, &e.env, 0, &delay_ns, &err));
    e.chance = NS_PER_SEC;
    assert_false(retry_next(&r, &e.env, 0, &delay_ns, &err));
    retry_init(&r, &endless, &e.env, UINT64_MAX); /* as good as none */
    assert_true(retry_next(&r, &e.env, 0, &delay_ns, &err));
}

static void test_the_wish_of_the_server_is_a_lower_bound(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct still_env e;
    struct retry r;
    uint64_t delay_ns;
    still_init(&e);
    retry_init(&r, &retry_policy_default, &e.env, 0);
    unavailable(&err, "503");
    e.chance = 7;
    assert_true(retry_next(&r, &e.env, 5 * NS_PER_SEC, &delay_ns, &err));
    assert_int_equal(delay_ns, 5 * NS_PER_SEC + 7);
    assert_true(retry_next(&r, &e.env, 5 * NS_PER_DAY, &delay_ns, &err));
    assert_int_equal(delay_ns, NS_PER_HOUR + 7);
}

static void test_retry_after_is_seconds_or_a_date(void **state UNUSED)
{
    static const uint64_t now_ns = UINT64_C(1795253825) * NS_PER_SEC; /* 21 Nov 2026 09:37:05 */
    static const struct {
        const char *value;
        uint64_t ns;
    } rows[] = {
        {NULL, 0},
        {"", 0},
        {"0", 0},
        {"5", 5 * NS_PER_SEC},
        {"3600", NS_PER_HOUR},
        {"3601", NS_PER_HOUR},
        {"99999999999999999999999", NS_PER_HOUR},
        {"-5", 0},
        {"5s", 0},
        {"soon", 0},
        {"Sat, 21 Nov 2026 09:37:15 GMT", 10 * NS_PER_SEC},
        {"Sat, 21 Nov 2026 09:37:00 GMT", 0},
        {"Sun, 22 Nov 2026 09:37:00 GMT", NS_PER_HOUR},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].value ? rows[i].value : "(null)");
        assert_int_equal(retry_after_parse(rows[i].value, now_ns), rows[i].ns);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_delays_double_up_to_the_ceiling_with_full_jitter),
        TEST(test_the_last_try_tells_number_first_and_last_cause),
        TEST(test_the_same_cause_is_told_once),
        TEST(test_what_cannot_get_better_is_not_tried_again),
        TEST(test_nothing_begins_after_the_deadline),
        TEST(test_the_wish_of_the_server_is_a_lower_bound),
        TEST(test_retry_after_is_seconds_or_a_date),
    };
    return TEST_MAIN(tests);
}
