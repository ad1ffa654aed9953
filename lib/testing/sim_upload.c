/*
 * A list of uploads, each with its parts in a growing array.
 */
#include "lib/testing/sim_upload.h"

#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

struct sim_part {
    uint8_t *bytes; /* NULL: not there */
    size_t n;
};

struct sim_upload {
    struct sim_upload *next;
    uint64_t id;
    struct sim_part *parts;
    unsigned part_count;
};

static struct sim_upload *find(const struct sim_uploads *all, uint64_t id)
{
    struct sim_upload *u = all->first;

    while (u && u->id != id)
        u = u->next;
    return u;
}

uint64_t sim_upload_begin(struct sim_uploads *all)
{
    struct sim_upload *u = calloc(1, sizeof(*u));

    assert_non_null(u);
    u->id = ++all->id_last;
    u->next = all->first;
    all->first = u;
    return u->id;
}

bool sim_upload_part(struct sim_uploads *all, uint64_t id, unsigned number, struct slice bytes)
{
    struct sim_upload *u = find(all, id);

    if (!u)
        return false;
    if (number > u->part_count) {
        struct sim_part *grown = realloc(u->parts, number * sizeof(*grown));
        assert_non_null(grown);
        memset(grown + u->part_count, 0, (number - u->part_count) * sizeof(*grown));
        u->parts = grown;
        u->part_count = number;
    }
    struct sim_part *part = &u->parts[number - 1];
    free(part->bytes);
    part->bytes = malloc(bytes.n + 1);
    assert_non_null(part->bytes);
    memcpy(part->bytes, bytes.p, bytes.n);
    part->n = bytes.n;
    return true;
}

bool sim_upload_join(const struct sim_uploads *all, uint64_t id, uint8_t **out_bytes, size_t *out_n)
{
    const struct sim_upload *u = find(all, id);
    size_t n = 0;

    if (!u)
        return false;
    for (unsigned i = 0; i < u->part_count; i++) {
        assert_non_null(u->parts[i].bytes);
        n += u->parts[i].n;
    }
    uint8_t *bytes = malloc(n + 1);
    assert_non_null(bytes);
    *out_bytes = bytes;
    *out_n = n;
    for (unsigned i = 0; i < u->part_count; i++) {
        memcpy(bytes, u->parts[i].bytes, u->parts[i].n);
        bytes += u->parts[i].n;
    }
    return true;
}

void sim_upload_end(struct sim_uploads *all, uint64_t id)
{
    struct sim_upload **at = &all->first;

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct sim_upload *u = *at;
    if (!u)
        return;
    *at = u->next;
    for (unsigned i = 0; i < u->part_count; i++)
        free(u->parts[i].bytes);
    free(u->parts);
    free(u);
}

void sim_uploads_destroy(struct sim_uploads *all)
{
    while (all->first)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): sim_upload_end() unlinks what it frees */
        sim_upload_end(all, all->first->id);
}
