/*
 * LZ4 of one page: round trips at every page size, damaged and oversized input.
 */
#include "lib/ltx/page_codec.h"

#include <lz4.h>
#include <lz4frame.h>
#include <stdlib.h>

#include "lib/ltx/fixture_internal.h"

static const uint32_t page_sizes[] = {512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};

static void test_blocks_of_every_page_size_come_back(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++) {
        uint32_t page_size = page_sizes[i];
        uint8_t *page = malloc(page_size);
        uint8_t *again = malloc(page_size);
        uint8_t *block = malloc(page_block_bytes_max(page_size));
        CLEANUP(page_compressor_destroy) struct page_compressor c = {.lz4 = NULL};
        struct error init_err = ERROR_INIT;

        assert_ok(page_compressor_init(&c, &init_err), &init_err);
        for (int noise = 0; noise <= 1; noise++) {
            struct error err = ERROR_INIT;
            if (noise)
                fixture_noise(page, page_size, 7);
            else
                fixture_page(page, page_size, 7);
            size_t n = page_compress(&c, slice_of(page, page_size), block);
            assert_in_range(n, 1, page_block_bytes_max(page_size));
            assert_true(noise ? n > page_size : n < page_size / 4);
            assert_ok(page_decompress(slice_of(block, n), again, page_size, &err), &err);
            assert_memory_equal(again, page, page_size);
        }
        free(page);
        free(again);
        free(block);
    }
}

enum {
    GAIT_PAGE_BYTES = 4096
};

/* Half a page of words out of a few, half of noise: repetitions of which a quick look misses many. */
static void words_page(uint8_t *page, uint64_t seed)
{
    static const char words[16][9] = {"database", "replicas", "snapshot", "restored",
                                      "sidecars", "checksum", "boundary", "position",
                                      "contents", "position", "compacts", "operator",
                                      "finished", "journals", "accepted", "pageinfo"};

    fixture_noise(page, GAIT_PAGE_BYTES, seed);
    for (size_t i = 0; i < GAIT_PAGE_BYTES / 2; i += 8)
        memcpy(page + i, words[page[i] % 16], 8);
}

/* Bytes that count pages of words become behind so many pages of noise. Each block is checked. */
static size_t words_bytes(size_t noise_pages, size_t count)
{
    CLEANUP(page_compressor_destroy) struct page_compressor c = {.lz4 = NULL};
    struct error err = ERROR_INIT;
    uint8_t page[GAIT_PAGE_BYTES];
    uint8_t again[GAIT_PAGE_BYTES];
    uint8_t block[GAIT_PAGE_BYTES * 2];
    size_t total = 0;

    assert_ok(page_compressor_init(&c, &err), &err);
    for (size_t i = 0; i < noise_pages + count; i++) {
        if (i < noise_pages)
            fixture_noise(page, sizeof(page), i);
        else
            words_page(page, i - noise_pages);
        size_t n = page_compress(&c, slice_of(page, sizeof(page)), block);
        assert_ok(page_decompress(slice_of(block, n), again, sizeof(page), &err), &err);
        assert_memory_equal(again, page, sizeof(page));
        total += i < noise_pages ? 0 : n;
    }
    return total;
}

static void
test_pages_that_compress_become_no_larger_behind_any_number_of_others(void **state UNUSED)
{
    size_t alone = words_bytes(0, 50);

    assert_in_range(alone, 1, (size_t)50 * GAIT_PAGE_BYTES * 7 / 8);
    for (size_t noise_pages = 1; noise_pages < 70; noise_pages++)
        assert_int_equal(words_bytes(noise_pages, 50), alone);
}

/* Repetitions of 16 bytes, each once, that save little: what is seen of them tells the gait. */
static void scattered_page(uint8_t *page, uint64_t seed, size_t repetitions)
{
    fixture_noise(page, GAIT_PAGE_BYTES, seed);
    for (size_t i = 1; i <= repetitions; i++)
        memcpy(page + GAIT_PAGE_BYTES / 2 + i * 64, page + i * 64, 16);
}

/* The gait after so many of these pages. */
static bool is_careful_after(size_t count, size_t repetitions)
{
    CLEANUP(page_compressor_destroy) struct page_compressor c = {.lz4 = NULL};
    struct error err = ERROR_INIT;
    uint8_t page[GAIT_PAGE_BYTES];
    uint8_t block[GAIT_PAGE_BYTES * 2];

    assert_ok(page_compressor_init(&c, &err), &err);
    for (size_t i = 0; i < count; i++) {
        scattered_page(page, i, repetitions);
        (void)page_compress(&c, slice_of(page, sizeof(page)), block); /* its length tells nothing */
    }
    return c.is_careful;
}

static void
test_a_page_is_looked_at_closely_until_a_trial_says_that_it_does_not_pay(void **state UNUSED)
{
    assert_true(is_careful_after(1, 0));
    assert_true(is_careful_after(16, 0)); /* what a commit ships */
    assert_false(is_careful_after(17, 0));
    assert_false(is_careful_after(1000, 0));
    assert_true(
        is_careful_after(1000, 30)); /* saves less than an eighth, and a quick look sees none */
}

static void test_block_of_another_length_than_a_page_is_refused(void **state UNUSED)
{
    uint8_t page[513] = {0};
    uint8_t block[1000];
    uint8_t out[512];
    struct error err = ERROR_INIT;

    int n = LZ4_compress_default((const char *)page, (char *)block, 511, sizeof(block));
    assert_error(page_decompress(slice_of(block, (size_t)n), out, 512, &err), &err, ERR_CORRUPT,
                 "holds 511 bytes instead of a page of 512");
    n = LZ4_compress_default((const char *)page, (char *)block, 513, sizeof(block));
    assert_error(page_decompress(slice_of(block, (size_t)n), out, 512, &err), &err, ERR_CORRUPT,
                 "is damaged");
    assert_error(page_decompress(SLICE_EMPTY, out, 512, &err), &err, ERR_CORRUPT,
                 "LZ4 block of 0 bytes");
    assert_error(page_decompress(slice_of(block, sizeof(block)), out, 512, &err), &err, ERR_CORRUPT,
                 "LZ4 block of 1000 bytes for a page of 512");
}

/* An LZ4 frame with the given options. The caller frees it. */
static uint8_t *lz4f_make(const uint8_t *content, size_t n, const LZ4F_preferences_t *prefs,
                          size_t *out_n)
{
    size_t room = LZ4F_compressFrameBound(n, prefs);
    uint8_t *frame = malloc(room);
    assert_non_null(frame);
    *out_n = LZ4F_compressFrame(frame, room, content, n, prefs);
    assert_false(LZ4F_isError(*out_n));
    return frame;
}

static void test_lz4_frames_of_every_shape_come_back_in_pieces_of_any_size(void **state UNUSED)
{
    static const LZ4F_preferences_t shapes[] = {
        {.frameInfo = {.blockSizeID = LZ4F_max64KB}},
        {.frameInfo = {.blockSizeID = LZ4F_max4MB, .blockMode = LZ4F_blockIndependent}},
        {.frameInfo = {.blockSizeID = LZ4F_max64KB,
                       .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                       .blockChecksumFlag = LZ4F_blockChecksumEnabled}},
    };
    CLEANUP(page_lz4f_destroy) struct page_lz4f f = {.context = NULL};

    for (size_t i = 0; i < ARRAY_LEN(shapes) * ARRAY_LEN(page_sizes) * 2; i++) {
        uint32_t page_size = page_sizes[(i / 2) % ARRAY_LEN(page_sizes)];
        uint8_t *page = malloc(page_size);
        uint8_t *again = malloc(page_size);
        size_t n;

        if (i % 2)
            fixture_noise(page, page_size, i);
        else
            fixture_page(page, page_size, (unsigned)i);
        uint8_t *frame = lz4f_make(page, page_size, &shapes[i / 2 / ARRAY_LEN(page_sizes)], &n);
        assert_in_range(n, 1, page_lz4f_bytes_max(page_size));
        for (size_t piece = 1; piece <= n; piece = piece * 3 + 1) {
            struct error err = ERROR_INIT;
            size_t at = 0;
            int rc = 0;
            while (rc == 0 && at < n) {
                struct slice bytes = slice_sub(slice_of(frame, n), at, piece);
                size_t given = bytes.n;
                rc = page_lz4f_feed(&f, &bytes, again, page_size, &err);
                assert_ok(rc, &err);
                at += given - bytes.n;
            }
            assert_int_equal(rc, 1);
            assert_int_equal(at, n);
            assert_memory_equal(again, page, page_size);
        }
        free(frame);
        free(page);
        free(again);
    }
}

static void test_bytes_after_an_lz4_frame_are_left(void **state UNUSED)
{
    CLEANUP(page_lz4f_destroy) struct page_lz4f f = {.context = NULL};
    uint8_t page[512];
    uint8_t again[512];
    uint8_t bytes[1000] = {0};
    struct error err = ERROR_INIT;
    size_t n;

    fixture_page(page, sizeof(page), 3);
    uint8_t *frame = lz4f_make(page, sizeof(page), NULL, &n);
    memcpy(bytes, frame, n);
    struct slice rest = slice_of(bytes, sizeof(bytes));
    assert_int_equal(page_lz4f_feed(&f, &rest, again, 512, &err), 1);
    assert_int_equal(rest.n, sizeof(bytes) - n);
    free(frame);
}

static void test_lz4_frame_of_another_length_than_a_page_is_refused(void **state UNUSED)
{
    static const struct {
        size_t content;
        const char *text;
    } rows[] = {
        {0, "holds 0 bytes instead of a page of 512"},
        {511, "holds 511 bytes instead of a page of 512"},
        {513, "too long for a page of 512"},
        {40000, "too long for a page of 512"},
    };
    static const uint8_t content[40000];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(page_lz4f_destroy) struct page_lz4f f = {.context = NULL};
        uint8_t out[512];
        struct error err = ERROR_INIT;
        size_t n;

        test_row(rows[i].text);
        uint8_t *frame = lz4f_make(content, rows[i].content, NULL, &n);
        struct slice bytes = slice_of(frame, n);
        assert_error(page_lz4f_feed(&f, &bytes, out, 512, &err), &err, ERR_CORRUPT, rows[i].text);
        free(frame);
    }
}

static void test_lz4_frame_without_end_is_refused(void **state UNUSED)
{
    CLEANUP(page_lz4f_destroy) struct page_lz4f f = {.context = NULL};
    LZ4F_cctx *compress = NULL;
    uint8_t frame[200000];
    uint8_t out[512];
    struct error err = ERROR_INIT;
    size_t n = 0;

    /* Many blocks of one byte each: little content, much frame. */
    assert_false(LZ4F_isError(LZ4F_createCompressionContext(&compress, LZ4F_VERSION)));
    n += LZ4F_compressBegin(compress, frame, sizeof(frame), NULL);
    for (int i = 0; i < 511; i++) {
        n += LZ4F_compressUpdate(compress, frame + n, sizeof(frame) - n, "x", 1, NULL);
        n += LZ4F_flush(compress, frame + n, sizeof(frame) - n, NULL);
    }
    (void)LZ4F_freeCompressionContext(compress);
    struct slice bytes = slice_of(frame, n);
    assert_error(page_lz4f_feed(&f, &bytes, out, 512, &err), &err, ERR_CORRUPT, "too long");
}

static void test_damaged_lz4_frames_are_refused(void **state UNUSED)
{
    LZ4F_preferences_t prefs = {.frameInfo = {.contentChecksumFlag = LZ4F_contentChecksumEnabled}};
    uint8_t page[512];
    size_t n;

    fixture_page(page, sizeof(page), 3);
    uint8_t *frame = lz4f_make(page, sizeof(page), &prefs, &n);
    for (size_t at = 0; at < n; at++) {
        CLEANUP(page_lz4f_destroy) struct page_lz4f f = {.context = NULL};
        uint8_t out[512];
        struct error err = ERROR_INIT;
        struct slice bytes = slice_of(frame, n);

        frame[at] ^= 0x55;
        int rc = page_lz4f_feed(&f, &bytes, out, 512, &err);
        if (rc < 0)
            assert_int_equal(err.code, ERR_CORRUPT);
        else if (rc > 0)
            assert_memory_equal(out, page, sizeof(page));
        frame[at] ^= 0x55;
    }
    free(frame);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_blocks_of_every_page_size_come_back),
        TEST(test_pages_that_compress_become_no_larger_behind_any_number_of_others),
        TEST(test_a_page_is_looked_at_closely_until_a_trial_says_that_it_does_not_pay),
        TEST(test_block_of_another_length_than_a_page_is_refused),
        TEST(test_lz4_frames_of_every_shape_come_back_in_pieces_of_any_size),
        TEST(test_bytes_after_an_lz4_frame_are_left),
        TEST(test_lz4_frame_of_another_length_than_a_page_is_refused),
        TEST(test_lz4_frame_without_end_is_refused),
        TEST(test_damaged_lz4_frames_are_refused),
    };
    return TEST_MAIN(tests);
}
