/*
 * The write-ahead log. Fields are big-endian; the checksums sum words whose byte order the magic
 * names.
 *
 *   Header, 32 bytes                           Frame, 24 bytes and a page
 *   0   4  magic 0x377f0682 or ...83           0   4  page number
 *   4   4  version 3007000                     4   4  pages after this commit, or 0
 *   8   4  page size                           8   8  salts, those of the header
 *   12  4  checkpoint sequence number          16  8  running checksum over the frame's first
 *   16  8  two salts                                  8 bytes and its page, begun with the
 *   24  8  checksum of the first 24 bytes             checksum of the frame (or header) before
 *
 * The lowest bit of the magic is set if the summed words are big-endian. A restart of the log
 * changes the salts, which makes all older frames invalid without touching them.
 *
 * What SQLite does with a damaged header decides what it means: other magic, an impossible page
 * size or a wrong checksum make the log empty, and the database opens; an unknown version under a
 * right checksum is SQLITE_CANTOPEN.
 *
 * Source: https://www.sqlite.org/fileformat2.html#walformat; wal.c, walIndexRecover().
 */
#include "lib/sqlite/wal_format.h"

#include "lib/sqlite/db_header.h"

#define WAL_MAGIC UINT32_C(0x377f0682) /* the lowest bit is the byte order of the sums */

enum {
    WAL_HEADER_SUMMED_BYTES = 24,
    WAL_FRAME_SUMMED_BYTES = 8, /* of the frame header */
};

static void sum_big_endian(struct wal_cksum *cksum, struct slice bytes)
{
    uint32_t s0 = cksum->s[0];
    uint32_t s1 = cksum->s[1];
    for (size_t i = 0; i < bytes.n; i += 8) {
        s0 += be32_load(bytes.p + i) + s1;
        s1 += be32_load(bytes.p + i + 4) + s0;
    }
    *cksum = (struct wal_cksum){{s0, s1}};
}

static void sum_little_endian(struct wal_cksum *cksum, struct slice bytes)
{
    uint32_t s0 = cksum->s[0];
    uint32_t s1 = cksum->s[1];
    for (size_t i = 0; i < bytes.n; i += 8) {
        s0 += le32_load(bytes.p + i) + s1;
        s1 += le32_load(bytes.p + i + 4) + s0;
    }
    *cksum = (struct wal_cksum){{s0, s1}};
}

void wal_checksum(bool is_big_endian, struct wal_cksum *cksum, struct slice bytes)
{
    ASSERT(bytes.n % 8 == 0);
    if (is_big_endian)
        sum_big_endian(cksum, bytes);
    else
        sum_little_endian(cksum, bytes);
}

int wal_header_decode(struct slice bytes, struct wal_header *out, struct error *err)
{
    if (bytes.n < WAL_HEADER_BYTES)
        return 0;
    const uint8_t *p = bytes.p;
    uint32_t magic = be32_load(p);
    struct wal_header h = {
        .page_size = be32_load(p + 8),
        .is_big_endian = (magic & 1) != 0,
        .checkpoint_seq = be32_load(p + 12),
        .salt = {{be32_load(p + 16), be32_load(p + 20)}},
        .cksum = {{be32_load(p + 24), be32_load(p + 28)}},
    };
    if ((magic & ~UINT32_C(1)) != WAL_MAGIC || !db_page_size_is_valid(h.page_size))
        return 0;
    struct wal_cksum computed = {{0, 0}};
    wal_checksum(h.is_big_endian, &computed, slice_of(p, WAL_HEADER_SUMMED_BYTES));
    if (!wal_cksum_eq(computed, h.cksum))
        return 0;
    if (be32_load(p + 4) != WAL_VERSION) {
        return error_set(err, ERR_UNSUPPORTED, 0,
                         "version %u at offset 4 of the WAL header, this format is %d",
                         be32_load(p + 4), WAL_VERSION);
    }
    *out = h;
    return 1;
}

void wal_header_encode(struct wal_header *h, uint8_t out[static WAL_HEADER_BYTES])
{
    ASSERT(db_page_size_is_valid(h->page_size));
    be32_store(out, WAL_MAGIC | (h->is_big_endian ? 1 : 0));
    be32_store(out + 4, WAL_VERSION);
    be32_store(out + 8, h->page_size);
    be32_store(out + 12, h->checkpoint_seq);
    be32_store(out + 16, h->salt.s[0]);
    be32_store(out + 20, h->salt.s[1]);
    h->cksum = (struct wal_cksum){{0, 0}};
    wal_checksum(h->is_big_endian, &h->cksum, slice_of(out, WAL_HEADER_SUMMED_BYTES));
    be32_store(out + 24, h->cksum.s[0]);
    be32_store(out + 28, h->cksum.s[1]);
}

void wal_frame_decode(const uint8_t bytes[static WAL_FRAME_HEADER_BYTES], struct wal_frame *out)
{
    *out = (struct wal_frame){
        .pgno = be32_load(bytes),
        .commit_pages = be32_load(bytes + 4),
        .salt = {{be32_load(bytes + 8), be32_load(bytes + 12)}},
        .cksum = {{be32_load(bytes + 16), be32_load(bytes + 20)}},
    };
}

bool wal_frame_check(const struct wal_header *h, struct wal_cksum *cksum, struct slice bytes,
                     struct wal_frame *out)
{
    struct wal_frame frame;
    struct wal_cksum computed = *cksum;

    ASSERT(bytes.n == WAL_FRAME_HEADER_BYTES + (size_t)h->page_size);
    wal_frame_decode(bytes.p, &frame);
    if (frame.pgno == 0 || !wal_salt_eq(frame.salt, h->salt))
        return false;
    wal_checksum(h->is_big_endian, &computed, slice_of(bytes.p, WAL_FRAME_SUMMED_BYTES));
    wal_checksum(h->is_big_endian, &computed, slice_sub(bytes, WAL_FRAME_HEADER_BYTES, bytes.n));
    if (!wal_cksum_eq(computed, frame.cksum))
        return false;
    *cksum = computed;
    *out = frame;
    return true;
}

void wal_frame_encode(const struct wal_header *h, struct wal_cksum *cksum, uint32_t pgno,
                      uint32_t commit_pages, struct slice page,
                      uint8_t out[static WAL_FRAME_HEADER_BYTES])
{
    ASSERT(page.n == h->page_size);
    be32_store(out, pgno);
    be32_store(out + 4, commit_pages);
    be32_store(out + 8, h->salt.s[0]);
    be32_store(out + 12, h->salt.s[1]);
    wal_checksum(h->is_big_endian, cksum, slice_of(out, WAL_FRAME_SUMMED_BYTES));
    wal_checksum(h->is_big_endian, cksum, page);
    be32_store(out + 16, cksum->s[0]);
    be32_store(out + 20, cksum->s[1]);
}

int64_t wal_frame_offset(uint32_t page_size, uint64_t frame_no)
{
    ASSERT(frame_no >= 1 && frame_no <= (uint64_t)UINT32_MAX + 1);
    return WAL_HEADER_BYTES +
           (int64_t)((frame_no - 1) * (WAL_FRAME_HEADER_BYTES + (uint64_t)page_size));
}

uint64_t wal_frame_count(uint32_t page_size, uint64_t log_bytes)
{
    if (log_bytes < WAL_HEADER_BYTES)
        return 0;
    return (log_bytes - WAL_HEADER_BYTES) / (WAL_FRAME_HEADER_BYTES + (uint64_t)page_size);
}
