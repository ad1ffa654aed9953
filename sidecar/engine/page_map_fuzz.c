/*
 * Any bytes as a page map: opening answers or refuses, every entry can be asked for, and what is
 * written and committed is there when the map is opened again. The first byte says whether magic and
 * checksum of the header are made right, so that what lies behind them is reached.
 */
#include "sidecar/engine/page_map.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/ltx/crc64.h"

enum {
    FILE_BYTES_MAX = 64 * 1024,
    CRC_OFFSET = PAGE_MAP_HEADER_BYTES - 8,
    GROWTH = 3, /* pages that the commit adds */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char magic[] = "WFMAP003";
static uint8_t file[FILE_BYTES_MAX];

/* A file without a name; the path leads to it as long as fd is open. */
static int file_make(size_t n, char path[static 64])
{
    int fd = memfd_create("map", MFD_CLOEXEC);

    ASSERT(fd >= 0);
    ASSERT(write(fd, file, n) == (ssize_t)n);
    (void)snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* The first, the last and those beyond, which are 0. */
static void entries_check(struct page_map *m)
{
    uint32_t last = m->state.page_count;
    struct map_entry entries[] = {{1, 7}, {2, 7}, {last, 7}, {last + 1, 7}, {last + GROWTH, 7}};
    struct error err = ERROR_INIT;
    bool is_sound;

    if (last < 3)
        return;
    ASSERT(page_map_read(m, entries, ARRAY_LEN(entries), &err) == 0);
    ASSERT(entries[3].checksum == 0);
    ASSERT(entries[4].checksum == 0);
    ASSERT(page_map_verify(m, &is_sound, &err) == 0);
}

/* Changes the first page, adds some, and commits. (Each new page is written: an interrupted cut may
 * have left old entries behind the end.) */
static struct map_state commit(struct page_map *m)
{
    struct map_state next = m->state;
    uint32_t last = next.page_count;
    const struct map_entry changes[] = {
        {1, 11}, {last + 1, 0}, {last + 2, 12}, {last + GROWTH, 13}};
    struct error err = ERROR_INIT;

    next.txid++;
    next.page_count = next.end.page_count = last + GROWTH;
    next.db_checksum ^= 14;
    ASSERT(page_map_write(m, changes, ARRAY_LEN(changes), &err) == 0);
    ASSERT(page_map_commit(m, &next, &err) == 0);
    return next;
}

static void commit_check(const char *path, const struct map_state *wanted)
{
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct map_entry entries[] = {{1, 0}, {wanted->page_count - 1, 7}, {wanted->page_count, 0}};
    struct error err = ERROR_INIT;

    ASSERT(page_map_open(env_real(), path, &m, &err) == 0);
    ASSERT(m.state.txid == wanted->txid);
    ASSERT(m.state.page_count == wanted->page_count);
    ASSERT(m.state.db_checksum == wanted->db_checksum);
    ASSERT(m.state.file_checksum == wanted->file_checksum);
    ASSERT(m.state.is_rewind == wanted->is_rewind);
    ASSERT(memcmp(&m.state.end.salt, &wanted->end.salt, sizeof(wanted->end.salt)) == 0);
    ASSERT(m.state.pending_txid == 0);
    ASSERT(page_map_read(&m, entries, ARRAY_LEN(entries), &err) == 0);
    ASSERT(entries[0].checksum == 11);
    ASSERT(entries[1].checksum == 12);
    ASSERT(entries[2].checksum == 13);
}

static void map_check(const char *path)
{
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;

    if (page_map_open(env_real(), path, &m, &err) < 0) {
        ASSERT(err.code == ERR_CORRUPT || err.code == ERR_IO);
        ASSERT(m.fd == -1);
        return;
    }
    entries_check(&m);
    if (m.state.txid == UINT64_MAX || m.state.page_count == 0)
        return; /* nothing leads on from there */
    struct map_state next = commit(&m);
    commit_check(path, &next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[64];

    if (n == 0 || n > FILE_BYTES_MAX)
        return 0;
    bool is_repaired = data[0] & 1;
    memcpy(file, data + 1, --n);
    if (is_repaired && n >= PAGE_MAP_HEADER_BYTES) {
        memcpy(file, magic, sizeof(magic) - 1);
        be64_store(file + CRC_OFFSET, crc64(0, slice_of(file, CRC_OFFSET)));
    }
    int fd = file_make(n, path);
    map_check(path);
    (void)close(fd); /* its memory goes with it */
    return 0;
}
