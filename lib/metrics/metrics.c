/*
 * Families and histograms: what a metric is, apart from its text (metrics_text.c).
 *
 * A family's name follows Prometheus' conventions, which metrics_family_check() enforces on every
 * row of a table, so that neither a scraper nor `promtool check metrics` has anything to say:
 *
 *   name    [a-z][a-z0-9_]*, no type in it; counters, and only they, end in _total
 *   unit    the last word before _total; base units only (seconds, bytes)
 *   suffix  _bucket, _count, _sum and _info belong to the format, except walferry_..._info gauges
 *   label   [a-z][a-z0-9_]*, not "le" and not beginning with "__"
 *
 * A histogram keeps one counter a bucket, not cumulative, so that observing costs one increment;
 * the text makes them cumulative. Sums are kept in whole nanoseconds: exact for 584 years.
 *
 * Source: prometheus.io/docs/practices/naming, OpenMetrics 1.0 sections "MetricFamily" and
 * "Suffixes".
 */
#include "lib/metrics/metrics.h"

#include <string.h>

const struct metrics_buckets metrics_buckets_request = {
    .count = 13,
    .bounds_ns = {NS_PER_MS, 5 * NS_PER_MS, 10 * NS_PER_MS, 25 * NS_PER_MS, 50 * NS_PER_MS,
                  100 * NS_PER_MS, 250 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_SEC, 5 * NS_PER_SEC,
                  10 * NS_PER_SEC, 30 * NS_PER_SEC, 60 * NS_PER_SEC},
};

const struct metrics_buckets metrics_buckets_local = {
    .count = 11,
    .bounds_ns = {100 * NS_PER_US, 500 * NS_PER_US, NS_PER_MS, 5 * NS_PER_MS, 10 * NS_PER_MS,
                  50 * NS_PER_MS, 100 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_SEC, 5 * NS_PER_SEC,
                  10 * NS_PER_SEC},
};

void metrics_histogram_observe(struct metrics_histogram *h, uint64_t duration_ns)
{
    size_t i = 0;

    ASSERT(h->buckets);
    ASSERT(h->buckets->count <= METRICS_BUCKETS_MAX);
    while (i < h->buckets->count && duration_ns > h->buckets->bounds_ns[i])
        i++;
    h->counts[i]++;
    h->sum_ns += duration_ns;
}

/* ---- rules ---- */

static bool is_name(const char *text)
{
    if (!(text[0] >= 'a' && text[0] <= 'z'))
        return false;
    for (const char *c = text; *c; c++) {
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_'))
            return false;
    }
    return strstr(text, "__") == NULL;
}

static bool ends_with(struct slice text, const char *suffix)
{
    struct slice s = slice_of_str(suffix);

    return text.n >= s.n && slice_eq(slice_sub(text, text.n - s.n, s.n), s);
}

static int family_check_suffix(const struct metrics_family *f, struct error *err)
{
    static const char *const reserved[] = {"_bucket",  "_count", "_sum",      "_created",
                                           "_counter", "_gauge", "_histogram"};
    struct slice name = slice_of_str(f->name);
    bool is_total = ends_with(name, "_total");

    if (is_total != (f->type == METRICS_COUNTER)) {
        return error_set(err, ERR_USAGE, 0, "metric %s: counters, and only they, end in _total",
                         f->name);
    }
    if (is_total)
        name.n -= strlen("_total");
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        if (ends_with(name, reserved[i])) {
            return error_set(err, ERR_USAGE, 0, "metric %s: the suffix %s belongs to the format",
                             f->name, reserved[i]);
        }
    }
    if (!f->unit)
        return 0;
    if (strcmp(f->unit, "seconds") != 0 && strcmp(f->unit, "bytes") != 0)
        return error_set(err, ERR_USAGE, 0, "metric %s: %s is not a base unit", f->name, f->unit);
    if (!ends_with(name, f->unit)) {
        return error_set(err, ERR_USAGE, 0, "metric %s: the name does not end in its unit %s",
                         f->name, f->unit);
    }
    return 0;
}

int metrics_family_check(const struct metrics_family *f, struct error *err)
{
    if (!f->name || !is_name(f->name)) {
        return error_set(err, ERR_USAGE, 0, "metric %s: not a name of lower-case words",
                         f->name ? f->name : "(none)");
    }
    if (!f->help || !f->help[0] || strchr(f->help, '\n') || strchr(f->help, '|'))
        return error_set(err, ERR_USAGE, 0, "metric %s: help is not one sentence", f->name);
    if (f->help[strlen(f->help) - 1] == '.')
        return error_set(err, ERR_USAGE, 0, "metric %s: help ends with a full stop", f->name);
    if (f->type == METRICS_HISTOGRAM && (!f->unit || strcmp(f->unit, "seconds") != 0))
        return error_set(err, ERR_USAGE, 0, "metric %s: histograms are of seconds", f->name);
    for (size_t i = 0; i < METRICS_LABELS_MAX && f->labels[i]; i++) {
        if (!is_name(f->labels[i]) || strcmp(f->labels[i], "le") == 0) {
            return error_set(err, ERR_USAGE, 0, "metric %s: %s cannot be a label", f->name,
                             f->labels[i]);
        }
    }
    return family_check_suffix(f, err);
}

/* ---- documentation ---- */

static const char *type_name(enum metrics_type type)
{
    static const char *const names[] = {
        [METRICS_COUNTER] = "counter",
        [METRICS_GAUGE] = "gauge",
        [METRICS_HISTOGRAM] = "histogram",
    };

    ASSERT((size_t)type < ARRAY_LEN(names));
    return names[type];
}

int metrics_table_head(struct buf *out, struct error *err)
{
    return buf_append_str(out, "| metric | type | labels | meaning |\n|---|---|---|---|\n", err);
}

int metrics_table_row(struct buf *out, const struct metrics_family *f, struct error *err)
{
    if (buf_printf(out, err, "| `%s` | %s | ", f->name, type_name(f->type)) < 0)
        return -1;
    for (size_t i = 0; i < METRICS_LABELS_MAX && f->labels[i]; i++) {
        if (buf_printf(out, err, "%s`%s`", i ? ", " : "", f->labels[i]) < 0)
            return -1;
    }
    return buf_printf(out, err, "%s| %s |\n", f->labels[0] ? " " : "", f->help);
}
