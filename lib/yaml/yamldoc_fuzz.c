/*
 * Any bytes as a YAML document: no crash, no leak, bounded size, and every node can be named.
 */
#include "lib/yaml/yamldoc.h"

#include <stdlib.h>
#include <string.h>

#include "lib/yaml/scalar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Walks the tree; what a node says of itself must fit its place. */
static void node_check(const struct yamldoc_node *node, size_t depth)
{
    struct error err = ERROR_INIT;
    const char *text;

    ASSERT(depth <= YAMLDOC_DEPTH_MAX);
    ASSERT(node->line > 0);
    (void)yamldoc_error(node, &err, ERR_USAGE, "here"); /* the text is what is exercised */
    ASSERT(strstr(err.text, "here"));
    if (yamldoc_text(node, &text, &err) == 0) {
        uint64_t number;
        bool flag;
        if (scalar_bytes(text, &number, &err) == 0) {
            char again[SCALAR_BYTES_TEXT];
            uint64_t same;
            ASSERT(scalar_bytes(scalar_bytes_format(number, again), &same, &err) == 0);
            ASSERT(same == number);
        }
        if (scalar_bool(text, &flag, &err) < 0)
            ASSERT(err.code == ERR_USAGE);
    }
    for (size_t i = 0; i < node->child_count; i++) {
        const struct yamldoc_node *child = node->children[i];
        ASSERT(child->parent == node);
        ASSERT(child->child_idx == i);
        ASSERT((child->key != NULL) == (node->kind == YAMLDOC_MAPPING));
        node_check(child, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;

    if (yamldoc_parse(&doc, "fuzz.yml", slice_of(data, n), &err) == 0) {
        ASSERT(doc.node_count <= YAMLDOC_NODES_MAX);
        node_check(doc.root, 0);
    } else {
        ASSERT(err.code != ERR_NONE);
    }
    yamldoc_destroy(&doc);
    return 0;
}
