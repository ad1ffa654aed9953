/*
 * A greedy chain of objects (each the one that reaches furthest), fetched one after the other.
 */
#include "sidecar/engine/cover.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/index.h"
#include "lib/storage/object_name.h"

enum {
    COVER_INDEX_BYTES_MAX = 64 << 20, /* of one object's page index: 5 million pages */
};

struct cover_step {
    char key[STORAGE_KEY_BYTES_MAX];
    uint64_t bytes;
};

struct cover {
    struct cover_args args;
    cover_done_fn *done;
    void *arg;
    struct cover_step *steps;
    size_t step_count;
    size_t step_idx;
    struct storage_op *op;
    bool is_canceled;
    struct buf tail;
    uint64_t tail_bytes; /* asked for */
    struct blob_writer body;
    bool has_body;
    struct cover_result result;
};

const struct inventory_object *cover_furthest(const struct inventory *inv, uint64_t after_txid,
                                              uint64_t to_txid, unsigned *out_level)
{
    const struct inventory_object *best = NULL;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        if (level == LTX_LEVEL_SNAPSHOT && after_txid > 0)
            continue;
        const struct inventory_level *l = &inv->level[level];
        for (size_t i = inventory_lower_bound(inv, level, after_txid + 1); i < l->object_count;
             i++) {
            const struct inventory_object *o = &l->object[i];
            if (o->max_txid > to_txid)
                break;
            if (o->min_txid > after_txid + 1 || (best && o->max_txid <= best->max_txid))
                continue;
            best = o;
            *out_level = level;
        }
    }
    return best;
}

static bool is_cut(const struct cover *c)
{
    return c->args.object_count_max && c->step_count == c->args.object_count_max;
}

static int cover_plan(struct cover *c, struct error *err)
{
    size_t cap = 0;
    uint64_t bytes = 0;

    for (uint64_t at = c->args.after_txid; at < c->args.to_txid && !is_cut(c);) {
        unsigned level = 0;
        const struct inventory_object *o =
            cover_furthest(c->args.inventory, at, c->args.to_txid, &level);
        if (!o)
            return error_set(err, ERR_GAP, 0, "no object follows TXID %016" PRIx64, at);
        if (c->step_count == COVER_OBJECTS_MAX) {
            return error_set(err, ERR_LIMIT, 0, "more than %d objects from TXID %016" PRIx64,
                             (int)COVER_OBJECTS_MAX, c->args.after_txid);
        }
        if (c->step_count == cap) {
            cap = cap ? cap * 2 : 8;
            struct cover_step *steps = realloc(c->steps, cap * sizeof(*steps));
            if (!steps)
                return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu objects", cap);
            c->steps = steps;
        }
        struct cover_step *step = &c->steps[c->step_count++];
        (void)inventory_object_key(level, o, step->key); /* returns step->key */
        step->bytes = o->bytes;
        bytes += o->bytes;
        at = o->max_txid;
        if (c->args.bytes_max && bytes > c->args.bytes_max) {
            return error_set(err, ERR_NO_SPACE, 0,
                             "more than %" PRIu64 " bytes of objects from TXID %016" PRIx64,
                             c->args.bytes_max, c->args.after_txid);
        }
    }
    return 0;
}

static void cover_free(struct cover *c)
{
    for (size_t i = 0; i < c->result.blob_count; i++)
        blob_destroy(&c->result.blobs[i]);
    free(c->result.blobs);
    page_set_destroy(&c->result.pages);
    if (c->has_body)
        blob_writer_destroy(&c->body);
    buf_destroy(&c->tail);
    free(c->steps);
    free(c);
}

static void cover_end(struct cover *c, const struct error *err)
{
    if (!c->is_canceled)
        c->done(c->arg, &c->result, err);
    cover_free(c);
}

static void step_start(struct cover *c);

/* ---- page indexes ---- */

static int tail_collect(void *arg, struct slice chunk, struct error *err)
{
    struct cover *c = arg;
    return buf_append_slice(&c->tail, chunk, err);
}

static int index_take(struct cover *c, bool *out_is_whole, struct error *err)
{
    CLEANUP(ltx_index_destroy) struct ltx_index index = {.entries = NULL};
    uint64_t need = 0;
    int rc =
        ltx_index_parse(buf_slice(&c->tail), c->steps[c->step_idx].bytes, 0, &index, &need, err);

    if (rc < 0)
        return -1;
    *out_is_whole = rc > 0;
    c->tail_bytes = need;
    for (size_t i = 0; rc > 0 && i < index.count; i++) {
        if (page_set_add(&c->result.pages, index.entries[i].pgno, err) < 0)
            return -1;
    }
    return 0;
}

static void tail_on_done(void *arg, const struct storage_result *result)
{
    struct cover *c = arg;
    struct error err = *result->err;
    bool is_whole = false;

    c->op = NULL;
    if (c->is_canceled || err.code != ERR_NONE || index_take(c, &is_whole, &err) < 0) {
        if (err.code != ERR_NONE)
            (void)error_wrap(&err, "page index of %s", c->steps[c->step_idx].key);
        cover_end(c, &err);
        return;
    }
    if (is_whole) {
        c->step_idx++;
        c->tail_bytes = LTX_INDEX_TAIL_BYTES;
    }
    step_start(c);
}

static int tail_start(struct cover *c, struct error *err)
{
    const struct cover_step *step = &c->steps[c->step_idx];
    uint64_t n = c->tail_bytes < step->bytes ? c->tail_bytes : step->bytes;
    const struct storage_get get = {
        .key = step->key, .offset = step->bytes - n, .bytes = n, .on_data = tail_collect};

    buf_clear(&c->tail);
    return storage_get_start(c->args.storage, &get, tail_on_done, c, &c->op, err);
}

/* ---- whole objects ---- */

static int body_collect(void *arg, struct slice chunk, struct error *err)
{
    struct cover *c = arg;
    return blob_writer_append(&c->body, chunk, err);
}

static int body_take(struct cover *c, struct error *err)
{
    c->has_body = false;
    if (blob_writer_finish(&c->body, &c->result.blobs[c->result.blob_count], err) < 0) {
        blob_writer_destroy(&c->body);
        return -1;
    }
    c->result.blob_count++;
    return 0;
}

static void body_on_done(void *arg, const struct storage_result *result)
{
    struct cover *c = arg;
    struct error err = *result->err;

    c->op = NULL;
    if (c->is_canceled || err.code != ERR_NONE || body_take(c, &err) < 0) {
        if (err.code != ERR_NONE)
            (void)error_wrap(&err, "object %s", c->steps[c->step_idx].key);
        cover_end(c, &err);
        return;
    }
    c->step_idx++;
    step_start(c);
}

static int body_start(struct cover *c, struct error *err)
{
    const struct cover_step *step = &c->steps[c->step_idx];
    const struct storage_get get = {.key = step->key, .on_data = body_collect};

    if (!c->args.bytes_max && step->bytes > COVER_BODY_BYTES_MAX) {
        return error_set(err, ERR_LIMIT, 0, "%s has %" PRIu64 " bytes, more than %d", step->key,
                         step->bytes, (int)COVER_BODY_BYTES_MAX);
    }
    blob_writer_init(&c->body, c->args.env, c->args.work_folder,
                     c->args.memory_bytes_max ? c->args.memory_bytes_max
                                              : (uint64_t)COVER_MEMORY_BYTES);
    c->has_body = true;
    return storage_get_start(c->args.storage, &get, body_on_done, c, &c->op, err);
}

static void step_start(struct cover *c)
{
    struct error err = ERROR_INIT;

    if (c->step_idx == c->step_count) {
        cover_end(c, &err);
        return;
    }
    int rc = c->args.kind == COVER_PAGES ? tail_start(c, &err) : body_start(c, &err);
    if (rc < 0)
        cover_end(c, &err);
}

int cover_start(const struct cover_args *args, cover_done_fn *done, void *arg, struct cover **out,
                struct error *err)
{
    struct cover *c = mem_new(1, sizeof(*c), err);

    if (!c)
        return -1;
    c->args = *args;
    c->done = done;
    c->arg = arg;
    c->tail = (struct buf)BUF_INIT(COVER_INDEX_BYTES_MAX);
    c->tail_bytes = LTX_INDEX_TAIL_BYTES;
    if (cover_plan(c, err) < 0) {
        cover_free(c);
        return -1;
    }
    if (c->step_count == 0) {
        (void)error_set(err, ERR_GAP, 0, "empty range");
        cover_free(c);
        return -1;
    }
    if (args->kind == COVER_OBJECTS) {
        c->result.blobs = mem_new(c->step_count, sizeof(struct blob), err);
        if (!c->result.blobs) {
            cover_free(c);
            return -1;
        }
    }
    /* The first request is started here, so that nothing calls back before we return. */
    int rc = args->kind == COVER_PAGES ? tail_start(c, err) : body_start(c, err);
    if (rc < 0) {
        cover_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

void cover_cancel(struct cover *c)
{
    if (!c)
        return;
    c->is_canceled = true;
    ASSERT(c->op); /* between two requests nobody else runs */
    storage_cancel(c->op);
}
