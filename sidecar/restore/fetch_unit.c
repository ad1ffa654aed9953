/*
 * The job of a unit: from the bytes of whole frames to written pages.
 *
 *   an object in one unit   goes through the LTX decoder, which proves everything about it
 *   a range of a large one  is decoded frame by frame; what its frames add to the file checksum
 *                           (frame headers as stored, pages uncompressed) is summed from 0 and
 *                           combined with the other units' when all are done
 *
 * Which frames are to be written was claimed on the loop thread: bit i of the claims is the i-th
 * frame of the unit.
 */
#include <stdlib.h>

#include "lib/ltx/crc64.h"
#include "lib/ltx/decoder.h"
#include "lib/ltx/index.h"
#include "sidecar/restore/fetch_internal.h"

/* Writes a page if it is ours. */
static int page_take(struct unit *u, uint32_t frame_idx, uint32_t pgno, struct slice page,
                     uint64_t checksum, struct error *err)
{
    ASSERT(frame_idx < u->frame_count);
    if (!unit_has_claim(u, frame_idx))
        return 0;
    u->is_local = true;
    if (output_write(u->fetch->args.output, &u->run, pgno, page, checksum, err) < 0)
        return -1;
    u->is_local = false;
    return 0;
}

static int whole_decode(struct unit *u, struct error *err)
{
    CLEANUP(ltx_decoder_destroy) struct ltx_decoder d = {0};
    struct slice rest = slice_of(u->raw.p, (size_t)u->raw_n);
    struct slice page = SLICE_EMPTY;
    uint32_t frame_idx = 0;
    uint32_t pgno = 0;
    int rc = 0;

    ltx_decoder_init(&d, &(struct ltx_decoder_args){0});
    while ((rc = ltx_decoder_step(&d, &rest, &pgno, &page, err)) > 0) {
        if (page_take(u, frame_idx++, pgno, page, ltx_page_checksum(pgno, page), err) < 0)
            return -1;
        if (job_is_canceled(&u->job))
            return error_set(err, ERR_CANCELED, 0, "canceled");
    }
    if (rc < 0 || ltx_decoder_finish(&d, &u->trailer, err) < 0)
        return -1;
    ASSERT(frame_idx == u->frame_count);
    return 0;
}

static int range_decode(struct unit *u, struct error *err)
{
    struct slice rest = slice_of(u->raw.p, (size_t)u->raw_n);
    uint32_t page_size = u->object->header.page_size;
    const struct crc64_length page_length = crc64_length_of(page_size);
    CLEANUP(mem_free) uint8_t *page = mem_new(1, page_size, err);
    uint32_t frame_idx = 0;

    if (!page)
        return -1;
    while (rest.n > 0) {
        uint32_t pgno = 0;
        size_t n = 0;
        if (frame_peek(rest, &pgno, &n, err) < 0 ||
            ltx_frame_decode(slice_sub(rest, 0, n), page_size, pgno, page, err) < 0) {
            return error_wrap(err, "offset %llu",
                              (unsigned long long)(u->offset + (uint64_t)(rest.p - u->raw.p)));
        }
        /* Flags 1 have a size field, and it counts. */
        size_t head = rest.p[5] ? LTX_FRAME_HEADER_BYTES : LTX_PAGE_HEADER_BYTES;
        u->part.crc = crc64(u->part.crc, slice_sub(rest, 0, head));
        /* The content is summed once, for the file and for the page. */
        uint64_t page_crc = crc64(0, slice_of(page, page_size));
        u->part.crc = crc64_join(u->part.crc, page_crc, &page_length);
        u->part.bytes += head + page_size;
        uint64_t checksum = ltx_page_checksum_of_crc(pgno, page_crc, &page_length);
        if (page_take(u, frame_idx++, pgno, slice_of(page, page_size), checksum, err) < 0)
            return -1;
        if (job_is_canceled(&u->job))
            return error_set(err, ERR_CANCELED, 0, "canceled");
        rest = slice_sub(rest, n, rest.n);
    }
    ASSERT(frame_idx == u->frame_count);
    return 0;
}

void unit_work(struct job *job)
{
    struct unit *u = CONTAINER_OF(job, struct unit, job);
    struct output *output = u->fetch->args.output;

    int rc = page_run_init(&u->run, output->page_size, &u->err);
    if (rc == 0)
        rc = u->object->is_split ? range_decode(u, &u->err) : whole_decode(u, &u->err);
    if (rc == 0) {
        u->is_local = true;
        rc = output_flush(output, &u->run, &u->err);
        u->is_local = rc < 0;
    }
    ASSERT(rc == 0 || u->err.code != ERR_NONE);
}
