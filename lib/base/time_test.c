/*
 * Durations and moments: text in, nanoseconds out, and back.
 */
#include "lib/testing/test.h"

static const struct duration_row {
    const char *text;
    uint64_t ns;
    const char *formatted;
} duration_rows[] = {
    {"0", 0, "0s"},
    {"1s", NS_PER_SEC, "1s"},
    {"300ms", 300 * NS_PER_MS, "300ms"},
    {"1.5s", 1500 * NS_PER_MS, "1.5s"},
    {"1h30m", 90 * NS_PER_MIN, "1h30m"},
    {"2m30s", 150 * NS_PER_SEC, "2m30s"},
    {"7d", 7 * NS_PER_DAY, "7d"},
    {"1w", 7 * NS_PER_DAY, "7d"},
    {"1d12h", 36 * NS_PER_HOUR, "1d12h"},
    {"720h", 30 * NS_PER_DAY, "30d"},
    {"10us", 10 * NS_PER_US, "10us"},
    {"1.5h", 90 * NS_PER_MIN, "1h30m"},
};

static void test_durations_are_read_and_written_back(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(duration_rows); i++) {
        struct error err = ERROR_INIT;
        char text[TIME_TEXT_BYTES];
        uint64_t ns = 0;
        test_row(duration_rows[i].text);
        assert_ok(duration_parse(duration_rows[i].text, &ns, &err), &err);
        assert_int_equal(ns, duration_rows[i].ns);
        assert_string_equal(duration_format(ns, text), duration_rows[i].formatted);
    }
}

static void test_duration_refuses_what_is_not_one(void **state UNUSED)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "1x",
                                      "1.s.",
                                      "-1s",
                                      "1s ",
                                      "1 s",
                                      "1mo",
                                      "1h30",
                                      ".h",
                                      "99999999999999999999s",
                                      "300000000000000d"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = ERROR_INIT;
        uint64_t ns = 42;
        test_row(bad[i]);
        assert_error(duration_parse(bad[i], &ns, &err), &err, ERR_USAGE, "not a duration");
        assert_int_equal(ns, 42);
    }
}

static void test_moments_are_read_and_written_back(void **state UNUSED)
{
    static const struct {
        const char *text, *formatted;
        uint64_t s;
    } rows[] = {
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0},
        {"2026-11-21T09:37:05.25Z", "2026-11-21T09:37:05.25Z", 1795253825},
        {"2026-11-21 11:37:05.250+02:00", "2026-11-21T09:37:05.25Z", 1795253825},
        {"2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z", 1709251199},
        {"2000-03-01T00:00:00-00:30", "2000-03-01T00:30:00Z", 951870600},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        char text[TIME_TEXT_BYTES];
        uint64_t ns = 0;
        test_row(rows[i].text);
        assert_ok(time_parse_rfc3339(rows[i].text, &ns, &err), &err);
        assert_int_equal(ns / NS_PER_SEC, rows[i].s);
        assert_string_equal(time_format_rfc3339(ns, text), rows[i].formatted);
    }
}

static void test_moment_refuses_impossible_dates(void **state UNUSED)
{
    static const char *const bad[] = {"2026-02-29T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01",
                                      "1969-12-31T23:59:59Z",
                                      "2026-01-01T00:00:00.Z",
                                      "yesterday"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = ERROR_INIT;
        uint64_t ns;
        test_row(bad[i]);
        assert_error(time_parse_rfc3339(bad[i], &ns, &err), &err, ERR_USAGE, "not a moment");
    }
}

static void test_http_dates_are_read(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    uint64_t ns = 0;
    assert_ok(time_parse_http("Sat, 21 Nov 2026 09:37:05 GMT", &ns, &err), &err);
    assert_int_equal(ns, 1795253825 * NS_PER_SEC);
    assert_error(time_parse_http("Sat, 21 Nix 2026 09:37:05 GMT", &ns, &err), &err, ERR_CORRUPT,
                 "not an HTTP date");
}

static void test_amz_dates_have_their_form(void **state UNUSED)
{
    char text[TIME_TEXT_BYTES];
    assert_string_equal(time_format_amz(1795253825 * NS_PER_SEC, text), "20261121T093705Z");
}

static void test_time_for_kubernetes_has_six_digits_always(void **state UNUSED)
{
    char text[TIME_TEXT_BYTES];

    assert_string_equal(time_format_micro(UINT64_C(1795680001) * NS_PER_SEC, text),
                        "2026-11-26T08:00:01.000000Z");
    assert_string_equal(time_format_micro(UINT64_C(1795680001000012999), text),
                        "2026-11-26T08:00:01.000012Z");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_time_for_kubernetes_has_six_digits_always),
        TEST(test_durations_are_read_and_written_back),
        TEST(test_duration_refuses_what_is_not_one),
        TEST(test_moments_are_read_and_written_back),
        TEST(test_moment_refuses_impossible_dates),
        TEST(test_http_dates_are_read),
        TEST(test_amz_dates_have_their_form),
    };
    return TEST_MAIN(tests);
}
