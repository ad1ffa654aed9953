/*
 * The model: a tree of committed states, and for each store what was acknowledged.
 *
 * A state is known by a hash of the whole file. Transactions put random bytes into it, so no two
 * commits are the same by accident; a database that was set back to an earlier state (a crash, a
 * restore) is that earlier commit again.
 */
#include <stdlib.h>

#include "lib/ltx/crc64.h"
#include "lib/testing/test.h"
#include "sidecar/sim/sim_internal.h"

void model_destroy(struct model *m)
{
    for (size_t i = 0; i < STORES_MAX; i++)
        free(m->floors[i].boundaries);
    free(m->commits);
}

uint64_t model_hash(const void *bytes, size_t n)
{
    return crc64(0, slice_of(bytes, n));
}

int model_find(const struct model *m, uint64_t hash)
{
    for (size_t i = m->count; i > 0; i--) {
        if (m->commits[i - 1].hash == hash)
            return (int)(i - 1);
    }
    return NOBODY;
}

int model_add(struct model *m, uint64_t hash, int parent)
{
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 256;
        struct commit *grown = realloc(m->commits, m->cap * sizeof(*grown));
        assert_non_null(grown);
        m->commits = grown;
    }
    m->commits[m->count] = (struct commit){.hash = hash, .parent = parent};
    return (int)m->count++;
}

bool model_descends(const struct model *m, int commit, int from)
{
    while (commit != NOBODY && commit > from)
        commit = m->commits[commit].parent;
    return commit == from;
}

static bool is_alternative(const struct model *m, const struct floor *f, unsigned pod, int commit)
{
    int from = f->alternative[pod];
    return from == ANYTHING || (from != NOBODY && model_descends(m, commit, from));
}

bool model_may_be(const struct model *m, const struct floor *f, int commit)
{
    bool may_be = model_descends(m, commit, f->commit);

    for (unsigned i = 0; i < PODS_MAX; i++)
        may_be = may_be || is_alternative(m, f, i, commit);
    return may_be;
}

bool model_acknowledge(struct model *m, struct floor *f, unsigned pod, int commit,
                       bool *out_took_over)
{
    bool had_gone_back = f->alternative[pod] != NOBODY;

    if (!model_may_be(m, f, commit))
        return model_descends(m, f->commit, commit); /* an older one that comes late is fine */
    if (had_gone_back) {
        f->alternative[pod] = NOBODY;
        *out_took_over = true;
    }
    f->commit = commit;
    return true;
}

struct boundary *model_boundary(struct floor *f, uint64_t txid)
{
    for (size_t i = f->count; i > 0; i--) {
        if (f->boundaries[i - 1].txid == txid)
            return &f->boundaries[i - 1];
    }
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 128;
        struct boundary *grown = realloc(f->boundaries, f->cap * sizeof(*grown));
        assert_non_null(grown);
        f->boundaries = grown;
    }
    f->boundaries[f->count] = (struct boundary){.txid = txid, .commit = NOBODY};
    return &f->boundaries[f->count++];
}
