/*
 * Random access: the page index from the last bytes of an LTX file, and one frame from a ranged
 * GET.
 *
 *     GET the last LTX_INDEX_TAIL_BYTES of the file (or all of it)
 *     rc = ltx_index_parse(tail, file_bytes, page_size, &index, &need, err)
 *     rc 0: GET the last `need` bytes and ask again
 *     GET entry->offset, entry->bytes for a page; ltx_frame_decode()
 *
 * The file checksum cannot be verified this way (it covers all pages): what is proven of a page is
 * that its frame is well-formed, has its number and decompresses to one page. Whoever knows the
 * page's checksum (page map) or the database's (extension) compares these.
 *
 * Threads: any; an index is immutable once parsed. Memory: 16 bytes a page; the number of pages is
 * bounded by the bytes that were given.
 */
#ifndef WALFERRY_LIB_LTX_INDEX_H
#define WALFERRY_LIB_LTX_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/ltx/ltx.h"

enum {
    LTX_INDEX_TAIL_BYTES = 32768, /* a good first guess: some 3000 pages */
};

struct ltx_index_entry {
    uint64_t offset; /* of the frame in the file */
    uint32_t bytes;  /* of the frame, with its header */
    uint32_t pgno;
};

struct ltx_index {
    struct ltx_index_entry *entries; /* ascending page number; owned */
    size_t count;
    uint64_t frames_end;        /* offset of the terminator: frames fill [100, frames_end) */
    struct ltx_trailer trailer; /* as stored; flags not checked: that needs the header */
};

/* Frees the entries. Accepts a zeroed one. */
void ltx_index_destroy(struct ltx_index *index);

/*
 * Parses the page index.
 *
 * tail        the last tail.n bytes of the file
 * file_bytes  length of the file
 * page_size   bounds the frames; 0 if unknown
 * out_need    with answer 0: how many of the last bytes are needed (> tail.n, <= file_bytes)
 *
 * Returns 1 with *out_index, which the caller destroys; 0 if more bytes are needed; -1:
 *   ERR_CORRUPT    not an index, or one that does not describe the file: page numbers that do not
 *                  ascend, frames that do not follow each other from offset 100 to the terminator
 *   ERR_NO_MEMORY
 */
MUST_USE int ltx_index_parse(struct slice tail, uint64_t file_bytes, uint32_t page_size,
                             struct ltx_index *out_index, uint64_t *out_need, struct error *err);

/* The entry of a page, or NULL if the file does not have it. Borrowed. Cost: binary search. */
const struct ltx_index_entry *ltx_index_find(const struct ltx_index *index, uint32_t pgno);

/*
 * Decodes one frame, block or legacy.
 *
 * frame     exactly the bytes that the index names
 * pgno      the page that it must hold
 * out_page  room for page_size bytes
 *
 * ERR_CORRUPT: another page, unknown flags, wrong length, or a payload that is not one page.
 * ERR_NO_MEMORY (legacy frames only).
 */
MUST_USE int ltx_frame_decode(struct slice frame, uint32_t page_size, uint32_t pgno,
                              uint8_t *out_page, struct error *err);

#endif
