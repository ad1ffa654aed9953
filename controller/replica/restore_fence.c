/*
 * Stopping and starting the workloads of a SqliteReplica.
 *
 *   find    Deployments and StatefulSets whose pod template has the label of the resource (or one
 *           without a value, where the namespace names the resource), and how many replicas they
 *           want. Written down in the status before anything is touched: from
 *           then on that is the number to go back to. One that is at 0 because an earlier restore
 *           in place failed gets the number that was written down then.
 *   fence   scale to 0, then ask the API server (not the cache) whether a pod is left. Repeated
 *           until there is none: whoever scales it up meanwhile is undone. A pod that nothing of
 *           the above made must be ended by its owner.
 *   resume  scale to what was written down
 *
 * A workload that is gone needs neither. One that we may not scale ends the restore.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/inject/inject.h"
#include "controller/replica/restore_internal.h"

static const struct kube_resource *const kinds[] = {&kube_deployments, &kube_stateful_sets};

void restore_workloads_free(struct restore_pass *p)
{
    for (size_t i = 0; i < p->found_count; i++) {
        free(p->found[i].kind);
        free(p->found[i].name);
    }
    p->found_count = 0;
}

const char *restore_workloads_text(const struct api_workload *workloads, size_t count,
                                   char out[static 256])
{
    size_t n = 0;

    (void)snprintf(out, 256, "nothing");
    for (size_t i = 0; i < count && n < 200; i++) {
        int more = snprintf(out + n, 256 - n, "%s%s %.60s (%" PRIu64 ")", i ? ", " : "",
                            workloads[i].kind, workloads[i].name, workloads[i].replicas);
        n += more > 0 ? (size_t)more : 0;
    }
    return out;
}

/* The operator lacks the rights. */
static int scale_refused(struct restore_pass *p, const struct restore_item *item,
                         const struct error *cause, struct error *err)
{
    CLEANUP(mem_free)
    char *text = str_printf(err, "%.300s (chart: restore.inPlace.enabled).", cause->text);

    return text ? restore_refuse(p, item, "ScaleRefused", text, err) : -1;
}

/* ---- find ---- */

/* The number of replicas that a failed restore had written down for a workload. */
struct earlier {
    const struct api_workload *wanted;
    uint64_t failed_ns;
    uint64_t replicas;
};

static void earlier_look(void *arg, const char *key UNUSED, const void *item)
{
    struct earlier *e = arg;
    const struct restore_item *other = item;
    const struct api_restore *r = other->restore;

    if (!r->status.is_failed || other->marks.status[CONDITION_RESUMED] == CONDITION_TRUE)
        return;
    for (size_t i = 0; i < r->status.workload_count; i++) {
        const struct api_workload *w = &r->status.workloads[i];
        if (strcmp(w->kind, e->wanted->kind) == 0 && strcmp(w->name, e->wanted->name) == 0 &&
            w->replicas > 0 && r->status.finished_ns >= e->failed_ns) {
            e->failed_ns = r->status.finished_ns;
            e->replicas = w->replicas;
        }
    }
}

static int workload_add(struct restore_pass *p, const struct restore_item *item, const char *kind,
                        struct jsonval object, struct error *err)
{
    const struct api_restore *r = item->restore;
    struct api_workload *w = &p->found[p->found_count];
    const char *name;
    char key[INFORMER_KEY_BYTES];

    if (p->found_count == API_RESTORE_WORKLOADS_MAX) {
        return error_set(err, ERR_USAGE, 0, "More than %d workloads use SqliteReplica %s.",
                         API_RESTORE_WORKLOADS_MAX, r->source);
    }
    *w = (struct api_workload){.kind = NULL};
    if (jsonval_str(jsonval_way(object, "metadata.name"), &name, err) < 0 ||
        jsonval_u64_or(jsonval_way(object, "spec.replicas"), 1, &w->replicas, err) < 0)
        return -1;
    w->kind = str_dup(kind, err);
    w->name = w->kind ? str_dup(name, err) : NULL;
    p->found_count++; /* also if half of it is there: it is freed */
    if (!w->name)
        return -1;
    if (w->replicas == 0) {
        struct earlier e = {.wanted = w};
        informer_each_in(p->r->restores, RESTORES_BY_SOURCE,
                         informer_key(r->meta.namespace_name, r->source, key), earlier_look, &e);
        w->replicas = e.replicas;
    }
    return 0;
}

static int workloads_add(struct restore_pass *p, const struct restore_item *item,
                         struct jsonval items, struct error *err)
{
    const char *kind = kinds[p->workload_idx]->kind;

    for (struct jsonval v = jsonval_first(items); jsonval_exists(v); v = jsonval_next(v)) {
        const char *label = inject_replica_name(v, kind);
        bool is_ours =
            label && (label[0] ? strcmp(label, item->restore->source) == 0 : p->is_default);
        if (is_ours && workload_add(p, item, kind, v, err) < 0)
            return -1;
    }
    return 0;
}

static int workloads_write(struct restore_pass *p, const struct restore_item *item,
                           struct error *err)
{
    struct restore_outcome o = {.seconds = 0};
    char text[256];

    restore_reached_put(item, CONDITION_LOCKED, &o);
    o.workloads = p->found;
    o.workload_count = p->found_count;
    (void)snprintf(o.message, sizeof(o.message), "Stopping %s.",
                   restore_workloads_text(p->found, p->found_count, text));
    condition_put(&o.conditions, CONDITION_FENCED, CONDITION_FALSE, "Stopping", "%s", o.message);
    return restore_status_apply(p, item, &o, err);
}

static int workloads_list(struct restore_pass *p, const struct restore_item *item,
                          struct error *err);

static void on_workloads(void *arg, const struct kube_answer *answer)
{
    struct restore_pass *p = arg;
    struct error err = *answer->err;
    const struct restore_item *item;

    p->request = NULL;
    if (err.code != ERR_NONE && err.code != ERR_ACCESS) {
        restore_pass_fail(p, "workloads", &err);
        return;
    }
    item = restore_pass_item(p);
    if (!item)
        return;
    int rc = err.code == ERR_ACCESS
                 ? -1
                 : workloads_add(p, item, jsonval_get(answer->object, "items"), &err);
    if (rc == 0) {
        p->workload_idx++;
        rc = p->workload_idx < ARRAY_LEN(kinds) ? workloads_list(p, item, &err)
                                                : workloads_write(p, item, &err);
    }
    if (rc < 0 && (err.code == ERR_ACCESS || err.code == ERR_USAGE)) {
        const struct error cause = err;
        error_clear(&err);
        rc = cause.code == ERR_ACCESS ? scale_refused(p, item, &cause, &err)
                                      : restore_refuse(p, item, "InvalidRestore", cause.text, &err);
    }
    if (rc < 0)
        restore_pass_fail(p, "workloads", &err);
}

static int workloads_list(struct restore_pass *p, const struct restore_item *item,
                          struct error *err)
{
    const struct kube_call call = {.verb = KUBE_LIST,
                                   .resource = kinds[p->workload_idx],
                                   .namespace_name = item->restore->meta.namespace_name};

    return kube_start(p->r->context.client, &call, on_workloads, p, &p->request, err);
}

/* One that may not be read has no default that we know of: pods that are left will tell. */
static void on_namespace(void *arg, const struct kube_answer *answer)
{
    struct restore_pass *p = arg;
    struct error err = *answer->err;
    const char *name = "";

    p->request = NULL;
    if (err.code != ERR_NONE && err.code != ERR_ACCESS && err.code != ERR_NOT_FOUND) {
        restore_pass_fail(p, "namespace", &err);
        return;
    }
    struct jsonval wish =
        jsonval_get(jsonval_way(answer->object, "metadata.annotations"), API_ANNOTATION_DEFAULT);
    const struct restore_item *item = restore_pass_item(p);
    if (!item)
        return;
    if (err.code == ERR_NONE && jsonval_str_or(wish, "", &name, &err) == 0)
        p->is_default = strcmp(name, item->restore->source) == 0;
    error_clear(&err);
    if (workloads_list(p, item, &err) < 0)
        restore_pass_fail(p, "workloads", &err);
}

int restore_workloads_find(struct restore_pass *p, const struct restore_item *item,
                           struct error *err)
{
    const struct kube_call call = {
        .verb = KUBE_GET, .resource = &kube_namespaces, .name = item->restore->meta.namespace_name};

    p->workload_idx = 0;
    return kube_start(p->r->context.client, &call, on_namespace, p, &p->request, err);
}

/* ---- are the pods gone? ---- */

struct pods_left {
    char text[256];
    size_t length;
    size_t count;
};

/* Whose a pod is: as its label says, or, if that has no value, as the webhook has found. */
static bool pod_is_of(struct jsonval pod, const char *source)
{
    struct error ignored = ERROR_INIT; /* what is no text is no name */
    struct jsonval meta = jsonval_get(pod, "metadata");
    const char *name = inject_replica_name(pod, "Pod");

    if (name && !name[0] &&
        jsonval_str_or(jsonval_get(jsonval_get(meta, "annotations"), API_ANNOTATION_RESOLVED), "",
                       &name, &ignored) < 0)
        return false;
    return name && strcmp(name, source) == 0;
}

static int pods_left_read(struct jsonval items, const char *source, struct pods_left *out,
                          struct error *err)
{
    for (struct jsonval v = jsonval_first(items); jsonval_exists(v); v = jsonval_next(v)) {
        const char *phase;
        const char *name;
        if (jsonval_str_or(jsonval_way(v, "status.phase"), "", &phase, err) < 0 ||
            jsonval_str(jsonval_way(v, "metadata.name"), &name, err) < 0)
            return -1;
        if (!pod_is_of(v, source) || strcmp(phase, "Succeeded") == 0 ||
            strcmp(phase, "Failed") == 0)
            continue;
        bool is_ending = jsonval_exists(jsonval_way(v, "metadata.deletionTimestamp"));
        if (out->count++ < 3) {
            int more =
                snprintf(out->text + out->length, sizeof(out->text) - out->length, "%s%.60s%s",
                         out->count > 1 ? ", " : "", name, is_ending ? " (ending)" : "");
            out->length += more > 0 ? (size_t)more : 0;
        }
    }
    return 0;
}

static int fenced_write(struct restore_pass *p, const struct restore_item *item,
                        const struct pods_left *left, struct error *err)
{
    struct restore_outcome o = {.seconds = 0};

    restore_reached_put(item, left->count == 0 ? CONDITION_FENCED : CONDITION_LOCKED, &o);
    if (left->count == 0) {
        (void)snprintf(o.message, sizeof(o.message), "Restoring.");
        return restore_status_apply(p, item, &o, err);
    }
    (void)snprintf(o.message, sizeof(o.message),
                   "Waiting for the end of %zu pods: %s. One that no Deployment or StatefulSet has "
                   "made must be ended by its owner.",
                   left->count, left->text);
    condition_put(&o.conditions, CONDITION_FENCED, CONDITION_FALSE, "PodsLeft", "%s", o.message);
    if (item->restore->status.message && strcmp(item->restore->status.message, o.message) == 0) {
        restore_pass_end(p, QUEUE_AFTER, RECONCILE_INTERVAL_S * NS_PER_SEC);
        return 0;
    }
    return restore_status_apply(p, item, &o, err);
}

static void on_pods(void *arg, const struct kube_answer *answer)
{
    struct restore_pass *p = arg;
    struct error err = *answer->err;
    struct pods_left left = {.count = 0};

    p->request = NULL;
    if (err.code != ERR_NONE) {
        restore_pass_fail(p, "pods", &err);
        return;
    }
    const struct restore_item *item = restore_pass_item(p);
    if (!item)
        return;
    if (pods_left_read(jsonval_get(answer->object, "items"), item->restore->source, &left, &err) <
            0 ||
        fenced_write(p, item, &left, &err) < 0)
        restore_pass_fail(p, "status", &err);
}

static int pods_list(struct restore_pass *p, const struct restore_item *item, struct error *err)
{
    const struct kube_call call = {.verb = KUBE_LIST,
                                   .resource = &kube_pods,
                                   .namespace_name = item->restore->meta.namespace_name,
                                   .label_selector = API_LABEL_REPLICA};
    return kube_start(p->r->context.client, &call, on_pods, p, &p->request, err);
}

/* ---- scaling ---- */

static int complete_write(struct restore_pass *p, const struct restore_item *item,
                          struct error *err)
{
    struct restore_outcome o = {.seconds = 0};

    restore_reached_put(item, CONDITION_RESUMED, &o);
    o.seconds =
        (env_wall_ns(loop_env(p->r->context.loop)) - item->restore->meta.created_ns) / NS_PER_SEC;
    condition_put(&o.conditions, CONDITION_COMPLETE, CONDITION_TRUE, "Complete", "%s", o.message);
    condition_put(&o.conditions, CONDITION_RECONCILING, CONDITION_FALSE, "Complete", "It is over.");
    return restore_status_apply(p, item, &o, err);
}

static int scale_next(struct restore_pass *p, const struct restore_item *item, struct error *err);

static void on_scaled(void *arg, const struct kube_answer *answer)
{
    struct restore_pass *p = arg;
    struct error err = ERROR_INIT;
    const struct error *cause = answer->err;

    p->request = NULL;
    if (cause->code != ERR_NONE && cause->code != ERR_NOT_FOUND && cause->code != ERR_ACCESS) {
        restore_pass_fail(p, "scale", cause);
        return;
    }
    const struct restore_item *item = restore_pass_item(p);
    if (!item)
        return;
    p->workload_idx++;
    int rc =
        cause->code == ERR_ACCESS ? scale_refused(p, item, cause, &err) : scale_next(p, item, &err);
    if (rc < 0)
        restore_pass_fail(p, "scale", &err);
}

static int scale_start(struct restore_pass *p, const struct restore_item *item,
                       const struct api_workload *w, struct error *err)
{
    char body[64];

    (void)snprintf(body, sizeof(body), "{\"spec\":{\"replicas\":%" PRIu64 "}}",
                   p->is_resuming ? w->replicas : 0);
    const struct kube_call call = {.verb = KUBE_MERGE_PATCH,
                                   .resource = workload_resource(w->kind),
                                   .namespace_name = item->restore->meta.namespace_name,
                                   .name = w->name,
                                   .subresource = "scale",
                                   .body = slice_of_str(body),
                                   .field_manager = RESTORE_MANAGER};
    return kube_start(p->r->context.client, &call, on_scaled, p, &p->request, err);
}

static int scale_next(struct restore_pass *p, const struct restore_item *item, struct error *err)
{
    const struct api_restore *r = item->restore;

    for (; p->workload_idx < r->status.workload_count; p->workload_idx++) {
        const struct api_workload *w = &r->status.workloads[p->workload_idx];
        if (workload_resource(w->kind) && w->replicas > 0)
            return scale_start(p, item, w, err);
    }
    return p->is_resuming ? complete_write(p, item, err) : pods_list(p, item, err);
}

int restore_fence(struct restore_pass *p, const struct restore_item *item, struct error *err)
{
    p->workload_idx = 0;
    p->is_resuming = false;
    return scale_next(p, item, err);
}

int restore_resume(struct restore_pass *p, const struct restore_item *item, struct error *err)
{
    p->workload_idx = 0;
    p->is_resuming = true;
    return scale_next(p, item, err);
}
