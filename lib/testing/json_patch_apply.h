/*
 * Applies a JSON patch (RFC 6902: add, remove) as the API server does, so that tests see the object
 * that comes out. Strict: a pointer that leads nowhere fails the test.
 */
#ifndef WALFERRY_LIB_TESTING_JSON_PATCH_APPLY_H
#define WALFERRY_LIB_TESTING_JSON_PATCH_APPLY_H

#include "lib/base/base.h"

/*
 * Adds the patched document to out as compact JSON. -1: ERR_CORRUPT the patch does not fit the
 * document, with the operation.
 */
MUST_USE int json_patch_apply(struct slice document, struct slice patch, struct buf *out,
                              struct error *err);

/* Adds JSON text to out, indented; for golden files and messages. */
MUST_USE int json_pretty(struct slice text, struct buf *out, struct error *err);

#endif
