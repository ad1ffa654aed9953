/*
 * SqliteBuckets against an API server: probed by a Job, again when the spec changes, and told what
 * the probe found.
 */
#include "controller/replica/replica_scene.h"

#define BUCKET    SHOP_OURS "sqlitebuckets/app"
#define CONFIG    SHOP_CONFIG_MAPS "walferry-bucket-app"
#define FIRST_JOB "walferry-probe-app-100000000"
#define DOCUMENT(available, reason, error, more)                                                   \
    "[{\"destination\":\"probe\",\"url\":\"s3://backups\",\"is_available\":" available             \
    ",\"reason\":\"" reason "\",\"error\":" error more                                             \
    ",\"can_create\":true,\"steps\":{\"create\":\"ok\",\"delete\":\"ok\"}}]"
#define GOOD DOCUMENT("true", "Available", "null", "")

static void bucket_put(struct replica_scene *s, unsigned generation, const char *more)
{
    scene_put(s, BUCKET,
              "{\"metadata\":{\"generation\":%u},\"spec\":{\"s3\":{\"bucket\":\"backups\"}%s}}",
              generation, more);
}

static void test_a_new_bucket_is_probed_and_told(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_bucket);

    bucket_put(&s, 1, "");
    scene_wait(&s, SHOP_JOBS FIRST_JOB, "\"args\":[\"probe\"");
    scene_wait(&s, CONFIG, "bucket: \\\"backups\\\"");
    scene_wait_not(&s, SHOP_JOBS FIRST_JOB, "-create");
    scene_job_end(&s, FIRST_JOB, "probe", "Complete", GOOD);
    scene_wait(&s, BUCKET, "\"reason\":\"Available\"");
    scene_wait(&s, BUCKET, "\"capabilities\":{\"fencing\":\"Atomic\",\"canWrite\":true");
    scene_wait(&s, BUCKET, "\"destination\":\"s3://backups\"");
    scene_wait_requests(&s, "POST " SHOP_EVENTS, 1);
    replica_scene_drop(&s);
}

static void test_what_a_probe_found_is_the_reason(void **state UNUSED)
{
    static const struct {
        const char *spec, *end, *message, *status, *reason, *text;
    } rows[] = {
        {"", "Failed", DOCUMENT("false", "AuthFailed", "\"403 AccessDenied\"", ""), "False",
         "AuthFailed", "403 AccessDenied"},
        {"", "Failed", DOCUMENT("false", "BucketMissing", "\"404 NoSuchBucket\"", ""), "False",
         "BucketMissing", "404 NoSuchBucket"},
        {"", "Failed", DOCUMENT("false", "DeleteDenied", "\"delete: 403\"", ""), "True",
         "DeleteDenied", "delete: 403"},
        {"", "Failed", DOCUMENT("false", "ReadOnly", "\"create: 403\"", ""), "False", "ReadOnly",
         "create: 403"},
        {",\"accessMode\":\"ReadOnly\"", "Failed",
         DOCUMENT("false", "ReadOnly", "\"create: 403\"", ""), "True", "ReadOnly", "create: 403"},
        {",\"accessMode\":\"ReadOnly\"", "Complete", DOCUMENT("true", "ReadOnly", "null", ""),
         "True", "ReadOnly", "nothing is written"},
        {"", "Failed", "error: no such flag", "False", "ProbeFailed", "error: no such flag"},
        {"", "Failed", "", "False", "ProbeFailed", "The Job ended without an answer."},
        {"", "Failed", "[7]", "False", "ProbeFailed", "[7]"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct replica_scene s;
        char text[200];
        test_row(rows[i].message);
        replica_scene_make(&s, &reconciler_bucket);
        bucket_put(&s, 1, rows[i].spec);
        scene_wait(&s, SHOP_JOBS FIRST_JOB, "probe");
        scene_job_end(&s, FIRST_JOB, "probe", rows[i].end, rows[i].message);
        (void)snprintf(text, sizeof(text), "\"type\":\"Available\",\"status\":\"%s\"",
                       rows[i].status);
        scene_wait(&s, BUCKET, text);
        scene_wait(&s, BUCKET, rows[i].reason);
        scene_wait(&s, BUCKET, rows[i].text);
        replica_scene_drop(&s);
    }
}

static void test_a_changed_spec_is_probed_again_and_nothing_else_is(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_bucket);

    bucket_put(&s, 1, "");
    scene_wait(&s, SHOP_JOBS FIRST_JOB, "probe");
    scene_job_end(&s, FIRST_JOB, "probe", "Complete", GOOD);
    scene_wait(&s, BUCKET, "\"observedGeneration\":1");
    replica_scene_leave(&s); /* a controller that starts anew sees nothing to do */
    replica_scene_lead(&s);
    scene_put(&s, SHOP_OURS "sqlitebuckets/other", "{\"spec\":{\"s3\":{\"bucket\":\"b\"}}}");
    scene_wait_requests(&s,
                        "POST "
                        "/apis/batch/v1/namespaces/shop/jobs",
                        2);
    assert_int_equal(kube_server_count(s.kube.server, "/apis/batch/v1/namespaces/shop/jobs"), 2);
    CLEANUP(mem_free) char *before = kube_server_get(s.kube.server, BUCKET);
    CLEANUP(buf_destroy) struct buf after = BUF_INIT(1 << 16);
    struct error err = ERROR_INIT;
    /* The same object with its status, and another generation. */
    char *generation = strstr(before, "\"generation\":1");
    assert_non_null(generation);
    generation[strlen("\"generation\":")] = '2';
    assert_ok(buf_append_str(&after, before, &err), &err);
    kube_server_put(s.kube.server, BUCKET, buf_str(&after));
    scene_wait_requests(&s,
                        "POST "
                        "/apis/batch/v1/namespaces/shop/jobs",
                        3);
    replica_scene_drop(&s);
}

static void test_a_bucket_that_shall_be_made_is_made_by_the_probe(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_bucket);

    bucket_put(&s, 1, ",\"createBucket\":true");
    scene_wait(&s, SHOP_JOBS FIRST_JOB, "\"-create\",\"" INJECT_JOB_FOLDER "/probe.db\"");
    scene_job_end(&s, FIRST_JOB, "probe", "Complete",
                  DOCUMENT("true", "Available", "null", ",\"has_made_bucket\":true"));
    scene_wait(&s, BUCKET, "\"reason\":\"Available\"");
    scene_wait_requests(&s, "POST " SHOP_EVENTS, 2);
    replica_scene_drop(&s);
}

static void test_every_request_of_a_probe_is_tried_again(void **state UNUSED)
{
    static const char *const rows[] = {"PATCH " CONFIG, "POST /apis/batch/v1/namespaces/shop/jobs",
                                       "job-name", "PATCH " BUCKET};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static const int statuses[] = {0, 409, 500};
        for (size_t k = 0; k < ARRAY_LEN(statuses); k++) {
            struct replica_scene s;
            if (i == 1 && statuses[k] == 409)
                continue; /* there already: as good as made */
            test_row(rows[i]);
            replica_scene_make(&s, &reconciler_bucket);
            kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 2,
                                                                    .fail_part = rows[i],
                                                                    .fail_status = statuses[k]});
            bucket_put(&s, 1, "");
            scene_wait(&s, SHOP_JOBS FIRST_JOB, "probe");
            scene_job_end(&s, FIRST_JOB, "probe", "Complete", GOOD);
            scene_wait(&s, BUCKET, "\"reason\":\"Available\"");
            replica_scene_drop(&s);
        }
    }
}

static void test_a_bucket_that_goes_meanwhile_ends_its_pass(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_bucket);

    kube_server_faults(
        s.kube.server,
        &(struct kube_faults){.fail_count = 1, .fail_part = "PATCH " CONFIG, .fail_status = 500});
    bucket_put(&s, 1, "");
    scene_wait_requests(&s, "PATCH " CONFIG, 1);
    kube_server_delete(s.kube.server, BUCKET);
    bucket_put(&s, 1, ",\"prefix\":\"again\"");
    scene_wait(&s, SHOP_JOBS FIRST_JOB, "probe");
    kube_server_delete(s.kube.server, BUCKET);
    scene_job_end(&s, FIRST_JOB, "probe", "Complete", GOOD);
    scene_put(&s, SHOP_OURS "sqlitebuckets/other", "{\"spec\":{\"s3\":{\"bucket\":\"b\"}}}");
    scene_wait_requests(&s, "configmaps/walferry-bucket-other", 1);
    assert_null(kube_server_get(s.kube.server, BUCKET));
    replica_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_new_bucket_is_probed_and_told),
        TEST(test_what_a_probe_found_is_the_reason),
        TEST(test_a_changed_spec_is_probed_again_and_nothing_else_is),
        TEST(test_a_bucket_that_shall_be_made_is_made_by_the_probe),
        TEST(test_every_request_of_a_probe_is_tried_again),
        TEST(test_a_bucket_that_goes_meanwhile_ends_its_pass),
    };
    return TEST_MAIN(tests);
}
