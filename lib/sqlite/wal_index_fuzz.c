/*
 * Any bytes as shared memory: two blocks filled with them again and again, so that also a short
 * input reaches the hash tables. Every look-up must end, inside the blocks, and what it finds must
 * be a frame that holds the page.
 */
#include "lib/sqlite/wal_index.h"

#include "lib/sqlite/db_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static _Alignas(8) uint8_t blocks[2][WAL_INDEX_BLOCK_BYTES];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const void *const pointers[2] = {blocks[0], blocks[1]};
    struct wal_index_map map = {.blocks = pointers, .block_count = 2};
    struct wal_index_header h;
    struct wal_checkpoint_info info;

    if (n < 8)
        return 0;
    for (size_t i = 0; i < 2 * (size_t)WAL_INDEX_BLOCK_BYTES; i++)
        blocks[i / WAL_INDEX_BLOCK_BYTES][i % WAL_INDEX_BLOCK_BYTES] = data[i % n];
    if (wal_index_header_read(blocks[0], &h) == WAL_INDEX_VALID && h.page_size != 0)
        ASSERT(db_page_size_is_valid(h.page_size));
    wal_checkpoint_info_read(blocks[0], &info);

    for (uint32_t i = 0; i < 64; i++) {
        struct error err = ERROR_INIT;
        uint32_t pgno = (i < 32 ? i : native32_load(data) + i) | 1;
        uint32_t min_frame = native16_load(data + 4) + 1u;
        uint32_t mx_frame = native16_load(data + 6);
        uint32_t found = 0;
        int rc = wal_index_find(&map, pgno, min_frame, mx_frame, &found, &err);
        if (rc <= 0)
            continue;
        ASSERT(found >= min_frame);
        ASSERT(found <= mx_frame);
        ASSERT(wal_index_pgno(&map, found) == pgno);
    }
    return 0;
}
