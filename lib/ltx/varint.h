/*
 * Unsigned LEB128, as in the page index of LTX files: low seven bits first, the highest bit of a
 * byte says that more follow. Reading is cursor_uvarint() of lib/base/cursor.h.
 * Source: Go's encoding/binary, AppendUvarint().
 */
#ifndef WALFERRY_LIB_LTX_VARINT_H
#define WALFERRY_LIB_LTX_VARINT_H

#include <stddef.h>
#include <stdint.h>

enum {
    UVARINT_BYTES_MAX = 10,
    INDEX_ENTRY_BYTES_MAX = 5 + UVARINT_BYTES_MAX + UVARINT_BYTES_MAX,
};

/* Writes v in its shortest form; returns its length. */
static inline size_t uvarint_encode(uint64_t v, uint8_t *out)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

/* Writes an entry of the page index; out has room for INDEX_ENTRY_BYTES_MAX. Returns its length. */
static inline size_t index_entry_encode(uint32_t pgno, uint64_t offset, uint64_t frame_bytes,
                                        uint8_t *out)
{
    size_t n = uvarint_encode(pgno, out);
    n += uvarint_encode(offset, out + n);
    return n + uvarint_encode(frame_bytes, out + n);
}

#endif
