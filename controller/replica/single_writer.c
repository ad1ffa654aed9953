/*
 * SingleWriter: one live pod a prefix, no other resource on it, and nobody fenced. The store itself
 * decides (design: conditional creation); this says aloud what it decided.
 */
#include "controller/replica/judge.h"

static bool is_prefix_per_pod(const struct replica_view *view)
{
    const struct api_replica *r = view->item->replica;

    for (size_t i = 0; i < r->destination_count; i++) {
        if (!(view->read_only >> i & 1U) &&
            !api_prefix_is_per_pod(r->destinations[i].prefix_template))
            return false;
    }
    return true;
}

/* The first row that is fenced; NULL: none. */
static const struct database_row *fenced(const struct replica_outcome *out)
{
    for (size_t i = 0; i < out->row_count; i++) {
        if (out->rows[i].seen->state == OBSERVED_FENCED)
            return &out->rows[i];
    }
    return NULL;
}

void judge_single_writer(const struct replica_view *view, struct replica_outcome *out)
{
    struct condition_set *set = &out->conditions;
    const struct database_row *loser = fenced(out);
    const struct pod_item *first = NULL;
    const struct pod_item *second = NULL;

    for (size_t i = 0; i < view->pod_count; i++) {
        const struct pod_item *pod = view->pods[i].pod;
        if (!pod->has_sidecar || pod->is_ending)
            continue;
        if (!first)
            first = pod;
        else if (!second)
            second = pod;
    }
    if (view->prefix_rival) {
        condition_put(set, CONDITION_SINGLE_WRITER, CONDITION_FALSE, "PrefixConflict",
                      "SqliteReplica %s writes to the same prefix: give one of them another.",
                      view->prefix_rival);
    } else if (loser) {
        condition_put(set, CONDITION_SINGLE_WRITER, CONDITION_FALSE, "Fenced",
                      "Database %s of pod %s was fenced by another writer (%s): its unshipped "
                      "commits are kept under fenced/.",
                      loser->database, loser->pod, loser->seen->fenced_by);
    } else if (second && !is_prefix_per_pod(view)) {
        condition_put(
            set, CONDITION_SINGLE_WRITER, CONDITION_FALSE, "MultipleWriters",
            "Pods %s and %s share one prefix: use one replica with the strategy Recreate, "
            "or {{podName}} in prefixTemplate.",
            first->name, second->name);
    } else {
        condition_put(set, CONDITION_SINGLE_WRITER, CONDITION_TRUE, "SingleWriter",
                      "Each prefix has one writer.");
    }
}
