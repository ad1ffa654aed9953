/*
 * Streaming JSON writer. The state is two bit sets indexed by depth: what kind of container is
 * open there, and whether it has an item already (then a comma is due). Every value goes through
 * the same three steps:
 *
 *   1. value_begin: comma, line break and indentation (pretty), key
 *   2. its own text
 *   3. a container only: depth + 1, until json_writer_end()
 *
 * A failed append sticks in w->err and turns every later call into nothing, see json_writer.h.
 */
#include "lib/json/json_writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/utf8.h"

static bool failed(const struct json_writer *w)
{
    return w->err.code != ERR_NONE;
}

static void put(struct json_writer *w, const void *p, size_t n)
{
    if (failed(w))
        return;
    if (buf_append(w->out, p, n, &w->err) < 0)
        return; /* and so does every later call: the error sticks in w->err */
}

static void put_str(struct json_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_line_break(struct json_writer *w)
{
    if (w->style != JSON_PRETTY)
        return;
    put_str(w, "\n");
    for (unsigned i = 0; i < w->depth; i++)
        put_str(w, "  ");
}

static void put_control(struct json_writer *w, uint8_t byte)
{
    static const char short_of[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char text[8];

    if (byte < sizeof(short_of) && short_of[byte])
        (void)snprintf(text, sizeof(text), "\\%c", short_of[byte]);
    else
        (void)snprintf(text, sizeof(text), "\\u%04x", (unsigned)byte);
    put_str(w, text);
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

static void put_string(struct json_writer *w, struct slice s)
{
    put_str(w, "\"");
    while (s.n > 0) {
        size_t run = 0;
        while (run < s.n && is_plain(s.p[run]))
            run++;
        if (run > 0) {
            put(w, s.p, run);
        } else if (s.p[0] < 0x20 || s.p[0] == 0x7f) {
            put_control(w, s.p[0]);
            run = 1;
        } else if (s.p[0] == '"' || s.p[0] == '\\') {
            put(w, "\\", 1);
            put(w, s.p, 1);
            run = 1;
        } else {
            size_t n = utf8_sequence_bytes(s);
            if (n > 0)
                put(w, s.p, n);
            else
                put_str(w, "\xef\xbf\xbd");
            run = n > 0 ? n : 1;
        }
        s = slice_sub(s, run, s.n);
    }
    put_str(w, "\"");
}

/* Step 1: what stands before a value. */
static void value_begin(struct json_writer *w, const char *key)
{
    if (w->depth == 0) {
        ASSERT(!key);
        ASSERT(!w->is_done);
        w->is_done = true;
        return;
    }
    uint32_t bit = UINT32_C(1) << (w->depth - 1);
    bool is_array = (w->array_bits & bit) != 0;
    ASSERT(is_array == !key);
    if (w->item_bits & bit)
        put_str(w, ",");
    w->item_bits |= bit;
    put_line_break(w);
    if (key) {
        put_string(w, slice_of_str(key));
        put_str(w, w->style == JSON_PRETTY ? ": " : ":");
    }
}

static void container_begin(struct json_writer *w, const char *key, bool is_array)
{
    value_begin(w, key);
    ASSERT(w->depth < JSON_WRITER_DEPTH_MAX);
    uint32_t bit = UINT32_C(1) << w->depth;
    w->array_bits = is_array ? w->array_bits | bit : w->array_bits & ~bit;
    w->item_bits &= ~bit;
    w->depth++;
    put_str(w, is_array ? "[" : "{");
}

void json_writer_init(struct json_writer *w, struct buf *out, enum json_style style)
{
    *w = (struct json_writer){.out = out, .style = style, .err = ERROR_INIT};
}

void json_writer_object(struct json_writer *w, const char *key)
{
    container_begin(w, key, false);
}

void json_writer_array(struct json_writer *w, const char *key)
{
    container_begin(w, key, true);
}

void json_writer_end(struct json_writer *w)
{
    ASSERT(w->depth > 0);
    w->depth--;
    uint32_t bit = UINT32_C(1) << w->depth;
    if (w->item_bits & bit)
        put_line_break(w);
    put_str(w, w->array_bits & bit ? "]" : "}");
}

void json_writer_slice(struct json_writer *w, const char *key, struct slice text)
{
    value_begin(w, key);
    put_string(w, text);
}

void json_writer_str(struct json_writer *w, const char *key, const char *text)
{
    if (text)
        json_writer_slice(w, key, slice_of_str(text));
    else
        json_writer_null(w, key);
}

void json_writer_strf(struct json_writer *w, const char *key, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* cut at the documented length */
    va_end(ap);
    json_writer_str(w, key, text);
}

void json_writer_time(struct json_writer *w, const char *key, uint64_t unix_ns)
{
    char text[TIME_TEXT_BYTES];

    json_writer_str(w, key, unix_ns ? time_format_rfc3339(unix_ns, text) : NULL);
}

static void value_write(struct json_writer *w, const char *key, const char *text)
{
    value_begin(w, key);
    put_str(w, text);
}

void json_writer_json(struct json_writer *w, const char *key, struct slice value)
{
    value_begin(w, key);
    put(w, (const char *)value.p, value.n);
}

void json_writer_u64(struct json_writer *w, const char *key, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    value_write(w, key, text);
}

void json_writer_i64(struct json_writer *w, const char *key, int64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRId64, value);
    value_write(w, key, text);
}

void json_writer_f64(struct json_writer *w, const char *key, double value)
{
    char text[40];

    if (!isfinite(value)) {
        json_writer_null(w, key);
        return;
    }
    /* Seventeen digits always read back as the same double; fewer often do. */
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (digits == 17 || strtod(text, NULL) == value)
            break;
    }
    value_write(w, key, text);
}

void json_writer_bool(struct json_writer *w, const char *key, bool value)
{
    value_write(w, key, value ? "true" : "false");
}

void json_writer_null(struct json_writer *w, const char *key)
{
    value_write(w, key, "null");
}

int json_writer_finish(struct json_writer *w, struct error *err)
{
    ASSERT(w->depth == 0);
    ASSERT(w->is_done);
    if (w->style == JSON_PRETTY)
        put_str(w, "\n");
    if (failed(w)) {
        *err = w->err;
        return error_wrap(err, "JSON output");
    }
    return 0;
}
