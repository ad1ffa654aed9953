/*
 * The write-ahead log (-wal): header, frame headers, running checksum, offsets.
 *
 * A log is a 32-byte header and frames of 24 bytes plus one page each, numbered from 1. A frame is
 * valid if its salts are the header's and the running checksum, seeded by the header's and fed
 * with every frame so far, equals the stored one. Which valid frames are *committed* only the
 * wal-index knows (wal_index.h): a valid commit frame in the file proves nothing.
 *
 * Threads: any; all functions are pure.
 * Format: https://www.sqlite.org/fileformat2.html#walformat; tables in wal_format.c.
 */
#ifndef WALFERRY_LIB_SQLITE_WAL_FORMAT_H
#define WALFERRY_LIB_SQLITE_WAL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    WAL_HEADER_BYTES = 32,
    WAL_FRAME_HEADER_BYTES = 24,
    WAL_VERSION = 3007000,
};

/* The running checksum: the two sums as numbers (the file holds them big-endian). */
struct wal_cksum {
    uint32_t s[2];
};

/* What identifies one generation of a log; nothing else does. */
struct wal_salt {
    uint32_t s[2];
};

static inline bool wal_cksum_eq(struct wal_cksum a, struct wal_cksum b)
{
    return a.s[0] == b.s[0] && a.s[1] == b.s[1];
}

static inline bool wal_salt_eq(struct wal_salt a, struct wal_salt b)
{
    return a.s[0] == b.s[0] && a.s[1] == b.s[1];
}

struct wal_header {
    uint32_t page_size;      /* bytes; a power of two from 512 to 65536 */
    bool is_big_endian;      /* byte order of the words that are summed, not of the fields */
    uint32_t checkpoint_seq; /* per-connection junk: never an identity */
    struct wal_salt salt;
    struct wal_cksum cksum; /* of the first 24 bytes: seeds the frames */
};

struct wal_frame {
    uint32_t pgno;         /* from 1 */
    uint32_t commit_pages; /* size of the database after this commit; 0: not a commit frame */
    struct wal_salt salt;
    struct wal_cksum cksum; /* running, up to and with this frame */
};

/*
 * Decodes and verifies the header of a log.
 *
 * bytes  the beginning of the file; what follows 32 bytes is ignored
 *
 * Returns 1 with *out filled; 0 if SQLite would take the log as empty (too short, other magic,
 * impossible page size, wrong checksum); -1 with ERR_UNSUPPORTED if the checksum is right but the
 * version unknown (SQLite answers SQLITE_CANTOPEN).
 */
MUST_USE int wal_header_decode(struct slice bytes, struct wal_header *out, struct error *err);

/* Writes the header with its checksum, which is also stored into h->cksum. */
void wal_header_encode(struct wal_header *h, uint8_t out[static WAL_HEADER_BYTES]);

/* Decodes a frame's header. Nothing is verified: see wal_frame_check(). */
void wal_frame_decode(const uint8_t bytes[static WAL_FRAME_HEADER_BYTES], struct wal_frame *out);

/*
 * Whether the frame continues the log: page number not 0, salts the header's, checksum right.
 *
 * cksum  in: the running checksum before this frame (of the header before frame 1);
 *        out: after it, if the answer is true; else unchanged
 * bytes  exactly WAL_FRAME_HEADER_BYTES + h->page_size bytes (asserted)
 */
bool wal_frame_check(const struct wal_header *h, struct wal_cksum *cksum, struct slice bytes,
                     struct wal_frame *out);

/*
 * Writes the header of a frame that continues a log; *cksum moves on. For tests and simulation:
 * walferry never writes into a log.
 *
 * page  exactly h->page_size bytes (asserted)
 */
void wal_frame_encode(const struct wal_header *h, struct wal_cksum *cksum, uint32_t pgno,
                      uint32_t commit_pages, struct slice page,
                      uint8_t out[static WAL_FRAME_HEADER_BYTES]);

/*
 * Feeds bytes to the running checksum: s0 += word + s1, s1 += word + s0, on pairs of words.
 *
 * is_big_endian  byte order of the words in bytes
 * cksum          {0, 0} to start
 * bytes          a multiple of 8 (asserted)
 */
void wal_checksum(bool is_big_endian, struct wal_cksum *cksum, struct slice bytes);

/* Offset in the file of the header of a frame, numbered from 1; its page follows 24 bytes later.
 * frame_no = frames + 1 is thus the length of a log with that many frames. */
int64_t wal_frame_offset(uint32_t page_size, uint64_t frame_no);

/* How many whole frames fit into a log of so many bytes. */
uint64_t wal_frame_count(uint32_t page_size, uint64_t log_bytes);

#endif
