/*
 * The SqliteReplica reconciler: who is told of what, and the memory of what was written.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "controller/replica/reconcile_internal.h"

struct inject_options reconcile_inject_options(const struct reconcile_context *context)
{
    return (struct inject_options){.image = context->sidecar_image,
                                   .pull_policy = context->pull_policy,
                                   .version = walferry_version(),
                                   .allow_host_path = context->allow_host_path};
}

uint64_t reconcile_interval_ns(const struct reconcile *r)
{
    return r->context.interval_ns ? r->context.interval_ns : RECONCILE_INTERVAL_S * NS_PER_SEC;
}

void reconcile_log(const struct reconcile_context *context, const char *kind, const char *key,
                   const char *step, const struct error *err)
{
    if (!outage_failed(context->outage, loop_env(context->loop), context->log, err)) {
        LOG_WARN(context->log, "reconcile failed", LOG_STR(kind, key), LOG_STR("step", step),
                 LOG_ERR(err), LOG_HINT(err));
    }
}

/* ---- memory ---- */

static int memory_compare(const void *a, const void *b)
{
    return strcmp(((const struct memory *)a)->key, ((const struct memory *)b)->key);
}

static void memory_free(void *memory)
{
    struct memory *m = memory;

    free(m->key);
    free(m->rollout_text);
    free(m->cron_refusal);
    free(m);
}

static struct memory *memory_find(const struct reconcile *r, const char *key)
{
    const struct memory wanted = {.key = (char *)key};
    struct memory *const *found = tfind(&wanted, &r->memories, memory_compare);

    return found ? *found : NULL;
}

struct memory *reconcile_memory(struct reconcile *r, const char *key, struct error *err)
{
    struct memory *m = memory_find(r, key);

    if (m || !(m = mem_new(1, sizeof(*m), err)))
        return m;
    m->key = str_dup(key, err);
    if (!m->key || !tsearch(m, &r->memories, memory_compare)) {
        (void)error_set(err, ERR_NO_MEMORY, 0, "memory of %s", key);
        memory_free(m);
        return NULL;
    }
    return m;
}

void reconcile_forget(struct reconcile *r, const char *key)
{
    struct memory *m = memory_find(r, key);

    if (!m)
        return;
    (void)tdelete(m, &r->memories, memory_compare); /* it is there */
    memory_free(m);
}

/* ---- who is told of what ---- */

/* Somebody waits for what follows from an edit, and from a new resource; not from those that were
 * there before us. */
static enum queue_priority priority_of(const struct informer_change *change)
{
    if (change->is_resync)
        return QUEUE_RESYNC;
    return change->is_first ? QUEUE_CHANGE : QUEUE_EDIT;
}

static void replica_add(void *arg, const char *key, const void *item UNUSED)
{
    struct reconcile *r = arg;

    queue_add(r->queue, key, QUEUE_CHANGE);
}

/* Those that write where this one does, or did: whether they are alone has changed. */
static void rivals_add(struct reconcile *r, const struct replica_item *item)
{
    struct error ignored = ERROR_INIT; /* no memory: seen when they are looked at next */

    for (size_t i = 0; item && i < item->replica->destination_count; i++) {
        for (size_t j = 0; j < item->replica->database_count; j++) {
            CLEANUP(buf_destroy) struct buf key = BUF_INIT(8192);
            if (replica_store_key(item->replica, &item->replica->destinations[i],
                                  &item->replica->databases[j], &key, &ignored) == 0)
                informer_each_in(r->replicas, REPLICAS_BY_PREFIX, buf_str(&key), replica_add, r);
        }
    }
}

static void on_replica(void *arg, const struct informer_change *change)
{
    struct reconcile *r = arg;
    const struct replica_item *before = change->before;
    const struct replica_item *after = change->after;
    bool is_own_status = before && after && !change->is_resync &&
                         before->replica->meta.generation == after->replica->meta.generation;

    if (is_own_status)
        return;
    queue_add(r->queue, change->key, priority_of(change));
    if (change->is_resync || change->is_first) /* then all are looked at */
        return;
    rivals_add(r, before);
    rivals_add(r, after);
}

static void on_bucket(void *arg, const struct informer_change *change)
{
    struct reconcile *r = arg;

    if (!change->is_resync) /* resources are resynced by themselves */
        informer_each_in(r->replicas, REPLICAS_BY_BUCKET, change->key, replica_add, r);
}

/* Its sidecar has something to tell, or is gone. */
static void on_news(void *arg, const char *resource, uint64_t delay_ns)
{
    struct reconcile *r = arg;

    queue_add_after(r->queue, resource, delay_ns);
}

static void pod_owner_add(struct reconcile *r, const struct pod_item *pod)
{
    char key[INFORMER_KEY_BYTES];

    if (pod)
        queue_add(r->queue, informer_key(pod->namespace_name, pod->replica, key), QUEUE_CHANGE);
}

static void on_pod(void *arg, const struct informer_change *change)
{
    struct reconcile *r = arg;

    if (change->is_resync ||
        (change->before && change->after && pod_item_is_same(change->before, change->after)))
        return;
    if (!change->after)
        listen_end(r->listeners, change->key);
    pod_owner_add(r, change->before);
    pod_owner_add(r, change->after);
}

static void on_job(void *arg, const struct informer_change *change)
{
    struct reconcile *r = arg;
    const struct job_item *job = change->after ? change->after : change->before;
    char key[INFORMER_KEY_BYTES];

    bool is_ours = strcmp(job->purpose, "verify") == 0 || strcmp(job->purpose, "create") == 0;
    if (is_ours && !change->is_resync)
        queue_add(r->queue, informer_key(job->namespace_name, job->owner, key), QUEUE_CHANGE);
}

/*
 * A ConfigMap that is gone, or that somebody else has written, is written again: pods could not
 * start without it, and those that run would follow what the resource does not say. The event of a
 * write of ours that comes before its answer leads to one more look, which finds nothing to do.
 */
static void on_config_map(void *arg, const struct informer_change *change)
{
    struct reconcile *r = arg;
    const struct config_map_item *after = change->after;
    const struct config_map_item *item = after && after->replica ? after : change->before;
    char key[INFORMER_KEY_BYTES];

    if (change->is_resync || !item || !item->replica)
        return;
    struct memory *m = memory_find(r, informer_key(item->namespace_name, item->replica, key));
    if (!m || (after && after->sum == m->config_sum))
        return;
    m->config_sum = 0;
    queue_add(r->queue, key, QUEUE_EDIT);
}

/*
 * A CronJob that is gone or that somebody else has written is written again. What somebody else goes
 * on writing is written over once, not for ever: the sum of theirs does not change any more.
 */
static void on_cron_job(void *arg, const struct informer_change *change)
{
    struct reconcile *r = arg;
    const struct cron_job_item *before = change->before;
    const struct cron_job_item *after = change->after;
    char key[INFORMER_KEY_BYTES];

    if (change->is_resync || !before || (after && after->sum == before->sum))
        return;
    struct memory *m = memory_find(r, informer_key(before->namespace_name, before->owner, key));
    if (!m || before->sum != m->cron_sum)
        return;
    m->cron_sum = 0;
    queue_add(r->queue, key, QUEUE_EDIT);
}

size_t reconcile_buckets(const struct reconcile *r, const struct api_replica *replica,
                         const struct bucket_item *out[static BUCKETS_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < replica->destination_count; i++) {
        const char *name = replica->destinations[i].bucket_ref;
        const struct bucket_item *item =
            name ? informer_get(r->buckets, replica->meta.namespace_name, name) : NULL;
        if (item)
            out[count++] = item;
    }
    return count;
}

int reconcile_spec_hash(const struct reconcile *r, const struct api_replica *replica,
                        char out[static INJECT_HASH_BYTES], struct error *err)
{
    const struct inject_options options = reconcile_inject_options(&r->context);
    const struct bucket_item *found[BUCKETS_MAX];
    const struct api_bucket *buckets[BUCKETS_MAX];
    size_t count = reconcile_buckets(r, replica, found);

    for (size_t i = 0; i < count; i++)
        buckets[i] = found[i]->bucket;
    return inject_spec_hash(replica, buckets, count, &options, out, err);
}

/* ---- life ---- */

static void on_work(void *arg, const char *key)
{
    pass_begin(arg, key);
}

static void on_lost(void *arg)
{
    struct reconcile *r = arg;

    informer_resync(r->replicas);
}

static void reconcile_free(void *state)
{
    struct reconcile *r = state;

    if (!r)
        return;
    informer_unlisten(r->replicas, on_replica, r);
    informer_unlisten(r->buckets, on_bucket, r);
    informer_unlisten(r->pods, on_pod, r);
    informer_unlisten(r->jobs, on_job, r);
    informer_unlisten(r->cron_jobs, on_cron_job, r);
    informer_unlisten(r->config_maps, on_config_map, r);
    queue_free(r->queue);
    scraper_free(r->scraper);
    listeners_free(r->listeners);
    tdestroy(r->memories, memory_free);
    free(r);
}

static int reconcile_open(struct reconcile *r, struct error *err)
{
    const struct queue_config queue = {
        .name = "sqlitereplica", .workers = 16, .work = on_work, .on_lost = on_lost, .arg = r};
    struct informer_set *set = r->context.informers;

    if (informer_set_get(set, &kind_replicas, &r->replicas, err) < 0 ||
        informer_set_get(set, &kind_buckets, &r->buckets, err) < 0 ||
        informer_set_get(set, &kind_pods, &r->pods, err) < 0 ||
        informer_set_get(set, &kind_jobs, &r->jobs, err) < 0 ||
        informer_set_get(set, &kind_cron_jobs, &r->cron_jobs, err) < 0 ||
        informer_set_get(set, &kind_config_maps, &r->config_maps, err) < 0 ||
        scraper_new(r->context.loop, &r->scraper, err) < 0 ||
        listeners_new(r->context.loop, reconcile_interval_ns(r), on_news, r, &r->listeners, err) <
            0 ||
        queue_new(r->context.loop, &queue, &r->queue, err) < 0 ||
        informer_listen(r->replicas, on_replica, r, err) < 0 ||
        informer_listen(r->buckets, on_bucket, r, err) < 0 ||
        informer_listen(r->jobs, on_job, r, err) < 0 ||
        informer_listen(r->cron_jobs, on_cron_job, r, err) < 0 ||
        informer_listen(r->config_maps, on_config_map, r, err) < 0)
        return -1;
    return informer_listen(r->pods, on_pod, r, err);
}

static int reconcile_start(const struct reconcile_context *context, void **out_state,
                           struct error *err)
{
    struct reconcile *r = mem_new(1, sizeof(*r), err);

    if (!r)
        return -1;
    r->context = *context;
    limiter_init(&r->figures, RECONCILE_FIGURES_PER_S, RECONCILE_FIGURES_PER_S,
                 env_monotonic_ns(loop_env(context->loop)));
    if (reconcile_open(r, err) < 0) {
        reconcile_free(r);
        return -1;
    }
    *out_state = r;
    return 0;
}

static void reconcile_resume(void *state)
{
    queue_resume(((struct reconcile *)state)->queue);
}

static void reconcile_pause(void *state, void (*on_idle)(void *arg), void *arg)
{
    struct reconcile *r = state;

    listen_end_all(r->listeners);
    queue_pause(r->queue, on_idle, arg);
}

static const struct queue *reconcile_queue(const void *state)
{
    return ((const struct reconcile *)state)->queue;
}

static void reconcile_metrics(const void *state, struct metrics_writer *w)
{
    metrics_write(state, w);
}

const struct reconciler reconciler_replica = {
    .name = "sqlitereplica",
    .start = reconcile_start,
    .resume = reconcile_resume,
    .pause = reconcile_pause,
    .free = reconcile_free,
    .queue = reconcile_queue,
    .metrics = reconcile_metrics,
};
