/*
 * The wal-index (-shm): which frames of the log are committed, how far they are checkpointed, and
 * which frame holds the newest version of a page. Read without locks from memory that other
 * processes write: every load is one atomic word, headers are copied before they are judged, and
 * nothing found there is trusted to end a loop or to stay inside a block.
 *
 * The memory is a row of 32 KiB blocks, as SQLite's xShmMap hands them out:
 *
 *     struct wal_index_map map = {.blocks = pointers, .block_count = n};
 *     switch (wal_index_header_read(map.blocks[0], &header)) { case WAL_INDEX_VALID: ... }
 *     found = wal_index_find(&map, pgno, 1, header.mx_frame, &frame_no, &err);
 *
 * Answers about frames are only stable while a read transaction (or the write lock) of ours keeps
 * the log from being restarted, and only for frames up to an mx_frame read under it.
 *
 * Threads: any. Byte order: the host's, as SQLite writes it.
 * Format: https://www.sqlite.org/walformat.html, "WAL-Index File Format"; table in wal_index.c.
 */
#ifndef WALFERRY_LIB_SQLITE_WAL_INDEX_H
#define WALFERRY_LIB_SQLITE_WAL_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/sqlite/wal_format.h"

enum {
    WAL_INDEX_BLOCK_BYTES = 32768,
    WAL_INDEX_HEADER_BYTES = 136,        /* two headers and the checkpoint info, in block 0 */
    WAL_INDEX_BLOCK_FRAMES = 4096,       /* page numbers in a block ... */
    WAL_INDEX_FIRST_BLOCK_FRAMES = 4062, /* ... and in block 0, after its header */
    WAL_INDEX_READ_MARKS = 5,
};

/* A read mark of no reader. */
#define WAL_INDEX_READ_MARK_UNUSED UINT32_MAX

/* The committed state of the log, as its last writer published it. */
struct wal_index_header {
    uint32_t change;     /* counts transactions; wraps */
    uint32_t page_size;  /* bytes, a power of two; 0 (not known yet) only if mx_frame is 0 */
    bool is_big_endian;  /* of the log's checksums */
    uint32_t mx_frame;   /* last committed frame; 0: the log is empty */
    uint32_t page_count; /* size of the database in pages */
    struct wal_cksum frame_cksum; /* running checksum of the log at mx_frame */
    struct wal_salt salt;         /* as in struct wal_header */
};

enum wal_index_state {
    WAL_INDEX_VALID,         /* the header was filled */
    WAL_INDEX_CHANGING,      /* the two copies differ: a writer is (or died) between them */
    WAL_INDEX_UNINITIALIZED, /* nobody has built it yet; a reader will recover the log */
    WAL_INDEX_DAMAGED,       /* equal copies with a wrong checksum or page size */
    WAL_INDEX_UNSUPPORTED,   /* another version of the format */
};

/* One lower-case word for logs. */
const char *wal_index_state_name(enum wal_index_state state);

/*
 * Reads the header: copies the first instance, then the second, and accepts them only if equal,
 * initialised and of right checksum (SQLite's walIndexTryHdr). CHANGING and UNINITIALIZED are worth
 * another look a moment later; if they stay, a read transaction makes SQLite recover.
 *
 * block0  the first block: at least WAL_INDEX_HEADER_BYTES, 8-byte aligned (asserted)
 * out     filled only with WAL_INDEX_VALID
 * Cost: about 50 ns, no system call.
 */
enum wal_index_state wal_index_header_read(const void *block0, struct wal_index_header *out);

/* Whether both describe the same committed state. */
bool wal_index_header_eq(const struct wal_index_header *a, const struct wal_index_header *b);

/* How far checkpoints got, and what readers hold. Hints: each number by itself is atomic, the row
 * of them is not, and none is checked against mx_frame. */
struct wal_checkpoint_info {
    uint32_t backfill;                        /* frames known to be in the database file */
    uint32_t read_mark[WAL_INDEX_READ_MARKS]; /* [0] is always 0; else last frame a slot may see */
    uint32_t backfill_attempted;              /* >= backfill after a checkpointer died */
};

/*
 * The live checkpoint information: read word by word, never torn, possibly older than the
 * header.
 */
void wal_checkpoint_info_read(const void *block0, struct wal_checkpoint_info *out);

/* The blocks that are mapped, from the first on. Borrowed from whoever mapped them. */
struct wal_index_map {
    const void *const *blocks; /* each WAL_INDEX_BLOCK_BYTES, 8-byte aligned */
    size_t block_count;
};

/* Which block holds a frame (numbered from 1): map at least this + 1 to ask about it. */
size_t wal_index_block_of(uint32_t frame_no);

/*
 * The page number that a frame (from 1) holds; 0 if its block is not mapped or the entry is empty.
 */
uint32_t wal_index_pgno(const struct wal_index_map *map, uint32_t frame_no);

/*
 * Finds the newest frame that holds a page (SQLite's walFindFrame).
 *
 * pgno       page, from 1
 * min_frame  frames before this one are in the database file and not looked at; at least 1
 * mx_frame   frames after this one are not part of the snapshot; 0 finds nothing
 *
 * Returns 1 with *out_frame_no; 0 if none of these frames holds the page (read the database file);
 * -1: ERR_CORRUPT   a hash table has no end, or points outside its block
 *     ERR_WRONG_STATE     a block that is needed is not mapped
 * Cost: about two probes per block, newest block first.
 */
MUST_USE int wal_index_find(const struct wal_index_map *map, uint32_t pgno, uint32_t min_frame,
                            uint32_t mx_frame, uint32_t *out_frame_no, struct error *err);

#endif
