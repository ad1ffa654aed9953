/*
 * Builds the tree from libyaml's parse events. (What nodes answer is in yamldoc_node.c.)
 *
 * libyaml delivers a document as a stream of events (stream start, document start, a node or more,
 * document end, stream end). A node is one of
 *
 *     scalar            text and style (plain, quoted, block)
 *     alias             the name of an anchor
 *     sequence start .. nodes .. sequence end
 *     mapping start  .. key scalar, node, key scalar, node .. mapping end
 *
 * and is read by one function that calls itself for children:
 *
 *   1. take the event; count the node and the depth against the limits
 *   2. scalar: copy the text; "", "~" and "null" written plain are YAMLDOC_NULL
 *   3. alias: copy the node that the anchor names, with everything below; copies count as nodes
 *   4. sequence, mapping: read children until the end event; a mapping refuses a key it has
 *   5. mapping: replace "<<" by the pairs it brings
 *   6. remember the node under its anchor, if it has one; only now, so that no node can contain
 *      itself
 *
 * Invariant: a node is in its parent's children (or the document's root) from the moment it is
 * made, so that one destroy of the document frees everything, also after a failure half-way. The
 * exception is the value of a key "<<" while its pairs are moved out.
 */
#include "lib/yaml/yamldoc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum {
    KEYS_MAX = 1000, /* of one mapping: duplicates are found by comparing all */
    ANCHORS_MAX = 1000,
};

struct anchor {
    char *name;
    struct yamldoc_node *node; /* borrowed from the tree */
};

struct reader {
    struct yamldoc *doc;
    yaml_parser_t parser;
    struct anchor *anchors;
    size_t anchor_count;
    unsigned depth;
};

/* Where a node is to be put while it is read. */
struct place {
    struct yamldoc_node *parent; /* NULL: it is the root */
    char *key;                   /* owned until the node is made; NULL in a sequence */
    uint32_t line, column;       /* of the key; line 0: the node's own */
};

static void secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void node_free(struct yamldoc_node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->child_count; i++)
        node_free(node->children[i]);
    free(node->children);
    free(node->key);
    secret_free(node->text);
    free(node);
}

/* Frees an event; scalars may be secrets. */
static void event_destroy(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT && event->data.scalar.value)
        explicit_bzero(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static uint32_t mark_line(const yaml_mark_t *mark)
{
    return (uint32_t)mark->line + 1;
}

static int error_at(const struct reader *r, const yaml_mark_t *mark, struct error *err,
                    enum error_code code, const char *fmt, ...) PRINTF_LIKE(5, 6);

static int error_at(const struct reader *r, const yaml_mark_t *mark, struct error *err,
                    enum error_code code, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* cut, but the line is what matters */
    va_end(ap);
    return error_set(err, code, 0, "%s:%" PRIu32 ": %s", r->doc->name, mark_line(mark), text);
}

/* What libyaml says about a syntax error. */
static int parser_error(const struct reader *r, struct error *err)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "not YAML";

    if (p->error == YAML_MEMORY_ERROR)
        return error_set(err, ERR_NO_MEMORY, 0, "%s: out of memory", r->doc->name);
    if (p->error == YAML_READER_ERROR) {
        return error_set(err, ERR_USAGE, 0, "%s: %s at byte %zu", r->doc->name, problem,
                         p->problem_offset);
    }
    (void)error_at(r, &p->problem_mark, err, ERR_USAGE, "%s%s%s", problem, p->context ? " " : "",
                   p->context ? p->context : "");
    if (strstr(problem, "cannot start any token")) {
        return error_hint(err, "indent with spaces, not tabs; put quotes around a value that "
                               "begins with one of @ ` %% & * ! |");
    }
    return -1;
}

static int event_next(struct reader *r, yaml_event_t *out, struct error *err)
{
    if (!yaml_parser_parse(&r->parser, out))
        return parser_error(r, err);
    return 0;
}

/* Makes room for more children. Sums stay far below overflow: YAMLDOC_NODES_MAX bounds them. */
static int children_reserve(struct yamldoc_node *parent, size_t extra, struct error *err)
{
    size_t cap = parent->child_cap ? parent->child_cap : 4;

    if (parent->child_count + extra <= parent->child_cap)
        return 0;
    while (cap < parent->child_count + extra)
        cap *= 2;
    struct yamldoc_node **grown = realloc(parent->children, cap * sizeof(struct yamldoc_node *));
    if (!grown)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu values", cap);
    parent->children = grown;
    parent->child_cap = cap;
    return 0;
}

static void child_attach(struct yamldoc_node *parent, struct yamldoc_node *node)
{
    ASSERT(parent->child_count < parent->child_cap);
    node->parent = parent;
    node->child_idx = parent->child_count;
    parent->children[parent->child_count++] = node;
}

/* Makes an empty node at its place; place->key moves into it. NULL on failure. */
static struct yamldoc_node *node_new(struct reader *r, struct place *place, const yaml_mark_t *mark,
                                     struct error *err)
{
    if (r->doc->node_count >= YAMLDOC_NODES_MAX) {
        (void)error_at(r, mark, err, ERR_LIMIT, "more than %d values", YAMLDOC_NODES_MAX);
        return NULL;
    }
    if (place->parent && children_reserve(place->parent, 1, err) < 0)
        return NULL;
    struct yamldoc_node *node = mem_new(1, sizeof(*node), err);
    if (!node)
        return NULL;
    node->doc = r->doc;
    node->kind = YAMLDOC_NULL;
    node->line = place->line ? place->line : mark_line(mark);
    node->column = place->line ? place->column : (uint32_t)mark->column + 1;
    node->key = TAKE(place->key);
    r->doc->node_count++;
    if (place->parent)
        child_attach(place->parent, node);
    else
        r->doc->root = node;
    return node;
}

static bool is_null_word(const char *text)
{
    return !*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 ||
           strcmp(text, "Null") == 0 || strcmp(text, "NULL") == 0;
}

/* A terminated copy of a scalar's text. */
static char *scalar_copy(const struct reader *r, const yaml_event_t *event, struct error *err)
{
    const char *text = (const char *)event->data.scalar.value;

    if (strlen(text) != event->data.scalar.length) {
        (void)error_at(r, &event->start_mark, err, ERR_USAGE, "a value contains a zero byte");
        return NULL;
    }
    return str_dup(text, err);
}

/* Step 2. */
static int scalar_read(struct reader *r, const yaml_event_t *event, struct yamldoc_node *node,
                       struct error *err)
{
    node->text = scalar_copy(r, event, err);
    if (!node->text)
        return -1;
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->kind = !node->is_quoted && is_null_word(node->text) ? YAMLDOC_NULL : YAMLDOC_SCALAR;
    return 0;
}

/* Step 3: puts into to what from holds. Depth is bounded by that of the anchor's node. */
static int node_copy(struct reader *r, const struct yamldoc_node *from, struct yamldoc_node *to,
                     const yaml_mark_t *mark, struct error *err)
{
    to->kind = from->kind;
    to->is_quoted = from->is_quoted;
    if (from->text && !(to->text = str_dup(from->text, err)))
        return -1;
    if (++r->depth > YAMLDOC_DEPTH_MAX)
        return error_at(r, mark, err, ERR_LIMIT, "nested deeper than %d", YAMLDOC_DEPTH_MAX);
    for (size_t i = 0; i < from->child_count; i++) {
        const struct yamldoc_node *child = from->children[i];
        CLEANUP(mem_free) char *key = NULL;
        if (child->key && !(key = str_dup(child->key, err)))
            return -1;
        struct place place = {
            .parent = to, .key = key, .line = child->line, .column = child->column};
        struct yamldoc_node *copy = node_new(r, &place, mark, err);
        key = place.key; /* NULL once the node has it */
        if (!copy || node_copy(r, child, copy, mark, err) < 0)
            return -1;
    }
    r->depth--;
    return 0;
}

static const struct yamldoc_node *anchor_find(const struct reader *r, const char *name)
{
    for (size_t i = r->anchor_count; i > 0; i--) { /* the last definition counts */
        if (r->anchors[i - 1].node && strcmp(r->anchors[i - 1].name, name) == 0)
            return r->anchors[i - 1].node;
    }
    return NULL;
}

/* Step 6. */
static int anchor_add(struct reader *r, const yaml_mark_t *mark, const char *name,
                      struct yamldoc_node *node, struct error *err)
{
    if (r->anchor_count >= ANCHORS_MAX)
        return error_at(r, mark, err, ERR_LIMIT, "more than %d anchors", ANCHORS_MAX);
    if (!r->anchors && !(r->anchors = mem_new(ANCHORS_MAX, sizeof(struct anchor), err)))
        return -1;
    char *copy = str_dup(name, err);
    if (!copy)
        return -1;
    r->anchors[r->anchor_count++] = (struct anchor){.name = copy, .node = node};
    return 0;
}

static const struct yamldoc_node *key_find(const struct yamldoc_node *map, const char *key)
{
    for (size_t i = 0; i < map->child_count; i++) {
        if (strcmp(map->children[i]->key, key) == 0)
            return map->children[i];
    }
    return NULL;
}

/* Moves the pairs of from that map lacks into map; from keeps the rest. */
static int pairs_move(struct yamldoc_node *map, struct yamldoc_node *from, struct error *err)
{
    if (from->kind != YAMLDOC_MAPPING) {
        return error_set(err, ERR_USAGE, 0,
                         "%s:%" PRIu32 ": \"<<\" takes a mapping or a list of "
                         "mappings",
                         map->doc->name, from->line);
    }
    if (children_reserve(map, from->child_count, err) < 0)
        return -1;
    size_t kept_count = 0;
    for (size_t i = 0; i < from->child_count; i++) {
        struct yamldoc_node *child = from->children[i];
        if (key_find(map, child->key))
            from->children[kept_count++] = child;
        else
            child_attach(map, child);
    }
    from->child_count = kept_count;
    return 0;
}

/* Forgets the anchors of nodes that are about to be freed: root and what is below it. */
static void anchors_forget(struct reader *r, const struct yamldoc_node *root)
{
    for (size_t i = 0; i < r->anchor_count; i++) {
        const struct yamldoc_node *node = r->anchors[i].node;
        while (node && node != root)
            node = node->parent;
        if (node)
            r->anchors[i].node = NULL;
    }
}

/* Step 5. */
static int merge_apply(struct reader *r, struct yamldoc_node *map, struct error *err)
{
    struct yamldoc_node *merge = NULL;
    int rc = 0;

    for (size_t i = 0; i < map->child_count; i++) {
        if (!merge && strcmp(map->children[i]->key, "<<") == 0) {
            merge = map->children[i];
            continue;
        }
        if (merge) {
            map->children[i - 1] = map->children[i];
            map->children[i - 1]->child_idx = i - 1;
        }
    }
    if (!merge)
        return 0;
    map->child_count--;
    if (merge->kind == YAMLDOC_SEQUENCE) {
        for (size_t i = 0; rc == 0 && i < merge->child_count; i++)
            rc = pairs_move(map, merge->children[i], err);
    } else if (merge->kind != YAMLDOC_NULL) {
        rc = pairs_move(map, merge, err);
    }
    anchors_forget(r, merge);
    node_free(merge);
    return rc;
}

static int node_read(struct reader *r, yaml_event_t *event, struct place *place, struct error *err);

/* Takes the next event and reads the node that begins there into place. */
static int child_read(struct reader *r, struct place *place, struct error *err)
{
    CLEANUP(event_destroy) yaml_event_t event = {0};

    if (event_next(r, &event, err) < 0)
        return -1;
    return node_read(r, &event, place, err);
}

/* Step 4 for sequences. */
static int sequence_read(struct reader *r, struct yamldoc_node *node, struct error *err)
{
    node->kind = YAMLDOC_SEQUENCE;
    for (;;) {
        CLEANUP(event_destroy) yaml_event_t event = {0};
        struct place place = {.parent = node};
        if (event_next(r, &event, err) < 0)
            return -1;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (node_read(r, &event, &place, err) < 0)
            return -1;
    }
}

/* Checks an event that stands where a key must, and takes the key. */
static int key_read(struct reader *r, const yaml_event_t *event, const struct yamldoc_node *map,
                    char **out, struct error *err)
{
    if (event->type != YAML_SCALAR_EVENT)
        return error_at(r, &event->start_mark, err, ERR_USAGE, "a key must be a word");
    CLEANUP(mem_free) char *key = scalar_copy(r, event, err);
    if (!key)
        return -1;
    const struct yamldoc_node *first = key_find(map, key);
    if (first) {
        return error_at(r, &event->start_mark, err, ERR_USAGE,
                        "key \"%.64s\" is here twice (first in line %" PRIu32 ")", key,
                        first->line);
    }
    if (map->child_count >= KEYS_MAX)
        return error_at(r, &event->start_mark, err, ERR_LIMIT, "more than %d keys", KEYS_MAX);
    *out = TAKE(key);
    return 0;
}

/* Step 4 for mappings. */
static int mapping_read(struct reader *r, struct yamldoc_node *node, struct error *err)
{
    node->kind = YAMLDOC_MAPPING;
    for (;;) {
        CLEANUP(event_destroy) yaml_event_t event = {0};
        CLEANUP(mem_free) char *key = NULL;
        if (event_next(r, &event, err) < 0)
            return -1;
        if (event.type == YAML_MAPPING_END_EVENT)
            return merge_apply(r, node, err);
        if (key_read(r, &event, node, &key, err) < 0)
            return -1;
        struct place place = {.parent = node,
                              .key = key,
                              .line = mark_line(&event.start_mark),
                              .column = (uint32_t)event.start_mark.column + 1};
        int rc = child_read(r, &place, err);
        key = place.key; /* NULL once the node has it */
        if (rc < 0)
            return -1;
    }
}

static int alias_read(struct reader *r, const yaml_event_t *event, struct yamldoc_node *node,
                      struct error *err)
{
    const char *name = (const char *)event->data.alias.anchor;
    const struct yamldoc_node *from = anchor_find(r, name);

    if (!from) {
        return error_at(r, &event->start_mark, err, ERR_USAGE,
                        "alias \"*%.64s\" has no anchor \"&%.64s\" before it", name, name);
    }
    return node_copy(r, from, node, &event->start_mark, err);
}

/* The anchor that an event gives its node, NULL if none. */
static const char *event_anchor(const yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        return (const char *)event->data.scalar.anchor;
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return (const char *)event->data.sequence_start.anchor;
    if (event->type == YAML_MAPPING_START_EVENT)
        return (const char *)event->data.mapping_start.anchor;
    return NULL;
}

/* Steps 1 to 6 for the node that begins with event. */
static int node_read(struct reader *r, yaml_event_t *event, struct place *place, struct error *err)
{
    struct yamldoc_node *node = node_new(r, place, &event->start_mark, err);
    int rc = 0;

    if (!node)
        return -1;
    if (++r->depth > YAMLDOC_DEPTH_MAX) {
        return error_at(r, &event->start_mark, err, ERR_LIMIT, "nested deeper than %d",
                        YAMLDOC_DEPTH_MAX);
    }
    if (event->type == YAML_SCALAR_EVENT)
        rc = scalar_read(r, event, node, err);
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        rc = sequence_read(r, node, err);
    else if (event->type == YAML_MAPPING_START_EVENT)
        rc = mapping_read(r, node, err);
    else if (event->type == YAML_ALIAS_EVENT)
        rc = alias_read(r, event, node, err);
    else
        rc = error_at(r, &event->start_mark, err, ERR_USAGE, "a value is missing");
    if (rc < 0)
        return -1;
    r->depth--;
    const char *anchor = event_anchor(event);
    return anchor ? anchor_add(r, &event->start_mark, anchor, node, err) : 0;
}

/* Takes an event that must be of the given type. */
static int event_expect(struct reader *r, yaml_event_type_t type, const char *otherwise,
                        struct error *err)
{
    CLEANUP(event_destroy) yaml_event_t event = {0};

    if (event_next(r, &event, err) < 0)
        return -1;
    if (event.type != type)
        return error_at(r, &event.start_mark, err, ERR_USAGE, "%s", otherwise);
    return 0;
}

/* The stream: nothing at all, or one document. */
static int stream_read(struct reader *r, struct error *err)
{
    struct place root = {0};

    if (event_expect(r, YAML_STREAM_START_EVENT, "not YAML", err) < 0)
        return -1;
    CLEANUP(event_destroy) yaml_event_t event = {0};
    if (event_next(r, &event, err) < 0)
        return -1;
    if (event.type == YAML_STREAM_END_EVENT)
        return node_new(r, &root, &event.start_mark, err) ? 0 : -1;
    if (child_read(r, &root, err) < 0 ||
        event_expect(r, YAML_DOCUMENT_END_EVENT, "text after the document", err) < 0)
        return -1;
    return event_expect(r, YAML_STREAM_END_EVENT, "a second document begins here", err);
}

static void reader_destroy(struct reader *r)
{
    yaml_parser_delete(&r->parser);
    for (size_t i = 0; i < r->anchor_count; i++)
        free(r->anchors[i].name);
    free(r->anchors);
}

int yamldoc_parse(struct yamldoc *out, const char *name, struct slice text, struct error *err)
{
    *out = (struct yamldoc)YAMLDOC_INIT;
    if (text.n > YAMLDOC_BYTES_MAX) {
        return error_set(err, ERR_LIMIT, 0, "%s: %zu bytes, more than %d", name, text.n,
                         YAMLDOC_BYTES_MAX);
    }
    struct reader r = {.doc = out};
    if (!yaml_parser_initialize(&r.parser))
        return error_set(err, ERR_NO_MEMORY, 0, "%s: out of memory", name);
    yaml_parser_set_input_string(&r.parser, text.p ? text.p : (const uint8_t *)"", text.n);
    out->name = str_dup(name, err);
    int rc = out->name ? stream_read(&r, err) : -1;
    reader_destroy(&r);
    if (rc < 0)
        yamldoc_destroy(out);
    return rc;
}

void yamldoc_destroy(struct yamldoc *doc)
{
    node_free(doc->root);
    free(doc->name);
    *doc = (struct yamldoc)YAMLDOC_INIT;
}
