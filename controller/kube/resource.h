/*
 * Kinds of objects and where they live:
 *
 *   /api/v1/namespaces/NS/pods/NAME                       core group
 *   /apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/status  others, with a subresource
 *
 * Names are checked before they become part of a URL: a name with a slash or a dot-dot would
 * address another object.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_RESOURCE_H
#define WALFERRY_CONTROLLER_KUBE_RESOURCE_H

#include <stdbool.h>

#include "lib/base/base.h"

enum {
    KUBE_NAME_BYTES_MAX = 253, /* of an object; a namespace has at most 63 */
    KUBE_PATH_BYTES_MAX = 1024,
};

struct kube_resource {
    const char *group;   /* "" for the core group */
    const char *version; /* "v1" */
    const char *plural;  /* "pods" */
    const char *kind;    /* "Pod" */
    bool is_cluster_scoped;
};

/* Ours. */
extern const struct kube_resource kube_sqlite_replicas;
extern const struct kube_resource kube_sqlite_buckets;
extern const struct kube_resource kube_sqlite_restores;
/* Kubernetes' own. */
extern const struct kube_resource kube_pods;
extern const struct kube_resource kube_namespaces;
extern const struct kube_resource kube_config_maps;
extern const struct kube_resource kube_secrets;
extern const struct kube_resource kube_claims; /* PersistentVolumeClaim */
extern const struct kube_resource kube_deployments;
extern const struct kube_resource kube_stateful_sets;
extern const struct kube_resource kube_replica_sets;
extern const struct kube_resource kube_daemon_sets;
extern const struct kube_resource kube_jobs;
extern const struct kube_resource kube_cron_jobs;
extern const struct kube_resource kube_leases;
extern const struct kube_resource kube_events; /* events.k8s.io */
extern const struct kube_resource kube_mutating_webhooks;
extern const struct kube_resource kube_validating_webhooks;
extern const struct kube_resource kube_definitions; /* CustomResourceDefinition */
extern const struct kube_resource kube_autoscalers; /* HorizontalPodAutoscaler */

/* "v1" or "GROUP/VERSION", as in an object's apiVersion; added to out. */
MUST_USE int kube_api_version(const struct kube_resource *r, struct buf *out, struct error *err);

/*
 * Adds the path of a collection (name NULL) or of an object. namespace_name NULL: the collection of
 * all namespaces, or an object without one. subresource: "status", "scale", "log"; NULL: none.
 * ERR_USAGE: a name that cannot be one.
 */
MUST_USE int kube_path(const struct kube_resource *r, const char *namespace_name, const char *name,
                       const char *subresource, struct buf *out, struct error *err);

/* "sqlitereplicas.walferry.dev shop/orders", "pods (all namespaces)": for people. Returns out. */
const char *kube_path_show(const struct kube_resource *r, const char *namespace_name,
                           const char *name, const char *subresource, char out[static 512]);

/* Whether text can be an object's name: DNS labels with dots (RFC 1123), and colons as in RBAC. */
bool kube_name_is_valid(const char *text);

#endif
