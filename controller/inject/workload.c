/*
 * What would make two writers on one prefix, seen where it is written down: in the workload, whose
 * author gets the answer, instead of in pods that never come.
 *
 *   Deployment    replicas > 1; a rolling update that starts the new pod before the old one ends
 *                 (maxSurge > 0: the default is 25 %, which is one)
 *   StatefulSet   replicas > 1, unless each pod has a prefix of its own ({{podName}})
 *   DaemonSet     a pod on each node
 *   ReplicaSet, ReplicationController   replicas > 1, unless a Deployment answers for it
 *   Job           parallelism > 1          CronJob   concurrencyPolicy Allow
 *   Scale, HorizontalPodAutoscaler   the number alone, of a workload of these kinds
 *
 * {{podName}} helps only where pods keep their names. Pods of all others get new names: each would
 * begin an empty history and find no backup.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/inject/inject_internal.h"

struct workload {
    const struct inject_request *request;
    struct inject_result *result;
    struct jsonval spec;
};

/* ---- the pod template ---- */

static struct jsonval template_of(struct jsonval object, const char *kind)
{
    if (strcmp(kind, "CronJob") == 0)
        return jsonval_way(object, "spec.jobTemplate.spec.template");
    return strcmp(kind, "Pod") == 0 ? object : jsonval_way(object, "spec.template");
}

const char *inject_replica_name(struct jsonval object, const char *kind)
{
    struct error ignored = ERROR_INIT;
    const char *name = NULL;
    struct jsonval label =
        jsonval_get(jsonval_way(template_of(object, kind), "metadata.labels"), API_LABEL_REPLICA);

    if (jsonval_str_or(label, NULL, &name, &ignored) < 0)
        return NULL;
    return name;
}

/* ---- rules ---- */

/* Whether every destination that is written to has a prefix for each pod. */
static bool is_per_pod(const struct inject_request *request)
{
    const struct api_replica *r = request->replica;

    for (size_t i = 0; i < r->destination_count; i++) {
        if (!inject_is_read_only(request, &r->destinations[i]) &&
            !api_prefix_is_per_pod(r->destinations[i].prefix_template))
            return false;
    }
    return true;
}

static bool has_pod_name(const struct inject_request *request)
{
    const struct api_replica *r = request->replica;

    for (size_t i = 0; i < r->destination_count; i++) {
        if (!inject_is_read_only(request, &r->destinations[i]) &&
            api_prefix_is_per_pod(r->destinations[i].prefix_template))
            return true;
    }
    return false;
}

/* Pods whose names change must not have their names in prefixes. */
static int names_check(const struct inject_request *request, struct inject_result *result,
                       const char *kind)
{
    if (!has_pod_name(request))
        return 0;
    return inject_object(request, result,
                         "spec.prefixTemplate of SqliteReplica \"%s\" has {{podName}}, but pods of "
                         "a %s get new names: each would begin an empty history; use a "
                         "StatefulSet, or another template",
                         request->replica->meta.name, kind);
}

static int replicas_check(const struct inject_request *request, struct inject_result *result,
                          const char *kind, uint64_t count)
{
    bool is_stateful = strcmp(kind, "StatefulSet") == 0;

    if (count <= 1 || (is_stateful && is_per_pod(request)))
        return 0;
    return inject_object(request, result,
                         "%" PRIu64 " pods of this %s would write to one prefix of SqliteReplica "
                         "\"%s\": %s",
                         count, kind, request->replica->meta.name,
                         is_stateful ? "set replicas: 1, or put {{podName}} into "
                                       "spec.prefixTemplate"
                                     : "set replicas: 1, or use a StatefulSet with {{podName}} in "
                                       "spec.prefixTemplate");
}

static int spec_count(const struct workload *w, const char *key, uint64_t *out, struct error *err)
{
    return jsonval_u64_or(jsonval_get(w->spec, key), 1, out, err);
}

static int replicas_rule(const struct workload *w, struct error *err)
{
    uint64_t count = 1;

    if (spec_count(w, "replicas", &count, err) < 0)
        return -1;
    return replicas_check(w->request, w->result, w->request->kind, count);
}

/* maxSurge: a number, or a percentage of the replicas, rounded up: more than 0 of either is one. */
static int surge_read(struct jsonval v, bool *out_surges, struct error *err)
{
    const char *text = NULL;
    uint64_t number = 0;

    if (jsonval_is_null(v)) {
        *out_surges = true; /* 25 % */
        return 0;
    }
    if (!jsonval_is_str(v)) {
        if (jsonval_u64(v, &number, err) < 0)
            return -1;
        *out_surges = number > 0;
        return 0;
    }
    if (jsonval_str(v, &text, err) < 0)
        return -1;
    *out_surges = strtoul(text, NULL, 10) > 0;
    return 0;
}

static int deployment_check(const struct workload *w, struct error *err)
{
    struct jsonval strategy = jsonval_get(w->spec, "strategy");
    const char *type = NULL;
    bool surges = false;

    int rc = replicas_rule(w, err);
    if (rc == 0)
        rc = names_check(w->request, w->result, "Deployment");
    if (rc != 0)
        return rc;
    if (jsonval_str_or(jsonval_get(strategy, "type"), "RollingUpdate", &type, err) < 0 ||
        surge_read(jsonval_way(strategy, "rollingUpdate.maxSurge"), &surges, err) < 0)
        return -1;
    if (strcmp(type, "Recreate") == 0 || !surges)
        return 0;
    return inject_object(w->request, w->result,
                         "a rolling update of this Deployment starts the new pod while the old one "
                         "still writes: set spec.strategy.type: Recreate (or rollingUpdate with "
                         "maxSurge: 0 and maxUnavailable: 1)");
}

static int stateful_set_check(const struct workload *w, struct error *err)
{
    return replicas_rule(w, err);
}

static int daemon_set_check(const struct workload *w, struct error *err UNUSED)
{
    return inject_object(w->request, w->result,
                         "a DaemonSet has a pod on each node, and all would write to one prefix of "
                         "SqliteReplica \"%s\": use a StatefulSet with {{podName}} in "
                         "spec.prefixTemplate",
                         w->request->replica->meta.name);
}

/* A Deployment has been asked already, and its ReplicaSets change their size in rollouts. */
static bool has_controller(struct jsonval object)
{
    struct error ignored = ERROR_INIT;
    struct jsonval owners = jsonval_way(object, "metadata.ownerReferences");
    bool is_controller = false;

    for (struct jsonval v = jsonval_first(owners); jsonval_exists(v); v = jsonval_next(v)) {
        if (jsonval_bool_or(jsonval_get(v, "controller"), false, &is_controller, &ignored) == 0 &&
            is_controller)
            return true;
    }
    return false;
}

static int replica_set_check(const struct workload *w, struct error *err)
{
    if (has_controller(w->request->object))
        return 0;
    int rc = replicas_rule(w, err);
    return rc != 0 ? rc : names_check(w->request, w->result, w->request->kind);
}

static int job_rule(const struct workload *w, struct jsonval spec, struct error *err)
{
    uint64_t parallelism = 1;

    if (jsonval_u64_or(jsonval_get(spec, "parallelism"), 1, &parallelism, err) < 0)
        return -1;
    if (parallelism > 1) {
        return inject_object(w->request, w->result,
                             "%" PRIu64 " pods of this %s would write to one prefix of "
                             "SqliteReplica \"%s\": set parallelism: 1",
                             parallelism, w->request->kind, w->request->replica->meta.name);
    }
    return names_check(w->request, w->result, w->request->kind);
}

static int job_check(const struct workload *w, struct error *err)
{
    return has_controller(w->request->object) ? 0 : job_rule(w, w->spec, err);
}

static int cron_job_check(const struct workload *w, struct error *err)
{
    const char *policy = NULL;

    if (jsonval_str_or(jsonval_get(w->spec, "concurrencyPolicy"), "Allow", &policy, err) < 0)
        return -1;
    if (strcmp(policy, "Allow") == 0) {
        int rc = inject_object(w->request, w->result,
                               "this CronJob may start a Job while the last one still writes: set "
                               "concurrencyPolicy: Forbid");
        if (rc != 0)
            return rc;
    }
    return job_rule(w, jsonval_way(w->spec, "jobTemplate.spec"), err);
}

static const struct {
    const char *kind;
    int (*check)(const struct workload *w, struct error *err);
} kinds[] = {
    {"Deployment", deployment_check},
    {"StatefulSet", stateful_set_check},
    {"DaemonSet", daemon_set_check},
    {"ReplicaSet", replica_set_check},
    {"ReplicationController", replica_set_check},
    {"Job", job_check},
    {"CronJob", cron_job_check},
};

int inject_workload(const struct inject_request *request, struct inject_result *out,
                    struct error *err)
{
    struct workload w = {
        .request = request, .result = out, .spec = jsonval_get(request->object, "spec")};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(request->kind, kinds[i].kind) != 0)
            continue;
        if (!jsonval_is_object(w.spec))
            return jsonval_error(w.spec, err, ERR_CORRUPT, "it is missing");
        return kinds[i].check(&w, err) < 0 ? -1 : 0;
    }
    return 0;
}

int inject_scale(const struct inject_request *request, const char *target_kind,
                 const char *target_name, struct inject_result *out, struct error *err)
{
    bool is_scale = strcmp(request->kind, "Scale") == 0;
    struct jsonval count =
        jsonval_way(request->object, is_scale ? "spec.replicas" : "spec.maxReplicas");
    uint64_t wanted = 0;

    if (jsonval_u64_or(count, is_scale ? 0 : 1, &wanted, err) < 0)
        return -1;
    if (replicas_check(request, out, target_kind, wanted) == 0)
        return 0;
    struct error ignored = ERROR_INIT;
    if (buf_printf(&out->denial, &ignored, " (%s \"%s\")", target_kind, target_name) < 0)
        return 0; /* the denial stands without the name */
    return 0;
}
