/*
 * Kinds by name, and owners.
 */
#include "controller/kube/workload.h"

#include <string.h>

const struct kube_resource *workload_resource(const char *kind)
{
    static const struct kube_resource *const known[] = {&kube_deployments, &kube_stateful_sets,
                                                        &kube_replica_sets};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(known[i]->kind, kind) == 0)
            return known[i];
    }
    return NULL;
}

bool workload_owner_read(struct jsonval object, struct workload_owner *out)
{
    struct jsonval owners = jsonval_way(object, "metadata.ownerReferences");
    struct error ignored = ERROR_INIT; /* a reference that is none controls nothing */

    for (struct jsonval v = jsonval_first(owners); jsonval_exists(v); v = jsonval_next(v)) {
        bool is_controller = false;
        if (jsonval_bool_or(jsonval_get(v, "controller"), false, &is_controller, &ignored) < 0 ||
            !is_controller)
            continue;
        return jsonval_str(jsonval_get(v, "kind"), &out->kind, &ignored) == 0 &&
               jsonval_str(jsonval_get(v, "name"), &out->name, &ignored) == 0 &&
               jsonval_str(jsonval_get(v, "uid"), &out->uid, &ignored) == 0;
    }
    return false;
}
