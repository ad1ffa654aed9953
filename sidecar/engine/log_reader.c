/*
 * Pages out of the write-ahead log.
 *
 * A frame's checksum runs on from the one before it, so a page is proven by three reads:
 *
 *   1. the checksum stored in frame n - 1 (frame 1: in the header of the log)
 *   2. the header of frame n: page number, salts, checksum
 *   3. the page itself; the running checksum over the header's first 8 bytes and the page,
 *      seeded by 1, must be that of 2
 *
 * Step 1 is left out when frame n - 1 was the one read last. That the seed is right in turn follows
 * from the frames before it; the last committed frame must also have the checksum that stands in
 * the wal-index, which the caller compares.
 */
#include "sidecar/engine/log_reader.h"

enum {
    HEADER_CKSUM_OFFSET = 24, /* in the log's header */
    FRAME_CKSUM_OFFSET = 16,  /* in a frame's header */
    CKSUM_BYTES = 8,
    FRAME_SUMMED_BYTES = 8, /* of a frame's header */
};

static int seed_read(const struct log_reader *r, const struct connection *c,
                     const struct log_identity *log, uint32_t frame_no, struct wal_cksum *out,
                     struct error *err)
{
    uint8_t bytes[CKSUM_BYTES];
    int64_t offset = HEADER_CKSUM_OFFSET;

    if (frame_no > 1 && r->frame_no == frame_no - 1 && wal_salt_eq(r->salt, log->salt)) {
        *out = r->cksum;
        return 0;
    }
    if (frame_no > 1) {
        offset = wal_frame_offset(log->page_size, frame_no - 1) + FRAME_CKSUM_OFFSET;
    }
    if (connection_log_read(c, offset, bytes, sizeof(bytes), err) < 0) {
        return -1;
    }
    *out = (struct wal_cksum){{be32_load(bytes), be32_load(bytes + 4)}};
    return 0;
}

static int frame_error(const struct connection *c, const struct log_identity *log,
                       uint32_t frame_no, struct error *err, const char *what, uint32_t found,
                       uint32_t expected)
{
    error_set(err, ERR_CORRUPT, 0, "%s: frame %u at offset %lld: %s is %08x, expected %08x",
              connection_log_path(c), frame_no,
              (long long)wal_frame_offset(log->page_size, frame_no), what, found, expected);
    return error_hint(err, "the log is damaged on disk; check the volume and the database with "
                           "PRAGMA integrity_check");
}

int log_reader_frame(const struct connection *c, const struct log_identity *log, uint32_t frame_no,
                     struct wal_frame *out, struct error *err)
{
    uint8_t head[WAL_FRAME_HEADER_BYTES];

    if (connection_log_read(c, wal_frame_offset(log->page_size, frame_no), head, sizeof(head),
                            err) < 0) {
        return -1;
    }
    wal_frame_decode(head, out);
    return 0;
}

int log_reader_page(struct log_reader *r, const struct connection *c,
                    const struct log_identity *log, uint32_t frame_no, uint32_t pgno,
                    uint8_t *out_page, struct error *err)
{
    uint8_t head[WAL_FRAME_HEADER_BYTES];
    struct wal_frame frame;
    struct wal_cksum cksum;
    int64_t offset = wal_frame_offset(log->page_size, frame_no);

    ASSERT(frame_no >= 1);
    if (seed_read(r, c, log, frame_no, &cksum, err) < 0 ||
        connection_log_read(c, offset, head, sizeof(head), err) < 0 ||
        connection_log_read(c, offset + WAL_FRAME_HEADER_BYTES, out_page, log->page_size, err) <
            0) {
        return error_wrap(err, "frame %u", frame_no);
    }
    wal_frame_decode(head, &frame);
    if (!wal_salt_eq(frame.salt, log->salt)) {
        return frame_error(c, log, frame_no, err, "first salt", frame.salt.s[0], log->salt.s[0]);
    }
    if (frame.pgno != pgno) {
        return frame_error(c, log, frame_no, err, "page number", frame.pgno, pgno);
    }
    wal_checksum(log->is_big_endian, &cksum, slice_of(head, FRAME_SUMMED_BYTES));
    wal_checksum(log->is_big_endian, &cksum, slice_of(out_page, log->page_size));
    if (!wal_cksum_eq(cksum, frame.cksum)) {
        return frame_error(c, log, frame_no, err, "checksum", frame.cksum.s[0], cksum.s[0]);
    }
    *r = (struct log_reader){.salt = log->salt, .frame_no = frame_no, .cksum = cksum};
    return 0;
}
