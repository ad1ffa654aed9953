/*
 * lib/ltx: LTX v3, the files in the bucket. Each leads a database from one state to another: the
 * newest version of every page that changed, compressed, in ascending order, with an index.
 *
 *   ltx.h         header, trailer, checksums, TXIDs (this file)
 *   writer.h      pages in, a file out
 *   reader.h      a file in memory or in a blob, page by page
 *   decoder.h     the same from chunks as they arrive from the network
 *   index.h       the page index from the end of a file; one frame from a ranged GET
 *   merge.h       several files to one
 *   page_codec.h  LZ4 of one page
 *   crc64.h       CRC-64/GO-ISO
 *
 * A file, all integers big-endian:
 *
 *   offset  bytes  content
 *   0       100    header, below
 *   100     ...    frames, strictly ascending page number:
 *                    u32 page number, u16 flags, then
 *                    flags 1: u32 N, N bytes of an LZ4 block of exactly one page
 *                    flags 0: an LZ4 frame of exactly one page (Litestream 0.5.0 to 0.5.15)
 *   ...     6      zeros: end of the frames
 *   ...     ...    index: for each frame three unsigned LEB128 (page number, offset of the frame,
 *                  bytes of the frame), a zero byte, u64 bytes of all that
 *   -16     8      post-apply checksum of the database; 0 in a file without checksums
 *   -8      8      file checksum: CRC-64 | 1 << 63 of everything before it, with each frame's
 *                  payload replaced by the page as it is uncompressed
 *
 * The header:
 *
 *   offset  bytes  field
 *   0       4      "LTX1"
 *   4       4      flags: bit 1 = no checksums of the database; all others 0
 *   8       4      page size, a power of two from 512 to 65536
 *   12      4      commit: size of the database in pages after this file
 *   16      8      MinTXID, from 1; 1 means that the file is a snapshot: it has every page
 *   24      8      MaxTXID
 *   32      8      timestamp, milliseconds since 1970, signed
 *   40      8      pre-apply checksum of the database; 0 without checksums and for snapshots
 *   48      8      offset in the WAL where this file begins; 0: not made from a WAL
 *   56      8      bytes of the WAL that it covers
 *   64      4+4    salts of the WAL
 *   72      8      node id: ours is epoch << 32 | owner
 *   80      20     zero, or our extension: "WFX1", u64 checksum of the database after this file,
 *                  2 x u32 running checksum of the WAL at its end
 *
 * Litestream ignores node id and extension, and the file checksum covers them. It refuses to merge
 * files with checksums, so we write none (bit 1) and keep ours in the extension.
 *
 * The checksum of a page is CRC-64 | 1 << 63 of its number (u32) and content; that of a database
 * is 1 << 63 XOR-ed with those of all its pages but the lock page, bit 63 kept set. So a changed
 * page is XOR-ed out and in again.
 *
 * Source: github.com/superfly/ltx v0.5.2 (ltx.go, encoder.go, decoder.go). Threads: all functions
 * of this header are pure.
 */
#ifndef WALFERRY_LIB_LTX_LTX_H
#define WALFERRY_LIB_LTX_LTX_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/ltx/crc64.h"
#include "lib/sqlite/db_header.h"
#include "lib/sqlite/wal_format.h"

enum {
    LTX_HEADER_BYTES = 100,
    LTX_PAGE_HEADER_BYTES = 6,   /* page number and flags: also the terminator */
    LTX_FRAME_HEADER_BYTES = 10, /* with the size field that our frames have */
    LTX_TRAILER_BYTES = 16,
    LTX_FILE_BYTES_MIN = 100 + 6 + 9 + 16, /* a file without pages */
    LTX_TXID_TEXT_BYTES = 17,              /* 16 hex digits and the terminator */
};

/* Set in every checksum that is stored, so that 0 means "none". */
#define LTX_CHECKSUM_FLAG (UINT64_C(1) << 63)

struct ltx_header {
    bool has_checksums; /* pre- and post-apply checksums are there (LiteFS); Litestream: false */
    uint32_t page_size; /* bytes; a power of two from 512 to 65536 */
    uint32_t commit;    /* pages of the database after this file */
    uint64_t min_txid;  /* from 1 */
    uint64_t max_txid;  /* >= min_txid */
    int64_t timestamp_ms;
    uint64_t pre_apply_checksum;
    int64_t wal_offset;
    int64_t wal_bytes;
    struct wal_salt wal_salt;
    uint64_t node_id; /* as stored; encoding ignores it if has_ext */

    bool has_ext;               /* the rest is our extension; all 0 if false */
    uint32_t epoch;             /* of the writer: the highest in the bucket + 1 when it attached */
    uint32_t owner;             /* random number of that attachment */
    uint64_t db_checksum;       /* of the database after this file; bit 63 set */
    struct wal_cksum wal_cksum; /* running checksum of the WAL at wal_offset + wal_bytes */
};

struct ltx_trailer {
    uint64_t post_apply_checksum; /* 0 without checksums */
    uint64_t file_checksum;       /* bit 63 set */
};

/* Whether the file has every page: what a restore can begin with. */
static inline bool ltx_header_is_snapshot(const struct ltx_header *h)
{
    return h->min_txid == 1;
}

/*
 * Whether the fields agree with each other and with the format: page size, TXIDs, WAL fields,
 * checksums. Reader and writer ask the same question. ERR_CORRUPT names field and value.
 */
MUST_USE int ltx_header_check(const struct ltx_header *h, struct error *err);

/*
 * Writes the header. What ltx_header_check() would refuse is refused here with its ERR_CORRUPT.
 */
MUST_USE int ltx_header_encode(const struct ltx_header *h, uint8_t out[static LTX_HEADER_BYTES],
                               struct error *err);

/*
 * Decodes and checks a header.
 *
 * bytes  the beginning of a file; what follows 100 bytes is ignored
 *
 * ERR_CORRUPT: too short, other magic, unknown flags, or ltx_header_check(); names the offset.
 */
MUST_USE int ltx_header_decode(struct slice bytes, struct ltx_header *out, struct error *err);

/* Moment of the file in nanoseconds since 1970; 0 for one before that. */
uint64_t ltx_header_time_ns(const struct ltx_header *h);

/* Writes a trailer. */
void ltx_trailer_encode(const struct ltx_trailer *t, uint8_t out[static LTX_TRAILER_BYTES]);

/*
 * Decodes a trailer and checks it against its header: no checksum without the flag, the flag in
 * each that is there, an empty database has exactly the flag. ERR_CORRUPT.
 */
MUST_USE int ltx_trailer_decode(const uint8_t bytes[static LTX_TRAILER_BYTES],
                                const struct ltx_header *h, struct ltx_trailer *out,
                                struct error *err);

/* Checksum of one page: its number and content. Bit 63 set. Cost: 0.3 us for 4 KiB with PCLMULQDQ.
 */
uint64_t ltx_page_checksum(uint32_t pgno, struct slice page);

/* The same from the CRC of the page's content alone, whose length is that of pages. Some 30 ns. */
uint64_t ltx_page_checksum_of_crc(uint32_t pgno, uint64_t page_crc,
                                  const struct crc64_length *page_length);

/*
 * Checksum of a database after a page went in or out (the operation is its own inverse). An empty
 * database has LTX_CHECKSUM_FLAG. The lock page never takes part.
 */
static inline uint64_t ltx_db_checksum_toggle(uint64_t db_checksum, uint64_t page_checksum)
{
    return LTX_CHECKSUM_FLAG | (db_checksum ^ page_checksum);
}

/* A TXID as in names of objects: 16 lower-case hex digits. Returns out. */
const char *ltx_txid_format(uint64_t txid, char out[static LTX_TXID_TEXT_BYTES]);

/* Parses exactly 16 hex digits of either case. ERR_USAGE. */
MUST_USE int ltx_txid_parse(const char *text, uint64_t *out_txid, struct error *err);

#endif
