/*
 * An object from its name to its proof.
 *
 * One of up to unit_bytes is open at once: it is fetched whole, and its header is looked at when it
 * has arrived. A larger one is opened by requests of its own:
 *
 *   1. the header (100 bytes) and the last TAIL_BYTES, beside each other
 *   2. if the index begins before what has arrived: its rest, taken apart as it arrives
 *
 * Then it is cut into ranges, and at the end the file checksum is put together:
 *
 *   crc(header) + crc of each unit in order + crc(terminator, index, length, post-apply checksum)
 */
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/crc64.h"
#include "sidecar/restore/fetch_internal.h"

enum {
    TAIL_BYTES = 64 * 1024,
};

int fetch_object_error(const struct fetch_object *o, struct error *err)
{
    return error_wrap(err, "object %s", o->key);
}

int fetch_object_give_up(const struct fetch_object *o, struct error *err)
{
    struct fetch_result *r = &o->fetch->result;

    if (err->code == ERR_NOT_FOUND) {
        r->is_vanished = true;
        r->vanished_idx = o->plan_idx;
    }
    return fetch_object_error(o, err);
}

void fetch_object_free(struct fetch_object *o)
{
    if (!o)
        return;
    ASSERT(o->op_count == 0);
    split_destroy(&o->split);
    buf_destroy(&o->tail);
    free(o->parts);
    free(o);
}

void fetch_object_cancel(struct fetch_object *o)
{
    for (size_t i = 0; i < ARRAY_LEN(o->ops); i++) {
        struct storage_op *op = TAKE(o->ops[i]);
        if (op)
            storage_cancel(op);
    }
}

/* ---- the header ---- */

int fetch_object_take_header(struct fetch_object *o, struct slice bytes, struct error *err)
{
    struct ltx_header *h = &o->header;

    if (ltx_header_decode(bytes, h, err) < 0)
        return -1;
    if (h->min_txid != o->named->min_txid || h->max_txid != o->named->max_txid) {
        return error_set(err, ERR_CORRUPT, 0, "header has TXIDs %016llx to %016llx",
                         (unsigned long long)h->min_txid, (unsigned long long)h->max_txid);
    }
    if (h->commit == 0)
        return error_set(err, ERR_CORRUPT, 0, "header has a database of 0 pages");
    o->has_header = true;
    return 0;
}

/* ---- opening a large one ---- */

static int header_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct fetch_object *o = arg;

    if (chunk.n > sizeof(o->header_bytes) - o->header_n)
        return error_set(err, ERR_CORRUPT, 0, "more bytes than asked for");
    memcpy(o->header_bytes + o->header_n, chunk.p, chunk.n);
    o->header_n += chunk.n;
    o->fetch->result.bytes += chunk.n;
    return 0;
}

static int tail_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct fetch_object *o = arg;

    o->fetch->result.bytes += chunk.n;
    return buf_append_slice(&o->tail, chunk, err);
}

static int index_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct fetch_object *o = arg;

    o->fetch->result.bytes += chunk.n;
    return split_feed(&o->split, chunk, err);
}

/* The object cannot be had. Whether that matters is known when its turn comes. */
static void open_break(struct fetch_object *o, const struct error *err)
{
    o->err = *err;
    o->state = OBJECT_BROKEN;
    fetch_object_cancel(o);
    fetch_advance(o->fetch);
}

/* An answer with an error, or that nobody waits for any more: nothing follows. */
static bool open_is_over(struct fetch_object *o, const struct storage_result *result)
{
    struct error err = *result->err;

    if (o->fetch->has_failed || o->is_abandoned || o->state == OBJECT_BROKEN) {
        fetch_advance(o->fetch);
        return true;
    }
    if (err.code == ERR_NONE)
        return false;
    open_break(o, &err);
    return true;
}

/* The index is whole: units can be made. */
static int open_finish(struct fetch_object *o, struct error *err)
{
    uint64_t from = o->split.frames_end > o->tail_offset ? o->split.frames_end - o->tail_offset : 0;
    struct slice tail = buf_slice(&o->tail);

    if (split_feed(&o->split,
                   slice_sub(tail, (size_t)from, tail.n - (size_t)from - SPLIT_TAIL_BYTES),
                   err) < 0 ||
        split_finish(&o->split, err) < 0)
        return -1;
    o->file_checksum = be64_load(tail.p + tail.n - 8);
    buf_destroy(&o->tail);
    o->unit_count = o->split.range_count;
    ASSERT(o->unit_count > 0); /* an object without frames is too small to be split */
    o->parts = mem_new(o->unit_count + 1, sizeof(*o->parts), err);
    if (!o->parts)
        return -1;
    o->state = OBJECT_OPEN;
    return 0;
}

static void index_on_done(void *arg, const struct storage_result *result)
{
    struct fetch_object *o = arg;
    struct error err = ERROR_INIT;

    o->ops[0] = NULL;
    o->op_count--;
    if (open_is_over(o, result))
        return;
    if (open_finish(o, &err) < 0)
        open_break(o, &err);
    else
        fetch_advance(o->fetch);
}

static int get_start(struct fetch_object *o, unsigned op_idx, const struct storage_get *get,
                     storage_done_fn *done, struct error *err)
{
    if (storage_get_start(o->fetch->args.storage, get, done, o, &o->ops[op_idx], err) < 0)
        return -1;
    o->op_count++;
    return 0;
}

/* Step 2: header and tail are there. 1: the index is whole already. */
static int index_start(struct fetch_object *o, struct error *err)
{
    uint64_t tail_n = o->tail.n;

    ASSERT(tail_n >= SPLIT_TAIL_BYTES);
    if (o->header_n != LTX_HEADER_BYTES || o->tail_offset + tail_n != o->named->bytes)
        return error_set(err, ERR_CORRUPT, 0, "fewer bytes than asked for");
    const uint8_t *end = o->tail.p + tail_n;
    if (fetch_object_take_header(o, slice_of(o->header_bytes, LTX_HEADER_BYTES), err) < 0 ||
        split_init(&o->split, o->named->bytes, end - SPLIT_TAIL_BYTES, o->fetch->args.unit_bytes,
                   err) < 0)
        return -1;
    if (o->split.frames_end >= o->tail_offset)
        return open_finish(o, err) < 0 ? -1 : 1;
    struct storage_get get = {.key = o->key,
                              .offset = o->split.frames_end,
                              .bytes = o->tail_offset - o->split.frames_end,
                              .on_data = index_on_data};
    return get_start(o, 0, &get, index_on_done, err);
}

static void head_or_tail_on_done(struct fetch_object *o, const struct storage_result *result)
{
    struct error err = ERROR_INIT;

    o->op_count--;
    if (open_is_over(o, result) || o->op_count > 0)
        return;
    int rc = index_start(o, &err);
    if (rc < 0)
        open_break(o, &err);
    else if (rc > 0)
        fetch_advance(o->fetch);
}

static void head_on_done(void *arg, const struct storage_result *result)
{
    struct fetch_object *o = arg;

    o->ops[0] = NULL;
    head_or_tail_on_done(o, result);
}

static void tail_on_done(void *arg, const struct storage_result *result)
{
    struct fetch_object *o = arg;

    o->ops[1] = NULL;
    head_or_tail_on_done(o, result);
}

/* Step 1. What was started stays under way when the second request cannot be. */
static int open_start(struct fetch_object *o, struct error *err)
{
    uint64_t bytes = o->named->bytes;

    o->tail_offset = bytes > TAIL_BYTES ? bytes - TAIL_BYTES : 0;
    struct storage_get head = {.key = o->key, .bytes = LTX_HEADER_BYTES, .on_data = header_on_data};
    struct storage_get tail = {.key = o->key,
                               .offset = o->tail_offset,
                               .bytes = bytes - o->tail_offset,
                               .on_data = tail_on_data};
    if (get_start(o, 0, &head, head_on_done, err) < 0 ||
        get_start(o, 1, &tail, tail_on_done, err) < 0)
        return -1;
    return 0;
}

/* ---- the life of an object ---- */

struct fetch_object *fetch_object_begin(struct fetch *f, size_t plan_idx, struct error *err)
{
    const struct plan_object *p = &f->args.plan->objects[plan_idx];
    struct fetch_object *o = mem_new(1, sizeof(*o), err);

    if (!o)
        return NULL;
    o->fetch = f;
    o->plan_idx = plan_idx;
    o->named = &p->object;
    o->tail = (struct buf)BUF_INIT(TAIL_BYTES);
    restore_plan_object_key(p, o->key);
    o->is_split = o->named->bytes > f->args.unit_bytes;
    o->state = o->is_split ? OBJECT_OPENING : OBJECT_OPEN;
    o->unit_count = o->is_split ? 0 : 1;
    f->objects[f->object_count++] = o;
    f->making = o;
    if (o->named->bytes < LTX_FILE_BYTES_MIN) {
        o->state = OBJECT_BROKEN;
        (void)error_set(&o->err, ERR_CORRUPT, 0, "%llu bytes are too few for an LTX file",
                        (unsigned long long)o->named->bytes);
    } else if (o->is_split && open_start(o, err) < 0) {
        (void)fetch_object_error(o, err);
        return NULL;
    }
    return o;
}

struct split_range fetch_object_range(const struct fetch_object *o, size_t idx)
{
    if (o->is_split)
        return o->split.ranges[idx];
    return (struct split_range){.offset = 0, .bytes = o->named->bytes};
}

int fetch_object_prove(struct fetch_object *o, struct error *err)
{
    struct ltx_trailer trailer;
    uint8_t bytes[LTX_TRAILER_BYTES];

    if (!o->is_split)
        return 0; /* the decoder did */
    uint64_t crc = crc64(0, slice_of(o->header_bytes, LTX_HEADER_BYTES));
    for (size_t i = 0; i < o->unit_count; i++)
        crc = crc64_combine(crc, o->parts[i].crc, o->parts[i].bytes);
    crc = LTX_CHECKSUM_FLAG | crc64_combine(crc, o->split.crc, o->split.crc_bytes);
    be64_store(bytes, be64_load(o->split.tail + 8));
    be64_store(bytes + 8, o->file_checksum);
    if (ltx_trailer_decode(bytes, &o->header, &trailer, err) < 0)
        return fetch_object_error(o, err);
    if (trailer.file_checksum != crc) {
        (void)error_set(err, ERR_CORRUPT, 0, "file checksum is %016llx, should be %016llx",
                        (unsigned long long)trailer.file_checksum, (unsigned long long)crc);
        return fetch_object_error(o, err);
    }
    if (o->plan_idx + 1 == o->fetch->args.plan->object_count)
        o->fetch->result.tip_trailer = trailer;
    return 0;
}
