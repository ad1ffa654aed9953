/*
 * Decodes an LTX file from chunks. The format is in ltx.h.
 *
 * A state machine that consumes what a state needs and no more:
 *
 *   HEADER -> PAGE_HEADER -> SIZE -> BLOCK --page--> PAGE_HEADER      (flags 1)
 *             PAGE_HEADER -> LZ4F ---------page--> PAGE_HEADER        (flags 0)
 *             PAGE_HEADER (zeros) -> INDEX -> INDEX_LENGTH -> TRAILER -> END
 *   any -> FAILED
 *
 * Fields of fixed size are collected in `field`. A block that lies whole in the chunk is
 * decompressed from there, else collected behind the page.
 *
 * The index is not parsed. From the frames seen we know each byte that it must have, so its length
 * and CRC are computed while they pass and compared with what arrives: memory stays the same for
 * any number of pages, and an index that differs in a single bit (or is written in another form
 * than the shortest) is refused.
 *
 * For a snapshot the checksum of the database is computed too and compared with the trailer's (in
 * files that have checksums) and our extension's.
 */
#include "lib/ltx/decoder.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/ltx/crc64.h"
#include "lib/ltx/varint.h"

#define FRAME_FLAG_SIZE 1

enum {
    SIZE_BYTES = 4,
    INDEX_LENGTH_BYTES = 8,
};

void ltx_decoder_init(struct ltx_decoder *d, const struct ltx_decoder_args *args)
{
    *d = (struct ltx_decoder){.args = *args, .db_checksum = LTX_CHECKSUM_FLAG};
}

void ltx_decoder_destroy(struct ltx_decoder *d)
{
    page_lz4f_destroy(&d->lz4f);
    free(d->page);
    d->page = NULL;
}

const struct ltx_header *ltx_decoder_header(const struct ltx_decoder *d)
{
    return d->page ? &d->header : NULL;
}

bool ltx_decoder_is_at_end(const struct ltx_decoder *d)
{
    return d->state == LTX_DECODER_END;
}

/* Consumes up to n bytes. */
static struct slice take(struct ltx_decoder *d, struct slice *io_chunk, size_t n)
{
    struct slice taken = slice_sub(*io_chunk, 0, n);
    *io_chunk = slice_sub(*io_chunk, taken.n, io_chunk->n);
    d->offset += taken.n;
    return taken;
}

/* Collects a field of n bytes; true once it is whole. */
static bool field_take(struct ltx_decoder *d, struct slice *io_chunk, size_t n)
{
    ASSERT(n <= sizeof(d->field));
    struct slice part = take(d, io_chunk, n - d->field_n);
    memcpy(d->field + d->field_n, part.p, part.n);
    d->field_n += part.n;
    if (d->field_n < n)
        return false;
    d->field_n = 0;
    return true;
}

static int header_end(struct ltx_decoder *d, struct error *err)
{
    struct slice bytes = slice_of(d->field, LTX_HEADER_BYTES);

    if (ltx_header_decode(bytes, &d->header, err) < 0)
        return -1;
    page_order_init(&d->order, &d->header, d->args.pending_byte);
    uint32_t page_size = d->header.page_size;
    d->page = mem_new(1, page_size + page_block_bytes_max(page_size), err);
    if (!d->page)
        return -1;
    d->crc = crc64(0, bytes);
    d->state = LTX_DECODER_PAGE_HEADER;
    return 0;
}

/* The frames have ended: what the index must look like is known now. */
static int terminator_end(struct ltx_decoder *d, struct error *err)
{
    static const uint8_t zero;

    if (page_order_end(&d->order, err) < 0)
        return error_wrap(err, "LTX file at offset %" PRIu64, d->frame_offset);
    d->index_crc = crc64(d->index_crc, slice_of(&zero, 1));
    d->index_bytes++;
    d->state = LTX_DECODER_INDEX;
    return 0;
}

static int page_header_end(struct ltx_decoder *d, struct error *err)
{
    uint32_t pgno = be32_load(d->field);
    uint16_t flags = be16_load(d->field + 4);

    d->frame_offset = d->offset - LTX_PAGE_HEADER_BYTES;
    d->crc = crc64(d->crc, slice_of(d->field, LTX_PAGE_HEADER_BYTES));
    if (pgno == 0 && flags == 0)
        return terminator_end(d, err);
    if ((flags & ~FRAME_FLAG_SIZE) != 0) {
        (void)error_set(err, ERR_CORRUPT, 0, "frame of page %u has unknown flags %04x", pgno,
                        flags);
        return error_wrap(err, "LTX file at offset %" PRIu64, d->frame_offset);
    }
    if (page_order_next(&d->order, pgno, err) < 0)
        return error_wrap(err, "LTX file at offset %" PRIu64, d->frame_offset);
    d->pgno = pgno;
    d->state = flags ? LTX_DECODER_SIZE : LTX_DECODER_LZ4F;
    return 0;
}

static int size_end(struct ltx_decoder *d, struct error *err)
{
    uint32_t n = be32_load(d->field);

    if (n == 0 || n > page_block_bytes_max(d->header.page_size)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file at offset %" PRIu64 ": page %u has a block of %u bytes",
                         d->frame_offset, d->pgno, n);
    }
    d->crc = crc64(d->crc, slice_of(d->field, SIZE_BYTES));
    d->block_bytes = n;
    d->block_n = 0;
    d->state = LTX_DECODER_BLOCK;
    return 0;
}

/* The page is there: it takes part in every checksum and has its entry in the index. */
static void page_end(struct ltx_decoder *d)
{
    struct slice page = slice_of(d->page, d->header.page_size);
    uint8_t entry[INDEX_ENTRY_BYTES_MAX];
    size_t n = index_entry_encode(d->pgno, d->frame_offset, d->offset - d->frame_offset, entry);

    d->index_crc = crc64(d->index_crc, slice_of(entry, n));
    d->index_bytes += n;
    d->crc = crc64(d->crc, page);
    if (ltx_header_is_snapshot(&d->header) && (d->header.has_checksums || d->header.has_ext))
        d->db_checksum = ltx_db_checksum_toggle(d->db_checksum, ltx_page_checksum(d->pgno, page));
    d->state = LTX_DECODER_PAGE_HEADER;
}

/* Collects and decompresses a block. 1 with a page, 0 if more bytes are needed. */
static int block_take(struct ltx_decoder *d, struct slice *io_chunk, struct error *err)
{
    uint32_t page_size = d->header.page_size;
    struct slice block = take(d, io_chunk, d->block_bytes - d->block_n);

    if (block.n < d->block_bytes) {
        memcpy(d->page + page_size + d->block_n, block.p, block.n);
        d->block_n += block.n;
        if (d->block_n < d->block_bytes)
            return 0;
        block = slice_of(d->page + page_size, d->block_bytes);
    }
    if (page_decompress(block, d->page, page_size, err) < 0)
        return error_wrap(err, "LTX file at offset %" PRIu64 ": page %u", d->frame_offset, d->pgno);
    page_end(d);
    return 1;
}

/* The same for a frame of an old Litestream. */
static int lz4f_take(struct ltx_decoder *d, struct slice *io_chunk, struct error *err)
{
    size_t before = io_chunk->n;
    int rc = page_lz4f_feed(&d->lz4f, io_chunk, d->page, d->header.page_size, err);

    d->offset += before - io_chunk->n;
    if (rc < 0)
        return error_wrap(err, "LTX file at offset %" PRIu64 ": page %u", d->frame_offset, d->pgno);
    if (rc > 0)
        page_end(d);
    return rc;
}

static int index_take(struct ltx_decoder *d, struct slice *io_chunk, struct error *err)
{
    uint64_t left = d->index_bytes - d->index_at;
    struct slice part = take(d, io_chunk, left < io_chunk->n ? (size_t)left : io_chunk->n);

    d->crc = crc64(d->crc, part);
    d->index_seen_crc = crc64(d->index_seen_crc, part);
    d->index_at += part.n;
    if (d->index_at < d->index_bytes)
        return 0;
    if (d->index_seen_crc != d->index_crc) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file at offset %" PRIu64
                         ": page index does not describe the frames before it",
                         d->offset - d->index_bytes);
    }
    d->state = LTX_DECODER_INDEX_LENGTH;
    return 0;
}

static int index_length_end(struct ltx_decoder *d, struct error *err)
{
    uint64_t n = be64_load(d->field);

    if (n != d->index_bytes) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file at offset %" PRIu64 ": page index has %" PRIu64
                         " bytes, its length says %" PRIu64,
                         d->offset - INDEX_LENGTH_BYTES, d->index_bytes, n);
    }
    d->crc = crc64(d->crc, slice_of(d->field, INDEX_LENGTH_BYTES));
    d->state = LTX_DECODER_TRAILER;
    return 0;
}

/* Compares the checksum of the database that the pages of a snapshot have with the promised ones.
 */
static int db_checksum_check(const struct ltx_decoder *d, struct error *err)
{
    if (!ltx_header_is_snapshot(&d->header))
        return 0;
    if (d->header.has_checksums && d->trailer.post_apply_checksum != d->db_checksum) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file: its pages have database checksum %016" PRIx64
                         ", its trailer says %016" PRIx64,
                         d->db_checksum, d->trailer.post_apply_checksum);
    }
    if (d->header.has_ext && d->header.db_checksum != d->db_checksum) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file: its pages have database checksum %016" PRIx64
                         ", its header says %016" PRIx64,
                         d->db_checksum, d->header.db_checksum);
    }
    return 0;
}

static int trailer_end(struct ltx_decoder *d, struct error *err)
{
    if (ltx_trailer_decode(d->field, &d->header, &d->trailer, err) < 0)
        return -1;
    uint64_t computed = LTX_CHECKSUM_FLAG | crc64(d->crc, slice_of(d->field, 8));
    if (computed != d->trailer.file_checksum) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file: file checksum is %016" PRIx64 ", its trailer says %016" PRIx64,
                         computed, d->trailer.file_checksum);
    }
    if (db_checksum_check(d, err) < 0)
        return -1;
    d->state = LTX_DECODER_END;
    return 0;
}

/* A state that waits for a field: how long it is and what follows. 0 or -1. */
static int field_step(struct ltx_decoder *d, struct slice *io_chunk, size_t n,
                      int (*end)(struct ltx_decoder *d, struct error *err), struct error *err)
{
    return field_take(d, io_chunk, n) ? end(d, err) : 0;
}

/* Lets the state consume what it can. 1 with a page, 0, -1. */
static int state_step(struct ltx_decoder *d, struct slice *io_chunk, struct error *err)
{
    switch (d->state) {
    case LTX_DECODER_HEADER:
        return field_step(d, io_chunk, LTX_HEADER_BYTES, header_end, err);
    case LTX_DECODER_PAGE_HEADER:
        return field_step(d, io_chunk, LTX_PAGE_HEADER_BYTES, page_header_end, err);
    case LTX_DECODER_SIZE:
        return field_step(d, io_chunk, SIZE_BYTES, size_end, err);
    case LTX_DECODER_BLOCK:
        return block_take(d, io_chunk, err);
    case LTX_DECODER_LZ4F:
        return lz4f_take(d, io_chunk, err);
    case LTX_DECODER_INDEX:
        return index_take(d, io_chunk, err);
    case LTX_DECODER_INDEX_LENGTH:
        return field_step(d, io_chunk, INDEX_LENGTH_BYTES, index_length_end, err);
    case LTX_DECODER_TRAILER:
        return field_step(d, io_chunk, LTX_TRAILER_BYTES, trailer_end, err);
    case LTX_DECODER_END:
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file at offset %" PRIu64 ": %zu bytes follow the trailer", d->offset,
                         io_chunk->n);
    case LTX_DECODER_FAILED:
        break;
    }
    ASSERT(d->state != LTX_DECODER_FAILED);
    return -1;
}

int ltx_decoder_step(struct ltx_decoder *d, struct slice *io_chunk, uint32_t *out_pgno,
                     struct slice *out_page, struct error *err)
{
    while (io_chunk->n > 0) {
        ASSERT(io_chunk->p);
        int rc = state_step(d, io_chunk, err);
        if (rc < 0) {
            d->state = LTX_DECODER_FAILED;
            return -1;
        }
        if (rc > 0) {
            *out_pgno = d->pgno;
            *out_page = slice_of(d->page, d->header.page_size);
            return 1;
        }
    }
    return 0;
}

int ltx_decoder_feed(struct ltx_decoder *d, struct slice chunk, struct error *err)
{
    uint32_t pgno;
    struct slice page;
    int rc;

    while ((rc = ltx_decoder_step(d, &chunk, &pgno, &page, err)) > 0) {
        if (d->args.on_page && d->args.on_page(d->args.arg, pgno, page, err) < 0) {
            d->state = LTX_DECODER_FAILED;
            return -1;
        }
    }
    return rc;
}

/* Where a file ended too early, for people. */
static const char *state_part(enum ltx_decoder_state state)
{
    switch (state) {
    case LTX_DECODER_HEADER:
        return "header";
    case LTX_DECODER_PAGE_HEADER:
    case LTX_DECODER_SIZE:
    case LTX_DECODER_BLOCK:
    case LTX_DECODER_LZ4F:
        return "page frames";
    case LTX_DECODER_INDEX:
    case LTX_DECODER_INDEX_LENGTH:
        return "page index";
    case LTX_DECODER_TRAILER:
        return "trailer";
    case LTX_DECODER_END:
    case LTX_DECODER_FAILED:
        break;
    }
    return "end";
}

int ltx_decoder_finish(struct ltx_decoder *d, struct ltx_trailer *out_trailer, struct error *err)
{
    ASSERT(d->state != LTX_DECODER_FAILED);
    if (d->state != LTX_DECODER_END) {
        return error_set(err, ERR_CORRUPT, 0, "LTX file ends after %" PRIu64 " bytes, in its %s",
                         d->offset, state_part(d->state));
    }
    if (out_trailer)
        *out_trailer = d->trailer;
    return 0;
}
