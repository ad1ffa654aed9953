/*
 * The page index from the end of a file, single frames, and what must not be believed of them.
 */
#include "lib/ltx/index.h"

#include "lib/ltx/fixture_internal.h"

static void test_index_of_the_real_encoder_leads_to_its_pages(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    CLEANUP(ltx_index_destroy) struct ltx_index index;
    struct error err = ERROR_INIT;
    uint64_t need = 0;
    uint8_t page[512];
    uint8_t wanted[512];

    fixture_hex(fixture_vector_a, &file);
    assert_int_equal(ltx_index_parse(buf_slice(&file), file.n, 512, &index, &need, &err), 1);
    assert_int_equal(index.count, 2);
    assert_int_equal(index.frames_end, 172);
    assert_true(index.trailer.file_checksum == UINT64_C(0xf4a46fd100ee367c));
    for (uint32_t pgno = 1; pgno <= 2; pgno++) {
        const struct ltx_index_entry *entry = ltx_index_find(&index, pgno);
        assert_non_null(entry);
        assert_int_equal(entry->offset, pgno == 1 ? 100 : 136);
        assert_int_equal(entry->bytes, 36);
        struct slice frame = slice_sub(buf_slice(&file), (size_t)entry->offset, entry->bytes);
        assert_ok(ltx_frame_decode(frame, 512, pgno, page, &err), &err);
        fixture_page(wanted, 512, pgno);
        assert_memory_equal(page, wanted, 512);
    }
    assert_null(ltx_index_find(&index, 0));
    assert_null(ltx_index_find(&index, 3));
}

static void test_tail_that_is_too_short_asks_for_exactly_what_is_missing(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);

    fixture_hex(fixture_vector_a, &file);
    for (size_t n = 0; n <= file.n; n++) {
        CLEANUP(ltx_index_destroy) struct ltx_index index = {.count = 0};
        struct error err = ERROR_INIT;
        uint64_t need = 0;
        struct slice tail = slice_of(file.p + file.n - n, n);

        int rc = ltx_index_parse(tail, file.n, 0, &index, &need, &err);
        assert_int_equal(rc, n >= 32);
        if (rc == 0)
            assert_int_equal(need, n < 24 ? 24 : 32);
        else
            assert_int_equal(index.count, 2);
    }
}

static void test_file_without_pages_has_an_empty_index(void **state UNUSED)
{
    CLEANUP(ltx_index_destroy) struct ltx_index index;
    struct fixture_file f;
    struct ltx_header h = fixture_header_a();
    struct error err = ERROR_INIT;
    uint64_t need;

    h.min_txid = h.max_txid = 3;
    fixture_file_begin(&f, &h);
    fixture_file_end(&f, 0);
    assert_int_equal(ltx_index_parse(buf_slice(&f.bytes), f.bytes.n, 512, &index, &need, &err), 1);
    assert_int_equal(index.count, 0);
    assert_null(ltx_index_find(&index, 1));
    buf_destroy(&f.bytes);
}

/* The end of a file: index entries as given, a right length, a trailer. */
static size_t tail_make(const uint64_t *numbers, size_t count, uint8_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += uvarint_encode(numbers[i], out + n);
    be64_store(out + n, n);
    memset(out + n + 8, 0x80, LTX_TRAILER_BYTES);
    return n + 8 + LTX_TRAILER_BYTES;
}

static void test_index_that_does_not_describe_the_file_is_refused(void **state UNUSED)
{
    /* The file of every row: header, 400 bytes of frames, terminator, then this. */
    static const struct {
        const char *name;
        size_t count;
        uint64_t numbers[8];
        const char *text; /* NULL: right */
    } rows[] = {
        {"right", 7, {1, 100, 200, 9, 300, 200, 0}, NULL},
        {"same page", 7, {9, 100, 200, 9, 300, 200, 0}, "page 9 after page 9"},
        {"descending", 7, {9, 100, 200, 8, 300, 200, 0}, "page 8 after page 9"},
        {"page beyond 32 bits", 7, {9, 100, 200, 1ull << 32, 300, 200, 0}, "page 4294967296"},
        {"from 99", 4, {1, 99, 401, 0}, "frame of page 1 at offset 99, the one before ends at 100"},
        {"from 0", 4, {1, 0, 500, 0}, "at offset 0"},
        {"hole", 7, {1, 100, 200, 9, 301, 199, 0}, "at offset 301, the one before ends at 300"},
        {"overlap", 7, {1, 100, 200, 9, 299, 201, 0}, "at offset 299"},
        {"into the index", 7, {1, 100, 200, 9, 300, 201, 0}, "its frames end at 501"},
        {"too short", 4, {1, 100, 399, 0}, "its frames end at 499"},
        {"frame of 6", 4, {1, 100, 6, 0}, "frame of page 1 has 6 bytes"},
        {"frame of 2^63", 4, {1, 100, 1ull << 63, 0}, "frame of page 1 has 9223372036854775808"},
        {"frame of 2^64-1", 4, {1, 100, UINT64_MAX, 0}, "has 18446744073709551615 bytes"},
        {"frame of 2000", 4, {1, 100, 2000, 0}, "frame of page 1 has 2000 bytes"},
        {"end missing", 3, {1, 100, 400}, "ends inside entry 2"},
        {"entry cut", 2, {1, 100}, "ends inside entry 1"},
        {"more after the end", 5, {1, 100, 400, 0, 0}, "1 bytes follow its end"},
        {"empty", 1, {0}, "its frames end at 100"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(ltx_index_destroy) struct ltx_index index = {.count = 0};
        struct error err = ERROR_INIT;
        uint8_t tail[200];
        uint64_t need;

        test_row(rows[i].name);
        size_t n = tail_make(rows[i].numbers, rows[i].count, tail);
        int rc = ltx_index_parse(slice_of(tail, n), 506 + n, 512, &index, &need, &err);
        if (rows[i].text)
            assert_error(rc, &err, ERR_CORRUPT, rows[i].text);
        else
            assert_int_equal(rc, 1);
    }
}

static void test_lengths_that_cannot_be_are_refused_not_asked_for(void **state UNUSED)
{
    static const struct {
        uint64_t length, file_bytes;
        const char *text;
    } rows[] = {
        {0, 1000, "page index of 0 bytes in a file of 1000"},
        {871, 1000, "page index of 871 bytes in a file of 1000"},
        {UINT64_MAX, 1000, "page index of 18446744073709551615 bytes"},
        {UINT64_MAX - 23, 1000, "page index of 18446744073709551592 bytes"},
        {1, 130, "the shortest possible has 131"},
        {1, 24, "the shortest possible has 131"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ltx_index index;
        struct error err = ERROR_INIT;
        uint8_t tail[24] = {0};
        uint64_t need = 0;

        be64_store(tail, rows[i].length);
        assert_error(ltx_index_parse(slice_of(tail, sizeof(tail)), rows[i].file_bytes, 0, &index,
                                     &need, &err),
                     &err, ERR_CORRUPT, rows[i].text);
    }
    struct ltx_index index;
    struct error err = ERROR_INIT;
    uint8_t tail[24] = {0};
    uint64_t need = 0;
    be64_store(tail, 870);
    assert_int_equal(ltx_index_parse(slice_of(tail, sizeof(tail)), 1000, 0, &index, &need, &err),
                     0);
    assert_int_equal(need, 894);
}

static void test_number_longer_than_64_bits_is_refused(void **state UNUSED)
{
    struct ltx_index index;
    struct error err = ERROR_INIT;
    uint8_t tail[11 + 24];
    uint64_t need;

    memset(tail, 0xff, 11);
    memset(tail + 11, 0, 24);
    be64_store(tail + 11, 11);
    assert_error(ltx_index_parse(slice_of(tail, sizeof(tail)), 1000, 0, &index, &need, &err), &err,
                 ERR_CORRUPT, "ends inside entry 1");
}

static void test_frames_of_both_kinds_are_decoded_alone(void **state UNUSED)
{
    for (uint16_t flags = 0; flags <= 1; flags++) {
        struct fixture_file f;
        struct ltx_header h = fixture_header_a();
        struct error err = ERROR_INIT;
        uint8_t page[512];
        uint8_t out[512];

        fixture_page(page, 512, 4);
        fixture_file_begin(&f, &h);
        fixture_file_page(&f, 77, flags, page, 512);
        struct slice frame = slice_sub(buf_slice(&f.bytes), LTX_HEADER_BYTES, f.bytes.n);
        assert_ok(ltx_frame_decode(frame, 512, 77, out, &err), &err);
        assert_memory_equal(out, page, 512);

        assert_error(ltx_frame_decode(frame, 512, 78, out, &err), &err, ERR_CORRUPT,
                     "LTX frame of page 78 holds page 77");
        assert_error(ltx_frame_decode(frame, 1024, 77, out, &err), &err, ERR_CORRUPT,
                     "LTX frame of page 77: LZ4");
        for (size_t n = 0; n < frame.n; n++) {
            assert_error(ltx_frame_decode(slice_of(frame.p, n), 512, 77, out, &err), &err,
                         ERR_CORRUPT, "LTX frame of page 77");
        }
        assert_ok(buf_append_byte(&f.bytes, 0, &err), &err);
        frame = slice_sub(buf_slice(&f.bytes), LTX_HEADER_BYTES, f.bytes.n);
        assert_error(ltx_frame_decode(frame, 512, 77, out, &err), &err, ERR_CORRUPT,
                     flags ? "bytes, 1" : "1 bytes follow the LZ4 frame");
        f.bytes.p[LTX_HEADER_BYTES + 5] = 2;
        assert_error(ltx_frame_decode(frame, 512, 77, out, &err), &err, ERR_CORRUPT,
                     "LTX frame of page 77: unknown flags 0002");
        buf_destroy(&f.bytes);
        buf_destroy(&f.index);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_index_of_the_real_encoder_leads_to_its_pages),
        TEST(test_tail_that_is_too_short_asks_for_exactly_what_is_missing),
        TEST(test_file_without_pages_has_an_empty_index),
        TEST(test_index_that_does_not_describe_the_file_is_refused),
        TEST(test_lengths_that_cannot_be_are_refused_not_asked_for),
        TEST(test_number_longer_than_64_bits_is_refused),
        TEST(test_frames_of_both_kinds_are_decoded_alone),
    };
    return TEST_MAIN(tests);
}
