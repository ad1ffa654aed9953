/*
 * Who is asked about what:
 *
 *   /mutate     Pod, CREATE                          inject_pod()
 *   /validate   Deployment, StatefulSet, DaemonSet,
 *               ReplicaSet, ReplicationController,
 *               Job, CronJob                         inject_workload()
 *               Scale (subresource)                  inject_scale() of request.name
 *               HorizontalPodAutoscaler              inject_scale() of spec.scaleTargetRef
 *               SqliteReplica                        a rival for its prefixes
 *
 * Everything else, every other operation and every object without the label is allowed at once.
 *
 * An update that leaves a workload as wrong as it was is let pass with a warning: controllers
 * update workloads, too (a Deployment's revision), and what was there before this webhook must stay
 * manageable.
 */
#include "controller/webhook/decide.h"

#include <string.h>

/* ---- which resource ---- */

/* Resources of workloads and the kind that they are, since a Scale names the resource only. */
static const struct {
    const char *resource;
    const char *kind;
} scalable[] = {
    {"deployments", "Deployment"},
    {"statefulsets", "StatefulSet"},
    {"replicasets", "ReplicaSet"},
    {"replicationcontrollers", "ReplicationController"},
};

static bool is_scale(const struct review *r)
{
    return strcmp(r->kind, "Scale") == 0;
}

static bool is_autoscaler(const struct review *r)
{
    return strcmp(r->kind, "HorizontalPodAutoscaler") == 0;
}

/* The workload whose number of pods a Scale or an autoscaler sets; NULL: none that is known. */
static const char *target_of(const struct review *r, const char **out_kind)
{
    struct jsonval target = jsonval_way(r->object, "spec.scaleTargetRef");
    struct error ignored = ERROR_INIT;
    const char *name = NULL;

    *out_kind = NULL;
    if (is_autoscaler(r)) {
        if (jsonval_str_or(jsonval_get(target, "kind"), NULL, out_kind, &ignored) < 0 ||
            jsonval_str_or(jsonval_get(target, "name"), NULL, &name, &ignored) < 0)
            return NULL;
        return *out_kind ? name : NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(scalable); i++) {
        if (strcmp(scalable[i].resource, r->resource) == 0)
            *out_kind = scalable[i].kind;
    }
    return *out_kind ? r->name : NULL;
}

const char *decide_target(const struct review *review, enum decide_path path, const char **out_kind)
{
    bool is_write = review->operation == REVIEW_CREATE || review->operation == REVIEW_UPDATE;
    bool names_one = is_scale(review) || is_autoscaler(review);

    return path == DECIDE_VALIDATE && is_write && names_one ? target_of(review, out_kind) : NULL;
}

const char *decide_replica_name(const struct review *review, enum decide_path path)
{
    bool is_write = review->operation == REVIEW_CREATE || review->operation == REVIEW_UPDATE;

    if (path == DECIDE_MUTATE) {
        bool is_new_pod = strcmp(review->kind, "Pod") == 0 && !review->subresource[0] &&
                          review->operation == REVIEW_CREATE;
        return is_new_pod ? inject_replica_name(review->object, "Pod") : NULL;
    }
    if (!is_write || is_scale(review) || is_autoscaler(review))
        return NULL;
    if (review->subresource[0] || strcmp(review->kind, "SqliteReplica") == 0)
        return NULL;
    return inject_replica_name(review->object, review->kind);
}

bool decide_knows_enough(const struct webhook_subject *subject)
{
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;
    struct error ignored = ERROR_INIT;

    if (!subject->replica)
        return subject->problem != NULL;
    for (size_t i = 0; i < subject->replica->destination_count; i++) {
        if (api_destination_store(&subject->replica->destinations[i], subject->buckets,
                                  subject->bucket_count, &store, &bucket, &ignored) < 0)
            return false;
    }
    return true;
}

/* ---- answers ---- */

/* A pod is denied; its workload may come before the resource. */
static void answer_unknown(const struct decide_case *c, struct inject_result *result)
{
    const char *namespace_name = c->review->namespace_name;
    const char *problem = c->subject->problem;

    if (c->path == DECIDE_VALIDATE) {
        inject_warn(result, "%s \"%s\" in namespace \"%s\"; until it is right, pods are denied",
                    problem ? problem : "there is no SqliteReplica", c->name, namespace_name);
        return;
    }
    if (problem) {
        (void)inject_deny(result, "SqliteReplica \"%s\" in namespace \"%s\": %s", c->name,
                          namespace_name, problem);
        return;
    }
    (void)inject_deny(
        result,
        "there is no SqliteReplica \"%s\" in namespace \"%s\": create it, or remove the "
        "label " API_LABEL_REPLICA " from the pod",
        c->name, namespace_name);
}

/* Whether the object was as wrong before this update. */
static bool was_denied_before(const struct inject_request *request, const struct review *r)
{
    CLEANUP(inject_result_destroy) struct inject_result before = INJECT_RESULT_INIT;
    struct inject_request old = *request;
    struct error ignored = ERROR_INIT;

    if (r->operation != REVIEW_UPDATE || !jsonval_is_object(r->old_object))
        return false;
    old.object = r->old_object;
    return inject_workload(&old, &before, &ignored) == 0 && before.is_denied;
}

static int decide_workload(const struct inject_request *request, const struct review *r,
                           struct inject_result *result, struct error *err)
{
    if (inject_workload(request, result, err) < 0)
        return -1;
    if (result->is_denied && was_denied_before(request, r))
        inject_soften(result);
    return 0;
}

/* Another SqliteReplica with a prefix of this one. Those that are there already are let be. */
static int decide_resource(const struct review *r, const struct webhook_source *source,
                           struct inject_result *result, struct error *err)
{
    CLEANUP(api_replica_cleanup) struct api_replica *replica = NULL;
    CLEANUP(buf_destroy) struct buf prefix = BUF_INIT(4096);

    if (r->operation == REVIEW_DELETE || r->subresource[0] || !source->prefix_rival)
        return 0;
    if (api_replica_parse(r->object, &replica, err) < 0) {
        (void)inject_deny(result, "%s", err->text);
        return 0;
    }
    const char *rival = source->prefix_rival(source->ctx, replica, &prefix);
    if (!rival)
        return 0;
    if (r->operation == REVIEW_UPDATE) {
        inject_warn(result, "SqliteReplica \"%s\" has the same prefix %s", rival, buf_str(&prefix));
        return 0;
    }
    (void)inject_deny(
        result,
        "SqliteReplica \"%s\" has the same prefix %s: two histories would meet there; set "
        "spec.prefixTemplate",
        rival, buf_str(&prefix));
    return 0;
}

/* The number of pods that a Scale or an autoscaler allows. */
static uint64_t count_of(struct jsonval object)
{
    struct error ignored = ERROR_INIT;
    uint64_t count = 0;
    struct jsonval v = jsonval_way(object, "spec.replicas");

    if (jsonval_is_null(v))
        v = jsonval_way(object, "spec.maxReplicas");
    return jsonval_u64_or(v, 0, &count, &ignored) == 0 ? count : 0;
}

/* Fewer pods than there were are a way out, whoever asks for them. */
static int decide_scale(const struct inject_request *request, const struct review *r,
                        struct inject_result *result, struct error *err)
{
    const char *kind = NULL;
    const char *target = target_of(r, &kind);

    if (inject_scale(request, kind, target, result, err) < 0)
        return -1;
    if (result->is_denied && r->operation == REVIEW_UPDATE &&
        count_of(r->old_object) >= count_of(r->object))
        inject_soften(result);
    return 0;
}

int decide(const struct decide_case *c, struct inject_result *result, struct error *err)
{
    const struct review *r = c->review;

    if (c->path == DECIDE_VALIDATE && strcmp(r->kind, "SqliteReplica") == 0)
        return decide_resource(r, c->source, result, err);
    if (!c->name)
        return 0;
    if (!c->subject->replica) {
        answer_unknown(c, result);
        return 0;
    }
    const struct inject_request request = {.object = r->object,
                                           .namespace_name = r->namespace_name,
                                           .kind = r->kind,
                                           .replica = c->subject->replica,
                                           .buckets = c->subject->buckets,
                                           .bucket_count = c->subject->bucket_count,
                                           .peers = c->subject->peers,
                                           .peer_count = c->subject->peer_count,
                                           .options = c->options,
                                           .only_warns = c->only_warns};
    if (c->path == DECIDE_MUTATE)
        return inject_pod(&request, result, err);
    if (is_scale(r) || is_autoscaler(r))
        return decide_scale(&request, r, result, err);
    return decide_workload(&request, r, result, err);
}
