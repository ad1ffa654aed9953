/*
 * The header of an SQLite database, all integers big-endian. What walferry looks at:
 *
 *   offset  bytes  field
 *   0       16     "SQLite format 3" and a zero byte
 *   16      2      page size; 1 means 65536
 *   18      1      write version: 1 rollback journal, 2 write-ahead log
 *   19      1      read version, likewise
 *   20      1      bytes reserved at the end of each page
 *   24      4      change counter
 *   28      4      size of the database in pages
 *   60      4      user version
 *   68      4      application id
 *   92      4      version-valid-for: the change counter when the library version was written
 *   96      4      version of the library that last wrote
 *
 * The size at 28 is only meant if it is not 0 and the change counter equals version-valid-for:
 * libraries before 3.7.0 do not maintain it.
 *
 * Source: https://www.sqlite.org/fileformat2.html, "The Database Header".
 */
#include "lib/sqlite/db_header.h"

static const char db_magic[16] = "SQLite format 3";

bool db_page_size_is_valid(uint64_t n)
{
    return n >= DB_PAGE_BYTES_MIN && n <= DB_PAGE_BYTES_MAX && (n & (n - 1)) == 0;
}

uint32_t db_lock_pgno_at(uint32_t page_size, uint32_t pending_byte)
{
    ASSERT(db_page_size_is_valid(page_size));
    return pending_byte / page_size + 1;
}

uint32_t db_lock_pgno(uint32_t page_size)
{
    return db_lock_pgno_at(page_size, DB_PENDING_BYTE);
}

int db_header_decode(struct slice bytes, struct db_header *out, struct error *err)
{
    if (bytes.n < DB_HEADER_BYTES) {
        return error_set(err, ERR_CORRUPT, 0, "database header ends after %zu of %d bytes", bytes.n,
                         DB_HEADER_BYTES);
    }
    const uint8_t *p = bytes.p;
    if (memcmp(p, db_magic, sizeof(db_magic)) != 0) {
        (void)error_set(err, ERR_CORRUPT, 0, "not an SQLite database: other magic at offset 0");
        return error_hint(err, "an encrypted database (SQLCipher, SEE) cannot be replicated");
    }
    uint32_t page_size = be16_load(p + 16) == 1 ? DB_PAGE_BYTES_MAX : be16_load(p + 16);
    if (!db_page_size_is_valid(page_size)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "page size %u at offset 16 of the database header is not a power of two "
                         "from 512 to 65536",
                         page_size);
    }
    struct db_header h = {
        .page_size = page_size,
        .is_wal = p[18] == 2 && p[19] == 2,
        .write_version = p[18],
        .read_version = p[19],
        .reserved_bytes = p[20],
        .change_counter = be32_load(p + 24),
        .page_count = be32_load(p + 28),
        .user_version = be32_load(p + 60),
        .application_id = be32_load(p + 68),
        .sqlite_version = be32_load(p + 96),
    };
    h.has_page_count = h.page_count != 0 && h.change_counter == be32_load(p + 92);
    *out = h;
    return 0;
}
