/*
 * Hash table with linear probing. A removal moves later members of the same run back into the hole
 * (Knuth, TAOCP 6.4, algorithm R), so there are no tombstones and looks stay short for ever.
 */
#include "lib/base/str_map.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/assert.h"
#include "lib/base/buf.h"

enum {
    STR_MAP_SLOTS_MIN = 16
};

/* FNV-1a, 64 bits, with a last stir: the low bits choose the slot. */
static uint64_t name_hash(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return h ^ (h >> 29);
}

/* The slot that has name, or the empty one where it would be. The table is never full. */
static size_t slot_find(const struct str_map *m, const char *name, uint64_t hash)
{
    size_t mask = m->slot_count - 1;
    size_t i = (size_t)hash & mask;

    while (m->slots[i].name && (m->slots[i].hash != hash || strcmp(m->slots[i].name, name) != 0))
        i = (i + 1) & mask;
    return i;
}

void str_map_destroy(struct str_map *m)
{
    free(m->slots);
    *m = (struct str_map)STR_MAP_INIT;
}

void *str_map_get(const struct str_map *m, const char *name)
{
    if (m->count == 0)
        return NULL;
    return m->slots[slot_find(m, name, name_hash(name))].value;
}

static int map_grow(struct str_map *m, struct error *err)
{
    struct str_map larger = {.slot_count = m->slot_count ? m->slot_count * 2 : STR_MAP_SLOTS_MIN,
                             .count = m->count};

    larger.slots = mem_new(larger.slot_count, sizeof(*larger.slots), err);
    if (!larger.slots)
        return -1;
    for (size_t i = 0; i < m->slot_count; i++) {
        const struct str_map_slot *s = &m->slots[i];
        if (s->name)
            larger.slots[slot_find(&larger, s->name, s->hash)] = *s;
    }
    free(m->slots);
    *m = larger;
    return 0;
}

int str_map_put(struct str_map *m, const char *name, void *value, struct error *err)
{
    uint64_t hash = name_hash(name);

    ASSERT(value);
    if (m->count + 1 > m->slot_count / 4 * 3 && map_grow(m, err) < 0)
        return -1;
    struct str_map_slot *s = &m->slots[slot_find(m, name, hash)];
    if (!s->name)
        m->count++;
    *s = (struct str_map_slot){.name = name, .value = value, .hash = hash};
    return 0;
}

void *str_map_remove(struct str_map *m, const char *name)
{
    if (m->count == 0)
        return NULL;
    size_t mask = m->slot_count - 1;
    size_t hole = slot_find(m, name, name_hash(name));
    void *value = m->slots[hole].value;
    if (!m->slots[hole].name)
        return NULL;
    for (size_t i = (hole + 1) & mask; m->slots[i].name; i = (i + 1) & mask) {
        size_t home = (size_t)m->slots[i].hash & mask;
        /* It may move back unless its home lies between the hole (excluded) and itself. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct str_map_slot){.name = NULL};
    m->count--;
    return value;
}

void *str_map_next(const struct str_map *m, size_t *cursor)
{
    while (*cursor < m->slot_count) {
        const struct str_map_slot *s = &m->slots[(*cursor)++];
        if (s->name)
            return s->value;
    }
    return NULL;
}
