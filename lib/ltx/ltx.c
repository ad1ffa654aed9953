/*
 * Header and trailer of an LTX file, page checksums, TXIDs. The tables of the format are in ltx.h.
 *
 * What a header must satisfy (ltx_header_check), beyond the ranges of its fields:
 *   - WAL offset and length are not negative; salts or a length need an offset
 *   - without checksums the pre-apply checksum is 0
 *   - a snapshot has no state before it: its pre-apply checksum is 0
 *   - any other file with checksums has one, with bit 63
 *   - our extension holds a database checksum with bit 63
 *
 * Reserved bytes that do not begin with our magic are somebody else's extension: ignored.
 *
 * Source: github.com/superfly/ltx, ltx.go, Header.Validate() and Trailer.Validate().
 */
#include "lib/ltx/ltx.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/base/hex.h"
#include "lib/ltx/crc64.h"

#define LTX_MAGIC            UINT32_C(0x4c545831) /* "LTX1", also in version 3 */
#define LTX_FLAG_NO_CHECKSUM UINT32_C(2)
#define EXT_MAGIC            UINT32_C(0x57465831) /* "WFX1" */

enum {
    EXT_OFFSET = 80,
};

static_assert(LTX_HEADER_BYTES == EXT_OFFSET + 4 + 8 + 8, "LTX v3");
static_assert(LTX_FRAME_HEADER_BYTES == LTX_PAGE_HEADER_BYTES + 4, "LTX v3");

static int wal_fields_check(const struct ltx_header *h, struct error *err)
{
    if (h->wal_offset < 0) {
        return error_set(err, ERR_CORRUPT, 0, "LTX header: WAL offset %" PRId64 " is negative",
                         h->wal_offset);
    }
    if (h->wal_bytes < 0) {
        return error_set(err, ERR_CORRUPT, 0, "LTX header: WAL size %" PRId64 " is negative",
                         h->wal_bytes);
    }
    if (h->wal_offset != 0)
        return 0;
    if (h->wal_salt.s[0] != 0 || h->wal_salt.s[1] != 0)
        return error_set(err, ERR_CORRUPT, 0, "LTX header: WAL salts without a WAL offset");
    if (h->wal_bytes != 0) {
        return error_set(err, ERR_CORRUPT, 0, "LTX header: WAL size %" PRId64 " without an offset",
                         h->wal_bytes);
    }
    return 0;
}

static int checksum_fields_check(const struct ltx_header *h, struct error *err)
{
    bool wants_pre_apply = h->has_checksums && !ltx_header_is_snapshot(h);

    if (!wants_pre_apply && h->pre_apply_checksum != 0) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX header: pre-apply checksum %016" PRIx64 " in a file that is %s",
                         h->pre_apply_checksum,
                         h->has_checksums ? "a snapshot" : "without checksums");
    }
    if (wants_pre_apply && !(h->pre_apply_checksum & LTX_CHECKSUM_FLAG)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX header: pre-apply checksum %016" PRIx64 " has not bit 63",
                         h->pre_apply_checksum);
    }
    if (h->has_ext && !(h->db_checksum & LTX_CHECKSUM_FLAG)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX header: database checksum %016" PRIx64 " has not bit 63",
                         h->db_checksum);
    }
    return 0;
}

int ltx_header_check(const struct ltx_header *h, struct error *err)
{
    if (!db_page_size_is_valid(h->page_size)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX header: page size %u is not a power of two from 512 to 65536",
                         h->page_size);
    }
    if (h->min_txid == 0)
        return error_set(err, ERR_CORRUPT, 0, "LTX header: MinTXID is 0");
    if (h->max_txid < h->min_txid) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX header: MaxTXID %016" PRIx64 " is below MinTXID %016" PRIx64,
                         h->max_txid, h->min_txid);
    }
    if (wal_fields_check(h, err) < 0)
        return -1;
    return checksum_fields_check(h, err);
}

int ltx_header_encode(const struct ltx_header *h, uint8_t out[static LTX_HEADER_BYTES],
                      struct error *err)
{
    if (ltx_header_check(h, err) < 0)
        return -1;
    memset(out, 0, LTX_HEADER_BYTES);
    be32_store(out, LTX_MAGIC);
    be32_store(out + 4, h->has_checksums ? 0 : LTX_FLAG_NO_CHECKSUM);
    be32_store(out + 8, h->page_size);
    be32_store(out + 12, h->commit);
    be64_store(out + 16, h->min_txid);
    be64_store(out + 24, h->max_txid);
    be64_store(out + 32, (uint64_t)h->timestamp_ms);
    be64_store(out + 40, h->pre_apply_checksum);
    be64_store(out + 48, (uint64_t)h->wal_offset);
    be64_store(out + 56, (uint64_t)h->wal_bytes);
    be32_store(out + 64, h->wal_salt.s[0]);
    be32_store(out + 68, h->wal_salt.s[1]);
    be64_store(out + 72, h->has_ext ? (uint64_t)h->epoch << 32 | h->owner : h->node_id);
    if (h->has_ext) {
        be32_store(out + EXT_OFFSET, EXT_MAGIC);
        be64_store(out + EXT_OFFSET + 4, h->db_checksum);
        be32_store(out + EXT_OFFSET + 12, h->wal_cksum.s[0]);
        be32_store(out + EXT_OFFSET + 16, h->wal_cksum.s[1]);
    }
    return 0;
}

static void ext_decode(const uint8_t *p, struct ltx_header *h)
{
    if (be32_load(p) != EXT_MAGIC)
        return;
    h->has_ext = true;
    h->epoch = (uint32_t)(h->node_id >> 32);
    h->owner = (uint32_t)h->node_id;
    h->db_checksum = be64_load(p + 4);
    h->wal_cksum = (struct wal_cksum){{be32_load(p + 12), be32_load(p + 16)}};
}

int ltx_header_decode(struct slice bytes, struct ltx_header *out, struct error *err)
{
    if (bytes.n < LTX_HEADER_BYTES) {
        return error_set(err, ERR_CORRUPT, 0, "LTX header ends after %zu of %d bytes", bytes.n,
                         LTX_HEADER_BYTES);
    }
    const uint8_t *p = bytes.p;
    if (be32_load(p) != LTX_MAGIC) {
        return error_set(err, ERR_CORRUPT, 0, "not an LTX file: magic %08x at offset 0",
                         be32_load(p));
    }
    uint32_t flags = be32_load(p + 4);
    if ((flags & ~LTX_FLAG_NO_CHECKSUM) != 0)
        return error_set(err, ERR_CORRUPT, 0, "LTX header: unknown flags %08x at offset 4", flags);
    struct ltx_header h = {
        .has_checksums = (flags & LTX_FLAG_NO_CHECKSUM) == 0,
        .page_size = be32_load(p + 8),
        .commit = be32_load(p + 12),
        .min_txid = be64_load(p + 16),
        .max_txid = be64_load(p + 24),
        .timestamp_ms = (int64_t)be64_load(p + 32),
        .pre_apply_checksum = be64_load(p + 40),
        .wal_offset = (int64_t)be64_load(p + 48),
        .wal_bytes = (int64_t)be64_load(p + 56),
        .wal_salt = {{be32_load(p + 64), be32_load(p + 68)}},
        .node_id = be64_load(p + 72),
    };
    ext_decode(p + EXT_OFFSET, &h);
    if (ltx_header_check(&h, err) < 0)
        return -1;
    *out = h;
    return 0;
}

uint64_t ltx_header_time_ns(const struct ltx_header *h)
{
    if (h->timestamp_ms <= 0)
        return 0;
    uint64_t ns;
    if (!checked_mul_u64((uint64_t)h->timestamp_ms, NS_PER_MS, &ns))
        return UINT64_MAX;
    return ns;
}

void ltx_trailer_encode(const struct ltx_trailer *t, uint8_t out[static LTX_TRAILER_BYTES])
{
    be64_store(out, t->post_apply_checksum);
    be64_store(out + 8, t->file_checksum);
}

int ltx_trailer_decode(const uint8_t bytes[static LTX_TRAILER_BYTES], const struct ltx_header *h,
                       struct ltx_trailer *out, struct error *err)
{
    struct ltx_trailer t = {
        .post_apply_checksum = be64_load(bytes),
        .file_checksum = be64_load(bytes + 8),
    };
    if (!h->has_checksums && t.post_apply_checksum != 0) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX trailer: post-apply checksum %016" PRIx64
                         " in a file without checksums",
                         t.post_apply_checksum);
    }
    if (h->has_checksums && !(t.post_apply_checksum & LTX_CHECKSUM_FLAG)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX trailer: post-apply checksum %016" PRIx64 " has not bit 63",
                         t.post_apply_checksum);
    }
    if (h->has_checksums && h->commit == 0 && t.post_apply_checksum != LTX_CHECKSUM_FLAG) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX trailer: post-apply checksum %016" PRIx64 " of an empty database",
                         t.post_apply_checksum);
    }
    if (!(t.file_checksum & LTX_CHECKSUM_FLAG)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LTX trailer: file checksum %016" PRIx64 " has not bit 63",
                         t.file_checksum);
    }
    *out = t;
    return 0;
}

uint64_t ltx_page_checksum(uint32_t pgno, struct slice page)
{
    uint8_t number[4];

    be32_store(number, pgno);
    return LTX_CHECKSUM_FLAG | crc64(crc64(0, slice_of(number, sizeof(number))), page);
}

uint64_t ltx_page_checksum_of_crc(uint32_t pgno, uint64_t page_crc,
                                  const struct crc64_length *page_length)
{
    uint8_t number[4];

    be32_store(number, pgno);
    return LTX_CHECKSUM_FLAG |
           crc64_join(crc64(0, slice_of(number, sizeof(number))), page_crc, page_length);
}

const char *ltx_txid_format(uint64_t txid, char out[static LTX_TXID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < 16; i++)
        out[i] = digits[(txid >> (60 - 4 * i)) & 15];
    out[16] = 0;
    return out;
}

int ltx_txid_parse(const char *text, uint64_t *out_txid, struct error *err)
{
    uint64_t txid = 0;

    for (size_t i = 0; i < 16; i++) {
        int value = hex_value(text[i]);
        if (value < 0)
            return error_set(err, ERR_USAGE, 0, "\"%.40s\" is not a TXID: 16 hex digits", text);
        txid = txid << 4 | (uint64_t)value;
    }
    if (text[16] != 0)
        return error_set(err, ERR_USAGE, 0, "\"%.40s\" is not a TXID: 16 hex digits", text);
    *out_txid = txid;
    return 0;
}
