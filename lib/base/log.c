/*
 * Log lines: logfmt or JSON, built on the stack, written by one write(2).
 *
 * A line is at most LINE_BYTES long; longer values are cut and the line stays well-formed, since
 * every appender leaves room for the closing characters.
 */
#include "lib/base/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/base/assert.h"
#include "lib/base/time.h"

enum {
    LINE_BYTES = 4096,
    TAIL_BYTES = 8 /* kept free for a closing quote, brace and newline */
};

#define REPEAT_NS (30 * NS_PER_SEC)

struct line {
    char text[LINE_BYTES];
    size_t n;
};

static void line_char(struct line *l, char c)
{
    if (l->n < LINE_BYTES - TAIL_BYTES)
        l->text[l->n++] = c;
}

static void line_text(struct line *l, const char *s)
{
    for (; *s; s++)
        line_char(l, *s);
}

/* A string between quotes: the escapes of JSON, which logfmt readers understand too. */
static void line_quoted(struct line *l, const char *s)
{
    line_char(l, '"');
    for (; *s && l->n < LINE_BYTES - TAIL_BYTES - 6; s++) {
        unsigned char c = (unsigned char)*s;
        char escaped[8];
        if (c == '"' || c == '\\') {
            line_char(l, '\\');
            line_char(l, (char)c);
        } else if (c == '\n') {
            line_text(l, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            (void)snprintf(escaped, sizeof(escaped), "\\u%04x", c); /* always fits */
            line_text(l, escaped);
        } else {
            line_char(l, (char)c);
        }
    }
    l->text[l->n++] = '"'; /* from the room that TAIL_BYTES keeps */
}

static bool needs_quotes(const char *s)
{
    if (!*s)
        return true;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return true;
    }
    return false;
}

static void line_value(struct line *l, const struct log_field *f, enum log_format format)
{
    char number[40];

    switch (f->kind) {
    case LOG_VALUE_STR: {
        const char *s = f->value.str ? f->value.str : "";
        if (format == LOG_FORMAT_JSON || needs_quotes(s))
            line_quoted(l, s);
        else
            line_text(l, s);
        return;
    }
    case LOG_VALUE_BOOL:
        line_text(l, f->value.flag ? "true" : "false");
        return;
    case LOG_VALUE_U64:
        (void)snprintf(number, sizeof(number), "%" PRIu64, f->value.u64); /* always fits */
        break;
    case LOG_VALUE_I64:
        (void)snprintf(number, sizeof(number), "%" PRId64, f->value.i64); /* always fits */
        break;
    case LOG_VALUE_F64:
    default:
        (void)snprintf(number, sizeof(number), "%.6g",
                       isfinite(f->value.f64) ? f->value.f64 : 0.0); /* always fits */
        break;
    }
    line_text(l, number);
}

static void line_field(struct line *l, const struct log_field *f, enum log_format format)
{
    if (format == LOG_FORMAT_JSON) {
        line_char(l, ',');
        line_quoted(l, f->key);
        line_char(l, ':');
    } else {
        line_char(l, ' ');
        line_text(l, f->key);
        line_char(l, '=');
    }
    line_value(l, f, format);
}

void log_write(const struct log *log, enum log_level level, const char *msg,
               const struct log_field *fields, size_t field_count)
{
    struct line l = {.n = 0};
    char moment[TIME_TEXT_BYTES];
    uint64_t wall_ms = env_wall_ns(log->env) / NS_PER_MS * NS_PER_MS;

    if (level < log->level)
        return;
    if (log->format == LOG_FORMAT_JSON)
        line_text(&l, "{\"time\":\"");
    else
        line_text(&l, "time=");
    line_text(&l, time_format_rfc3339(wall_ms, moment));
    line_text(&l, log->format == LOG_FORMAT_JSON ? "\",\"level\":\"" : " level=");
    line_text(&l, log_level_name(level));
    line_text(&l, log->format == LOG_FORMAT_JSON ? "\"" : "");
    line_field(&l, &LOG_STR("msg", msg), log->format);
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].key)
            line_field(&l, &fields[i], log->format);
    }
    if (log->format == LOG_FORMAT_JSON)
        l.text[l.n++] = '}';
    l.text[l.n++] = '\n';
    ASSERT(l.n <= LINE_BYTES);
    /* A log that cannot be written has nowhere to be reported. */
    ssize_t written = write(log->fd, l.text, l.n);
    (void)written;
}

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error"};

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

int log_level_parse(const char *text, enum log_level *out_level, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (strcasecmp(text, level_names[i]) == 0) {
            *out_level = (enum log_level)i;
            return 0;
        }
    }
    if (strcasecmp(text, "warning") == 0) {
        *out_level = LOG_LEVEL_WARN;
        return 0;
    }
    return error_set(err, ERR_USAGE, 0,
                     "\"%.32s\" is not a log level (trace, debug, info, warn, error)", text);
}

int log_format_parse(const char *text, enum log_format *out_format, struct error *err)
{
    if (strcasecmp(text, "text") == 0)
        *out_format = LOG_FORMAT_TEXT;
    else if (strcasecmp(text, "json") == 0)
        *out_format = LOG_FORMAT_JSON;
    else
        return error_set(err, ERR_USAGE, 0, "\"%.32s\" is not a log format (text, json)", text);
    return 0;
}

bool log_repeat_is_due(struct log_repeat *r, const struct error *err, uint64_t monotonic_ns,
                       uint64_t *out_count)
{
    bool is_new = r->code != err->code;

    r->count++;
    if (!is_new && monotonic_ns - r->last_ns < REPEAT_NS)
        return false;
    *out_count = r->count;
    r->code = err->code;
    r->last_ns = monotonic_ns;
    r->count = 0;
    return true;
}

bool log_repeat_end(struct log_repeat *r)
{
    bool was_faulty = r->code != ERR_NONE;
    *r = (struct log_repeat){.code = ERR_NONE};
    return was_faulty;
}
