/*
 * Reads an LTX file that is there as a whole, in memory or in a blob: the pull side, and the input
 * of merge.h. It is the decoder of decoder.h behind a read buffer: same checks, same errors.
 *
 * Threads: one at a time per reader; several readers may share a blob.
 */
#ifndef WALFERRY_LIB_LTX_READER_H
#define WALFERRY_LIB_LTX_READER_H

#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/blob.h"
#include "lib/ltx/decoder.h"
#include "lib/ltx/ltx.h"

enum {
    LTX_READER_BUFFER_BYTES = 32768, /* read from a blob at a time */
};

struct ltx_reader {
    struct ltx_decoder decoder;
    const struct blob *blob; /* NULL: the file is in memory */
    uint64_t blob_offset;    /* of what has not been read into buffer */
    uint8_t *buffer;
    struct slice chunk; /* what the decoder has not consumed */
};

struct ltx_reader_args {
    const struct blob *blob; /* the file; borrowed until close. Or, if NULL: */
    struct slice bytes;      /* the file in memory; borrowed until close */
    uint32_t pending_byte;   /* 0: DB_PENDING_BYTE */
};

/*
 * Opens a file and reads its header. ERR_CORRUPT, ERR_NO_MEMORY, ERR_IO.
 */
MUST_USE int ltx_reader_open(struct ltx_reader *r, const struct ltx_reader_args *args,
                             struct error *err);

/* The header. Borrowed from r. */
const struct ltx_header *ltx_reader_header(const struct ltx_reader *r);

/*
 * Reads the next page, in ascending page number.
 *
 * out_pgno  page number, from 1; never the lock page
 * out_page  exactly page_size bytes. Borrowed: valid until the next call on r
 *
 * Returns 1 for a page; 0 at the end, after index, trailer and checksums were verified (outputs
 * untouched; again 0 if asked again); -1 (only ltx_reader_close() may follow):
 *   ERR_CORRUPT    the text names the offset in the file
 *   ERR_IO         the blob cannot be read; worth another ltx_reader_open()
 *   ERR_NO_MEMORY
 */
MUST_USE int ltx_reader_next(struct ltx_reader *r, uint32_t *out_pgno, struct slice *out_page,
                             struct error *err);

/* The trailer; only after ltx_reader_next() answered 0 (asserted). Borrowed from r. */
const struct ltx_trailer *ltx_reader_trailer(const struct ltx_reader *r);

/* Frees what the reader holds. Accepts zeroed and failed ones. */
void ltx_reader_close(struct ltx_reader *r);

#endif
