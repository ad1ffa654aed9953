/*
 * Streams cut into JSON documents as the bytes come, each byte looked at once:
 *
 *   lines   of a watch: one event a line
 *   items   of a list: {"kind":"PodList","metadata":{...},"items":[ITEM,ITEM,...]}. Each item is
 *           given out as soon as it is whole; what is around them (the envelope) at the end, with
 *           "items" empty
 *
 * Nothing is parsed here beyond strings and brackets; what is not JSON is found by whoever parses
 * the documents. Both kinds keep one document at a time, of at most `max` bytes.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_SPLITTER_H
#define WALFERRY_CONTROLLER_KUBE_SPLITTER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/base.h"

/* A document is whole; borrowed for the call. -1 ends the feeding with that error. */
typedef int splitter_fn(void *arg, struct slice document, struct error *err);

struct line_splitter {
    struct buf line; /* what has come of the current line */
};

#define LINE_SPLITTER_INIT(max_bytes) {.line = BUF_INIT(max_bytes)}

/* Frees what has come of a line; s is as at its beginning. */
void line_splitter_destroy(struct line_splitter *s);

/*
 * Adds bytes; calls fn for each line that they complete, without its newline (and a CR before it).
 * Empty lines are passed over. ERR_LIMIT: a line longer than the maximum.
 */
MUST_USE int line_splitter_feed(struct line_splitter *s, struct slice bytes, splitter_fn *fn,
                                void *arg, struct error *err);

/* Bytes of a line that has not ended. */
size_t line_splitter_rest(const struct line_splitter *s);

struct item_splitter {
    struct buf item;     /* what has come of the current item */
    struct buf envelope; /* what is not an item */
    unsigned depth;      /* brackets open */
    bool is_in_string;
    bool is_escaped;    /* after a backslash */
    bool is_in_items;   /* inside the array */
    bool is_at_key;     /* a string at depth 1 would be a key */
    bool is_items_next; /* the key "items" has come, its value not */
    unsigned key_match; /* letters of "items" that the current key has matched; 0xff: differs */
};

#define ITEM_SPLITTER_INIT(max_bytes) {.item = BUF_INIT(max_bytes), .envelope = BUF_INIT(max_bytes)}

/* Frees what has come; s is as at its beginning. */
void item_splitter_destroy(struct item_splitter *s);

/* Adds bytes; calls fn for each item that they complete. ERR_LIMIT: an item, or all else, longer
 * than the maximum; ERR_CORRUPT: brackets that do not fit. */
MUST_USE int item_splitter_feed(struct item_splitter *s, struct slice bytes, splitter_fn *fn,
                                void *arg, struct error *err);

/* The envelope. ERR_CORRUPT: the document has not ended. Borrowed from s. */
MUST_USE int item_splitter_end(const struct item_splitter *s, struct slice *out_envelope,
                               struct error *err);

#endif
