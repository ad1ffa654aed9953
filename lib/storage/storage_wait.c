/*
 * One operation after the other: each function starts its operation, runs the loop until done has
 * been called, and hands the outcome on. A driver whose operation can never end would leave the
 * loop with nothing to do: that is our mistake and asserted.
 */
#include "lib/storage/storage_wait.h"

#include "lib/storage/driver.h"

struct waiting {
    bool is_done;
    struct error err;
    struct storage_object object; /* without its key */
    struct buf *out;              /* of a get */
    const struct storage_list *list;
    void *list_arg;
};

static void waiting_on_done(void *arg, const struct storage_result *result)
{
    struct waiting *w = arg;

    w->err = *result->err;
    w->object = result->object;
    w->object.key = NULL;
    w->is_done = true;
}

/* Runs the loop to the end of what was started; rc is the answer of its start. */
static int waiting_end(struct storage *st, struct waiting *w, int rc, struct error *err)
{
    if (rc < 0)
        return -1;
    bool was_done = loop_run_until(st->loop, &w->is_done);
    ASSERT(was_done);
    if (w->err.code == ERR_NONE)
        return 0;
    *err = w->err;
    return -1;
}

int storage_put_wait(struct storage *st, const struct storage_put *args, struct error *err)
{
    struct waiting w = {.is_done = false};

    return waiting_end(st, &w, storage_put_start(st, args, waiting_on_done, &w, NULL, err), err);
}

static int waiting_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct waiting *w = arg;

    return buf_append_slice(w->out, chunk, err);
}

int storage_get_wait(struct storage *st, const char *key, uint64_t offset, uint64_t bytes,
                     struct buf *out, struct error *err)
{
    struct waiting w = {.out = out};
    const struct storage_get args = {
        .key = key, .offset = offset, .bytes = bytes, .on_data = waiting_on_data};
    size_t before = out->n;

    if (waiting_end(st, &w, storage_get_start(st, &args, waiting_on_done, &w, NULL, err), err) <
        0) {
        /* Nobody uses half a result. */
        out->n = before;
        if (out->p)
            out->p[before] = 0;
        return -1;
    }
    return 0;
}

static int waiting_on_object(void *arg, const struct storage_object *object, struct error *err)
{
    struct waiting *w = arg;

    return w->list->on_object(w->list_arg, object, err);
}

int storage_list_wait(struct storage *st, const struct storage_list *args, void *arg,
                      struct error *err)
{
    struct waiting w = {.list = args, .list_arg = arg};
    struct storage_list wrapped = *args;

    wrapped.on_object = waiting_on_object;
    return waiting_end(st, &w, storage_list_start(st, &wrapped, waiting_on_done, &w, NULL, err),
                       err);
}

int storage_delete_wait(struct storage *st, const char *const *keys, size_t key_count,
                        struct error *err)
{
    struct waiting w = {.is_done = false};
    const struct storage_delete args = {.keys = keys, .key_count = key_count};

    return waiting_end(st, &w, storage_delete_start(st, &args, waiting_on_done, &w, NULL, err),
                       err);
}

int storage_head_wait(struct storage *st, const char *key, struct storage_object *out,
                      struct error *err)
{
    struct waiting w = {.is_done = false};

    if (waiting_end(st, &w, storage_head_start(st, key, waiting_on_done, &w, NULL, err), err) < 0)
        return -1;
    *out = w.object;
    return 0;
}

int storage_make_wait(struct storage *st, struct error *err)
{
    struct waiting w = {.is_done = false};

    return waiting_end(st, &w, storage_make_start(st, waiting_on_done, &w, NULL, err), err);
}
