/*
 * kubectl walferry status: tables, details, JSON, and following.
 */
#include <pthread.h>
#include <signal.h>

#include "controller/plugin/plugin_scene.h"
#include "lib/json/json.h"

static void test_status_is_a_line_for_each_replica_of_the_namespace(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_expect(&s, "status", 0, "", "No resources found in shop namespace.\n");
    scene_expect(&s, "status -A", 0, "", "No resources found\n");
    scene_replica(&s, "shop", "shop");
    scene_replica(&s, "prod", "erp");
    scene_expect(&s, "status", 1,
                 "NAME   READY   REASON    PODS   LAG   LATEST   AGE\n"
                 "shop   False   Lagging   1/1    2m    5s       60m\n",
                 "");
    scene_expect(&s, "status -n prod", 1,
                 "NAME   READY   REASON    PODS   LAG   LATEST   AGE\n"
                 "erp    False   Lagging   1/1    2m    5s       60m\n",
                 "");
    scene_expect(&s, "--context other status", 1,
                 "NAME   READY   REASON    PODS   LAG   LATEST   AGE\n"
                 "erp    False   Lagging   1/1    2m    5s       60m\n",
                 "");
    scene_expect(&s, "status -A", 1,
                 "NAMESPACE   NAME   READY   REASON    PODS   LAG   LATEST   AGE\n"
                 "shop        shop   False   Lagging   1/1    2m    5s       60m\n"
                 "prod        erp    False   Lagging   1/1    2m    5s       60m\n",
                 "");
    scene_expect(&s, "status -o wide", 1,
                 "NAME   READY   REASON    PODS   LAG   LATEST   AGE   VERIFIED        SNAPSHOT   "
                 "EARLIEST   STORED\n"
                 "shop   False   Lagging   1/1    2m    5s       60m   Passed 8h ago   9h         "
                 "7d         5.0MiB\n",
                 "");
    scene_drop(&s);
}

static void test_status_of_a_resource_without_status_says_so(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    kube_server_put(s.server, SCENE_REPLICAS "shop/sqlitereplicas/new",
                    "{\"metadata\":{\"creationTimestamp\":\"2026-11-21T11:59:50Z\"}}");
    scene_expect(&s, "status", 1,
                 "NAME   READY     REASON          PODS   LAG      LATEST   AGE\n"
                 "new    Unknown   NotReconciled   0/0    <none>   <none>   10s\n",
                 "");
    scene_expect(&s, "status new", 1,
                 "Name:         new\n"
                 "Namespace:    shop\n"
                 "Ready:        Unknown (the operator has not looked at it yet)\n"
                 "Pods:         0 of 0 have a sidecar\n"
                 "Earliest:     <none>\n"
                 "Latest:       <none>\n"
                 "Snapshot:     <none>\n"
                 "Verified:     <none>\n",
                 "");
    scene_drop(&s);
}

static void test_status_of_one_has_conditions_and_databases(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    scene_expect(
        &s, "status shop", 1,
        "Name:         shop\n"
        "Namespace:    shop\n"
        "Ready:        False (Lagging)\n"
        "Pods:         1 of 1 have a sidecar\n"
        "Earliest:     2026-11-14T12:00:00Z (7d ago)\n"
        "Latest:       2026-11-21T11:59:55Z (5s ago)\n"
        "Snapshot:     2026-11-21T03:00:00Z (9h ago)\n"
        "Verified:     Passed 8h ago, TXID 00000000000000a0, in 12s\n"
        "Stored:       5.0MiB in 321 objects\n"
        "\n"
        "CONDITION   STATUS   REASON     SINCE   MESSAGE\n"
        "Ready       False    Lagging    90s     main of shop-0 is 2m behind.\n"
        "Injected    True     Injected   59m     1 of 1 pods have a sidecar.\n"
        "\n"
        "POD      DATABASE   LAG   BEHIND   REPLICATED         LAST-SYNC   SIZE     LOG      "
        "ERROR\n"
        "shop-0   main       2m    80KiB    00000000000000f0   2m          100MiB   4.0MiB   "
        "PUT s3://backups/shop/main: 503 SlowDown\n"
        "shop-0   cart       0s    0B       0000000000000007   5s          8.0KiB   0B       "
        "<none>\n",
        "");
    kube_server_put(s.server, SCENE_REPLICAS "shop/sqlitereplicas/good",
                    "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
    assert_int_equal(scene_run(&s, "status good"), 0);
    scene_drop(&s);
}

static void test_status_as_json_has_identity_readiness_and_all_of_the_status(void **state UNUSED)
{
    struct plugin_scene s;
    struct error err = ERROR_INIT;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    const char *text;
    uint64_t n;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    assert_int_equal(scene_run(&s, "status -ojson"), 1);
    assert_ok(jsonval_parse(&doc, "out", slice_of_str(s.out), &err), &err);
    struct jsonval item = jsonval_first(jsonval_get(jsonval_root(&doc), "items"));
    assert_ok(jsonval_str(jsonval_get(item, "reason"), &text, &err), &err);
    assert_string_equal(text, "Lagging");
    assert_ok(jsonval_u64(jsonval_get(item, "maxLagSeconds"), &n, &err), &err);
    assert_int_equal(n, 120);
    assert_int_equal(jsonval_count(jsonval_get(item, "databases")), 2);
    assert_int_equal(jsonval_count(jsonval_get(item, "conditions")), 2);
    scene_drop(&s);
}

/* ---- following ---- */

struct meddler {
    struct plugin_scene *scene;
    bool has_seen_first, has_seen_second;
};

/* Waits until the output so far has part; false after a minute. */
static bool shows(const struct plugin_scene *s, const char *part)
{
    for (unsigned i = 0; i < 60000; i++) {
        CLEANUP(mem_free) char *text = scene_printed(s->out_path);
        if (strstr(text, part))
            return true;
        (void)usleep(1000);
    }
    return false;
}

static void *meddle(void *arg)
{
    struct meddler *m = arg;

    m->has_seen_first = shows(m->scene, "\nshop");
    kube_server_put(m->scene->server, SCENE_REPLICAS "shop/sqlitereplicas/shop",
                    "{\"metadata\":{\"creationTimestamp\":\"2026-11-21T11:00:00Z\"},\"status\":{"
                    "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"reason\":"
                    "\"Ready\"}]}}");
    m->has_seen_second = shows(m->scene, "True");
    (void)kill(getpid(), SIGINT);
    return NULL;
}

static void test_status_watches_until_it_is_interrupted(void **state UNUSED)
{
    struct plugin_scene s;
    pthread_t thread;
    scene_make(&s);
    struct meddler m = {.scene = &s};

    scene_replica(&s, "shop", "shop");
    test_file_write(s.out_path, SLICE_LIT(""));
    assert_int_equal(pthread_create(&thread, NULL, meddle, &m), 0);
    scene_expect(&s, "status -w shop", 0,
                 "NAME   READY   REASON    PODS   LAG   LATEST   AGE\n"
                 "shop   False   Lagging   1/1    2m    5s       60m\n"
                 "shop   True    Ready     0/0    <none>   <none>   60m\n",
                 "");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(m.has_seen_first && m.has_seen_second);
    scene_drop(&s);
}

static void test_status_watch_ends_after_its_time(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    /* Whatever has come by then; what is not there is told at once. */
    assert_int_equal(scene_run(&s, "status -w --timeout 10ms"), 0);
    scene_refused(&s, "status -w nothing", 4, "404", "lists those that there are");
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_status_is_a_line_for_each_replica_of_the_namespace),
        TEST(test_status_of_a_resource_without_status_says_so),
        TEST(test_status_of_one_has_conditions_and_databases),
        TEST(test_status_as_json_has_identity_readiness_and_all_of_the_status),
        TEST(test_status_watches_until_it_is_interrupted),
        TEST(test_status_watch_ends_after_its_time),
    };
    return TEST_MAIN(tests);
}
