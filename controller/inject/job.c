/*
 * The JSON of Jobs and CronJobs, from the inside out: container, pod, Job.
 */
#include "controller/inject/job.h"

#include "controller/inject/inject_internal.h"
#include "controller/inject/needs.h"

enum {
    JOB_USER = 65532, /* where the resource names none: the image's own */
};

static void put_labels(const struct inject_job *job, struct json_writer *w)
{
    json_writer_object(w, "labels");
    json_writer_str(w, INJECT_JOB_LABEL_MANAGER, "walferry");
    json_writer_str(w, INJECT_JOB_LABEL_PURPOSE, job->purpose);
    json_writer_str(w, INJECT_JOB_LABEL_OWNER, job->owner_name);
    json_writer_end(w);
}

static void put_metadata(const struct inject_job *job, struct json_writer *w)
{
    json_writer_object(w, "metadata");
    json_writer_str(w, "namespace", job->replica->meta.namespace_name);
    json_writer_str(w, "name", job->name);
    put_labels(job, w);
    if (job->spec_hash) {
        json_writer_object(w, "annotations");
        json_writer_str(w, API_ANNOTATION_SPEC_HASH, job->spec_hash);
        json_writer_end(w);
    }
    api_owner_write(w, job->owner_kind, job->owner_name, job->owner_uid);
    json_writer_end(w);
}

/* ---- the container ---- */

static void put_env(const struct inject_job *job, struct json_writer *w)
{
    const struct api_sidecar *s = &job->replica->sidecar;

    json_writer_array(w, "env");
    json_writer_object(w, NULL);
    json_writer_str(w, "name", "POD_NAME");
    json_writer_str(w, "value", job->pod_name ? job->pod_name : "");
    json_writer_end(w);
    for (size_t i = 0; i < s->env_count; i++) {
        json_writer_object(w, NULL);
        json_writer_str(w, "name", s->env[i].name);
        json_writer_str(w, "value", s->env[i].value ? s->env[i].value : "");
        json_writer_end(w);
    }
    json_writer_end(w);
}

static void put_resources(const struct api_resources *r, struct json_writer *w)
{
    const struct {
        const char *key, *cpu, *memory;
    } parts[] = {{"requests", r->cpu_request, r->memory_request},
                 {"limits", r->cpu_limit, r->memory_limit}};

    json_writer_object(w, "resources");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        json_writer_object(w, parts[i].key);
        if (parts[i].cpu)
            json_writer_str(w, "cpu", parts[i].cpu);
        if (parts[i].memory)
            json_writer_str(w, "memory", parts[i].memory);
        json_writer_end(w);
    }
    json_writer_end(w);
}

static void put_container_security(struct json_writer *w)
{
    json_writer_object(w, "securityContext");
    json_writer_bool(w, "privileged", false);
    json_writer_bool(w, "allowPrivilegeEscalation", false);
    json_writer_bool(w, "readOnlyRootFilesystem", true);
    json_writer_object(w, "capabilities");
    json_writer_array(w, "drop");
    json_writer_str(w, NULL, "ALL");
    json_writer_end(w);
    json_writer_end(w);
    json_writer_end(w);
}

static void put_mount(const char *name, const char *path, bool is_read_only, struct json_writer *w)
{
    json_writer_object(w, NULL);
    json_writer_str(w, "name", name);
    json_writer_str(w, "mountPath", path);
    if (is_read_only)
        json_writer_bool(w, "readOnly", true);
    json_writer_end(w);
}

static int put_mounts(const struct inject_job *job, struct json_writer *w, struct error *err)
{
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;

    json_writer_array(w, "volumeMounts");
    put_mount(VOLUME_PREFIX "config", API_CONFIG_FOLDER, true, w);
    put_mount(VOLUME_PREFIX "work", INJECT_JOB_FOLDER, false, w);
    for (size_t i = 0; i < job->replica->destination_count; i++) {
        const struct api_destination *d = &job->replica->destinations[i];
        if (api_destination_store(d, job->buckets, job->bucket_count, &store, &bucket, err) < 0)
            return -1;
        needs_write_mounts(store, bucket && bucket->is_read_only, i, d->name, w);
    }
    json_writer_end(w);
    return 0;
}

static int put_container(const struct inject_job *job, struct json_writer *w, struct error *err)
{
    const struct api_sidecar *s = &job->replica->sidecar;
    const char *policy = s->pull_policy ? s->pull_policy : job->options->pull_policy;

    json_writer_array(w, "containers");
    json_writer_object(w, NULL);
    json_writer_str(w, "name", job->purpose);
    json_writer_str(w, "image", s->image ? s->image : job->options->image);
    if (policy)
        json_writer_str(w, "imagePullPolicy", policy);
    json_writer_array(w, "command");
    json_writer_str(w, NULL, "walferry");
    json_writer_end(w);
    json_writer_array(w, "args");
    for (size_t i = 0; i < job->arg_count; i++)
        json_writer_str(w, NULL, job->args[i]);
    json_writer_end(w);
    put_env(job, w);
    put_resources(&s->restore_resources, w);
    put_container_security(w);
    json_writer_str(w, "terminationMessagePolicy", "FallbackToLogsOnError");
    if (put_mounts(job, w, err) < 0)
        return -1;
    json_writer_end(w);
    json_writer_end(w);
    return 0;
}

/* ---- the pod ---- */

static int put_destination_volumes(const struct inject_job *job, struct json_writer *w,
                                   struct error *err)
{
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;

    for (size_t i = 0; i < job->replica->destination_count; i++) {
        struct buf volumes[NEEDS_MAX];
        size_t count = 0;
        for (size_t k = 0; k < NEEDS_MAX; k++)
            volumes[k] = (struct buf)BUF_INIT(INJECT_PIECE_BYTES_MAX);
        int rc = api_destination_store(&job->replica->destinations[i], job->buckets,
                                       job->bucket_count, &store, &bucket, err);
        if (rc == 0)
            rc = needs_write_volumes(store, i, volumes, NEEDS_MAX, &count, err);
        for (size_t k = 0; rc == 0 && k < count; k++)
            json_writer_json(w, NULL, buf_slice(&volumes[k]));
        for (size_t k = 0; k < NEEDS_MAX; k++)
            buf_destroy(&volumes[k]);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int put_volumes(const struct inject_job *job, struct json_writer *w, struct error *err)
{
    json_writer_array(w, "volumes");
    json_writer_object(w, NULL);
    json_writer_str(w, "name", VOLUME_PREFIX "config");
    needs_write_source(w, "configMap", "name", job->config_map);
    json_writer_end(w);
    json_writer_object(w, NULL);
    json_writer_str(w, "name", VOLUME_PREFIX "work");
    json_writer_object(w, job->claim ? "persistentVolumeClaim" : "emptyDir");
    if (job->claim)
        json_writer_str(w, "claimName", job->claim);
    json_writer_end(w);
    json_writer_end(w);
    if (put_destination_volumes(job, w, err) < 0)
        return -1;
    json_writer_end(w);
    return 0;
}

static void put_pod_security(const struct api_sidecar *s, struct json_writer *w)
{
    uint64_t user = s->has_user ? s->user : JOB_USER;
    uint64_t group = s->has_group ? s->group : user;

    json_writer_object(w, "securityContext");
    json_writer_bool(w, "runAsNonRoot", user != 0);
    json_writer_u64(w, "runAsUser", user);
    json_writer_u64(w, "runAsGroup", group);
    json_writer_u64(w, "fsGroup", group);
    json_writer_object(w, "seccompProfile");
    json_writer_str(w, "type", "RuntimeDefault");
    json_writer_end(w);
    json_writer_end(w);
}

static int put_job_spec(const struct inject_job *job, struct json_writer *w, struct error *err)
{
    json_writer_object(w, "spec");
    json_writer_u64(w, "backoffLimit", job->retries);
    json_writer_u64(w, "activeDeadlineSeconds", job->deadline_seconds);
    json_writer_u64(w, "ttlSecondsAfterFinished", job->ttl_seconds);
    json_writer_object(w, "template");
    json_writer_object(w, "metadata");
    put_labels(job, w);
    json_writer_end(w);
    json_writer_object(w, "spec");
    json_writer_str(w, "restartPolicy", "Never");
    json_writer_bool(w, "automountServiceAccountToken", false);
    if (job->service_account)
        json_writer_str(w, "serviceAccountName", job->service_account);
    put_pod_security(&job->replica->sidecar, w);
    if (put_container(job, w, err) < 0 || put_volumes(job, w, err) < 0)
        return -1;
    json_writer_end(w);
    json_writer_end(w);
    json_writer_end(w);
    return 0;
}

/* ---- Job and CronJob ---- */

static void document_begin(const struct inject_job *job, const char *kind, struct json_writer *w)
{
    json_writer_object(w, NULL);
    json_writer_str(w, "apiVersion", "batch/v1");
    json_writer_str(w, "kind", kind);
    put_metadata(job, w);
}

int inject_job(const struct inject_job *job, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    document_begin(job, "Job", &w);
    if (put_job_spec(job, &w, err) < 0)
        return -1;
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

int inject_cron_job(const struct inject_job *job, const char *schedule, const char *time_zone,
                    bool is_suspended, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    document_begin(job, "CronJob", &w);
    json_writer_object(&w, "spec");
    json_writer_str(&w, "schedule", schedule);
    json_writer_str(&w, "timeZone", time_zone);
    json_writer_bool(&w, "suspend", is_suspended);
    json_writer_str(&w, "concurrencyPolicy", "Forbid");
    json_writer_u64(&w, "startingDeadlineSeconds", 3600);
    json_writer_u64(&w, "successfulJobsHistoryLimit", 1);
    json_writer_u64(&w, "failedJobsHistoryLimit", 1);
    json_writer_object(&w, "jobTemplate");
    json_writer_object(&w, "metadata");
    put_labels(job, &w);
    json_writer_end(&w);
    if (put_job_spec(job, &w, err) < 0)
        return -1;
    json_writer_end(&w);
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}
