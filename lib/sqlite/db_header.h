/*
 * The first 100 bytes of an SQLite database file, valid page sizes, and the lock-byte page.
 *
 * Threads: any; all functions are pure.
 * Format: https://www.sqlite.org/fileformat2.html, "The Database Header"; table in db_header.c.
 */
#ifndef WALFERRY_LIB_SQLITE_DB_HEADER_H
#define WALFERRY_LIB_SQLITE_DB_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    DB_HEADER_BYTES = 100,
    DB_PAGE_BYTES_MIN = 512,
    DB_PAGE_BYTES_MAX = 65536,
};

/* Where SQLite puts its locks; the page that holds this byte is never used. */
#define DB_PENDING_BYTE UINT32_C(0x40000000)

struct db_header {
    uint32_t page_size;      /* bytes; a power of two from 512 to 65536 */
    bool is_wal;             /* both version bytes say write-ahead log */
    uint8_t write_version;   /* 1 rollback journal, 2 WAL */
    uint8_t read_version;    /* as write_version; above 2 SQLite refuses to read */
    uint8_t reserved_bytes;  /* unused at the end of each page (encryption, checksums) */
    uint32_t change_counter; /* not kept up to date in WAL mode */
    uint32_t page_count;     /* size in pages; only trustworthy if has_page_count */
    bool has_page_count;     /* change_counter and version-valid-for agree, count not 0 */
    uint32_t user_version;   /* PRAGMA user_version */
    uint32_t application_id; /* PRAGMA application_id */
    uint32_t sqlite_version; /* of the library that last wrote, e.g. 3040001 */
};

/*
 * Decodes the header of a database.
 *
 * bytes  the beginning of the file, at least DB_HEADER_BYTES; more is ignored
 *
 * ERR_CORRUPT for fewer bytes (a file of 0 bytes is a valid, empty database: ask first), another
 * magic ("not a database": it may be encrypted) or an impossible page size.
 */
MUST_USE int db_header_decode(struct slice bytes, struct db_header *out, struct error *err);

/* Whether n is a power of two from DB_PAGE_BYTES_MIN to DB_PAGE_BYTES_MAX. */
bool db_page_size_is_valid(uint64_t n);

/*
 * The page that holds the lock bytes and never any content: 0x40000000 / page_size + 1. It is in
 * no WAL and in no LTX file, and a hole in a restored database.
 */
uint32_t db_lock_pgno(uint32_t page_size);

/* db_lock_pgno() with another pending byte, for tests: SQLITE_TESTCTRL_PENDING_BYTE moves it. */
uint32_t db_lock_pgno_at(uint32_t page_size, uint32_t pending_byte);

#endif
