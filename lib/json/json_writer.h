/*
 * Writes one JSON document (RFC 8259) into a buffer, value after value, without a tree:
 *
 *     struct json_writer w;
 *     json_writer_init(&w, &out, JSON_PRETTY);
 *     json_writer_object(&w, NULL);
 *     json_writer_str(&w, "path", "/data/app.db");
 *     json_writer_array(&w, "levels");
 *     json_writer_u64(&w, NULL, 18446744073709551615u);
 *     json_writer_end(&w);
 *     json_writer_end(&w);
 *     if (json_writer_finish(&w, err) < 0) ...
 *
 * Each value takes its key first: a name inside an object, NULL inside an array and for the
 * document itself. The first failure (buffer full, memory out) sticks, later calls do nothing, and
 * json_writer_finish() reports it; so the calls in between are plain lines. A key where none
 * belongs, or a missing one, is our mistake and asserted.
 *
 * Strings may hold any bytes: quotes, backslashes and control characters are escaped, what is not
 * UTF-8 becomes U+FFFD, one for each byte that does not fit. Slashes and other characters stay as
 * they are. "<" and "&" stay too: the output is not meant to be pasted into HTML.
 *
 * Threads: one at a time per writer. Memory: only the buffer's.
 */
#ifndef WALFERRY_LIB_JSON_JSON_WRITER_H
#define WALFERRY_LIB_JSON_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    JSON_WRITER_DEPTH_MAX = 32 /* objects and arrays within each other; asserted */
};

enum json_style {
    JSON_COMPACT, /* no space at all, no newline at the end */
    JSON_PRETTY,  /* two spaces a level, one value a line, newline at the end */
};

struct json_writer {
    struct buf *out; /* borrowed */
    enum json_style style;
    unsigned depth;
    uint32_t array_bits; /* bit d: the container at depth d is an array */
    uint32_t item_bits;  /* bit d: the container at depth d has an item */
    bool is_done;        /* the document's one value is complete */
    struct error err;    /* the first failure */
};

/* Prepares a writer that adds to out (borrowed until finish). Nothing to destroy. */
void json_writer_init(struct json_writer *w, struct buf *out, enum json_style style);

/* Begin an object or an array, which json_writer_end() closes. */
void json_writer_object(struct json_writer *w, const char *key);
void json_writer_array(struct json_writer *w, const char *key);
void json_writer_end(struct json_writer *w);

/* Strings; a NULL text is written as null. */
void json_writer_str(struct json_writer *w, const char *key, const char *text);
void json_writer_slice(struct json_writer *w, const char *key, struct slice text);
/* A string from a format, at most 1023 bytes of it. */
void json_writer_strf(struct json_writer *w, const char *key, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* A moment as RFC 3339 string; 0 (unknown) is written as null. */
void json_writer_time(struct json_writer *w, const char *key, uint64_t unix_ns);

/* A value that is JSON already, made by another writer: as it is, unchecked. */
void json_writer_json(struct json_writer *w, const char *key, struct slice value);

/* Integers are written with all their digits. */
void json_writer_u64(struct json_writer *w, const char *key, uint64_t value);
void json_writer_i64(struct json_writer *w, const char *key, int64_t value);
/* The shortest text that reads back as the same double; NaN and infinities are null. */
void json_writer_f64(struct json_writer *w, const char *key, double value);
void json_writer_bool(struct json_writer *w, const char *key, bool value);
void json_writer_null(struct json_writer *w, const char *key);

/*
 * Ends the document. Everything that was begun must have ended (asserted).
 * Returns 0, or -1 with the first failure: ERR_LIMIT (the buffer's maximum), ERR_NO_MEMORY. What
 * the buffer holds then is cut somewhere.
 */
MUST_USE int json_writer_finish(struct json_writer *w, struct error *err);

#endif
