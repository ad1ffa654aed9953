/*
 * The Job that probes a SqliteBucket. Its configuration is that of a resource with the bucket as its
 * only destination, so there is one writer of configurations and one way to mount Secrets.
 */
#include "controller/replica/bucket_internal.h"
#include "controller/replica/config_map.h"

enum {
    PROBE_DEADLINE_S = 120,
    PROBE_TTL_S = 600,
};

/* ---- a bucket as a configuration ---- */

static char text_probe[] = "probe", text_path[] = INJECT_JOB_FOLDER "/probe.db",
            text_memory[] = "64Mi", text_request[] = "16Mi", text_cpu[] = "10m";

/* A resource with the bucket as its only destination; everything borrowed. */
struct stand_in {
    const struct api_bucket *bucket;
    struct api_replica replica;
    struct api_database database;
    struct api_destination destination;
};

static void stand_in_make(const struct api_bucket *bucket, struct stand_in *s)
{
    *s = (struct stand_in){
        .bucket = bucket,
        .database = {.name = text_probe,
                     .path = text_path,
                     .min_checkpoint_page_count = 1000,
                     .monitor_interval_ns = NS_PER_SEC,
                     .checkpoint_interval_ns = NS_PER_MIN,
                     .busy_timeout_ns = NS_PER_SEC},
        .destination = {.name = text_probe,
                        .bucket_ref = bucket->meta.name,
                        .prefix_template = text_probe,
                        .sync_interval_ns = NS_PER_SEC,
                        .snapshot_interval_ns = NS_PER_DAY,
                        .retention_ns = NS_PER_DAY},
    };
    s->replica.meta = bucket->meta;
    s->replica.databases = &s->database;
    s->replica.database_count = 1;
    s->replica.destinations = &s->destination;
    s->replica.destination_count = 1;
    s->replica.l0_retention_ns = 5 * NS_PER_MIN;
    s->replica.retention_enabled = true;
    s->replica.sidecar.metrics_port = 9090;
    s->replica.sidecar.log_level = API_LOG_INFO;
    s->replica.sidecar.flush_ns = 20 * NS_PER_SEC;
    s->replica.sidecar.restore_resources = (struct api_resources){
        .cpu_request = text_cpu, .memory_request = text_request, .memory_limit = text_memory};
}

/* ---- 2. ConfigMap and Job ---- */

static void on_job(void *arg, const struct kube_answer *answer)
{
    struct bucket_pass *p = arg;

    p->request = NULL;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_EXISTS) {
        bucket_pass_fail(p, "job", answer->err);
        return;
    }
    bucket_pass_end(p, QUEUE_DONE, 0); /* its end will be heard of */
}

static int job_create(struct bucket_pass *p, const struct bucket_item *item, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(INJECT_JOB_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf config = BUF_INIT(KUBE_NAME_BYTES_MAX);
    const struct api_bucket *bucket = item->bucket;
    const struct inject_options options = reconcile_inject_options(&p->b->context);
    struct stand_in s;

    stand_in_make(bucket, &s);
    if (buf_printf(&config, err, "walferry-bucket-%s", bucket->meta.name) < 0)
        return -1;
    struct inject_job job = {
        .name = p->job,
        .purpose = "probe",
        .owner_kind = kube_sqlite_buckets.kind,
        .owner_name = bucket->meta.name,
        .owner_uid = bucket->meta.uid,
        .replica = &s.replica,
        .buckets = &s.bucket,
        .bucket_count = 1,
        .options = &options,
        .config_map = buf_str(&config),
        .args = {"probe", "-config", (API_CONFIG_FOLDER "/" API_CONFIG_KEY), "-json"},
        .arg_count = 4,
        .service_account = bucket->service_account,
        .deadline_seconds = PROBE_DEADLINE_S,
        .ttl_seconds = PROBE_TTL_S,
    };
    if (bucket->create_bucket)
        job.args[job.arg_count++] = "-create";
    job.args[job.arg_count++] = text_path;
    if (inject_job(&job, &body, err) < 0)
        return -1;
    const struct kube_call call = {.verb = KUBE_CREATE,
                                   .resource = &kube_jobs,
                                   .namespace_name = bucket->meta.namespace_name,
                                   .name = p->job,
                                   .body = buf_slice(&body),
                                   .field_manager = RECONCILE_MANAGER};
    return kube_start(p->b->context.client, &call, on_job, p, &p->request, err);
}

static void on_bucket_config(void *arg, const struct kube_answer *answer)
{
    struct bucket_pass *p = arg;
    struct error err = ERROR_INIT;

    p->request = NULL;
    if (answer->err->code != ERR_NONE) {
        bucket_pass_fail(p, "config", answer->err);
        return;
    }
    const struct bucket_item *item = bucket_pass_item(p);
    if (item && job_create(p, item, &err) < 0)
        bucket_pass_fail(p, "job", &err);
}

int probe_job_begin(struct bucket_pass *p, const struct bucket_item *item, struct error *err)
{
    CLEANUP(buf_destroy) struct buf config = BUF_INIT(API_CONFIG_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(2 * API_CONFIG_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf name = BUF_INIT(KUBE_NAME_BYTES_MAX);
    const struct api_meta *meta = &item->bucket->meta;
    struct stand_in s;

    stand_in_make(item->bucket, &s);
    if (api_sidecar_config(&s.replica, &s.bucket, 1, &config, err) < 0 ||
        buf_printf(&name, err, "walferry-bucket-%s", meta->name) < 0 ||
        config_map_body(meta, kube_sqlite_buckets.kind, buf_str(&name), buf_slice(&config), &body,
                        err) < 0)
        return -1;
    const struct kube_call call = {.verb = KUBE_APPLY,
                                   .resource = &kube_config_maps,
                                   .namespace_name = meta->namespace_name,
                                   .name = buf_str(&name),
                                   .body = buf_slice(&body),
                                   .field_manager = RECONCILE_MANAGER};
    return kube_start(p->b->context.client, &call, on_bucket_config, p, &p->request, err);
}
