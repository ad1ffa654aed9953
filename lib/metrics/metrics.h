/*
 * lib/metrics: numbers for Prometheus.
 *
 * Pull, not push: there is no registry that must be kept in step with the truth. Whoever owns the
 * state walks it when a scrape asks, family after family, and each number is written straight into
 * the answer:
 *
 *     struct metrics_writer w;
 *     metrics_writer_init(&w, &out, METRICS_OPENMETRICS);
 *     metrics_family_begin(&w, &family_wal_bytes);
 *     for each database:
 *         metrics_sample_u64(&w, (const char *const[]){db->name}, db->wal_bytes);
 *     if (metrics_writer_finish(&w, err) < 0) ...
 *
 * A family is declared once, in its owner's static table, from which the documentation is made too
 * (metrics_table_row()). What cannot be walked, because it is a distribution, is a struct
 * metrics_histogram beside the state it measures.
 *
 * Bounds: METRICS_SERIES_MAX series a family (the rest is left out and counted),
 * METRICS_LABEL_BYTES_MAX bytes a label value (the middle is cut out). Label values may hold any
 * bytes: what is not UTF-8 becomes U+FFFD, since one bad byte would make a scraper refuse the whole
 * answer.
 *
 * Format: Prometheus text 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats) and
 * OpenMetrics 1.0 (prometheus.io/docs/specs/om/open_metrics_spec).
 * Threads: one at a time per writer and per histogram.
 */
#ifndef WALFERRY_LIB_METRICS_METRICS_H
#define WALFERRY_LIB_METRICS_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    METRICS_LABELS_MAX = 5,
    METRICS_SERIES_MAX = 65536,
    METRICS_LABEL_BYTES_MAX = 1024,
    METRICS_BUCKETS_MAX = 16,
};

enum metrics_type {
    METRICS_COUNTER,
    METRICS_GAUGE,
    METRICS_HISTOGRAM, /* of durations, struct metrics_histogram */
};

/*
 * A family: name and meaning of a set of series. Names are walferry_<noun>_<unit>, counters end in
 * _total; metrics_family_check() tells what is wrong with one.
 */
struct metrics_family {
    const char *name;
    enum metrics_type type;
    const char *unit; /* "seconds", "bytes": the last word of the name before _total; NULL: none */
    const char *help; /* one sentence, without its full stop */
    const char *labels[METRICS_LABELS_MAX]; /* names, as far as not NULL */
};

/*
 * Whether a family keeps the rules above and those of Prometheus: charset of names, _total, unit,
 * reserved suffixes and labels. For the test of a table. ERR_USAGE names family and rule.
 */
MUST_USE int metrics_family_check(const struct metrics_family *family, struct error *err);

/* ---- histograms of durations ---- */

/* Upper bounds in nanoseconds, ascending; the last bucket, without a bound, is implied. */
struct metrics_buckets {
    size_t count;
    uint64_t bounds_ns[METRICS_BUCKETS_MAX];
};

/* 1 ms to 60 s: requests to an object store, uploads. */
extern const struct metrics_buckets metrics_buckets_request;
/* 100 us to 10 s: work on local files, checkpoints. */
extern const struct metrics_buckets metrics_buckets_local;

struct metrics_histogram {
    const struct metrics_buckets *buckets;
    uint64_t counts[METRICS_BUCKETS_MAX + 1]; /* not cumulative */
    uint64_t sum_ns;
};

#define METRICS_HISTOGRAM_INIT(b) {.buckets = (b)}

/* Counts one duration. */
void metrics_histogram_observe(struct metrics_histogram *h, uint64_t duration_ns);

/* ---- text ---- */

enum metrics_format {
    METRICS_PROMETHEUS,  /* text 0.0.4 */
    METRICS_OPENMETRICS, /* 1.0 */
};

/*
 * The format that a scraper's Accept header asks for: OpenMetrics where it names
 * application/openmetrics-text with a weight above 0 and not below text/plain's; else (also NULL)
 * Prometheus.
 */
enum metrics_format metrics_format_of_accept(const char *accept);

/* The Content-Type of an answer in that format. */
const char *metrics_content_type(enum metrics_format format);

struct metrics_writer {
    struct buf *out; /* borrowed */
    enum metrics_format format;
    const struct metrics_family *family; /* begun; NULL: none yet */
    size_t label_count;                  /* of family */
    size_t series_count;                 /* of family */
    uint64_t dropped_count;              /* series left out, of all families */
    struct error err;                    /* the first failure */
};

/* Prepares a writer that adds to out (borrowed until finish). Nothing to destroy. */
void metrics_writer_init(struct metrics_writer *w, struct buf *out, enum metrics_format format);

/*
 * Begins a family (borrowed until the next one): the following samples are its series. Each family
 * at most once; one without samples is legal. In OpenMetrics a counter whose name does not end in
 * _total (a foreign name) is declared as of unknown type.
 */
void metrics_family_begin(struct metrics_writer *w, const struct metrics_family *family);

/*
 * Adds a series. labels holds a value for each label name of the family (NULL: ""), and may be NULL
 * if it has none. Series of a family must differ in their labels. The first failure sticks and is
 * told by metrics_writer_finish().
 */
void metrics_sample_u64(struct metrics_writer *w, const char *const *labels, uint64_t value);
void metrics_sample_f64(struct metrics_writer *w, const char *const *labels, double value);
/* A duration or moment: written in seconds with all its digits. */
void metrics_sample_ns(struct metrics_writer *w, const char *const *labels, uint64_t ns);
/* For families of type METRICS_HISTOGRAM. h NULL: no series. */
void metrics_sample_histogram(struct metrics_writer *w, const char *const *labels,
                              const struct metrics_histogram *h);

/* Ends the answer. -1 with the first failure: ERR_LIMIT (the buffer's maximum), ERR_NO_MEMORY. */
MUST_USE int metrics_writer_finish(struct metrics_writer *w, struct error *err);

/* ---- documentation ---- */

/* Adds the head of the Markdown table of families. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int metrics_table_head(struct buf *out, struct error *err);

/* Adds the row of a family: name, type, labels, help. */
MUST_USE int metrics_table_row(struct buf *out, const struct metrics_family *family,
                               struct error *err);

#endif
