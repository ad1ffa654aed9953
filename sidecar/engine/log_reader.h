/*
 * Pages out of the write-ahead log, each proven by its frame's checksum.
 *
 * The log is read through the handle that SQLite itself has on it, so it is by construction the
 * file whose wal-index we look at, and an idle database needs no descriptor more.
 *
 * Threads: the job of the database.
 * Format: lib/sqlite/wal_format.h.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_LOG_READER_H
#define WALFERRY_SIDECAR_ENGINE_LOG_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/sqlite/wal_format.h"
#include "sidecar/engine/connection.h"

/* Which log, as its wal-index describes it. */
struct log_identity {
    struct wal_salt salt;
    uint32_t page_size;
    bool is_big_endian; /* of the words that are summed */
};

/* Remembers the checksum behind the frame read last: reading in order costs one read less. */
struct log_reader {
    struct wal_salt salt;
    uint32_t frame_no; /* 0: nothing is remembered */
    struct wal_cksum cksum;
};

#define LOG_READER_INIT {.frame_no = 0}

/*
 * Reads the page of a committed frame and verifies it: the frame's salts are the log's, its page
 * number is pgno, and its checksum continues that of the frame before.
 *
 * out_page   page_size bytes; undefined after a failure
 * r->cksum   the frame's checksum, after success
 *
 * ERR_CORRUPT names frame and offset. ERR_IO. The caller holds a lock that keeps the log from being
 * restarted.
 */
MUST_USE int log_reader_page(struct log_reader *r, const struct connection *c,
                             const struct log_identity *log, uint32_t frame_no, uint32_t pgno,
                             uint8_t *out_page, struct error *err);

/*
 * Reads the stored header of a frame without verifying anything: to recognise a position that an
 * earlier process noted. ERR_CORRUPT if the log is shorter; ERR_IO.
 */
MUST_USE int log_reader_frame(const struct connection *c, const struct log_identity *log,
                              uint32_t frame_no, struct wal_frame *out, struct error *err);

#endif
