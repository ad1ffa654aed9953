/*
 * Projections: each reads what its struct has room for and lets the rest of the tree go.
 */
#include "controller/replica/kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/inject/job.h"
#include "controller/kube/kube.h"
#include "controller/replica/config_map.h"
#include "controller/replica/cron_job.h"
#include "controller/replica/status_sum.h"

/* Copies the text at v, or leaves NULL where there is none. */
static int text_dup(struct jsonval v, char **out, struct error *err)
{
    const char *text;

    if (jsonval_str_or(v, NULL, &text, err) < 0)
        return -1;
    if (!text)
        return 0;
    *out = str_dup(text, err);
    return *out ? 0 : -1;
}

static int time_read(struct jsonval v, uint64_t *out_ns, struct error *err)
{
    const char *text;

    if (jsonval_str_or(v, NULL, &text, err) < 0)
        return -1;
    return text ? time_parse_rfc3339(text, out_ns, err) : 0;
}

static void text_put(struct jsonval v, char *out, size_t out_bytes)
{
    struct error ignored = ERROR_INIT; /* status is ours; what is odd there is as nothing */
    const char *text = "";

    if (jsonval_str_or(v, "", &text, &ignored) < 0)
        text = "";
    (void)snprintf(out, out_bytes, "%s", text);
}

/* ---- SqliteReplica ---- */

static void replica_item_free(void *item)
{
    struct replica_item *r = item;

    if (r)
        api_replica_free(r->replica);
    free(r);
}

static void verification_read(struct jsonval v, struct verification *out)
{
    struct error ignored = ERROR_INIT; /* as in text_put() */
    char result[16];

    if (time_read(jsonval_get(v, "time"), &out->at_ns, &ignored) < 0 ||
        jsonval_u64_or(jsonval_get(v, "durationSeconds"), 0, &out->seconds, &ignored) < 0)
        out->at_ns = 0;
    text_put(jsonval_get(v, "result"), result, sizeof(result));
    out->has_passed = strcmp(result, "Passed") == 0;
    text_put(jsonval_get(v, "message"), out->message, sizeof(out->message));
    text_put(jsonval_get(v, "txid"), out->txid, sizeof(out->txid));
}

static unsigned made_read(struct jsonval names, const struct api_replica *r)
{
    struct error ignored = ERROR_INIT; /* as in text_put() */
    unsigned made = 0;

    for (struct jsonval v = jsonval_first(names); jsonval_exists(v); v = jsonval_next(v)) {
        const char *name = "";
        for (size_t i = 0; jsonval_str(v, &name, &ignored) == 0 && i < r->destination_count; i++)
            made |= strcmp(r->destinations[i].name, name) == 0 ? 1U << i : 0;
    }
    return made;
}

static int replica_project(struct jsonval object, void **out_item, struct error *err)
{
    struct replica_item *item = mem_new(1, sizeof(*item), err);

    if (!item)
        return -1;
    if (api_replica_parse(object, &item->replica, err) < 0) {
        replica_item_free(item);
        return -1;
    }
    condition_marks_read(jsonval_way(object, "status.conditions"), &item->marks);
    verification_read(jsonval_way(object, "status.lastVerification"), &item->verified);
    item->made = made_read(jsonval_way(object, "status.createdBuckets"), item->replica);
    item->status_sum = status_sum(jsonval_get(object, "status"));
    *out_item = item;
    return 0;
}

static void values_by_bucket(const void *item, struct informer_values *values)
{
    const struct api_replica *r = ((const struct replica_item *)item)->replica;
    char key[INFORMER_KEY_BYTES];

    for (size_t i = 0; i < r->destination_count; i++) {
        if (r->destinations[i].bucket_ref) {
            informer_value(
                values, informer_key(r->meta.namespace_name, r->destinations[i].bucket_ref, key));
        }
    }
}

int replica_store_key(const struct api_replica *replica, const struct api_destination *destination,
                      const struct api_database *database, struct buf *out, struct error *err)
{
    int rc = destination->bucket_ref ? buf_printf(out, err, "%s/%s", replica->meta.namespace_name,
                                                  destination->bucket_ref)
                                     : api_store_url(&destination->store, out, err);
    if (rc == 0 && !destination->bucket_ref && destination->store.kind == API_STORE_FILE)
        rc = buf_printf(out, err, "@%s", replica->meta.namespace_name); /* claims are namespaced */
    if (rc == 0 && !destination->bucket_ref && destination->store.endpoint)
        rc = buf_printf(out, err, "@%s", destination->store.endpoint);
    if (rc < 0 || buf_append_str(out, " ", err) < 0)
        return -1;
    return api_prefix_resolve(replica, destination, database, NULL, "{{podName}}", out, err);
}

static void values_by_prefix(const void *item, struct informer_values *values)
{
    const struct api_replica *r = ((const struct replica_item *)item)->replica;
    struct error ignored = ERROR_INIT; /* not found by this key: fencing in the store is behind */

    for (size_t i = 0; i < r->destination_count; i++) {
        for (size_t j = 0; j < r->database_count; j++) {
            CLEANUP(buf_destroy) struct buf key = BUF_INIT(8192);
            if (replica_store_key(r, &r->destinations[i], &r->databases[j], &key, &ignored) == 0)
                informer_value(values, buf_str(&key));
        }
    }
}

static void values_by_restore(const void *item, struct informer_values *values)
{
    const struct api_replica *r = ((const struct replica_item *)item)->replica;
    char key[INFORMER_KEY_BYTES];

    if (r->status.restore.name)
        informer_value(values, informer_key(r->meta.namespace_name, r->status.restore.name, key));
}

const struct informer_kind kind_replicas = {
    .resource = &kube_sqlite_replicas,
    .project = replica_project,
    .item_free = replica_item_free,
    .indexes = {[REPLICAS_BY_BUCKET] = {"bucket", values_by_bucket},
                [REPLICAS_BY_PREFIX] = {"prefix", values_by_prefix},
                [REPLICAS_BY_RESTORE] = {"restore", values_by_restore}},
};

/* ---- SqliteBucket ---- */

static void bucket_item_free(void *item)
{
    struct bucket_item *b = item;

    if (b)
        api_bucket_free(b->bucket);
    free(b);
}

static void available_read(struct jsonval conditions, struct bucket_item *item)
{
    struct error ignored = ERROR_INIT; /* a condition without a type is none */

    for (struct jsonval c = jsonval_first(conditions); jsonval_exists(c); c = jsonval_next(c)) {
        const char *type = "";
        if (jsonval_str_or(jsonval_get(c, "type"), "", &type, &ignored) < 0 ||
            strcmp(type, condition_type_name(CONDITION_AVAILABLE)) != 0)
            continue;
        text_put(jsonval_get(c, "reason"), item->reason, sizeof(item->reason));
        text_put(jsonval_get(c, "message"), item->message, sizeof(item->message));
    }
}

static int bucket_project(struct jsonval object, void **out_item, struct error *err)
{
    struct bucket_item *item = mem_new(1, sizeof(*item), err);

    if (!item)
        return -1;
    if (api_bucket_parse(object, &item->bucket, err) < 0) {
        bucket_item_free(item);
        return -1;
    }
    condition_marks_read(jsonval_way(object, "status.conditions"), &item->marks);
    available_read(jsonval_way(object, "status.conditions"), item);
    *out_item = item;
    return 0;
}

const struct informer_kind kind_buckets = {
    .resource = &kube_sqlite_buckets,
    .project = bucket_project,
    .item_free = bucket_item_free,
};

/* ---- SqliteRestore ---- */

static void restore_item_free(void *item)
{
    struct restore_item *r = item;

    if (r)
        api_restore_free(r->restore);
    free(r);
}

static int restore_project(struct jsonval object, void **out_item, struct error *err)
{
    struct restore_item *item = mem_new(1, sizeof(*item), err);

    if (!item)
        return -1;
    if (api_restore_parse(object, &item->restore, err) < 0) {
        restore_item_free(item);
        return -1;
    }
    condition_marks_read(jsonval_way(object, "status.conditions"), &item->marks);
    *out_item = item;
    return 0;
}

static void values_by_source(const void *item, struct informer_values *values)
{
    const struct api_restore *r = ((const struct restore_item *)item)->restore;
    char key[INFORMER_KEY_BYTES];

    informer_value(values, informer_key(r->meta.namespace_name, r->source, key));
}

const struct informer_kind kind_restores = {
    .resource = &kube_sqlite_restores,
    .project = restore_project,
    .item_free = restore_item_free,
    .indexes = {[RESTORES_BY_SOURCE] = {"source", values_by_source}},
};

/* ---- pods ---- */

static void pod_item_free(void *item)
{
    struct pod_item *p = item;

    if (!p)
        return;
    free(p->namespace_name);
    free(p->name);
    free(p->uid);
    free(p->replica);
    free(p->spec_hash);
    free(p->ip);
    free(p->owner_kind);
    free(p->owner_name);
    free(p->owner_uid);
    free(p->trouble);
    free(p);
}

/* The element of an array of objects whose "name" is name. */
static struct jsonval named(struct jsonval array, const char *name)
{
    struct error ignored = ERROR_INIT; /* an element without a name is another one */

    for (struct jsonval v = jsonval_first(array); jsonval_exists(v); v = jsonval_next(v)) {
        const char *found = "";
        if (jsonval_str_or(jsonval_get(v, "name"), "", &found, &ignored) == 0 &&
            strcmp(found, name) == 0)
            return v;
    }
    return jsonval_get(array, "");
}

/* The end that speaks of a container that does not run: this one's, or the last one's. */
static struct jsonval ending_of(struct jsonval status)
{
    struct jsonval now = jsonval_way(status, "state.terminated");

    return jsonval_is_null(now) ? jsonval_way(status, "lastState.terminated") : now;
}

/* Why a container of ours waits or has failed, if it does. */
static int trouble_read(struct jsonval status, struct pod_item *p, struct error *err)
{
    struct jsonval waiting = jsonval_way(status, "state.waiting");
    struct jsonval ended = ending_of(status);
    struct jsonval text_at = jsonval_get(jsonval_is_null(ended) ? waiting : ended, "message");
    const char *reason;
    const char *text;
    uint64_t exit_code;

    if (p->trouble)
        return 0;
    if (jsonval_u64_or(jsonval_get(ended, "exitCode"), 0, &exit_code, err) < 0 ||
        jsonval_str_or(jsonval_get(waiting, "reason"), "Error", &reason, err) < 0 ||
        jsonval_str_or(text_at, "", &text, err) < 0)
        return -1;
    bool is_starting = strcmp(reason, "PodInitializing") == 0 ||
                       strcmp(reason, "ContainerCreating") == 0 || !jsonval_exists(waiting);
    if (is_starting && exit_code == 0)
        return 0;
    p->trouble = str_printf(err, "%s: %.400s", reason, text);
    return p->trouble ? 0 : -1;
}

static int pod_containers_read(struct jsonval object, struct pod_item *p, struct error *err)
{
    struct jsonval sidecar =
        named(jsonval_way(object, "spec.initContainers"), API_CONTAINER_SIDECAR);
    struct jsonval statuses = jsonval_way(object, "status.initContainerStatuses");
    struct jsonval status = named(statuses, API_CONTAINER_SIDECAR);

    p->has_sidecar = jsonval_exists(sidecar);
    struct jsonval port = jsonval_first(jsonval_get(sidecar, "ports"));
    if (jsonval_u64_or(jsonval_get(port, "containerPort"), 0, &p->metrics_port, err) < 0 ||
        jsonval_bool_or(jsonval_get(status, "started"), false, &p->is_sidecar_started, err) < 0)
        return -1;
    if (p->is_sidecar_started) /* what failed before is over */
        return 0;
    return trouble_read(named(statuses, API_CONTAINER_RESTORE), p, err) < 0
               ? -1
               : trouble_read(status, p, err);
}

static int pod_owner_read(struct jsonval object, struct pod_item *p, struct error *err)
{
    struct workload_owner owner;

    if (!workload_owner_read(object, &owner))
        return 0;
    p->owner_kind = str_dup(owner.kind, err);
    p->owner_name = str_dup(owner.name, err);
    p->owner_uid = str_dup(owner.uid, err);
    return p->owner_kind && p->owner_name && p->owner_uid ? 0 : -1;
}

static int pod_read(struct jsonval object, struct pod_item *p, struct error *err)
{
    struct jsonval meta = jsonval_get(object, "metadata");
    const char *phase;

    if (text_dup(jsonval_get(meta, "namespace"), &p->namespace_name, err) < 0 ||
        text_dup(jsonval_get(meta, "name"), &p->name, err) < 0 ||
        text_dup(jsonval_get(meta, "uid"), &p->uid, err) < 0 ||
        text_dup(jsonval_get(jsonval_get(meta, "labels"), API_LABEL_REPLICA), &p->replica, err) <
            0 ||
        text_dup(jsonval_get(jsonval_get(meta, "annotations"), API_ANNOTATION_SPEC_HASH),
                 &p->spec_hash, err) < 0 ||
        text_dup(jsonval_way(object, "status.podIP"), &p->ip, err) < 0 ||
        jsonval_str_or(jsonval_way(object, "status.phase"), "", &phase, err) < 0)
        return -1;
    if (p->replica && !p->replica[0]) { /* the webhook has written whose it is, where it could */
        free(TAKE(p->replica));
        if (text_dup(jsonval_get(jsonval_get(meta, "annotations"), API_ANNOTATION_RESOLVED),
                     &p->replica, err) < 0)
            return -1;
        if (!p->replica && !(p->replica = str_dup("", err)))
            return -1;
    }
    if (!p->namespace_name || !p->name || !p->replica)
        return jsonval_error(meta, err, ERR_CORRUPT, "a pod without namespace, name or label");
    p->is_ending = jsonval_exists(jsonval_get(meta, "deletionTimestamp"));
    if (time_read(jsonval_get(meta, "deletionTimestamp"), &p->ends_by_ns, err) < 0)
        return -1;
    p->is_finished = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
    return pod_owner_read(object, p, err) < 0 ? -1 : pod_containers_read(object, p, err);
}

static int pod_project(struct jsonval object, void **out_item, struct error *err)
{
    struct pod_item *p = mem_new(1, sizeof(*p), err);

    if (!p)
        return -1;
    if (pod_read(object, p, err) < 0) {
        pod_item_free(p);
        return -1;
    }
    *out_item = p;
    return 0;
}

/* Texts or nothing. */
static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool pod_item_is_same(const struct pod_item *a, const struct pod_item *b)
{
    return is_same_text(a->namespace_name, b->namespace_name) && is_same_text(a->name, b->name) &&
           is_same_text(a->uid, b->uid) && is_same_text(a->replica, b->replica) &&
           is_same_text(a->spec_hash, b->spec_hash) && is_same_text(a->ip, b->ip) &&
           is_same_text(a->owner_kind, b->owner_kind) &&
           is_same_text(a->owner_name, b->owner_name) && is_same_text(a->owner_uid, b->owner_uid) &&
           is_same_text(a->trouble, b->trouble) && a->metrics_port == b->metrics_port &&
           a->has_sidecar == b->has_sidecar && a->is_sidecar_started == b->is_sidecar_started &&
           a->is_ending == b->is_ending && a->ends_by_ns == b->ends_by_ns &&
           a->is_finished == b->is_finished;
}

static void values_by_replica(const void *item, struct informer_values *values)
{
    const struct pod_item *p = item;
    char key[INFORMER_KEY_BYTES];

    informer_value(values, informer_key(p->namespace_name, p->replica, key));
}

const struct informer_kind kind_pods = {
    .resource = &kube_pods,
    .label_selector = API_LABEL_REPLICA,
    .project = pod_project,
    .item_free = pod_item_free,
    .indexes = {[PODS_BY_REPLICA] = {"replica", values_by_replica}},
};

/* ---- Jobs ---- */

static void job_item_free(void *item)
{
    struct job_item *j = item;

    if (!j)
        return;
    free(j->namespace_name);
    free(j->name);
    free(j->uid);
    free(j->purpose);
    free(j->owner);
    free(j->failure);
    free(j);
}

static int job_conditions_read(struct jsonval conditions, struct job_item *j, struct error *err)
{
    for (struct jsonval c = jsonval_first(conditions); jsonval_exists(c); c = jsonval_next(c)) {
        const char *type;
        const char *status;
        if (jsonval_str_or(jsonval_get(c, "type"), "", &type, err) < 0 ||
            jsonval_str_or(jsonval_get(c, "status"), "", &status, err) < 0)
            return -1;
        bool is_complete = strcmp(type, "Complete") == 0;
        bool is_failed = strcmp(type, "Failed") == 0;
        if (strcmp(status, "True") != 0 || (!is_complete && !is_failed))
            continue;
        j->is_complete |= is_complete;
        j->is_failed |= is_failed;
        if (time_read(jsonval_get(c, "lastTransitionTime"), &j->finished_ns, err) < 0 ||
            (is_failed && !j->failure && text_dup(jsonval_get(c, "message"), &j->failure, err) < 0))
            return -1;
    }
    return 0;
}

static int job_read(struct jsonval object, struct job_item *j, struct error *err)
{
    struct jsonval meta = jsonval_get(object, "metadata");
    struct jsonval labels = jsonval_get(meta, "labels");

    if (text_dup(jsonval_get(meta, "namespace"), &j->namespace_name, err) < 0 ||
        text_dup(jsonval_get(meta, "name"), &j->name, err) < 0 ||
        text_dup(jsonval_get(meta, "uid"), &j->uid, err) < 0 ||
        text_dup(jsonval_get(labels, INJECT_JOB_LABEL_PURPOSE), &j->purpose, err) < 0 ||
        text_dup(jsonval_get(labels, INJECT_JOB_LABEL_OWNER), &j->owner, err) < 0 ||
        time_read(jsonval_get(meta, "creationTimestamp"), &j->created_ns, err) < 0)
        return -1;
    if (!j->namespace_name || !j->name || !j->purpose || !j->owner)
        return jsonval_error(meta, err, ERR_CORRUPT, "a Job without our labels");
    return job_conditions_read(jsonval_way(object, "status.conditions"), j, err);
}

static int job_project(struct jsonval object, void **out_item, struct error *err)
{
    struct job_item *j = mem_new(1, sizeof(*j), err);

    if (!j)
        return -1;
    if (job_read(object, j, err) < 0) {
        job_item_free(j);
        return -1;
    }
    *out_item = j;
    return 0;
}

static void values_by_owner(const void *item, struct informer_values *values)
{
    const struct job_item *j = item;
    CLEANUP(buf_destroy) struct buf key = BUF_INIT(1024);
    struct error ignored = ERROR_INIT; /* no memory: found at the next resync */

    if (buf_printf(&key, &ignored, "%s/%s/%s", j->namespace_name, j->purpose, j->owner) == 0)
        informer_value(values, buf_str(&key));
}

const struct informer_kind kind_jobs = {
    .resource = &kube_jobs,
    .label_selector = INJECT_JOB_LABEL_MANAGER "=walferry",
    .project = job_project,
    .item_free = job_item_free,
    .indexes = {[JOBS_BY_OWNER] = {"owner", values_by_owner}},
};

/* ---- CronJobs ---- */

static void cron_job_item_free(void *item)
{
    struct cron_job_item *c = item;

    if (!c)
        return;
    free(c->namespace_name);
    free(c->name);
    free(c->owner);
    free(c);
}

static int cron_job_read(struct jsonval object, struct cron_job_item *c, struct error *err)
{
    struct jsonval meta = jsonval_get(object, "metadata");

    if (text_dup(jsonval_get(meta, "namespace"), &c->namespace_name, err) < 0 ||
        text_dup(jsonval_get(meta, "name"), &c->name, err) < 0 ||
        text_dup(jsonval_get(jsonval_get(meta, "labels"), INJECT_JOB_LABEL_OWNER), &c->owner, err) <
            0 ||
        time_read(jsonval_get(meta, "creationTimestamp"), &c->created_ns, err) < 0 ||
        time_read(jsonval_way(object, "status.lastScheduleTime"), &c->scheduled_ns, err) < 0)
        return -1;
    c->sum = cron_job_sum_read(object);
    c->generation = cron_job_generation(object);
    return c->namespace_name && c->name && c->owner
               ? 0
               : jsonval_error(meta, err, ERR_CORRUPT, "a CronJob without our labels");
}

static int cron_job_project(struct jsonval object, void **out_item, struct error *err)
{
    struct cron_job_item *c = mem_new(1, sizeof(*c), err);

    if (!c)
        return -1;
    if (cron_job_read(object, c, err) < 0) {
        cron_job_item_free(c);
        return -1;
    }
    *out_item = c;
    return 0;
}

const struct informer_kind kind_cron_jobs = {
    .resource = &kube_cron_jobs,
    .label_selector = INJECT_JOB_LABEL_MANAGER "=walferry",
    .project = cron_job_project,
    .item_free = cron_job_item_free,
};

/* ---- ConfigMaps ---- */

static void config_map_item_free(void *item)
{
    struct config_map_item *c = item;

    if (!c)
        return;
    free(c->namespace_name);
    free(c->replica);
    free(c);
}

static int config_map_read(struct jsonval object, struct config_map_item *c, struct error *err)
{
    struct jsonval meta = jsonval_get(object, "metadata");
    struct jsonval owner = jsonval_first(jsonval_get(meta, "ownerReferences"));
    const char *kind;
    const char *uid;
    const char *text;

    if (text_dup(jsonval_get(meta, "namespace"), &c->namespace_name, err) < 0 ||
        jsonval_str_or(jsonval_get(owner, "kind"), "", &kind, err) < 0 ||
        jsonval_str_or(jsonval_get(owner, "uid"), NULL, &uid, err) < 0 ||
        jsonval_str_or(jsonval_get(jsonval_get(object, "data"), API_CONFIG_KEY), NULL, &text, err) <
            0)
        return -1;
    if (!c->namespace_name)
        return jsonval_error(meta, err, ERR_CORRUPT, "a ConfigMap without namespace");
    if (strcmp(kind, kube_sqlite_replicas.kind) != 0)
        return 0;
    c->sum = uid && text ? config_map_sum(slice_of_str(text), uid) : 0;
    return text_dup(jsonval_get(owner, "name"), &c->replica, err);
}

static int config_map_project(struct jsonval object, void **out_item, struct error *err)
{
    struct config_map_item *c = mem_new(1, sizeof(*c), err);

    if (!c)
        return -1;
    if (config_map_read(object, c, err) < 0) {
        config_map_item_free(c);
        return -1;
    }
    *out_item = c;
    return 0;
}

const struct informer_kind kind_config_maps = {
    .resource = &kube_config_maps,
    .label_selector = INJECT_JOB_LABEL_MANAGER "=walferry",
    .project = config_map_project,
    .item_free = config_map_item_free,
};
