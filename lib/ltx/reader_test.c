/*
 * The reader: files in memory and in blobs (also in a temporary file) give the same pages.
 */
#include "lib/ltx/reader.h"

#include "lib/ltx/fixture_internal.h"

enum {
    PAGES = 60,
};

/* A file of 60 pages that hardly compress: several read buffers long. */
static void file_make(struct buf *out, uint8_t *all)
{
    struct fixture_page list[PAGES];
    struct ltx_header h = fixture_header_a();

    h.page_size = 4096;
    h.commit = PAGES;
    for (size_t i = 0; i < PAGES; i++) {
        fixture_noise(all + i * 4096, 4096, i + 1);
        list[i] = (struct fixture_page){(uint32_t)i + 1, all + i * 4096};
    }
    fixture_write(&h, list, PAGES, 0, out, NULL);
}

static void read_and_compare(struct ltx_reader *r, const uint8_t *all)
{
    struct error err = ERROR_INIT;
    uint32_t pgno = 0;
    struct slice page;

    assert_int_equal(ltx_reader_header(r)->commit, PAGES);
    for (size_t i = 0; i < PAGES; i++) {
        assert_int_equal(ltx_reader_next(r, &pgno, &page, &err), 1);
        assert_int_equal(pgno, i + 1);
        assert_int_equal(page.n, 4096);
        assert_memory_equal(page.p, all + i * 4096, 4096);
    }
    assert_int_equal(ltx_reader_next(r, &pgno, &page, &err), 0);
    assert_int_equal(ltx_reader_next(r, &pgno, &page, &err), 0);
    assert_int_equal(pgno, PAGES);
    assert_true(ltx_reader_trailer(r)->file_checksum & LTX_CHECKSUM_FLAG);
}

static void test_memory_and_blobs_give_the_same_pages(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    uint8_t *all = malloc((size_t)PAGES * 4096);
    struct error err = ERROR_INIT;

    file_make(&file, all);
    for (int in_file = 0; in_file <= 1; in_file++) {
        CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
        CLEANUP(ltx_reader_close) struct ltx_reader from_memory;
        CLEANUP(ltx_reader_close) struct ltx_reader from_blob;
        struct blob_writer w;

        blob_writer_init(&w, env_real(), "/tmp", in_file ? 100 : FIXTURE_BYTES_MAX);
        assert_ok(blob_writer_append(&w, buf_slice(&file), &err), &err);
        assert_ok(blob_writer_finish(&w, &blob, &err), &err);
        assert_int_equal(blob.p == NULL, in_file);
        struct ltx_reader_args memory_args = {.bytes = buf_slice(&file)};
        struct ltx_reader_args blob_args = {.blob = &blob};
        assert_ok(ltx_reader_open(&from_memory, &memory_args, &err), &err);
        assert_ok(ltx_reader_open(&from_blob, &blob_args, &err), &err);
        read_and_compare(&from_memory, all);
        read_and_compare(&from_blob, all);
    }
    free(all);
}

static void test_file_too_short_for_a_header_is_not_opened(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);
    struct error err = ERROR_INIT;

    fixture_hex(fixture_vector_a, &file);
    for (size_t n = 0; n < LTX_HEADER_BYTES; n++) {
        CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
        struct ltx_reader r;
        char text[40];

        (void)snprintf(text, sizeof(text), "ends after %zu bytes, in its header", n);
        assert_ok(blob_of_slice(env_real(), slice_of(file.p, n), &blob, &err), &err);
        assert_error(ltx_reader_open(&r, &(struct ltx_reader_args){.blob = &blob}, &err), &err,
                     ERR_CORRUPT, text);
        assert_error(
            ltx_reader_open(&r, &(struct ltx_reader_args){.bytes = slice_of(file.p, n)}, &err),
            &err, ERR_CORRUPT, text);
        ltx_reader_close(&r);
    }
}

static void test_truncated_file_ends_with_an_error_not_with_0(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf file = BUF_INIT(FIXTURE_BYTES_MAX);

    fixture_hex(fixture_vector_a, &file);
    for (size_t n = LTX_HEADER_BYTES; n < file.n; n++) {
        CLEANUP(ltx_reader_close) struct ltx_reader r;
        struct ltx_reader_args args = {.bytes = slice_of(file.p, n)};
        struct error err = ERROR_INIT;
        uint32_t pgno;
        struct slice page;
        int rc;

        assert_ok(ltx_reader_open(&r, &args, &err), &err);
        while ((rc = ltx_reader_next(&r, &pgno, &page, &err)) > 0)
            continue;
        assert_error(rc, &err, ERR_CORRUPT, "LTX file ends after");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_memory_and_blobs_give_the_same_pages),
        TEST(test_file_too_short_for_a_header_is_not_opened),
        TEST(test_truncated_file_ends_with_an_error_not_with_0),
    };
    return TEST_MAIN(tests);
}
