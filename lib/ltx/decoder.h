/*
 * Decodes an LTX file from chunks as they arrive, of any size, in order: the push side, for bodies
 * from the network. (For a file that is there as a whole see reader.h, which stands on this.)
 *
 *     CLEANUP(ltx_decoder_destroy) struct ltx_decoder d = {0};
 *     ltx_decoder_init(&d, &(struct ltx_decoder_args){.on_page = page_write, .arg = restore});
 *     for each chunk: ltx_decoder_feed(&d, chunk, err)
 *     ltx_decoder_finish(&d, &trailer, err)
 *
 * Nothing is proven before ltx_decoder_finish() answers 0: the file checksum comes last. Checked
 * are header, frame flags, sizes and order, lock page, terminator, that the index is exactly that
 * of the frames seen, trailer, file checksum, that nothing follows; for snapshots that every page
 * is there and that the database has the checksum that trailer or extension say. Errors name the
 * offset in the file.
 *
 * Threads: one at a time per decoder. Memory: two pages (plus up to 8 MiB of LZ4 for the frames of
 * old Litestreams), whatever the file says.
 */
#ifndef WALFERRY_LIB_LTX_DECODER_H
#define WALFERRY_LIB_LTX_DECODER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/ltx/ltx.h"
#include "lib/ltx/page_codec.h"
#include "lib/ltx/page_order.h"

/*
 * Receives a page, in ascending page number; page is exactly page_size bytes, valid during the
 * call. -1 with err filled ends the decoding with that error.
 */
typedef int ltx_on_page_fn(void *arg, uint32_t pgno, struct slice page, struct error *err);

struct ltx_decoder_args {
    ltx_on_page_fn *on_page; /* for ltx_decoder_feed(); NULL: pages are only verified */
    void *arg;
    uint32_t pending_byte; /* 0: DB_PENDING_BYTE; tests of the lock page move it */
};

enum ltx_decoder_state {
    LTX_DECODER_HEADER,
    LTX_DECODER_PAGE_HEADER,
    LTX_DECODER_SIZE,
    LTX_DECODER_BLOCK,
    LTX_DECODER_LZ4F,
    LTX_DECODER_INDEX,
    LTX_DECODER_INDEX_LENGTH,
    LTX_DECODER_TRAILER,
    LTX_DECODER_END,
    LTX_DECODER_FAILED,
};

struct ltx_decoder {
    struct ltx_decoder_args args;
    enum ltx_decoder_state state;
    struct ltx_header header;
    struct ltx_trailer trailer;
    struct page_order order;
    struct page_lz4f lz4f;
    uint64_t offset;                 /* bytes of the file consumed */
    uint64_t frame_offset;           /* where the current frame begins */
    uint8_t field[LTX_HEADER_BYTES]; /* a fixed-size field while it arrives */
    size_t field_n;
    uint32_t pgno;        /* of the current frame */
    size_t block_bytes;   /* of the current block */
    size_t block_n;       /* of these in block */
    uint8_t *page;        /* a page, then room for a block; allocated after the header */
    uint64_t crc;         /* of the file so far */
    uint64_t db_checksum; /* of the pages so far; snapshots only */
    uint64_t index_bytes; /* of the index that the frames should have, ... */
    uint64_t index_crc;   /* ... its CRC, */
    uint64_t index_at;    /* and what was seen of it */
    uint64_t index_seen_crc;
};

/* Prepares a decoder; allocates nothing. args is copied. */
void ltx_decoder_init(struct ltx_decoder *d, const struct ltx_decoder_args *args);

/* Frees the memory. Accepts a zeroed one, and at any moment. */
void ltx_decoder_destroy(struct ltx_decoder *d);

/*
 * Consumes the next bytes of the file and calls on_page for each page that is whole.
 * ERR_CORRUPT; ERR_NO_MEMORY; what on_page answered. Then only ltx_decoder_destroy() may follow.
 */
MUST_USE int ltx_decoder_feed(struct ltx_decoder *d, struct slice chunk, struct error *err);

/*
 * Consumes bytes up to the next page: the pull form of feed, on_page is not called.
 *
 * io_chunk  the bytes; what was consumed is cut off its front
 *
 * Returns 1 for a page (*out_page is borrowed until the next call on d), 0 when io_chunk is used
 * up, -1 as ltx_decoder_feed().
 */
MUST_USE int ltx_decoder_step(struct ltx_decoder *d, struct slice *io_chunk, uint32_t *out_pgno,
                              struct slice *out_page, struct error *err);

/* The header, or NULL until its 100 bytes have arrived. Borrowed from d. */
const struct ltx_header *ltx_decoder_header(const struct ltx_decoder *d);

/* Whether the trailer has arrived and all was right: any further byte is an error. */
bool ltx_decoder_is_at_end(const struct ltx_decoder *d);

/*
 * The bytes have ended: the file is whole and proven, or ERR_CORRUPT ("ends after N bytes in ...").
 * out_trailer may be NULL.
 */
MUST_USE int ltx_decoder_finish(struct ltx_decoder *d, struct ltx_trailer *out_trailer,
                                struct error *err);

#endif
