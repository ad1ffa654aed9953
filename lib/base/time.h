/*
 * Durations and moments. In memory everything is uint64_t nanoseconds: durations, monotonic times,
 * and moments since 1970-01-01T00:00:00Z (enough until the year 2554). Text appears at the border:
 * Go's duration syntax plus days ("1d12h", "300ms"), RFC 3339 for moments.
 *
 * All functions here are pure; the clocks themselves are in env.h.
 */
#ifndef WALFERRY_LIB_BASE_TIME_H
#define WALFERRY_LIB_BASE_TIME_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/attr.h"
#include "lib/base/error.h"

#define NS_PER_US   UINT64_C(1000)
#define NS_PER_MS   UINT64_C(1000000)
#define NS_PER_SEC  UINT64_C(1000000000)
#define NS_PER_MIN  (60 * NS_PER_SEC)
#define NS_PER_HOUR (60 * NS_PER_MIN)
#define NS_PER_DAY  (24 * NS_PER_HOUR)

enum {
    TIME_TEXT_BYTES = 48 /* room for every text made here, with its terminator */
};

/*
 * Parses "1.5h", "2m30s", "300ms", "7d", "1w", "0". Units: ns us (or the micro sign) ms s m h d w.
 * A number without a unit is an error, except 0. Negative durations are errors.
 * ERR_USAGE with the text and what was expected.
 */
MUST_USE int duration_parse(const char *text, uint64_t *out_ns, struct error *err);

/* Writes the shortest exact text ("1h30m", "1.5s", "0s") into out and returns it. */
const char *duration_format(uint64_t ns, char out[static TIME_TEXT_BYTES]);

/*
 * Parses RFC 3339: "2026-11-21T09:37:00Z", fractions up to nanoseconds, offsets "+02:00"; a space
 * or 't' may stand for 'T'. ERR_USAGE for anything else, for impossible dates and before 1970.
 */
MUST_USE int time_parse_rfc3339(const char *text, uint64_t *out_unix_ns, struct error *err);

/* RFC 3339 in UTC; the fraction is written without trailing zeros (Go's RFC3339Nano). */
const char *time_format_rfc3339(uint64_t unix_ns, char out[static TIME_TEXT_BYTES]);

/* RFC 3339 in UTC with exactly six digits of a fraction: Kubernetes' MicroTime. */
const char *time_format_micro(uint64_t unix_ns, char out[static TIME_TEXT_BYTES]);

/* "20261121T093700Z", the form of AWS signatures. */
const char *time_format_amz(uint64_t unix_ns, char out[static TIME_TEXT_BYTES]);

/*
 * Parses the date of an HTTP header ("Sat, 21 Nov 2026 09:37:00 GMT", IMF-fixdate of RFC 9110).
 * ERR_CORRUPT for anything else.
 */
MUST_USE int time_parse_http(const char *text, uint64_t *out_unix_ns, struct error *err);

#endif
