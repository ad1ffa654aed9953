/*
 * createBucket of a SqliteReplica against an API server: one Job for each destination, until its
 * bucket is there, and never again.
 */
#include "controller/replica/replica_scene.h"

#define REPLICA SHOP_OURS "sqlitereplicas/app"
#define JOB     "walferry-create-app-0"
#define POSTS   "POST /apis/batch/v1/namespaces/shop/jobs"

static void replica_put(struct replica_scene *s, const char *more)
{
    scene_put(
        s, REPLICA,
        "{\"metadata\":{\"generation\":1},\"spec\":{\"databases\":[{\"name\":\"main\",\"path\":"
        "\"/data/app.db\"}],\"destination\":{\"s3\":{\"bucket\":\"backups\"},\"createBucket\":"
        "true}%s}}",
        more);
}

#define SECOND                                                                                     \
    ",\"secondaryDestinations\":[{\"name\":\"far\",\"s3\":{\"bucket\":\"far\"}},{\"name\":"        \
    "\"away\","                                                                                    \
    "\"s3\":{\"bucket\":\"away\"},\"createBucket\":true}]"

static void test_the_bucket_of_each_destination_that_asks_is_made_once(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    replica_put(&s, SECOND);
    scene_wait(&s, SHOP_JOBS JOB,
               "\"-create\",\"-json\",\"-replica\",\"primary\",\"/data/app.db\"");
    scene_wait(&s, SHOP_JOBS "walferry-create-app-2", "\"-replica\",\"away\"");
    scene_job_end(&s, JOB, "create", "Complete",
                  "[{\"is_available\":true,\"reason\":\"Available\",\"has_made_bucket\":true}]");
    scene_wait(&s, REPLICA, "\"createdBuckets\":[\"primary\"]");
    scene_wait_requests(&s, "POST " SHOP_EVENTS, 1);
    scene_job_end(&s, "walferry-create-app-2", "create", "Failed",
                  "[{\"is_available\":false,\"reason\":\"DeleteDenied\",\"error\":\"delete\"}]");
    scene_wait(&s, REPLICA, "\"createdBuckets\":[\"primary\",\"away\"]");
    assert_int_equal(kube_server_requests(s.kube.server, POSTS), 2);
    /* Jobs go by themselves; what was made is remembered by the status. */
    kube_server_delete(s.kube.server, SHOP_JOBS JOB);
    kube_server_delete(s.kube.server, SHOP_JOBS "walferry-create-app-2");
    replica_scene_leave(&s);
    replica_scene_lead(&s);
    scene_pod_put(&s, "a", NULL, "");
    scene_wait(&s, REPLICA, "\"desiredPods\":1");
    assert_int_equal(kube_server_requests(s.kube.server, POSTS), 2);
    replica_scene_drop(&s);
}

static void test_a_bucket_that_cannot_be_made_is_the_reason_and_is_tried_again(void **state UNUSED)
{
    static const char taken[] = "[{\"is_available\":false,\"reason\":\"BucketNameTaken\",\"error\":"
                                "\"409 BucketAlreadyExists\"}]";
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    replica_put(&s, "");
    scene_wait(&s, SHOP_JOBS JOB, "probe");
    scene_job_end(&s, JOB, "create", "Failed", taken);
    scene_wait(&s, REPLICA, "\"reason\":\"BucketNameTaken\"");
    scene_wait(&s, REPLICA, "Destination primary: 409 BucketAlreadyExists");
    kube_server_delete(s.kube.server, SHOP_JOBS JOB);
    scene_wait_requests(&s, POSTS, 2);
    replica_scene_drop(&s);
}

static void test_requests_that_fail_are_made_again(void **state UNUSED)
{
    static const char *const rows[] = {POSTS, "job-name", "PATCH " REPLICA};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct replica_scene s;
        test_row(rows[i]);
        replica_scene_make(&s, &reconciler_replica);
        kube_server_faults(
            s.kube.server,
            &(struct kube_faults){.fail_count = 2, .fail_part = rows[i], .fail_status = 500});
        replica_put(&s, "");
        scene_wait(&s, SHOP_JOBS JOB, "probe");
        scene_job_end(&s, JOB, "create", "Complete",
                      "[{\"is_available\":true,\"reason\":\"Available\"}]");
        scene_wait(&s, REPLICA, "\"createdBuckets\":[\"primary\"]");
        replica_scene_drop(&s);
    }
}

static void test_nobody_who_did_not_ask_gets_a_job(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    replica_put(&s, ",\"suspend\":true");
    scene_wait(&s, REPLICA, "\"specHash\"");
    kube_server_delete(s.kube.server, REPLICA);
    scene_replica_put(&s, 2, "");
    scene_wait(&s, REPLICA, "\"specHash\"");
    assert_int_equal(kube_server_requests(s.kube.server, POSTS), 0);
    replica_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_the_bucket_of_each_destination_that_asks_is_made_once),
        TEST(test_a_bucket_that_cannot_be_made_is_the_reason_and_is_tried_again),
        TEST(test_requests_that_fail_are_made_again),
        TEST(test_nobody_who_did_not_ask_gets_a_job),
    };
    return TEST_MAIN(tests);
}
