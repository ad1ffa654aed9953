/*
 * Writes an LTX file into a blob. The format is in ltx.h.
 *
 * Step 1, open: the header is checked, written, and begins the file checksum.
 * Step 2, each page: its frame (flags 1, an LZ4 block) is built where it lies in the blob;
 *         the checksum takes the frame's header and the page as it is, not the block. The entry of
 *         the index goes to a second blob writer, which spills as the first does, so that a
 *         snapshot of any size needs bounded memory.
 * Step 3, finish: terminator, index, its length, trailer.
 *
 * For a snapshot the checksum of the database is computed along the way and compared with what the
 * header or the caller promises: a wrong object must not reach the bucket.
 *
 * A header that learns its database checksum late is written twice. The file checksum is a CRC, so
 * it need not be computed anew: two files that differ in their first bytes only have checksums that
 * differ by the CRC of that difference, moved ahead by the number of bytes behind it.
 */
#include "lib/ltx/writer.h"

#include <inttypes.h>

#include "lib/ltx/crc64.h"
#include "lib/ltx/varint.h"

#define FRAME_FLAG_SIZE 1

enum {
    INDEX_COPY_BYTES = 16384,
};

/* Appends bytes that the file checksum covers as they are. */
static int put_summed(struct ltx_writer *w, struct slice bytes, struct error *err)
{
    w->crc = crc64(w->crc, bytes);
    w->summed_bytes += bytes.n;
    return blob_writer_append(w->out, bytes, err);
}

static bool knows_db_checksum(const struct ltx_header *h)
{
    return ltx_header_is_snapshot(h) && (h->has_ext || h->has_checksums);
}

int ltx_writer_open(struct ltx_writer *w, const struct ltx_writer_args *args, struct error *err)
{
    uint8_t header[LTX_HEADER_BYTES];

    ASSERT(blob_writer_bytes(args->out) == 0);
    *w = (struct ltx_writer){
        .header = args->header,
        .out = args->out,
        .db_checksum = LTX_CHECKSUM_FLAG,
    };
    if (ltx_header_encode(&w->header, header, err) < 0)
        return -1;
    w->page_length = crc64_length_of(w->header.page_size);
    page_order_init(&w->order, &w->header, args->pending_byte);
    if (page_compressor_init(&w->compressor, err) < 0)
        return -1;
    blob_writer_init(&w->index, w->out->env, w->out->folder, LTX_WRITER_INDEX_BYTES);
    w->is_open = true;
    return put_summed(w, slice_of(header, sizeof(header)), err);
}

/* Step 2, the index: one more entry. */
static int index_add(struct ltx_writer *w, uint32_t pgno, uint64_t offset, size_t frame_bytes,
                     struct error *err)
{
    uint8_t entry[INDEX_ENTRY_BYTES_MAX];
    size_t n = index_entry_encode(pgno, offset, frame_bytes, entry);

    if (blob_writer_append(&w->index, slice_of(entry, n), err) < 0)
        return error_wrap(err, "page index");
    return 0;
}

int ltx_writer_amend_db_checksum(struct ltx_writer *w, uint64_t db_checksum,
                                 uint8_t out_header[static LTX_HEADER_BYTES], struct error *err)
{
    uint8_t before[LTX_HEADER_BYTES];

    ASSERT(w->is_open && w->header.has_ext);
    if (ltx_header_encode(&w->header, before, err) < 0)
        return -1;
    w->header.db_checksum = db_checksum;
    if (ltx_header_encode(&w->header, out_header, err) < 0)
        return -1;
    uint64_t difference = crc64(0, slice_of(before, sizeof(before))) ^
                          crc64(0, slice_of(out_header, LTX_HEADER_BYTES));
    w->crc ^= crc64_combine(difference, 0, w->summed_bytes - LTX_HEADER_BYTES);
    return 0;
}

int ltx_writer_set_db_checksum(struct ltx_writer *w, uint64_t db_checksum, struct error *err)
{
    uint8_t header[LTX_HEADER_BYTES];

    if (ltx_writer_amend_db_checksum(w, db_checksum, header, err) < 0)
        return -1;
    return blob_writer_rewrite(w->out, 0, slice_of(header, sizeof(header)), err);
}

int ltx_writer_page(struct ltx_writer *w, uint32_t pgno, struct slice page, struct error *err)
{
    return ltx_writer_page_summed(w, pgno, page, crc64(0, page), err);
}

int ltx_writer_page_summed(struct ltx_writer *w, uint32_t pgno, struct slice page,
                           uint64_t page_crc, struct error *err)
{
    uint8_t *frame;

    ASSERT(w->is_open);
    ASSERT(page.n == w->header.page_size);
    if (page_order_next(&w->order, pgno, err) < 0)
        return error_wrap(err, "LTX file");
    if (knows_db_checksum(&w->header)) {
        uint64_t checksum = ltx_page_checksum_of_crc(pgno, page_crc, &w->page_length);
        w->db_checksum = ltx_db_checksum_toggle(w->db_checksum, checksum);
    }

    size_t room = LTX_FRAME_HEADER_BYTES + page_block_bytes_max(w->header.page_size);
    if (blob_writer_room(w->out, room, &frame, err) < 0)
        return -1;
    size_t block_bytes = page_compress(&w->compressor, page, frame + LTX_FRAME_HEADER_BYTES);
    be32_store(frame, pgno);
    be16_store(frame + 4, FRAME_FLAG_SIZE);
    be32_store(frame + 6, (uint32_t)block_bytes);
    w->crc = crc64_join(crc64(w->crc, slice_of(frame, LTX_FRAME_HEADER_BYTES)), page_crc,
                        &w->page_length);
    w->summed_bytes += LTX_FRAME_HEADER_BYTES + page.n;

    size_t frame_bytes = LTX_FRAME_HEADER_BYTES + block_bytes;
    if (index_add(w, pgno, blob_writer_bytes(w->out), frame_bytes, err) < 0)
        return -1;
    blob_writer_made(w->out, frame_bytes);
    return 0;
}

/* A snapshot has shown the whole database: it must be the promised one. */
static int promise_check(const struct ltx_writer *w, uint64_t post_apply_checksum,
                         struct error *err)
{
    if (!knows_db_checksum(&w->header))
        return 0;
    if (w->header.has_ext && w->header.db_checksum != w->db_checksum) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file: its pages have database checksum %016" PRIx64
                         ", its header says %016" PRIx64,
                         w->db_checksum, w->header.db_checksum);
    }
    if (w->header.has_checksums && post_apply_checksum != w->db_checksum) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX file: its pages have database checksum %016" PRIx64
                         ", post-apply checksum is %016" PRIx64,
                         w->db_checksum, post_apply_checksum);
    }
    return 0;
}

/* Copies the index behind the frames. */
static int index_copy(struct ltx_writer *w, uint64_t *out_bytes, struct error *err)
{
    CLEANUP(blob_destroy) struct blob index = BLOB_INIT;
    uint8_t part[INDEX_COPY_BYTES];

    if (blob_writer_finish(&w->index, &index, err) < 0)
        return -1;
    for (uint64_t at = 0; at < index.bytes;) {
        size_t n = index.bytes - at < sizeof(part) ? (size_t)(index.bytes - at) : sizeof(part);
        if (blob_read(&index, at, part, n, err) < 0 || put_summed(w, slice_of(part, n), err) < 0)
            return -1;
        at += n;
    }
    *out_bytes = index.bytes;
    return 0;
}

/* Step 3, up to the trailer. */
static int end_and_index(struct ltx_writer *w, struct error *err)
{
    static const uint8_t terminator[LTX_PAGE_HEADER_BYTES];
    uint8_t end[1 + 8] = {0}; /* of the index: the zero byte, its length */
    uint64_t index_bytes;

    if (put_summed(w, slice_of(terminator, sizeof(terminator)), err) < 0)
        return -1;
    if (index_copy(w, &index_bytes, err) < 0)
        return error_wrap(err, "page index");
    be64_store(end + 1, index_bytes + 1);
    return put_summed(w, slice_of(end, sizeof(end)), err);
}

int ltx_writer_finish(struct ltx_writer *w, uint64_t post_apply_checksum,
                      struct ltx_trailer *out_trailer, struct error *err)
{
    uint8_t bytes[LTX_TRAILER_BYTES];
    struct ltx_trailer trailer = {.post_apply_checksum = post_apply_checksum};

    ASSERT(w->is_open);
    ASSERT(w->header.has_checksums == (post_apply_checksum != 0));
    if (page_order_end(&w->order, err) < 0)
        return error_wrap(err, "LTX file");
    if (promise_check(w, post_apply_checksum, err) < 0 || end_and_index(w, err) < 0)
        return -1;
    ltx_trailer_encode(&trailer, bytes);
    trailer.file_checksum = LTX_CHECKSUM_FLAG | crc64(w->crc, slice_of(bytes, 8));
    ltx_trailer_encode(&trailer, bytes);
    if (blob_writer_append(w->out, slice_of(bytes, sizeof(bytes)), err) < 0)
        return -1;
    if (out_trailer)
        *out_trailer = trailer;
    ltx_writer_close(w);
    return 0;
}

uint64_t ltx_writer_bytes(const struct ltx_writer *w)
{
    return blob_writer_bytes(w->out);
}

void ltx_writer_close(struct ltx_writer *w)
{
    if (w->compressor.lz4)
        blob_writer_destroy(&w->index);
    page_compressor_destroy(&w->compressor);
    w->is_open = false;
}
