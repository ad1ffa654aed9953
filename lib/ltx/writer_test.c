/*
 * The writer: files as they should be bit for bit, a large index, refused pages and promises.
 */
#include "lib/ltx/writer.h"

#include "lib/ltx/fixture_internal.h"

/* A writer into memory. */
struct out {
    struct blob_writer blob;
    struct ltx_writer w;
};

static void out_open(struct out *o, const struct ltx_header *h, uint32_t pending_byte)
{
    struct error err = ERROR_INIT;
    struct ltx_writer_args args = {.header = *h, .out = &o->blob, .pending_byte = pending_byte};

    blob_writer_init(&o->blob, env_real(), "/tmp", FIXTURE_BYTES_MAX);
    assert_ok(ltx_writer_open(&o->w, &args, &err), &err);
}

static void out_close(struct out *o)
{
    ltx_writer_close(&o->w);
    blob_writer_destroy(&o->blob);
}

/*
 * liblz4 compresses the vectors' pages to other (equally valid) blocks than Go's encoder, so the
 * writer's bytes are compared with those of the builder; decoder_test.c proves that the builder
 * makes the real encoder's bytes out of the real encoder's blocks.
 */
static void test_files_are_built_field_by_field(void **state UNUSED)
{
    for (int tracked = 0; tracked <= 1; tracked++) {
        CLEANUP(buf_destroy) struct buf got = BUF_INIT(FIXTURE_BYTES_MAX);
        uint8_t pages[2][512];
        struct ltx_header h = fixture_header_a();
        struct ltx_trailer trailer;
        struct fixture_file f;
        uint64_t post_apply = tracked ? UINT64_C(0x93e12fe333be1d1d) : 0;

        h.has_checksums = tracked != 0;
        fixture_file_begin(&f, &h);
        for (uint32_t i = 0; i < 2; i++) {
            fixture_page(pages[i], 512, i + 1);
            fixture_file_page(&f, i + 1, 1, pages[i], 512);
        }
        fixture_file_end(&f, post_apply);
        struct fixture_page list[2] = {{1, pages[0]}, {2, pages[1]}};
        fixture_write(&h, list, 2, post_apply, &got, &trailer);
        assert_int_equal(got.n, f.bytes.n);
        assert_memory_equal(got.p, f.bytes.p, got.n);
        assert_true(trailer.file_checksum == be64_load(got.p + got.n - 8));
        assert_true(trailer.post_apply_checksum == post_apply);
        buf_destroy(&f.bytes);
    }
}

static void test_file_without_pages_is_that_of_the_real_encoder(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(FIXTURE_BYTES_MAX);
    struct ltx_header h = fixture_header_a();
    struct ltx_trailer trailer;

    h.min_txid = h.max_txid = 3;
    h.timestamp_ms = 3000;
    h.wal_bytes = 0;
    h.wal_salt = (struct wal_salt){{1, 2}};
    fixture_write(&h, NULL, 0, 0, &got, &trailer);
    assert_int_equal(got.n, LTX_FILE_BYTES_MIN);
    assert_true(trailer.file_checksum == UINT64_C(0xc6dfe547db8c70c8));
}

static void test_index_that_outgrows_memory_is_the_same(void **state UNUSED)
{
    enum {
        PAGES = 150000
    };
    CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
    CLEANUP(ltx_decoder_destroy) struct ltx_decoder d;
    struct out o;
    struct error err = ERROR_INIT;
    struct ltx_header h = fixture_header_a();
    uint8_t page[512];
    uint8_t part[4096];

    h.commit = PAGES;
    out_open(&o, &h, 0);
    for (uint32_t pgno = 1; pgno <= PAGES; pgno++) {
        fixture_page(page, 512, pgno);
        assert_ok(ltx_writer_page(&o.w, pgno, slice_of(page, 512), &err), &err);
    }
    assert_true(blob_writer_bytes(&o.w.index) > LTX_WRITER_INDEX_BYTES);
    assert_ok(ltx_writer_finish(&o.w, 0, NULL, &err), &err);
    assert_ok(blob_writer_finish(&o.blob, &blob, &err), &err);
    ltx_decoder_init(&d, &(struct ltx_decoder_args){.pending_byte = 0});
    for (uint64_t at = 0; at < blob.bytes;) {
        size_t n = blob.bytes - at < sizeof(part) ? (size_t)(blob.bytes - at) : sizeof(part);
        assert_ok(blob_read(&blob, at, part, n, &err), &err);
        assert_ok(ltx_decoder_feed(&d, slice_of(part, n), &err), &err);
        at += n;
    }
    assert_ok(ltx_decoder_finish(&d, NULL, &err), &err);
    out_close(&o);
}

static void test_pages_that_break_the_order_are_refused(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint64_t min_txid;
        uint32_t first, second;
        const char *text;
    } rows[] = {
        {"zero", 5, 1, 0, "page number 0"},
        {"same", 5, 4, 4, "page 4 after page 4"},
        {"descending", 5, 4, 3, "page 3 after page 4"},
        {"beyond commit", 5, 4, 21, "page 21 of a database of 20 pages"},
        {"lock page", 5, 4, 17, "page 17 is the lock page"},
        {"hole in a snapshot", 1, 1, 3, "page 3 after page 1 in a snapshot"},
        {"snapshot from 2", 1, 0, 2, "page 2 after page 0 in a snapshot"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct out o;
        struct ltx_header h = fixture_header_a();
        uint8_t page[4096] = {0};
        struct error err = ERROR_INIT;

        test_row(rows[i].name);
        h.page_size = 4096;
        h.commit = 20;
        h.min_txid = rows[i].min_txid;
        h.max_txid = 9;
        out_open(&o, &h, 0x10000); /* page 17 */
        if (rows[i].first)
            assert_ok(ltx_writer_page(&o.w, rows[i].first, slice_of(page, 4096), &err), &err);
        assert_error(ltx_writer_page(&o.w, rows[i].second, slice_of(page, 4096), &err), &err,
                     ERR_CORRUPT, rows[i].text);
        out_close(&o);
    }
}

static void test_snapshot_steps_over_the_lock_page(void **state UNUSED)
{
    static const uint32_t commits[] = {16, 17, 18, 20};

    for (size_t i = 0; i < ARRAY_LEN(commits); i++) {
        struct out o;
        struct ltx_header h = fixture_header_a();
        uint8_t page[4096] = {0};
        struct error err = ERROR_INIT;

        h.page_size = 4096;
        h.commit = commits[i];
        out_open(&o, &h, 0x10000);
        for (uint32_t pgno = 1; pgno <= h.commit; pgno++) {
            if (pgno != 17)
                assert_ok(ltx_writer_page(&o.w, pgno, slice_of(page, 4096), &err), &err);
        }
        assert_ok(ltx_writer_finish(&o.w, 0, NULL, &err), &err);
        out_close(&o);
    }
}

static void test_snapshot_that_lacks_pages_is_not_finished(void **state UNUSED)
{
    struct out o;
    struct ltx_header h = fixture_header_a();
    uint8_t page[512] = {0};
    struct error err = ERROR_INIT;

    out_open(&o, &h, 0);
    assert_ok(ltx_writer_page(&o.w, 1, slice_of(page, 512), &err), &err);
    assert_error(ltx_writer_finish(&o.w, 0, NULL, &err), &err, ERR_CORRUPT,
                 "a snapshot of 2 pages ends with page 1");
    out_close(&o);
}

static void test_snapshot_that_is_not_the_promised_database_is_not_finished(void **state UNUSED)
{
    struct out o;
    struct ltx_header h = fixture_header_a();
    uint8_t page[512];
    struct error err = ERROR_INIT;

    h.has_ext = true;
    h.db_checksum = UINT64_C(0x93e12fe333be1d1d);
    for (unsigned second = 2; second <= 3; second++) {
        out_open(&o, &h, 0);
        fixture_page(page, 512, 1);
        assert_ok(ltx_writer_page(&o.w, 1, slice_of(page, 512), &err), &err);
        fixture_page(page, 512, second);
        assert_ok(ltx_writer_page(&o.w, 2, slice_of(page, 512), &err), &err);
        int rc = ltx_writer_finish(&o.w, 0, NULL, &err);
        if (second == 2)
            assert_ok(rc, &err);
        else
            assert_error(rc, &err, ERR_CORRUPT, "its header says 93e12fe333be1d1d");
        out_close(&o);
    }
}

static void test_checksum_told_late_makes_the_same_file(void **state UNUSED)
{
    static const uint32_t page_counts[] = {0, 1, 2, 300};

    for (size_t i = 0; i < ARRAY_LEN(page_counts); i++) {
        struct ltx_trailer trailer[2];
        struct blob blob[2];
        for (int late = 0; late <= 1; late++) {
            struct out o;
            struct error err = ERROR_INIT;
            struct ltx_header h = fixture_header_a();
            uint8_t page[512];

            h.min_txid = h.max_txid = 7;
            h.commit = 300;
            h.has_ext = true;
            h.db_checksum = late ? LTX_CHECKSUM_FLAG : UINT64_C(0x93e12fe333be1d1d);
            out_open(&o, &h, 0);
            for (uint32_t pgno = 1; pgno <= page_counts[i]; pgno++) {
                fixture_page(page, 512, pgno);
                assert_ok(ltx_writer_page(&o.w, pgno, slice_of(page, 512), &err), &err);
            }
            if (late) {
                assert_ok(ltx_writer_set_db_checksum(&o.w, UINT64_C(0x93e12fe333be1d1d), &err),
                          &err);
            }
            assert_ok(ltx_writer_finish(&o.w, 0, &trailer[late], &err), &err);
            assert_ok(blob_writer_finish(&o.blob, &blob[late], &err), &err);
            out_close(&o);
        }
        assert_true(trailer[0].file_checksum == trailer[1].file_checksum);
        assert_int_equal(blob[0].bytes, blob[1].bytes);
        assert_memory_equal(blob[0].p, blob[1].p, blob[0].bytes);
        blob_destroy(&blob[0]);
        blob_destroy(&blob[1]);
    }
}

static void test_a_file_that_is_cut_while_it_is_written_is_the_same(void **state UNUSED)
{
    struct blob whole;
    CLEANUP(buf_destroy) struct buf parts = BUF_INIT(FIXTURE_BYTES_MAX);

    for (int is_cut = 0; is_cut <= 1; is_cut++) {
        struct out o;
        struct error err = ERROR_INIT;
        struct ltx_header h = fixture_header_a();
        CLEANUP(buf_destroy) struct buf part = {.p = NULL};
        struct blob rest;
        uint8_t page[512];

        h.min_txid = h.max_txid = 7;
        h.commit = 300;
        h.has_ext = true;
        h.db_checksum = LTX_CHECKSUM_FLAG;
        out_open(&o, &h, 0);
        for (uint32_t pgno = 1; pgno <= 300; pgno++) {
            fixture_page(page, 512, pgno);
            assert_ok(ltx_writer_page(&o.w, pgno, slice_of(page, 512), &err), &err);
            if (!is_cut || blob_writer_memory_bytes(&o.blob) < 1000)
                continue;
            assert_ok(blob_writer_cut(&o.blob, 1000, &part, &err), &err);
            assert_ok(buf_append(&parts, part.p, part.n, &err), &err);
        }
        if (is_cut) {
            assert_true(parts.n > 1000);
            assert_ok(
                ltx_writer_amend_db_checksum(&o.w, UINT64_C(0x93e12fe333be1d1d), parts.p, &err),
                &err);
        } else {
            assert_ok(ltx_writer_set_db_checksum(&o.w, UINT64_C(0x93e12fe333be1d1d), &err), &err);
        }
        assert_ok(ltx_writer_finish(&o.w, 0, NULL, &err), &err);
        assert_ok(blob_writer_finish(&o.blob, is_cut ? &rest : &whole, &err), &err);
        out_close(&o);
        if (is_cut) {
            assert_ok(buf_append(&parts, rest.p, rest.bytes, &err), &err);
            blob_destroy(&rest);
        }
    }
    assert_int_equal(whole.bytes, parts.n);
    assert_memory_equal(whole.p, parts.p, parts.n);
    blob_destroy(&whole);
}

static void test_wrong_checksum_of_a_page_is_found_in_a_snapshot(void **state UNUSED)
{
    struct out o;
    struct ltx_header h = fixture_header_a();
    struct error err = ERROR_INIT;
    uint8_t page[512];
    uint64_t sum = LTX_CHECKSUM_FLAG;

    h.has_ext = true;
    h.db_checksum = LTX_CHECKSUM_FLAG;
    out_open(&o, &h, 0);
    for (uint32_t pgno = 1; pgno <= 2; pgno++) {
        fixture_page(page, 512, pgno);
        uint64_t checksum = ltx_page_checksum(pgno, slice_of(page, 512));
        sum = ltx_db_checksum_toggle(sum, checksum);
        /* The second one is that of another page. */
        assert_ok(ltx_writer_page_summed(&o.w, pgno, slice_of(page, 512),
                                         crc64(0, slice_of(page, 512)) ^ (pgno - 1), &err),
                  &err);
    }
    assert_ok(ltx_writer_set_db_checksum(&o.w, sum, &err), &err);
    assert_error(ltx_writer_finish(&o.w, 0, NULL, &err), &err, ERR_CORRUPT, "its header says");
    out_close(&o);
}

static void test_header_that_breaks_a_rule_is_not_opened(void **state UNUSED)
{
    struct blob_writer blob;
    struct ltx_writer w;
    struct error err = ERROR_INIT;
    struct ltx_writer_args args = {.header = fixture_header_a(), .out = &blob};

    args.header.page_size = 1000;
    blob_writer_init(&blob, env_real(), "/tmp", FIXTURE_BYTES_MAX);
    assert_error(ltx_writer_open(&w, &args, &err), &err, ERR_CORRUPT, "page size 1000");
    assert_int_equal(blob_writer_bytes(&blob), 0);
    ltx_writer_close(&w);
    blob_writer_destroy(&blob);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_files_are_built_field_by_field),
        TEST(test_file_without_pages_is_that_of_the_real_encoder),
        TEST(test_index_that_outgrows_memory_is_the_same),
        TEST(test_pages_that_break_the_order_are_refused),
        TEST(test_snapshot_steps_over_the_lock_page),
        TEST(test_snapshot_that_lacks_pages_is_not_finished),
        TEST(test_snapshot_that_is_not_the_promised_database_is_not_finished),
        TEST(test_checksum_told_late_makes_the_same_file),
        TEST(test_a_file_that_is_cut_while_it_is_written_is_the_same),
        TEST(test_wrong_checksum_of_a_page_is_found_in_a_snapshot),
        TEST(test_header_that_breaks_a_rule_is_not_opened),
    };
    return TEST_MAIN(tests);
}
