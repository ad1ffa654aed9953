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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_run_becomes_ready_leads_and_ends_cleanly),
        TEST(test_run_waits_until_the_kinds_are_there),
        TEST(test_run_hands_over_to_another_replica),
        TEST(test_run_ends_with_status_one_when_its_lease_is_taken),
        TEST(test_run_works_in_the_namespaces_it_was_told),
        TEST(test_run_tells_what_is_wrong_with_its_configuration),
    };
    return TEST_MAIN(tests);
}
