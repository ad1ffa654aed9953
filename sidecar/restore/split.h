/*
 * Cutting a large LTX object into ranges that can be fetched and decoded on their own: at frame
 * boundaries, by its page index, which is read as it arrives and never held in memory (the index of
 * a 200 GB database has 450 MB).
 *
 *     split_init(&s, file_bytes, last 24 bytes, unit_bytes, err)
 *     GET [s.index_offset - 6, file_bytes - 24), all chunks to split_feed()
 *     split_finish(&s, err); then s.ranges[0 .. s.range_count)
 *
 * Also: finding the end of a frame without decompressing it.
 * Threads: one at a time. Format: lib/ltx/ltx.h; LZ4 frames: lz4_Frame_format.md of lz4/lz4.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_SPLIT_H
#define WALFERRY_SIDECAR_RESTORE_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/ltx/ltx.h"

enum {
    /* What split_init() wants: length of the index, post-apply and file checksum. */
    SPLIT_TAIL_BYTES = 8 + LTX_TRAILER_BYTES,
};

/* Whole frames, one after the other. */
struct split_range {
    uint64_t offset;
    uint64_t bytes;
};

struct split {
    uint64_t frames_end;        /* offset of the terminator: frames fill [100, frames_end) */
    uint64_t index_offset;      /* of the first varint */
    uint64_t index_bytes;       /* of the varints with their zero byte */
    struct split_range *ranges; /* owned */
    size_t range_count;
    size_t range_cap;
    uint64_t unit_bytes; /* a range ends with the frame that passes this */
    uint64_t page_count; /* frames so far */
    uint64_t crc;        /* of all that was fed, and of the last 24 bytes but the file checksum */
    uint64_t crc_bytes;
    uint64_t at;       /* bytes fed */
    uint64_t field[3]; /* page number, offset, bytes: of the entry that is being read */
    unsigned field_idx;
    unsigned shift; /* of the varint that is being read */
    uint32_t last_pgno;
    bool is_at_end;   /* the zero byte was seen */
    uint8_t tail[16]; /* length and post-apply checksum, as stored */
};

/* Frees the ranges. Accepts a zeroed one. */
void split_destroy(struct split *s);

/*
 * Begins.
 *
 * file_bytes  length of the object
 * tail        its last SPLIT_TAIL_BYTES
 * unit_bytes  wanted length of a range; a range is longer by less than a frame
 *
 * ERR_CORRUPT: the length of the index does not fit the object.
 */
MUST_USE int split_init(struct split *s, uint64_t file_bytes,
                        const uint8_t tail[static SPLIT_TAIL_BYTES], uint64_t unit_bytes,
                        struct error *err);

/*
 * Takes the next bytes of terminator and index. ERR_CORRUPT names the offset: page numbers that do
 * not ascend, frames that do not follow each other, bytes after the end. ERR_NO_MEMORY.
 */
MUST_USE int split_feed(struct split *s, struct slice bytes, struct error *err);

/* All was fed: the frames fill the object exactly, or ERR_CORRUPT. */
MUST_USE int split_finish(struct split *s, struct error *err);

/*
 * Looks at the frame at the beginning of bytes, without decompressing it.
 *
 * out_bytes  of the frame, header included; <= bytes.n
 *
 * Returns 1 for a frame; 0 for the terminator (outputs untouched); -1 ERR_CORRUPT: cut off, unknown
 * flags, not a frame.
 */
MUST_USE int frame_peek(struct slice bytes, uint32_t *out_pgno, size_t *out_bytes,
                        struct error *err);

#endif
