/*
 * lib/sqlite: SQLite's file formats, as far as a replicator must read them, and a way to stand in
 * front of its files.
 *
 *   db_header.h   the first 100 bytes of a database; page sizes; the lock-byte page
 *   wal_format.h  the write-ahead log: header, frames, running checksum, offsets
 *   wal_index.h   the wal-index (-shm), read while another process writes it
 *   pass_vfs.h    a VFS through which everything passes
 *
 * The formats are pure and thread-safe. Foreign bytes are parsed once, at this border, into
 * structs whose page size is valid by construction.
 * Source: https://www.sqlite.org/fileformat2.html, https://www.sqlite.org/walformat.html.
 */
#ifndef WALFERRY_LIB_SQLITE_SQLITE_H
#define WALFERRY_LIB_SQLITE_SQLITE_H

#include "lib/sqlite/db_header.h"
#include "lib/sqlite/wal_format.h"
#include "lib/sqlite/wal_index.h"

#endif
