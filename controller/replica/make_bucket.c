/*
 * createBucket of a destination that a SqliteReplica describes itself: a Job with the user's Secret
 * makes the bucket where it is missing (walferry probe -create), once for each destination.
 *
 *   1. A destination that asks for it and is not in status.createdBuckets wants a Job,
 *      "walferry-create-NAME-N".
 *   2. A Job that runs is waited for; the pass goes on meanwhile.
 *   3. One that has ended is read: the destination is noted in the status, or the reason why its
 *      bucket could not be made is what DestinationAvailable says. Kubernetes deletes the Job after
 *      MAKE_TTL_S, and the next pass makes another.
 *
 * (A SqliteBucket has its own probe: bucket.c.)
 */
#include <stdio.h>
#include <string.h>

#include "controller/replica/finding.h"
#include "controller/replica/pass_internal.h"

enum {
    MAKE_DEADLINE_S = 120,
    MAKE_TTL_S = 60,
};

static void step(struct pass *p, size_t idx);

static void job_name(const struct api_replica *r, size_t idx, char out[static 128])
{
    (void)snprintf(out, 128, "walferry-create-%.52s-%zu", r->meta.name, idx); /* it fits */
}

/* ---- 3. what it found ---- */

/* The bucket is there, whatever else may be missing: that is for the sidecars to tell. */
static bool is_made(const struct finding *f)
{
    return f->is_available || strcmp(f->reason, "ReadOnly") == 0 ||
           strcmp(f->reason, "DeleteDenied") == 0;
}

static void made_announce(const struct pass *p, const struct api_replica *r, size_t idx)
{
    const struct recorder_object object = {.resource = &kube_sqlite_replicas,
                                           .namespace_name = r->meta.namespace_name,
                                           .name = r->meta.name,
                                           .uid = r->meta.uid};

    recorder_event(p->r->context.recorder, &object, false, "BucketCreated", "Create",
                   "Bucket %s of destination %s was created.", r->destinations[idx].store.bucket,
                   r->destinations[idx].name);
}

static void on_result(void *arg, const struct job_result *result)
{
    struct pass *p = arg;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct finding f;

    if (result->err->code != ERR_NONE) {
        pass_fail(p, "create bucket", result->err);
        return;
    }
    const struct replica_item *item = pass_item(p);
    if (!item)
        return;
    size_t idx = p->make_idx;
    finding_read(&doc, result->message, &f);
    if (is_made(&f))
        p->made |= 1U << idx;
    else if (!p->make_reason[0]) {
        (void)snprintf(p->make_reason, sizeof(p->make_reason), "%s", f.reason);
        (void)snprintf(p->make_text, sizeof(p->make_text), "Destination %s: %s",
                       item->replica->destinations[idx].name, f.error); /* cut when long */
    }
    if (is_made(&f) && f.has_made_bucket)
        made_announce(p, item->replica, idx);
    step(p, idx + 1);
}

/* ---- 1. the Job ---- */

static void on_job(void *arg, const struct kube_answer *answer)
{
    struct pass *p = arg;

    p->request = NULL;
    if (answer->err->code == ERR_NONE || answer->err->code == ERR_EXISTS)
        step(p, p->make_idx + 1);
    else
        pass_fail(p, "create bucket", answer->err);
}

static int job_create(struct pass *p, const struct api_replica *r, size_t idx, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(INJECT_JOB_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf config = BUF_INIT(KUBE_NAME_BYTES_MAX);
    const struct inject_options options = reconcile_inject_options(&p->r->context);
    const struct bucket_item *found[BUCKETS_MAX];
    const struct api_bucket *buckets[BUCKETS_MAX];
    size_t count = reconcile_buckets(p->r, r, found);
    char name[128];

    for (size_t i = 0; i < count; i++)
        buckets[i] = found[i]->bucket;
    job_name(r, idx, name);
    if (api_replica_config_map(r, &config, err) < 0)
        return -1;
    const struct inject_job job = {
        .name = name,
        .purpose = "create",
        .owner_kind = kube_sqlite_replicas.kind,
        .owner_name = r->meta.name,
        .owner_uid = r->meta.uid,
        .replica = r,
        .buckets = buckets,
        .bucket_count = count,
        .options = &options,
        .config_map = buf_str(&config),
        .args = {"probe", "-config", (API_CONFIG_FOLDER "/" API_CONFIG_KEY), "-create", "-json",
                 "-replica", r->destinations[idx].name, r->databases[0].path},
        .arg_count = 8,
        .deadline_seconds = MAKE_DEADLINE_S,
        .ttl_seconds = MAKE_TTL_S,
    };
    if (inject_job(&job, &body, err) < 0)
        return -1;
    const struct kube_call call = {.verb = KUBE_CREATE,
                                   .resource = &kube_jobs,
                                   .namespace_name = r->meta.namespace_name,
                                   .name = name,
                                   .body = buf_slice(&body),
                                   .field_manager = RECONCILE_MANAGER};
    return kube_start(p->r->context.client, &call, on_job, p, &p->request, err);
}

/* *out_is_under_way: on_job() or on_result() goes on. */
static int look(struct pass *p, const struct api_replica *r, size_t idx, bool *out_is_under_way,
                struct error *err)
{
    char name[128];

    *out_is_under_way = false;
    if (!r->destinations[idx].create_bucket || (p->made >> idx & 1) || r->is_suspended)
        return 0;
    job_name(r, idx, name);
    const struct job_item *job = informer_get(p->r->jobs, r->meta.namespace_name, name);
    if (job && !job->is_complete && !job->is_failed)
        return 0;
    p->make_idx = idx;
    *out_is_under_way = true;
    return job ? job_result_start(p->r->context.client, job->namespace_name, job->name, on_result,
                                  p, err)
               : job_create(p, r, idx, err);
}

/* Looks at the destinations from idx on, as far as nothing is under way. */
static void step(struct pass *p, size_t idx)
{
    const struct replica_item *item = pass_item(p);
    struct error err = ERROR_INIT;
    bool is_under_way = false;

    if (!item)
        return;
    for (; idx < item->replica->destination_count && !is_under_way; idx++) {
        if (look(p, item->replica, idx, &is_under_way, &err) < 0) {
            pass_fail(p, "create bucket", &err);
            return;
        }
    }
    if (!is_under_way)
        verify_begin(p);
}

void make_bucket_begin(struct pass *p)
{
    const struct replica_item *item = pass_item(p);

    if (!item)
        return;
    p->made = item->made;
    if (p->config_err.code == ERR_NONE)
        step(p, 0);
    else
        verify_begin(p);
}
