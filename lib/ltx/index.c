/*
 * The page index, from the end of an LTX file, and single frames.
 *
 *   from the end  bytes
 *   16            trailer
 *   24            u64: bytes of the index, with its zero byte, without itself
 *   ...           for each frame: page number, offset, bytes of the frame (unsigned LEB128); a 0
 *
 * Frames lie back to back from offset 100 to the terminator, which the index follows: so each
 * entry's offset is the end of the one before, and the last ends six bytes before the index. An
 * index that says anything else is not believed.
 *
 * Step 1: the length, from the last 24 bytes; it bounds everything that follows.
 * Step 2: ask for more bytes if the index is not all there.
 * Step 3: entries, each checked against the one before.
 */
#include "lib/ltx/index.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/ltx/page_codec.h"

#define FRAME_FLAG_SIZE 1

enum {
    LENGTH_BYTES = 8,
    ENTRY_NUMBERS = 3,
};

void ltx_index_destroy(struct ltx_index *index)
{
    free(index->entries);
    *index = (struct ltx_index){.entries = NULL};
}

/* The longest frame that a file can have: a block or an LZ4 frame of the largest page. */
static uint64_t frame_bytes_max(uint32_t page_size)
{
    return LTX_FRAME_HEADER_BYTES + page_lz4f_bytes_max(page_size ? page_size : DB_PAGE_BYTES_MAX);
}

/* Step 3: one entry, which must continue *index. */
static int entry_check(const struct ltx_index *index, uint64_t pgno, uint64_t offset,
                       uint64_t frame_bytes, uint32_t page_size, struct error *err)
{
    uint32_t last_pgno = index->count > 0 ? index->entries[index->count - 1].pgno : 0;

    if (pgno <= last_pgno || pgno > UINT32_MAX) {
        return error_set(err, ERR_CORRUPT, 0, "LTX page index: page %" PRIu64 " after page %u",
                         pgno, last_pgno);
    }
    if (offset != index->frames_end) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX page index: frame of page %" PRIu64 " at offset %" PRIu64
                         ", the one before ends at %" PRIu64,
                         pgno, offset, index->frames_end);
    }
    if (frame_bytes <= LTX_PAGE_HEADER_BYTES || frame_bytes > frame_bytes_max(page_size)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX page index: frame of page %" PRIu64 " has %" PRIu64 " bytes", pgno,
                         frame_bytes);
    }
    return 0;
}

/* How many entries fit at most: a number ends with each byte whose highest bit is clear. */
static size_t entry_count_max(struct slice bytes)
{
    size_t numbers = 0;
    for (size_t i = 0; i < bytes.n; i++)
        numbers += bytes.p[i] < 0x80;
    return numbers / ENTRY_NUMBERS;
}

static int entries_parse(struct slice bytes, uint32_t page_size, struct ltx_index *index,
                         struct error *err)
{
    struct cursor c = CURSOR_OF(bytes);
    uint64_t pgno;

    while ((pgno = cursor_uvarint(&c)) != 0) {
        uint64_t offset = cursor_uvarint(&c);
        uint64_t frame_bytes = cursor_uvarint(&c);
        if (cursor_failed(&c))
            break;
        if (entry_check(index, pgno, offset, frame_bytes, page_size, err) < 0)
            return -1;
        index->entries[index->count++] = (struct ltx_index_entry){
            .offset = offset,
            .bytes = (uint32_t)frame_bytes,
            .pgno = (uint32_t)pgno,
        };
        index->frames_end = offset + frame_bytes;
    }
    if (cursor_failed(&c)) {
        return error_set(err, ERR_CORRUPT, 0, "LTX page index ends inside entry %zu",
                         index->count + 1);
    }
    if (c.rest.n != 0)
        return error_set(err, ERR_CORRUPT, 0, "LTX page index: %zu bytes follow its end", c.rest.n);
    return 0;
}

/* Steps 1 and 2: how many bytes the index has. 1 if all are in tail. */
static int index_locate(struct slice tail, uint64_t file_bytes, uint64_t *out_index_bytes,
                        uint64_t *out_need, struct error *err)
{
    const uint64_t end_bytes = LENGTH_BYTES + LTX_TRAILER_BYTES;

    if (file_bytes < LTX_FILE_BYTES_MIN) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file of %" PRIu64 " bytes: the shortest possible has %d", file_bytes,
                         LTX_FILE_BYTES_MIN);
    }
    if (tail.n < end_bytes) {
        *out_need = end_bytes;
        return 0;
    }
    uint64_t n = be64_load(tail.p + tail.n - end_bytes);
    uint64_t room = file_bytes - end_bytes - LTX_HEADER_BYTES - LTX_PAGE_HEADER_BYTES;
    if (n == 0 || n > room) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX page index of %" PRIu64 " bytes in a file of %" PRIu64, n,
                         file_bytes);
    }
    if (n > tail.n - end_bytes) {
        *out_need = n + end_bytes;
        return 0;
    }
    *out_index_bytes = n;
    return 1;
}

int ltx_index_parse(struct slice tail, uint64_t file_bytes, uint32_t page_size,
                    struct ltx_index *out_index, uint64_t *out_need, struct error *err)
{
    CLEANUP(ltx_index_destroy) struct ltx_index index = {.frames_end = LTX_HEADER_BYTES};
    uint64_t index_bytes = 0;

    ASSERT(tail.n <= file_bytes);
    int rc = index_locate(tail, file_bytes, &index_bytes, out_need, err);
    if (rc <= 0)
        return rc;
    const uint8_t *end = tail.p + tail.n - LTX_TRAILER_BYTES;
    struct slice bytes = slice_of(end - LENGTH_BYTES - index_bytes, (size_t)index_bytes);
    index.entries = mem_new(entry_count_max(bytes) + 1, sizeof(*index.entries), err);
    if (!index.entries || entries_parse(bytes, page_size, &index, err) < 0)
        return -1;
    uint64_t index_offset = file_bytes - LTX_TRAILER_BYTES - LENGTH_BYTES - index_bytes;
    if (index.frames_end + LTX_PAGE_HEADER_BYTES != index_offset) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX page index at offset %" PRIu64 ": its frames end at %" PRIu64,
                         index_offset, index.frames_end);
    }
    index.trailer.post_apply_checksum = be64_load(end);
    index.trailer.file_checksum = be64_load(end + 8);
    *out_index = index;
    index.entries = NULL;
    return 1;
}

const struct ltx_index_entry *ltx_index_find(const struct ltx_index *index, uint32_t pgno)
{
    size_t from = 0;
    size_t to = index->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (index->entries[middle].pgno < pgno)
            from = middle + 1;
        else
            to = middle;
    }
    if (from < index->count && index->entries[from].pgno == pgno)
        return &index->entries[from];
    return NULL;
}

/* The payload of a frame of an old Litestream: one LZ4 frame, nothing behind it. */
static int lz4f_decode(struct slice payload, uint32_t page_size, uint8_t *out_page,
                       struct error *err)
{
    CLEANUP(page_lz4f_destroy) struct page_lz4f f = {.context = NULL};

    int rc = page_lz4f_feed(&f, &payload, out_page, page_size, err);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return error_set(err, ERR_CORRUPT, 0, "LZ4 frame ends early");
    if (payload.n != 0)
        return error_set(err, ERR_CORRUPT, 0, "%zu bytes follow the LZ4 frame", payload.n);
    return 0;
}

static int payload_decode(struct cursor *c, uint16_t flags, uint32_t page_size, uint8_t *out_page,
                          struct error *err)
{
    if (flags == 0)
        return lz4f_decode(c->rest, page_size, out_page, err);
    if (flags != FRAME_FLAG_SIZE)
        return error_set(err, ERR_CORRUPT, 0, "unknown flags %04x", flags);
    uint32_t n = cursor_be32(c);
    if (cursor_failed(c) || n != c->rest.n)
        return error_set(err, ERR_CORRUPT, 0, "block of %u bytes, %zu are there", n, c->rest.n);
    return page_decompress(c->rest, out_page, page_size, err);
}

int ltx_frame_decode(struct slice frame, uint32_t page_size, uint32_t pgno, uint8_t *out_page,
                     struct error *err)
{
    struct cursor c = CURSOR_OF(frame);

    ASSERT(db_page_size_is_valid(page_size));
    uint32_t found_pgno = cursor_be32(&c);
    uint16_t flags = cursor_be16(&c);
    if (cursor_failed(&c)) {
        return error_set(err, ERR_CORRUPT, 0, "LTX frame of page %u ends after %zu bytes", pgno,
                         frame.n);
    }
    if (found_pgno != pgno) {
        return error_set(err, ERR_CORRUPT, 0, "LTX frame of page %u holds page %u", pgno,
                         found_pgno);
    }
    if (payload_decode(&c, flags, page_size, out_page, err) < 0)
        return error_wrap(err, "LTX frame of page %u", pgno);
    return 0;
}
