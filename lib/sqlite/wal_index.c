/*
 * The wal-index: shared memory beside the log, in the host's byte order.
 *
 *   Block 0                                          Header, 48 bytes
 *   0      48       header                           0   4  version 3007000
 *   48     48       header again                     8   4  counter of transactions
 *   96     4        frames backfilled                12  1  1 once initialised
 *   100    5 x 4    read marks                       13  1  1 if the log sums big-endian words
 *   120    8        lock bytes                       14  2  page size; 1 means 65536
 *   128    4        frames that a backfill tried     16  4  mxFrame: last committed frame
 *   132    4        unused                           20  4  size of the database in pages
 *   136    4062*4   page number of frames 1..4062    24  8  running checksum at mxFrame
 *   16384  8192*2   hash table                       32  8  salts, as their bytes stand in the log
 *   Block k > 0: 4096 * 4 page numbers of the        40  8  checksum of the first 40 bytes, summed
 *   next 4096 frames, then the hash table                   as words of the host
 *
 * A writer stores the second header, a barrier, then the first. So a reader copies the first and
 * then the second: equal copies are one whole header. The order is kept by reading the first with
 * acquire loads, no load after them can be done before.
 *
 * Each block has its own hash table of its own frames: slot (pgno * 383) & 8191, then the next ones
 * until an empty slot; a slot holds 1 + the frame's place in the block. Frames are added in order,
 * so the last match of a probe is the newest. Slots of frames that were rolled back stay behind
 * with places beyond mxFrame: the range check passes over them.
 *
 * The memory belongs to whoever maps it. Every load is atomic, a value is loaded once and then
 * judged, a probe ends after 8192 slots, a place beyond its block is damage.
 *
 * Source: https://www.sqlite.org/walformat.html; wal.c, walIndexTryHdr(), walFindFrame().
 */
#include "lib/sqlite/wal_index.h"

#include <stdatomic.h>

#include "lib/sqlite/db_header.h"

enum {
    HEADER_BYTES = 48,
    HEADER_WORDS = HEADER_BYTES / 4,
    HEADER_SUMMED_BYTES = 40,
    BACKFILL_OFFSET = 96,
    READ_MARK_OFFSET = 100,
    BACKFILL_ATTEMPTED_OFFSET = 128,
    HASH_OFFSET = WAL_INDEX_BLOCK_BYTES / 2,
    HASH_SLOTS = 8192,
    HASH_FACTOR = 383,
};

static_assert(WAL_INDEX_HEADER_BYTES + 4 * WAL_INDEX_FIRST_BLOCK_FRAMES == HASH_OFFSET,
              "block 0 is full");
static_assert(4 * WAL_INDEX_BLOCK_FRAMES == HASH_OFFSET, "other blocks are full");

/* The memory may change under us: one atomic load, never two of the same word. */
static uint32_t shared_u32(const void *block, size_t offset)
{
    const _Atomic uint32_t *word = (const void *)((const uint8_t *)block + offset);
    return atomic_load_explicit(word, memory_order_relaxed);
}

static uint32_t shared_u32_acquire(const void *block, size_t offset)
{
    const _Atomic uint32_t *word = (const void *)((const uint8_t *)block + offset);
    return atomic_load_explicit(word, memory_order_acquire);
}

static uint16_t shared_u16(const void *block, size_t offset)
{
    const _Atomic uint16_t *half = (const void *)((const uint8_t *)block + offset);
    return atomic_load_explicit(half, memory_order_relaxed);
}

const char *wal_index_state_name(enum wal_index_state state)
{
    switch (state) {
    case WAL_INDEX_VALID:
        return "valid";
    case WAL_INDEX_CHANGING:
        return "changing";
    case WAL_INDEX_UNINITIALIZED:
        return "uninitialized";
    case WAL_INDEX_DAMAGED:
        return "damaged";
    case WAL_INDEX_UNSUPPORTED:
        return "unsupported";
    }
    return "unknown";
}

/* Judges a private copy of the header. */
static enum wal_index_state header_decode(const uint8_t p[static HEADER_BYTES],
                                          struct wal_index_header *out)
{
    if (p[12] == 0)
        return WAL_INDEX_UNINITIALIZED;

    uint32_t s0 = 0;
    uint32_t s1 = 0;
    for (size_t i = 0; i < HEADER_SUMMED_BYTES; i += 8) {
        s0 += native32_load(p + i) + s1;
        s1 += native32_load(p + i + 4) + s0;
    }
    if (s0 != native32_load(p + 40) || s1 != native32_load(p + 44))
        return WAL_INDEX_DAMAGED;
    if (native32_load(p) != WAL_VERSION)
        return WAL_INDEX_UNSUPPORTED;

    uint32_t page_size = native16_load(p + 14) == 1 ? DB_PAGE_BYTES_MAX : native16_load(p + 14);
    uint32_t mx_frame = native32_load(p + 16);
    if (!db_page_size_is_valid(page_size)) {
        /* SQLite does not set the page size before the first frame of a new log. */
        if (page_size != 0 || mx_frame != 0)
            return WAL_INDEX_DAMAGED;
    }
    *out = (struct wal_index_header){
        .change = native32_load(p + 8),
        .page_size = page_size,
        .is_big_endian = p[13] != 0,
        .mx_frame = mx_frame,
        .page_count = native32_load(p + 20),
        .frame_cksum = {{native32_load(p + 24), native32_load(p + 28)}},
        .salt = {{be32_load(p + 32), be32_load(p + 36)}},
    };
    return WAL_INDEX_VALID;
}

enum wal_index_state wal_index_header_read(const void *block0, struct wal_index_header *out)
{
    uint32_t first[HEADER_WORDS];
    uint32_t second[HEADER_WORDS];

    ASSERT((uintptr_t)block0 % 8 == 0);
    for (size_t i = 0; i < HEADER_WORDS; i++)
        first[i] = shared_u32_acquire(block0, 4 * i);
    for (size_t i = 0; i < HEADER_WORDS; i++)
        second[i] = shared_u32(block0, HEADER_BYTES + 4 * i);
    if (memcmp(first, second, sizeof(first)) != 0)
        return WAL_INDEX_CHANGING;

    uint8_t copy[HEADER_BYTES];
    memcpy(copy, first, sizeof(copy));
    return header_decode(copy, out);
}

bool wal_index_header_eq(const struct wal_index_header *a, const struct wal_index_header *b)
{
    return a->change == b->change && a->page_size == b->page_size &&
           a->is_big_endian == b->is_big_endian && a->mx_frame == b->mx_frame &&
           a->page_count == b->page_count && wal_cksum_eq(a->frame_cksum, b->frame_cksum) &&
           wal_salt_eq(a->salt, b->salt);
}

void wal_checkpoint_info_read(const void *block0, struct wal_checkpoint_info *out)
{
    ASSERT((uintptr_t)block0 % 8 == 0);
    out->backfill = shared_u32(block0, BACKFILL_OFFSET);
    for (size_t i = 0; i < WAL_INDEX_READ_MARKS; i++)
        out->read_mark[i] = shared_u32(block0, READ_MARK_OFFSET + 4 * i);
    out->backfill_attempted = shared_u32(block0, BACKFILL_ATTEMPTED_OFFSET);
}

size_t wal_index_block_of(uint32_t frame_no)
{
    ASSERT(frame_no >= 1);
    return ((size_t)frame_no - 1 + WAL_INDEX_BLOCK_FRAMES - WAL_INDEX_FIRST_BLOCK_FRAMES) /
           WAL_INDEX_BLOCK_FRAMES;
}

/* The frame before the first one of a block. */
static uint32_t block_frame_zero(size_t block)
{
    if (block == 0)
        return 0;
    return (uint32_t)(WAL_INDEX_FIRST_BLOCK_FRAMES + (block - 1) * WAL_INDEX_BLOCK_FRAMES);
}

/* Offset in its block of the page number of the frame at a place, counted from 1. */
static size_t pgno_offset(size_t block, uint32_t place)
{
    return (block == 0 ? (size_t)WAL_INDEX_HEADER_BYTES : 0) + 4 * ((size_t)place - 1);
}

uint32_t wal_index_pgno(const struct wal_index_map *map, uint32_t frame_no)
{
    size_t block = wal_index_block_of(frame_no);

    if (block >= map->block_count)
        return 0;
    return shared_u32(map->blocks[block], pgno_offset(block, frame_no - block_frame_zero(block)));
}

/*
 * Looks into the hash table of one block: the last match in [min_frame, mx_frame], 0 if none.
 * -1 if the table cannot be right.
 */
static int block_find(const void *block, size_t block_idx, uint32_t pgno, uint32_t min_frame,
                      uint32_t mx_frame, uint32_t *out_frame_no, struct error *err)
{
    uint32_t zero = block_frame_zero(block_idx);
    uint32_t capacity =
        block_idx == 0 ? (uint32_t)WAL_INDEX_FIRST_BLOCK_FRAMES : (uint32_t)WAL_INDEX_BLOCK_FRAMES;
    uint32_t slot = (pgno * HASH_FACTOR) & (HASH_SLOTS - 1);
    uint32_t found = 0;

    for (unsigned probes = 0; probes < HASH_SLOTS; probes++) {
        uint32_t place = shared_u16(block, HASH_OFFSET + 2 * (size_t)slot);
        if (place == 0) {
            *out_frame_no = found;
            return 0;
        }
        if (place > capacity) {
            return error_set(err, ERR_CORRUPT, 0,
                             "wal-index block %zu: hash slot %u names entry %u of %u", block_idx,
                             slot, place, capacity);
        }
        uint32_t frame_no = zero + place;
        if (frame_no >= min_frame && frame_no <= mx_frame &&
            shared_u32(block, pgno_offset(block_idx, place)) == pgno)
            found = frame_no;
        slot = (slot + 1) & (HASH_SLOTS - 1);
    }
    return error_set(err, ERR_CORRUPT, 0, "wal-index block %zu: hash table has no empty slot",
                     block_idx);
}

int wal_index_find(const struct wal_index_map *map, uint32_t pgno, uint32_t min_frame,
                   uint32_t mx_frame, uint32_t *out_frame_no, struct error *err)
{
    ASSERT(pgno != 0);
    ASSERT(min_frame != 0);
    if (mx_frame < min_frame)
        return 0;
    size_t oldest = wal_index_block_of(min_frame);
    size_t newest = wal_index_block_of(mx_frame);
    if (newest >= map->block_count) {
        return error_set(err, ERR_WRONG_STATE, 0,
                         "frame %u is in wal-index block %zu, %zu are mapped", mx_frame, newest,
                         map->block_count);
    }
    for (size_t block = newest + 1; block-- > oldest;) {
        uint32_t frame_no = 0;
        if (block_find(map->blocks[block], block, pgno, min_frame, mx_frame, &frame_no, err) < 0)
            return -1;
        if (frame_no != 0) {
            *out_frame_no = frame_no;
            return 1;
        }
    }
    return 0;
}
