/*
 * What requests do when they have arrived at the simulated store, all at once and in one moment.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/testing/sim_storage_internal.h"
#include "lib/testing/test.h"

/* ---- objects ---- */

static size_t object_idx(const struct sim_store *st, const char *key, bool *out_is_there)
{
    size_t low = 0;
    size_t high = st->count;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (strcmp(st->objects[mid].key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *out_is_there = low < st->count && strcmp(st->objects[low].key, key) == 0;
    return low;
}

void sim_object_destroy(struct sim_object *o)
{
    free(o->key);
    free(o->bytes);
}

static struct sim_object object_copy(const struct sim_object *o, size_t offset, size_t n)
{
    struct sim_object copy = *o;

    copy.key = strdup(o->key);
    copy.bytes = malloc(n + 1);
    assert_true(copy.key && copy.bytes);
    if (n > 0)
        memcpy(copy.bytes, o->bytes + offset, n);
    return copy;
}

/* What a request has found so far. */
static void found_add(struct sim_request *r, struct sim_object copy)
{
    struct sim_object *grown = realloc(r->found, (r->found_count + 1) * sizeof(copy));

    assert_non_null(grown);
    r->found = grown;
    r->found[r->found_count++] = copy;
}

void sim_found_drop(struct sim_request *r)
{
    for (size_t i = 0; i < r->found_count; i++)
        sim_object_destroy(&r->found[i]);
    free(r->found);
    r->found = NULL;
    r->found_count = 0;
}

/* ---- effects, at the store ---- */

static void effect_put(struct sim_store *st, struct sim_request *r)
{
    bool is_there = false;
    size_t idx = object_idx(st, r->key, &is_there);
    struct sim_object o = {.timestamp_ns = r->timestamp_ns,
                           .uploaded_ns = env_wall_ns(&st->sim->world.env),
                           .n = r->body_n};

    bool is_conditional = r->is_create && st->creation == SIM_CREATES;
    if (is_there && (is_conditional || r->is_look)) {
        (void)error_set(&r->err, ERR_EXISTS, 0, "PUT %s: 412 exists", r->key);
        return;
    }
    if (r->is_look)
        return;
    o.key = strdup(r->key);
    o.bytes = malloc(r->body_n + 1);
    assert_true(o.key && o.bytes);
    memcpy(o.bytes, r->body, r->body_n);
    if (is_there) {
        sim_object_destroy(&st->objects[idx]);
        st->objects[idx] = o;
        if (st->on_create)
            st->on_create(st->arg, &st->objects[idx]);
        return;
    }
    if (st->count == st->cap) {
        st->cap = st->cap ? st->cap * 2 : 64;
        struct sim_object *grown = realloc(st->objects, st->cap * sizeof(o));
        assert_non_null(grown);
        st->objects = grown;
    }
    memmove(st->objects + idx + 1, st->objects + idx, (st->count - idx) * sizeof(o));
    st->objects[idx] = o;
    st->count++;
    if (st->on_create)
        st->on_create(st->arg, &st->objects[idx]);
}

static void effect_complete(struct sim_store *st, struct sim_request *r)
{
    bool is_there = false;

    free(r->body); /* of a try before this one */
    r->body = NULL;
    r->body_n = 0;
    if (!sim_upload_join(&st->uploads, r->upload_id, &r->body, &r->body_n)) {
        (void)object_idx(st, r->key, &is_there); /* as the driver's HEAD does */
        (void)error_set(&r->err, is_there ? ERR_EXISTS : ERR_NOT_FOUND, 0,
                        "PUT %s: 404 no such upload", r->key);
        return;
    }
    effect_put(st, r);
    if (r->err.code == ERR_NONE)
        sim_upload_end(&st->uploads, r->upload_id);
}

void sim_effect_put(struct sim_store *st, struct sim_request *r)
{
    error_clear(&r->err);
    switch (r->step) {
    case SIM_PUT:
        effect_put(st, r);
        return;
    case SIM_UPLOAD_BEGIN:
        r->upload_id = sim_upload_begin(&st->uploads);
        return;
    case SIM_UPLOAD_PART:
        if (!sim_upload_part(&st->uploads, r->upload_id, r->number, slice_of(r->body, r->body_n)))
            (void)error_set(&r->err, ERR_NOT_FOUND, 0, "PUT %s: 404 no such upload", r->key);
        return;
    case SIM_UPLOAD_COMPLETE:
        effect_complete(st, r);
        return;
    case SIM_UPLOAD_ABORT:
    default:
        sim_upload_end(&st->uploads, r->upload_id);
    }
}

static void effect_get(struct sim_store *st, struct sim_request *r)
{
    bool is_there = false;
    size_t idx = object_idx(st, r->key, &is_there);

    if (!is_there) {
        (void)error_set(&r->err, ERR_NOT_FOUND, 0, "GET %s: 404", r->key);
        return;
    }
    const struct sim_object *o = &st->objects[idx];
    uint64_t wanted = r->wanted ? r->wanted : o->n - (r->offset < o->n ? r->offset : o->n);
    if (r->offset + wanted > o->n) {
        (void)error_set(&r->err, ERR_CORRUPT, 0, "GET %s: range beyond the end", r->key);
        return;
    }
    r->wanted = wanted;
    found_add(r, object_copy(o, r->offset, wanted));
}

static void effect_head(struct sim_store *st, struct sim_request *r)
{
    bool is_there = false;
    size_t idx = object_idx(st, r->key, &is_there);

    if (is_there)
        found_add(r, object_copy(&st->objects[idx], 0, 0));
    else
        (void)error_set(&r->err, ERR_NOT_FOUND, 0, "HEAD %s: 404", r->key);
}

static void effect_delete(struct sim_store *st, struct sim_request *r)
{
    for (size_t i = 0; i < r->key_count; i++) {
        bool is_there = false;
        size_t idx = object_idx(st, r->keys[i], &is_there);
        if (!is_there)
            continue;
        if (st->on_delete)
            st->on_delete(st->arg, &st->objects[idx]);
        sim_object_destroy(&st->objects[idx]);
        st->count--;
        memmove(st->objects + idx, st->objects + idx + 1,
                (st->count - idx) * sizeof(st->objects[0]));
    }
}

/* One page of a listing; true if there are more. */
static bool effect_list(struct sim_store *st, struct sim_request *r, size_t page_keys)
{
    bool is_there = false;
    const char *from = r->after[0] ? r->after : r->key;
    size_t idx = object_idx(st, from, &is_there);

    if (is_there && r->after[0])
        idx++;
    for (size_t n = 0; idx < st->count; idx++) {
        const struct sim_object *o = &st->objects[idx];
        int rel = strncmp(o->key, r->key, strlen(r->key));
        if (rel < 0)
            continue;
        if (rel > 0)
            return false;
        if (n++ == page_keys)
            return true;
        found_add(r, object_copy(o, 0, 0));
        (void)snprintf(r->after, sizeof(r->after), "%s", o->key);
    }
    return false;
}

bool sim_effect(struct sim_store *st, struct sim_request *r, size_t page_keys)
{
    switch (r->kind) {
    case STORAGE_OP_PUT:
        sim_effect_put(st, r);
        return false;
    case STORAGE_OP_GET:
        effect_get(st, r);
        return false;
    case STORAGE_OP_LIST:
        return effect_list(st, r, page_keys);
    case STORAGE_OP_DELETE:
        effect_delete(st, r);
        return false;
    case STORAGE_OP_HEAD:
        effect_head(st, r);
        return false;
    case STORAGE_OP_KINDS:
        break;
    }
    ASSERT(false);
    return false;
}
