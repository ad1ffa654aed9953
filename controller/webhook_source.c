/*
 * Cache first, then what was looked up lately. A look that is under way for the same resource is
 * not begun twice: whoever asks meanwhile waits for it.
 */
#include "controller/webhook_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/replica/kinds.h"
#include "controller/webhook/decide.h"
#include "controller/webhook/review.h"
#include "controller/webhook_lookup.h"

#define KEPT_NS (30 * NS_PER_SEC)

enum {
    ENDING_SLACK_S = 5, /* after the grace period: clocks of nodes differ */
};

/* An object that was read past the cache. */
struct kept {
    const struct informer_kind *kind; /* NULL: free */
    char key[INFORMER_KEY_BYTES];
    void *item;
    uint64_t until_ns; /* monotonic */
};

/* Somebody who waits for a look. */
struct waiter {
    struct waiter *next;
    webhook_refreshed_fn *done;
    void *arg;
};

/* A look under way: the resource first, then each bucket that it names and no cache has. */
struct look {
    struct look *next;
    struct webhook_source_state *source;
    char namespace_name[64];
    char key[INFORMER_KEY_BYTES]; /* of the resource */
    size_t bucket_idx;            /* the destination whose bucket is next */
    const struct informer_kind *kind;
    char asked[INFORMER_KEY_BYTES]; /* what the request under way is about */
    struct kube_request *request;
    struct waiter *waiters;
};

struct webhook_source_state {
    struct kube_client *client;
    struct loop *loop;
    const struct log *log;
    struct recorder *recorder;
    struct webhook_lookups lookups;
    struct informer *replicas;
    struct informer *buckets;
    struct informer *pods;
    struct kept kept[WEBHOOK_SOURCE_KEPT_MAX];
    size_t kept_next;
    struct look *looks;
    /* What a subject borrows. */
    const struct api_bucket *found[API_DESTINATIONS_MAX];
    struct inject_peer peers[WEBHOOK_SOURCE_PEERS_MAX];
    size_t peer_count;
    const char *rival_own; /* the resource whose rival is looked for */
    char rival[INFORMER_KEY_BYTES];
    /* Those whose look could not be begun are told from the loop, never inside refresh(). */
    struct waiter *refused;
    struct error refused_err;
    struct loop_timer refused_timer;
};

/* ---- objects, cached or kept ---- */

static void kept_clear(struct kept *k)
{
    if (k->kind)
        k->kind->item_free(k->item);
    *k = (struct kept){.kind = NULL};
}

static const void *kept_find(struct webhook_source_state *s, const struct informer_kind *kind,
                             const char *key)
{
    uint64_t now_ns = env_monotonic_ns(loop_env(s->loop));

    for (size_t i = 0; i < WEBHOOK_SOURCE_KEPT_MAX; i++) {
        struct kept *k = &s->kept[i];
        if (k->kind != kind || strcmp(k->key, key) != 0)
            continue;
        if (now_ns < k->until_ns)
            return k->item;
        kept_clear(k);
    }
    return NULL;
}

static void kept_add(struct webhook_source_state *s, const struct informer_kind *kind,
                     const char *key, void *item)
{
    struct kept *k = &s->kept[s->kept_next];

    s->kept_next = (s->kept_next + 1) % WEBHOOK_SOURCE_KEPT_MAX;
    kept_clear(k);
    *k = (struct kept){
        .kind = kind, .item = item, .until_ns = env_monotonic_ns(loop_env(s->loop)) + KEPT_NS};
    (void)snprintf(k->key, sizeof(k->key), "%s", key); /* of the same size */
}

static const void *item_find(struct webhook_source_state *s, const struct informer *informer,
                             const struct informer_kind *kind, const char *key)
{
    const void *item = informer_get_key(informer, key);

    return item ? item : kept_find(s, kind, key);
}

static const struct bucket_item *bucket_find(struct webhook_source_state *s,
                                             const char *namespace_name, const char *name)
{
    char key[INFORMER_KEY_BYTES];

    return item_find(s, s->buckets, &kind_buckets, informer_key(namespace_name, name, key));
}

/* ---- look ---- */

static bool is_synced(void *ctx)
{
    const struct webhook_source_state *s = ctx;

    return informer_is_synced(s->replicas) && informer_is_synced(s->buckets) &&
           informer_is_synced(s->pods);
}

/* Until its grace period is over an ending pod may still write, and what it ships would grow on
 * behind the back of its successor. */
static bool has_had_its_time(const struct webhook_source_state *s, const struct pod_item *pod)
{
    return pod->is_ending &&
           env_wall_ns(loop_env(s->loop)) > pod->ends_by_ns + (uint64_t)ENDING_SLACK_S * NS_PER_SEC;
}

static void peer_add(void *arg, const char *key UNUSED, const void *item)
{
    struct webhook_source_state *s = arg;
    const struct pod_item *pod = item;

    if (s->peer_count < WEBHOOK_SOURCE_PEERS_MAX) {
        bool is_over = has_had_its_time(s, pod);
        s->peers[s->peer_count++] = (struct inject_peer){.name = pod->name,
                                                         .is_leaving = pod->is_ending && !is_over,
                                                         .is_ending = is_over,
                                                         .is_finished = pod->is_finished};
    }
}

static void look(void *ctx, const char *namespace_name, const char *name,
                 struct webhook_subject *out)
{
    struct webhook_source_state *s = ctx;
    char key[INFORMER_KEY_BYTES];

    (void)informer_key(namespace_name, name, key);
    const struct replica_item *item = item_find(s, s->replicas, &kind_replicas, key);
    *out = (struct webhook_subject){.buckets = s->found, .peers = s->peers};
    if (!item)
        return;
    out->replica = item->replica;
    for (size_t i = 0; i < item->replica->destination_count; i++) {
        const char *bucket = item->replica->destinations[i].bucket_ref;
        const struct bucket_item *found = bucket ? bucket_find(s, namespace_name, bucket) : NULL;
        if (found)
            s->found[out->bucket_count++] = found->bucket;
    }
    s->peer_count = 0;
    informer_each_in(s->pods, PODS_BY_REPLICA, key, peer_add, s);
    out->peer_count = s->peer_count;
}

/* ---- refresh ---- */

static void waiters_tell(struct waiter *waiters, const struct error *err)
{
    while (waiters) {
        struct waiter *w = waiters;
        waiters = w->next;
        w->done(w->arg, err);
        free(w);
    }
}

/* Ends a look that is out of the list. */
static void look_free(struct look *l, const struct error *err)
{
    waiters_tell(TAKE(l->waiters), err);
    free(l);
}

static void look_end(struct look *l, const struct error *err)
{
    struct look **at = &l->source->looks;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    look_free(l, err);
}

static void on_answer(void *arg, const struct kube_answer *answer);

static int look_ask(struct look *l, const struct informer_kind *kind, const char *name,
                    struct error *err)
{
    const struct kube_call call = {.verb = KUBE_GET,
                                   .resource = kind->resource,
                                   .namespace_name = l->namespace_name,
                                   .name = name,
                                   .is_urgent = true,
                                   .deadline_ns = 3 * NS_PER_SEC};

    l->kind = kind;
    (void)informer_key(l->namespace_name, name, l->asked);
    return kube_start(l->source->client, &call, on_answer, l, &l->request, err);
}

/* The next bucket that the resource names and nobody has; ends the look when there is none. */
static void look_next(struct look *l)
{
    struct webhook_source_state *s = l->source;
    const struct replica_item *item = item_find(s, s->replicas, &kind_replicas, l->key);
    struct error err = ERROR_INIT;

    while (item && l->bucket_idx < item->replica->destination_count) {
        const char *name = item->replica->destinations[l->bucket_idx++].bucket_ref;
        if (!name || bucket_find(s, l->namespace_name, name))
            continue;
        if (look_ask(l, &kind_buckets, name, &err) < 0)
            break;
        return;
    }
    look_end(l, &err);
}

static void on_answer(void *arg, const struct kube_answer *answer)
{
    struct look *l = arg;
    struct error err = *answer->err;
    void *item = NULL;

    l->request = NULL;
    if (err.code == ERR_NONE && l->kind->project(answer->object, &item, &err) == 0)
        kept_add(l->source, l->kind, l->asked, item);
    if (err.code == ERR_NONE || err.code == ERR_NOT_FOUND) /* that it is not there is an answer */
        look_next(l);
    else
        look_end(l, &err);
}

static struct look *look_find(const struct webhook_source_state *s, const char *key)
{
    for (struct look *l = s->looks; l; l = l->next) {
        if (strcmp(l->key, key) == 0)
            return l;
    }
    return NULL;
}

/* Begins a look; NULL with err: it could not be begun. */
static struct look *look_new(struct webhook_source_state *s, const char *namespace_name,
                             const char *name, struct error *err)
{
    struct look *l = mem_new(1, sizeof(*l), err);

    if (!l)
        return NULL;
    l->source = s;
    (void)snprintf(l->namespace_name, sizeof(l->namespace_name), "%s", namespace_name);
    (void)informer_key(namespace_name, name, l->key);
    if (look_ask(l, &kind_replicas, name, err) < 0) {
        free(l);
        return NULL;
    }
    l->next = s->looks;
    s->looks = l;
    return l;
}

static void refused_tell(void *arg)
{
    struct webhook_source_state *s = arg;

    waiters_tell(TAKE(s->refused), &s->refused_err);
}

static void refresh(void *ctx, const char *namespace_name, const char *name,
                    webhook_refreshed_fn *done, void *arg)
{
    struct webhook_source_state *s = ctx;
    struct error err = ERROR_INIT;
    char key[INFORMER_KEY_BYTES];
    struct waiter *w = mem_new(1, sizeof(*w), &err);

    if (!w) { /* the request ends by its own deadline */
        LOG_WARN(s->log, "uncached look not begun", LOG_ERR(&err));
        return;
    }
    struct look *l = look_find(s, informer_key(namespace_name, name, key));
    if (!l)
        l = look_new(s, namespace_name, name, &err);
    struct waiter **list = l ? &l->waiters : &s->refused;
    *w = (struct waiter){.next = *list, .done = done, .arg = arg};
    *list = w;
    if (!l) {
        s->refused_err = err;
        loop_timer_start(&s->refused_timer, 0);
    }
}

/* ---- rivals ---- */

static void rival_look(void *arg, const char *key, const void *item)
{
    struct webhook_source_state *s = arg;
    const struct replica_item *other = item;

    if (!s->rival[0] && !other->replica->meta.is_deleted && strcmp(key, s->rival_own) != 0)
        (void)snprintf(s->rival, sizeof(s->rival), "%s", key);
}

/* Where nothing is written no history can meet another. */
static bool is_read_only(struct webhook_source_state *s, const struct api_replica *replica,
                         size_t destination_idx)
{
    const char *name = replica->destinations[destination_idx].bucket_ref;
    const struct bucket_item *found =
        name ? bucket_find(s, replica->meta.namespace_name, name) : NULL;

    return found && found->bucket->is_read_only;
}

/* Only others are found: the index has this resource, too, unless it is new. */
static const char *prefix_rival(void *ctx, const struct api_replica *replica,
                                struct buf *out_prefix)
{
    struct webhook_source_state *s = ctx;
    struct error ignored = ERROR_INIT; /* not found here: reconciling finds it */
    char own[INFORMER_KEY_BYTES];

    (void)informer_key(replica->meta.namespace_name, replica->meta.name, own);
    for (size_t i = 0; i < replica->destination_count; i++) {
        for (size_t j = 0; !is_read_only(s, replica, i) && j < replica->database_count; j++) {
            CLEANUP(buf_destroy) struct buf key = BUF_INIT(8192);
            if (replica_store_key(replica, &replica->destinations[i], &replica->databases[j], &key,
                                  &ignored) < 0)
                return NULL;
            s->rival[0] = 0;
            s->rival_own = own;
            informer_each_in(s->replicas, REPLICAS_BY_PREFIX, buf_str(&key), rival_look, s);
            if (!s->rival[0])
                continue;
            buf_clear(out_prefix);
            IGNORE(buf_append_slice(out_prefix, buf_slice(&key), &ignored)); /* only for the text */
            return s->rival;
        }
    }
    return NULL;
}

/* ---- single objects ---- */

static void workload_look(void *ctx, const char *namespace_name, const char *kind, const char *name,
                          webhook_workload_fn *done, void *arg)
{
    struct webhook_source_state *s = ctx;

    webhook_lookup_workload(&s->lookups, namespace_name, kind, name, done, arg);
}

static void namespace_look(void *ctx, const char *namespace_name, webhook_namespace_fn *done,
                           void *arg)
{
    struct webhook_source_state *s = ctx;

    webhook_lookup_namespace(&s->lookups, namespace_name, done, arg);
}

/* The event is about what makes the pod: the pod itself has no uid yet, and perhaps no name. */
static void pod_event(struct webhook_source_state *s, const struct review *review,
                      const char *reason, const char *text)
{
    struct workload_owner owner = {.name = review->name};
    bool is_owned = workload_owner_read(review->object, &owner);
    const struct kube_resource *resource = is_owned ? workload_resource(owner.kind) : &kube_pods;
    const struct recorder_object object = {.resource = resource ? resource : &kube_pods,
                                           .namespace_name = review->namespace_name,
                                           .name = resource ? owner.name : review->name,
                                           .uid = resource ? owner.uid : NULL};

    recorder_event(s->recorder, &object, true, reason, "Inject", "%s", text);
}

static void on_skipped(void *ctx, const struct review *review, const char *replica, const char *why)
{
    char text[1024];

    (void)snprintf(text, sizeof(text), "No sidecar of SqliteReplica \"%s\": %s", replica, why);
    pod_event(ctx, review, "InjectionSkipped", text);
}

/*
 * The event is about the workload, as the API server is about to store it: it has a uid. A Scale has
 * the name and the uid of its workload.
 */
static void workload_event(struct webhook_source_state *s, const struct review *review,
                           const char *text)
{
    struct error ignored = ERROR_INIT; /* texts of the API server's own */
    const char *kind = review->kind;
    const char *name = "";
    const char *uid = NULL;

    if (strcmp(kind, "Scale") == 0)
        (void)decide_target(review, DECIDE_VALIDATE, &kind);
    if (!kind ||
        jsonval_str_or(jsonval_way(review->object, "metadata.name"), "", &name, &ignored) < 0 ||
        jsonval_str_or(jsonval_way(review->object, "metadata.uid"), NULL, &uid, &ignored) < 0)
        return;
    const struct kube_resource resource = {.group = review->group,
                                           .version = review->version,
                                           .plural = review->resource,
                                           .kind = kind};
    const struct recorder_object object = {.resource = &resource,
                                           .namespace_name = review->namespace_name,
                                           .name = name[0] ? name : review->name,
                                           .uid = uid};

    recorder_event(s->recorder, &object, true, "MultipleWriters", "Admit", "%s", text);
}

static void on_risk(void *ctx, const struct review *review, const char *replica UNUSED,
                    const char *why)
{
    if (strcmp(review->kind, "Pod") == 0)
        pod_event(ctx, review, "MultipleWriters", why);
    else
        workload_event(ctx, review, why);
}

/* ---- life ---- */

int webhook_source_new(const struct webhook_source_config *config,
                       struct webhook_source_state **out, struct error *err)
{
    struct webhook_source_state *s = mem_new(1, sizeof(*s), err);

    if (!s)
        return -1;
    struct informer_set *informers = config->informers;
    s->client = config->client;
    s->loop = config->loop;
    s->log = config->log;
    s->recorder = config->recorder;
    s->lookups.client = config->client;
    loop_timer_init(&s->refused_timer, s->loop, refused_tell, s);
    if (informer_set_get(informers, &kind_replicas, &s->replicas, err) < 0 ||
        informer_set_get(informers, &kind_buckets, &s->buckets, err) < 0 ||
        informer_set_get(informers, &kind_pods, &s->pods, err) < 0) {
        free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void webhook_source_free(struct webhook_source_state *s)
{
    struct error canceled = ERROR_INIT;

    if (!s)
        return;
    (void)error_set(&canceled, ERR_CANCELED, 0, "the webhook ends");
    loop_timer_stop(&s->refused_timer);
    webhook_lookups_cancel(&s->lookups);
    waiters_tell(TAKE(s->refused), &canceled);
    while (s->looks) {
        struct look *l = s->looks;
        s->looks = l->next;
        kube_cancel(l->request);
        look_free(l, &canceled);
    }
    for (size_t i = 0; i < WEBHOOK_SOURCE_KEPT_MAX; i++)
        kept_clear(&s->kept[i]);
    free(s);
}

struct webhook_source webhook_source_of(struct webhook_source_state *s)
{
    return (struct webhook_source){
        .ctx = s,
        .is_synced = is_synced,
        .look = look,
        .refresh = refresh,
        .workload_look = workload_look,
        .namespace_look = namespace_look,
        .on_skipped = on_skipped,
        .on_risk = on_risk,
        .prefix_rival = prefix_rival,
    };
}
