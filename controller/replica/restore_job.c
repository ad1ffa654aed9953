/*
 * The Job of a SqliteRestore: `walferry restore` into the claim, or into an empty folder that goes
 * with the Job; in place it is `walferry rewind`, with such a folder to work in.
 */
#include <stdio.h>
#include <string.h>

#include "controller/replica/restore_internal.h"

enum {
    RESTORE_DEADLINE_S = 6 * 3600,
    RESTORE_TTL_S = 3600,
    RESTORE_RETRIES = 2,
};

const char *restore_job_name(const char *name, char out[static KUBE_NAME_BYTES_MAX + 1])
{
    (void)snprintf(out, KUBE_NAME_BYTES_MAX + 1, "walferry-restore-%.46s", name); /* it fits */
    return out;
}

/* The database that is meant. NULL with ERR_USAGE: there is none of that name, or which is open. */
static const struct api_database *database_of(const struct api_restore *r,
                                              const struct api_replica *source, struct error *err)
{
    if (!r->database && source->database_count == 1)
        return &source->databases[0];
    for (size_t i = 0; r->database && i < source->database_count; i++) {
        if (strcmp(source->databases[i].name, r->database) == 0)
            return &source->databases[i];
    }
    (void)error_set(err, ERR_USAGE, 0,
                    r->database ? "SqliteReplica %s has no database \"%s\"."
                                : "SqliteReplica %s has several databases: name one%s.",
                    source->meta.name, r->database ? r->database : "");
    return NULL;
}

int restore_job_check(const struct api_restore *r, const struct api_replica *source,
                      struct error *err)
{
    if (!database_of(r, source, err))
        return -1;
    for (size_t i = 0; i < source->destination_count; i++) {
        if (!r->pod_name && api_prefix_is_per_pod(source->destinations[i].prefix_template)) {
            return error_set(err, ERR_USAGE, 0,
                             "SqliteReplica %s has a prefix for each pod: podName says whose.",
                             source->meta.name);
        }
    }
    return 0;
}

static void on_job(void *arg, const struct kube_answer *answer)
{
    struct restore_pass *p = arg;

    p->request = NULL;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_EXISTS)
        restore_pass_fail(p, "job", answer->err);
    else
        restore_pass_end(p, QUEUE_DONE, 0); /* its end will be heard of */
}

static void arg_add(struct inject_job *job, const char *flag, const char *value)
{
    ASSERT(job->arg_count + 2 <= INJECT_JOB_ARGS_MAX);
    job->args[job->arg_count++] = flag;
    if (value)
        job->args[job->arg_count++] = value;
}

static void args_make(struct inject_job *job, const struct api_restore *r,
                      const struct api_database *db, const char *output)
{
    static const char *const integrity[] = {[API_INTEGRITY_NONE] = "none",
                                            [API_INTEGRITY_QUICK] = "quick",
                                            [API_INTEGRITY_FULL] = "full"};
    bool is_in_place = r->mode == API_RESTORE_IN_PLACE;

    arg_add(job, is_in_place ? "rewind" : "restore", NULL);
    arg_add(job, "-config", API_CONFIG_FOLDER "/" API_CONFIG_KEY);
    arg_add(job, "-json", NULL);
    if (is_in_place)
        arg_add(job, "-work-folder", INJECT_JOB_FOLDER);
    else
        arg_add(job, "-o", output);
    arg_add(job, "-integrity-check", integrity[r->integrity]);
    if (r->target_time)
        arg_add(job, "-timestamp", r->target_time);
    if (r->target_txid)
        arg_add(job, "-txid", r->target_txid);
    if (r->destination)
        arg_add(job, "-replica", r->destination);
    arg_add(job, db->path, NULL);
}

static int job_create(struct restore_pass *p, const struct inject_job *job, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(INJECT_JOB_BYTES_MAX);

    if (inject_job(job, &body, err) < 0)
        return -1;
    const struct kube_call call = {.verb = KUBE_CREATE,
                                   .resource = &kube_jobs,
                                   .namespace_name = job->replica->meta.namespace_name,
                                   .name = job->name,
                                   .body = buf_slice(&body),
                                   .field_manager = RECONCILE_MANAGER};
    return kube_start(p->r->context.client, &call, on_job, p, &p->request, err);
}

/* The buckets of the resource that are there. */
static size_t buckets_of(const struct restore_pass *p, const struct api_replica *source,
                         const struct api_bucket *out[static BUCKETS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < source->destination_count; i++) {
        const char *name = source->destinations[i].bucket_ref;
        const struct bucket_item *found =
            name ? informer_get(p->r->buckets, source->meta.namespace_name, name) : NULL;
        if (found)
            out[count++] = found->bucket;
    }
    return count;
}

int restore_check_writable(const struct restore_pass *p, const struct api_restore *r,
                           const struct api_replica *source, struct error *err)
{
    const struct api_bucket *buckets[BUCKETS_MAX];
    size_t count = buckets_of(p, source, buckets);

    for (size_t i = 0; i < source->destination_count; i++) {
        const struct api_destination *d = &source->destinations[i];
        bool is_meant = !r->destination || strcmp(r->destination, d->name) == 0;
        if (is_meant && !api_destination_is_read_only(d, buckets, count))
            return 0;
    }
    return error_set(err, ERR_USAGE, 0,
                     "Mode InPlace makes an earlier state the newest of SqliteReplica %s, and %s "
                     "of it can be written to: its SqliteBucket is ReadOnly.",
                     source->meta.name, r->destination ? "that destination" : "no destination");
}

int restore_job_begin(struct restore_pass *p, const struct restore_item *item,
                      const struct replica_item *source, struct error *err)
{
    CLEANUP(buf_destroy) struct buf config_map = BUF_INIT(KUBE_NAME_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf output = BUF_INIT(4096);
    const struct api_restore *r = item->restore;
    const struct api_bucket *buckets[BUCKETS_MAX];
    const struct inject_options options = reconcile_inject_options(&p->r->context);
    const struct api_database *db = database_of(r, source->replica, err);
    bool is_to_claim = r->mode == API_RESTORE_TO_CLAIM;
    char name[KUBE_NAME_BYTES_MAX + 1];

    if (!db || restore_job_check(r, source->replica, err) < 0 ||
        api_replica_config_map(source->replica, &config_map, err) < 0 ||
        buf_printf(&output, err, INJECT_JOB_FOLDER "/%s", is_to_claim ? r->path : "verify.db") < 0)
        return -1;
    struct inject_job job = {
        .name = restore_job_name(r->meta.name, name),
        .purpose = "restore",
        .owner_kind = kube_sqlite_restores.kind,
        .owner_name = r->meta.name,
        .owner_uid = r->meta.uid,
        .replica = source->replica,
        .buckets = buckets,
        .bucket_count = buckets_of(p, source->replica, buckets),
        .options = &options,
        .config_map = buf_str(&config_map),
        .pod_name = r->pod_name,
        .service_account = r->service_account,
        .claim = is_to_claim ? r->claim : NULL,
        .deadline_seconds = RESTORE_DEADLINE_S,
        .ttl_seconds = RESTORE_TTL_S,
        .retries = RESTORE_RETRIES,
    };
    args_make(&job, r, db, buf_str(&output));
    return job_create(p, &job, err);
}
