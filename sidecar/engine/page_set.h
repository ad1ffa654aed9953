/*
 * A set of page numbers: what a destination still lacks, or what changed since a level's boundary.
 *
 * One bit a page, in chunks of 4,096 pages that exist only where a bit is set: an empty set costs
 * nothing, 1 GiB of changed 4 KiB pages cost 32 KiB. Threads: one at a time.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_PAGE_SET_H
#define WALFERRY_SIDECAR_ENGINE_PAGE_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

struct page_set {
    uint64_t **chunks; /* chunk i: pages 4096 i .. 4096 i + 4095, or NULL */
    uint32_t chunk_count;
    uint32_t page_count; /* pages in the set */
};

#define PAGE_SET_INIT {.chunks = NULL}

/* Frees the chunks. Accepts a zeroed one; the set is empty afterwards. */
void page_set_destroy(struct page_set *s);
/* Empties the set and gives its memory back. */
void page_set_clear(struct page_set *s);

/* ERR_NO_MEMORY; the set is unchanged then. */
MUST_USE int page_set_add(struct page_set *s, uint32_t pgno, struct error *err);
/* Adds first..last (both included; nothing if last < first). */
MUST_USE int page_set_add_range(struct page_set *s, uint32_t first, uint32_t last,
                                struct error *err);
MUST_USE int page_set_add_all(struct page_set *s, const struct page_set *other, struct error *err);

/* Whether a page is in the set. Cost: O(1). */
bool page_set_has(const struct page_set *s, uint32_t pgno);
static inline bool page_set_is_empty(const struct page_set *s)
{
    return s->page_count == 0;
}

/* Removes all pages above last: after the database shrank. */
void page_set_cut(struct page_set *s, uint32_t last);
void page_set_remove(struct page_set *s, uint32_t pgno);

/* The smallest page >= pgno in the set; 0 if there is none. For iteration:
 * for (uint32_t p = page_set_next(s, 1); p; p = page_set_next(s, p + 1)) */
uint32_t page_set_next(const struct page_set *s, uint32_t pgno);

/* Moves the content out; s is empty afterwards. */
struct page_set page_set_take(struct page_set *s);

/* Heap bytes in use. */
size_t page_set_bytes(const struct page_set *s);

#endif
