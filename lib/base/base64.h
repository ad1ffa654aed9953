/*
 * Base64 with padding (RFC 4648, section 4), as JSON and kubeconfig carry bytes.
 */
#ifndef WALFERRY_LIB_BASE_BASE64_H
#define WALFERRY_LIB_BASE_BASE64_H

#include "lib/base/attr.h"
#include "lib/base/buf.h"
#include "lib/base/slice.h"

/* Adds the base64 form of bytes. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int base64_encode(struct slice bytes, struct buf *out, struct error *err);

/*
 * Adds what text stands for. Blanks and newlines between characters are passed over, as in folded
 * YAML. ERR_CORRUPT: another character, padding missing or in the middle, bits left over;
 * ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int base64_decode(struct slice text, struct buf *out, struct error *err);

#endif
