/*
 * A set of page numbers as a two-level bitmap.
 *
 *   chunks[i]   NULL, or 64 words of 64 bits: page p is bit p % 64 of word (p % 4096) / 64 of
 *               chunk p / 4096
 *
 * Invariants:
 *   - a chunk exists only while it has a bit (an empty set owns nothing but its table)
 *   - page_count is the number of bits
 *   - page 0 does not exist in SQLite and never enters
 *
 * The table of chunks at least doubles when it grows, so adding page numbers in any order costs
 * O(1) amortised. Whatever needs several chunks gets all of them before the first bit is set:
 * running out of memory leaves the set as it was.
 */
#include "sidecar/engine/page_set.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_PAGES = 4096,
    CHUNK_WORDS = CHUNK_PAGES / 64,
    CHUNK_TABLE_FIRST = 16, /* places of the first table: 256 MiB of 4 KiB pages */
};

static_assert(CHUNK_WORDS * sizeof(uint64_t) == 512, "512 bytes a chunk");

/* The highest number of chunks that page numbers of 32 bits can need. */
static const uint32_t chunk_count_max = UINT32_MAX / CHUNK_PAGES + 1;

static uint64_t bit_of(uint32_t pgno)
{
    return UINT64_C(1) << (pgno % 64);
}

static uint32_t word_of(uint32_t pgno)
{
    return pgno % CHUNK_PAGES / 64;
}

static uint32_t count_bits(uint64_t word)
{
    return (uint32_t)__builtin_popcountll(word);
}

static bool chunk_is_empty(const uint64_t *chunk)
{
    for (uint32_t i = 0; i < CHUNK_WORDS; i++) {
        if (chunk[i])
            return false;
    }
    return true;
}

static void chunk_drop(struct page_set *s, uint32_t chunk_idx)
{
    free(s->chunks[chunk_idx]);
    s->chunks[chunk_idx] = NULL;
}

/* Makes the table long enough for chunk_idx. */
static int table_grow(struct page_set *s, uint32_t chunk_idx, struct error *err)
{
    if (chunk_idx < s->chunk_count)
        return 0;
    uint32_t want = s->chunk_count ? s->chunk_count * 2 : CHUNK_TABLE_FIRST;
    if (want <= chunk_idx)
        want = chunk_idx + 1;
    if (want > chunk_count_max)
        want = chunk_count_max;
    uint64_t **grown = realloc(s->chunks, want * sizeof(*grown));
    if (!grown)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a set of pages");
    memset(grown + s->chunk_count, 0, (want - s->chunk_count) * sizeof(*grown));
    s->chunks = grown;
    s->chunk_count = want;
    return 0;
}

/* Frees the chunks first..last that have no bit. */
static void chunks_trim(struct page_set *s, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last && i < s->chunk_count; i++) {
        if (s->chunks[i] && chunk_is_empty(s->chunks[i]))
            chunk_drop(s, i);
    }
}

/* Makes the chunks first..last exist. On failure no empty chunk stays behind. */
static int chunks_ensure(struct page_set *s, uint32_t first, uint32_t last, struct error *err)
{
    if (table_grow(s, last, err) < 0)
        return -1;
    for (uint32_t i = first; i <= last; i++) {
        if (s->chunks[i])
            continue;
        s->chunks[i] = mem_new(CHUNK_WORDS, sizeof(uint64_t), err);
        if (!s->chunks[i]) {
            chunks_trim(s, first, i);
            return -1;
        }
    }
    return 0;
}

void page_set_clear(struct page_set *s)
{
    for (uint32_t i = 0; i < s->chunk_count; i++)
        chunk_drop(s, i);
    s->page_count = 0;
}

void page_set_destroy(struct page_set *s)
{
    page_set_clear(s);
    free(s->chunks);
    *s = (struct page_set)PAGE_SET_INIT;
}

int page_set_add(struct page_set *s, uint32_t pgno, struct error *err)
{
    return page_set_add_range(s, pgno, pgno, err);
}

int page_set_add_range(struct page_set *s, uint32_t first, uint32_t last, struct error *err)
{
    ASSERT(first > 0);
    if (last < first)
        return 0;
    if (chunks_ensure(s, first / CHUNK_PAGES, last / CHUNK_PAGES, err) < 0)
        return -1;
    /* Word by word; the first and the last may be taken in part. */
    for (uint64_t at = first; at <= last; at = at / 64 * 64 + 64) {
        uint32_t pgno = (uint32_t)at;
        uint64_t mask = UINT64_MAX << (pgno % 64);
        if (last / 64 == pgno / 64)
            mask &= UINT64_MAX >> (63 - last % 64);
        uint64_t *word = &s->chunks[pgno / CHUNK_PAGES][word_of(pgno)];
        s->page_count += count_bits(mask & ~*word);
        *word |= mask;
    }
    return 0;
}

int page_set_add_all(struct page_set *s, const struct page_set *other, struct error *err)
{
    for (uint32_t i = 0; i < other->chunk_count; i++) {
        if (other->chunks[i] && chunks_ensure(s, i, i, err) < 0) {
            chunks_trim(s, 0, i);
            return -1;
        }
    }
    for (uint32_t i = 0; i < other->chunk_count; i++) {
        for (uint32_t w = 0; other->chunks[i] && w < CHUNK_WORDS; w++) {
            s->page_count += count_bits(other->chunks[i][w] & ~s->chunks[i][w]);
            s->chunks[i][w] |= other->chunks[i][w];
        }
    }
    return 0;
}

bool page_set_has(const struct page_set *s, uint32_t pgno)
{
    uint32_t chunk_idx = pgno / CHUNK_PAGES;
    return chunk_idx < s->chunk_count && s->chunks[chunk_idx] &&
           (s->chunks[chunk_idx][word_of(pgno)] & bit_of(pgno));
}

void page_set_cut(struct page_set *s, uint32_t last)
{
    for (uint32_t i = last / CHUNK_PAGES; i < s->chunk_count; i++) {
        uint64_t *chunk = s->chunks[i];
        for (uint32_t w = 0; chunk && w < CHUNK_WORDS; w++) {
            uint64_t first_pgno = (uint64_t)i * CHUNK_PAGES + (uint64_t)w * 64;
            uint64_t keep = 0;
            if (first_pgno + 63 <= last)
                keep = UINT64_MAX;
            else if (first_pgno <= last)
                keep = UINT64_MAX >> (63 - last % 64);
            s->page_count -= count_bits(chunk[w] & ~keep);
            chunk[w] &= keep;
        }
        if (chunk && chunk_is_empty(chunk))
            chunk_drop(s, i);
    }
}

void page_set_remove(struct page_set *s, uint32_t pgno)
{
    if (!page_set_has(s, pgno))
        return;
    uint32_t chunk_idx = pgno / CHUNK_PAGES;
    s->chunks[chunk_idx][word_of(pgno)] &= ~bit_of(pgno);
    s->page_count--;
    if (chunk_is_empty(s->chunks[chunk_idx]))
        chunk_drop(s, chunk_idx);
}

/* The smallest page >= pgno of one chunk; 0 if there is none. */
static uint32_t chunk_next(const uint64_t *chunk, uint32_t pgno)
{
    uint32_t base = pgno / CHUNK_PAGES * CHUNK_PAGES;
    uint64_t mask = UINT64_MAX << (pgno % 64);

    for (uint32_t w = word_of(pgno); w < CHUNK_WORDS; w++) {
        uint64_t word = chunk[w] & mask;
        if (word)
            return base + w * 64 + (uint32_t)__builtin_ctzll(word);
        mask = UINT64_MAX;
    }
    return 0;
}

uint32_t page_set_next(const struct page_set *s, uint32_t pgno)
{
    /* An iteration over a set with page 2^32 - 1 asks for the page after it: 0 has wrapped. */
    if (pgno == 0)
        return 0;
    for (uint32_t i = pgno / CHUNK_PAGES; i < s->chunk_count; i++) {
        uint32_t from = i == pgno / CHUNK_PAGES ? pgno : i * CHUNK_PAGES;
        uint32_t found = s->chunks[i] ? chunk_next(s->chunks[i], from) : 0;
        if (found)
            return found;
    }
    return 0;
}

struct page_set page_set_take(struct page_set *s)
{
    struct page_set moved = *s;
    *s = (struct page_set)PAGE_SET_INIT;
    return moved;
}

size_t page_set_bytes(const struct page_set *s)
{
    size_t bytes = s->chunk_count * sizeof(*s->chunks);
    for (uint32_t i = 0; i < s->chunk_count; i++) {
        if (s->chunks[i])
            bytes += CHUNK_WORDS * sizeof(uint64_t);
    }
    return bytes;
}
