/*
 * The SqliteRestore reconciler: one restore of one database, once. The work is done by a Job with
 * the configuration and the Secrets of the SqliteReplica: into a claim, only to be checked, or in
 * place (restore_in_place.c has the steps around it).
 *
 *   1. no Job yet: it is made (its name follows from the resource: a controller that restarts makes
 *      the same one)
 *   2. the Job has ended: what it found becomes the status; Complete or Failed, and nothing is ever
 *      done for it again
 *   3. the lock of a restore in place is released; ttlSecondsAfterFinished has passed: the resource
 *      is deleted
 *
 * What cannot be done at all (no such SqliteReplica or database) is Failed at once, with the reason.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/replica/restore_internal.h"

void restore_pass_end(struct restore_pass *p, enum queue_outcome outcome, uint64_t delay_ns)
{
    queue_finish(p->r->queue, p->key, outcome, delay_ns);
    restore_workloads_free(p);
    free(p->key);
    free(p);
}

void restore_pass_fail(struct restore_pass *p, const char *what, const struct error *err)
{
    reconcile_log(&p->r->context, "sqliterestore", p->key, what, err);
    restore_pass_end(p, QUEUE_RETRY, 0);
}

const struct restore_item *restore_pass_item(struct restore_pass *p)
{
    const struct restore_item *item = informer_get_key(p->r->restores, p->key);

    if (item && !item->restore->meta.is_deleted)
        return item;
    restore_pass_end(p, QUEUE_DONE, 0);
    return NULL;
}

/* ---- 3. its end ---- */

static void on_deleted(void *arg, const struct kube_answer *answer)
{
    struct restore_pass *p = arg;

    p->request = NULL;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_NOT_FOUND)
        restore_pass_fail(p, "delete", answer->err);
    else
        restore_pass_end(p, QUEUE_DONE, 0);
}

static int finished_begin(struct restore_pass *p, const struct api_restore *r, struct error *err)
{
    uint64_t now_ns = env_wall_ns(loop_env(p->r->context.loop));
    uint64_t until_ns = r->status.finished_ns + r->ttl_after_finished_ns;
    const struct kube_call call = {.verb = KUBE_DELETE,
                                   .resource = &kube_sqlite_restores,
                                   .namespace_name = r->meta.namespace_name,
                                   .name = r->meta.name,
                                   .uid = r->meta.uid,
                                   .propagation = "Background"};

    if (!r->has_ttl) {
        restore_pass_end(p, QUEUE_DONE, 0);
        return 0;
    }
    if (now_ns < until_ns) {
        restore_pass_end(p, QUEUE_AFTER, until_ns - now_ns);
        return 0;
    }
    return kube_start(p->r->context.client, &call, on_deleted, p, &p->request, err);
}

/* ---- 1, 2 ---- */

/* To a claim, or only to be checked. */
static int by_job(struct restore_pass *p, const struct restore_item *item,
                  const struct replica_item *source, struct error *err)
{
    const struct api_restore *r = item->restore;
    char name[KUBE_NAME_BYTES_MAX + 1];
    const struct job_item *job =
        informer_get(p->r->jobs, r->meta.namespace_name, restore_job_name(r->meta.name, name));

    if (job && (job->is_complete || job->is_failed))
        return restore_result_begin(p, item, job, err);
    if (!job)
        return restore_job_begin(p, item, source, err);
    restore_pass_end(p, QUEUE_DONE, 0); /* its end will be heard of */
    return 0;
}

static int restore_pass_begin(struct restore_pass *p, const struct restore_item *item,
                              struct error *err)
{
    const struct api_restore *r = item->restore;
    const struct replica_item *source =
        informer_get(p->r->replicas, r->meta.namespace_name, r->source);

    if (r->status.is_complete || r->status.is_failed) {
        bool has_lock = source && restore_lock_look(p, r, source) == RESTORE_LOCK_OURS;
        return has_lock ? restore_lock_write(p, source, NULL, false, err)
                        : finished_begin(p, r, err);
    }
    if (!source) {
        CLEANUP(mem_free)
        char *text = str_printf(err, "There is no SqliteReplica %s in this namespace.", r->source);
        return text ? restore_refuse(p, item, "ReplicaMissing", text, err) : -1;
    }
    int rc = r->mode == API_RESTORE_IN_PLACE ? restore_in_place(p, item, source, err)
                                             : by_job(p, item, source, err);
    if (rc == 0 || (err->code != ERR_USAGE && err->code != ERR_NOT_FOUND))
        return rc;
    const struct error cause = *err;
    error_clear(err);
    return restore_refuse(p, item, "InvalidRestore", cause.text, err);
}

static void on_work(void *arg, const char *key)
{
    struct restores *r = arg;
    struct error err = ERROR_INIT;
    struct restore_pass *p = mem_new(1, sizeof(*p), &err);

    if (!p || !(p->key = str_dup(key, &err))) {
        free(p);
        queue_finish(r->queue, key, QUEUE_RETRY, 0);
        return;
    }
    p->r = r;
    const struct restore_item *item = informer_get_key(r->restores, key);
    int rc = item && !item->restore->meta.is_deleted ? restore_pass_begin(p, item, &err)
                                                     : restore_lock_orphan(p, &err);
    if (rc < 0)
        restore_pass_fail(p, "restore", &err);
}

/* ---- life ---- */

static void on_restore(void *arg, const struct informer_change *change)
{
    struct restores *r = arg;

    queue_add(r->queue, change->key, change->is_resync ? QUEUE_RESYNC : QUEUE_CHANGE);
}

static void on_job(void *arg, const struct informer_change *change)
{
    struct restores *r = arg;
    const struct job_item *job = change->after ? change->after : change->before;
    char key[INFORMER_KEY_BYTES];

    if (strcmp(job->purpose, "restore") == 0 && !change->is_resync)
        queue_add(r->queue, informer_key(job->namespace_name, job->owner, key), QUEUE_CHANGE);
}

static void restore_add(void *arg, const char *key, const void *item UNUSED)
{
    struct restores *r = arg;

    queue_add(r->queue, key, QUEUE_CHANGE);
}

static void going_on_add(void *arg, const char *key, const void *item)
{
    struct restores *r = arg;
    const struct api_restore *restore = ((const struct restore_item *)item)->restore;

    if (restore->mode == API_RESTORE_IN_PLACE && !restore->status.is_complete &&
        !restore->status.is_failed)
        queue_add(r->queue, key, QUEUE_CHANGE);
}

/* A lock was taken, changed or released; or one was left by a restore that is gone. */
static void on_replica(void *arg, const struct informer_change *change)
{
    struct restores *r = arg;
    const struct replica_item *source = change->after ? change->after : change->before;
    const struct api_replica *s = source->replica;
    char key[INFORMER_KEY_BYTES];

    informer_each_in(r->restores, RESTORES_BY_SOURCE, change->key, restore_add, r);
    if (s->status.restore.name) {
        queue_add(r->queue, informer_key(s->meta.namespace_name, s->status.restore.name, key),
                  QUEUE_CHANGE);
    }
}

static void on_pod(void *arg, const struct informer_change *change)
{
    struct restores *r = arg;
    const struct pod_item *pod = change->after ? change->after : change->before;
    char key[INFORMER_KEY_BYTES];

    if (!change->is_resync) {
        informer_each_in(r->restores, RESTORES_BY_SOURCE,
                         informer_key(pod->namespace_name, pod->replica, key), going_on_add, r);
    }
}

static void on_lost(void *arg)
{
    struct restores *r = arg;

    informer_resync(r->restores);
}

/* NULL: start() has not come so far. */
static void unlisten(struct informer *i, informer_listener_fn *fn, struct restores *r)
{
    if (i)
        informer_unlisten(i, fn, r);
}

static void restores_free(void *state)
{
    struct restores *r = state;

    if (!r)
        return;
    unlisten(r->restores, on_restore, r);
    unlisten(r->jobs, on_job, r);
    unlisten(r->replicas, on_replica, r);
    unlisten(r->pods, on_pod, r);
    queue_free(r->queue);
    free(r);
}

static int restores_open(struct restores *r, struct error *err)
{
    const struct queue_config queue = {
        .name = "sqliterestore", .work = on_work, .on_lost = on_lost, .arg = r};
    struct informer_set *set = r->context.informers;

    if (informer_set_get(set, &kind_restores, &r->restores, err) < 0 ||
        informer_set_get(set, &kind_replicas, &r->replicas, err) < 0 ||
        informer_set_get(set, &kind_buckets, &r->buckets, err) < 0 ||
        informer_set_get(set, &kind_jobs, &r->jobs, err) < 0 ||
        informer_set_get(set, &kind_pods, &r->pods, err) < 0 ||
        queue_new(r->context.loop, &queue, &r->queue, err) < 0 ||
        informer_listen(r->restores, on_restore, r, err) < 0 ||
        informer_listen(r->replicas, on_replica, r, err) < 0 ||
        informer_listen(r->pods, on_pod, r, err) < 0)
        return -1;
    return informer_listen(r->jobs, on_job, r, err);
}

static int restores_start(const struct reconcile_context *context, void **out_state,
                          struct error *err)
{
    struct restores *r = mem_new(1, sizeof(*r), err);

    if (!r)
        return -1;
    r->context = *context;
    if (restores_open(r, err) < 0) {
        restores_free(r);
        return -1;
    }
    *out_state = r;
    return 0;
}

static void restores_resume(void *state)
{
    queue_resume(((struct restores *)state)->queue);
}

static void restores_pause(void *state, void (*on_idle)(void *arg), void *arg)
{
    queue_pause(((struct restores *)state)->queue, on_idle, arg);
}

static const struct queue *restores_queue(const void *state)
{
    return ((const struct restores *)state)->queue;
}

static void restores_metrics(const void *state, struct metrics_writer *w)
{
    restore_metrics_write(state, w);
}

const struct reconciler reconciler_restore = {
    .name = "sqliterestore",
    .start = restores_start,
    .resume = restores_resume,
    .pause = restores_pause,
    .free = restores_free,
    .queue = restores_queue,
    .metrics = restores_metrics,
};
