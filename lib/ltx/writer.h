/*
 * Writes an LTX file: header, pages in ascending order, index, trailer.
 *
 *     CLEANUP(ltx_writer_close) struct ltx_writer w = {0};
 *     if (ltx_writer_open(&w, &(struct ltx_writer_args){.header = h, .out = &blob}, err) < 0) ...
 *     for each page: ltx_writer_page(&w, pgno, page, err)
 *     ltx_writer_finish(&w, 0, &trailer, err); then blob_writer_finish(&blob, ...)
 *
 * The header comes first and is covered by the file checksum. All of it must be known at open, but
 * for the extension's db_checksum, which ltx_writer_set_db_checksum() may tell later: whoever
 * learns it from the pages need not read them twice. For a snapshot (MinTXID 1) the writer sees every page: it computes the checksum of
 * the database again and refuses to finish a file whose header promised another one.
 *
 * Threads: one at a time. Memory: LZ4's state (16 KiB) and the index, which
 * goes to a temporary file like the blob itself when it grows beyond LTX_WRITER_INDEX_BYTES.
 */
#ifndef WALFERRY_LIB_LTX_WRITER_H
#define WALFERRY_LIB_LTX_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/blob.h"
#include "lib/ltx/crc64.h"
#include "lib/ltx/ltx.h"
#include "lib/ltx/page_codec.h"
#include "lib/ltx/page_order.h"

enum {
    LTX_WRITER_INDEX_BYTES = 1 << 20, /* of the index kept in memory */
};

struct ltx_writer_args {
    struct ltx_header header;
    struct blob_writer
        *out;              /* where the file goes; borrowed until finish or close, empty at open */
    uint32_t pending_byte; /* 0: DB_PENDING_BYTE; tests of the lock page move it */
};

struct ltx_writer {
    struct ltx_header header;
    struct blob_writer *out;
    struct blob_writer index;
    struct page_order order;
    struct page_compressor compressor;
    uint64_t crc;          /* of the file so far */
    uint64_t summed_bytes; /* that crc covers */
    struct crc64_length page_length;
    uint64_t db_checksum; /* of the pages so far; snapshots only */
    bool is_open;
};

/*
 * Checks and writes the header. args is read, not kept, except args->out.
 * ERR_CORRUPT: ltx_header_check(). ERR_NO_MEMORY, ERR_NO_SPACE, ERR_IO.
 */
MUST_USE int ltx_writer_open(struct ltx_writer *w, const struct ltx_writer_args *args,
                             struct error *err);

/*
 * Adds a page.
 *
 * pgno  greater than the one before, at most header.commit, never the lock page; in a snapshot
 *       the next one that is not the lock page
 * page  exactly page_size bytes (asserted)
 *
 * ERR_CORRUPT: pgno breaks one of these rules (merged input can make it so). ERR_NO_SPACE, ERR_IO,
 * ERR_NO_MEMORY. After a failure only ltx_writer_close() may follow.
 */
MUST_USE int ltx_writer_page(struct ltx_writer *w, uint32_t pgno, struct slice page,
                             struct error *err);

/*
 * The same for a caller that has summed the page already: page_crc is crc64(0, page), from which
 * ltx_page_checksum_of_crc() makes the page's checksum. So each page is summed once, for the map, the
 * database and the file. A wrong one makes a file whose checksum is wrong, too; in a snapshot
 * ltx_writer_finish() finds it.
 */
MUST_USE int ltx_writer_page_summed(struct ltx_writer *w, uint32_t pgno, struct slice page,
                                    uint64_t page_crc, struct error *err);

/*
 * Puts another db_checksum into the header's extension, which there must be (asserted); any time
 * between open and finish. The file is as if it had been opened with it. Some 10 us.
 * ERR_CORRUPT: ltx_header_check(). ERR_IO, ERR_NO_SPACE.
 */
MUST_USE int ltx_writer_set_db_checksum(struct ltx_writer *w, uint64_t db_checksum,
                                        struct error *err);

/*
 * The same when the header is out of the writer's reach, because the blob writer was cut behind it:
 * whoever has those bytes replaces the first LTX_HEADER_BYTES by out_header.
 */
MUST_USE int ltx_writer_amend_db_checksum(struct ltx_writer *w, uint64_t db_checksum,
                                          uint8_t out_header[static LTX_HEADER_BYTES],
                                          struct error *err);

/*
 * Writes index and trailer. The blob then holds the whole file; the writer is closed.
 *
 * post_apply_checksum  of the database, if header.has_checksums; else 0 (asserted)
 * out_trailer          what was written; may be NULL
 *
 * ERR_CORRUPT: a snapshot lacks pages, or the pages do not have the checksum that the header's
 * extension (or post_apply_checksum) promises. ERR_NO_SPACE, ERR_IO, ERR_NO_MEMORY.
 */
MUST_USE int ltx_writer_finish(struct ltx_writer *w, uint64_t post_apply_checksum,
                               struct ltx_trailer *out_trailer, struct error *err);

/* Bytes of the file so far; after finish its length. */
uint64_t ltx_writer_bytes(const struct ltx_writer *w);

/* Frees what the writer holds; the blob keeps what was written. Accepts zeroed and finished ones.
 */
void ltx_writer_close(struct ltx_writer *w);

#endif
