/*
 * A namespace for tests of SqliteRestore: an API server in the process, a controller that can be
 * killed and begun again, and a world that does what Kubernetes would: it makes and ends pods as a
 * Deployment says and our webhook admits, and ends Jobs as the test says.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_RESTORE_SCENE_H
#define WALFERRY_CONTROLLER_REPLICA_RESTORE_SCENE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/kube/kube_scene.h"
#include "controller/replica/replica.h"
#include "lib/json/json.h"

#define SHOP_REPLICA    "/apis/walferry.dev/v1alpha1/namespaces/shop/sqlitereplicas/orders"
#define SHOP_RESTORE    "/apis/walferry.dev/v1alpha1/namespaces/shop/sqliterestores/back"
#define SHOP_RESTORE_2  "/apis/walferry.dev/v1alpha1/namespaces/shop/sqliterestores/other"
#define SHOP_DEPLOYMENT "/apis/apps/v1/namespaces/shop/deployments/web"
#define SHOP_POD        "/api/v1/namespaces/shop/pods/web-1"
#define SHOP_JOB        "/apis/batch/v1/namespaces/shop/jobs/walferry-restore-back"
#define SHOP_JOB_POD    "/api/v1/namespaces/shop/pods/walferry-restore-back-x"

struct restore_scene {
    struct kube_scene kube;
    struct informer_set *informers;
    struct recorder *recorder;
    struct outage outage;
    void *state; /* of the reconciler; NULL: the controller does not run */
    bool is_synced, is_idle;
    /* the world */
    bool has_no_workload;    /* pods and Deployments are the test's business */
    const char *job_message; /* what the pod of the Job leaves; NULL: it never ends */
    bool job_fails;          /* it does */
    bool was_started_early;  /* the Job began while a pod was there */
    unsigned job_count;      /* Jobs that were made */
    bool is_job_known;
    const char *wanted; /* see restore_scene_until() */
    const char *wanted_path;
};

#define REWOUND                                                                                    \
    "{\"outcome\":\"rewound\",\"txid\":\"0000000000000007\",\"tip_txid\":\"000000000000000a\","    \
    "\"timestamp\":\"2026-11-21T09:30:00Z\",\"bytes\":4096}"

/* Creates or replaces the object at path by JSON, from a format. */
static inline void shop_put(struct restore_scene *s, const char *path, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static inline void shop_put(struct restore_scene *s, const char *path, const char *fmt, ...)
{
    char text[4096];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    assert_true(n > 0 && (size_t)n < sizeof(text));
    kube_server_put(s->kube.server, path, text);
}

/* Whether the object at path is there and its JSON holds part (NULL: is there). */
static inline bool shop_has(struct restore_scene *s, const char *path, const char *part)
{
    char *text = kube_server_get(s->kube.server, path);
    bool has = text && (!part || strstr(text, part));

    free(text);
    return has;
}

/* The API server's condition. */
static inline bool shop_condition(struct restore_scene *s, const char *path, const char *type,
                                  const char *status)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    char *text = kube_server_get(s->kube.server, path);
    bool is_so = false;

    if (!text)
        return false;
    assert_ok(jsonval_parse(&doc, "object", slice_of_str(text), &err), &err);
    free(text);
    for (struct jsonval c = jsonval_first(jsonval_way(jsonval_root(&doc), "status.conditions"));
         jsonval_exists(c); c = jsonval_next(c)) {
        const char *found_type = "", *found_status = "";
        assert_ok(jsonval_str(jsonval_get(c, "type"), &found_type, &err), &err);
        assert_ok(jsonval_str(jsonval_get(c, "status"), &found_status, &err), &err);
        is_so |= strcmp(found_type, type) == 0 && strcmp(found_status, status) == 0;
    }
    return is_so;
}

/* ---- the world ---- */

static inline void shop_deployment_put(struct restore_scene *s, unsigned replicas)
{
    shop_put(s, SHOP_DEPLOYMENT,
             "{\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"uid\":\"d1\"},\"spec\":{"
             "\"replicas\":%u,\"template\":{\"metadata\":{\"labels\":{\"walferry.dev/replica\":"
             "\"orders\"}}}}}",
             replicas);
}

static inline void shop_pod_put(struct restore_scene *s, const char *path, const char *name)
{
    shop_put(s, path,
             "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"shop\",\"uid\":\"p1\",\"labels\":{"
             "\"walferry.dev/replica\":\"orders\"}},\"status\":{\"phase\":\"Running\"}}",
             name);
}

static inline void world_workload_tick(struct restore_scene *s)
{
    bool is_wanted =
        shop_has(s, SHOP_DEPLOYMENT, NULL) && !shop_has(s, SHOP_DEPLOYMENT, "\"replicas\":0");
    bool is_there = shop_has(s, SHOP_POD, NULL);

    if (is_there && !is_wanted)
        kube_server_delete(s->kube.server, SHOP_POD);
    bool is_admitted = !shop_has(s, SHOP_REPLICA, "\"podsMayRun\":false");
    if (is_wanted && !is_there && is_admitted)
        shop_pod_put(s, SHOP_POD, "web-1");
}

static inline void world_job_tick(struct restore_scene *s)
{
    bool is_there = shop_has(s, SHOP_JOB, NULL);

    if (is_there && !s->is_job_known) {
        s->job_count++;
        s->was_started_early |= shop_has(s, SHOP_POD, NULL);
    }
    s->is_job_known = is_there;
    if (!is_there || !s->job_message || shop_has(s, SHOP_JOB, "\"conditions\""))
        return;
    CLEANUP(buf_destroy) struct buf message = BUF_INIT(4096);
    struct error err = ERROR_INIT;
    struct json_writer w;
    json_writer_init(&w, &message, JSON_COMPACT);
    json_writer_str(&w, NULL, s->job_message);
    assert_ok(json_writer_finish(&w, &err), &err);
    shop_put(s, SHOP_JOB_POD,
             "{\"metadata\":{\"name\":\"walferry-restore-back-x\",\"namespace\":\"shop\",\"uid\":"
             "\"jp1\",\"creationTimestamp\":\"2026-11-22T10:00:00Z\",\"labels\":{"
             "\"batch.kubernetes.io/job-name\":\"walferry-restore-back\"}},\"status\":{\"phase\":"
             "\"Failed\",\"containerStatuses\":[{\"state\":{\"terminated\":{\"exitCode\":%d,"
             "\"message\":%s}}}]}}",
             s->job_fails ? 1 : 0, buf_str(&message));
    shop_put(
        s, SHOP_JOB,
        "{\"metadata\":{\"name\":\"walferry-restore-back\",\"namespace\":\"shop\",\"uid\":\"j1\","
        "\"creationTimestamp\":\"2026-11-22T10:00:00Z\",\"labels\":{"
        "\"app.kubernetes.io/managed-by\":\"walferry\",\"walferry.dev/purpose\":\"restore\","
        "\"walferry.dev/owner\":\"back\"}},\"status\":{\"conditions\":[{\"type\":\"%s\","
        "\"status\":\"True\",\"lastTransitionTime\":\"2026-11-22T10:00:05Z\"}]}}",
        s->job_fails ? "Failed" : "Complete");
}

static inline void world_tick(struct restore_scene *s)
{
    if (!s->has_no_workload)
        world_workload_tick(s);
    world_job_tick(s);
}

/* ---- the controller ---- */

static inline void scene_on_flag(void *arg)
{
    *(bool *)arg = true;
}

static inline bool scene_flag_is_set(void *arg)
{
    return *(const bool *)arg;
}

static inline void controller_start(struct restore_scene *s)
{
    struct error err = ERROR_INIT;

    kube_scene_client(&s->kube);
    assert_ok(
        informer_set_new(s->kube.client, s->kube.loop, NULL, 0, &s->kube.log, &s->informers, &err),
        &err);
    assert_ok(recorder_new(s->kube.client, s->kube.loop, "walferry.dev/controller", "pod-a",
                           &s->recorder, &err),
              &err);
    const struct reconcile_context context = {.loop = s->kube.loop,
                                              .client = s->kube.client,
                                              .informers = s->informers,
                                              .recorder = s->recorder,
                                              .log = &s->kube.log,
                                              .outage = &s->outage,
                                              .namespace_name = "walferry",
                                              .sidecar_image = "walferry:test"};
    assert_ok(reconciler_restore.start(&context, &s->state, &err), &err);
    s->is_synced = false;
    informer_set_on_synced(s->informers, scene_on_flag, &s->is_synced);
    assert_ok(informer_set_start(s->informers, &err), &err);
    assert_true(kube_scene_until(&s->kube, scene_flag_is_set, &s->is_synced));
    reconciler_restore.resume(s->state);
}

/* As a kill: of what it remembers nothing is left. */
static inline void controller_stop(struct restore_scene *s)
{
    if (!s->state)
        return;
    s->is_idle = false;
    reconciler_restore.pause(s->state, scene_on_flag, &s->is_idle);
    assert_true(kube_scene_until(&s->kube, scene_flag_is_set, &s->is_idle));
    reconciler_restore.free(s->state);
    recorder_free(s->recorder);
    informer_set_free(s->informers);
    s->state = NULL;
}

/* ---- the scene ---- */

static inline void restore_scene_make(struct restore_scene *s)
{
    *s = (struct restore_scene){.job_message = REWOUND};
    kube_scene_make(&s->kube, false);
    s->kube.log.level = getenv("RESTORE_LOG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR;
    shop_put(s, SHOP_REPLICA,
             "{\"metadata\":{\"name\":\"orders\",\"namespace\":\"shop\",\"uid\":\"r1\","
             "\"generation\":1},"
             "\"spec\":{\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\"}],"
             "\"destination\":{\"s3\":{\"bucket\":\"backups\"}},\"prefixTemplate\":"
             "\"{{namespace}}/{{name}}/{{database}}\"}}");
    shop_deployment_put(s, 2);
    shop_pod_put(s, SHOP_POD, "web-1");
}

static inline void restore_scene_drop(struct restore_scene *s)
{
    controller_stop(s);
    kube_scene_drop(&s->kube);
}

/* A SqliteRestore; spec: what follows sourceRef in it. */
static inline void shop_restore_put(struct restore_scene *s, const char *name, const char *spec)
{
    char path[256];

    (void)snprintf(path, sizeof(path),
                   "/apis/walferry.dev/v1alpha1/namespaces/shop/sqliterestores/%s", name);
    shop_put(
        s, path,
        "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"shop\",\"uid\":\"uid-%s\",\"generation\":1,"
        "\"creationTimestamp\":\"2026-11-22T09:59:00Z\"},\"spec\":{\"sourceRef\":{\"name\":"
        "\"orders\"},%s}}",
        name, name, spec);
}

#define IN_PLACE "\"mode\":\"InPlace\",\"targetTime\":\"2026-11-21T09:30:00Z\""

static inline bool scene_is_as_wanted(void *arg)
{
    struct restore_scene *s = arg;

    world_tick(s);
    return shop_has(s, s->wanted_path, s->wanted);
}

/* Until the JSON of the object holds part; the world goes on meanwhile. Shows the object if not. */
static inline void restore_scene_until(struct restore_scene *s, const char *path, const char *part)
{
    s->wanted_path = path;
    s->wanted = part;
    if (kube_scene_until(&s->kube, scene_is_as_wanted, s))
        return;
    char *text = kube_server_get(s->kube.server, path);
    fail_msg("no %s in %s: %s", part ? part : "object", path, text ? text : "(nothing)");
}

#define IS_COMPLETE "\"type\":\"Complete\",\"status\":\"True\""
#define IS_FAILED   "\"type\":\"Failed\",\"status\":\"True\""

#endif
