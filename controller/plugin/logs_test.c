/*
 * kubectl walferry logs and snapshots: what pods are asked through the API server.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "controller/plugin/plugin_scene.h"

#define PODS "/api/v1/namespaces/shop/pods/"

static void pod_put(struct plugin_scene *s, const char *name, const char *label,
                    const char *init_containers)
{
    char path[128], json[1024];

    (void)snprintf(path, sizeof(path), PODS "%s", name);
    (void)snprintf(json, sizeof(json),
                   "{\"metadata\":{\"labels\":{%s}},\"spec\":{\"initContainers\":[%s],"
                   "\"containers\":[{\"name\":\"app\"}]},\"status\":{\"phase\":\"Running\"}}",
                   label, init_containers);
    kube_server_put(s->server, path, json);
}

static const char sidecar[] =
    "{\"name\":\"walferry-restore\"},{\"name\":\"walferry\",\"ports\":[{\"containerPort\":9091}]}";

static void test_logs_are_those_of_the_sidecars_by_pod(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    pod_put(&s, "shop-0", "\"walferry.dev/replica\":\"shop\"", sidecar);
    kube_server_page(s.server, "GET", PODS "shop-0/log", NULL, 200, "one\ntwo\nthree without end");
    scene_expect(&s, "logs shop", 0, "one\ntwo\nthree without end\n", "");
    scene_expect(&s, "logs shop -f --pod shop-0", 0, "one\ntwo\nthree without end\n", "");
    pod_put(&s, "shop-1", "\"walferry.dev/replica\":\"shop\"", sidecar);
    pod_put(&s, "shop-2", "\"walferry.dev/replica\":\"shop\"", "");
    pod_put(&s, "erp-0", "\"walferry.dev/replica\":\"erp\"", sidecar);
    kube_server_page(s.server, "GET", PODS "shop-1/log", NULL, 200, "four\n");
    scene_expect(&s, "logs shop", 0,
                 "[pod/shop-0/walferry] one\n[pod/shop-0/walferry] two\n"
                 "[pod/shop-0/walferry] three without end\n[pod/shop-1/walferry] four\n",
                 "Warning: pod shop-2 has no container walferry\n");
    scene_expect(&s, "logs shop --pod shop-1", 0, "four\n", "");
    assert_int_equal(kube_server_requests(s.server, "erp-0/log"), 0);
    scene_drop(&s);
}

static void test_logs_ask_for_what_the_flags_say(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    pod_put(&s, "shop-0", "\"walferry.dev/replica\":\"shop\"", sidecar);
    pod_put(&s, "job-x",
            "\"walferry.dev/owner\":\"shop\",\"app.kubernetes.io/managed-by\":"
            "\"walferry\"",
            "");
    kube_server_page(s.server, "GET", PODS "shop-0/log", NULL, 200, "x\n");
    kube_server_page(s.server, "GET", PODS "job-x/log", NULL, 200, "verified\n");
    scene_expect(&s, "logs shop -c walferry-restore -p --timestamps --tail 5 --since 90s --prefix",
                 0, "[pod/shop-0/walferry-restore] x\n", "");
    assert_int_equal(kube_server_requests(s.server,
                                          "container=walferry-restore&previous=true&timestamps="
                                          "true&tailLines=5&sinceSeconds=90"),
                     1);
    scene_expect(&s, "logs shop --jobs", 0, "verified\n", "");
    assert_int_equal(kube_server_requests(s.server, "job-x/log?container=app"), 1);
    scene_drop(&s);
}

static void test_logs_that_cannot_be_shown_say_why(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_refused(&s, "logs shop", 4, "no pod of shop/shop has a log to show",
                  "by the label walferry.dev/replica");
    pod_put(&s, "shop-0", "\"walferry.dev/replica\":\"shop\"", "");
    scene_refused(&s, "logs shop", 4, "no pod of shop/shop has a log to show", "roll it out");
    pod_put(&s, "shop-1", "\"walferry.dev/replica\":\"shop\"", sidecar);
    kube_server_page(
        s.server, "GET", PODS "shop-1/log", NULL, 400,
        "{\"kind\":\"Status\",\"message\":\"container is waiting to start\",\"reason\":"
        "\"BadRequest\",\"code\":400}");
    scene_refused(&s, "logs shop", 1, "Error: pod shop-1: ", "container is waiting to start");
    scene_refused(&s, "logs shop -c a/b", 4, "no container a/b", "");
    scene_drop(&s);
}

/* ---- followed ---- */

enum {
    ROUNDS_MAX = 60000, /* of a millisecond: the deadline of the scene */
};

/* A pod of shop whose sidecar runs, and was started so many times before. */
static void running_pod_put(struct plugin_scene *s, const char *name, unsigned restarts)
{
    char path[128], json[1024];

    (void)snprintf(path, sizeof(path), PODS "%s", name);
    (void)snprintf(
        json, sizeof(json),
        "{\"metadata\":{\"labels\":{\"walferry.dev/replica\":\"shop\"},\"uid\":\"uid-%s\"},"
        "\"spec\":{\"initContainers\":[%s],\"containers\":[]},\"status\":{\"phase\":"
        "\"Running\",\"initContainerStatuses\":[{\"name\":\"walferry\",\"restartCount\":%u,"
        "\"state\":{\"running\":{}}}]}}",
        name, sidecar, restarts);
    kube_server_put(s->server, path, json);
}

/* Waits until the line was printed so often. */
static bool has_printed(const struct plugin_scene *s, const char *line, unsigned count)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        CLEANUP(mem_free)
        char *text = access(s->out_path, F_OK) == 0 ? scene_printed(s->out_path) : NULL;
        unsigned seen = 0;
        for (const char *at = text; at && (at = strstr(at, line)); at++)
            seen++;
        if (seen >= count)
            return true;
        (void)poll(NULL, 0, 1);
    }
    return false;
}

/* What happens while the command follows: a restart, a pod that goes, one that comes; and the end. */
static void *world_run(void *arg)
{
    struct plugin_scene *s = arg;

    bool is_good = has_printed(s, "[pod/shop-0/walferry] zero\n", 1);
    running_pod_put(s, "shop-0", 1);
    is_good = is_good && has_printed(s, "[pod/shop-0/walferry] zero\n", 2);
    running_pod_put(s, "shop-0", 1); /* a change that is no restart */
    kube_server_delete(s->server, PODS "shop-0");
    pod_put(s, "shop-1", "\"walferry.dev/replica\":\"shop\"", sidecar); /* not started yet */
    running_pod_put(s, "shop-2", 0);
    is_good = is_good && has_printed(s, "[pod/shop-2/walferry] two\n", 1);
    running_pod_put(s, "shop-1", 0);
    is_good = is_good && has_printed(s, "[pod/shop-1/walferry] one\n", 1);
    (void)kill(getpid(), SIGINT);
    return is_good ? s : NULL;
}

static void test_followed_logs_go_on_with_restarts_and_pods_that_come_later(void **state UNUSED)
{
    struct plugin_scene s;
    pthread_t world;
    void *done = NULL;
    scene_make(&s);

    running_pod_put(&s, "shop-0", 0);
    kube_server_page(s.server, "GET", PODS "shop-0/log", NULL, 200, "zero\n");
    kube_server_page(s.server, "GET", PODS "shop-1/log", NULL, 200, "one\n");
    kube_server_page(s.server, "GET", PODS "shop-2/log", NULL, 200, "two\n");
    assert_int_equal(pthread_create(&world, NULL, world_run, &s), 0);
    assert_int_equal(scene_run(&s, "logs shop -f --tail 1"), 0);
    assert_int_equal(pthread_join(world, &done), 0);
    assert_non_null(done);
    assert_string_equal(s.err, "");
    assert_int_equal(kube_server_requests(s.server, "shop-0/log"), 2);
    /* Only what was there at first has lines that are left out. */
    assert_int_equal(kube_server_requests(s.server, "tailLines=1"), 1);
    scene_drop(&s);
}

/* ---- snapshots ---- */

static const char sidecar_status[] =
    "{\"databases\":[{\"name\":\"/data/shop.db\",\"path\":\"/data/"
    "shop.db\",\"destinations\":[{\"name\":\"primary\",\"restore_window\":"
    "{\"oldest\":\"2026-11-14T12:00:00Z\",\"newest\":\"2026-11-21T11:59:58Z\"},\"snapshot\":{"
    "\"txid\":\"00000000000000f0\",\"at\":\"2026-11-21T03:00:00Z\"},\"bytes\":5242880,\"objects\":"
    "321,\"levels\":[{\"level\":0,\"objects\":300},{\"level\":9,\"objects\":8}]}]}]}";

static void test_snapshots_are_what_the_sidecars_know(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_expect(&s, "snapshots", 0, "", "No resources found in shop namespace.\n");
    scene_replica(&s, "shop", "shop");
    pod_put(&s, "shop-0", "\"walferry.dev/replica\":\"shop\"", sidecar);
    kube_server_page(s.server, "GET", PODS "shop-0:9091/proxy/status", NULL, 200, sidecar_status);
    scene_expect(&s, "snapshots shop", 0,
                 "NAME   POD      DATABASE   DESTINATION   SNAPSHOTS   LAST   TXID               "
                 "EARLIEST   LATEST   STORED   OBJECTS\n"
                 "shop   shop-0   main       primary       8           9h     00000000000000f0   "
                 "7d         2s       5.0MiB   321\n",
                 "");
    assert_int_equal(scene_run(&s, "snapshots -A -o json"), 0);
    assert_non_null(strstr(s.out, "\"snapshots\": 8,\n      \"lastSnapshotTime\": "
                                  "\"2026-11-21T03:00:00Z\",\n      \"lastSnapshotTxid\": "
                                  "\"00000000000000f0\""));
    scene_drop(&s);
}

static void test_each_copy_is_listed_where_that_is_asked_for(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    pod_put(&s, "shop-0", "\"walferry.dev/replica\":\"shop\"", sidecar);
    kube_server_page(
        s.server, "GET", PODS "shop-0:9091/proxy/snapshots", NULL, 200,
        "{\"schema\":1,\"databases\":[{\"path\":\"/data/"
        "shop.db\",\"name\":\"shop\",\"destinations\":[{"
        "\"name\":\"primary\",\"snapshots\":[{\"txid\":\"00000000000000f0\",\"at\":"
        "\"2026-11-21T03:00:00Z\",\"bytes\":5242880},{\"txid\":\"0000000000000001\",\"at\":"
        "\"2026-11-14T12:00:00Z\",\"bytes\":4096}]},{\"name\":\"nas\",\"snapshots\":[{\"txid\":"
        "\"0000000000000007\",\"at\":\"2026-11-20T12:00:00Z\",\"bytes\":8192}]}]}]}");
    scene_expect(&s, "snapshots shop --copies", 0,
                 "NAME   POD      DATABASE   DESTINATION   TXID               AGE   SIZE\n"
                 "shop   shop-0   main       primary       00000000000000f0   9h    5.0MiB\n"
                 "shop   shop-0   main       primary       0000000000000001   7d    4.0KiB\n"
                 "shop   shop-0   main       nas           0000000000000007   24h   8.0KiB\n",
                 "");
    assert_int_equal(scene_run(&s, "snapshots --copies -o json"), 0);
    assert_non_null(
        strstr(s.out, "\"destination\": \"nas\",\n      \"txid\": \"0000000000000007\""));
    /* A sidecar of an earlier version has no such page. */
    kube_server_page(s.server, "GET", PODS "shop-0:9091/proxy/snapshots", NULL, 404,
                     "no such page");
    assert_int_equal(scene_run(&s, "snapshots shop --copies"), 0);
    assert_non_null(strstr(s.err, "Warning: pod shop-0 cannot be asked: "));
    scene_drop(&s);
}

static void test_snapshots_fall_back_on_the_report_of_the_operator(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    pod_put(&s, "shop-0", "\"walferry.dev/replica\":\"shop\"", sidecar);
    kube_server_page(s.server, "GET", PODS "shop-0:9091/proxy/status", NULL, 403,
                     "{\"kind\":\"Status\",\"message\":\"pods is forbidden\",\"code\":403}");
    scene_expect(&s, "snapshots", 0,
                 "NAME   POD      DATABASE   DESTINATION   SNAPSHOTS   LAST   TXID     EARLIEST   "
                 "LATEST   STORED   OBJECTS\n"
                 "shop   <none>   <none>     primary       ?           9h     <none>   7d         "
                 "5s       5.0MiB   321\n",
                 "Warning: pod shop-0 cannot be asked: get "
                 "/api/v1/namespaces/shop/pods/shop-0:9091/proxy/status: 403 pods is forbidden\n");
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_logs_are_those_of_the_sidecars_by_pod),
        TEST(test_logs_ask_for_what_the_flags_say),
        TEST(test_logs_that_cannot_be_shown_say_why),
        TEST(test_followed_logs_go_on_with_restarts_and_pods_that_come_later),
        TEST(test_snapshots_are_what_the_sidecars_know),
        TEST(test_each_copy_is_listed_where_that_is_asked_for),
        TEST(test_snapshots_fall_back_on_the_report_of_the_operator),
    };
    return TEST_MAIN(tests);
}
