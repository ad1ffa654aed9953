/*
 * LZ4 of one page, on liblz4.
 *
 * Compressing has two gaits. LZ4 looks for repetitions at every byte and takes longer strides the
 * longer it finds none; *careful* begins with strides of one byte, *quick* with QUICK_STRIDE. On noise
 * (pictures, archives, ciphertext) both find nothing, quick in a third of the time, and both see
 * the free space of a page. On text quick is twice as fast and half as large again, so:
 *
 *   1. The first GAIT_PAGES are careful: objects of a few pages, so what a commit ships, always.
 *   2. Each careful page that saves an eighth keeps the gait for GAIT_PAGES more.
 *   3. When that many have passed without one, the next page is done in both gaits. Careful stays when
 *      it gained a 64th of the page; else quick begins. After GAIT_PAGES the same trial again.
 *   4. A quick page that saves an eighth is done again carefully, and careful stays.
 *
 * So data that saves an eighth is never larger for it, but for pages where only careful sees that, and
 * all other data by at most a 64th. The gait depends on the pages since the beginning of the object
 * and on nothing else: the same pages make the same object.
 *
 * A block has no length of its own: the LTX frame says it. It must decompress to exactly one page;
 * LZ4_decompress_safe() never reads or writes outside what it is told, whatever the block says.
 *
 * An LZ4 frame ends where its blocks say, so it is decompressed as it arrives. Three bounds keep a
 * hostile one finite: the output is one page, the input is page_lz4f_bytes_max(), and a call that
 * neither reads nor writes means that there is more content than a page.
 *
 *   LZ4 frame                    bytes
 *   magic, descriptor            7 .. 19
 *   blocks: length, data, sum    4 + n + (0 or 4)   each, a page fits into one (64 KiB and more)
 *   end mark, content checksum   4 + (0 or 4)
 *
 * Source: lz4_Block_format.md and lz4_Frame_format.md of github.com/lz4/lz4.
 */
#include "lib/ltx/page_codec.h"

#include <lz4.h>
#include <lz4frame.h>
#include <stdlib.h>

#include "lib/sqlite/db_header.h"

enum {
    LZ4F_DESCRIPTOR_BYTES_MAX = 19,
    LZ4F_BLOCKS_MAX = 16, /* a writer may flush in between; one is what writers do */
    QUICK_STRIDE = 16,
    GAIT_PAGES = 16,
    SAVES_PART = 8,  /* 1/8 of a page */
    GAINS_PART = 64, /* 1/64 */
};

size_t page_block_bytes_max(uint32_t page_size)
{
    ASSERT(page_size <= DB_PAGE_BYTES_MAX);
    return (size_t)LZ4_compressBound((int)page_size);
}

size_t page_lz4f_bytes_max(uint32_t page_size)
{
    return LZ4F_DESCRIPTOR_BYTES_MAX + page_block_bytes_max(page_size) +
           (size_t)LZ4F_BLOCKS_MAX * 8 + 8;
}

int page_compressor_init(struct page_compressor *c, struct error *err)
{
    *c = (struct page_compressor){.is_careful = true, .gait_pages = GAIT_PAGES};
    c->lz4 = mem_new(1, (size_t)LZ4_sizeofState(), err);
    return c->lz4 ? 0 : -1;
}

void page_compressor_destroy(struct page_compressor *c)
{
    free(c->lz4);
    c->lz4 = NULL;
}

static size_t compress(const struct page_compressor *c, struct slice page, uint8_t *out, int stride)
{
    size_t room = page_block_bytes_max((uint32_t)page.n);
    int n = LZ4_compress_fast_extState(c->lz4, (const char *)page.p, (char *)out, (int)page.n,
                                       (int)room, stride);
    ASSERT(n > 0);
    return (size_t)n;
}

size_t page_compress(struct page_compressor *c, struct slice page, uint8_t *out)
{
    const size_t saves = page.n - page.n / SAVES_PART;
    const bool is_trial = c->gait_pages == 0;
    size_t quick = 0;
    size_t n;

    if (is_trial || !c->is_careful)
        quick = compress(c, page, out, QUICK_STRIDE);
    n = !is_trial && !c->is_careful && quick > saves ? quick : compress(c, page, out, 1);
    if (n <= saves)
        c->is_careful = true; /* steps 2 and 4 */
    else if (is_trial)
        c->is_careful = n + page.n / GAINS_PART < quick; /* step 3 */
    c->gait_pages = n <= saves || is_trial ? GAIT_PAGES : c->gait_pages - 1;
    return n;
}

int page_decompress(struct slice block, uint8_t *out_page, uint32_t page_size, struct error *err)
{
    if (block.n == 0 || block.n > page_block_bytes_max(page_size)) {
        return error_set(err, ERR_CORRUPT, 0, "LZ4 block of %zu bytes for a page of %u", block.n,
                         page_size);
    }
    int n =
        LZ4_decompress_safe((const char *)block.p, (char *)out_page, (int)block.n, (int)page_size);
    if (n < 0)
        return error_set(err, ERR_CORRUPT, 0, "LZ4 block of %zu bytes is damaged", block.n);
    if ((uint32_t)n != page_size) {
        return error_set(err, ERR_CORRUPT, 0, "LZ4 block holds %d bytes instead of a page of %u", n,
                         page_size);
    }
    return 0;
}

void page_lz4f_destroy(struct page_lz4f *f)
{
    (void)LZ4F_freeDecompressionContext(f->context); /* accepts NULL, answers only a hint */
    *f = (struct page_lz4f){.context = NULL};
}

static int lz4f_begin(struct page_lz4f *f, struct error *err)
{
    if (f->context) {
        LZ4F_resetDecompressionContext(f->context);
        return 0;
    }
    if (LZ4F_isError(LZ4F_createDecompressionContext(&f->context, LZ4F_VERSION)))
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for an LZ4 frame");
    return 0;
}

/* The frame has ended: one page, no more, no less. */
static int lz4f_end(struct page_lz4f *f, uint32_t page_size, struct error *err)
{
    if (f->page_done != page_size) {
        return error_set(err, ERR_CORRUPT, 0, "LZ4 frame holds %zu bytes instead of a page of %u",
                         f->page_done, page_size);
    }
    f->page_done = 0;
    f->frame_done = 0;
    return 1;
}

int page_lz4f_feed(struct page_lz4f *f, struct slice *io_bytes, uint8_t *out_page,
                   uint32_t page_size, struct error *err)
{
    if (io_bytes->n == 0)
        return 0;
    if (f->frame_done == 0 && lz4f_begin(f, err) < 0)
        return -1;
    while (io_bytes->n > 0) {
        size_t taken = io_bytes->n;
        size_t made = page_size - f->page_done;
        size_t rc =
            LZ4F_decompress(f->context, out_page + f->page_done, &made, io_bytes->p, &taken, NULL);
        if (LZ4F_isError(rc))
            return error_set(err, ERR_CORRUPT, 0, "LZ4 frame: %s", LZ4F_getErrorName(rc));
        f->page_done += made;
        f->frame_done += taken;
        *io_bytes = slice_sub(*io_bytes, taken, io_bytes->n);
        if (f->frame_done > page_lz4f_bytes_max(page_size) || (rc != 0 && taken + made == 0)) {
            return error_set(err, ERR_CORRUPT, 0, "LZ4 frame is too long for a page of %u",
                             page_size);
        }
        if (rc == 0)
            return lz4f_end(f, page_size, err);
    }
    return 0;
}
