/*
 * Workloads of Kubernetes whose pods carry a sidecar, as the operator reads them when it has to:
 * never cached, since a cluster has many and we have to do with few.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_WORKLOAD_H
#define WALFERRY_CONTROLLER_KUBE_WORKLOAD_H

#include "controller/kube/resource.h"
#include "lib/json/jsonval.h"

/* The resource of a kind: Deployment, StatefulSet, ReplicaSet. NULL: one that is not read. */
const struct kube_resource *workload_resource(const char *kind);

/* The owner that controls an object. Borrowed from it. */
struct workload_owner {
    const char *kind;
    const char *name;
    const char *uid;
};

/* Reads metadata.ownerReferences; false if nothing controls the object. */
bool workload_owner_read(struct jsonval object, struct workload_owner *out);

#endif
