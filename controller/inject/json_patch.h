/*
 * Writes a JSON patch (RFC 6902), operation after operation. Values are JSON text that was written
 * before. An empty patch has no text at all: then the admission answer carries none.
 *
 * Paths are JSON pointers (RFC 6901), written by json_pointer_step().
 */
#ifndef WALFERRY_CONTROLLER_INJECT_JSON_PATCH_H
#define WALFERRY_CONTROLLER_INJECT_JSON_PATCH_H

#include "lib/base/base.h"

struct json_patch {
    struct buf *out; /* borrowed */
    size_t op_count;
};

enum {
    JSON_POINTER_BYTES = 512,
};

/*
 * Writes one more step: "a/b" behind "/x" makes "/x/a~1b". out holds a pointer already, "" for the
 * document. Returns out. What has no room is asserted: keys are ours, and short.
 */
const char *json_pointer_step(char out[static JSON_POINTER_BYTES], const char *step);

/* Starts a patch that is added to out, which must be empty. */
void json_patch_init(struct json_patch *p, struct buf *out);

/* Adds an operation. value is a JSON text. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int json_patch_add(struct json_patch *p, const char *pointer, struct slice value,
                            struct error *err);
MUST_USE int json_patch_remove(struct json_patch *p, const char *pointer, struct error *err);

/* Ends the patch. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int json_patch_finish(struct json_patch *p, struct error *err);

#endif
