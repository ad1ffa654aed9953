/*
 * One pass over one SqliteReplica.
 *
 *   1. config   the ConfigMap that the sidecars read, if its text is another than last time
 *   2. create   buckets that are missing, where the resource asks for it (make_bucket.c)
 *   3. verify   the CronJob that restores for real, and what its last Job found (verify.c)
 *   4. rollout  of pods that an earlier spec has injected, where the resource asks (rollout.c)
 *   5. scrape   /status of every pod that has a running sidecar, in parallel; from then on it is
 *               listened to (listen.h)
 *   6. status   judge what was seen, record events, apply the status if it says something new
 *
 * Nothing borrowed from a cache survives a turn of the loop: each step looks again, and pods are
 * recognised by their uid. A resource that is gone ends its pass at the next step.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/replica/config_map.h"
#include "controller/replica/pass_internal.h"
#include "controller/replica/status_sum.h"
#include "lib/ltx/crc64.h"

static void status_begin(struct pass *p);

/* When it is looked at again although nothing is heard of it: soon, as long as something is waited
 * for that nobody tells; else between half and all of a long time, so that a fleet which was looked at
 * at once is not looked at at once for ever. */
static uint64_t look_again_ns(const struct pass *p)
{
    bool is_calm = p->unheard_count == 0 && !p->owes_status && !rollout_is_pending(p->rollout);
    uint64_t interval_ns = reconcile_interval_ns(p->r);
    uint64_t calm_ns = interval_ns * RECONCILE_CALM_INTERVALS;

    if (calm_ns > RECONCILE_CALM_S_MAX * NS_PER_SEC)
        calm_ns = RECONCILE_CALM_S_MAX * NS_PER_SEC;
    if (!is_calm || calm_ns <= interval_ns)
        return interval_ns;
    return calm_ns / 2 + env_random_below(loop_env(p->r->context.loop), calm_ns / 2);
}

static void pass_end(struct pass *p, enum queue_outcome outcome)
{
    uint64_t delay_ns = look_again_ns(p);

    for (size_t i = 0; i < p->sight_count; i++)
        free(p->sights[i].seen);
    rollout_free(p->rollout);
    queue_finish(p->r->queue, p->key, outcome, delay_ns);
    free(p->key);
    free(p);
}

const struct replica_item *pass_item(struct pass *p)
{
    const struct replica_item *item = informer_get_key(p->r->replicas, p->key);

    if (item && !item->replica->meta.is_deleted)
        return item;
    reconcile_forget(p->r, p->key);
    pass_end(p, QUEUE_DONE);
    return NULL;
}

void pass_fail(struct pass *p, const char *what, const struct error *err)
{
    reconcile_log(&p->r->context, "sqlitereplica", p->key, what, err);
    pass_end(p, QUEUE_RETRY);
}

/* ---- 1. config ---- */

/* No memory: applied once more, which changes nothing. */
static void config_remember(struct pass *p)
{
    struct error ignored = ERROR_INIT;
    struct memory *m = reconcile_memory(p->r, p->key, &ignored);

    if (!m)
        return;
    m->config_sum = p->crc;
    m->config_written_ns = env_monotonic_ns(loop_env(p->r->context.loop));
}

static void on_config(void *arg, const struct kube_answer *answer)
{
    struct pass *p = arg;

    p->request = NULL;
    if (answer->err->code != ERR_NONE) {
        pass_fail(p, "config", answer->err);
        return;
    }
    p->r->config_write_count++;
    config_remember(p);
    make_bucket_begin(p);
}

static int config_apply(struct pass *p, const struct api_replica *replica, struct slice config,
                        struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(2 * API_CONFIG_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf name = BUF_INIT(KUBE_NAME_BYTES_MAX);

    if (api_replica_config_map(replica, &name, err) < 0 ||
        config_map_body(&replica->meta, kube_sqlite_replicas.kind, buf_str(&name), config, &body,
                        err) < 0)
        return -1;
    const struct kube_call call = {
        .verb = KUBE_APPLY,
        .resource = &kube_config_maps,
        .namespace_name = replica->meta.namespace_name,
        .name = buf_str(&name),
        .body = buf_slice(&body),
        .field_manager = RECONCILE_MANAGER,
    };
    return kube_start(p->r->context.client, &call, on_config, p, &p->request, err);
}

/* What can be done about a configuration that cannot be made: tell, in the status. */
static void config_refuse(struct pass *p, const struct error *err)
{
    p->config_err = *err;
    make_bucket_begin(p);
}

/* Whether the ConfigMap has this content; while the cache may not have heard yet of what was written
 * just now, that it was written counts. */
static int config_is_there(const struct pass *p, const struct api_replica *replica,
                           struct memory *m, bool *out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf name = BUF_INIT(KUBE_NAME_BYTES_MAX);
    uint64_t now_ns = env_monotonic_ns(loop_env(p->r->context.loop));

    if (api_replica_config_map(replica, &name, err) < 0)
        return -1;
    const struct config_map_item *found =
        informer_get(p->r->config_maps, replica->meta.namespace_name, buf_str(&name));
    bool is_found = found && found->sum == p->crc;
    bool is_new = m->config_written_ns > 0 &&
                  now_ns - m->config_written_ns < RECONCILE_CACHE_LAG_S * NS_PER_SEC;
    *out = is_found || (is_new && m->config_sum == p->crc);
    if (is_found && m->config_sum != p->crc) {
        m->config_sum = p->crc;
        m->config_written_ns = 0;
    }
    return 0;
}

/* *out_is_under_way: on_config() goes on. */
static int config_begin(struct pass *p, const struct replica_item *item, bool *out_is_under_way,
                        struct error *err)
{
    CLEANUP(buf_destroy) struct buf config = BUF_INIT(API_CONFIG_BYTES_MAX);
    const struct bucket_item *found[BUCKETS_MAX];
    const struct api_bucket *buckets[BUCKETS_MAX];
    size_t count = reconcile_buckets(p->r, item->replica, found);
    struct memory *m = reconcile_memory(p->r, p->key, err);
    bool is_there = false;

    for (size_t i = 0; i < count; i++)
        buckets[i] = found[i]->bucket;
    *out_is_under_way = false;
    if (!m || api_sidecar_config(item->replica, buckets, count, &config, err) < 0)
        return -1;
    p->crc = config_map_sum(buf_slice(&config), item->replica->meta.uid);
    if (config_is_there(p, item->replica, m, &is_there, err) < 0)
        return -1;
    if (is_there)
        return 0;
    *out_is_under_way = true;
    return config_apply(p, item->replica, buf_slice(&config), err);
}

void pass_begin(struct reconcile *r, const char *key)
{
    struct error err = ERROR_INIT;
    struct pass *p = mem_new(1, sizeof(*p), &err);
    bool is_under_way = false;

    if (!p || !(p->key = str_dup(key, &err))) {
        free(p);
        queue_finish(r->queue, key, QUEUE_RETRY, 0);
        return;
    }
    p->r = r;
    const struct replica_item *item = pass_item(p);
    if (!item)
        return;
    if (config_begin(p, item, &is_under_way, &err) < 0) {
        if (err.code == ERR_NOT_FOUND || err.code == ERR_USAGE)
            config_refuse(p, &err);
        else
            pass_fail(p, "config", &err);
        return;
    }
    if (!is_under_way)
        make_bucket_begin(p);
}

void pass_after_verify(struct pass *p)
{
    rollout_begin(p);
}

/* ---- 5. scrape ---- */

static void on_scrape(void *arg, struct observed *observed, const struct error *err)
{
    struct sight *s = arg;
    struct pass *p = s->pass;

    s->seen = observed;
    if (!observed)
        s->err = *err;
    if (--p->pending_count == 0)
        status_begin(p);
}

static bool can_be_scraped(const struct pod_item *pod)
{
    return pod->is_sidecar_started && pod->ip && pod->uid && pod->metrics_port != 0 &&
           !pod->is_finished;
}

static void pod_scrape(void *arg, const char *key UNUSED, const void *item)
{
    struct pass *p = arg;
    const struct pod_item *pod = item;

    if (!can_be_scraped(pod) || p->sight_count == JUDGE_PODS_MAX)
        return;
    struct sight *s = &p->sights[p->sight_count++];
    s->pass = p;
    (void)snprintf(s->uid, sizeof(s->uid), "%s", pod->uid);
    if (scrape_start(p->r->scraper, pod->ip, pod->metrics_port, on_scrape, s, &s->err) == 0)
        p->pending_count++;
}

/* What the pod has answered in this pass; NULL: nothing. */
static const struct observed *seen_of(const struct pass *p, const struct pod_item *pod)
{
    for (size_t i = 0; i < p->sight_count; i++) {
        if (strcmp(p->sights[i].uid, pod->uid) == 0)
            return p->sights[i].seen;
    }
    return NULL;
}

static void pod_listen(void *arg, const char *key, const void *item)
{
    struct pass *p = arg;
    const struct pod_item *pod = item;
    const struct observed *seen = can_be_scraped(pod) ? seen_of(p, pod) : NULL;

    if (!seen) {
        listen_end(p->r->listeners, key);
        p->unheard_count += can_be_scraped(pod);
        return;
    }
    const struct listen_pod listen = {.key = key,
                                      .resource = p->key,
                                      .ip = pod->ip,
                                      .port = pod->metrics_port,
                                      .version = seen->version};
    p->unheard_count += !listen_to(p->r->listeners, &listen);
}

void pass_after_rollout(struct pass *p)
{
    if (!pass_item(p))
        return;
    informer_each_in(p->r->pods, PODS_BY_REPLICA, p->key, pod_scrape, p);
    if (p->pending_count == 0)
        status_begin(p);
}

/* ---- 6. status ---- */

static void on_status(void *arg, const struct kube_answer *answer)
{
    struct pass *p = arg;
    struct error err = ERROR_INIT;
    struct memory *m;

    p->request = NULL;
    if (answer->err->code == ERR_NOT_FOUND) { /* deleted meanwhile: the cache will hear of it */
        pass_end(p, QUEUE_DONE);
        return;
    }
    if (answer->err->code != ERR_NONE) {
        pass_fail(p, "status", answer->err);
        return;
    }
    outage_succeeded(p->r->context.outage, p->r->context.log);
    p->r->status_write_count++;
    p->owes_status = false;
    m = reconcile_memory(p->r, p->key, &err);
    if (m) { /* no memory: written once more, which changes nothing */
        m->status_crc = p->crc;
        m->status_written_ns = env_monotonic_ns(loop_env(p->r->context.loop));
    }
    pass_end(p, p->sight_count > 0 ? QUEUE_AFTER : QUEUE_DONE);
}

/* Whether this status is worth a write now: it says something new, and a condition has changed, or
 * the last write was a while ago and it is this resource's turn among all those with new figures. */
static bool status_is_due(const struct pass *p, const struct memory *m,
                          const struct replica_item *item, bool has_flipped)
{
    uint64_t now_ns = env_monotonic_ns(loop_env(p->r->context.loop));

    if (p->crc == m->status_crc)
        return false;
    if (has_flipped || item->status_sum == 0)
        return true;
    return now_ns - m->status_written_ns >= reconcile_interval_ns(p->r) &&
           limiter_try(&p->r->figures, now_ns);
}

/* A leader that has not written this status yet: what was written before it may say the same. */
static void status_compare(const struct pass *p, const struct replica_item *item, struct slice body,
                           struct memory *m)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error ignored = ERROR_INIT; /* no memory: written once more */

    if (m->status_crc != 0 || item->status_sum == 0 ||
        jsonval_parse(&doc, "status", body, &ignored) < 0)
        return;
    if (status_sum(jsonval_get(jsonval_root(&doc), "status")) == item->status_sum)
        m->status_crc = p->crc;
}

static int status_apply(struct pass *p, struct writing *w, bool *out_is_under_way,
                        struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(STATUS_BYTES_MAX);
    const struct replica_item *item = w->view.item;
    bool has_flipped = condition_set_has_flipped(&w->outcome.conditions, &item->marks);
    struct memory *m = reconcile_memory(p->r, p->key, err);

    *out_is_under_way = false;
    if (!m || status_body(&w->view, &w->outcome, w->buckets, w->bucket_count, &body, err) < 0)
        return -1;
    metrics_keep(m, &w->outcome);
    p->crc = crc64(0, buf_slice(&body));
    status_compare(p, item, buf_slice(&body), m);
    p->owes_status = p->crc != m->status_crc;
    if (!status_is_due(p, m, item, has_flipped))
        return 0;
    announce(p->r->context.recorder, item, &w->outcome.conditions);
    const struct kube_call call =
        status_write_call(&kube_sqlite_replicas, &item->replica->meta, buf_slice(&body));
    *out_is_under_way = true;
    return kube_start(p->r->context.client, &call, on_status, p, &p->request, err);
}

static void status_begin(struct pass *p)
{
    struct error err = ERROR_INIT;
    bool is_under_way = false;
    const struct replica_item *item = pass_item(p);

    if (!item)
        return;
    informer_each_in(p->r->pods, PODS_BY_REPLICA, p->key, pod_listen, p);
    CLEANUP(mem_free) struct writing *w = mem_new(1, sizeof(*w), &err);
    if (!w || view_build(p, item, w, &err) < 0) {
        pass_fail(p, "judge", &err);
        return;
    }
    judge(&w->view, &w->outcome);
    condition_set_carry(&w->outcome.conditions, &item->marks, w->view.now_ns);
    if (status_apply(p, w, &is_under_way, &err) < 0)
        pass_fail(p, "status", &err);
    else if (!is_under_way)
        pass_end(p, w->view.pod_count > 0 || p->owes_status ? QUEUE_AFTER : QUEUE_DONE);
}
