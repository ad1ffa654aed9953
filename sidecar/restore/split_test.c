/*
 * Cutting objects by their index: every frame in exactly one range whatever the pieces in which the
 * index arrives, and hostile indexes.
 */
#include "sidecar/restore/split.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/crc64.h"
#include "lib/testing/test.h"

enum {
    INDEX_MAX = 1 << 20
};

static void varint_add(struct buf *b, uint64_t v)
{
    struct error err = ERROR_INIT;

    for (; v >= 0x80; v >>= 7)
        assert_ok(buf_append_byte(b, (uint8_t)(v | 0x80), &err), &err);
    assert_ok(buf_append_byte(b, (uint8_t)v, &err), &err);
}

/* Terminator and index of frames of these sizes; *out_file_bytes of the file. */
static void index_make(struct buf *b, const uint32_t *frame_bytes, size_t n,
                       uint64_t *out_file_bytes, uint8_t tail[static SPLIT_TAIL_BYTES])
{
    struct error err = ERROR_INIT;
    uint64_t offset = LTX_HEADER_BYTES;

    assert_ok(buf_append(b, "\0\0\0\0\0\0", LTX_PAGE_HEADER_BYTES, &err), &err);
    for (size_t i = 0; i < n; i++) {
        varint_add(b, 3 * i + 1);
        varint_add(b, offset);
        varint_add(b, frame_bytes[i]);
        offset += frame_bytes[i];
    }
    varint_add(b, 0);
    be64_store(tail, b->n - LTX_PAGE_HEADER_BYTES);
    be64_store(tail + 8, 0);
    be64_store(tail + 16, LTX_CHECKSUM_FLAG);
    *out_file_bytes = offset + b->n + SPLIT_TAIL_BYTES;
}

static void test_split_puts_every_frame_into_exactly_one_range(void **state UNUSED)
{
    enum {
        FRAMES = 3000
    };
    static uint32_t frame_bytes[FRAMES];

    srand(7);
    for (int round = 0; round < 30; round++) {
        CLEANUP(buf_destroy) struct buf index = BUF_INIT(INDEX_MAX);
        CLEANUP(split_destroy) struct split s = {0};
        uint8_t tail[SPLIT_TAIL_BYTES];
        struct error err = ERROR_INIT;
        uint64_t file_bytes = 0;
        uint64_t unit_bytes = 1000 + (uint64_t)rand() % 100000;
        size_t frames = 1 + (size_t)rand() % FRAMES;
        uint64_t end = LTX_HEADER_BYTES;

        for (size_t i = 0; i < frames; i++)
            frame_bytes[i] = 11 + (uint32_t)rand() % 5000;
        index_make(&index, frame_bytes, frames, &file_bytes, tail);
        assert_ok(split_init(&s, file_bytes, tail, unit_bytes, &err), &err);
        for (size_t at = 0; at < index.n;) {
            size_t n = 1 + (size_t)rand() % 50;
            struct slice piece = slice_sub(buf_slice(&index), at, n);
            assert_ok(split_feed(&s, piece, &err), &err);
            at += piece.n;
        }
        assert_ok(split_finish(&s, &err), &err);
        assert_int_equal(s.page_count, frames);
        for (size_t i = 0; i < s.range_count; i++) {
            assert_int_equal(s.ranges[i].offset, end);
            assert_true(s.ranges[i].bytes < unit_bytes + 5011);
            assert_true(s.ranges[i].bytes >= unit_bytes || i + 1 == s.range_count);
            end += s.ranges[i].bytes;
        }
        assert_int_equal(end, s.frames_end);
        uint64_t crc = crc64(crc64(0, buf_slice(&index)), slice_of(tail, 16));
        assert_int_equal(s.crc, crc);
        assert_int_equal(s.crc_bytes, index.n + 16);
    }
}

static const struct hostile_row {
    const char *name;
    const char *index; /* bytes after the terminator */
    size_t index_n;
    int64_t length_off; /* added to the length that the tail tells */
    const char *error;
} hostile_rows[] = {
    {"a page twice", "\x01\x64\x0b\x01\x6f\x0b\x00", 7, 0, "index has page 1 after page 1"},
    {"a hole between frames", "\x01\x64\x0b\x02\x70\x0b\x00", 7, 0, "should begin at 111"},
    {"a frame before the first", "\x01\x63\x0b\x02\x6e\x0c\x00", 7, 0, "should begin at 100"},
    {"a frame beyond the end", "\x01\x64\x0b\x02\x6f\x0c\x00", 7, 0, "and end by 122"},
    {"a frame of nothing", "\x01\x64\x00\x02\x64\x0b\x00", 7, 0, "with 0 bytes"},
    {"frames that do not reach the end", "\x01\x64\x0b\x00\x00\x00\x00", 7, 0, "after the end"},
    {"an end too early", "\x01\x64\x0b\x00", 4, 0, "describes frames up to offset 111"},
    {"no end", "\x01\x64\x0b\x02\x6f\x0b", 6, 0, "ends early"},
    {"a number that does not end", "\x01\x64\x0b\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
     15, 0, "more than 64 bits"},
    {"a page number of 33 bits", "\x81\x80\x80\x80\x10\x64\x0b\x00", 8, 0, "page 4294967297"},
    {"an offset near 2^64", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x0b\x00", 13, 0,
     "should begin at 100"},
    {"a length of nothing", "\x01\x64\x0b\x02\x6f\x0b\x00", 7, -7, "index has 0 bytes"},
    {"a length beyond the file", "\x01\x64\x0b\x02\x6f\x0b\x00", 7, 23, "index has 30 bytes"},
};

static void test_split_refuses_an_index_that_does_not_describe_the_file(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(hostile_rows); i++) {
        const struct hostile_row *row = &hostile_rows[i];
        CLEANUP(split_destroy) struct split s = {0};
        struct error err = ERROR_INIT;
        uint8_t tail[SPLIT_TAIL_BYTES] = {0};
        /* Two frames of 11 bytes. */
        uint64_t file_bytes = LTX_HEADER_BYTES + 22 + 6 + row->index_n + SPLIT_TAIL_BYTES;

        test_row(row->name);
        be64_store(tail, row->index_n + (uint64_t)row->length_off);
        int rc = split_init(&s, file_bytes, tail, 1000, &err);
        if (rc == 0)
            rc = split_feed(&s, SLICE_LIT("\0\0\0\0\0\0"), &err);
        if (rc == 0)
            rc = split_feed(&s, slice_of(row->index, row->index_n), &err);
        if (rc == 0)
            rc = split_finish(&s, &err);
        assert_error(rc, &err, ERR_CORRUPT, row->error);
    }
}

static void test_split_refuses_frames_without_an_end(void **state UNUSED)
{
    CLEANUP(split_destroy) struct split s = {0};
    struct error err = ERROR_INIT;
    uint8_t tail[SPLIT_TAIL_BYTES] = {0};

    be64_store(tail, 1);
    assert_ok(split_init(&s, LTX_FILE_BYTES_MIN, tail, 1000, &err), &err);
    assert_error(split_feed(&s, SLICE_LIT("\0\0\0\1\0\0"), &err), &err, ERR_CORRUPT,
                 "no end of the frames at offset 103");
}

/* ---- frames ---- */

static void test_frame_peek_finds_the_end_of_both_encodings(void **state UNUSED)
{
    static uint8_t bytes[200000];
    uint8_t page[4096];
    struct error err = ERROR_INIT;
    uint32_t pgno = 0;
    size_t n = 0;

    for (unsigned k = 0; k < 32; k++) {
        LZ4F_preferences_t preferences = {
            .frameInfo = {.contentChecksumFlag = k & 1 ? LZ4F_contentChecksumEnabled : 0,
                          .blockChecksumFlag = k & 2 ? LZ4F_blockChecksumEnabled : 0,
                          .contentSize = k & 4 ? sizeof(page) : 0,
                          .blockMode = k & 8 ? LZ4F_blockIndependent : LZ4F_blockLinked}};
        for (size_t i = 0; i < sizeof(page); i++)
            page[i] = (uint8_t)(k & 16 ? rand() : (int)i / 100);
        memset(bytes, 0, sizeof(bytes));
        be32_store(bytes, 77);
        size_t payload =
            LZ4F_compressFrame(bytes + 6, sizeof(bytes) - 6, page, sizeof(page), &preferences);
        assert_false(LZ4F_isError(payload));
        assert_int_equal(frame_peek(slice_of(bytes, sizeof(bytes)), &pgno, &n, &err), 1);
        assert_int_equal(pgno, 77);
        assert_int_equal(n, 6 + payload);
        assert_int_equal(frame_peek(slice_of(bytes, n), &pgno, &n, &err), 1);
        for (size_t cut = 0; cut < 6 + payload; cut++) {
            assert_error(frame_peek(slice_of(bytes, cut), &pgno, &n, &err), &err, ERR_CORRUPT,
                         "cut off");
        }
    }
    assert_int_equal(frame_peek(SLICE_LIT("\0\0\0\x05\0\1\0\0\0\2ab rest"), &pgno, &n, &err), 1);
    assert_int_equal(pgno, 5);
    assert_int_equal(n, 12);
    assert_int_equal(frame_peek(SLICE_LIT("\0\0\0\0\0\0"), &pgno, &n, &err), 0);
}

static const struct frame_row {
    const char *name;
    struct slice bytes;
    const char *error;
} frame_rows[] = {
    {"cut header", SLICE_LIT("\0\0\0\1\0"), "cut off"},
    {"cut size", SLICE_LIT("\0\0\0\1\0\1\0\0\0"), "page 1 is cut off"},
    {"cut block", SLICE_LIT("\0\0\0\1\0\1\0\0\0\3ab"), "page 1 is cut off"},
    {"huge block", SLICE_LIT("\0\0\0\1\0\1\xff\xff\xff\xff"), "page 1 is cut off"},
    {"unknown flags", SLICE_LIT("\0\0\0\1\0\2\0\0\0\1a"), "flags 0x2"},
    {"page 0 with flags", SLICE_LIT("\0\0\0\0\0\1\0\0\0\1a"), "frame of page 0"},
    {"not an LZ4 frame", SLICE_LIT("\0\0\0\1\0\0abcdefghijklmnop"), "cut off or damaged"},
};

static void test_frame_peek_refuses_what_is_no_frame(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(frame_rows); i++) {
        struct error err = ERROR_INIT;
        uint32_t pgno = 0;
        size_t n = 0;
        test_row(frame_rows[i].name);
        assert_error(frame_peek(frame_rows[i].bytes, &pgno, &n, &err), &err, ERR_CORRUPT,
                     frame_rows[i].error);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_split_puts_every_frame_into_exactly_one_range),
        TEST(test_split_refuses_an_index_that_does_not_describe_the_file),
        TEST(test_split_refuses_frames_without_an_end),
        TEST(test_frame_peek_finds_the_end_of_both_encodings),
        TEST(test_frame_peek_refuses_what_is_no_frame),
    };
    return TEST_MAIN(tests);
}
