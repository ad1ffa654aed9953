/*
 * JSON documents by cJSON, made strict and bounded.
 *
 *   1. scan the text once: size, UTF-8, "\u0000" in strings, brackets and commas outside strings;
 *      that bounds depth and number of values before cJSON allocates anything
 *   2. cJSON builds the tree; what follows the value must be white space
 *   3. walk the tree: no key twice in an object
 *
 * cJSON's nodes do not know their parents, so the way to a node ("items[3].name") is searched from
 * the root when an error needs it: errors are rare, and the walk is linear.
 */
#include "lib/json/jsonval.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/utf8.h"

enum {
    KEYS_COMPARED_PAIRWISE_MAX = 16,
    PATH_BYTES_MAX = 1024, /* of a way in an error text */
};

/* Every whole number up to here is exact as double. */
static const double exact_max = 9007199254740992.0;

/* Step 1: the text before anything is built from it. */
struct scan {
    const char *name;
    struct slice text;
    size_t at;
    size_t depth;
    size_t value_count;
};

static int scan_error(const struct scan *s, struct error *err, const char *what)
{
    return error_set(err, ERR_CORRUPT, 0, "%s: %s at byte %zu", s->name, what, s->at);
}

/* Passes over a string whose opening quote is at s->at. */
static int scan_string(struct scan *s, struct error *err)
{
    for (s->at++; s->at < s->text.n && s->text.p[s->at] != '"';) {
        size_t n = utf8_sequence_bytes(slice_sub(s->text, s->at, s->text.n));
        if (n == 0)
            return scan_error(s, err, "not UTF-8");
        if (s->text.p[s->at] < 0x20)
            return scan_error(s, err, "control character in a string");
        if (s->text.p[s->at] == '\\') {
            if (slice_starts_with(slice_sub(s->text, s->at, 6), SLICE_LIT("\\u0000")))
                return scan_error(s, err, "zero byte in a string");
            n = 1;
            if (s->at + 1 < s->text.n && s->text.p[s->at + 1] < 0x80)
                n = 2;
        }
        s->at += n;
    }
    if (s->at >= s->text.n)
        return scan_error(s, err, "string without end");
    s->at++;
    return 0;
}

static int scan_mark(struct scan *s, struct error *err)
{
    uint8_t c = s->text.p[s->at];

    if (c == '[' || c == '{') {
        s->depth++;
        s->value_count++;
    } else if (c == ']' || c == '}') {
        s->depth -= s->depth > 0 ? 1 : 0; /* cJSON reports the one too many */
    } else if (c == ',') {
        s->value_count++;
    } else if (c == '\0' || c >= 0x80) {
        return scan_error(s, err, "not JSON");
    }
    if (s->depth > JSONVAL_DEPTH_MAX) {
        return error_set(err, ERR_LIMIT, 0, "%s: nested deeper than %d at byte %zu", s->name,
                         JSONVAL_DEPTH_MAX, s->at);
    }
    if (s->value_count > JSONVAL_VALUES_MAX)
        return error_set(err, ERR_LIMIT, 0, "%s: more than %d values", s->name, JSONVAL_VALUES_MAX);
    s->at++;
    return 0;
}

static int scan_text(struct scan *s, struct error *err)
{
    if (s->text.n > JSONVAL_BYTES_MAX) {
        return error_set(err, ERR_LIMIT, 0, "%s: %zu bytes, more than %d", s->name, s->text.n,
                         JSONVAL_BYTES_MAX);
    }
    while (s->at < s->text.n) {
        int rc = s->text.p[s->at] == '"' ? scan_string(s, err) : scan_mark(s, err);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int key_compare(const void *a, const void *b)
{
    const char *const *ka = a;
    const char *const *kb = b;
    return strcmp(*ka, *kb);
}

/* The key that an object with many has twice, NULL if none; by sorting. */
static int duplicate_by_sort(const cJSON *object, size_t count, const char **out, struct error *err)
{
    size_t n = 0;
    CLEANUP(mem_free) const char **keys = mem_new(count, sizeof(char *), err);

    if (!keys)
        return -1;
    for (const cJSON *c = object->child; c; c = c->next)
        keys[n++] = c->string;
    qsort(keys, n, sizeof(char *), key_compare);
    for (size_t i = 1; i < n && !*out; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0) /* the text is the tree's, it outlives keys */
            *out = keys[i];
    }
    return 0;
}

static int duplicate_find(const cJSON *object, const char **out, struct error *err)
{
    size_t count = (size_t)cJSON_GetArraySize(object);

    *out = NULL;
    if (count > KEYS_COMPARED_PAIRWISE_MAX)
        return duplicate_by_sort(object, count, out, err);
    for (const cJSON *a = object->child; a; a = a->next) {
        for (const cJSON *b = a->next; b; b = b->next) {
            if (strcmp(a->string, b->string) == 0)
                *out = a->string;
        }
    }
    return 0;
}

/* Step 3. */
static int keys_check(const struct jsonval_doc *doc, const cJSON *item, struct error *err)
{
    const char *duplicate = NULL;

    if (cJSON_IsObject(item) && duplicate_find(item, &duplicate, err) < 0)
        return -1;
    if (duplicate) {
        return jsonval_error((struct jsonval){.doc = doc, .item = item}, err, ERR_CORRUPT,
                             "key \"%.64s\" is here twice", duplicate);
    }
    for (const cJSON *c = item->child; c; c = c->next) {
        if (keys_check(doc, c, err) < 0)
            return -1;
    }
    return 0;
}

int jsonval_parse(struct jsonval_doc *out, const char *name, struct slice text, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct scan scan = {.name = name, .text = text};

    *out = (struct jsonval_doc)JSONVAL_DOC_INIT;
    if (scan_text(&scan, err) < 0)
        return -1;
    const char *begin = text.p ? (const char *)text.p : "";
    const char *end = begin;
    doc.name = str_dup(name, err);
    if (!doc.name)
        return -1;
    errno = 0; /* cJSON does not tell why it gave up, malloc does */
    doc.root = cJSON_ParseWithLengthOpts(begin, text.n, &end, false);
    scan.at = end >= begin ? (size_t)(end - begin) : 0;
    if (!doc.root && errno == ENOMEM)
        return error_set(err, ERR_NO_MEMORY, 0, "%s: out of memory", name);
    if (!doc.root)
        return scan_error(&scan, err, "not JSON");
    while (scan.at < text.n && strchr(" \t\r\n", text.p[scan.at]))
        scan.at++;
    if (scan.at < text.n)
        return scan_error(&scan, err, "text after the document");
    if (keys_check(&doc, doc.root, err) < 0)
        return -1;
    *out = doc;
    doc = (struct jsonval_doc)JSONVAL_DOC_INIT;
    return 0;
}

void jsonval_doc_destroy(struct jsonval_doc *doc)
{
    cJSON_Delete(doc->root);
    free(doc->name);
    *doc = (struct jsonval_doc)JSONVAL_DOC_INIT;
}

struct jsonval jsonval_root(const struct jsonval_doc *doc)
{
    return (struct jsonval){.doc = doc, .item = doc->root};
}

struct jsonval jsonval_get(struct jsonval v, const char *key)
{
    if (!v.item)
        return v; /* the first that was missing is what an error names */
    struct jsonval child = {.doc = v.doc, .parent = v.item, .missing = key};
    if (cJSON_IsObject(v.item))
        child.item = cJSON_GetObjectItemCaseSensitive(v.item, key);
    return child;
}

struct jsonval jsonval_way(struct jsonval v, const char *way)
{
    char key[128];

    while (v.item && *way) {
        size_t n = strcspn(way, ".");
        ASSERT(n > 0);
        ASSERT(n < sizeof(key));
        memcpy(key, way, n);
        key[n] = '\0';
        v = jsonval_get(v, key);
        v.missing = way; /* the key and the rest of the way: lives as long as the caller's text */
        way += n + (way[n] == '.' ? 1 : 0);
    }
    return v;
}

size_t jsonval_count(struct jsonval v)
{
    if (!jsonval_is_array(v) && !jsonval_is_object(v))
        return 0;
    return (size_t)cJSON_GetArraySize(v.item);
}

struct jsonval jsonval_first(struct jsonval v)
{
    bool has_children = jsonval_is_array(v) || jsonval_is_object(v);

    return (struct jsonval){
        .doc = v.doc, .parent = v.item, .item = has_children ? v.item->child : NULL};
}

struct jsonval jsonval_next(struct jsonval v)
{
    v.item = v.item ? v.item->next : NULL;
    return v;
}

const char *jsonval_key(struct jsonval v)
{
    return v.item && v.item->string ? v.item->string : "";
}

bool jsonval_exists(struct jsonval v)
{
    return v.item != NULL;
}

bool jsonval_is_null(struct jsonval v)
{
    return !v.item || cJSON_IsNull(v.item);
}

bool jsonval_is_object(struct jsonval v)
{
    return cJSON_IsObject(v.item);
}

bool jsonval_is_array(struct jsonval v)
{
    return cJSON_IsArray(v.item);
}

bool jsonval_is_str(struct jsonval v)
{
    return cJSON_IsString(v.item);
}

static int step_append(struct buf *out, const cJSON *parent, const cJSON *child, size_t idx,
                       struct error *err)
{
    if (cJSON_IsArray(parent))
        return buf_printf(out, err, "[%zu]", idx);
    return buf_printf(out, err, "%s%s", out->n ? "." : "", child->string);
}

/* Adds the way from item to wanted; 1 if it is below, 0 if not. */
static int way_search(const cJSON *item, const cJSON *wanted, struct buf *out, struct error *err)
{
    size_t idx = 0;

    if (item == wanted)
        return 1;
    for (const cJSON *c = item->child; c; c = c->next, idx++) {
        size_t n = out->n;
        if (step_append(out, item, c, idx, err) < 0)
            return -1;
        int rc = way_search(c, wanted, out, err);
        if (rc != 0)
            return rc;
        out->n = n;
        if (out->p)
            out->p[n] = 0;
    }
    return 0;
}

int jsonval_path(struct jsonval v, struct buf *out, struct error *err)
{
    const cJSON *known = v.item ? v.item : v.parent;

    if (!known)
        return 0;
    if (way_search(v.doc->root, known, out, err) < 0)
        return -1;
    if (v.item || !v.missing)
        return 0;
    return buf_printf(out, err, "%s%s", out->n ? "." : "", v.missing);
}

int jsonval_error(struct jsonval v, struct error *err, enum error_code code, const char *fmt, ...)
{
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(PATH_BYTES_MAX);
    struct error ignored = ERROR_INIT;
    char text[ERROR_TEXT_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is still the best we have */
    va_end(ap);
    bool is_whole = jsonval_path(v, &path, &ignored) == 0; /* else cut: the cause counts */
    return error_set(err, code, 0, "%s: %s%s%s%s", v.doc->name, buf_str(&path),
                     is_whole ? "" : "...", path.n ? ": " : "", text);
}

static const char *kind_name(struct jsonval v)
{
    static const struct {
        cJSON_bool (*is)(const cJSON *item);
        const char *name;
    } kinds[] = {
        {cJSON_IsNull, "null"},       {cJSON_IsBool, "true or false"},
        {cJSON_IsNumber, "a number"}, {cJSON_IsString, "a string"},
        {cJSON_IsArray, "an array"},  {cJSON_IsObject, "an object"},
    };
    for (size_t i = 0; v.item && i < ARRAY_LEN(kinds); i++) {
        if (kinds[i].is(v.item))
            return kinds[i].name;
    }
    return "nothing";
}

static int type_error(struct jsonval v, const char *expected, struct error *err)
{
    return jsonval_error(v, err, ERR_CORRUPT, "expected %s, found %s", expected, kind_name(v));
}

int jsonval_str(struct jsonval v, const char **out, struct error *err)
{
    if (!jsonval_is_str(v))
        return type_error(v, "a string", err);
    *out = v.item->valuestring;
    return 0;
}

int jsonval_bool(struct jsonval v, bool *out, struct error *err)
{
    if (!cJSON_IsBool(v.item))
        return type_error(v, "true or false", err);
    *out = cJSON_IsTrue(v.item);
    return 0;
}

int jsonval_f64(struct jsonval v, double *out, struct error *err)
{
    if (!cJSON_IsNumber(v.item))
        return type_error(v, "a number", err);
    *out = v.item->valuedouble;
    return 0;
}

/* A whole number within what a double holds exactly. */
static int whole_number(struct jsonval v, double *out, struct error *err)
{
    double value = 0;

    if (jsonval_f64(v, &value, err) < 0)
        return -1;
    if (value != floor(value) || fabs(value) > exact_max)
        return jsonval_error(v, err, ERR_CORRUPT, "%.17g is not a whole number up to 2^53", value);
    *out = value;
    return 0;
}

static int u64_of_digits(struct jsonval v, uint64_t *out, struct error *err)
{
    const char *text = v.item->valuestring;
    uint64_t value = 0;

    for (const char *p = text; *p; p++) {
        if (!isdigit((unsigned char)*p) || !checked_mul_u64(value, 10, &value) ||
            !checked_add_u64(value, (uint64_t)(*p - '0'), &value))
            return jsonval_error(v, err, ERR_CORRUPT, "\"%.32s\" is not a 64-bit number", text);
    }
    if (!*text)
        return jsonval_error(v, err, ERR_CORRUPT, "\"\" is not a 64-bit number");
    *out = value;
    return 0;
}

int jsonval_u64(struct jsonval v, uint64_t *out, struct error *err)
{
    double value = 0;

    if (jsonval_is_str(v))
        return u64_of_digits(v, out, err);
    if (whole_number(v, &value, err) < 0)
        return -1;
    if (value < 0)
        return jsonval_error(v, err, ERR_CORRUPT, "%.17g is negative", value);
    *out = (uint64_t)value;
    return 0;
}

int jsonval_i64(struct jsonval v, int64_t *out, struct error *err)
{
    double value = 0;

    if (whole_number(v, &value, err) < 0)
        return -1;
    *out = (int64_t)value;
    return 0;
}

int jsonval_str_or(struct jsonval v, const char *fallback, const char **out, struct error *err)
{
    if (!jsonval_is_null(v))
        return jsonval_str(v, out, err);
    *out = fallback;
    return 0;
}

int jsonval_bool_or(struct jsonval v, bool fallback, bool *out, struct error *err)
{
    if (!jsonval_is_null(v))
        return jsonval_bool(v, out, err);
    *out = fallback;
    return 0;
}

int jsonval_u64_or(struct jsonval v, uint64_t fallback, uint64_t *out, struct error *err)
{
    if (!jsonval_is_null(v))
        return jsonval_u64(v, out, err);
    *out = fallback;
    return 0;
}

void jsonval_write(struct jsonval v, struct json_writer *w, const char *key)
{
    if (!jsonval_is_object(v) && !jsonval_is_array(v)) {
        if (cJSON_IsString(v.item))
            json_writer_str(w, key, v.item->valuestring);
        else if (cJSON_IsNumber(v.item))
            json_writer_f64(w, key, v.item->valuedouble);
        else if (cJSON_IsBool(v.item))
            json_writer_bool(w, key, cJSON_IsTrue(v.item));
        else
            json_writer_null(w, key);
        return;
    }
    if (w->depth == JSON_WRITER_DEPTH_MAX) {
        if (w->err.code == ERR_NONE)
            (void)jsonval_error(v, &w->err, ERR_LIMIT, "nested deeper than can be written");
        json_writer_null(w, key);
        return;
    }
    bool is_object = jsonval_is_object(v);
    if (is_object)
        json_writer_object(w, key);
    else
        json_writer_array(w, key);
    for (struct jsonval c = jsonval_first(v); jsonval_exists(c); c = jsonval_next(c))
        jsonval_write(c, w, is_object ? jsonval_key(c) : NULL);
    json_writer_end(w);
}
