/*
 * Reads a JSON document into a tree (cJSON's) and answers typed values by key; an error names the
 * document and the place: "kubernetes answer: items[3].metadata.name: expected a string".
 *
 *     CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
 *     if (jsonval_parse(&doc, "status", bytes, err) < 0) ...
 *     struct jsonval db = jsonval_get(jsonval_root(&doc), "databases");
 *     for (size_t i = 0; i < jsonval_count(db); i++)
 *         if (jsonval_str(jsonval_at(db, i), ...
 *
 * A jsonval is a place in the document, by value, also one where nothing is: jsonval_get() never
 * fails, and only the typed getter at the end reports what is missing. It borrows from the
 * document.
 *
 * Bounds: JSONVAL_BYTES_MAX of text, JSONVAL_DEPTH_MAX of nesting, JSONVAL_VALUES_MAX values;
 * beyond is ERR_LIMIT. A key twice in one object, text after the document, bytes that are not
 * UTF-8 and "\u0000" are ERR_CORRUPT: two readers would disagree on them.
 *
 * Threads: one at a time per document; a finished one may be read by many.
 */
#ifndef WALFERRY_LIB_JSON_JSONVAL_H
#define WALFERRY_LIB_JSON_JSONVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/json/json_writer.h"

enum {
    JSONVAL_BYTES_MAX = 32 << 20,
    JSONVAL_DEPTH_MAX = 64,
    JSONVAL_VALUES_MAX = 1 << 20, /* cJSON takes 64 bytes for each, beside its text */
};

struct cJSON;

struct jsonval_doc {
    char *name; /* what the document is, for errors */
    struct cJSON *root;
};

#define JSONVAL_DOC_INIT {.name = NULL}

/* A place in a document. item NULL: nothing is there. */
struct jsonval {
    const struct jsonval_doc *doc;
    const struct cJSON *parent; /* where the way here left what exists; for the path in errors */
    const struct cJSON *item;
    const char *missing; /* the key that was looked up in vain; borrowed from the caller */
};

/*
 * Parses text into out (made by JSONVAL_DOC_INIT). name is copied.
 * ERR_CORRUPT with the byte offset, ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int jsonval_parse(struct jsonval_doc *out, const char *name, struct slice text,
                           struct error *err);
void jsonval_doc_destroy(struct jsonval_doc *doc);

/* The document's one value. */
struct jsonval jsonval_root(const struct jsonval_doc *doc);

/* The member of an object by exact key; a place with nothing if there is none or v is no object.
 * key must live as long as the answer is used (a literal). */
struct jsonval jsonval_get(struct jsonval v, const char *key);

/* As jsonval_get() along a way of keys: "metadata.resourceVersion". No arrays, no dots in keys. */
struct jsonval jsonval_way(struct jsonval v, const char *way);

/* Elements of an array or members of an object; 0 for anything else. Cost: linear. */
size_t jsonval_count(struct jsonval v);

/* Iteration over elements or members: the first and the following; ends when !jsonval_exists(). */
struct jsonval jsonval_first(struct jsonval v);
struct jsonval jsonval_next(struct jsonval v);

/* The key under which v stands in its object; "" in an array. Borrowed from the document. */
const char *jsonval_key(struct jsonval v);

/* Something is there, also null. */
bool jsonval_exists(struct jsonval v);
/* There is null, or nothing. */
bool jsonval_is_null(struct jsonval v);
/* What kind of value is there; false for nothing. */
bool jsonval_is_object(struct jsonval v);
bool jsonval_is_array(struct jsonval v);
bool jsonval_is_str(struct jsonval v);

/*
 * Typed values. ERR_CORRUPT names document, place, what was expected and what was found; outputs
 * are written on success only. Texts are borrowed from the document.
 * Integers must be whole; above 2^53 a JSON number, read as double, may have lost digits, so there
 * they are refused: large numbers travel as strings of digits, which jsonval_u64() accepts as well
 * ("18446744073709551615").
 */
MUST_USE int jsonval_str(struct jsonval v, const char **out, struct error *err);
MUST_USE int jsonval_bool(struct jsonval v, bool *out, struct error *err);
MUST_USE int jsonval_u64(struct jsonval v, uint64_t *out, struct error *err);
MUST_USE int jsonval_i64(struct jsonval v, int64_t *out, struct error *err);
MUST_USE int jsonval_f64(struct jsonval v, double *out, struct error *err);

/* For optional members: the fallback if nothing (or null) is there, an error for another type. */
MUST_USE int jsonval_str_or(struct jsonval v, const char *fallback, const char **out,
                            struct error *err);
MUST_USE int jsonval_bool_or(struct jsonval v, bool fallback, bool *out, struct error *err);
MUST_USE int jsonval_u64_or(struct jsonval v, uint64_t fallback, uint64_t *out, struct error *err);

/*
 * Writes the value at v, whole, as the next value of w (null where nothing is). Numbers keep their
 * value, up to the digits of a double. Nested deeper than w has room for: ERR_LIMIT, by
 * json_writer_finish() like its other failures.
 */
void jsonval_write(struct jsonval v, struct json_writer *w, const char *key);

/* An error about the value at v: "<document>: <place>: <fmt>". Returns -1. */
int jsonval_error(struct jsonval v, struct error *err, enum error_code code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Adds "items[3].metadata.name" to out ("" for the root). */
MUST_USE int jsonval_path(struct jsonval v, struct buf *out, struct error *err);

#endif
