/*
 * Fuzzes the index of an object and the walk over frames. Properties: the answer does not depend on
 * the pieces in which the bytes arrive; ranges that are accepted lie one after the other and fill
 * the frames; a frame that is accepted lies within its bytes.
 *
 * Input: one byte that says how to cut it into pieces, then the end of an object: terminator,
 * index, SPLIT_TAIL_BYTES. The frames before it are as long as the first byte says, in units of 11.
 */
#include "sidecar/restore/split.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Feeds all of bytes in pieces; the answer of the whole. */
static int feed_all(struct split *s, struct slice bytes, uint64_t file_bytes, const uint8_t *tail,
                    size_t piece)
{
    struct error err = ERROR_INIT;

    if (split_init(s, file_bytes, tail, 64, &err) < 0)
        return -1;
    for (size_t at = 0; at < bytes.n; at += piece) {
        if (split_feed(s, slice_sub(bytes, at, piece), &err) < 0)
            return -1;
    }
    return split_finish(s, &err);
}

static void index_try(struct slice bytes, const uint8_t *tail, uint64_t frames_bytes, size_t piece)
{
    CLEANUP(split_destroy) struct split whole = {0};
    CLEANUP(split_destroy) struct split pieces = {0};
    uint64_t file_bytes = LTX_HEADER_BYTES + frames_bytes + bytes.n + SPLIT_TAIL_BYTES;
    uint64_t end = LTX_HEADER_BYTES;

    int rc = feed_all(&whole, bytes, file_bytes, tail, bytes.n + 1);
    ASSERT(feed_all(&pieces, bytes, file_bytes, tail, piece) == rc);
    if (rc < 0)
        return;
    ASSERT(whole.range_count == pieces.range_count && whole.crc == pieces.crc);
    for (size_t i = 0; i < whole.range_count; i++) {
        ASSERT(whole.ranges[i].offset == end && whole.ranges[i].bytes > 0);
        end += whole.ranges[i].bytes;
    }
    ASSERT(end == whole.frames_end);
}

static void frames_try(struct slice rest)
{
    struct error err = ERROR_INIT;
    uint32_t pgno = 0;
    size_t n = 0;

    while (frame_peek(rest, &pgno, &n, &err) > 0) {
        ASSERT(pgno > 0 && n > LTX_PAGE_HEADER_BYTES && n <= rest.n);
        rest = slice_sub(rest, n, rest.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 + SPLIT_TAIL_BYTES)
        return 0;
    struct slice body = slice_of(data + 1, n - 1 - SPLIT_TAIL_BYTES);
    index_try(body, data + n - SPLIT_TAIL_BYTES, (uint64_t)(data[0] >> 3) * 11, 1 + data[0] % 8);
    frames_try(slice_of(data + 1, n - 1));
    return 0;
}
