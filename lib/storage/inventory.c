/*
 * The in-memory list of a replica's objects: a sorted array a level, binary search, insertion by
 * moving what is behind. A listing arrives almost in order (ascending by min_txid; levels hardly
 * overlap), so loading appends.
 *
 * Loading fills a second inventory and swaps it in when the listing has succeeded as a whole: half
 * a listing would look like a replica with holes.
 */
#include "lib/storage/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "lib/storage/driver.h"

enum {
    ARRAY_FIRST = 4 /* places of an array's first allocation; doubled when full */
};

static const char generations_prefix[] = "generations/"; /* litestream 0.3, v3.go */

void inventory_init(struct inventory *inv)
{
    *inv = (struct inventory)INVENTORY_INIT;
}

void inventory_destroy(struct inventory *inv)
{
    for (unsigned level = 0; level < LTX_LEVELS; level++)
        free(inv->level[level].object);
    free(inv->fenced);
    *inv = (struct inventory){.object_count_max = inv->object_count_max};
}

/* ---- order ---- */

static int u64_compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int object_compare(const struct inventory_object *a, const struct inventory_object *b)
{
    int by_max = u64_compare(a->max_txid, b->max_txid);
    int by_min = u64_compare(a->min_txid, b->min_txid);

    if (by_max != 0)
        return by_max;
    return by_min != 0 ? by_min : u64_compare(a->layout, b->layout);
}

static int fenced_compare(const struct inventory_fenced *a, const struct inventory_fenced *b)
{
    int by_writer =
        u64_compare((uint64_t)a->epoch << 32 | a->owner, (uint64_t)b->epoch << 32 | b->owner);
    int by_min = u64_compare(a->min_txid, b->min_txid);

    if (by_writer != 0)
        return by_writer;
    return by_min != 0 ? by_min : u64_compare(a->max_txid, b->max_txid);
}

/* Index of the first object that is not before wanted. */
static size_t object_place(const struct inventory_level *level,
                           const struct inventory_object *wanted)
{
    size_t low = 0;
    size_t high = level->object_count;

    /* The newest is the usual guest. */
    if (high > 0 && object_compare(&level->object[high - 1], wanted) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (object_compare(&level->object[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t fenced_place(const struct inventory *inv, const struct inventory_fenced *wanted)
{
    size_t at = inv->fenced_count;

    /* Few, and they come in order. */
    while (at > 0 && fenced_compare(&inv->fenced[at - 1], wanted) >= 0)
        at--;
    return at;
}

/* ---- adding and removing ---- */

/* Makes room for one more element of size bytes; the new array, or NULL with err filled. */
static void *array_grow(void *array, size_t count, size_t *cap, size_t size, struct error *err)
{
    if (count < *cap)
        return array;
    size_t wanted = *cap ? *cap * 2 : ARRAY_FIRST;
    void *grown = realloc(array, wanted * size);
    if (!grown) {
        (void)error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu objects of the inventory",
                        wanted);
        return NULL;
    }
    *cap = wanted;
    return grown;
}

static int room_check(const struct inventory *inv, struct error *err)
{
    if (inventory_object_count(inv) + inv->fenced_count < inv->object_count_max)
        return 0;
    (void)error_set(err, ERR_LIMIT, 0, "more than %zu objects below the prefix",
                    inv->object_count_max);
    return error_hint(err, "shorten the retention, or begin a new prefix");
}

int inventory_add(struct inventory *inv, unsigned level_idx, const struct inventory_object *object,
                  struct error *err)
{
    ASSERT(level_idx < LTX_LEVELS);
    ASSERT(object->min_txid >= 1 && object->max_txid >= object->min_txid);
    struct inventory_level *level = &inv->level[level_idx];
    size_t at = object_place(level, object);

    if (at < level->object_count && object_compare(&level->object[at], object) == 0) {
        level->object[at] = *object;
        return 0;
    }
    if (room_check(inv, err) < 0)
        return -1;
    struct inventory_object *grown =
        array_grow(level->object, level->object_count, &level->object_cap, sizeof(*grown), err);
    if (!grown)
        return -1;
    level->object = grown;
    memmove(grown + at + 1, grown + at, (level->object_count - at) * sizeof(*grown));
    grown[at] = *object;
    level->object_count++;
    return 0;
}

int inventory_add_fenced(struct inventory *inv, const struct inventory_fenced *fenced,
                         struct error *err)
{
    ASSERT(fenced->min_txid >= 1 && fenced->max_txid >= fenced->min_txid);
    size_t at = fenced_place(inv, fenced);

    if (at < inv->fenced_count && fenced_compare(&inv->fenced[at], fenced) == 0) {
        inv->fenced[at] = *fenced;
        return 0;
    }
    if (room_check(inv, err) < 0)
        return -1;
    struct inventory_fenced *grown =
        array_grow(inv->fenced, inv->fenced_count, &inv->fenced_cap, sizeof(*grown), err);
    if (!grown)
        return -1;
    inv->fenced = grown;
    memmove(grown + at + 1, grown + at, (inv->fenced_count - at) * sizeof(*grown));
    grown[at] = *fenced;
    inv->fenced_count++;
    return 0;
}

/* The layout in which key is an LTX object's name, the preferred one first. */
static bool key_parse(enum storage_layout preferred, const char *key,
                      enum storage_layout *out_layout, struct object_name *out)
{
    enum storage_layout other =
        preferred == STORAGE_LAYOUT_HEX ? STORAGE_LAYOUT_LTX : STORAGE_LAYOUT_HEX;

    *out_layout = preferred;
    if (object_name_parse(preferred, key, out))
        return true;
    *out_layout = other;
    return object_name_parse(other, key, out);
}

int inventory_add_key(struct inventory *inv, enum storage_layout preferred,
                      const struct storage_object *object, struct error *err)
{
    struct object_name name;
    enum storage_layout layout;
    uint32_t epoch;
    uint32_t owner;

    if (key_parse(preferred, object->key, &layout, &name)) {
        const struct inventory_object added = {.min_txid = name.min_txid,
                                               .max_txid = name.max_txid,
                                               .bytes = object->bytes,
                                               .timestamp_ns = object->timestamp_ns,
                                               .layout = layout};
        return inventory_add(inv, name.level, &added, err);
    }
    if (object_name_parse_fenced(object->key, &epoch, &owner, &name)) {
        const struct inventory_fenced added = {.epoch = epoch,
                                               .owner = owner,
                                               .min_txid = name.min_txid,
                                               .max_txid = name.max_txid,
                                               .bytes = object->bytes,
                                               .timestamp_ns = object->timestamp_ns};
        return inventory_add_fenced(inv, &added, err);
    }
    inv->foreign_count++;
    if (strncmp(object->key, generations_prefix, sizeof(generations_prefix) - 1) == 0)
        inv->has_generations = true;
    return 0;
}

bool inventory_remove(struct inventory *inv, unsigned level_idx, uint64_t min_txid,
                      uint64_t max_txid, enum storage_layout layout)
{
    ASSERT(level_idx < LTX_LEVELS);
    struct inventory_level *level = &inv->level[level_idx];
    const struct inventory_object wanted = {
        .min_txid = min_txid, .max_txid = max_txid, .layout = layout};
    size_t at = object_place(level, &wanted);

    if (at == level->object_count || object_compare(&level->object[at], &wanted) != 0)
        return false;
    level->object_count--;
    memmove(level->object + at, level->object + at + 1,
            (level->object_count - at) * sizeof(struct inventory_object));
    return true;
}

bool inventory_remove_fenced(struct inventory *inv, uint32_t epoch, uint32_t owner,
                             uint64_t min_txid, uint64_t max_txid)
{
    const struct inventory_fenced wanted = {
        .epoch = epoch, .owner = owner, .min_txid = min_txid, .max_txid = max_txid};
    size_t at = fenced_place(inv, &wanted);

    if (at == inv->fenced_count || fenced_compare(&inv->fenced[at], &wanted) != 0)
        return false;
    inv->fenced_count--;
    memmove(inv->fenced + at, inv->fenced + at + 1,
            (inv->fenced_count - at) * sizeof(struct inventory_fenced));
    return true;
}

/* ---- looking ---- */

const struct inventory_object *inventory_find(const struct inventory *inv, unsigned level_idx,
                                              uint64_t min_txid, uint64_t max_txid)
{
    ASSERT(level_idx < LTX_LEVELS);
    const struct inventory_level *level = &inv->level[level_idx];
    /* The first layout of the order: whichever there is comes at or after it. */
    const struct inventory_object wanted = {
        .min_txid = min_txid, .max_txid = max_txid, .layout = STORAGE_LAYOUT_HEX};
    size_t at = object_place(level, &wanted);

    if (at == level->object_count || level->object[at].min_txid != min_txid ||
        level->object[at].max_txid != max_txid)
        return NULL;
    return &level->object[at];
}

const struct inventory_object *inventory_newest(const struct inventory *inv, unsigned level_idx)
{
    ASSERT(level_idx < LTX_LEVELS);
    const struct inventory_level *level = &inv->level[level_idx];

    return level->object_count > 0 ? &level->object[level->object_count - 1] : NULL;
}

const struct inventory_object *inventory_tip(const struct inventory *inv, unsigned *out_level)
{
    const struct inventory_object *tip = NULL;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        const struct inventory_object *newest = inventory_newest(inv, level);
        if (!newest || (tip && newest->max_txid <= tip->max_txid))
            continue;
        tip = newest;
        *out_level = level;
    }
    return tip;
}

size_t inventory_lower_bound(const struct inventory *inv, unsigned level, uint64_t txid)
{
    ASSERT(level < LTX_LEVELS);
    const struct inventory_object wanted = {.max_txid = txid, .layout = STORAGE_LAYOUT_HEX};

    return object_place(&inv->level[level], &wanted);
}

size_t inventory_object_count(const struct inventory *inv)
{
    size_t count = 0;

    for (unsigned level = 0; level < LTX_LEVELS; level++)
        count += inv->level[level].object_count;
    return count;
}

uint64_t inventory_bytes(const struct inventory *inv)
{
    uint64_t bytes = 0;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < inv->level[level].object_count; i++) {
            if (!checked_add_u64(bytes, inv->level[level].object[i].bytes, &bytes))
                return UINT64_MAX; /* a listing may claim any size */
        }
    }
    return bytes;
}

const char *inventory_object_key(unsigned level, const struct inventory_object *object,
                                 char out[static STORAGE_KEY_BYTES_MAX])
{
    const struct object_name name = {
        .level = level, .min_txid = object->min_txid, .max_txid = object->max_txid};

    return object_name_format(object->layout, &name, out);
}

/* ---- loading ---- */

struct inventory_load {
    struct storage *st;
    struct inventory *target;
    struct inventory fresh;
    inventory_done_fn *done;
    void *arg;
};

static int load_on_object(void *arg, const struct storage_object *object, struct error *err)
{
    struct inventory_load *load = arg;

    return inventory_add_key(&load->fresh, storage_caps(load->st)->layout, object, err);
}

static void load_on_done(void *arg, const struct storage_result *result)
{
    struct inventory_load *load = arg;

    if (result->err->code == ERR_NONE) {
        inventory_destroy(load->target);
        *load->target = load->fresh;
    } else {
        inventory_destroy(&load->fresh);
    }
    load->done(load->arg, result->err);
    free(load);
}

int inventory_load_start(struct storage *st, struct inventory *inv, bool want_timestamps,
                         inventory_done_fn *done, void *arg, struct storage_op **out_op,
                         struct error *err)
{
    const struct storage_list list = {
        .prefix = "", .want_timestamps = want_timestamps, .on_object = load_on_object};
    CLEANUP(mem_free) struct inventory_load *load = mem_new(1, sizeof(*load), err);

    if (!load)
        return -1;
    load->st = st;
    load->target = inv;
    load->fresh = (struct inventory){
        .object_count_max = inv->object_count_max,
        .has_timestamps = want_timestamps || storage_caps(st)->has_timestamps,
    };
    load->done = done;
    load->arg = arg;
    if (storage_list_start(st, &list, load_on_done, load, out_op, err) < 0)
        return -1;
    load = NULL; /* load_on_done() owns it now */
    return 0;
}

struct load_waiting {
    bool is_done;
    struct error err;
};

static void load_waiting_on_done(void *arg, const struct error *err)
{
    struct load_waiting *w = arg;

    w->err = *err;
    w->is_done = true;
}

int inventory_load_wait(struct storage *st, struct inventory *inv, bool want_timestamps,
                        struct error *err)
{
    struct load_waiting w = {.is_done = false};

    if (inventory_load_start(st, inv, want_timestamps, load_waiting_on_done, &w, NULL, err) < 0)
        return -1;
    bool was_done = loop_run_until(st->loop, &w.is_done);
    ASSERT(was_done);
    if (w.err.code == ERR_NONE)
        return 0;
    *err = w.err;
    return -1;
}
