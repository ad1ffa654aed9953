/*
 * Any bytes as a log, and as a database header. An accepted header comes back when written again;
 * so do accepted frames.
 */
#include "lib/sqlite/wal_format.h"

#include "lib/sqlite/db_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void frames_check(const struct wal_header *h, struct slice log)
{
    struct wal_cksum reading = h->cksum;
    struct wal_cksum writing = h->cksum;
    uint64_t count = wal_frame_count(h->page_size, log.n);

    for (uint64_t no = 1; no <= count; no++) {
        uint8_t again[WAL_FRAME_HEADER_BYTES];
        struct wal_frame frame;
        struct slice bytes = slice_sub(log, (size_t)wal_frame_offset(h->page_size, no),
                                       WAL_FRAME_HEADER_BYTES + (size_t)h->page_size);
        if (!wal_frame_check(h, &reading, bytes, &frame))
            return;
        wal_frame_encode(h, &writing, frame.pgno, frame.commit_pages,
                         slice_sub(bytes, WAL_FRAME_HEADER_BYTES, bytes.n), again);
        ASSERT(memcmp(again, bytes.p, sizeof(again)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice bytes = slice_of(data, n);
    struct db_header db;
    struct wal_header h;
    uint8_t again[WAL_HEADER_BYTES];
    struct error err = ERROR_INIT;

    if (db_header_decode(bytes, &db, &err) == 0)
        ASSERT(db_page_size_is_valid(db.page_size));
    if (wal_header_decode(bytes, &h, &err) <= 0)
        return 0;
    struct wal_header copy = h;
    wal_header_encode(&copy, again);
    ASSERT(memcmp(again, data, sizeof(again)) == 0);
    frames_check(&h, bytes);
    return 0;
}
