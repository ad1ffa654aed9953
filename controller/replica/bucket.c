/*
 * The SqliteBucket reconciler: a destination is probed by a Job with the user's Secret, in the
 * user's namespace; the operator never sees a key.
 *
 *   1. A generation that was not probed, or a validation interval that has passed, wants a probe.
 *   2. ConfigMap "walferry-bucket-NAME", then Job "walferry-probe-NAME-N", where N follows from
 *      generation and time: a controller that restarts makes the same one.
 *   3. A Job that ended newer than the last validation is read (job_result.h) and becomes the
 *      status: condition Available with the reason that the probe found, and capabilities.
 *
 * Jobs end by themselves (ttlSecondsAfterFinished).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/replica/bucket_internal.h"

void bucket_pass_end(struct bucket_pass *p, enum queue_outcome outcome, uint64_t delay_ns)
{
    queue_finish(p->b->queue, p->key, outcome, delay_ns);
    free(p->key);
    free(p);
}

void bucket_pass_fail(struct bucket_pass *p, const char *what, const struct error *err)
{
    reconcile_log(&p->b->context, "sqlitebucket", p->key, what, err);
    bucket_pass_end(p, QUEUE_RETRY, 0);
}

const struct bucket_item *bucket_pass_item(struct bucket_pass *p)
{
    const struct bucket_item *item = informer_get_key(p->b->buckets, p->key);

    if (item && !item->bucket->meta.is_deleted)
        return item;
    bucket_pass_end(p, QUEUE_DONE, 0);
    return NULL;
}

/* ---- 1. what is due ---- */

struct job_search {
    const struct job_item *newest;
};

static void job_look(void *arg, const char *key UNUSED, const void *item)
{
    struct job_search *s = arg;
    const struct job_item *job = item;

    if (!s->newest || job->created_ns > s->newest->created_ns)
        s->newest = job;
}

static const struct job_item *job_newest(const struct bucket_pass *p, const struct api_meta *meta,
                                         struct error *err)
{
    CLEANUP(buf_destroy) struct buf key = BUF_INIT(1024);
    struct job_search search = {.newest = NULL};

    if (buf_printf(&key, err, "%s/probe/%s", meta->namespace_name, meta->name) < 0)
        return NULL;
    informer_each_in(p->b->jobs, JOBS_BY_OWNER, buf_str(&key), job_look, &search);
    return search.newest;
}

/* Until the next probe is due; 0: now. UINT64_MAX: never by time. */
static uint64_t due_in_ns(const struct bucket_item *item, uint64_t now_ns)
{
    const struct api_bucket *b = item->bucket;
    bool is_good = item->marks.status[CONDITION_AVAILABLE] == CONDITION_TRUE;
    uint64_t interval_ns = b->probe_interval_ns;

    if (b->observed_generation != b->meta.generation || b->probed_ns == 0)
        return 0;
    if (!is_good) /* what is broken is looked at again soon */
        interval_ns = PROBE_RETRY_S * NS_PER_SEC;
    if (interval_ns == 0)
        return UINT64_MAX;
    return b->probed_ns + interval_ns > now_ns ? b->probed_ns + interval_ns - now_ns : 0;
}

/* Looks what is to be done, and begins it. */
static int bucket_pass_begin(struct bucket_pass *p, const struct bucket_item *item,
                             struct error *err)
{
    const struct api_bucket *b = item->bucket;
    uint64_t now_ns = env_wall_ns(loop_env(p->b->context.loop));
    const struct job_item *job = job_newest(p, &b->meta, err);
    uint64_t due_ns = due_in_ns(item, now_ns);

    if (err->code != ERR_NONE)
        return -1;
    if (job && !job->is_complete && !job->is_failed) {
        bucket_pass_end(p, QUEUE_DONE, 0); /* it runs */
        return 0;
    }
    /* The status has whole seconds, as the Job has. */
    if (job && job->finished_ns / NS_PER_SEC > b->probed_ns / NS_PER_SEC) {
        p->finished_ns = job->finished_ns;
        return probe_result_begin(p, item, job->name, err);
    }
    if (due_ns > 0) {
        bucket_pass_end(p, due_ns == UINT64_MAX ? QUEUE_DONE : QUEUE_AFTER, due_ns);
        return 0;
    }
    (void)snprintf(p->job, sizeof(p->job), "walferry-probe-%.52s-%" PRIx64, b->meta.name,
                   b->meta.generation << 32 | (b->probed_ns / NS_PER_SEC & UINT32_MAX));
    return probe_job_begin(p, item, err);
}

static void on_work(void *arg, const char *key)
{
    struct buckets *b = arg;
    struct error err = ERROR_INIT;
    struct bucket_pass *p = mem_new(1, sizeof(*p), &err);

    if (!p || !(p->key = str_dup(key, &err))) {
        free(p);
        queue_finish(b->queue, key, QUEUE_RETRY, 0);
        return;
    }
    p->b = b;
    const struct bucket_item *item = bucket_pass_item(p);
    if (item && bucket_pass_begin(p, item, &err) < 0)
        bucket_pass_fail(p, "probe", &err);
}

/* ---- life ---- */

static void on_bucket(void *arg, const struct informer_change *change)
{
    struct buckets *b = arg;

    queue_add(b->queue, change->key, change->is_resync ? QUEUE_RESYNC : QUEUE_CHANGE);
}

static void on_job_change(void *arg, const struct informer_change *change)
{
    struct buckets *b = arg;
    const struct job_item *job = change->after ? change->after : change->before;
    char key[INFORMER_KEY_BYTES];

    if (strcmp(job->purpose, "probe") == 0 && !change->is_resync)
        queue_add(b->queue, informer_key(job->namespace_name, job->owner, key), QUEUE_CHANGE);
}

static void on_lost(void *arg)
{
    struct buckets *b = arg;

    informer_resync(b->buckets);
}

static void buckets_free(void *state)
{
    struct buckets *b = state;

    if (!b)
        return;
    informer_unlisten(b->buckets, on_bucket, b);
    informer_unlisten(b->jobs, on_job_change, b);
    queue_free(b->queue);
    free(b);
}

static int buckets_start(const struct reconcile_context *context, void **out_state,
                         struct error *err)
{
    struct buckets *b = mem_new(1, sizeof(*b), err);
    struct queue_config queue = {
        .name = "sqlitebucket", .work = on_work, .on_lost = on_lost, .arg = b};

    if (!b)
        return -1;
    b->context = *context;
    if (informer_set_get(context->informers, &kind_buckets, &b->buckets, err) < 0 ||
        informer_set_get(context->informers, &kind_jobs, &b->jobs, err) < 0 ||
        queue_new(context->loop, &queue, &b->queue, err) < 0 ||
        informer_listen(b->buckets, on_bucket, b, err) < 0 ||
        informer_listen(b->jobs, on_job_change, b, err) < 0) {
        buckets_free(b);
        return -1;
    }
    *out_state = b;
    return 0;
}

static void buckets_resume(void *state)
{
    queue_resume(((struct buckets *)state)->queue);
}

static void buckets_pause(void *state, void (*on_idle)(void *arg), void *arg)
{
    queue_pause(((struct buckets *)state)->queue, on_idle, arg);
}

static const struct queue *buckets_queue(const void *state)
{
    return ((const struct buckets *)state)->queue;
}

const struct reconciler reconciler_bucket = {
    .name = "sqlitebucket",
    .start = buckets_start,
    .resume = buckets_resume,
    .pause = buckets_pause,
    .free = buckets_free,
    .queue = buckets_queue,
};
