/*
 * One line an event. The message is a constant lower-case phrase, everything that varies is a
 * field, so that logs can be searched:
 *
 *     LOG_INFO(log, "object shipped", LOG_STR("db", path), LOG_U64("bytes", n));
 *     time=2026-11-21T09:37:00.123Z level=info msg="object shipped" db=/data/app.db bytes=4096
 *
 * lib/ does not log above debug; the operation's owner logs once. Secrets never. A fault that
 * lasts is logged through struct log_repeat: when it begins or changes, then every 30 s with a
 * count. Threads: any; a line is one write(2), so lines do not mix.
 */
#ifndef WALFERRY_LIB_BASE_LOG_H
#define WALFERRY_LIB_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/attr.h"
#include "lib/base/env.h"
#include "lib/base/error.h"

enum log_level {
    LOG_LEVEL_TRACE,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
};

enum log_format {
    LOG_FORMAT_TEXT, /* logfmt: key=value */
    LOG_FORMAT_JSON, /* one object a line */
};

struct log {
    const struct env *env;
    int fd;               /* where lines go; not closed by us */
    enum log_level level; /* lines below are dropped; changed by the loop thread only */
    enum log_format format;
};

/* A field: built by the macros below, read by log_write() before it returns. */
struct log_field {
    const char *key;
    enum {
        LOG_VALUE_STR,
        LOG_VALUE_U64,
        LOG_VALUE_I64,
        LOG_VALUE_F64,
        LOG_VALUE_BOOL
    } kind;
    union {
        const char *str;
        uint64_t u64;
        int64_t i64;
        double f64;
        bool flag;
    } value;
};

#define LOG_STR(k, v)  ((struct log_field){.key = (k), .kind = LOG_VALUE_STR, .value.str = (v)})
#define LOG_U64(k, v)  ((struct log_field){.key = (k), .kind = LOG_VALUE_U64, .value.u64 = (v)})
#define LOG_I64(k, v)  ((struct log_field){.key = (k), .kind = LOG_VALUE_I64, .value.i64 = (v)})
#define LOG_F64(k, v)  ((struct log_field){.key = (k), .kind = LOG_VALUE_F64, .value.f64 = (v)})
#define LOG_BOOL(k, v) ((struct log_field){.key = (k), .kind = LOG_VALUE_BOOL, .value.flag = (v)})
/* The text of an error as field "error", and its hint (if any) as field "hint". */
#define LOG_ERR(e)  LOG_STR("error", (e)->text)
#define LOG_HINT(e) LOG_STR((e)->hint[0] ? "hint" : NULL, (e)->hint)

/* Writes one line. Fields whose key is NULL are left out. Cost when dropped: one compare. */
void log_write(const struct log *log, enum log_level level, const char *msg,
               const struct log_field *fields, size_t field_count);

#define LOG_AT(log, lvl, msg, ...)                                                                 \
    do {                                                                                           \
        if ((lvl) >= (log)->level) {                                                               \
            const struct log_field log_fields[] = {{.key = NULL}, ##__VA_ARGS__};                  \
            log_write((log), (lvl), (msg), log_fields, ARRAY_LEN(log_fields));                     \
        }                                                                                          \
    } while (0)
#define LOG_TRACE(log, msg, ...) LOG_AT(log, LOG_LEVEL_TRACE, msg, ##__VA_ARGS__)
#define LOG_DEBUG(log, msg, ...) LOG_AT(log, LOG_LEVEL_DEBUG, msg, ##__VA_ARGS__)
#define LOG_INFO(log, msg, ...)  LOG_AT(log, LOG_LEVEL_INFO, msg, ##__VA_ARGS__)
#define LOG_WARN(log, msg, ...)  LOG_AT(log, LOG_LEVEL_WARN, msg, ##__VA_ARGS__)
#define LOG_ERROR(log, msg, ...) LOG_AT(log, LOG_LEVEL_ERROR, msg, ##__VA_ARGS__)

/* Parses "trace", "debug", "info", "warn" (or "warning"), "error"; case does not matter.
 * ERR_USAGE names the five. */
MUST_USE int log_level_parse(const char *text, enum log_level *out_level, struct error *err);
const char *log_level_name(enum log_level level);

/* Parses "text" or "json". ERR_USAGE. */
MUST_USE int log_format_parse(const char *text, enum log_format *out_format, struct error *err);

/* A fault that lasts: one of these beside whatever can fail again and again. Zeroed at start. */
struct log_repeat {
    uint64_t last_ns; /* monotonic time of the last line */
    uint64_t count;   /* occurrences since the last line */
    enum error_code code;
};

/*
 * Whether this occurrence should be logged: the first, a different code, or 30 s since the last
 * line. If so *out_count is how many occurrences the line stands for.
 */
bool log_repeat_is_due(struct log_repeat *r, const struct error *err, uint64_t monotonic_ns,
                       uint64_t *out_count);

/* The fault is over. True if there was one (then a "recovered" line is due). */
bool log_repeat_end(struct log_repeat *r);

#endif
