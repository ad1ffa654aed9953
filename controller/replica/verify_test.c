/*
 * Verification by schedule against an API server: the CronJob, what its Jobs found, and what is said
 * when nothing comes.
 */
#include "controller/replica/replica_scene.h"

#define REPLICA  SHOP_OURS "sqlitereplicas/app"
#define CRON     SHOP_CRON_JOBS "walferry-verify-app"
#define SCHEDULE ",\"verification\":{\"schedule\":\"0 3 * * *\",\"timeZone\":\"Europe/Berlin\"}"
#define RUN      "walferry-verify-app-1"
#define PASSED                                                                                     \
    "[{\"database\":\"/data/app.db\",\"findings\":[],\"drill\":{\"txid\":\"000000000000002a\","    \
    "\"duration_ms\":1500},\"error\":null},{\"drill\":{\"txid\":\"0000000000000001\","             \
    "\"duration_ms\":2100}}]"

static void test_a_schedule_is_a_cron_job_and_no_schedule_is_none(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    scene_replica_put(&s, 1, SCHEDULE);
    scene_wait(&s, CRON, "\"schedule\":\"0 3 * * *\",\"timeZone\":\"Europe/Berlin\"");
    scene_wait(&s, CRON, "\"-drill\",\"-integrity-check\",\"full\"");
    scene_wait(&s, CRON, "\"-jitter\",\"300s\",\"/data/app.db\"");
    scene_wait(&s, REPLICA, "\"reason\":\"NeverRun\"");
    scene_replica_put(&s, 2,
                      ",\"verification\":{\"schedule\":\"30 4 * * 0\",\"mode\":\"Quick\","
                      "\"jitterSeconds\":9}");
    scene_wait(&s, CRON, "\"-integrity-check\",\"quick\"");
    scene_wait(&s, CRON, "\"-jitter\",\"9s\"");
    scene_replica_put(&s, 3, "");
    scene_wait_not(&s, CRON, "schedule");
    assert_null(kube_server_get(s.kube.server, CRON));
    replica_scene_drop(&s);
}

#define FIELDS_BEGIN "\"managedFields\":[{\"manager\":\""
#define FIELDS_END   "\",\"fieldsV1\":{\"f:spec\":{}}}],"

/* The CronJob as this manager leaves it, with another minute in its schedule. */
static void cron_edit(struct replica_scene *s, char minute, const char *manager)
{
    CLEANUP(mem_free) char *json = kube_server_get(s->kube.server, CRON);

    assert_non_null(json);
    char *old = strstr(json, FIELDS_BEGIN);
    if (old) {
        const char *rest = strstr(old, FIELDS_END) + strlen(FIELDS_END);
        memmove(old, rest, strlen(rest) + 1);
    }
    char *place = strstr(json, "0 3 * * *");
    const char *annotations = strstr(json, "\"annotations\":");
    assert_non_null(place);
    assert_non_null(annotations);
    *place = minute;
    scene_put(s, CRON, "%.*s" FIELDS_BEGIN "%s" FIELDS_END "%s", (int)(annotations - json), json,
              manager, annotations);
}

static void test_a_new_leader_does_not_write_a_cron_job_that_is_there(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    scene_replica_put(&s, 1, SCHEDULE);
    scene_pod_put(&s, "a", "0123456789abcdef", "");
    scene_wait(&s, CRON, "\"walferry.dev/spec-hash\":\"");
    scene_wait_scrapes(&s, 2);
    replica_scene_leave(&s);
    cron_edit(&s, '0', "walferry-controller");
    replica_scene_lead(&s);
    scene_wait_scrapes(&s, 5);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " CRON), 1);
    /* What somebody has written while nobody led is written over. */
    replica_scene_leave(&s);
    cron_edit(&s, '5', "kubectl-edit");
    replica_scene_lead(&s);
    scene_wait(&s, CRON, "\"schedule\":\"0 3 * * *\"");
    replica_scene_drop(&s);
}

static void test_a_cron_job_that_somebody_writes_or_deletes_is_made_again_once(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    scene_replica_put(&s, 1, SCHEDULE);
    scene_pod_put(&s, "a", "0123456789abcdef", "");
    scene_wait(&s, CRON, "\"schedule\":\"0 3 * * *\"");
    scene_wait_scrapes(&s, 2);
    cron_edit(&s, '5', "kubectl-edit");
    scene_wait(&s, CRON, "\"schedule\":\"0 3 * * *\"");
    scene_wait_requests(&s, "PATCH " CRON, 2);
    /* The fields are still somebody else's here. */
    scene_wait_scrapes(&s, 5);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " CRON), 2);
    cron_edit(&s, '0', "walferry-controller");
    scene_wait_scrapes(&s, 2);
    kube_server_delete(s.kube.server, CRON);
    scene_wait(&s, CRON, "\"schedule\":\"0 3 * * *\"");
    replica_scene_drop(&s);
}

#define CUT "\"concurrencyPolicy\":\"Forbid\","

/* The CronJob without a field of ours, as somebody leaves it who owns nothing afterwards. */
static void cron_cut(struct replica_scene *s, unsigned generation)
{
    CLEANUP(mem_free) char *json = kube_server_get(s->kube.server, CRON);

    assert_non_null(json);
    char *cut = strstr(json, CUT);
    assert_non_null(cut);
    memmove(cut, cut + strlen(CUT), strlen(cut + strlen(CUT)) + 1);
    const char *annotations = strstr(json, "\"annotations\":");
    assert_non_null(annotations);
    scene_put(s, CRON, "%.*s\"generation\":%u,%s", (int)(annotations - json), json, generation,
              annotations);
}

/* This API server counts no generations: what was foreseen is wrong, and the mark is written twice. */
static void test_a_field_that_somebody_took_away_is_written_again(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    scene_replica_put(&s, 1, SCHEDULE);
    scene_pod_put(&s, "a", "0123456789abcdef", "");
    scene_wait(&s, CRON, CUT);
    scene_wait_scrapes(&s, 2);
    cron_cut(&s, 7);
    scene_wait(&s, CRON, CUT);
    scene_wait(&s, CRON, "-7\"");
    scene_wait_scrapes(&s, 5);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " CRON), 3);
    replica_scene_leave(&s);
    replica_scene_lead(&s);
    scene_wait_scrapes(&s, 8);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " CRON), 3);
    replica_scene_drop(&s);
}

static void test_what_the_last_job_found_is_told(void **state UNUSED)
{
    static const struct {
        const char *end, *message, *reason, *texts[3];
    } rows[] = {
        {"Complete",
         PASSED,
         "Passed",
         {"\"result\":\"Passed\"", "\"txid\":\"000000000000002a\"", "\"durationSeconds\":4"}},
        {"Complete",
         "",
         "Passed",
         {"\"result\":\"Passed\"", "Every page", "\"durationSeconds\":7"}},
        {"Complete", "[{\"database\":\"/a", "Passed", {"\"result\":\"Passed\"", "Every page", ""}},
        {"Failed",
         "[{\"database\":\"/data/app.db\",\"findings\":[{\"detail\":\"page 7: checksum\"}]}]",
         "Failed",
         {"\"result\":\"Failed\"", "/data/app.db: page 7: checksum", ""}},
        {"Failed",
         "[{\"findings\":[]},{\"database\":\"/data/b.db\",\"error\":\"drill: 403\"}]",
         "Failed",
         {"\"result\":\"Failed\"", "/data/b.db: drill: 403", ""}},
        {"Failed", "error: no space", "Failed", {"error: no space", "", ""}},
        {"Failed", "", "Failed", {"The Job ended without saying why.", "", ""}},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct replica_scene s;
        char reason[64];
        test_row(rows[i].message);
        replica_scene_make(&s, &reconciler_replica);
        scene_replica_put(&s, 1, SCHEDULE);
        scene_wait(&s, CRON, "schedule");
        scene_job_end(&s, RUN, "verify", rows[i].end, rows[i].message);
        (void)snprintf(reason, sizeof(reason), "\"reason\":\"%s\"", rows[i].reason);
        scene_wait(&s, REPLICA, reason);
        for (size_t k = 0; k < ARRAY_LEN(rows[i].texts); k++)
            scene_wait(&s, REPLICA, rows[i].texts[k]);
        replica_scene_drop(&s);
    }
}

static void test_a_schedule_that_is_refused_is_told_and_not_repeated(void **state UNUSED)
{
    static const char invalid[] =
        "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"Invalid\",\"code\":422,"
        "\"message\":\"spec.timeZone: unknown time zone Europe/Atlantis\"}";
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 1,
                                                            .fail_part = "PATCH " CRON,
                                                            .fail_status = 422,
                                                            .fail_body = invalid});
    scene_replica_put(&s, 1, SCHEDULE);
    scene_wait(&s, REPLICA, "\"reason\":\"InvalidSchedule\"");
    scene_wait(&s, REPLICA, "unknown time zone Europe/Atlantis");
    scene_pod_put(&s, "a", NULL, "");
    scene_wait(&s, REPLICA, "\"desiredPods\":1");
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH " CRON), 1);
    scene_replica_put(&s, 2, ",\"verification\":{\"schedule\":\"0 4 * * *\"}");
    scene_wait(&s, REPLICA, "\"reason\":\"NeverRun\"");
    replica_scene_drop(&s);
}

static void test_a_verification_that_does_not_come_is_stale(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    /* A CronJob that is old enough for its schedule, and has made nothing. */
    scene_put(&s, CRON,
              "{\"metadata\":{\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"labels\":{"
              "\"app.kubernetes.io/managed-by\":\"walferry\",\"walferry.dev/owner\":\"app\"}}}");
    scene_replica_put(&s, 1, SCHEDULE);
    scene_wait(&s, REPLICA, "\"reason\":\"Stale\"");
    scene_wait(&s, REPLICA, "The first verification is overdue");
    scene_job_end(&s, RUN, "verify", "Complete", PASSED);
    scene_wait(&s, REPLICA, "\"reason\":\"Passed\"");
    replica_scene_drop(&s);
}

static void test_each_pods_own_prefix_is_verified_by_the_first_pod(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    scene_pod_put(&s, "each-1", NULL, "");
    scene_pod_put(&s, "each-0", NULL, "");
    scene_replica_put(&s, 1, SCHEDULE ",\"prefixTemplate\":\"{{name}}/{{podName}}\"");
    scene_wait(&s, CRON, "\"name\":\"POD_NAME\",\"value\":\"each-0\"");
    replica_scene_drop(&s);
}

static void test_every_request_of_a_verification_is_tried_again(void **state UNUSED)
{
    static const char *const rows[] = {"PATCH " CRON, "job-name", "PATCH " REPLICA};
    static const int statuses[] = {0, 409, 500};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(statuses); k++) {
            struct replica_scene s;
            test_row(rows[i]);
            replica_scene_make(&s, &reconciler_replica);
            kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 2,
                                                                    .fail_part = rows[i],
                                                                    .fail_status = statuses[k]});
            scene_replica_put(&s, 1, SCHEDULE);
            scene_wait(&s, CRON, "schedule");
            scene_job_end(&s, RUN, "verify", "Complete", PASSED);
            scene_wait(&s, REPLICA, "\"reason\":\"Passed\"");
            replica_scene_drop(&s);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_schedule_is_a_cron_job_and_no_schedule_is_none),
        TEST(test_a_new_leader_does_not_write_a_cron_job_that_is_there),
        TEST(test_a_cron_job_that_somebody_writes_or_deletes_is_made_again_once),
        TEST(test_a_field_that_somebody_took_away_is_written_again),
        TEST(test_what_the_last_job_found_is_told),
        TEST(test_a_schedule_that_is_refused_is_told_and_not_repeated),
        TEST(test_a_verification_that_does_not_come_is_stale),
        TEST(test_each_pods_own_prefix_is_verified_by_the_first_pod),
        TEST(test_every_request_of_a_verification_is_tried_again),
    };
    return TEST_MAIN(tests);
}
