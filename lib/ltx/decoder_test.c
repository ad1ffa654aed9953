/*
 * The decoder: vectors of the real encoder, chunks of any size, every truncation and every changed
 * bit of a file, frames of old Litestreams, hostile files.
 */
#include "lib/ltx/decoder.h"

#include "lib/ltx/fixture_internal.h"

static void pages_destroy(struct fixture_pages *pages)
{
    buf_destroy(&pages->bytes);
}

static void test_vectors_are_decoded_whatever_the_chunks(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    CLEANUP(pages_destroy) struct fixture_pages pages = {.count = 0};
    uint8_t wanted[1024];

    fixture_hex(fixture_vector_a, &file);
    fixture_page(wanted, 512, 1);
    fixture_page(wanted + 512, 512, 2);
    for (size_t chunk = 1; chunk <= file.n; chunk++) {
        struct ltx_trailer trailer;
        struct error err = ERROR_INIT;

        assert_ok(fixture_decode(buf_slice(&file), chunk, &pages, &trailer, &err), &err);
        assert_int_equal(pages.count, 2);
        assert_int_equal(pages.pgno[0], 1);
        assert_int_equal(pages.pgno[1], 2);
        assert_memory_equal(pages.bytes.p, wanted, sizeof(wanted));
        assert_true(trailer.file_checksum == UINT64_C(0xf4a46fd100ee367c));
    }
    buf_clear(&file);
    fixture_hex(fixture_vector_b, &file);
    fixture_page(wanted, 512, 9);
    for (size_t chunk = 1; chunk <= file.n; chunk++) {
        struct ltx_trailer trailer;
        struct error err = ERROR_INIT;

        assert_ok(fixture_decode(buf_slice(&file), chunk, &pages, &trailer, &err), &err);
        assert_int_equal(pages.count, 1);
        assert_int_equal(pages.pgno[0], 2);
        assert_memory_equal(pages.bytes.p, wanted, 512);
    }
}

static void test_every_truncation_says_where_the_file_ends(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    static const struct {
        size_t from;
        const char *part;
    } parts[] = {{0, "in its header"},
                 {100, "in its page frames"},
                 {178, "in its page index"},
                 {194, "in its trailer"},
                 {210, ""}};

    fixture_hex(fixture_vector_a, &file);
    for (size_t part = 0; part + 1 < ARRAY_LEN(parts); part++) {
        for (size_t n = parts[part].from; n < parts[part + 1].from; n++) {
            struct error err = ERROR_INIT;
            char text[40];
            (void)snprintf(text, sizeof(text), "ends after %zu bytes", n);
            int rc = fixture_decode(slice_of(file.p, n), 64, NULL, NULL, &err);
            assert_error(rc, &err, ERR_CORRUPT, text);
            assert_error(rc, &err, ERR_CORRUPT, parts[part].part);
        }
    }
}

static void test_bytes_after_the_trailer_are_refused(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    struct error err = ERROR_INIT;

    fixture_hex(fixture_vector_a, &file);
    assert_ok(buf_append_byte(&file, 0, &err), &err);
    assert_error(fixture_decode(buf_slice(&file), 1000, NULL, NULL, &err), &err, ERR_CORRUPT,
                 "offset 210: 1 bytes follow the trailer");
}

/*
 * The file checksum covers everything but the compressed payload, so a changed bit is an error,
 * or the payload still decompresses to the same page. Counts the latter.
 */
static unsigned flip_every_bit(struct buf *file)
{
    CLEANUP(pages_destroy) struct fixture_pages wanted = {.count = 0};
    CLEANUP(pages_destroy) struct fixture_pages pages = {.count = 0};
    struct error err = ERROR_INIT;
    unsigned same = 0;

    assert_ok(fixture_decode(buf_slice(file), 4096, &wanted, NULL, &err), &err);
    for (size_t bit = 0; bit < 8 * file->n; bit++) {
        file->p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (fixture_decode(buf_slice(file), 4096, &pages, NULL, &err) < 0) {
            assert_int_equal(err.code, ERR_CORRUPT);
        } else {
            same++;
            assert_int_equal(pages.count, wanted.count);
            assert_memory_equal(pages.pgno, wanted.pgno, sizeof(pages.pgno));
            assert_int_equal(pages.bytes.n, wanted.bytes.n);
            assert_memory_equal(pages.bytes.p, wanted.bytes.p, wanted.bytes.n);
        }
        file->p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    return same;
}

static void test_any_changed_bit_is_an_error_or_changes_nothing(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);

    fixture_hex(fixture_vector_a, &file);
    /* Of 1680: an LZ4 match of a run may begin earlier in it. */
    assert_in_range(flip_every_bit(&file), 0, 32);
    buf_clear(&file);
    fixture_hex(fixture_vector_b, &file);
    assert_in_range(flip_every_bit(&file), 0, 16);
}

static void test_any_changed_bit_of_an_old_frame_is_an_error_or_changes_nothing(void **state UNUSED)
{
    struct fixture_file f;
    struct ltx_header h = fixture_header_a();
    uint8_t page[512];

    fixture_file_begin(&f, &h);
    for (uint32_t pgno = 1; pgno <= 2; pgno++) {
        fixture_page(page, 512, pgno);
        fixture_file_page(&f, pgno, 0, page, 512);
    }
    fixture_file_end(&f, 0);
    /* Flags of the LZ4 descriptor that do not matter are covered by its own checksum. */
    (void)flip_every_bit(&f.bytes);
    buf_destroy(&f.bytes);
}

static void test_frames_of_old_litestreams_are_read_beside_new_ones(void **state UNUSED)
{
    static const uint32_t page_sizes[] = {512, 4096, 65536};

    for (size_t i = 0; i < ARRAY_LEN(page_sizes) * 2; i++) {
        CLEANUP(pages_destroy) struct fixture_pages pages = {.count = 0};
        struct fixture_file f;
        struct ltx_header h = fixture_header_a();
        struct error err = ERROR_INIT;
        uint32_t page_size = page_sizes[i / 2];
        uint8_t *all = malloc(4 * (size_t)page_size);

        h.page_size = page_size;
        h.commit = 4;
        fixture_file_begin(&f, &h);
        for (uint32_t pgno = 1; pgno <= 4; pgno++) {
            uint8_t *page = all + (size_t)(pgno - 1) * page_size;
            if (i % 2)
                fixture_noise(page, page_size, pgno);
            else
                fixture_page(page, page_size, pgno);
            fixture_file_page(&f, pgno, pgno == 3 ? 1 : 0, page, page_size);
        }
        fixture_file_end(&f, 0);
        for (size_t chunk = 1; chunk < f.bytes.n + 13; chunk = chunk * 13) {
            assert_ok(fixture_decode(buf_slice(&f.bytes), chunk, &pages, NULL, &err), &err);
            assert_int_equal(pages.count, 4);
            assert_memory_equal(pages.bytes.p, all, 4 * (size_t)page_size);
        }
        buf_destroy(&f.bytes);
        free(all);
    }
}

static void test_every_page_size_comes_back(void **state UNUSED)
{
    for (uint32_t page_size = 512; page_size <= 65536; page_size *= 2) {
        CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
        CLEANUP(pages_destroy) struct fixture_pages pages = {.count = 0};
        struct fixture_page list[10];
        struct ltx_header h = fixture_header_a();
        struct error err = ERROR_INIT;
        uint8_t *all = malloc(10 * (size_t)page_size);

        h.page_size = page_size;
        h.commit = UINT32_MAX;
        h.min_txid = 7;
        h.max_txid = 9;
        for (uint32_t i = 0; i < 10; i++) {
            uint8_t *page = all + (size_t)i * page_size;
            if (i % 3)
                fixture_noise(page, page_size, i);
            else
                fixture_page(page, page_size, i);
            list[i] = (struct fixture_page){i == 9 ? UINT32_MAX : 1 + i * i * 1000000, page};
        }
        fixture_write(&h, list, 10, 0, &file, NULL);
        assert_ok(fixture_decode(buf_slice(&file), 1000, &pages, NULL, &err), &err);
        assert_int_equal(pages.count, 10);
        for (size_t i = 0; i < 10; i++)
            assert_int_equal(pages.pgno[i], list[i].pgno);
        assert_memory_equal(pages.bytes.p, all, 10 * (size_t)page_size);
        free(all);
    }
}

static void test_checksums_of_a_tracked_snapshot_are_recomputed(void **state UNUSED)
{
    for (unsigned second = 2; second <= 3; second++) {
        struct fixture_file f;
        struct ltx_header h = fixture_header_a();
        struct ltx_trailer trailer;
        struct error err = ERROR_INIT;

        h.has_checksums = true;
        h.wal_offset = h.wal_bytes = 0;
        h.wal_salt = (struct wal_salt){{0, 0}};
        fixture_file_begin(&f, &h);
        fixture_file_vector_page(&f, 1, 1);
        fixture_file_vector_page(&f, 2, second);
        fixture_file_end(&f, UINT64_C(0x93e12fe333be1d1d));
        int rc = fixture_decode(buf_slice(&f.bytes), 77, NULL, &trailer, &err);
        if (second == 2) {
            assert_ok(rc, &err);
            assert_true(trailer.file_checksum == UINT64_C(0x9b8cbb673edab226));
        } else {
            assert_error(rc, &err, ERR_CORRUPT, "its trailer says 93e12fe333be1d1d");
        }
        buf_destroy(&f.bytes);
    }
}

static void test_file_built_by_hand_is_that_of_the_real_encoder(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf wanted = BUF_INIT(FIXTURE_BYTES_MAX);
    struct fixture_file f;
    struct ltx_header h = fixture_header_a();

    fixture_file_begin(&f, &h);
    fixture_file_vector_page(&f, 1, 1);
    fixture_file_vector_page(&f, 2, 2);
    fixture_file_end(&f, 0);
    fixture_hex(fixture_vector_a, &wanted);
    assert_int_equal(f.bytes.n, wanted.n);
    assert_memory_equal(f.bytes.p, wanted.p, wanted.n);
    buf_destroy(&f.bytes);
}

static void test_compaction_of_the_real_encoder_is_decoded(void **state UNUSED)
{
    struct fixture_file f;
    struct ltx_header h = {
        .page_size = 512, .commit = 2, .min_txid = 1, .max_txid = 2, .timestamp_ms = 2000};
    struct ltx_trailer trailer;
    struct error err = ERROR_INIT;

    fixture_file_begin(&f, &h);
    fixture_file_vector_page(&f, 1, 1);
    fixture_file_vector_page(&f, 2, 9);
    fixture_file_end(&f, 0);
    assert_int_equal(f.bytes.n, 210);
    assert_ok(fixture_decode(buf_slice(&f.bytes), 30, NULL, &trailer, &err), &err);
    assert_true(trailer.file_checksum == UINT64_C(0xa1189bdeab2ae300));
    buf_destroy(&f.bytes);
}

static void test_database_checksum_of_our_extension_is_recomputed(void **state UNUSED)
{
    for (unsigned second = 2; second <= 3; second++) {
        struct fixture_file f;
        struct ltx_header h = fixture_header_a();
        struct error err = ERROR_INIT;
        uint8_t page[512];

        h.has_ext = true;
        h.db_checksum = UINT64_C(0x93e12fe333be1d1d);
        fixture_file_begin(&f, &h);
        fixture_page(page, 512, 1);
        fixture_file_page(&f, 1, 1, page, 512);
        fixture_page(page, 512, second);
        fixture_file_page(&f, 2, 1, page, 512);
        fixture_file_end(&f, 0);
        int rc = fixture_decode(buf_slice(&f.bytes), 77, NULL, NULL, &err);
        if (second == 2)
            assert_ok(rc, &err);
        else
            assert_error(rc, &err, ERR_CORRUPT, "its header says 93e12fe333be1d1d");
        buf_destroy(&f.bytes);
    }
}

static void test_file_without_pages_is_whole(void **state UNUSED)
{
    struct fixture_file f;
    struct ltx_header h = fixture_header_a();
    struct ltx_trailer trailer;
    struct error err = ERROR_INIT;

    h.min_txid = h.max_txid = 3;
    h.timestamp_ms = 3000;
    h.wal_bytes = 0;
    h.wal_salt = (struct wal_salt){{1, 2}};
    fixture_file_begin(&f, &h);
    fixture_file_end(&f, 0);
    assert_int_equal(f.bytes.n, LTX_FILE_BYTES_MIN);
    assert_ok(fixture_decode(buf_slice(&f.bytes), 1, NULL, &trailer, &err), &err);
    assert_true(trailer.file_checksum == UINT64_C(0xc6dfe547db8c70c8));
    buf_destroy(&f.bytes);
}

/* Files whose checksums are right and whose frames are not. */
static void test_frames_that_break_a_rule_are_refused_with_their_offset(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint64_t min_txid;
        uint32_t commit;
        uint32_t pgno[3];
        uint16_t flags;
        size_t content;
        const char *text;
    } rows[] = {
        {"descending", 5, 9, {4, 3, 0}, 1, 4096, ": page 3 after page 4"},
        {"twice", 5, 9, {4, 4, 0}, 1, 4096, ": page 4 after page 4"},
        {"beyond commit", 5, 9, {10, 0, 0}, 1, 4096, "offset 100: page 10 of a database of 9"},
        {"empty database", 5, 0, {1, 0, 0}, 1, 4096, "offset 100: page 1 of a database of 0"},
        {"lock page", 5, UINT32_MAX, {262145, 0, 0}, 1, 4096, "page 262145 is the lock page"},
        {"hole in a snapshot", 1, 3, {1, 3, 0}, 1, 4096, "page 3 after page 1 in a snapshot"},
        {"short snapshot", 1, 3, {1, 2, 0}, 1, 4096, "a snapshot of 3 pages ends with page 2"},
        {"empty snapshot", 1, 3, {0, 0, 0}, 1, 4096, "a snapshot of 3 pages ends with page 0"},
        {"flags", 5, 9, {1, 0, 0}, 3, 4096, "offset 100: frame of page 1 has unknown flags 0003"},
        {"high flag", 5, 9, {1, 0, 0}, 0x8001, 4096, "unknown flags 8001"},
        {"block short", 5, 9, {1, 0, 0}, 1, 4095, "page 1: LZ4 block holds 4095 bytes"},
        {"block long", 5, 9, {1, 0, 0}, 1, 4097, "offset 100: page 1: LZ4 block of"},
        {"LZ4 frame short", 5, 9, {1, 0, 0}, 0, 4095, "page 1: LZ4 frame holds 4095 bytes"},
        {"LZ4 frame long", 5, 9, {1, 0, 0}, 0, 4097, "page 1: LZ4 frame is too long"},
    };
    static const uint8_t content[4097] = {1, 2, 3};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture_file f;
        struct ltx_header h = fixture_header_a();
        struct error err = ERROR_INIT;

        test_row(rows[i].name);
        h.page_size = 4096;
        h.commit = rows[i].commit;
        h.min_txid = rows[i].min_txid;
        h.max_txid = 9;
        fixture_file_begin(&f, &h);
        for (size_t page = 0; page < 3 && rows[i].pgno[page]; page++)
            fixture_file_page(&f, rows[i].pgno[page], rows[i].flags, content, rows[i].content);
        fixture_file_end(&f, 0);
        assert_error(fixture_decode(buf_slice(&f.bytes), 333, NULL, NULL, &err), &err, ERR_CORRUPT,
                     rows[i].text);
        buf_destroy(&f.bytes);
    }
}

/* A field of vector a, overwritten: sizes and counts that must not be believed. */
static void test_hostile_sizes_are_refused_before_they_cost_memory(void **state UNUSED)
{
    static const struct {
        const char *name;
        size_t offset;
        uint32_t value;
        const char *text;
    } rows[] = {
        {"block of 4 GiB", 106, UINT32_MAX, "offset 100: page 1 has a block of 4294967295 bytes"},
        {"block of 0", 106, 0, "offset 100: page 1 has a block of 0 bytes"},
        {"block beyond the bound", 106, 531, "page 1 has a block of 531 bytes"},
        {"block to the bound", 106, 530, "offset 100: page 1 has a block of 530"},
        {"page number 0 with flags", 100, 0, "offset 100: page number 0"},
        {"index entry", 178, 0x01650000, "offset 178: page index does not describe the frames"},
        {"index length high", 186, 0x7fffffff, "page index has 8 bytes, its length says"},
        {"index length low", 190, 9, "offset 186: page index has 8 bytes, its length says 9"},
        {"post-apply", 194, 1, "post-apply checksum 0000000100000000 in a file without"},
        {"file checksum bit", 202, 0x74a46fd1, "file checksum 74a46fd100ee367c has not bit 63"},
        {"file checksum", 206, 1, "file checksum is f4a46fd100ee367c, its trailer says"},
    };
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;

        if (rows[i].value == 530)
            continue; /* the longest possible block: waits for bytes, see below */
        test_row(rows[i].name);
        buf_clear(&file);
        fixture_hex(fixture_vector_a, &file);
        be32_store(file.p + rows[i].offset, rows[i].value);
        assert_error(fixture_decode(buf_slice(&file), 50, NULL, NULL, &err), &err, ERR_CORRUPT,
                     rows[i].text);
    }
    struct error err = ERROR_INIT;
    buf_clear(&file);
    fixture_hex(fixture_vector_a, &file);
    be32_store(file.p + 106, 530);
    assert_error(fixture_decode(buf_slice(&file), 50, NULL, NULL, &err), &err, ERR_CORRUPT,
                 "ends after 210 bytes, in its page frames");
}

static int page_refuse(void *arg UNUSED, uint32_t pgno, struct slice page UNUSED, struct error *err)
{
    return error_set(err, ERR_NO_SPACE, 28, "write of page %u", pgno);
}

static void test_error_of_the_receiver_ends_the_decoding(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    CLEANUP(ltx_decoder_destroy) struct ltx_decoder d;
    struct error err = ERROR_INIT;

    fixture_hex(fixture_vector_a, &file);
    ltx_decoder_init(&d, &(struct ltx_decoder_args){.on_page = page_refuse});
    assert_error(ltx_decoder_feed(&d, buf_slice(&file), &err), &err, ERR_NO_SPACE,
                 "write of page 1");
}

static void test_header_is_there_as_soon_as_its_bytes_are(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    CLEANUP(ltx_decoder_destroy) struct ltx_decoder d;
    struct error err = ERROR_INIT;

    fixture_hex(fixture_vector_a, &file);
    ltx_decoder_init(&d, &(struct ltx_decoder_args){.on_page = NULL});
    assert_ok(ltx_decoder_feed(&d, slice_of(file.p, 99), &err), &err);
    assert_null(ltx_decoder_header(&d));
    assert_ok(ltx_decoder_feed(&d, slice_of(file.p + 99, 1), &err), &err);
    assert_non_null(ltx_decoder_header(&d));
    assert_int_equal(ltx_decoder_header(&d)->commit, 2);
    assert_ok(ltx_decoder_feed(&d, slice_of(file.p + 100, 110), &err), &err);
    assert_true(ltx_decoder_is_at_end(&d));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_vectors_are_decoded_whatever_the_chunks),
        TEST(test_every_truncation_says_where_the_file_ends),
        TEST(test_bytes_after_the_trailer_are_refused),
        TEST(test_any_changed_bit_is_an_error_or_changes_nothing),
        TEST(test_any_changed_bit_of_an_old_frame_is_an_error_or_changes_nothing),
        TEST(test_frames_of_old_litestreams_are_read_beside_new_ones),
        TEST(test_every_page_size_comes_back),
        TEST(test_file_built_by_hand_is_that_of_the_real_encoder),
        TEST(test_compaction_of_the_real_encoder_is_decoded),
        TEST(test_checksums_of_a_tracked_snapshot_are_recomputed),
        TEST(test_database_checksum_of_our_extension_is_recomputed),
        TEST(test_file_without_pages_is_whole),
        TEST(test_frames_that_break_a_rule_are_refused_with_their_offset),
        TEST(test_hostile_sizes_are_refused_before_they_cost_memory),
        TEST(test_error_of_the_receiver_ends_the_decoding),
        TEST(test_header_is_there_as_soon_as_its_bytes_are),
    };
    return TEST_MAIN(tests);
}
