/*
 * A table of things by name: open addressing, linear probing, grown at three quarters. It owns
 * neither names nor values; a name lives in its value, usually, and must stay as long as it is in
 * the table.
 *
 *     struct str_map by_name = STR_MAP_INIT;
 *     if (str_map_put(&by_name, thing->name, thing, err) < 0) ...
 *     struct thing *t = str_map_get(&by_name, "orders");
 *
 * Cost: a hash and about one and a half looks. Threads: one at a time.
 */
#ifndef WALFERRY_LIB_BASE_STR_MAP_H
#define WALFERRY_LIB_BASE_STR_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/attr.h"
#include "lib/base/error.h"

struct str_map_slot {
    const char *name; /* NULL: empty */
    void *value;
    uint64_t hash;
};

struct str_map {
    struct str_map_slot *slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t count;
};

#define STR_MAP_INIT {.slots = NULL}

/* Frees the table, not what is in it. */
void str_map_destroy(struct str_map *m);

/* The value of name; NULL if there is none. */
void *str_map_get(const struct str_map *m, const char *name);

/* Sets the value (not NULL) of name, which is borrowed; replaces name and value that are there.
 * ERR_NO_MEMORY: nothing has changed. */
MUST_USE int str_map_put(struct str_map *m, const char *name, void *value, struct error *err);

/* Takes name out. Returns its value, NULL if there was none. */
void *str_map_remove(struct str_map *m, const char *name);

/*
 * Walks the table, in no order: *cursor is 0 at first. NULL at the end. In between nothing may be
 * put; removing the value that was answered last makes the walk begin anew with *cursor = 0.
 */
void *str_map_next(const struct str_map *m, size_t *cursor);

#endif
