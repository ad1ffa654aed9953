/*
 * Splitting by the page index. The end of an LTX file:
 *
 *   frames_end    6   zeros: the terminator
 *   index_offset  ..  for each frame three unsigned LEB128: page number, offset, bytes
 *                 1   zero
 *   -24           8   bytes of the index with its zero
 *   -16           8   post-apply checksum
 *   -8            8   file checksum
 *
 * The varints arrive in pieces of any size, so the reader is a small machine: field[field_idx] is
 * being put together, seven bits a byte. A page number 0 as first field is the end. Each frame must
 * begin where the one before ended, the first at offset 100 and the last ending at frames_end:
 * then the ranges hold every byte of the frames exactly once.
 *
 * The CRC of everything here (terminator, index, length, post-apply checksum) is kept, since the
 * file checksum covers it after the frames.
 */
#include "sidecar/restore/split.h"

#include <stdlib.h>
#include <string.h>

#include "lib/ltx/crc64.h"

enum {
    RANGES_FIRST = 64,
    /* An LZ4 frame (little-endian): magic, flags, block descriptor, [u64 content size], [u32
     * dictionary], u8 header checksum; blocks: u32 size (bit 31: stored), data, [u32 checksum];
     * u32 0; [u32 content checksum] */
    LZ4F_MAGIC = 0x184D2204,
    LZ4F_HEADER_BYTES_MIN = 7,
    LZ4F_HAS_DICTIONARY = 1 << 0,
    LZ4F_HAS_CONTENT_CHECKSUM = 1 << 2,
    LZ4F_HAS_CONTENT_SIZE = 1 << 3,
    LZ4F_HAS_BLOCK_CHECKSUM = 1 << 4,
    FRAME_HAS_SIZE = 1, /* flag of an LTX frame with an LZ4 block */
};

void split_destroy(struct split *s)
{
    free(s->ranges);
    *s = (struct split){0};
}

int split_init(struct split *s, uint64_t file_bytes, const uint8_t tail[static SPLIT_TAIL_BYTES],
               uint64_t unit_bytes, struct error *err)
{
    uint64_t index_bytes = be64_load(tail);
    uint64_t room = file_bytes < LTX_FILE_BYTES_MIN
                        ? 0
                        : file_bytes - LTX_HEADER_BYTES - LTX_PAGE_HEADER_BYTES - SPLIT_TAIL_BYTES;

    if (index_bytes == 0 || index_bytes > room) {
        return error_set(err, ERR_CORRUPT, 0,
                         "index has %llu bytes in a file of %llu (length at offset %llu)",
                         (unsigned long long)index_bytes, (unsigned long long)file_bytes,
                         (unsigned long long)(file_bytes - SPLIT_TAIL_BYTES));
    }
    *s = (struct split){.index_bytes = index_bytes, .unit_bytes = unit_bytes};
    s->index_offset = file_bytes - SPLIT_TAIL_BYTES - index_bytes;
    s->frames_end = s->index_offset - LTX_PAGE_HEADER_BYTES;
    memcpy(s->tail, tail, sizeof(s->tail));
    return 0;
}

/* Offset in the file of the byte that is fed next. */
static unsigned long long split_offset(const struct split *s)
{
    return s->frames_end + s->at;
}

/* Where the frames so far end. */
static uint64_t frames_so_far(const struct split *s)
{
    if (s->range_count == 0)
        return LTX_HEADER_BYTES;
    const struct split_range *last = &s->ranges[s->range_count - 1];
    return last->offset + last->bytes;
}

static int range_add(struct split *s, uint64_t offset, struct error *err)
{
    if (s->range_count == s->range_cap) {
        size_t cap = s->range_cap ? 2 * s->range_cap : RANGES_FIRST;
        struct split_range *grown = realloc(s->ranges, cap * sizeof(*grown));
        if (!grown)
            return error_set(err, ERR_NO_MEMORY, 0, "out of memory for the ranges of an object");
        s->ranges = grown;
        s->range_cap = cap;
    }
    s->ranges[s->range_count++] = (struct split_range){.offset = offset};
    return 0;
}

/* An entry of the index is whole. */
static int entry_take(struct split *s, struct error *err)
{
    uint64_t pgno = s->field[0];
    uint64_t offset = s->field[1];
    uint64_t bytes = s->field[2];
    uint64_t end = frames_so_far(s);

    if (pgno > UINT32_MAX || pgno <= s->last_pgno) {
        return error_set(err, ERR_CORRUPT, 0,
                         "index has page %llu after page %u (before offset "
                         "%llu)",
                         (unsigned long long)pgno, s->last_pgno, split_offset(s));
    }
    if (offset != end || bytes <= LTX_PAGE_HEADER_BYTES || bytes > s->frames_end - end) {
        return error_set(err, ERR_CORRUPT, 0,
                         "index has page %llu at offset %llu with %llu bytes, should begin at %llu "
                         "and end by %llu",
                         (unsigned long long)pgno, (unsigned long long)offset,
                         (unsigned long long)bytes, (unsigned long long)end,
                         (unsigned long long)s->frames_end);
    }
    if ((s->range_count == 0 || s->ranges[s->range_count - 1].bytes >= s->unit_bytes) &&
        range_add(s, offset, err) < 0)
        return -1;
    s->ranges[s->range_count - 1].bytes += bytes;
    s->last_pgno = (uint32_t)pgno;
    s->page_count++;
    return 0;
}

/* A byte of the varints. */
static int index_byte(struct split *s, uint8_t byte, struct error *err)
{
    if (s->is_at_end) {
        return error_set(err, ERR_CORRUPT, 0, "bytes after the end of the index at offset %llu",
                         split_offset(s));
    }
    if (s->shift > 63 || (s->shift == 63 && byte > 1)) {
        return error_set(err, ERR_CORRUPT, 0, "number of more than 64 bits at offset %llu",
                         split_offset(s));
    }
    s->field[s->field_idx] |= (uint64_t)(byte & 0x7f) << s->shift;
    s->shift += 7;
    if (byte & 0x80)
        return 0;
    s->shift = 0;
    if (s->field_idx == 0 && s->field[0] == 0) {
        s->is_at_end = true;
        return 0;
    }
    if (++s->field_idx < 3)
        return 0;
    int rc = entry_take(s, err);
    memset(s->field, 0, sizeof(s->field));
    s->field_idx = 0;
    return rc;
}

int split_feed(struct split *s, struct slice bytes, struct error *err)
{
    s->crc = crc64(s->crc, bytes);
    s->crc_bytes += bytes.n;
    for (size_t i = 0; i < bytes.n; i++, s->at++) {
        if (s->at < LTX_PAGE_HEADER_BYTES) {
            if (bytes.p[i] != 0) {
                return error_set(err, ERR_CORRUPT, 0, "no end of the frames at offset %llu",
                                 split_offset(s));
            }
        } else if (index_byte(s, bytes.p[i], err) < 0) {
            return -1;
        }
    }
    return 0;
}

int split_finish(struct split *s, struct error *err)
{
    if (!s->is_at_end || s->at != LTX_PAGE_HEADER_BYTES + s->index_bytes)
        return error_set(err, ERR_CORRUPT, 0, "index ends early at offset %llu", split_offset(s));
    if (frames_so_far(s) != s->frames_end) {
        return error_set(err, ERR_CORRUPT, 0,
                         "index describes frames up to offset %llu, they end at %llu",
                         (unsigned long long)frames_so_far(s), (unsigned long long)s->frames_end);
    }
    s->crc = crc64(s->crc, slice_of(s->tail, sizeof(s->tail)));
    s->crc_bytes += sizeof(s->tail);
    return 0;
}

/* ---- frames ---- */

/* Bytes of the LZ4 frame at the beginning of bytes; 0 if it is none, or cut off. */
static size_t lz4f_bytes(struct slice bytes)
{
    if (bytes.n < LZ4F_HEADER_BYTES_MIN || le32_load(bytes.p) != LZ4F_MAGIC)
        return 0;
    unsigned flags = bytes.p[4];
    size_t at = (size_t)LZ4F_HEADER_BYTES_MIN + (flags & LZ4F_HAS_CONTENT_SIZE ? 8U : 0U) +
                (flags & LZ4F_HAS_DICTIONARY ? 4U : 0U);
    size_t block_extra = flags & LZ4F_HAS_BLOCK_CHECKSUM ? 4 : 0;

    for (;;) {
        if (at > bytes.n || bytes.n - at < 4)
            return 0;
        size_t block = le32_load(bytes.p + at) & 0x7fffffff;
        at += 4;
        if (block == 0)
            break;
        if (block + block_extra > bytes.n - at)
            return 0;
        at += block + block_extra;
    }
    at += flags & LZ4F_HAS_CONTENT_CHECKSUM ? 4U : 0U;
    return at <= bytes.n ? at : 0;
}

int frame_peek(struct slice bytes, uint32_t *out_pgno, size_t *out_bytes, struct error *err)
{
    if (bytes.n < LTX_PAGE_HEADER_BYTES)
        return error_set(err, ERR_CORRUPT, 0, "frame is cut off");
    uint32_t pgno = be32_load(bytes.p);
    unsigned flags = be16_load(bytes.p + 4);
    size_t n = 0;

    if (pgno == 0 && flags == 0)
        return 0;
    if (pgno == 0 || flags > FRAME_HAS_SIZE)
        return error_set(err, ERR_CORRUPT, 0, "frame of page %u has flags %#x", pgno, flags);
    if (flags == FRAME_HAS_SIZE) {
        if (bytes.n < LTX_FRAME_HEADER_BYTES)
            return error_set(err, ERR_CORRUPT, 0, "frame of page %u is cut off", pgno);
        n = (size_t)LTX_FRAME_HEADER_BYTES + be32_load(bytes.p + LTX_PAGE_HEADER_BYTES);
    } else {
        size_t payload = lz4f_bytes(slice_sub(bytes, LTX_PAGE_HEADER_BYTES, bytes.n));
        n = payload ? LTX_PAGE_HEADER_BYTES + payload : SIZE_MAX;
    }
    if (n > bytes.n)
        return error_set(err, ERR_CORRUPT, 0, "frame of page %u is cut off or damaged", pgno);
    *out_pgno = pgno;
    *out_bytes = n;
    return 1;
}
