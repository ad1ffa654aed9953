/*
 * Reads a format field by field. The first read beyond the end makes the cursor fail for good:
 * later reads answer zero. So a header is read in a column of lines and asked about once:
 *
 *     struct cursor c = CURSOR_OF(bytes);
 *     h.magic = cursor_be32(&c);
 *     h.page_size = cursor_be32(&c);
 *     if (cursor_failed(&c)) return error_set(err, ERR_CORRUPT, 0, "header ends early");
 */
#ifndef WALFERRY_LIB_BASE_CURSOR_H
#define WALFERRY_LIB_BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/endian.h"
#include "lib/base/slice.h"

struct cursor {
    struct slice rest; /* what has not been read */
    size_t at;         /* offset of rest.p from the start */
    bool has_failed;
};

#define CURSOR_OF(bytes) {.rest = (bytes)}

static inline bool cursor_failed(const struct cursor *c)
{
    return c->has_failed;
}

/* Takes the next n bytes; an empty slice after a failure. */
static inline struct slice cursor_bytes(struct cursor *c, size_t n)
{
    if (c->has_failed || n > c->rest.n) {
        c->has_failed = true;
        return SLICE_EMPTY;
    }
    struct slice taken = slice_of(c->rest.p, n);
    c->rest.p += n;
    c->rest.n -= n;
    c->at += n;
    return taken;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
    struct slice s = cursor_bytes(c, 1);
    return s.n ? s.p[0] : 0;
}

static inline uint16_t cursor_be16(struct cursor *c)
{
    struct slice s = cursor_bytes(c, 2);
    return s.n ? be16_load(s.p) : 0;
}

static inline uint32_t cursor_be32(struct cursor *c)
{
    struct slice s = cursor_bytes(c, 4);
    return s.n ? be32_load(s.p) : 0;
}

static inline uint64_t cursor_be64(struct cursor *c)
{
    struct slice s = cursor_bytes(c, 8);
    return s.n ? be64_load(s.p) : 0;
}

/* Unsigned LEB128 (Go's binary.Uvarint): at most ten bytes, low seven bits first. */
static inline uint64_t cursor_uvarint(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_u8(c);
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return c->has_failed ? 0 : v;
    }
    c->has_failed = true;
    return 0;
}

#endif
