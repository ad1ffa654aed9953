/*
 * What chains of one bucket have in common. A bucket is the URL up to the prefix: "s3://bucket";
 * all local folders count as one.
 *
 * Probed once: what a probe found out holds for all prefixes, so a thousand databases in one bucket
 * cost one probe.
 *
 * In turn: a fleet that starts does not attach all at once, which would need the memory and the
 * requests of all at once. The first chain goes alone, if it has to probe; then up to
 * BUCKET_TURNS attach at a time, the others wait in the order in which they came. A bucket that
 * does not answer holds up nobody elsewhere.
 */
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/engine_internal.h"

enum {
    BUCKET_TURNS = 32
};

struct bucket {
    struct bucket *next;
    bool is_probed; /* or needs no probe */
    bool can_create;
    unsigned attaching;         /* chains that have their turn */
    struct chain *first, *last; /* that wait for it */
    size_t key_bytes;
    char key[];
};

/* Length of the part before the prefix. */
static size_t key_bytes_of(const char *url)
{
    const char *host = strstr(url, "://");

    if (!host)
        return strlen(url);
    return (size_t)(host - url) + 3 + strcspn(host + 3, "/");
}

static struct bucket *bucket_find(const struct engine *e, const char *url)
{
    size_t n = key_bytes_of(url);

    for (struct bucket *b = e->buckets; b; b = b->next) {
        if (b->key_bytes == n && memcmp(b->key, url, n) == 0)
            return b;
    }
    return NULL;
}

/* NULL: no memory. */
static struct bucket *bucket_of(struct engine *e, const struct storage *st)
{
    const char *url = storage_url(st);
    struct bucket *b = bucket_find(e, url);
    struct error ignored = ERROR_INIT; /* no memory: the chain goes without turn and cache */
    size_t n = key_bytes_of(url);

    if (b)
        return b;
    b = mem_new(1, sizeof(*b) + n, &ignored);
    if (!b)
        return NULL;
    b->is_probed = strcmp(storage_type(st), "file") == 0;
    b->can_create = b->is_probed;
    b->key_bytes = n;
    memcpy(b->key, url, n);
    b->next = e->buckets;
    e->buckets = b;
    return b;
}

/* ---- the probe ---- */

bool bucket_is_probed(const struct engine *e, const struct storage *st, bool *out_can_create)
{
    const struct bucket *b = bucket_find(e, storage_url(st));

    if (!b || !b->is_probed)
        return false;
    *out_can_create = b->can_create;
    return true;
}

static void bucket_serve(struct bucket *b);

void bucket_set_probed(struct engine *e, const struct storage *st, bool can_create)
{
    struct bucket *b = bucket_of(e, st);

    if (!b)
        return;
    b->is_probed = true;
    b->can_create = can_create;
    bucket_serve(b);
}

/* ---- turns ---- */

static bool has_turn_left(const struct bucket *b)
{
    return b->attaching < (b->is_probed ? BUCKET_TURNS : 1);
}

static void turn_give(struct bucket *b, struct chain *c)
{
    c->has_turn = true;
    b->attaching++;
}

static void bucket_serve(struct bucket *b)
{
    while (b->first && has_turn_left(b)) {
        struct chain *c = b->first;
        b->first = TAKE(c->turn_next);
        if (!b->first)
            b->last = NULL;
        turn_give(b, c);
        attach_continue(c);
    }
}

static void wait_append(struct bucket *b, struct chain *c)
{
    c->turn_next = NULL;
    if (b->last)
        b->last->turn_next = c;
    else
        b->first = c;
    b->last = c;
}

static void wait_remove(struct bucket *b, struct chain *c)
{
    struct chain *before = NULL;

    for (struct chain *at = b->first; at != c; at = at->turn_next) {
        ASSERT(at);
        before = at;
    }
    if (before)
        before->turn_next = c->turn_next;
    else
        b->first = c->turn_next;
    if (b->last == c)
        b->last = before;
    c->turn_next = NULL;
}

bool bucket_turn_take(struct chain *c)
{
    if (c->turn_bucket)
        return c->has_turn;
    struct bucket *b = bucket_of(c->db->engine, c->storage);
    if (!b)
        return true;
    c->turn_bucket = b;
    if (!b->first && has_turn_left(b)) {
        turn_give(b, c);
        return true;
    }
    wait_append(b, c);
    return false;
}

void bucket_turn_end(struct chain *c)
{
    struct bucket *b = TAKE(c->turn_bucket);

    if (!b)
        return;
    if (!c->has_turn) {
        wait_remove(b, c);
        return;
    }
    c->has_turn = false;
    ASSERT(b->attaching > 0);
    b->attaching--;
    bucket_serve(b);
}

void bucket_destroy_all(struct engine *e)
{
    while (e->buckets) {
        struct bucket *b = e->buckets;
        e->buckets = b->next;
        free(b);
    }
}
