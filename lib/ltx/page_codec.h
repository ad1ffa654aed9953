/*
 * LZ4 of one page: the raw blocks that we and Litestream since 0.5.16 write, and the LZ4 frames of
 * Litestream 0.5.0 to 0.5.15. What a page decompresses to is exactly one page or an error.
 *
 * Threads: one at a time per codec.
 * Source: lz4_Block_format.md and lz4_Frame_format.md of github.com/lz4/lz4.
 */
#ifndef WALFERRY_LIB_LTX_PAGE_CODEC_H
#define WALFERRY_LIB_LTX_PAGE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

/* Longest LZ4 block that a page of this size can become (incompressible: a little more). */
size_t page_block_bytes_max(uint32_t page_size);

/* Longest LZ4 frame that is accepted for a page: descriptor, blocks with checksums, end. */
size_t page_lz4f_bytes_max(uint32_t page_size);

/* Compresses the pages of one object, one after the other. */
struct page_compressor {
    void *lz4;           /* LZ4's working memory, 16 KiB */
    bool is_careful;     /* looks for repetitions everywhere, because there were some */
    unsigned gait_pages; /* until it is tried whether that pays */
};

/* Begins an object. ERR_NO_MEMORY. */
MUST_USE int page_compressor_init(struct page_compressor *c, struct error *err);

/* Accepts zeroed and destroyed ones. */
void page_compressor_destroy(struct page_compressor *c);

/*
 * Compresses the next page to an LZ4 block. Cannot fail: incompressible pages become literals.
 *
 * out    room for page_block_bytes_max(page.n)
 * Returns the bytes written. The same pages since page_compressor_init() make the same blocks. Where
 * pages have not been worth it, this one is looked at less closely; the rules are in page_codec.c.
 * Cost of 4 KiB: about 1.2 us of noise carefully, 0.4 quickly; text 4.
 */
size_t page_compress(struct page_compressor *c, struct slice page, uint8_t *out);

/*
 * Decompresses an LZ4 block to exactly page_size bytes.
 * ERR_CORRUPT: the block is damaged, or its content is shorter or longer than a page.
 */
MUST_USE int page_decompress(struct slice block, uint8_t *out_page, uint32_t page_size,
                             struct error *err);

/* Decompresses one LZ4 frame that arrives in pieces. Zeroed is a valid, unused one. */
struct page_lz4f {
    struct LZ4F_dctx_s *context; /* made at the first use, kept for the next page */
    size_t page_done;            /* bytes of the page so far */
    size_t frame_done;           /* bytes of the frame so far */
};

/* Frees the context. Accepts a zeroed one. */
void page_lz4f_destroy(struct page_lz4f *f);

/*
 * Feeds bytes; what belongs to the frame is taken from *io_bytes.
 *
 * Returns 1 when the frame is whole and out_page holds exactly page_size bytes (the next call
 * begins a new frame), 0 when more bytes are needed (*io_bytes is empty then), or -1:
 *   ERR_CORRUPT    the frame is damaged, too long, or its content is not exactly a page
 *   ERR_NO_MEMORY
 */
MUST_USE int page_lz4f_feed(struct page_lz4f *f, struct slice *io_bytes, uint8_t *out_page,
                            uint32_t page_size, struct error *err);

#endif
