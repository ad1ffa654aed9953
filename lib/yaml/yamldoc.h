/*
 * A YAML document as a tree. Every node knows the line and column where it stands and the way to
 * it from the root ("dbs[0].replica.url"), so that every error can say both.
 *
 * What is refused, always with the line: a key twice in one mapping, keys that are not plain
 * scalars, a second document, text that contains a zero byte, and what goes beyond the limits.
 * An alias is replaced by a copy of what its anchor names, and each copied node counts against
 * YAMLDOC_NODES_MAX ("billion laughs" ends there). A merge key "<<" adds the pairs of one mapping
 * or of a list of them that the mapping does not have itself.
 *
 * Ownership: the document owns all nodes and texts; they are valid until yamldoc_destroy(), which
 * wipes the texts first, since configuration holds secrets. (The parser's own input buffers are
 * freed by libyaml without being wiped.)
 *
 * Threads: one at a time per document.
 */
#ifndef WALFERRY_LIB_YAML_YAMLDOC_H
#define WALFERRY_LIB_YAML_YAMLDOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    YAMLDOC_BYTES_MAX = 8 << 20,   /* of the text */
    YAMLDOC_NODES_MAX = 256 << 10, /* aliases count as what they stand for */
    YAMLDOC_DEPTH_MAX = 32,
};

enum yamldoc_kind {
    YAMLDOC_NULL,     /* nothing, "~" or "null" written plain */
    YAMLDOC_SCALAR,   /* text; see yamldoc_text() */
    YAMLDOC_SEQUENCE, /* children by index */
    YAMLDOC_MAPPING,  /* children with keys, in the order of the text */
};

struct yamldoc {
    char *name; /* file name or what else the text is, for errors */
    struct yamldoc_node *root;
    size_t node_count;
};

#define YAMLDOC_INIT {.name = NULL}

struct yamldoc_node {
    struct yamldoc *doc;
    struct yamldoc_node *parent; /* NULL for the root */
    enum yamldoc_kind kind;
    bool is_quoted;   /* a scalar in quotes or a block scalar: "" is then a text, not nothing */
    uint32_t line;    /* from 1; of the key if it has one */
    uint32_t column;  /* from 1 */
    char *key;        /* inside a mapping, else NULL */
    size_t child_idx; /* among the parent's children */
    char *text;       /* of a scalar */
    struct yamldoc_node **children;
    size_t child_count;
    size_t child_cap;
};

/*
 * Parses text. name (copied) stands in errors as the file name. An empty text gives a root of kind
 * YAMLDOC_NULL.
 * ERR_USAGE with name, line and what is wrong; ERR_LIMIT; ERR_NO_MEMORY.
 */
MUST_USE int yamldoc_parse(struct yamldoc *out, const char *name, struct slice text,
                           struct error *err);

/* Wipes and frees everything. Accepts YAMLDOC_INIT. */
void yamldoc_destroy(struct yamldoc *doc);

/* The value of a key in a mapping; NULL if it is not there, is null, or map is no mapping. */
const struct yamldoc_node *yamldoc_get(const struct yamldoc_node *map, const char *key);

/*
 * Checks the kind. ERR_USAGE "expected a list, found a mapping".
 */
MUST_USE int yamldoc_expect(const struct yamldoc_node *node, enum yamldoc_kind kind,
                            struct error *err);

/* The text of a scalar, borrowed from the document. ERR_USAGE for lists and mappings. */
MUST_USE int yamldoc_text(const struct yamldoc_node *node, const char **out, struct error *err);

/*
 * Replaces the text of a scalar by a copy of text (environment expansion does this). A plain
 * scalar that becomes empty becomes YAMLDOC_NULL. ERR_NO_MEMORY.
 */
MUST_USE int yamldoc_text_replace(struct yamldoc_node *node, const char *text, struct error *err);

/* Adds "dbs[0].replica.url" to out; "" for the root. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int yamldoc_path(const struct yamldoc_node *node, struct buf *out, struct error *err);

/*
 * Raises an error about a node: "<name>:<line>: <path>: <fmt>". Returns -1.
 */
int yamldoc_error(const struct yamldoc_node *node, struct error *err, enum error_code code,
                  const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Puts "<name>:<line>: <path>: " before the text of err. Returns -1. */
int yamldoc_wrap(const struct yamldoc_node *node, struct error *err);

/*
 * Raises "unknown key; did you mean ..." about a child whose key is none of known.
 * Returns -1, ERR_USAGE.
 */
int yamldoc_unknown_key(const struct yamldoc_node *child, const char *const *known, size_t count,
                        struct error *err);

#endif
