/*
 * The operator as a process against an API server: it becomes ready, leads, takes over, ends.
 */
#include <signal.h>
#include <unistd.h>

#include "controller/kube/kube_scene.h"
#include "lib/testing/server.h"

static const char lease_path[] =
    "/apis/coordination.k8s.io/v1/namespaces/walferry/leases/walferry-controller";

struct replica {
    struct test_process process;
    unsigned port;
};

struct scene {
    struct kube_scene kube;
    char kubeconfig[300];
    struct http_client *http;
    struct replica replicas[2];
};

static void scene_make(struct scene *s)
{
    char text[1024];
    struct error err = ERROR_INIT;

    *s = (struct scene){.replicas = {{TEST_PROCESS_INIT, 0}, {TEST_PROCESS_INIT, 0}}};
    kube_scene_make(&s->kube, true);
    (void)snprintf(s->kubeconfig, sizeof(s->kubeconfig), "%s/kubeconfig", s->kube.folder);
    (void)snprintf(
        text, sizeof(text),
        "current-context: test\n"
        "contexts: [{name: test, context: {cluster: here, user: me}}]\n"
        "clusters: [{name: here, cluster: {server: '%s', certificate-authority: ca.pem}}]\n"
        "users: [{name: me, user: {client-certificate: server.pem, client-key: "
        "server-key.pem}}]\n",
        kube_server_url(s->kube.server));
    test_file_write(s->kubeconfig, slice_of_str(text));
    assert_ok(http_client_new(s->kube.loop, &(struct http_client_config){.connections_max = 4},
                              &s->http, &err),
              &err);
}

static void scene_drop(struct scene *s)
{
    for (size_t i = 0; i < ARRAY_LEN(s->replicas); i++)
        test_process_stop(&s->replicas[i].process);
    http_client_free(s->http);
    kube_scene_drop(&s->kube);
}

static void replica_start(struct scene *s, size_t i, const char *name, const char *const *more)
{
    struct replica *r = &s->replicas[i];
    const char *variant = getenv("VARIANT");
    char program[128], port[16], log[320], pod[64];
    const char *argv[24];
    size_t n = 0;

    r->port = test_port_free();
    (void)snprintf(program, sizeof(program), "build/%s/bin/walferry-controller",
                   variant ? variant : "release");
    (void)snprintf(port, sizeof(port), "%u", r->port);
    (void)snprintf(log, sizeof(log), "%s/%s.log", s->kube.folder, name);
    (void)snprintf(pod, sizeof(pod), "POD_NAME=%s", name);
    const char *const base[] = {program,         "run",  "-kubeconfig",      s->kubeconfig,
                                "-metrics-port", port,   "-metrics-address", "127.0.0.1",
                                "-log-format",   "text", "-no-webhook"};
    for (size_t k = 0; k < ARRAY_LEN(base); k++)
        argv[n++] = base[k];
    for (size_t k = 0; more && more[k]; k++)
        argv[n++] = more[k];
    argv[n] = NULL;
    test_process_start(&r->process, argv,
                       (const char *const[]){pod, "POD_NAMESPACE=walferry", NULL}, log);
}

/* GET of a path of a replica; 0 if it does not answer. */
static int get(struct scene *s, size_t i, const char *path, struct buf *body)
{
    struct error err = ERROR_INIT;
    char url[128];
    int status = 0;

    buf_clear(body);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", s->replicas[i].port, path);
    int rc = http_wait(
        s->http, &(struct http_request){.method = "GET", .url = url, .deadline_ns = 5 * NS_PER_SEC},
        &status, body, &err);
    return rc < 0 ? 0 : status;
}

/* Until a replica's answer holds part; fails the test after 30 s. */
static void answer_wait(struct scene *s, size_t i, const char *path, const char *part)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(1 << 20);
    uint64_t deadline = env_monotonic_ns(env_real()) + 30 * NS_PER_SEC;

    while (env_monotonic_ns(env_real()) < deadline) {
        int status = get(s, i, path, &body);
        if (status > 0 && strstr(buf_str(&body), part))
            return;
        (void)usleep(20000);
    }
    char *output = test_process_output(&s->replicas[i].process);
    print_error("%s: no \"%s\" in: %s\nlog:\n%s\n", path, part, buf_str(&body), output);
    free(output);
    fail();
}

static void test_run_becomes_ready_leads_and_ends_cleanly(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);

    replica_start(&s, 0, "pod-a", NULL);
    answer_wait(&s, 0, "/readyz", "ok: leading");
    answer_wait(&s, 0, "/healthz", "ok");
    answer_wait(&s, 0, "/metrics", "leader_election_master_status{name=\"walferry-controller\"} 1");
    answer_wait(&s, 0, "/metrics", "rest_client_requests_total{method=\"POST\",code=\"201\"} 1");
    answer_wait(&s, 0, "/metrics",
                "walferry_operator_cache_objects{resource=\"sqlitereplicas\"} 0");
    answer_wait(&s, 0, "/metrics", "workqueue_depth{name=\"sqlitereplica\"} 0");
    char *lease = kube_server_get(s.kube.server, lease_path);
    assert_non_null(lease);
    assert_non_null(strstr(lease, "\"holderIdentity\":\"pod-a_"));
    free(lease);
    test_process_signal(&s.replicas[0].process, SIGTERM);
    assert_true(test_process_wait(&s.replicas[0].process, 10 * NS_PER_SEC));
    assert_int_equal(s.replicas[0].process.status, 0);
    lease = kube_server_get(s.kube.server, lease_path);
    assert_non_null(strstr(lease, "\"holderIdentity\":\"\""));
    free(lease);
    scene_drop(&s);
}

static void test_run_waits_until_the_kinds_are_there(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);

    kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 1000,
                                                            .fail_part = "/sqlitereplicas",
                                                            .fail_status = 404});
    replica_start(&s, 0, "pod-a", NULL);
    answer_wait(&s, 0, "/readyz", "waiting for the list of sqlitereplicas");
    assert_null(kube_server_get(s.kube.server, lease_path));
    kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 0});
    answer_wait(&s, 0, "/readyz", "ok: leading");
    scene_drop(&s);
}

static void test_run_hands_over_to_another_replica(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);

    replica_start(&s, 0, "pod-a", NULL);
    answer_wait(&s, 0, "/readyz", "ok: leading");
    replica_start(&s, 1, "pod-b", NULL);
    answer_wait(&s, 1, "/readyz", "ok: standby");
    test_process_signal(&s.replicas[0].process, SIGTERM);
    answer_wait(&s, 1, "/readyz", "ok: leading");
    assert_true(test_process_wait(&s.replicas[0].process, 10 * NS_PER_SEC));
    scene_drop(&s);
}

static void test_run_ends_with_status_one_when_its_lease_is_taken(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);

    replica_start(&s, 0, "pod-a", NULL);
    answer_wait(&s, 0, "/readyz", "ok: leading");
    kube_server_put(s.kube.server, lease_path,
                    "{\"spec\":{\"holderIdentity\":\"thief\",\"leaseDurationSeconds\":15}}");
    assert_true(test_process_wait(&s.replicas[0].process, 30 * NS_PER_SEC));
    assert_int_equal(s.replicas[0].process.status, 1);
    char *output = test_process_output(&s.replicas[0].process);
    assert_non_null(strstr(output, "lease lost, ending at once"));
    free(output);
    scene_drop(&s);
}

static void test_run_works_in_the_namespaces_it_was_told(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);

    replica_start(
        &s, 0, "pod-a",
        (const char *const[]){"-namespaces", "shop,blog,mail,wiki", "-leader-elect=false", NULL});
    answer_wait(&s, 0, "/readyz", "ok: leading");
    assert_int_equal(kube_server_requests(s.kube.server, "GET /api/v1/pods"), 0);
    assert_true(kube_server_requests(s.kube.server, "GET /api/v1/namespaces/blog/pods") > 0);
    assert_null(kube_server_get(s.kube.server, lease_path));
    scene_drop(&s);
}

static void test_run_tells_what_is_wrong_with_its_configuration(void **state UNUSED)
{
    static const struct {
        const char *argument, *value, *text;
        int status;
    } rows[] = {
        {"-kubeconfig", "/nonexistent/kubeconfig", "kubeconfig: open /nonexistent", 1},
        {"-namespaces", "Shop/x", "cannot be a namespace", 2},
        {"-log-level", "loud", "loud", 2},
        {"-metrics-port", "70000", "no port", 2},
        {"-status-interval", "10ms", "from 1s to 1h", 2},
        {"-context", "nowhere", "no context \"nowhere\"", 2},
        {"-no-webhook=false", "-webhook-port=0", "-sidecar-image is needed", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene s;
        test_row(rows[i].argument);
        scene_make(&s);
        replica_start(&s, 0, "pod-a", (const char *const[]){rows[i].argument, rows[i].value, NULL});
        assert_true(test_process_wait(&s.replicas[0].process, 30 * NS_PER_SEC));
        char *output = test_process_output(&s.replicas[0].process);
        if (!strstr(output, rows[i].text))
            fail_msg("%s: no \"%s\" in: %s", rows[i].argument, rows[i].text, output);
        free(output);
        assert_int_equal(s.replicas[0].process.status, rows[i].status);
        scene_drop(&s);
    }
}

/* ---- the webhook in the process ---- */

static const char mutating_path[] =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/walferry";

#define POD_OF_SHOP                                                                                \
    "{\"apiVersion\":\"admission.k8s.io/"                                                          \
    "v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":\"u1\","                               \
    "\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},\"resource\":{\"group\":\"\","  \
    "\"version\":\"v1\",\"resource\":\"pods\"},\"namespace\":\"shop\",\"name\":\"shop-0\","        \
    "\"operation\":\"CREATE\",\"object\":{\"metadata\":{\"name\":\"shop-0\",\"labels\":{"          \
    "\"walferry.dev/replica\":\"%s\"}},\"spec\":{\"securityContext\":{\"runAsUser\":1000},"        \
    "\"containers\":[{\"name\":\"app\",\"image\":\"app:1\",\"volumeMounts\":[{\"name\":\"data\","  \
    "\"mountPath\":\"/data\"}]}],\"volumes\":[{\"name\":\"data\",\"emptyDir\":{}}]}}}}"

/* What is there before the operator starts: a resource, and the chart's configuration. */
static void cluster_put(struct scene *s)
{
    kube_server_put(
        s->kube.server, mutating_path,
        "{\"kind\":\"MutatingWebhookConfiguration\",\"metadata\":{\"name\":\"walferry\"},"
        "\"webhooks\":[{\"name\":\"pods.walferry.dev\",\"clientConfig\":{\"service\":"
        "{\"name\":\"walferry\"}}}]}");
    kube_server_put(
        s->kube.server, "/apis/walferry.dev/v1alpha1/namespaces/shop/sqlitereplicas/shop",
        "{\"metadata\":{\"name\":\"shop\",\"namespace\":\"shop\",\"uid\":\"u\"},\"spec\":{"
        "\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\"}],\"destination\":{"
        "\"s3\":{\"bucket\":\"backups\"}}}}");
}

/* The answer of the webhook at port about a pod of that replica. */
static void pod_ask(struct scene *s, unsigned port, const char *replica, struct buf *body)
{
    const struct http_client_config config = {.connections_max = 1, .skip_verify = true};
    static const struct http_header json = {"Content-Type", "application/json"};
    struct http_client *client = NULL;
    struct error err = ERROR_INIT;
    char url[64], review[2048];
    int status = 0;

    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/mutate?timeout=5s", port);
    (void)snprintf(review, sizeof(review), POD_OF_SHOP, replica);
    assert_ok(http_client_new(s->kube.loop, &config, &client, &err), &err);
    buf_clear(body);
    assert_ok(http_wait(client,
                        &(struct http_request){.method = "POST",
                                               .url = url,
                                               .headers = &json,
                                               .header_count = 1,
                                               .body_slice = slice_of_str(review),
                                               .has_body = true,
                                               .deadline_ns = 20 * NS_PER_SEC},
                        &status, body, &err),
              &err);
    http_client_free(client);
    assert_int_equal(status, 200);
}

static void test_run_serves_admissions_by_certificates_of_its_own(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(1 << 20);
    unsigned port = test_port_free();
    char port_text[16];
    struct scene s;
    scene_make(&s);

    cluster_put(&s);
    (void)snprintf(port_text, sizeof(port_text), "%u", port);
    replica_start(&s, 0, "pod-a",
                  (const char *const[]){"-no-webhook=false", "-webhook-port", port_text,
                                        "-sidecar-image", "walferry-sidecar:test", NULL});
    answer_wait(&s, 0, "/readyz", "ok: leading");
    CLEANUP(mem_free) char *told = kube_server_get(s.kube.server, mutating_path);
    assert_non_null(strstr(told, "\"caBundle\":\""));
    assert_int_equal(kube_server_count(s.kube.server, "/api/v1/namespaces/walferry/secrets"), 1);
    pod_ask(&s, port, "shop", &body);
    assert_non_null(strstr(buf_str(&body), "\"allowed\":true"));
    assert_non_null(strstr(buf_str(&body), "\"patchType\":\"JSONPatch\""));
    pod_ask(&s, port, "nothing", &body); /* after one look past the cache */
    assert_non_null(strstr(buf_str(&body), "\"allowed\":false"));
    assert_non_null(strstr(buf_str(&body), "there is no SqliteReplica"));
    answer_wait(
        &s, 0, "/metrics",
        "walferry_operator_admission_requests_total{webhook=\"mutate\",result=\"patched\"} 1");
    answer_wait(&s, 0, "/metrics", "walferry_operator_certificate_expiry_timestamp_seconds");
    /* The same process does what the resource asks for. */
    answer_wait(&s, 0, "/metrics", "walferry_replica_condition{namespace=\"shop\",name=\"shop\"");
    CLEANUP(mem_free)
    char *config =
        kube_server_get(s.kube.server, "/api/v1/namespaces/shop/configmaps/walferry-shop");
    assert_non_null(config);
    test_process_signal(&s.replicas[0].process, SIGTERM);
    assert_true(test_process_wait(&s.replicas[0].process, 20 * NS_PER_SEC));
    assert_int_equal(s.replicas[0].process.status, 0);
    scene_drop(&s);
}

static void test_run_serves_admissions_by_somebody_elses_certificate(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(1 << 20);
    unsigned port = test_port_free();
    char port_text[16], cert[300], key[300];
    struct scene s;
    scene_make(&s);

    cluster_put(&s);
    (void)snprintf(port_text, sizeof(port_text), "%u", port);
    (void)snprintf(cert, sizeof(cert), "%s/server.pem", s.kube.folder);
    (void)snprintf(key, sizeof(key), "%s/server-key.pem", s.kube.folder);
    replica_start(&s, 0, "pod-a",
                  (const char *const[]){"-no-webhook=false", "-webhook-port", port_text,
                                        "-webhook-cert", cert, "-webhook-key", key,
                                        "-sidecar-image", "walferry-sidecar:test", NULL});
    answer_wait(&s, 0, "/readyz", "ok: leading");
    pod_ask(&s, port, "shop", &body);
    assert_non_null(strstr(buf_str(&body), "\"patchType\":\"JSONPatch\""));
    /* It makes none of its own, and tells the API server nothing. */
    assert_int_equal(kube_server_count(s.kube.server, "/api/v1/namespaces/walferry/secrets"), 0);
    CLEANUP(mem_free) char *told = kube_server_get(s.kube.server, mutating_path);
    assert_null(strstr(told, "caBundle"));
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_run_becomes_ready_leads_and_ends_cleanly),
        TEST(test_run_waits_until_the_kinds_are_there),
        TEST(test_run_hands_over_to_another_replica),
        TEST(test_run_ends_with_status_one_when_its_lease_is_taken),
        TEST(test_run_works_in_the_namespaces_it_was_told),
        TEST(test_run_tells_what_is_wrong_with_its_configuration),
        TEST(test_run_serves_admissions_by_certificates_of_its_own),
        TEST(test_run_serves_admissions_by_somebody_elses_certificate),
    };
    return TEST_MAIN(tests);
}
