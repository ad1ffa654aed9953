/*
 * Injected: every pod that asks has the sidecar, in the form that the current spec wants.
 */
#include <inttypes.h>
#include <string.h>

#include "controller/replica/judge.h"

bool judge_is_outdated(const struct pod_item *pod, const char *spec_hash)
{
    return pod->has_sidecar &&
           (!spec_hash || !pod->spec_hash || strcmp(pod->spec_hash, spec_hash) != 0);
}

void judge_injected(const struct replica_view *view, struct replica_outcome *out)
{
    struct condition_set *set = &out->conditions;
    const struct pod_item *bare = NULL;
    const struct pod_item *outdated = NULL;
    size_t outdated_count = 0;

    out->desired_pods = view->pod_total;
    for (size_t i = 0; i < view->pod_count; i++) {
        const struct pod_item *pod = view->pods[i].pod;
        out->injected_pods += pod->has_sidecar;
        if (!pod->has_sidecar) {
            bare = pod;
        } else if (judge_is_outdated(pod, view->spec_hash)) {
            outdated = pod;
            outdated_count++;
        }
    }
    if (view->pod_total == 0 && judge_is_source(view)) {
        return; /* nobody is meant to ask: absent */
    } else if (view->pod_total == 0) {
        condition_put(set, CONDITION_INJECTED, CONDITION_FALSE, "NoMatchingPods",
                      "No pod of the namespace has the label %s: %s.", API_LABEL_REPLICA,
                      view->item->replica->meta.name);
    } else if (bare) {
        condition_put(set, CONDITION_INJECTED, CONDITION_FALSE, "PodWithoutSidecar",
                      "Pod %s runs without the sidecar: delete it, and it is injected when it is "
                      "created again.",
                      bare->name);
    } else if (outdated) {
        condition_put(set, CONDITION_INJECTED, CONDITION_FALSE, "PodsOutdated",
                      "%zu of %zu pods, %s among them, were injected by an earlier spec: %s",
                      outdated_count, view->pod_total, outdated->name,
                      view->rollout ? view->rollout : "they wait for a rollout.");
    } else {
        condition_put(set, CONDITION_INJECTED, CONDITION_TRUE, "Injected",
                      "All pods have the sidecar.");
    }
}
