/*
 * What tests of reconcilers share: an API server in the process (lib/testing/kube_server.h), the
 * informers, a reconciler that leads, and a sidecar that answers /status with whatever text the test
 * gives it. Objects are put and read by their paths; a test waits until one says what it should.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_REPLICA_SCENE_H
#define WALFERRY_CONTROLLER_REPLICA_REPLICA_SCENE_H

#include <stdlib.h>

#include "controller/inject/job.h"
#include "controller/kube/kube_scene.h"
#include "controller/replica/kinds.h"
#include "controller/replica/replica.h"
#include "lib/http/server.h"

#define SHOP_PODS        "/api/v1/namespaces/shop/pods/"
#define SHOP_CONFIG_MAPS "/api/v1/namespaces/shop/configmaps/"
#define SHOP_JOBS        "/apis/batch/v1/namespaces/shop/jobs/"
#define SHOP_CRON_JOBS   "/apis/batch/v1/namespaces/shop/cronjobs/"
#define SHOP_APPS        "/apis/apps/v1/namespaces/shop/"
#define SHOP_EVENTS      "/apis/events.k8s.io/v1/namespaces/shop/events"
#define SHOP_OURS        "/apis/walferry.dev/v1alpha1/namespaces/shop/"

struct replica_scene {
    struct kube_scene kube;
    struct informer_set *set;
    struct recorder *recorder;
    const struct reconciler *reconciler;
    void *state;
    struct http_server *sidecar;
    const char *status;  /* what the sidecar answers; NULL: 503 */
    const char *version; /* its version; NULL: a sidecar that cannot be listened to */
    struct http_server_request *waiting; /* who listens */
    unsigned wait_count;
    struct outage outage;
    unsigned scrape_count;
    bool is_synced, is_idle;
};

static inline void replica_scene_on_status(void *arg, struct http_server_request *request)
{
    struct replica_scene *s = arg;
    struct http_server_response response = {
        .status = 200, .content_type = "application/json", .body = BUF_INIT(1 << 20)};
    struct error err = ERROR_INIT;

    s->scrape_count++;
    if (!s->status) {
        http_server_respond_text(request, 503, "not yet");
        return;
    }
    assert_ok(buf_append_str(&response.body, s->status, &err), &err);
    const struct http_header header = {"ETag", s->version};
    response.headers = &header;
    response.header_count = s->version ? 1 : 0;
    http_server_respond(request, &response);
}

static inline void replica_scene_on_changes(void *arg, struct http_server_request *request)
{
    struct replica_scene *s = arg;

    s->wait_count++;
    if (s->waiting) /* it has gone, or will be told by the next one */
        http_server_respond_text(s->waiting, 503, "another one waits");
    s->waiting = request;
}

/* The sidecar tells its version to who listens; version has the quotes of an ETag. */
static inline void scene_tell(struct replica_scene *s, const char *version)
{
    s->version = version;
    if (s->waiting) {
        http_server_respond_text(TAKE(s->waiting), 200, "%.*s", (int)strlen(version) - 2,
                                 version + 1);
    }
}

static inline bool replica_scene_is_set(void *arg)
{
    return *(const bool *)arg;
}

static inline void replica_scene_set(void *arg)
{
    *(bool *)arg = true;
}

/* Informers and a leading reconciler, on the API server that is there. */
static inline void replica_scene_lead(struct replica_scene *s)
{
    struct error err = ERROR_INIT;

    assert_ok(informer_set_new(s->kube.client, s->kube.loop, NULL, 0, &s->kube.log, &s->set, &err),
              &err);
    assert_ok(recorder_new(s->kube.client, s->kube.loop, "walferry.dev/controller", "test",
                           &s->recorder, &err),
              &err);
    const struct reconcile_context context = {.loop = s->kube.loop,
                                              .client = s->kube.client,
                                              .informers = s->set,
                                              .recorder = s->recorder,
                                              .log = &s->kube.log,
                                              .outage = &s->outage,
                                              .namespace_name = "walferry",
                                              .sidecar_image = "walferry:1",
                                              .interval_ns = 50 * NS_PER_MS};
    assert_ok(s->reconciler->start(&context, &s->state, &err), &err);
    s->is_synced = false;
    informer_set_on_synced(s->set, replica_scene_set, &s->is_synced);
    assert_ok(informer_set_start(s->set, &err), &err);
    assert_true(kube_scene_until(&s->kube, replica_scene_is_set, &s->is_synced));
    s->reconciler->resume(s->state);
}

/* Ends what replica_scene_lead() began, as a process that ends well. */
static inline void replica_scene_leave(struct replica_scene *s)
{
    s->is_idle = false;
    s->reconciler->pause(s->state, replica_scene_set, &s->is_idle);
    assert_true(kube_scene_until(&s->kube, replica_scene_is_set, &s->is_idle));
    s->reconciler->free(s->state);
    recorder_free(s->recorder);
    informer_set_free(s->set);
}

static inline void replica_scene_make(struct replica_scene *s, const struct reconciler *reconciler)
{
    static const struct http_route routes[] = {
        {"GET", "/status", replica_scene_on_status},
        {"GET", "/status/changes", replica_scene_on_changes}};
    struct http_server_config config = {.listener_count = 1};
    struct error err = ERROR_INIT;

    *s = (struct replica_scene){.reconciler = reconciler};
    kube_scene_make(&s->kube, false);
    config.listeners[0] = (struct http_listener){
        .address = "127.0.0.1", .routes = routes, .route_count = ARRAY_LEN(routes), .arg = s};
    assert_ok(http_server_new(s->kube.loop, &config, &s->sidecar, &err), &err);
    replica_scene_lead(s);
}

static inline void replica_scene_drop(struct replica_scene *s)
{
    replica_scene_leave(s);
    http_server_free(s->sidecar);
    if (s->waiting)
        http_server_respond_text(TAKE(s->waiting), 503, "ending");
    kube_scene_drop(&s->kube);
}

/* ---- waiting ---- */

struct replica_scene_look {
    struct replica_scene *s;
    const char *path;
    const char *part;
    bool is_absent; /* waits until it does not say so */
};

static inline bool replica_scene_says(void *arg)
{
    const struct replica_scene_look *l = arg;
    CLEANUP(mem_free) char *json = kube_server_get(l->s->kube.server, l->path);

    return (json && strstr(json, l->part) != NULL) != l->is_absent;
}

static inline void replica_scene_look(struct replica_scene_look *l)
{
    if (kube_scene_until(&l->s->kube, replica_scene_says, l))
        return;
    CLEANUP(mem_free) char *json = kube_server_get(l->s->kube.server, l->path);
    fail_msg("%s: %s\"%s\" in: %s", l->path, l->is_absent ? "" : "no ", l->part,
             json ? json : "nothing");
}

/* Until the object at path has part in its JSON. */
static inline void scene_wait(struct replica_scene *s, const char *path, const char *part)
{
    replica_scene_look(&(struct replica_scene_look){.s = s, .path = path, .part = part});
}

/* Until it has not, or is gone. */
static inline void scene_wait_not(struct replica_scene *s, const char *path, const char *part)
{
    replica_scene_look(
        &(struct replica_scene_look){.s = s, .path = path, .part = part, .is_absent = true});
}

struct replica_scene_scrapes {
    struct replica_scene *s;
    unsigned count;
};

static inline bool replica_scene_was_scraped(void *arg)
{
    const struct replica_scene_scrapes *w = arg;

    return w->s->scrape_count >= w->count;
}

/* Until the sidecar was asked so many times more. */
static inline void scene_wait_scrapes(struct replica_scene *s, unsigned more)
{
    struct replica_scene_scrapes w = {s, s->scrape_count + more};

    assert_true(kube_scene_until(&s->kube, replica_scene_was_scraped, &w));
}

static inline bool replica_scene_is_listened_to(void *arg)
{
    return ((const struct replica_scene *)arg)->waiting != NULL;
}

/* Until somebody waits for news of the sidecar. */
static inline void scene_wait_listener(struct replica_scene *s)
{
    assert_true(kube_scene_until(&s->kube, replica_scene_is_listened_to, s));
}

struct replica_scene_count {
    struct replica_scene *s;
    const char *part;
    unsigned count;
};

static inline bool replica_scene_has_asked(void *arg)
{
    const struct replica_scene_count *c = arg;

    return kube_server_requests(c->s->kube.server, c->part) >= c->count;
}

/* Until at least so many requests had part in "METHOD /path?query". */
static inline void scene_wait_requests(struct replica_scene *s, const char *part, unsigned count)
{
    struct replica_scene_count c = {s, part, count};

    if (!kube_scene_until(&s->kube, replica_scene_has_asked, &c)) {
        fail_msg("%s: %u requests, not %u", part, kube_server_requests(s->kube.server, part),
                 count);
    }
}

/* ---- objects ---- */

/* Puts an object whose text is a format. */
static inline void scene_put(struct replica_scene *s, const char *path, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static inline void scene_put(struct replica_scene *s, const char *path, const char *fmt, ...)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf json = BUF_INIT(1 << 20);
    va_list ap;

    va_start(ap, fmt);
    assert_ok(buf_vprintf(&json, &err, fmt, ap), &err);
    va_end(ap);
    kube_server_put(s->kube.server, path, buf_str(&json));
}

/* A SqliteReplica "app" of this generation; more is further JSON of the spec, with a comma before. */
static inline void scene_replica_put(struct replica_scene *s, unsigned generation, const char *more)
{
    scene_put(s, SHOP_OURS "sqlitereplicas/app",
              "{\"metadata\":{\"generation\":%u},\"spec\":{\"databases\":[{\"name\":\"main\","
              "\"path\":\"/data/app.db\"}],\"destination\":{\"s3\":{\"bucket\":\"backups\"}}%s}}",
              generation, more);
}

/*
 * A running pod with the label, injected under this hash (NULL: without a sidecar); owner is JSON of
 * an owner reference, or "".
 */
static inline void scene_pod_put(struct replica_scene *s, const char *name, const char *hash,
                                 const char *owner)
{
    char path[300], annotations[128] = "", init[256] = "";

    (void)snprintf(path, sizeof(path), SHOP_PODS "%s", name);
    if (hash) {
        (void)snprintf(annotations, sizeof(annotations), "\"walferry.dev/spec-hash\":\"%s\"", hash);
        (void)snprintf(init, sizeof(init),
                       "{\"name\":\"walferry\",\"ports\":[{\"containerPort\":%u}]}",
                       http_server_port(s->sidecar, 0));
    }
    scene_put(s, path,
              "{\"metadata\":{\"labels\":{\"walferry.dev/replica\":\"app\"},\"annotations\":{%s},"
              "\"ownerReferences\":[%s]},\"spec\":{\"initContainers\":[%s]},\"status\":{\"phase\":"
              "\"Running\",\"podIP\":\"127.0.0.1\",\"initContainerStatuses\":[{\"name\":"
              "\"walferry\",\"started\":true}]}}",
              annotations, owner, init);
}

/* The hash that pods of "app" should carry, as its status says. The caller frees. */
static inline char *scene_spec_hash(struct replica_scene *s)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    const char *hash = NULL;

    scene_wait(s, SHOP_OURS "sqlitereplicas/app", "specHash");
    CLEANUP(mem_free)
    char *json = kube_server_get(s->kube.server, SHOP_OURS "sqlitereplicas/app");
    assert_ok(jsonval_parse(&doc, "app", slice_of_str(json), &err), &err);
    assert_ok(jsonval_str(jsonval_way(jsonval_root(&doc), "status.specHash"), &hash, &err), &err);
    return str_dup(hash, &err);
}

/*
 * A Job of ours that has ended ("Complete" or "Failed") a moment from now on, so later than whatever
 * is known, and its pod with this termination message.
 */
static inline void scene_job_end(struct replica_scene *s, const char *name, const char *purpose,
                                 const char *end, const char *message)
{
    CLEANUP(buf_destroy) struct buf quoted = BUF_INIT(1 << 16);
    struct error err = ERROR_INIT;
    struct json_writer w;
    uint64_t now_ns = env_wall_ns(env_real());
    char path[300], began[TIME_TEXT_BYTES], ended[TIME_TEXT_BYTES];

    json_writer_init(&w, &quoted, JSON_COMPACT);
    json_writer_str(&w, NULL, message);
    assert_ok(json_writer_finish(&w, &err), &err);
    (void)time_format_rfc3339(now_ns, began);
    (void)time_format_rfc3339(now_ns + 7 * NS_PER_SEC, ended);
    (void)snprintf(path, sizeof(path), SHOP_PODS "%s-x", name);
    scene_put(s, path,
              "{\"metadata\":{\"labels\":{\"batch.kubernetes.io/job-name\":\"%s\"},"
              "\"creationTimestamp\":\"%s\"},\"status\":{\"containerStatuses\":[{\"state\":{"
              "\"terminated\":{\"exitCode\":%d,\"message\":%s}}}]}}",
              name, began, strcmp(end, "Failed") == 0, buf_str(&quoted));
    (void)snprintf(path, sizeof(path), SHOP_JOBS "%s", name);
    scene_put(s, path,
              "{\"metadata\":{\"creationTimestamp\":\"%s\",\"labels\":{"
              "\"app.kubernetes.io/managed-by\":\"walferry\",\"walferry.dev/purpose\":\"%s\","
              "\"walferry.dev/owner\":\"app\"}},\"status\":{\"conditions\":[{\"type\":\"%s\","
              "\"status\":\"True\",\"lastTransitionTime\":\"%s\",\"message\":\"it ended\"}]}}",
              began, purpose, end, ended);
}

#endif
