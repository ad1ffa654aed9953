/*
 * The two texts that Prometheus reads, written sample by sample.
 *
 *                      text 0.0.4                         OpenMetrics 1.0
 *   order in a family  # HELP, # TYPE, samples            # TYPE, # UNIT, # HELP, samples
 *   counter            family name has _total             family name has not, its samples have
 *   help escapes       \\ \n                              \\ \n \"
 *   label escapes      \\ \n \"                           the same
 *   le of a bucket     shortest ("1")                     a float ("1.0")
 *   end                nothing                            # EOF
 *
 *   walferry_seals_total{db="app"} 3
 *   walferry_checkpoint_duration_seconds_bucket{db="app",le="+Inf"} 3
 *
 * Times are nanoseconds in memory and are written as decimal fractions of a second digit by digit,
 * never through a double: a moment needs 19 digits, a double has 16.
 *
 * The first failure sticks in w->err; every later call does nothing.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/metrics/metrics.h"

static bool failed(const struct metrics_writer *w)
{
    return w->err.code != ERR_NONE;
}

static void put(struct metrics_writer *w, const void *p, size_t n)
{
    if (failed(w))
        return;
    if (buf_append(w->out, p, n, &w->err) < 0)
        return; /* the error sticks in w->err */
}

static void put_str(struct metrics_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

/* ---- values ---- */

enum {
    NUMBER_BYTES = 40 /* room for any number made here */
};

static const char *format_ns(uint64_t ns, char out[static NUMBER_BYTES])
{
    int n = snprintf(out, NUMBER_BYTES, "%" PRIu64 ".%09" PRIu64, ns / NS_PER_SEC, ns % NS_PER_SEC);

    while (n > 0 && out[n - 1] == '0')
        out[--n] = '\0';
    if (n > 0 && out[n - 1] == '.')
        out[--n] = '\0';
    return out;
}

static const char *format_f64(double value, char out[static NUMBER_BYTES])
{
    if (isnan(value))
        return "NaN";
    if (isinf(value))
        return value > 0 ? "+Inf" : "-Inf";
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(out, NUMBER_BYTES, "%.*g", digits, value); /* 24 characters at most */
        if (strtod(out, NULL) == value)
            break;
    }
    return out;
}

/* ---- label values ---- */

static void put_text(struct metrics_writer *w, struct slice text, bool escapes_quotes)
{
    while (text.n > 0) {
        size_t n = utf8_sequence_bytes(text);
        if (n == 0) {
            put_str(w, "\xef\xbf\xbd");
            n = 1;
        } else if (*text.p == '\\') {
            put_str(w, "\\\\");
        } else if (*text.p == '\n') {
            put_str(w, "\\n");
        } else if (*text.p == '"' && escapes_quotes) {
            put_str(w, "\\\"");
        } else {
            put(w, text.p, n);
        }
        text = slice_sub(text, n, text.n);
    }
}

/* True if position at is not inside a character. */
static bool is_character_start(struct slice s, size_t at)
{
    return at >= s.n || (s.p[at] & 0xc0) != 0x80;
}

static void put_label_value(struct metrics_writer *w, const char *value)
{
    struct slice s = slice_of_str(value);
    size_t half = METRICS_LABEL_BYTES_MAX / 2 - 2;

    if (s.n <= METRICS_LABEL_BYTES_MAX) {
        put_text(w, s, true);
        return;
    }
    size_t head = half, tail = s.n - half;
    while (head > 0 && !is_character_start(s, head))
        head--;
    while (tail < s.n && !is_character_start(s, tail))
        tail++;
    put_text(w, slice_sub(s, 0, head), true);
    put_str(w, "...");
    put_text(w, slice_sub(s, tail, s.n), true);
}

/* {a="x",b="y",le="1"}; nothing at all without labels. le NULL: none. */
static void put_labels(struct metrics_writer *w, const char *const *labels, const char *le)
{
    if (w->label_count == 0 && !le)
        return;
    put_str(w, "{");
    for (size_t i = 0; i < w->label_count; i++) {
        put_str(w, i ? "," : "");
        put_str(w, w->family->labels[i]);
        put_str(w, "=\"");
        put_label_value(w, labels[i]);
        put_str(w, "\"");
    }
    if (le) {
        put_str(w, w->label_count ? ",le=\"" : "le=\"");
        put_str(w, le);
        put_str(w, "\"");
    }
    put_str(w, "}");
}

/* ---- families ---- */

void metrics_writer_init(struct metrics_writer *w, struct buf *out, enum metrics_format format)
{
    *w = (struct metrics_writer){.out = out, .format = format};
}

static bool has_total_suffix(struct slice name)
{
    return name.n > 6 && slice_eq_str(slice_sub(name, name.n - 6, 6), "_total");
}

static const char *declared_type(const struct metrics_writer *w)
{
    const struct metrics_family *f = w->family;

    if (f->type == METRICS_HISTOGRAM)
        return "histogram";
    if (f->type == METRICS_GAUGE)
        return "gauge";
    if (w->format == METRICS_OPENMETRICS && !has_total_suffix(slice_of_str(f->name)))
        return "unknown";
    return "counter";
}

/* A line "# KEYWORD name rest". */
static void put_meta(struct metrics_writer *w, const char *keyword, struct slice name,
                     const char *rest)
{
    put_str(w, "# ");
    put_str(w, keyword);
    put_str(w, " ");
    put(w, name.p, name.n);
    put_str(w, " ");
    put_text(w, slice_of_str(rest), w->format == METRICS_OPENMETRICS);
    put_str(w, "\n");
}

void metrics_family_begin(struct metrics_writer *w, const struct metrics_family *family)
{
    struct slice name = slice_of_str(family->name);

    w->family = family;
    w->series_count = 0;
    w->label_count = 0;
    while (w->label_count < METRICS_LABELS_MAX && family->labels[w->label_count])
        w->label_count++;
    if (w->format == METRICS_OPENMETRICS) {
        if (has_total_suffix(name))
            name.n -= 6;
        put_meta(w, "TYPE", name, declared_type(w));
        if (family->unit)
            put_meta(w, "UNIT", name, family->unit);
        put_meta(w, "HELP", name, family->help);
        return;
    }
    put_meta(w, "HELP", name, family->help);
    put_meta(w, "TYPE", name, declared_type(w));
}

/* False if the family has all the series it may have. */
static bool series_is_admitted(struct metrics_writer *w, const char *const *labels)
{
    ASSERT(w->family);
    ASSERT(labels || w->label_count == 0);
    if (w->series_count >= METRICS_SERIES_MAX) {
        w->dropped_count++;
        return false;
    }
    w->series_count++;
    return true;
}

static void put_sample(struct metrics_writer *w, const char *suffix, const char *const *labels,
                       const char *le, const char *value)
{
    put_str(w, w->family->name);
    put_str(w, suffix);
    put_labels(w, labels, le);
    put_str(w, " ");
    put_str(w, value);
    put_str(w, "\n");
}

void metrics_sample_u64(struct metrics_writer *w, const char *const *labels, uint64_t value)
{
    char text[NUMBER_BYTES];

    ASSERT(w->family && w->family->type != METRICS_HISTOGRAM);
    if (!series_is_admitted(w, labels))
        return;
    (void)snprintf(text, sizeof(text), "%" PRIu64, value); /* 20 digits at most */
    put_sample(w, "", labels, NULL, text);
}

void metrics_sample_f64(struct metrics_writer *w, const char *const *labels, double value)
{
    char text[NUMBER_BYTES];

    ASSERT(w->family && w->family->type != METRICS_HISTOGRAM);
    if (series_is_admitted(w, labels))
        put_sample(w, "", labels, NULL, format_f64(value, text));
}

void metrics_sample_ns(struct metrics_writer *w, const char *const *labels, uint64_t ns)
{
    char text[NUMBER_BYTES];

    ASSERT(w->family && w->family->type != METRICS_HISTOGRAM);
    if (series_is_admitted(w, labels))
        put_sample(w, "", labels, NULL, format_ns(ns, text));
}

void metrics_sample_histogram(struct metrics_writer *w, const char *const *labels,
                              const struct metrics_histogram *h)
{
    char number[NUMBER_BYTES], le[NUMBER_BYTES + 4];
    uint64_t count = 0;

    ASSERT(w->family && w->family->type == METRICS_HISTOGRAM);
    if (!h || !h->buckets || !series_is_admitted(w, labels))
        return;
    for (size_t i = 0; i <= h->buckets->count; i++) {
        bool is_last = i == h->buckets->count;
        const char *bound = is_last ? "+Inf" : format_ns(h->buckets->bounds_ns[i], number);
        bool needs_point = w->format == METRICS_OPENMETRICS && !is_last && !strchr(bound, '.');
        (void)snprintf(le, sizeof(le), "%s%s", bound, needs_point ? ".0" : ""); /* fits */
        count += h->counts[i];
        (void)snprintf(number, sizeof(number), "%" PRIu64, count); /* 20 digits at most */
        put_sample(w, "_bucket", labels, le, number);
    }
    put_sample(w, "_sum", labels, NULL, format_ns(h->sum_ns, le));
    put_sample(w, "_count", labels, NULL, number);
}

int metrics_writer_finish(struct metrics_writer *w, struct error *err)
{
    if (w->format == METRICS_OPENMETRICS)
        put_str(w, "# EOF\n");
    if (!failed(w))
        return 0;
    *err = w->err;
    return error_wrap(err, "metrics");
}

/* ---- content negotiation ---- */

/* The weight of one element of an Accept header, "type/sub;q=0.5;x=y": thousandths, default 1000.
 */
static unsigned accept_weight(struct slice element)
{
    for (size_t i = 0; i + 2 <= element.n; i++) {
        bool is_q = (i == 0 || element.p[i - 1] == ';' || element.p[i - 1] == ' ') &&
                    (element.p[i] == 'q' || element.p[i] == 'Q') && element.p[i + 1] == '=';
        if (!is_q)
            continue;
        unsigned weight = 0, scale = 1000;
        for (size_t k = i + 2; k < element.n && scale > 0; k++) {
            if (element.p[k] == '.')
                continue;
            if (element.p[k] < '0' || element.p[k] > '9')
                break;
            weight += scale * (unsigned)(element.p[k] - '0');
            scale /= 10;
        }
        return weight > 1000 ? 1000 : weight;
    }
    return 1000;
}

enum metrics_format metrics_format_of_accept(const char *accept)
{
    static const char open_type[] = "application/openmetrics-text";
    struct slice rest = slice_of_str(accept);
    unsigned open_weight = 0, text_weight = 0;

    while (rest.n > 0) {
        const uint8_t *comma = memchr(rest.p, ',', rest.n);
        size_t n = comma ? (size_t)(comma - rest.p) : rest.n;
        struct slice element = slice_sub(rest, 0, n);
        rest = slice_sub(rest, n + 1, rest.n);
        while (element.n > 0 && (*element.p == ' ' || *element.p == '\t'))
            element = slice_sub(element, 1, element.n);
        if (slice_starts_with(element, SLICE_LIT(open_type))) {
            unsigned weight = accept_weight(element);
            open_weight = weight > open_weight ? weight : open_weight;
        } else if (slice_starts_with(element, SLICE_LIT("text/plain"))) {
            unsigned weight = accept_weight(element);
            text_weight = weight > text_weight ? weight : text_weight;
        }
    }
    return open_weight > 0 && open_weight >= text_weight ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}
