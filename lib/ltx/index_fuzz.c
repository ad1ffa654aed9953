/*
 * Any bytes as the end of an LTX file, and as a single frame. The first two bytes say how much of
 * the file comes before. An accepted index is ascending, gapless and inside the file.
 */
#include "lib/ltx/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void index_check(const struct ltx_index *index, uint64_t file_bytes)
{
    uint64_t at = LTX_HEADER_BYTES;
    uint32_t last_pgno = 0;

    for (size_t i = 0; i < index->count; i++) {
        const struct ltx_index_entry *entry = &index->entries[i];
        ASSERT(entry->pgno > last_pgno);
        ASSERT(entry->offset == at);
        ASSERT(ltx_index_find(index, entry->pgno) == entry);
        at += entry->bytes;
        last_pgno = entry->pgno;
    }
    ASSERT(at == index->frames_end);
    ASSERT(at < file_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static uint8_t page[DB_PAGE_BYTES_MAX];
    CLEANUP(ltx_index_destroy) struct ltx_index index = {.count = 0};
    struct error err = ERROR_INIT;
    uint64_t need = 0;

    if (n < 2)
        return 0;
    struct slice tail = slice_of(data + 2, n - 2);
    uint64_t file_bytes = tail.n + be16_load(data);
    uint32_t page_size = UINT32_C(512) << (data[0] & 7);
    int rc = ltx_index_parse(tail, file_bytes, page_size, &index, &need, &err);
    if (rc == 0)
        ASSERT(need > tail.n && need <= file_bytes);
    if (rc > 0)
        index_check(&index, file_bytes);
    (void)ltx_frame_decode(tail, page_size, 1, page, &err); /* must only not go wrong */
    return 0;
}
