/*
 * Any bytes as an LTX file. The first byte says in what chunks they arrive; if it is odd the file
 * checksum is made right first, which a fuzzer would never hit. Whatever the decoder accepts must
 * give the same pages when pulled through a reader, must have an index that leads to each of them,
 * and must come back when written again.
 */
#include "lib/ltx/reader.h"

#include <stdlib.h>

#include "lib/ltx/crc64.h"
#include "lib/ltx/index.h"
#include "lib/ltx/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Reads the whole file through a reader; every page is also written to w (if not NULL). */
static bool file_read(struct slice file, struct ltx_writer *w, const struct ltx_index *index)
{
    CLEANUP(ltx_reader_close) struct ltx_reader r;
    struct ltx_reader_args args = {.bytes = file};
    struct error err = ERROR_INIT;
    uint32_t pgno;
    struct slice page;
    int rc;

    if (ltx_reader_open(&r, &args, &err) < 0)
        return false;
    uint8_t *alone = malloc(ltx_reader_header(&r)->page_size);
    ASSERT(alone);
    while ((rc = ltx_reader_next(&r, &pgno, &page, &err)) > 0) {
        if (w)
            ASSERT(ltx_writer_page(w, pgno, page, &err) == 0);
        if (!index)
            continue;
        const struct ltx_index_entry *entry = ltx_index_find(index, pgno);
        ASSERT(entry);
        struct slice frame = slice_sub(file, (size_t)entry->offset, entry->bytes);
        ASSERT(ltx_frame_decode(frame, (uint32_t)page.n, pgno, alone, &err) == 0);
        ASSERT(memcmp(alone, page.p, page.n) == 0);
    }
    free(alone);
    return rc == 0;
}

static void round_trip(struct slice file, const struct ltx_header *h, uint64_t post_apply)
{
    CLEANUP(blob_writer_destroy) struct blob_writer out;
    CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
    CLEANUP(ltx_writer_close) struct ltx_writer w;
    CLEANUP(ltx_index_destroy) struct ltx_index index = {.count = 0};
    struct ltx_writer_args args = {.header = *h, .out = &out};
    struct error err = ERROR_INIT;
    uint64_t need;

    blob_writer_init(&out, env_real(), "/tmp", UINT64_C(1) << 30);
    ASSERT(ltx_index_parse(file, file.n, h->page_size, &index, &need, &err) == 1);
    ASSERT(ltx_writer_open(&w, &args, &err) == 0);
    ASSERT(file_read(file, &w, &index));
    ASSERT(ltx_writer_finish(&w, post_apply, NULL, &err) == 0);
    ASSERT(blob_writer_finish(&out, &blob, &err) == 0);
    ASSERT(file_read(slice_of(blob.p, (size_t)blob.bytes), NULL, NULL));
}

/* Makes the file checksum right if everything before it is. */
static void checksum_repair(uint8_t *file, size_t n)
{
    CLEANUP(ltx_decoder_destroy) struct ltx_decoder d;
    struct error err = ERROR_INIT;

    if (n < LTX_TRAILER_BYTES)
        return;
    uint8_t *trailer = file + n - LTX_TRAILER_BYTES;
    ltx_decoder_init(&d, &(struct ltx_decoder_args){.on_page = NULL});
    if (ltx_decoder_feed(&d, slice_of(file, n - LTX_TRAILER_BYTES), &err) == 0 &&
        d.state == LTX_DECODER_TRAILER)
        be64_store(trailer + 8, LTX_CHECKSUM_FLAG | crc64(d.crc, slice_of(trailer, 8)));
}

static void file_check(struct slice file, size_t chunk)
{
    CLEANUP(ltx_decoder_destroy) struct ltx_decoder d;
    struct error err = ERROR_INIT;
    struct ltx_trailer trailer;

    ltx_decoder_init(&d, &(struct ltx_decoder_args){.on_page = NULL});
    for (size_t at = 0; at < file.n; at += chunk) {
        if (ltx_decoder_feed(&d, slice_sub(file, at, chunk), &err) < 0) {
            ASSERT(err.code == ERR_CORRUPT);
            ASSERT(!file_read(file, NULL, NULL));
            return;
        }
    }
    bool is_whole = ltx_decoder_finish(&d, &trailer, &err) == 0;
    ASSERT(is_whole == file_read(file, NULL, NULL));
    if (is_whole)
        round_trip(file, ltx_decoder_header(&d), trailer.post_apply_checksum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    uint8_t *file = malloc(n);
    ASSERT(file);
    memcpy(file, data + 1, n - 1);
    if (data[0] & 1)
        checksum_repair(file, n - 1);
    file_check(slice_of(file, n - 1), (size_t)data[0] + 1);
    free(file);
    return 0;
}
