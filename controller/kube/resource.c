/*
 * Kinds of objects, as tables, and their URLs. The path is put together from names that were
 * checked, so nothing in it needs escaping.
 */
#include "controller/kube/resource.h"

#include <stdio.h>
#include <string.h>

#define OURS(var, plural_, kind_)                                                                  \
    const struct kube_resource var = {                                                             \
        .group = "walferry.dev", .version = "v1alpha1", .plural = (plural_), .kind = (kind_)}
#define KIND(var, group_, version_, plural_, kind_)                                                \
    const struct kube_resource var = {                                                             \
        .group = (group_), .version = (version_), .plural = (plural_), .kind = (kind_)}
#define CLUSTER_KIND(var, group_, version_, plural_, kind_)                                        \
    const struct kube_resource var = {.group = (group_),                                           \
                                      .version = (version_),                                       \
                                      .plural = (plural_),                                         \
                                      .kind = (kind_),                                             \
                                      .is_cluster_scoped = true}

OURS(kube_sqlite_replicas, "sqlitereplicas", "SqliteReplica");
OURS(kube_sqlite_buckets, "sqlitebuckets", "SqliteBucket");
OURS(kube_sqlite_restores, "sqliterestores", "SqliteRestore");

KIND(kube_pods, "", "v1", "pods", "Pod");
CLUSTER_KIND(kube_namespaces, "", "v1", "namespaces", "Namespace");
KIND(kube_config_maps, "", "v1", "configmaps", "ConfigMap");
KIND(kube_secrets, "", "v1", "secrets", "Secret");
KIND(kube_claims, "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim");
KIND(kube_deployments, "apps", "v1", "deployments", "Deployment");
KIND(kube_stateful_sets, "apps", "v1", "statefulsets", "StatefulSet");
KIND(kube_replica_sets, "apps", "v1", "replicasets", "ReplicaSet");
KIND(kube_daemon_sets, "apps", "v1", "daemonsets", "DaemonSet");
KIND(kube_jobs, "batch", "v1", "jobs", "Job");
KIND(kube_cron_jobs, "batch", "v1", "cronjobs", "CronJob");
KIND(kube_leases, "coordination.k8s.io", "v1", "leases", "Lease");
KIND(kube_events, "events.k8s.io", "v1", "events", "Event");
CLUSTER_KIND(kube_mutating_webhooks, "admissionregistration.k8s.io", "v1",
             "mutatingwebhookconfigurations", "MutatingWebhookConfiguration");
CLUSTER_KIND(kube_validating_webhooks, "admissionregistration.k8s.io", "v1",
             "validatingwebhookconfigurations", "ValidatingWebhookConfiguration");
CLUSTER_KIND(kube_definitions, "apiextensions.k8s.io", "v1", "customresourcedefinitions",
             "CustomResourceDefinition");
KIND(kube_autoscalers, "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler");

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool kube_name_is_valid(const char *text)
{
    size_t n = strlen(text);

    if (n == 0 || n > KUBE_NAME_BYTES_MAX || !is_alnum(text[0]) || !is_alnum(text[n - 1]))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_alnum(text[i]) && !strchr("-._:", text[i]))
            return false;
        if (text[i] == '.' && text[i + 1] == '.')
            return false;
    }
    return true;
}

static int name_check(const char *what, const char *name, struct error *err)
{
    if (kube_name_is_valid(name))
        return 0;
    return error_set(err, ERR_USAGE, 0, "\"%.253s\" cannot be the %s of an object", name, what);
}

int kube_api_version(const struct kube_resource *r, struct buf *out, struct error *err)
{
    return buf_printf(out, err, "%s%s%s", r->group, *r->group ? "/" : "", r->version);
}

int kube_path(const struct kube_resource *r, const char *namespace_name, const char *name,
              const char *subresource, struct buf *out, struct error *err)
{
    if ((namespace_name && name_check("namespace", namespace_name, err) < 0) ||
        (name && name_check("name", name, err) < 0))
        return -1;
    ASSERT(!subresource || name);
    if (buf_append_str(out, *r->group ? "/apis/" : "/api/", err) < 0 ||
        kube_api_version(r, out, err) < 0)
        return -1;
    if (namespace_name && !r->is_cluster_scoped &&
        buf_printf(out, err, "/namespaces/%s", namespace_name) < 0)
        return -1;
    return buf_printf(out, err, "/%s%s%s%s%s", r->plural, name ? "/" : "", name ? name : "",
                      subresource ? "/" : "", subresource ? subresource : "");
}

const char *kube_path_show(const struct kube_resource *r, const char *namespace_name,
                           const char *name, const char *subresource, char out[static 512])
{
    (void)snprintf(out, 512, "%s%s%s%s%s %s%s%s", r->plural, *r->group ? "." : "", r->group,
                   subresource ? "/" : "", subresource ? subresource : "",
                   namespace_name && !r->is_cluster_scoped ? namespace_name : "",
                   namespace_name && !r->is_cluster_scoped && name ? "/" : "", name ? name : "");
    size_t n = strlen(out);
    if (out[n - 1] == ' ')
        (void)snprintf(out + n, 512 - n, "(all%s)", r->is_cluster_scoped ? "" : " namespaces");
    return out;
}
