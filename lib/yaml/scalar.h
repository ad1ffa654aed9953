/*
 * What the text of a YAML scalar can mean, independent of where it stands. All take terminated
 * text, write *out on success only and answer ERR_USAGE with what was found and what was expected
 * ("\"maybe\" is not a switch (expected true or false)"); yamldoc_wrap() puts the line before it.
 * Durations: duration_parse() of lib/base/time.h.
 */
#ifndef WALFERRY_LIB_YAML_SCALAR_H
#define WALFERRY_LIB_YAML_SCALAR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

/* YAML 1.1 words in any case: true yes on y 1 / false no off n 0. */
MUST_USE int scalar_bool(const char *text, bool *out, struct error *err);

/*
 * Decimal digits, "_" between them allowed; a sign '-' for i64 only. No leading zero: YAML 1.1
 * reads "010" as eight, people as ten.
 */
MUST_USE int scalar_u64(const char *text, uint64_t *out, struct error *err);
MUST_USE int scalar_i64(const char *text, int64_t *out, struct error *err);

/* Permission bits in octal: "0600", "600", "0o600"; at most 07777. */
MUST_USE int scalar_octal(const char *text, uint32_t *out, struct error *err);

/*
 * A size as go-humanize reads it: a number (a fraction is allowed, "," groups digits), then a unit
 * in any case: none or B; kB MB GB TB PB (powers of 1000); KiB MiB GiB TiB PiB (powers of 1024);
 * the letter alone means powers of 1000 ("5M"), with "i" of 1024 ("5Mi").
 * Source: github.com/dustin/go-humanize, bytes.go.
 */
MUST_USE int scalar_bytes(const char *text, uint64_t *out, struct error *err);

enum {
    SCALAR_BYTES_TEXT = 32 /* room for every text of scalar_bytes_format() */
};

/* The shortest exact text that scalar_bytes() reads back: "5MiB", "64MiB", "1500". */
const char *scalar_bytes_format(uint64_t bytes, char out[static SCALAR_BYTES_TEXT]);

#endif
