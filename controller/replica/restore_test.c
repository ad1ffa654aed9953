/*
 * SqliteRestore against an API server in the process: every mode, every way to fail, and a controller
 * that is killed before each of its writes.
 */
#include "controller/inject/job.h"
#include "controller/replica/restore_scene.h"

#define TO_CLAIM                                                                                   \
    "\"mode\":\"ToClaim\",\"target\":{\"claimName\":\"copy\",\"path\":\"a/app.db\"},"              \
    "\"targetTxid\":\"0000000000000007\",\"verify\":\"Full\""
#define RESTORED                                                                                   \
    "{\"outcome\":\"restored\",\"txid\":\"0000000000000007\",\"timestamp\":"                       \
    "\"2026-11-21T09:30:00Z\",\"bytes\":4096}"

static unsigned event_count(struct restore_scene *s)
{
    return kube_server_count(s->kube.server, "/apis/events.k8s.io/v1/namespaces/shop/events");
}

static bool has_event(void *arg)
{
    return event_count(arg) > 0;
}

/* It is sent beside the status, and may come later. */
static void assert_one_event(struct restore_scene *s)
{
    assert_true(kube_scene_until(&s->kube, has_event, s));
    assert_int_equal(event_count(s), 1);
}

/* ---- by a Job alone ---- */

static void
test_to_claim_runs_a_job_with_the_claim_and_reports_what_it_restored(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    s.job_message = NULL;
    shop_restore_put(&s, "back", TO_CLAIM);
    controller_start(&s);
    restore_scene_until(&s, SHOP_JOB, "\"claimName\":\"copy\"");
    assert_true(shop_has(&s, SHOP_JOB,
                         "\"args\":[\"restore\",\"-config\",\"/etc/walferry/config/walferry.yml\","
                         "\"-json\",\"-o\",\"" INJECT_JOB_FOLDER
                         "/a/app.db\",\"-integrity-check\",\"full\","
                         "\"-txid\",\"0000000000000007\",\"/data/app.db\"]"));
    assert_true(shop_has(&s, SHOP_JOB,
                         "\"ownerReferences\":[{\"apiVersion\":"
                         "\"walferry.dev/v1alpha1\",\"kind\":\"SqliteRestore\""));
    s.job_message = RESTORED;
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    assert_true(shop_has(&s, SHOP_RESTORE, "\"restoredTxid\":\"0000000000000007\""));
    assert_true(shop_has(&s, SHOP_RESTORE, "\"restoredTime\":\"2026-11-21T09:30:00Z\""));
    assert_true(shop_has(&s, SHOP_RESTORE, "\"durationSeconds\":5"));
    assert_true(shop_condition(&s, SHOP_RESTORE, "Verified", "True"));
    /* The application is none of its business. */
    assert_false(shop_has(&s, SHOP_DEPLOYMENT, "\"replicas\":0"));
    assert_false(shop_has(&s, SHOP_REPLICA, "podsMayRun"));
    restore_scene_drop(&s);
}

static void test_verify_throws_away_what_it_restored(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    s.job_message = RESTORED;
    shop_restore_put(&s, "back", "\"mode\":\"Verify\"");
    controller_start(&s);
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    assert_true(shop_has(&s, SHOP_RESTORE, "checked, and thrown away"));
    assert_one_event(&s);
    restore_scene_drop(&s);
}

static void test_a_job_that_fails_is_told_with_its_reason(void **state UNUSED)
{
    static const struct {
        const char *name, *spec, *message, *reason, *text;
        bool fails;
    } rows[] = {
        {"verify", "\"mode\":\"Verify\"", "Error: object 3 is damaged", "RestoreFailed",
         "Error: object 3 is damaged", true},
        {"claim", TO_CLAIM, "", "RestoreFailed", "The Job ended without saying why.", true},
        {"no report", TO_CLAIM, "Segmentation fault", "NoReport", "report", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct restore_scene s;
        test_row(rows[i].name);
        restore_scene_make(&s);
        s.job_message = rows[i].message;
        s.job_fails = rows[i].fails;
        shop_restore_put(&s, "back", rows[i].spec);
        controller_start(&s);
        restore_scene_until(&s, SHOP_RESTORE, IS_FAILED);
        assert_true(shop_has(&s, SHOP_RESTORE, rows[i].reason));
        assert_true(shop_has(&s, SHOP_RESTORE, rows[i].text));
        assert_true(shop_condition(&s, SHOP_RESTORE, "Stalled", "True"));
        assert_int_equal(s.job_count, 1);
        restore_scene_drop(&s);
    }
}

static bool restore_is_counted(void *arg)
{
    struct restore_scene *s = arg;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(1 << 16);
    struct metrics_writer w;
    struct error err = ERROR_INIT;

    metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
    reconciler_restore.metrics(s->state, &w);
    assert_ok(metrics_writer_finish(&w, &err), &err);
    return strstr(buf_str(&text), s->wanted) != NULL;
}

static void test_what_cannot_be_done_is_told_before_anything_is(void **state UNUSED)
{
    static const struct {
        const char *name, *replica, *spec, *text;
        bool is_only_read;
    } rows[] = {
        {"no replica", NULL, IN_PLACE, "There is no SqliteReplica orders in this namespace.",
         false},
        {"no replica to verify", NULL, "\"mode\":\"Verify\"", "There is no SqliteReplica orders",
         false},
        {"no database", "\"prefixTemplate\":\"a\"", "\"database\":\"x\"," IN_PLACE,
         "has no database", false},
        {"prefix of a pod", "\"prefixTemplate\":\"{{podName}}\"", IN_PLACE, "podName says whose",
         false},
        {"prefix of a pod, to claim", "\"prefixTemplate\":\"{{podName}}\"", TO_CLAIM,
         "podName says whose", false},
        {"never", "\"prefixTemplate\":\"a\",\"restore\":{\"policy\":\"Never\"}", IN_PLACE,
         "has restore.policy Never", false},
        {"only read", "\"prefixTemplate\":\"a\"", IN_PLACE, "its SqliteBucket is ReadOnly", true},
        {"only read, of two",
         "\"prefixTemplate\":\"a\",\"secondaryDestinations\":[{\"name\":\"prod\",\"bucketRef\":"
         "{\"name\":\"theirs\"}}]",
         "\"destination\":\"prod\"," IN_PLACE, "that destination of it can be written to", false},
        {"fixed", "\"prefixTemplate\":\"a\",\"restore\":{\"targetTxid\":\"0000000000000001\"}",
         IN_PLACE, "restores to a fixed state", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct restore_scene s;
        test_row(rows[i].name);
        restore_scene_make(&s);
        kube_server_delete(s.kube.server, SHOP_REPLICA);
        if (rows[i].replica) {
            shop_put(&s, SHOP_REPLICA,
                     "{\"metadata\":{\"name\":\"orders\",\"namespace\":\"shop\",\"uid\":\"r1\"},"
                     "\"spec\":{\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\"}],"
                     "\"destination\":{%s},%s}}",
                     rows[i].is_only_read ? "\"bucketRef\":{\"name\":\"theirs\"}"
                                          : "\"s3\":{\"bucket\":\"backups\"}",
                     rows[i].replica);
            shop_put(&s, "/apis/walferry.dev/v1alpha1/namespaces/shop/sqlitebuckets/theirs",
                     "{\"metadata\":{\"name\":\"theirs\",\"namespace\":\"shop\",\"uid\":\"b1\"},"
                     "\"spec\":{\"accessMode\":\"ReadOnly\",\"s3\":{\"bucket\":\"theirs\"}}}");
        }
        shop_restore_put(&s, "back", rows[i].spec);
        controller_start(&s);
        restore_scene_until(&s, SHOP_RESTORE, IS_FAILED);
        if (!shop_has(&s, SHOP_RESTORE, rows[i].text)) {
            char *text = kube_server_get(s.kube.server, SHOP_RESTORE);
            fail_msg("%s: no \"%s\" in %s", rows[i].name, rows[i].text, text ? text : "(nothing)");
        }
        assert_false(shop_has(&s, SHOP_JOB, NULL));
        assert_false(shop_has(&s, SHOP_DEPLOYMENT, "\"replicas\":0"));
        assert_false(shop_has(&s, SHOP_REPLICA, "podsMayRun"));
        restore_scene_drop(&s);
    }
}

static void test_restores_are_counted_by_mode_and_state(void **state UNUSED)
{
    static const char *const lines[] = {
        "walferry_operator_restores{mode=\"InPlace\",state=\"failed\"} 1",
        "walferry_operator_restores{mode=\"Verify\",state=\"complete\"} 1",
        "walferry_operator_restores{mode=\"ToClaim\",state=\"ongoing\"} 0",
    };
    struct restore_scene s;
    restore_scene_make(&s);

    s.job_message = RESTORED;
    shop_restore_put(&s, "back", "\"mode\":\"Verify\"");
    shop_restore_put(&s, "other", "\"database\":\"none\"," IN_PLACE);
    controller_start(&s);
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    restore_scene_until(&s, SHOP_RESTORE_2, IS_FAILED);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        test_row(lines[i]);
        s.wanted = lines[i];
        assert_true(kube_scene_until(&s.kube, restore_is_counted, &s));
    }
    restore_scene_drop(&s);
}

static void test_it_is_deleted_when_its_time_is_over(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    s.job_message = RESTORED;
    shop_restore_put(&s, "back", "\"mode\":\"Verify\",\"ttlSecondsAfterFinished\":0");
    controller_start(&s);
    restore_scene_until(&s, SHOP_JOB, "\"conditions\"");
    while (shop_has(&s, SHOP_RESTORE, NULL)) {
        s.is_idle = false;
        struct loop_timer timer;
        loop_timer_init(&timer, s.kube.loop, scene_on_flag, &s.is_idle);
        loop_timer_start(&timer, NS_PER_MS);
        (void)loop_run_until(s.kube.loop, &s.is_idle);
    }
    restore_scene_drop(&s);
}

/* ---- in place ---- */

static void assert_is_back(struct restore_scene *s)
{
    assert_true(shop_has(s, SHOP_DEPLOYMENT, "\"replicas\":2"));
    assert_true(shop_condition(s, SHOP_RESTORE, "Locked", "True"));
    assert_true(shop_condition(s, SHOP_RESTORE, "Fenced", "True"));
    assert_true(shop_condition(s, SHOP_RESTORE, "Restored", "True"));
    assert_true(shop_condition(s, SHOP_RESTORE, "Verified", "True"));
    assert_true(shop_condition(s, SHOP_RESTORE, "Resumed", "True"));
    assert_true(shop_has(s, SHOP_RESTORE, "\"restoredTxid\":\"0000000000000007\""));
    assert_true(shop_has(s, SHOP_RESTORE, "\"tipTxid\":\"000000000000000a\""));
    assert_true(
        shop_has(s, SHOP_RESTORE,
                 "\"workloads\":[{\"kind\":\"Deployment\",\"name\":\"web\",\"replicas\":2}]"));
    assert_false(s->was_started_early);
    assert_int_equal(s->job_count, 1);
}

static bool lock_is_free(void *arg)
{
    struct restore_scene *s = arg;

    world_tick(s);
    return !shop_has(s, SHOP_REPLICA, "podsMayRun");
}

static void lock_wait_free(struct restore_scene *s)
{
    if (kube_scene_until(&s->kube, lock_is_free, s))
        return;
    char *text = kube_server_get(s->kube.server, SHOP_REPLICA);
    fail_msg("the lock is held: %s", text ? text : "(nothing)");
}

static void test_in_place_stops_restores_and_starts_again(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    s.job_message = NULL;
    shop_restore_put(&s, "back", IN_PLACE);
    controller_start(&s);
    restore_scene_until(&s, SHOP_JOB, "\"args\"");
    assert_true(shop_has(&s, SHOP_JOB,
                         "\"args\":[\"rewind\",\"-config\",\"/etc/walferry/config/walferry.yml\","
                         "\"-json\",\"-work-folder\",\"/work\",\"-integrity-check\",\"quick\","
                         "\"-timestamp\",\"2026-11-21T09:30:00Z\",\"/data/app.db\"]"));
    assert_true(shop_has(&s, SHOP_DEPLOYMENT, "\"replicas\":0"));
    assert_true(shop_condition(&s, SHOP_RESTORE, "Fenced", "True"));
    assert_true(shop_condition(&s, SHOP_RESTORE, "Reconciling", "True"));
    assert_true(shop_has(&s, SHOP_REPLICA, "\"podsMayRun\":false"));
    s.job_message = REWOUND;
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    assert_is_back(&s);
    lock_wait_free(&s);
    assert_one_event(&s);
    restore_scene_drop(&s);
}

/* Before the n-th request of a kind the controller dies; another one goes on. */
static bool live_until_kill(struct restore_scene *s, const char *part, unsigned n)
{
    const struct kube_faults dead = {.fail_count = 1000000, .fail_skip = n, .fail_part = part};

    kube_server_faults(s->kube.server, &dead);
    controller_start(s);
    unsigned before = kube_server_requests(s->kube.server, part);
    uint64_t deadline = env_monotonic_ns(env_real()) + 30 * NS_PER_SEC;
    bool is_complete = false;
    while (kube_server_requests(s->kube.server, part) <= before + n && !is_complete) {
        bool is_over = false;
        struct loop_timer timer;
        assert_true(env_monotonic_ns(env_real()) < deadline);
        loop_timer_init(&timer, s->kube.loop, scene_on_flag, &is_over);
        loop_timer_start(&timer, NS_PER_MS);
        (void)loop_run_until(s->kube.loop, &is_over);
        world_tick(s);
        is_complete = shop_has(s, SHOP_RESTORE, IS_COMPLETE) && lock_is_free(s);
    }
    controller_stop(s);
    kube_server_faults(s->kube.server, &(struct kube_faults){.fail_count = 0});
    return is_complete;
}

static void kill_before_each(const char *part, bool is_each_killed)
{
    bool is_complete = false;
    unsigned n = 0;

    for (; !is_complete; n++) {
        struct restore_scene s;
        restore_scene_make(&s);
        shop_restore_put(&s, "back", IN_PLACE);
        is_complete = live_until_kill(&s, part, n);
        for (unsigned k = 1; is_each_killed && !is_complete && k < 40; k++)
            is_complete = live_until_kill(&s, part, 2); /* one step a life, and what it repeats */
        bool was_whole = is_complete;
        controller_start(&s);
        restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
        lock_wait_free(&s);
        assert_is_back(&s);
        restore_scene_drop(&s);
        if (is_each_killed) {
            assert_true(was_whole);
            return;
        }
    }
    assert_true(n > 1);
    print_message("# killed before each of %u requests with %s\n", n - 1, part);
}

static void test_a_controller_that_dies_before_any_write_is_continued(void **state UNUSED)
{
    kill_before_each("PATCH ", false);
    kill_before_each("POST ", false);
    kill_before_each("GET /apis/apps", false);
}

static void test_a_controller_that_dies_after_each_write_comes_to_the_end(void **state UNUSED)
{
    kill_before_each("PATCH ", true);
}

static void test_in_place_leaves_the_application_stopped_when_the_job_fails(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    s.job_fails = true;
    s.job_message = "Error: TXIDs 3 to 5 are missing";
    shop_restore_put(&s, "back", IN_PLACE);
    controller_start(&s);
    restore_scene_until(&s, SHOP_RESTORE, IS_FAILED);
    lock_wait_free(&s); /* it may be scaled up by hand */
    assert_true(shop_has(&s, SHOP_RESTORE, "TXIDs 3 to 5 are missing"));
    assert_true(shop_has(&s, SHOP_RESTORE, "The application stays stopped: Deployment web (2)."));
    assert_true(shop_condition(&s, SHOP_RESTORE, "Fenced", "True"));
    assert_false(shop_condition(&s, SHOP_RESTORE, "Resumed", "True"));
    assert_true(shop_has(&s, SHOP_DEPLOYMENT, "\"replicas\":0"));

    /* The next one knows how many there were. */
    kube_server_delete(s.kube.server, SHOP_RESTORE);
    shop_put(
        &s, SHOP_RESTORE_2,
        "{\"metadata\":{\"name\":\"other\",\"namespace\":\"shop\",\"uid\":\"uid-other\","
        "\"generation\":1},\"spec\":{\"sourceRef\":{\"name\":\"orders\"}," IN_PLACE
        "},\"status\":{\"workloads\":[{\"kind\":\"Deployment\",\"name\":\"web\",\"replicas\":2}],"
        "\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\",\"lastTransitionTime\":"
        "\"2026-11-22T10:00:00Z\",\"reason\":\"RestoreFailed\",\"message\":\"\"}]}}");
    kube_server_delete(s.kube.server, SHOP_JOB);
    kube_server_delete(s.kube.server, SHOP_JOB_POD);
    s.is_job_known = false;
    s.job_count = 0;
    s.job_fails = false;
    s.job_message = REWOUND;
    shop_restore_put(&s, "back", IN_PLACE);
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    assert_is_back(&s);
    restore_scene_drop(&s);
}

static void test_in_place_ends_when_it_may_not_scale(void **state UNUSED)
{
    static const char *const parts[] = {"PATCH /apis/apps", "GET /apis/apps"};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        struct restore_scene s;
        test_row(parts[i]);
        restore_scene_make(&s);
        kube_server_faults(
            s.kube.server,
            &(struct kube_faults){.fail_count = 1000,
                                  .fail_part = parts[i],
                                  .fail_status = 403,
                                  .fail_body =
                                      "{\"kind\":\"Status\",\"reason\":\"Forbidden\","
                                      "\"message\":\"deployments is forbidden\",\"code\":403}"});
        shop_restore_put(&s, "back", IN_PLACE);
        controller_start(&s);
        restore_scene_until(&s, SHOP_RESTORE, IS_FAILED);
        assert_true(shop_has(&s, SHOP_RESTORE, "\"reason\":\"ScaleRefused\""));
        assert_true(shop_has(&s, SHOP_RESTORE, "deployments is forbidden"));
        assert_true(shop_has(&s, SHOP_RESTORE, "chart: restore.inPlace.enabled"));
        lock_wait_free(&s);
        assert_false(shop_has(&s, SHOP_JOB, NULL));
        restore_scene_drop(&s);
    }
}

static void test_in_place_waits_for_pods_that_nobody_of_ours_ends(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    shop_pod_put(&s, "/api/v1/namespaces/shop/pods/by-hand", "by-hand");
    shop_restore_put(&s, "back", IN_PLACE);
    controller_start(&s);
    restore_scene_until(&s, SHOP_RESTORE, "Waiting for the end of 1 pods: by-hand.");
    assert_false(shop_has(&s, SHOP_JOB, NULL));
    kube_server_delete(s.kube.server, "/api/v1/namespaces/shop/pods/by-hand");
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    assert_is_back(&s);
    restore_scene_drop(&s);
}

static void test_in_place_finds_what_asks_for_the_default_of_the_namespace(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    s.has_no_workload = true;
    shop_put(&s, "/api/v1/namespaces/shop",
             "{\"metadata\":{\"name\":\"shop\",\"uid\":\"n1\",\"annotations\":{"
             "\"walferry.dev/default-replica\":\"orders\"}}}");
    shop_put(&s, SHOP_DEPLOYMENT,
             "{\"metadata\":{\"name\":\"web\",\"namespace\":\"shop\",\"uid\":\"d1\"},\"spec\":{"
             "\"replicas\":2,\"template\":{\"metadata\":{\"labels\":{\"walferry.dev/replica\":"
             "\"\"}}}}}");
    shop_put(&s, SHOP_POD,
             "{\"metadata\":{\"name\":\"web-1\",\"namespace\":\"shop\",\"uid\":\"p1\",\"labels\":{"
             "\"walferry.dev/replica\":\"\"},\"annotations\":{\"walferry.dev/resolved-replica\":"
             "\"orders\"}},\"status\":{\"phase\":\"Running\"}}");
    shop_restore_put(&s, "back", IN_PLACE);
    controller_start(&s);
    restore_scene_until(&s, SHOP_RESTORE, "Waiting for the end of 1 pods: web-1.");
    assert_true(shop_has(&s, SHOP_DEPLOYMENT, "\"replicas\":0"));
    kube_server_delete(s.kube.server, SHOP_POD);
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    assert_is_back(&s);
    restore_scene_drop(&s);
}

static void test_two_restores_in_place_of_one_source_take_turns(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    s.job_message = NULL;
    shop_restore_put(&s, "back", IN_PLACE);
    controller_start(&s);
    restore_scene_until(&s, SHOP_REPLICA, "\"name\":\"back\"");
    shop_restore_put(&s, "other", IN_PLACE);
    restore_scene_until(&s, SHOP_RESTORE_2, "Waiting for SqliteRestore back of the same source.");
    restore_scene_until(&s, SHOP_JOB, NULL);
    s.job_message = REWOUND;
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    assert_is_back(&s);
    restore_scene_until(&s, SHOP_REPLICA, "\"name\":\"other\"");
    restore_scene_until(&s, SHOP_RESTORE_2, "\"replicas\":2"); /* not the 0 of in between */
    restore_scene_drop(&s);
}

static void test_a_restore_that_is_deleted_on_its_way_gives_the_lock_back(void **state UNUSED)
{
    for (int is_down = 0; is_down <= 1; is_down++) {
        struct restore_scene s;
        restore_scene_make(&s);
        s.job_message = NULL;
        shop_restore_put(&s, "back", IN_PLACE);
        controller_start(&s);
        restore_scene_until(&s, SHOP_JOB, NULL);
        if (is_down)
            controller_stop(&s);
        kube_server_delete(s.kube.server, SHOP_RESTORE);
        if (is_down)
            controller_start(&s);
        lock_wait_free(&s);
        assert_true(shop_has(&s, SHOP_DEPLOYMENT, "\"replicas\":0"));
        restore_scene_drop(&s);
    }
}

static void test_a_workload_that_is_gone_is_neither_stopped_nor_started(void **state UNUSED)
{
    struct restore_scene s;
    restore_scene_make(&s);

    s.job_message = NULL;
    shop_restore_put(&s, "back", IN_PLACE);
    controller_start(&s);
    restore_scene_until(&s, SHOP_JOB, NULL);
    kube_server_delete(s.kube.server, SHOP_DEPLOYMENT);
    s.job_message = REWOUND;
    restore_scene_until(&s, SHOP_RESTORE, IS_COMPLETE);
    restore_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_to_claim_runs_a_job_with_the_claim_and_reports_what_it_restored),
        TEST(test_verify_throws_away_what_it_restored),
        TEST(test_a_job_that_fails_is_told_with_its_reason),
        TEST(test_what_cannot_be_done_is_told_before_anything_is),
        TEST(test_restores_are_counted_by_mode_and_state),
        TEST(test_it_is_deleted_when_its_time_is_over),
        TEST(test_in_place_stops_restores_and_starts_again),
        TEST(test_a_controller_that_dies_before_any_write_is_continued),
        TEST(test_a_controller_that_dies_after_each_write_comes_to_the_end),
        TEST(test_in_place_leaves_the_application_stopped_when_the_job_fails),
        TEST(test_in_place_ends_when_it_may_not_scale),
        TEST(test_in_place_waits_for_pods_that_nobody_of_ours_ends),
        TEST(test_in_place_finds_what_asks_for_the_default_of_the_namespace),
        TEST(test_two_restores_in_place_of_one_source_take_turns),
        TEST(test_a_restore_that_is_deleted_on_its_way_gives_the_lock_back),
        TEST(test_a_workload_that_is_gone_is_neither_stopped_nor_started),
    };
    return TEST_MAIN(tests);
}
