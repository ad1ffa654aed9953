/*
 * Two scanners over a stream.
 *
 * Lines: memchr for the newline; what stands before it completes the pending line. A line that lies
 * whole in the fed bytes is given out from there, without being copied.
 *
 * Items: a machine over bytes that knows strings, escapes and the depth of brackets.
 *
 *   depth 1, a string that is a key    is it "items"? (is_at_key: after '{' and ',')
 *   '[' right after the key "items"    the array: depth 2 from here on, is_in_items
 *   in it, depth 2                     commas and blanks between items are dropped; the first other
 *                                      byte begins an item
 *   back at depth 2                    the item is whole
 *   ']' at depth 2                     the array ends; the envelope goes on
 *
 * A number or word as item ("items":[1]) is no Kubernetes object: ERR_CORRUPT.
 */
#include "controller/kube/splitter.h"

#include <string.h>

static const char items_key[] = "items";

enum {
    KEY_DIFFERS = 0xff,
    ITEMS_DEPTH = 2, /* brackets open between two items */
};

/* ---- lines ---- */

void line_splitter_destroy(struct line_splitter *s)
{
    buf_destroy(&s->line);
}

size_t line_splitter_rest(const struct line_splitter *s)
{
    return s->line.n;
}

static int line_emit(struct slice line, splitter_fn *fn, void *arg, struct error *err)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line.n > 0 ? fn(arg, line, err) : 0;
}

int line_splitter_feed(struct line_splitter *s, struct slice bytes, splitter_fn *fn, void *arg,
                       struct error *err)
{
    while (bytes.n > 0) {
        const uint8_t *newline = memchr(bytes.p, '\n', bytes.n);
        size_t n = newline ? (size_t)(newline - bytes.p) : bytes.n;
        struct slice part = slice_sub(bytes, 0, n);

        if (n > s->line.max - s->line.n) {
            return error_set(err, ERR_LIMIT, 0, "a line of the stream is longer than %zu bytes",
                             s->line.max);
        }
        if ((!newline || s->line.n > 0) && buf_append_slice(&s->line, part, err) < 0)
            return -1;
        if (!newline)
            return 0;
        struct slice line = s->line.n > 0 ? buf_slice(&s->line) : part;
        int rc = line_emit(line, fn, arg, err);
        buf_clear(&s->line);
        if (rc < 0)
            return -1;
        bytes = slice_sub(bytes, n + 1, bytes.n);
    }
    return 0;
}

/* ---- items ---- */

void item_splitter_destroy(struct item_splitter *s)
{
    size_t max = s->item.max;

    buf_destroy(&s->item);
    buf_destroy(&s->envelope);
    *s = (struct item_splitter)ITEM_SPLITTER_INIT(max);
}

static int envelope_keep(struct item_splitter *s, uint8_t c, struct error *err)
{
    if (s->envelope.n == s->envelope.max) {
        return error_set(err, ERR_LIMIT, 0, "what is around the items is longer than %zu bytes",
                         s->envelope.max);
    }
    return buf_append_byte(&s->envelope, c, err);
}

/* A byte inside a string of the envelope at depth 1 that may be the key "items". */
static void key_match_byte(struct item_splitter *s, uint8_t c)
{
    if (s->key_match < sizeof(items_key) - 1 && c == (uint8_t)items_key[s->key_match])
        s->key_match++;
    else
        s->key_match = KEY_DIFFERS;
}

/* A byte that is inside a string: its end is found here. */
static void string_byte(struct item_splitter *s, uint8_t c)
{
    if (s->is_escaped) {
        s->is_escaped = false;
        s->key_match = KEY_DIFFERS;
    } else if (c == '\\') {
        s->is_escaped = true;
        s->key_match = KEY_DIFFERS;
    } else if (c == '"') {
        s->is_in_string = false;
        if (s->is_at_key)
            s->is_items_next = s->key_match == sizeof(items_key) - 1;
        s->is_at_key = false;
    } else if (s->is_at_key) {
        key_match_byte(s, c);
    }
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Brackets and quotes outside strings. -1: more closed than opened. */
static int structure_byte(struct item_splitter *s, uint8_t c, struct error *err)
{
    if (c == '"') {
        s->is_in_string = true;
        s->key_match = 0;
    } else if (c == '{' || c == '[') {
        s->depth++;
    } else if (c == '}' || c == ']') {
        if (s->depth == 0)
            return error_set(err, ERR_CORRUPT, 0, "the list closes more brackets than it opens");
        s->depth--;
    }
    return 0;
}

/* What stands between items: blanks and commas; or the end of the array. */
static int between_items(struct item_splitter *s, struct slice bytes, size_t *out_used,
                         struct error *err)
{
    size_t i = 0;

    while (i < bytes.n && (is_blank(bytes.p[i]) || bytes.p[i] == ','))
        i++;
    *out_used = i;
    if (i == bytes.n || bytes.p[i] == '{')
        return 0;
    if (bytes.p[i] != ']')
        return error_set(err, ERR_CORRUPT, 0, "an item of the list is no object");
    *out_used = i + 1;
    s->is_in_items = false;
    s->depth--;
    return envelope_keep(s, ']', err);
}

/* Bytes of an item: to its end, or as many as there are. */
static int item_run(struct item_splitter *s, struct slice bytes, size_t *out_used, splitter_fn *fn,
                    void *arg, struct error *err)
{
    bool is_whole = false;
    size_t i = 0;

    while (i < bytes.n && !is_whole) {
        uint8_t c = bytes.p[i++];
        if (s->is_in_string)
            string_byte(s, c);
        else if (structure_byte(s, c, err) < 0)
            return -1;
        is_whole = !s->is_in_string && s->depth == ITEMS_DEPTH;
    }
    *out_used = i;
    if (i > s->item.max - s->item.n) {
        return error_set(err, ERR_LIMIT, 0, "an item of the list is longer than %zu bytes",
                         s->item.max);
    }
    struct slice part = slice_sub(bytes, 0, i);
    if ((!is_whole || s->item.n > 0) && buf_append_slice(&s->item, part, err) < 0)
        return -1;
    if (!is_whole)
        return 0;
    int rc = fn(arg, s->item.n > 0 ? buf_slice(&s->item) : part, err);
    buf_clear(&s->item);
    return rc;
}

/* A byte of what is around the items. */
static int envelope_byte(struct item_splitter *s, uint8_t c, struct error *err)
{
    if (envelope_keep(s, c, err) < 0)
        return -1;
    if (s->is_in_string) {
        string_byte(s, c);
        return 0;
    }
    if (c == '[' && s->is_items_next && s->depth == 1)
        s->is_in_items = true;
    if (!is_blank(c) && c != ':')
        s->is_items_next = false;
    if (structure_byte(s, c, err) < 0)
        return -1;
    if (s->depth == 1 && (c == '{' || c == ','))
        s->is_at_key = true;
    else if (c != '"' && !is_blank(c))
        s->is_at_key = false;
    return 0;
}

int item_splitter_feed(struct item_splitter *s, struct slice bytes, splitter_fn *fn, void *arg,
                       struct error *err)
{
    while (bytes.n > 0) {
        size_t used = 1;
        int rc = 0;
        if (!s->is_in_items)
            rc = envelope_byte(s, bytes.p[0], err);
        else if (s->depth == ITEMS_DEPTH && bytes.p[0] != '{')
            rc = between_items(s, bytes, &used, err);
        else
            rc = item_run(s, bytes, &used, fn, arg, err);
        if (rc < 0)
            return -1;
        bytes = slice_sub(bytes, used, bytes.n);
    }
    return 0;
}

int item_splitter_end(const struct item_splitter *s, struct slice *out_envelope, struct error *err)
{
    if (s->depth > 0 || s->is_in_string || s->envelope.n == 0)
        return error_set(err, ERR_CORRUPT, 0, "the list ends in the middle");
    *out_envelope = buf_slice(&s->envelope);
    return 0;
}
