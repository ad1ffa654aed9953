/*
 * What a pass has seen, put together for judge(): pods with their answers, buckets, rivals.
 */
#include <stdio.h>
#include <string.h>

#include "controller/replica/pass_internal.h"

struct view_builder {
    const struct pass *pass;
    struct replica_view *view;
};

static void pod_view_add(void *arg, const char *key UNUSED, const void *item)
{
    struct view_builder *b = arg;
    const struct pod_item *pod = item;

    if (pod->is_finished)
        return;
    b->view->pod_total++;
    if (b->view->pod_count == JUDGE_PODS_MAX)
        return;
    struct pod_view *v = &b->view->pods[b->view->pod_count++];
    v->pod = pod;
    for (size_t i = 0; i < b->pass->sight_count; i++) {
        const struct sight *s = &b->pass->sights[i];
        if (!pod->uid || strcmp(s->uid, pod->uid) != 0)
            continue;
        v->seen = s->seen;
        v->scrape_error = s->err.code != ERR_NONE ? s->err.text : NULL;
    }
}

/* The other resource on a prefix: the first in the order of names, so that both name each other. */
struct rival_search {
    const char *own;
    char *found; /* INFORMER_KEY_BYTES; "" : none */
};

static void rival_look(void *arg, const char *key, const void *item UNUSED)
{
    struct rival_search *s = arg;

    if (strcmp(key, s->own) != 0 && (!s->found[0] || strcmp(key, s->found) < 0))
        (void)snprintf(s->found, INFORMER_KEY_BYTES, "%s", key);
}

static int rival_find(const struct pass *p, const struct api_replica *r, unsigned read_only,
                      char out[static INFORMER_KEY_BYTES], struct error *err)
{
    struct rival_search search = {.own = p->key, .found = out};

    out[0] = 0;
    for (size_t i = 0; i < r->destination_count; i++) {
        for (size_t j = 0; !(read_only >> i & 1U) && j < r->database_count; j++) {
            CLEANUP(buf_destroy) struct buf key = BUF_INIT(8192);
            if (replica_store_key(r, &r->destinations[i], &r->databases[j], &key, err) < 0)
                return -1;
            informer_each_in(p->r->replicas, REPLICAS_BY_PREFIX, buf_str(&key), rival_look,
                             &search);
        }
    }
    return 0;
}

static void buckets_view(struct replica_view *view, const struct bucket_item *const *found,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t status = found[i]->marks.status[CONDITION_AVAILABLE];
        if (status == CONDITION_FALSE && !view->unavailable_bucket)
            view->unavailable_bucket = found[i];
        view->is_bucket_unprobed |= status != CONDITION_TRUE && status != CONDITION_FALSE;
    }
}

static void verification_view(const struct pass *p, const struct api_meta *meta,
                              struct replica_view *view)
{
    const struct job_item *job = verify_job(p->r, meta);
    char name[KUBE_NAME_BYTES_MAX + 1];
    const struct cron_job_item *cron =
        informer_get(p->r->cron_jobs, meta->namespace_name, verify_cron_name(meta->name, name));

    view->verified = p->verified;
    view->is_verification_running = job && !job->is_complete && !job->is_failed;
    view->verification_due_ns = cron ? cron->scheduled_ns : 0;
    view->verification_since_ns = cron ? cron->created_ns : 0;
    struct error ignored = ERROR_INIT; /* no memory: nothing is known to be wrong */
    const struct memory *m = reconcile_memory(p->r, p->key, &ignored);
    view->verification_refusal = m ? m->cron_refusal : NULL;
}

int view_build(const struct pass *p, const struct replica_item *item, struct writing *w,
               struct error *err)
{
    struct view_builder builder = {.pass = p, .view = &w->view};

    w->view.item = item;
    w->view.now_ns = env_wall_ns(loop_env(p->r->context.loop));
    w->bucket_count = reconcile_buckets(p->r, item->replica, w->found);
    for (size_t i = 0; i < w->bucket_count; i++)
        w->buckets[i] = w->found[i]->bucket;
    buckets_view(&w->view, w->found, w->bucket_count);
    for (size_t i = 0; i < item->replica->destination_count; i++) {
        if (api_destination_is_read_only(&item->replica->destinations[i], w->buckets,
                                         w->bucket_count))
            w->view.read_only |= 1U << i;
    }
    informer_each_in(p->r->pods, PODS_BY_REPLICA, p->key, pod_view_add, &builder);
    verification_view(p, &item->replica->meta, &w->view);
    w->view.made = p->made;
    w->view.make_reason = p->make_reason[0] ? p->make_reason : NULL;
    w->view.make_text = p->make_text;
    w->view.rollout = rollout_text(p->rollout);
    if (p->config_err.code != ERR_NONE)
        w->view.config_error = p->config_err.text;
    else if (reconcile_spec_hash(p->r, item->replica, w->spec_hash, err) == 0)
        w->view.spec_hash = w->spec_hash;
    else
        return -1;
    if (rival_find(p, item->replica, w->view.read_only, w->rival, err) < 0)
        return -1;
    w->view.prefix_rival = w->rival[0] ? w->rival : NULL;
    return 0;
}
