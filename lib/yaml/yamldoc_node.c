/*
 * What a finished tree answers: lookup by key, text, the way from the root, and errors that carry
 * file, line and way. The tree itself is built in yamldoc.c.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/yaml/nearest.h"
#include "lib/yaml/yamldoc.h"

enum {
    PATH_BYTES_MAX = 1024, /* of a way in an error text */
};

const struct yamldoc_node *yamldoc_get(const struct yamldoc_node *map, const char *key)
{
    if (map->kind != YAMLDOC_MAPPING)
        return NULL;
    for (size_t i = 0; i < map->child_count; i++) {
        const struct yamldoc_node *child = map->children[i];
        if (strcmp(child->key, key) == 0)
            return child->kind != YAMLDOC_NULL ? child : NULL;
    }
    return NULL;
}

static const char *kind_name(enum yamldoc_kind kind)
{
    switch (kind) {
    case YAMLDOC_NULL:
        return "nothing";
    case YAMLDOC_SCALAR:
        return "a single value";
    case YAMLDOC_SEQUENCE:
        return "a list";
    case YAMLDOC_MAPPING:
        return "a mapping";
    }
    return "nothing";
}

int yamldoc_expect(const struct yamldoc_node *node, enum yamldoc_kind kind, struct error *err)
{
    if (node->kind == kind)
        return 0;
    return yamldoc_error(node, err, ERR_USAGE, "expected %s, found %s", kind_name(kind),
                         kind_name(node->kind));
}

int yamldoc_text(const struct yamldoc_node *node, const char **out, struct error *err)
{
    if (yamldoc_expect(node, YAMLDOC_SCALAR, err) < 0)
        return -1;
    *out = node->text;
    return 0;
}

int yamldoc_text_replace(struct yamldoc_node *node, const char *text, struct error *err)
{
    ASSERT(node->kind == YAMLDOC_SCALAR);
    char *copy = str_dup(text, err);
    if (!copy)
        return -1;
    explicit_bzero(node->text, strlen(node->text));
    free(node->text);
    node->text = copy;
    if (!*copy && !node->is_quoted)
        node->kind = YAMLDOC_NULL;
    return 0;
}

int yamldoc_path(const struct yamldoc_node *node, struct buf *out, struct error *err)
{
    if (!node->parent)
        return 0;
    if (yamldoc_path(node->parent, out, err) < 0)
        return -1;
    if (node->key)
        return buf_printf(out, err, "%s%s", node->parent->parent ? "." : "", node->key);
    return buf_printf(out, err, "[%zu]", node->child_idx);
}

int yamldoc_wrap(const struct yamldoc_node *node, struct error *err)
{
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(PATH_BYTES_MAX);
    struct error ignored = ERROR_INIT;

    /* A path that does not fit is cut: the line says where, and the cause is what counts. */
    bool is_whole = yamldoc_path(node, &path, &ignored) == 0;
    return error_wrap(err, "%s:%" PRIu32 "%s%s%s", node->doc->name, node->line, path.n ? ": " : "",
                      buf_str(&path), is_whole ? "" : "...");
}

int yamldoc_error(const struct yamldoc_node *node, struct error *err, enum error_code code,
                  const char *fmt, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is still the best we have */
    va_end(ap);
    (void)error_set(err, code, 0, "%s", text);
    return yamldoc_wrap(node, err);
}

int yamldoc_unknown_key(const struct yamldoc_node *child, const char *const *known, size_t count,
                        struct error *err)
{
    const char *nearest = nearest_word(child->key, known, count);

    if (nearest)
        return yamldoc_error(child, err, ERR_USAGE, "unknown key; did you mean \"%s\"?", nearest);
    return yamldoc_error(child, err, ERR_USAGE, "unknown key");
}
