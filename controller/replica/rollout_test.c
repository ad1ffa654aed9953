/*
 * rollout: Auto against an API server: who is stamped, once, and who never.
 */
#include "controller/replica/replica_scene.h"

#define REPLICA     SHOP_OURS "sqlitereplicas/app"
#define DEPLOYMENT  SHOP_APPS "deployments/web"
#define REPLICA_SET SHOP_APPS "replicasets/web-1"
#define OWNED_BY(kind, name, uid)                                                                  \
    "{\"apiVersion\":\"apps/v1\",\"kind\":\"" kind "\",\"name\":\"" name "\",\"uid\":\"" uid       \
    "\",\"controller\":true}"
#define AUTO ",\"rollout\":\"Auto\""

/* A Deployment "web" and its ReplicaSet; more is JSON of the Deployment's spec. */
static void deployment_put(struct replica_scene *s, const char *more)
{
    scene_put(s, DEPLOYMENT,
              "{\"metadata\":{\"uid\":\"d-1\"},\"spec\":{\"replicas\":1%s,\"template\":{"
              "\"metadata\":{\"labels\":{\"walferry.dev/replica\":\"app\"}}}}}",
              more);
    scene_put(s, REPLICA_SET, "{\"metadata\":{\"ownerReferences\":[%s]}}",
              OWNED_BY("Deployment", "web", "d-1"));
}

#define RECREATE ",\"strategy\":{\"type\":\"Recreate\"}"

static void outdated_put(struct replica_scene *s)
{
    scene_pod_put(s, "web-1-a", "0123456789abcdef", OWNED_BY("ReplicaSet", "web-1", "r-1"));
}

static void test_outdated_pods_wait_where_nobody_asked_for_a_rollout(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    deployment_put(&s, RECREATE);
    outdated_put(&s);
    scene_replica_put(&s, 1, "");
    scene_wait(&s, REPLICA, "were injected by an earlier spec: they wait for a rollout.");
    assert_int_equal(kube_server_requests(s.kube.server, "/apps/v1/"), 0);
    replica_scene_drop(&s);
}

static void test_the_template_is_stamped_once_for_each_hash(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    deployment_put(&s, RECREATE);
    outdated_put(&s);
    scene_replica_put(&s, 1, AUTO);
    scene_wait(&s, REPLICA, "Deployment web is being rolled out.");
    CLEANUP(mem_free) char *first = scene_spec_hash(&s);
    scene_wait(&s, DEPLOYMENT, first);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " DEPLOYMENT), 1);
    scene_wait_requests(&s, "POST " SHOP_EVENTS, 1);
    /* Another pod of the same ReplicaSet changes nothing; a controller that starts anew neither. */
    scene_pod_put(&s, "web-1-b", "0123456789abcdef", OWNED_BY("ReplicaSet", "web-1", "r-1"));
    scene_wait(&s, REPLICA, "\"injectedPods\":2");
    replica_scene_leave(&s);
    replica_scene_lead(&s);
    scene_wait_requests(&s, "GET " DEPLOYMENT, 2);
    scene_pod_put(&s, "web-1-c", "0123456789abcdef", OWNED_BY("ReplicaSet", "web-1", "r-1"));
    scene_wait(&s, REPLICA, "\"injectedPods\":3");
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " DEPLOYMENT), 1);
    /* What pods get is another thing now. */
    scene_replica_put(&s, 2, AUTO ",\"sidecar\":{\"image\":\"walferry:2\"}");
    scene_wait_not(&s, DEPLOYMENT, first);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " DEPLOYMENT), 2);
    replica_scene_drop(&s);
}

static void test_current_pods_are_left_alone(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    deployment_put(&s, RECREATE);
    scene_replica_put(&s, 1, AUTO);
    CLEANUP(mem_free) char *hash = scene_spec_hash(&s);
    scene_pod_put(&s, "web-1-a", hash, OWNED_BY("ReplicaSet", "web-1", "r-1"));
    scene_wait(&s, REPLICA, "All pods have the sidecar.");
    assert_int_equal(kube_server_requests(s.kube.server, "/apps/v1/"), 0);
    replica_scene_drop(&s);
}

static void test_an_unsafe_strategy_is_not_rolled_out(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    deployment_put(&s, "");
    outdated_put(&s);
    scene_replica_put(&s, 1, AUTO);
    scene_wait(&s, REPLICA, "Deployment web is not rolled out: a rolling update of this");
    scene_wait_requests(&s, "POST " SHOP_EVENTS, 1);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " DEPLOYMENT), 0);
    replica_scene_drop(&s);
}

static void test_a_refusal_names_the_value_of_the_chart(void **state UNUSED)
{
    static const char forbidden[] = "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":"
                                    "\"Forbidden\",\"code\":403,\"message\":\"no\"}";
    static const struct {
        const char *request, *object;
    } rows[] = {{"GET " REPLICA_SET, "ReplicaSet web-1"}, {"PATCH " DEPLOYMENT, "Deployment web"}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct replica_scene s;
        char text[128];
        test_row(rows[i].request);
        replica_scene_make(&s, &reconciler_replica);
        kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 1,
                                                                .fail_part = rows[i].request,
                                                                .fail_status = 403,
                                                                .fail_body = forbidden});
        deployment_put(&s, RECREATE);
        outdated_put(&s);
        scene_replica_put(&s, 1, AUTO);
        (void)snprintf(text, sizeof(text), "may not roll out %s: set rollout.enabled",
                       rows[i].object);
        scene_wait(&s, REPLICA, text);
        scene_wait_requests(&s, "POST " SHOP_EVENTS, 1);
        replica_scene_drop(&s);
    }
}

static void test_a_rollout_that_fails_is_tried_again(void **state UNUSED)
{
    static const char *const rows[] = {"GET " REPLICA_SET, "GET " DEPLOYMENT, "PATCH " DEPLOYMENT};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct replica_scene s;
        test_row(rows[i]);
        replica_scene_make(&s, &reconciler_replica);
        kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 2,
                                                                .fail_part = rows[i],
                                                                .fail_status = i ? 409 : 0});
        deployment_put(&s, RECREATE);
        outdated_put(&s);
        scene_replica_put(&s, 1, AUTO);
        scene_wait(&s, REPLICA, "Deployment web is being rolled out.");
        replica_scene_drop(&s);
    }
}

static void test_strategies_that_wait_for_people_are_named(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    deployment_put(&s, RECREATE ",\"paused\":true");
    outdated_put(&s);
    scene_replica_put(&s, 1, AUTO);
    scene_wait(&s, REPLICA, "Deployment web is paused: they come when it is resumed.");
    kube_server_delete(s.kube.server, SHOP_PODS "web-1-a");
    scene_put(&s, SHOP_APPS "statefulsets/db",
              "{\"spec\":{\"replicas\":1,\"updateStrategy\":{\"type\":\"OnDelete\"}}}");
    scene_pod_put(&s, "db-0", "0123456789abcdef", OWNED_BY("StatefulSet", "db", "s-1"));
    scene_wait(&s, REPLICA, "StatefulSet db has updateStrategy OnDelete");
    scene_wait(&s, SHOP_APPS "statefulsets/db", "walferry.dev/spec-hash");
    replica_scene_drop(&s);
}

static void test_what_nobody_rolls_out_is_said(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    scene_replica_put(&s, 1, AUTO);
    scene_pod_put(&s, "job-a", "0123456789abcdef", OWNED_BY("Job", "once", "j-1"));
    scene_wait(&s, REPLICA, "Job once is not rolled out by walferry");
    kube_server_delete(s.kube.server, SHOP_PODS "job-a");
    scene_put(&s, REPLICA_SET, "{\"metadata\":{}}");
    outdated_put(&s);
    scene_wait(&s, REPLICA, "ReplicaSet web-1 is not rolled out by walferry");
    /* Its owner is gone: so will it be. */
    kube_server_delete(s.kube.server, SHOP_PODS "web-1-a");
    scene_pod_put(&s, "gone-0", "0123456789abcdef", OWNED_BY("StatefulSet", "gone", "s-2"));
    scene_wait_requests(&s, "GET " SHOP_APPS "statefulsets/gone", 1);
    scene_wait(&s, REPLICA, "gone-0 among them, were injected by an earlier spec: they wait");
    replica_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_outdated_pods_wait_where_nobody_asked_for_a_rollout),
        TEST(test_the_template_is_stamped_once_for_each_hash),
        TEST(test_current_pods_are_left_alone),
        TEST(test_an_unsafe_strategy_is_not_rolled_out),
        TEST(test_a_refusal_names_the_value_of_the_chart),
        TEST(test_a_rollout_that_fails_is_tried_again),
        TEST(test_strategies_that_wait_for_people_are_named),
        TEST(test_what_nobody_rolls_out_is_said),
    };
    return TEST_MAIN(tests);
}
