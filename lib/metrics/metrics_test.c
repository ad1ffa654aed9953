/*
 * Families, histograms and the two texts.
 */
#include "lib/metrics/metrics.h"

#include <math.h>
#include <string.h>

#include "lib/testing/test.h"

enum {
    TEXT_BYTES_MAX = 32 << 20
};

static const struct metrics_family lag = {
    "app_lag_seconds", METRICS_GAUGE, "seconds", "Age of \"it\\", {"db"}};
static const struct metrics_family seen = {
    "app_seen_total", METRICS_COUNTER, NULL, "Things seen", {NULL}};
static const struct metrics_family took = {
    "app_took_seconds", METRICS_HISTOGRAM, "seconds", "Time taken", {"db"}};
static const struct metrics_family foreign = {
    "other_count", METRICS_COUNTER, NULL, "A foreign name", {NULL}};

static const struct metrics_buckets two_buckets = {.count = 2,
                                                   .bounds_ns = {NS_PER_MS, NS_PER_SEC}};

static void write_all(enum metrics_format format, struct buf *out)
{
    struct error err = ERROR_INIT;
    struct metrics_writer w;
    struct metrics_histogram h = METRICS_HISTOGRAM_INIT(&two_buckets);

    metrics_histogram_observe(&h, NS_PER_MS); /* a bound belongs to its bucket */
    metrics_histogram_observe(&h, NS_PER_MS + 1);
    metrics_histogram_observe(&h, 5 * NS_PER_SEC);
    metrics_writer_init(&w, out, format);
    metrics_family_begin(&w, &lag);
    metrics_sample_ns(&w, (const char *const[]){"a"}, 1500000001);
    metrics_family_begin(&w, &seen);
    metrics_sample_u64(&w, NULL, UINT64_MAX);
    metrics_family_begin(&w, &took);
    metrics_sample_histogram(&w, (const char *const[]){"a"}, &h);
    metrics_sample_histogram(&w, (const char *const[]){"b"}, NULL);
    metrics_family_begin(&w, &foreign);
    metrics_sample_u64(&w, NULL, 2);
    assert_ok(metrics_writer_finish(&w, &err), &err);
}

static void test_prometheus_text_is_as_documented(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    write_all(METRICS_PROMETHEUS, &text);
    assert_string_equal(buf_str(&text), "# HELP app_lag_seconds Age of \"it\\\\\n"
                                        "# TYPE app_lag_seconds gauge\n"
                                        "app_lag_seconds{db=\"a\"} 1.500000001\n"
                                        "# HELP app_seen_total Things seen\n"
                                        "# TYPE app_seen_total counter\n"
                                        "app_seen_total 18446744073709551615\n"
                                        "# HELP app_took_seconds Time taken\n"
                                        "# TYPE app_took_seconds histogram\n"
                                        "app_took_seconds_bucket{db=\"a\",le=\"0.001\"} 1\n"
                                        "app_took_seconds_bucket{db=\"a\",le=\"1\"} 2\n"
                                        "app_took_seconds_bucket{db=\"a\",le=\"+Inf\"} 3\n"
                                        "app_took_seconds_sum{db=\"a\"} 5.002000001\n"
                                        "app_took_seconds_count{db=\"a\"} 3\n"
                                        "# HELP other_count A foreign name\n"
                                        "# TYPE other_count counter\n"
                                        "other_count 2\n");
}

static void test_openmetrics_text_is_as_documented(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    write_all(METRICS_OPENMETRICS, &text);
    assert_string_equal(buf_str(&text), "# TYPE app_lag_seconds gauge\n"
                                        "# UNIT app_lag_seconds seconds\n"
                                        "# HELP app_lag_seconds Age of \\\"it\\\\\n"
                                        "app_lag_seconds{db=\"a\"} 1.500000001\n"
                                        "# TYPE app_seen counter\n"
                                        "# HELP app_seen Things seen\n"
                                        "app_seen_total 18446744073709551615\n"
                                        "# TYPE app_took_seconds histogram\n"
                                        "# UNIT app_took_seconds seconds\n"
                                        "# HELP app_took_seconds Time taken\n"
                                        "app_took_seconds_bucket{db=\"a\",le=\"0.001\"} 1\n"
                                        "app_took_seconds_bucket{db=\"a\",le=\"1.0\"} 2\n"
                                        "app_took_seconds_bucket{db=\"a\",le=\"+Inf\"} 3\n"
                                        "app_took_seconds_sum{db=\"a\"} 5.002000001\n"
                                        "app_took_seconds_count{db=\"a\"} 3\n"
                                        "# TYPE other_count unknown\n"
                                        "# HELP other_count A foreign name\n"
                                        "other_count 2\n"
                                        "# EOF\n");
}

static void test_numbers_keep_all_their_digits(void **state UNUSED)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "app_seen_total 0\n"},
        {0.1, "app_seen_total 0.1\n"},
        {1e300, "app_seen_total 1e+300\n"},
        {-2.5, "app_seen_total -2.5\n"},
        {(double)INFINITY, "app_seen_total +Inf\n"},
        {-(double)INFINITY, "app_seen_total -Inf\n"},
        {(double)NAN, "app_seen_total NaN\n"},
        {0.1 + 0.2, "app_seen_total 0.30000000000000004\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct metrics_writer w;
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
        test_row(rows[i].text);
        metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
        metrics_family_begin(&w, &seen);
        metrics_sample_f64(&w, NULL, rows[i].value);
        assert_ok(metrics_writer_finish(&w, &err), &err);
        assert_non_null(strstr(buf_str(&text), rows[i].text));
    }
}

static void test_moments_keep_all_their_digits(void **state UNUSED)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = {
        {0, "{db=\"\"} 0\n"},
        {1, "{db=\"\"} 0.000000001\n"},
        {10 * NS_PER_SEC, "{db=\"\"} 10\n"},
        {UINT64_C(1795253825123456789), "{db=\"\"} 1795253825.123456789\n"},
        {UINT64_MAX, "{db=\"\"} 18446744073.709551615\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct metrics_writer w;
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
        test_row(rows[i].text);
        metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
        metrics_family_begin(&w, &lag);
        metrics_sample_ns(&w, (const char *const[]){NULL}, rows[i].ns);
        assert_ok(metrics_writer_finish(&w, &err), &err);
        assert_non_null(strstr(buf_str(&text), rows[i].text));
    }
}

static void test_label_values_are_escaped(void **state UNUSED)
{
    static const struct {
        const char *value, *text;
    } rows[] = {
        {"plain/\xc3\xa4.db", "\"plain/\xc3\xa4.db\""},
        {"a\"b\\c\nd", "\"a\\\"b\\\\c\\nd\""},
        {"\xff", "\"\xef\xbf\xbd\""},
        {"\xc3", "\"\xef\xbf\xbd\""},
        {"\xc0\x80x", "\"\xef\xbf\xbd\xef\xbf\xbdx\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf0\x9f\x90\xb3", "\"\xf0\x9f\x90\xb3\""},
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct metrics_writer w;
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
        test_row(rows[i].text);
        metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
        metrics_family_begin(&w, &lag);
        metrics_sample_u64(&w, &rows[i].value, 1);
        assert_ok(metrics_writer_finish(&w, &err), &err);
        assert_non_null(strstr(buf_str(&text), rows[i].text));
    }
}

static void test_a_long_label_value_loses_its_middle(void **state UNUSED)
{
    char value[3 * METRICS_LABEL_BYTES_MAX];
    const char *label = value;
    struct error err = ERROR_INIT;
    struct metrics_writer w;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    for (size_t i = 0; i < sizeof(value); i++) /* the cut must not split a character */
        value[i] = i % 2 == 0 ? '\xc3' : '\xa4';
    for (size_t i = 0; i < 6; i++)
        value[i] = "begin:"[i];
    for (size_t i = 0; i < 4; i++)
        value[sizeof(value) - 4 + i] = "end"[i];
    metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
    metrics_family_begin(&w, &lag);
    metrics_sample_u64(&w, &label, 1);
    assert_ok(metrics_writer_finish(&w, &err), &err);
    const char *begin = strstr(buf_str(&text), "{db=\"begin");
    assert_non_null(begin);
    assert_non_null(strstr(begin, "..."));
    assert_non_null(strstr(begin, "end\"} 1\n"));
    assert_true(strlen(begin) < METRICS_LABEL_BYTES_MAX + 20);
}

static void test_series_beyond_the_maximum_are_left_out_and_counted(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct metrics_writer w;
    size_t lines = 0;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
    metrics_family_begin(&w, &lag);
    for (size_t i = 0; i < METRICS_SERIES_MAX + 5; i++)
        metrics_sample_u64(&w, (const char *const[]){"x"}, i);
    metrics_family_begin(&w, &seen);
    metrics_sample_u64(&w, NULL, 1);
    assert_int_equal(w.dropped_count, 5);
    assert_ok(metrics_writer_finish(&w, &err), &err);
    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    assert_int_equal(lines, 2 + METRICS_SERIES_MAX + 3);
}

static void test_a_full_buffer_is_told_at_the_end(void **state UNUSED)
{
    for (size_t max = 0; max < 300; max++) {
        struct error err = ERROR_INIT;
        struct metrics_writer w;
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(max);
        metrics_writer_init(&w, &text, METRICS_OPENMETRICS);
        metrics_family_begin(&w, &lag);
        for (int i = 0; i < 20; i++)
            metrics_sample_u64(&w, (const char *const[]){"x"}, 1);
        assert_error(metrics_writer_finish(&w, &err), &err, ERR_LIMIT, "metrics");
    }
}

static void test_the_accept_header_chooses_the_format(void **state UNUSED)
{
    static const struct {
        const char *accept;
        enum metrics_format format;
    } rows[] = {
        {NULL, METRICS_PROMETHEUS},
        {"", METRICS_PROMETHEUS},
        {"*/*", METRICS_PROMETHEUS},
        {"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", METRICS_PROMETHEUS},
        {"application/openmetrics-text", METRICS_OPENMETRICS},
        {"application/openmetrics-text; version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         METRICS_OPENMETRICS},
        {"text/plain, application/openmetrics-text;q=0.5", METRICS_PROMETHEUS},
        {"application/openmetrics-text;q=0", METRICS_PROMETHEUS},
        {"application/openmetrics-text;q=0.000,text/plain;q=0", METRICS_PROMETHEUS},
        {"text/plain;q=0.1 ,  application/openmetrics-text;q=0.2", METRICS_OPENMETRICS},
        {",,;;q=,application/openmetrics-text;q=", METRICS_PROMETHEUS},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].accept ? rows[i].accept : "(none)");
        assert_int_equal(metrics_format_of_accept(rows[i].accept), rows[i].format);
    }
}

static const struct bad_row {
    struct metrics_family family;
    const char *text;
} bad_rows[] = {
    {{NULL, METRICS_GAUGE, NULL, "x", {NULL}}, "not a name"},
    {{"Bad", METRICS_GAUGE, NULL, "x", {NULL}}, "not a name"},
    {{"bad__name", METRICS_GAUGE, NULL, "x", {NULL}}, "not a name"},
    {{"x_total", METRICS_GAUGE, NULL, "x", {NULL}}, "end in _total"},
    {{"x", METRICS_COUNTER, NULL, "x", {NULL}}, "end in _total"},
    {{"x_sum", METRICS_GAUGE, NULL, "x", {NULL}}, "_sum"},
    {{"x_count_total", METRICS_COUNTER, NULL, "x", {NULL}}, "_count"},
    {{"x_ms", METRICS_GAUGE, "ms", "x", {NULL}}, "base unit"},
    {{"x_size", METRICS_GAUGE, "bytes", "x", {NULL}}, "its unit"},
    {{"x_seconds", METRICS_GAUGE, "seconds", "x.", {NULL}}, "full stop"},
    {{"x_seconds", METRICS_GAUGE, "seconds", "", {NULL}}, "one sentence"},
    {{"x_seconds", METRICS_GAUGE, "seconds", "a | b", {NULL}}, "one sentence"},
    {{"x_bytes", METRICS_HISTOGRAM, "bytes", "x", {NULL}}, "histograms"},
    {{"x_seconds", METRICS_HISTOGRAM, "seconds", "x", {"le"}}, "le cannot"},
    {{"x_seconds", METRICS_GAUGE, "seconds", "x", {"__name"}}, "__name cannot"},
};

static void test_families_that_break_the_rules_are_named(void **state UNUSED)
{
    struct error err = ERROR_INIT;

    assert_ok(metrics_family_check(&lag, &err), &err);
    assert_ok(metrics_family_check(&took, &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(bad_rows); i++) {
        test_row(bad_rows[i].text);
        assert_error(metrics_family_check(&bad_rows[i].family, &err), &err, ERR_USAGE,
                     bad_rows[i].text);
    }
}

static void test_the_documentation_is_a_table(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    assert_ok(metrics_table_head(&text, &err), &err);
    assert_ok(metrics_table_row(&text, &took, &err), &err);
    assert_ok(metrics_table_row(&text, &seen, &err), &err);
    assert_string_equal(buf_str(&text), "| metric | type | labels | meaning |\n|---|---|---|---|\n"
                                        "| `app_took_seconds` | histogram | `db` | Time taken |\n"
                                        "| `app_seen_total` | counter | | Things seen |\n");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_prometheus_text_is_as_documented),
        TEST(test_openmetrics_text_is_as_documented),
        TEST(test_numbers_keep_all_their_digits),
        TEST(test_moments_keep_all_their_digits),
        TEST(test_label_values_are_escaped),
        TEST(test_a_long_label_value_loses_its_middle),
        TEST(test_series_beyond_the_maximum_are_left_out_and_counted),
        TEST(test_a_full_buffer_is_told_at_the_end),
        TEST(test_the_accept_header_chooses_the_format),
        TEST(test_families_that_break_the_rules_are_named),
        TEST(test_the_documentation_is_a_table),
    };
    return TEST_MAIN(tests);
}
