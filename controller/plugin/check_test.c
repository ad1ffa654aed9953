/*
 * kubectl walferry check and report, against clusters that are well and that are not.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "controller/plugin/plugin_scene.h"
#include "lib/json/json.h"
#include "lib/tls/authority.h"

#define REVIEWS    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
#define OUR_GROUP  "/apis/walferry.dev/v1alpha1"
#define PODS       "/api/v1/namespaces/shop/pods"
#define DEPLOYMENT "/apis/apps/v1/namespaces/ops/deployments/walferry"
#define LEASE      "/apis/coordination.k8s.io/v1/namespaces/ops/leases/walferry"
#define WEBHOOK    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/walferry"
#define METRICS    "/api/v1/namespaces/ops/services/walferry:metrics/proxy/metrics"

static const char denied[] =
    "{\"kind\":\"Status\",\"message\":\"admission webhook \\\"pods.walferry.dev\\\" denied the "
    "request: walferry: there is no SqliteReplica\",\"code\":403}";

static void deployment_put(struct plugin_scene *s, unsigned ready)
{
    char json[512];

    (void)snprintf(json, sizeof(json),
                   "{\"metadata\":{\"labels\":{\"app.kubernetes.io/name\":\"walferry\","
                   "\"app.kubernetes.io/component\":\"controller\",\"app.kubernetes.io/version\":"
                   "\"%s\"}},\"spec\":{\"replicas\":2},\"status\":{\"readyReplicas\":%u}}",
                   walferry_version(), ready);
    kube_server_put(s->server, DEPLOYMENT, json);
}

static void lease_put(struct plugin_scene *s, const char *renewed)
{
    char json[256];

    (void)snprintf(json, sizeof(json),
                   "{\"spec\":{\"holderIdentity\":\"walferry-1\",\"leaseDurationSeconds\":15,"
                   "\"renewTime\":\"%s\"}}",
                   renewed);
    kube_server_put(s->server, LEASE, json);
}

/* With an authority that is valid until then. */
static void webhook_put(struct plugin_scene *s, uint64_t until_ns)
{
    const struct tls_validity validity = {scene_noon(NULL) - NS_PER_DAY, until_ns};
    struct tls_pem ca = TLS_PEM_INIT;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf base64 = BUF_INIT(65536);
    CLEANUP(buf_destroy) struct buf json = BUF_INIT(65536);

    assert_ok(tls_authority_make(env_real(), "walferry", &validity, &ca, &err), &err);
    assert_ok(base64_encode(buf_slice(&ca.cert), &base64, &err), &err);
    assert_ok(buf_printf(&json, &err,
                         "{\"metadata\":{\"labels\":{\"app.kubernetes.io/name\":\"walferry\"}},"
                         "\"webhooks\":[{\"name\":\"pods.walferry.dev\",\"failurePolicy\":\"Fail\","
                         "\"clientConfig\":{\"caBundle\":\"%s\"}}]}",
                         buf_str(&base64)),
              &err);
    kube_server_put(s->server, WEBHOOK, buf_str(&json));
    tls_pem_destroy(&ca);
}

static void metrics_page(struct plugin_scene *s, uint64_t until_ns)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "# TYPE x gauge\n"
                   "walferry_operator_certificate_expiry_timestamp_seconds %llu\n",
                   (unsigned long long)(until_ns / NS_PER_SEC));
    kube_server_page(s->server, "GET", METRICS, NULL, 200, text);
}

static void scene_well(struct plugin_scene *s)
{
    scene_make(s);
    kube_server_page(s->server, "GET", OUR_GROUP, NULL, 200,
                     "{\"resources\":[{\"name\":\"sqlitereplicas\"},{\"name\":\"sqlitebuckets\"},{"
                     "\"name\":\"sqliterestores\"}]}");
    kube_server_page(s->server, "POST", REVIEWS, NULL, 201, "{\"status\":{\"allowed\":true}}");
    kube_server_page(s->server, "POST", PODS, NULL, 403, denied);
    deployment_put(s, 2);
    lease_put(s, "2026-11-21T11:59:57.000000Z");
    webhook_put(s, scene_noon(NULL) + 1000 * NS_PER_DAY);
    metrics_page(s, scene_noon(NULL) + 60 * NS_PER_DAY);
    kube_server_put(s->server, SCENE_REPLICAS "shop/sqlitebuckets/backups",
                    "{\"status\":{\"conditions\":[{\"type\":\"Available\",\"status\":\"True\"}]}}");
    kube_server_put(s->server, SCENE_REPLICAS "shop/sqlitereplicas/good",
                    "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}");
}

static void test_check_of_a_cluster_that_is_well_finds_nothing(void **state UNUSED)
{
    struct plugin_scene s;
    char wanted[2048];
    scene_well(&s);

    (void)snprintf(
        wanted, sizeof(wanted),
        "CHECK                 RESULT   DETAIL\n"
        "api server            ok       v1.36.4 at %s\n"
        "resources             ok       walferry.dev/v1alpha1: sqlitereplicas, sqlitebuckets, "
        "sqliterestores\n"
        "your rights           ok       every command of this plug-in\n"
        "operator              ok       deployment ops/walferry: 2 of 2 ready\n"
        "leader                ok       walferry-1, renewed 3s ago\n"
        "webhook               ok       mutatingwebhookconfiguration walferry, Fail\n"
        "webhook authority     ok       valid for another 2y270d\n"
        "webhook answer        ok       pods with the label are looked at in namespace shop\n"
        "webhook certificate   ok       valid for another 60d\n"
        "buckets               ok       1 of 1 are well in namespace shop\n"
        "replicas              ok       1 of 1 are well in namespace shop\n"
        "\n11 ok, 0 warnings, 0 failed\n",
        kube_server_url(s.server));
    scene_expect(&s, "check", 0, wanted, "");
    assert_int_equal(kube_server_requests(s.server, "dryRun=All"), 1);
    assert_int_equal(kube_server_requests(s.server, "/secrets"), 0);
    assert_int_equal(scene_run(&s, "check -A -o json"), 0);
    assert_non_null(strstr(s.out, "\"failed\": 0,\n  \"warnings\": 0\n}\n"));
    scene_drop(&s);
}

/* Each row makes one thing wrong. */
static void no_resources(struct plugin_scene *s)
{
    kube_server_page(s->server, "GET", OUR_GROUP, NULL, 404, "404 page not found");
}
static void old_cluster(struct plugin_scene *s)
{
    kube_server_page(s->server, "GET", "/version", NULL, 200, "{\"gitVersion\":\"v1.28.2\"}");
}
static void few_rights(struct plugin_scene *s)
{
    kube_server_page(s->server, "POST", REVIEWS, "\"patch\"", 201,
                     "{\"status\":{\"allowed\":false}}");
}
static void no_rights(struct plugin_scene *s)
{
    kube_server_page(s->server, "POST", REVIEWS, NULL, 201, "{\"status\":{\"allowed\":false}}");
}
static void no_operator(struct plugin_scene *s)
{
    kube_server_delete(s->server, DEPLOYMENT);
}
static void operator_down(struct plugin_scene *s)
{
    deployment_put(s, 0);
}
static void one_down(struct plugin_scene *s)
{
    deployment_put(s, 1);
}
static void old_lease(struct plugin_scene *s)
{
    lease_put(s, "2026-11-21T11:50:00Z");
}
static void no_lease(struct plugin_scene *s)
{
    kube_server_delete(s->server, LEASE);
}
static void no_webhook(struct plugin_scene *s)
{
    kube_server_delete(s->server, WEBHOOK);
}
static void no_bundle(struct plugin_scene *s)
{
    kube_server_put(s->server, WEBHOOK,
                    "{\"metadata\":{\"labels\":{\"app.kubernetes.io/name\":\"walferry\"}},"
                    "\"webhooks\":[{\"name\":\"pods.walferry.dev\",\"clientConfig\":{}}]}");
}
static void old_authority(struct plugin_scene *s)
{
    webhook_put(s, scene_noon(NULL) - NS_PER_HOUR);
}
static void old_certificate(struct plugin_scene *s)
{
    metrics_page(s, scene_noon(NULL) + 3 * NS_PER_DAY);
}
static void away(struct plugin_scene *s)
{
    kube_server_page(s->server, "POST", PODS, NULL, 500,
                     "{\"kind\":\"Status\",\"message\":\"Internal error occurred: failed calling "
                     "webhook \\\"pods.walferry.dev\\\": x509: unknown authority\",\"code\":500}");
}
static void excluded(struct plugin_scene *s)
{
    kube_server_page(s->server, "POST", PODS, NULL, 201, "{\"kind\":\"Pod\"}");
}
static void no_metrics(struct plugin_scene *s)
{
    kube_server_page(s->server, "GET", METRICS, NULL, 403, "{\"message\":\"no\",\"code\":403}");
}
static void bad_bucket(struct plugin_scene *s)
{
    kube_server_put(s->server, SCENE_REPLICAS "shop/sqlitebuckets/backups",
                    "{\"status\":{\"conditions\":[{\"type\":\"Available\",\"status\":\"False\","
                    "\"reason\":\"AuthFailed\",\"message\":\"403 AccessDenied\"}]}}");
}
static void new_bucket(struct plugin_scene *s)
{
    kube_server_put(s->server, SCENE_REPLICAS "shop/sqlitebuckets/backups", "{}");
}
static void bad_replica(struct plugin_scene *s)
{
    kube_server_put(s->server, SCENE_REPLICAS "shop/sqlitereplicas/good",
                    "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"},{"
                    "\"type\":\"SingleWriter\",\"status\":\"False\",\"reason\":\"MultipleWriters\","
                    "\"message\":\"Two.\"}]}}");
}
static void paused_replica(struct plugin_scene *s)
{
    kube_server_put(s->server, SCENE_REPLICAS "shop/sqlitereplicas/good",
                    "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"},{"
                    "\"type\":\"Replicating\",\"status\":\"False\",\"reason\":\"Suspended\","
                    "\"message\":\"Paused.\"}]}}");
}

static void test_check_names_each_thing_that_is_wrong(void **state UNUSED)
{
    static const struct {
        const char *name;
        void (*spoil)(struct plugin_scene *s);
        int status;
        const char *finding, *hint;
    } rows[] = {
        {"resources", no_resources, 1, "FAILED   walferry.dev/v1alpha1 is not served",
         "resources: helm install"},
        {"old cluster", old_cluster, 1, "FAILED   v1.28.2 at", "sidecars need Kubernetes 1.29"},
        {"few rights", few_rights, 0, "warning   you may not patch sqlitereplicas (pause, resume)",
         "your rights: the ClusterRoles view and edit"},
        {"no rights", no_rights, 1, "FAILED   you may not list sqlitereplicas (status, lag), ", ""},
        {"no operator", no_operator, 1, "FAILED   no Deployment has the labels", "helm install"},
        {"down", operator_down, 1, "FAILED   deployment ops/walferry: 0 of 2 ready",
         "operator: kubectl describe pods"},
        {"one down", one_down, 0, "warning   deployment ops/walferry: 1 of 2 ready", ""},
        {"old lease", old_lease, 1, "FAILED   walferry-1 has not renewed its lease for 10m",
         "are the clocks right?"},
        {"no lease", no_lease, 1, "FAILED   no lease ops/walferry: nobody leads", "its log tells"},
        {"no webhook", no_webhook, 1, "FAILED   no MutatingWebhookConfiguration", ""},
        {"no bundle", no_bundle, 1, "FAILED   pods.walferry.dev of walferry has no caBundle", ""},
        {"old authority", old_authority, 1, "FAILED   expired 60m ago", "renews its own"},
        {"old certificate", old_certificate, 0, "warning   valid for another 3d", "renews its own"},
        {"away", away, 1, "failed calling webhook", "can the API server reach"},
        {"excluded", excluded, 1, "FAILED   a pod with the label is admitted in namespace shop",
         "namespaceSelector"},
        {"no metrics", no_metrics, 0, "warning   not looked at: get /api/v1/namespaces/ops", ""},
        {"bad bucket", bad_bucket, 1, "FAILED   shop/backups: AuthFailed: 403 AccessDenied", ""},
        {"new bucket", new_bucket, 0, "warning   shop/backups: NotProbed", "is one running?"},
        {"bad replica", bad_replica, 1, "FAILED   shop/good: SingleWriter: MultipleWriters: Two.",
         ""},
        {"paused", paused_replica, 0, "warning   shop/good: Replicating: Suspended: Paused.", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct plugin_scene s;
        scene_well(&s);
        rows[i].spoil(&s);
        int status = scene_run(&s, "check");
        test_row(rows[i].name);
        assert_string_equal(s.err, "");
        if (!strstr(s.out, rows[i].finding) || !strstr(s.out, rows[i].hint))
            fail_msg("not \"%s\" and \"%s\" in:\n%s", rows[i].finding, rows[i].hint, s.out);
        assert_int_equal(status, rows[i].status);
        scene_drop(&s);
    }
}

/* ---- report ---- */

static void report_fill(struct plugin_scene *s)
{
    scene_well(s);
    kube_server_put(s->server, PODS "/good-0",
                    "{\"metadata\":{\"labels\":{\"walferry.dev/replica\":\"good\"}},\"spec\":{"
                    "\"initContainers\":[{\"name\":\"walferry-restore\"},{\"name\":\"walferry\","
                    "\"env\":[{\"name\":\"X\",\"value\":\"hunter2\"}],\"ports\":[{"
                    "\"containerPort\":9091}]}],\"containers\":[{\"name\":\"app\"}]}}");
    kube_server_page(s->server, "GET", PODS "/good-0/log", NULL, 200,
                     "{\"msg\":\"request\",\"url\":\"http://u:hunter2@minio/b\"}\n");
    kube_server_page(s->server, "GET", PODS "/good-0:9091/proxy/status", NULL, 200,
                     "{\"databases\":[],\"token\":\"hunter2\"}");
    kube_server_put(s->server, "/api/v1/namespaces/shop/configmaps/walferry-good",
                    "{\"data\":{\"walferry.yml\":\"addr: :9090\\n# password: hunter2\\n\"}}");
    kube_server_put(s->server, "/api/v1/namespaces/shop/configmaps/other",
                    "{\"data\":{\"x\":\"hunter2\"}}");
    kube_server_put(s->server, "/api/v1/namespaces/shop/secrets/s3-keys",
                    "{\"data\":{\"x\":\"hunter2\"}}");
    kube_server_put(
        s->server, "/apis/events.k8s.io/v1/namespaces/shop/events/e1",
        "{\"regarding\":{\"kind\":\"SqliteReplica\",\"name\":\"good\"},\"reason\":\"Ok\"}");
}

/* The content of a file of the report. */
static char *report_read(struct plugin_scene *s, const char *name)
{
    char path[600];

    (void)snprintf(path, sizeof(path), "%s/r/%s", s->folder, name);
    return scene_printed(path);
}

static void report_has(struct plugin_scene *s, const char *name, const char *part)
{
    CLEANUP(mem_free) char *text = report_read(s, name);

    test_row(name);
    if (!strstr(text, part))
        fail_msg("no \"%s\" in %s:\n%s", part, name, text);
    if (strstr(text, "hunter2"))
        fail_msg("a secret in %s:\n%s", name, text);
}

static void test_report_has_what_helps_and_no_secret(void **state UNUSED)
{
    struct plugin_scene s;
    char line[400];
    report_fill(&s);

    (void)snprintf(line, sizeof(line), "report --to %s/r", s.folder);
    assert_int_equal(scene_run(&s, line), 0);
    assert_non_null(strstr(s.err, "look through them before you pass them on"));
    report_has(&s, "README.txt", "namespace shop");
    report_has(&s, "README.txt", "- nothing is missing");
    report_has(&s, "check.json", "\"failed\": 0");
    report_has(&s, "resources/sqlitereplicas.json", "\"name\": \"good\"");
    report_has(&s, "resources/pods.json", "\"value\": \"REDACTED\"");
    report_has(&s, "resources/configmaps.json", "password: REDACTED");
    report_has(&s, "resources/events.json", "SqliteReplica");
    report_has(&s, "logs/shop/good-0/walferry.log", "http://REDACTED@minio/b");
    report_has(&s, "logs/shop/good-0/walferry-restore.log", "REDACTED");
    report_has(&s, "status/shop/good-0.json", "REDACTED");
    assert_int_equal(kube_server_requests(s.server, "/secrets"), 0);
    /* Never over what is there. */
    scene_refused(&s, line, 1, "is there already", "");
    scene_drop(&s);
}

static void test_report_as_an_archive_is_one_that_tar_reads(void **state UNUSED)
{
    struct plugin_scene s;
    char line[1200];
    report_fill(&s);

    kube_server_page(s.server, "GET", PODS "/good-0/log", NULL, 403,
                     "{\"message\":\"pods log is forbidden\",\"code\":403}");
    (void)snprintf(line, sizeof(line), "report --to %s/r.tar", s.folder);
    assert_int_equal(scene_run(&s, line), 0);
    (void)snprintf(line, sizeof(line),
                   "tar -C %s -xf %s/r.tar && mv %s/walferry-report-20261121T120000Z %s/r",
                   s.folder, s.folder, s.folder, s.folder);
    assert_int_equal(system(line), 0);
    report_has(&s, "README.txt", "- logs/shop/good-0/walferry.log: ");
    report_has(&s, "resources/sqlitebuckets.json", "backups");
    assert_int_equal(scene_run(&s, "report --to -"), 0);
    assert_memory_equal(s.out, "walferry-report-20261121T120000Z/check.json", 43);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_check_of_a_cluster_that_is_well_finds_nothing),
        TEST(test_check_names_each_thing_that_is_wrong),
        TEST(test_report_has_what_helps_and_no_secret),
        TEST(test_report_as_an_archive_is_one_that_tar_reads),
    };
    return TEST_MAIN(tests);
}
