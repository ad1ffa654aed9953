/*
 * Reads an LTX file in memory or in a blob: the decoder behind a read buffer.
 *
 * open feeds the first 100 bytes only, so that afterwards the header is there and the decoder has
 * allocated its page. next feeds what is left, a buffer at a time, and stops at each page.
 */
#include "lib/ltx/reader.h"

#include <stdlib.h>

/* Makes the next bytes available; none are left when r->chunk is still empty afterwards. */
static int chunk_fill(struct ltx_reader *r, size_t n_max, struct error *err)
{
    if (!r->blob || r->chunk.n > 0)
        return 0;
    uint64_t left = r->blob->bytes - r->blob_offset;
    size_t n = left < n_max ? (size_t)left : n_max;
    if (blob_read(r->blob, r->blob_offset, r->buffer, n, err) < 0)
        return error_wrap(err, "LTX file");
    r->blob_offset += n;
    r->chunk = slice_of(r->buffer, n);
    return 0;
}

static int header_read(struct ltx_reader *r, struct error *err)
{
    uint32_t pgno;
    struct slice page;

    if (chunk_fill(r, LTX_HEADER_BYTES, err) < 0)
        return -1;
    struct slice first = slice_sub(r->chunk, 0, LTX_HEADER_BYTES);
    r->chunk = slice_sub(r->chunk, first.n, r->chunk.n);
    if (ltx_decoder_step(&r->decoder, &first, &pgno, &page, err) < 0)
        return -1;
    if (!ltx_decoder_header(&r->decoder))
        return ltx_decoder_finish(&r->decoder, NULL, err);
    return 0;
}

int ltx_reader_open(struct ltx_reader *r, const struct ltx_reader_args *args, struct error *err)
{
    *r = (struct ltx_reader){.blob = args->blob};
    ltx_decoder_init(&r->decoder, &(struct ltx_decoder_args){.pending_byte = args->pending_byte});
    if (r->blob) {
        r->buffer = mem_new(1, LTX_READER_BUFFER_BYTES, err);
        if (!r->buffer)
            return -1;
    } else {
        r->chunk = args->bytes;
    }
    if (header_read(r, err) < 0) {
        ltx_reader_close(r);
        return -1;
    }
    return 0;
}

const struct ltx_header *ltx_reader_header(const struct ltx_reader *r)
{
    return ltx_decoder_header(&r->decoder);
}

int ltx_reader_next(struct ltx_reader *r, uint32_t *out_pgno, struct slice *out_page,
                    struct error *err)
{
    for (;;) {
        if (chunk_fill(r, LTX_READER_BUFFER_BYTES, err) < 0)
            return -1;
        if (r->chunk.n == 0)
            return ltx_decoder_finish(&r->decoder, NULL, err);
        int rc = ltx_decoder_step(&r->decoder, &r->chunk, out_pgno, out_page, err);
        if (rc != 0)
            return rc;
    }
}

const struct ltx_trailer *ltx_reader_trailer(const struct ltx_reader *r)
{
    ASSERT(ltx_decoder_is_at_end(&r->decoder));
    return &r->decoder.trailer;
}

void ltx_reader_close(struct ltx_reader *r)
{
    ltx_decoder_destroy(&r->decoder);
    free(r->buffer);
    r->buffer = NULL;
    r->chunk = SLICE_EMPTY;
}
