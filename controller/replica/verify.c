/*
 * Verification by schedule: a CronJob restores for real, checks every page and SQLite's own check,
 * and throws it away. Schedule and time zone are Kubernetes' business; jitter is the command's.
 *
 *   1. No schedule: the CronJob goes. A schedule: it is applied when it is another than the one that
 *      was written or found last (cron_job.h), or that one is gone; a schedule or a time zone that
 *      the API server refuses is told, and not tried again before it changes.
 *   2. A Job that ended after the verification that the status tells of is read.
 *
 * The Job restores every database from every destination, and SQLite checks it as verification.mode
 * says. Where each pod has a prefix of its own it is that of the first pod, in the order of names.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/replica/cron_job.h"
#include "controller/replica/pass_internal.h"

enum {
    VERIFY_DEADLINE_S = 6 * 3600,
    VERIFY_TTL_S = 86400,
    CRON_WRITES_MAX = 3, /* in one pass: the mark may have to be written again */
};

const char *verify_cron_name(const char *name, char out[static KUBE_NAME_BYTES_MAX + 1])
{
    (void)snprintf(out, KUBE_NAME_BYTES_MAX + 1, "walferry-verify-%.52s", name); /* it fits */
    return out;
}

static void job_look(void *arg, const char *key UNUSED, const void *item)
{
    const struct job_item **newest = arg;
    const struct job_item *job = item;

    if (!*newest || job->created_ns > (*newest)->created_ns)
        *newest = job;
}

const struct job_item *verify_job(const struct reconcile *r, const struct api_meta *meta)
{
    CLEANUP(buf_destroy) struct buf key = BUF_INIT(1024);
    const struct job_item *newest = NULL;
    struct error ignored = ERROR_INIT; /* no memory: as if there were none; the next pass looks */

    if (buf_printf(&key, &ignored, "%s/verify/%s", meta->namespace_name, meta->name) == 0)
        informer_each_in(r->jobs, JOBS_BY_OWNER, buf_str(&key), job_look, &newest);
    return newest;
}

/* ---- 2. what the last Job found ---- */

/* The texts that people want of one destination: its fault, with the database's name. */
static int destination_read(struct jsonval d, struct verification *v, uint64_t *ms,
                            struct error *err)
{
    struct jsonval finding = jsonval_first(jsonval_get(d, "findings"));
    const char *txid;
    const char *text;
    const char *database;
    uint64_t took_ms;

    if (jsonval_str_or(jsonval_way(d, "drill.txid"), "", &txid, err) < 0 ||
        jsonval_u64_or(jsonval_way(d, "drill.duration_ms"), 0, &took_ms, err) < 0 ||
        jsonval_str_or(jsonval_get(d, "database"), "", &database, err) < 0 ||
        jsonval_str_or(jsonval_get(d, "error"), "", &text, err) < 0 ||
        (!*text && jsonval_exists(finding) &&
         jsonval_str_or(jsonval_get(finding, "detail"), "", &text, err) < 0))
        return -1;
    *ms += took_ms;
    if (!v->txid[0])
        (void)snprintf(v->txid, sizeof(v->txid), "%.16s", txid);
    if (!v->message[0] && *text)
        (void)snprintf(v->message, sizeof(v->message), "%.100s: %.150s", database, text);
    return 0;
}

/* The first database's TXID, the first fault, and how long the restores took: neither jitter nor
 * the wait for a node. */
static int report_read(struct jsonval report, struct verification *v, struct error *err)
{
    struct verification read = *v;
    uint64_t ms = 0;

    for (struct jsonval d = jsonval_first(report); jsonval_exists(d); d = jsonval_next(d)) {
        if (destination_read(d, &read, &ms, err) < 0)
            return -1;
    }
    if (ms > 0)
        read.seconds = (ms + 999) / 1000;
    *v = read;
    return 0;
}

static void on_report(void *arg, const struct job_result *result)
{
    struct pass *p = arg;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error ignored = ERROR_INIT; /* no report: the message itself is what there is to say */
    struct verification v = {.at_ns = p->job_finished_ns,
                             .has_passed = !p->has_job_failed,
                             .seconds = (p->job_finished_ns - p->job_created_ns) / NS_PER_SEC};

    if (result->err->code != ERR_NONE) {
        pass_fail(p, "verification", result->err);
        return;
    }
    if (jsonval_parse(&doc, "report", slice_of_str(result->message), &ignored) < 0 ||
        report_read(jsonval_root(&doc), &v, &ignored) < 0) {
        if (!v.has_passed) /* of a long report the end is lost */
            (void)snprintf(v.message, sizeof(v.message), "%.255s", result->message);
    }
    if (!v.message[0]) {
        (void)snprintf(v.message, sizeof(v.message), "%s",
                       v.has_passed ? "Every page is as it was replicated."
                                    : "The Job ended without saying why.");
    }
    p->verified = v;
    pass_after_verify(p);
}

static void result_begin(struct pass *p)
{
    const struct replica_item *item = pass_item(p);
    struct error err = ERROR_INIT;

    if (!item)
        return;
    const struct job_item *job = verify_job(p->r, &item->replica->meta);
    p->verified = item->verified;
    /* The status has whole seconds, as the Job has. */
    if (!job || job->finished_ns / NS_PER_SEC <= item->verified.at_ns / NS_PER_SEC) {
        pass_after_verify(p);
        return;
    }
    p->job_created_ns = job->created_ns;
    p->job_finished_ns = job->finished_ns;
    p->has_job_failed = job->is_failed;
    if (job_result_start(p->r->context.client, job->namespace_name, job->name, on_report, p, &err) <
        0)
        pass_fail(p, "verification", &err);
}

/* ---- 1. the CronJob ---- */

/* The first pod in the order of names; "" : none. Copied, since pods go. */
struct pod_choice {
    char name[KUBE_NAME_BYTES_MAX + 1];
};

static void pod_choose(void *arg, const char *key UNUSED, const void *item)
{
    struct pod_choice *c = arg;
    const struct pod_item *pod = item;

    if (!c->name[0] || strcmp(pod->name, c->name) < 0)
        (void)snprintf(c->name, sizeof(c->name), "%s", pod->name);
}

static void args_make(const struct api_replica *r, char jitter[static 32], struct inject_job *job)
{
    static const char *const checks[] = {[API_INTEGRITY_NONE] = "none",
                                         [API_INTEGRITY_QUICK] = "quick",
                                         [API_INTEGRITY_FULL] = "full"};
    const char *const args[] = {"verify",
                                "-config",
                                (API_CONFIG_FOLDER "/" API_CONFIG_KEY),
                                "-json",
                                "-faults",
                                "-drill",
                                "-integrity-check",
                                checks[r->verification.integrity],
                                "-scratch",
                                INJECT_JOB_FOLDER,
                                "-jitter",
                                jitter};

    (void)snprintf(jitter, 32, "%" PRIu64 "s", r->verification.jitter_ns / NS_PER_SEC);
    for (size_t i = 0; i < ARRAY_LEN(args); i++)
        job->args[job->arg_count++] = args[i];
    for (size_t i = 0; i < r->database_count; i++)
        job->args[job->arg_count++] = r->databases[i].path;
}

/* hash: the mark, as annotation; NULL: none, for the sum. */
static int cron_body(const struct pass *p, const struct api_replica *r, const char *name,
                     const char *hash, struct buf *out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf config_map = BUF_INIT(KUBE_NAME_BYTES_MAX);
    const struct bucket_item *found[BUCKETS_MAX];
    const struct api_bucket *buckets[BUCKETS_MAX];
    const struct inject_options options = reconcile_inject_options(&p->r->context);
    struct pod_choice pod = {.name = ""};
    char jitter[32];
    size_t count = reconcile_buckets(p->r, r, found);

    for (size_t i = 0; i < count; i++)
        buckets[i] = found[i]->bucket;
    if (api_prefix_is_per_pod(r->destinations[0].prefix_template))
        informer_each_in(p->r->pods, PODS_BY_REPLICA, p->key, pod_choose, &pod);
    if (api_replica_config_map(r, &config_map, err) < 0)
        return -1;
    struct inject_job job = {
        .name = name,
        .purpose = "verify",
        .owner_kind = kube_sqlite_replicas.kind,
        .owner_name = r->meta.name,
        .owner_uid = r->meta.uid,
        .replica = r,
        .buckets = buckets,
        .bucket_count = count,
        .options = &options,
        .config_map = buf_str(&config_map),
        .pod_name = pod.name,
        .deadline_seconds = VERIFY_DEADLINE_S,
        .ttl_seconds = VERIFY_TTL_S,
        .spec_hash = hash,
    };
    args_make(r, jitter, &job);
    return inject_cron_job(&job, r->verification.schedule, r->verification.time_zone,
                           r->is_suspended, out, err);
}

static void on_cron_job(void *arg, const struct kube_answer *answer);

/* Leads to on_cron_job(). generation: what the spec is expected to have then. */
static int cron_write(struct pass *p, const struct api_replica *r, const char *name,
                      uint64_t generation, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(INJECT_JOB_BYTES_MAX);
    char mark[CRON_JOB_MARK_BYTES];

    if (cron_body(p, r, name, NULL, &body, err) < 0)
        return -1;
    p->crc = cron_job_sum(buf_slice(&body));
    p->cron_generation = generation;
    p->cron_write_count++;
    buf_clear(&body);
    if (cron_body(p, r, name, cron_job_mark(p->crc, generation, mark), &body, err) < 0)
        return -1;
    const struct kube_call call = {.verb = KUBE_APPLY,
                                   .resource = &kube_cron_jobs,
                                   .namespace_name = r->meta.namespace_name,
                                   .name = name,
                                   .body = buf_slice(&body),
                                   .field_manager = RECONCILE_MANAGER};
    return kube_start(p->r->context.client, &call, on_cron_job, p, &p->request, err);
}

/* The generation was not what was expected: the mark is written again. True if that is under way. */
static bool cron_mark_again(struct pass *p, const struct kube_answer *answer, struct error *err)
{
    const struct replica_item *item = pass_item(p);
    char name[KUBE_NAME_BYTES_MAX + 1];
    uint64_t generation = cron_job_generation(answer->object);

    if (answer->err->code != ERR_NONE || !generation || generation == p->cron_generation ||
        p->cron_write_count == 0 || p->cron_write_count >= CRON_WRITES_MAX || !item ||
        !item->replica->verification.schedule)
        return false;
    (void)verify_cron_name(item->replica->meta.name, name);
    if (cron_write(p, item->replica, name, generation, err) < 0)
        pass_fail(p, "verification", err);
    return true;
}

static void on_cron_job(void *arg, const struct kube_answer *answer)
{
    struct pass *p = arg;
    struct error err = ERROR_INIT;
    struct memory *m;

    p->request = NULL;
    bool is_refused = answer->status->reason == KUBE_REASON_INVALID;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_NOT_FOUND && !is_refused) {
        pass_fail(p, "verification", answer->err);
        return;
    }
    if (cron_mark_again(p, answer, &err))
        return;
    m = reconcile_memory(p->r, p->key, &err);
    if (m) { /* no memory: applied once more, which changes nothing */
        m->cron_sum = p->crc;
        free(m->cron_refusal);
        m->cron_refusal = is_refused ? str_dup(answer->err->text, &err) : NULL;
    }
    result_begin(p);
}

/* cron: what there is; NULL: nothing. */
static int cron_apply(struct pass *p, const struct api_replica *r, const struct cron_job_item *cron,
                      bool *out_is_under_way, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(INJECT_JOB_BYTES_MAX);
    char name[KUBE_NAME_BYTES_MAX + 1];
    struct memory *m = reconcile_memory(p->r, p->key, err);

    (void)verify_cron_name(r->meta.name, name);
    if (!m || cron_body(p, r, name, NULL, &body, err) < 0)
        return -1;
    p->crc = cron_job_sum(buf_slice(&body));
    if (m->cron_sum == 0 && cron && cron->sum == p->crc)
        m->cron_sum = p->crc; /* an earlier leader has written it */
    *out_is_under_way = p->crc != m->cron_sum;
    return *out_is_under_way ? cron_write(p, r, name, (cron ? cron->generation : 0) + 1, err) : 0;
}

static int cron_delete(struct pass *p, const struct cron_job_item *cron, struct error *err)
{
    const struct kube_call call = {.verb = KUBE_DELETE,
                                   .resource = &kube_cron_jobs,
                                   .namespace_name = cron->namespace_name,
                                   .name = cron->name,
                                   .propagation = "Background"};

    p->crc = 0;
    return kube_start(p->r->context.client, &call, on_cron_job, p, &p->request, err);
}

void verify_begin(struct pass *p)
{
    const struct replica_item *item = pass_item(p);
    char name[KUBE_NAME_BYTES_MAX + 1];
    struct error err = ERROR_INIT;
    bool is_under_way = false;
    int rc = 0;

    p->cron_write_count = 0;
    if (!item)
        return;
    const struct api_meta *meta = &item->replica->meta;
    const struct cron_job_item *cron =
        informer_get(p->r->cron_jobs, meta->namespace_name, verify_cron_name(meta->name, name));
    bool is_wanted = item->replica->verification.schedule && p->config_err.code == ERR_NONE;
    if (is_wanted) {
        rc = cron_apply(p, item->replica, cron, &is_under_way, &err);
    } else if (cron && !item->replica->verification.schedule) {
        is_under_way = true;
        rc = cron_delete(p, cron, &err);
    }
    if (rc < 0)
        pass_fail(p, "verification", &err);
    else if (!is_under_way)
        result_begin(p);
}
