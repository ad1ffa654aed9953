/*
 * Passes over SqliteReplicas against an API server: ConfigMap, scrape, status; faults in each of
 * them; and nothing at all while nothing changes.
 */
#include "controller/replica/replica_scene.h"

#define REPLICA SHOP_OURS "sqlitereplicas/app"
#define CONFIG  SHOP_CONFIG_MAPS "walferry-app"

static const char following[] =
    "{\"databases\":[{\"name\":\"main\",\"path\":\"/data/"
    "app.db\",\"state\":\"following\",\"bytes\":"
    "8192,\"destinations\":[{\"state\":\"following\",\"acknowledged_txid\":\"000000000000000a\","
    "\"local_txid\":\"000000000000000a\",\"lag\":{\"seconds\":0,\"bytes\":0},\"bytes\":4096,"
    "\"objects\":2}]}]}";
static const char lagging[] =
    "{\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\",\"state\":\"following\","
    "\"destinations\":[{\"state\":\"backoff\",\"error\":{\"text\":\"503 SlowDown\"},"
    "\"lag\":{\"seconds\":1000,\"bytes\":9}}]}]}";

/* A current pod whose sidecar follows. */
static void following_put(struct replica_scene *s)
{
    s->status = following;
    scene_replica_put(s, 1, "");
    CLEANUP(mem_free) char *hash = scene_spec_hash(s);
    scene_pod_put(s, "app-0", hash, "");
}

static void test_a_resource_becomes_a_config_map_and_a_status(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    following_put(&s);
    scene_wait(&s, CONFIG, "path: \\\"/data/app.db\\\"");
    scene_wait(&s, CONFIG, "\"kind\":\"SqliteReplica\",\"name\":\"app\"");
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    scene_wait(&s, REPLICA, "\"replicatedTxid\":\"000000000000000a\",\"lagSeconds\":0");
    scene_wait(&s, REPLICA, "\"storage\":{\"bytes\":4096,\"objects\":2}");
    scene_wait(&s, REPLICA, "\"replicatedPrefixes\":[\"shop/app/main\"]");
    /* Once more with another setting that sidecars take up live: no pod is outdated. */
    scene_replica_put(&s, 2, ",\"suspend\":true");
    scene_wait(&s, CONFIG, "suspend: true");
    scene_wait(&s, REPLICA, "\"reason\":\"Suspended\"");
    replica_scene_drop(&s);
}

static void test_nothing_is_written_while_nothing_changes(void **state UNUSED)
{
    struct replica_scene s;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(65536);
    struct metrics_writer w;
    struct error err = ERROR_INIT;
    replica_scene_make(&s, &reconciler_replica);

    following_put(&s);
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    unsigned written = kube_server_requests(s.kube.server, "PATCH ");
    scene_wait_scrapes(&s, 5); /* looked at again and again */
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH "), written);
    metrics_writer_init(&w, &out, METRICS_PROMETHEUS);
    s.reconciler->metrics(s.state, &w);
    assert_ok(metrics_writer_finish(&w, &err), &err);
    assert_non_null(strstr(buf_str(&out),
                           "walferry_replica_condition{namespace=\"shop\",name=\"app\","
                           "type=\"Ready\",status=\"True\",reason=\"Ready\"} 1"));
    assert_non_null(strstr(buf_str(&out), "walferry_replica_lag_seconds{namespace=\"shop\""));
    replica_scene_drop(&s);
}

static void test_a_config_map_that_others_touch_is_written_again(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    following_put(&s);
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    kube_server_delete(s.kube.server, CONFIG);
    scene_wait(&s, CONFIG, "path: \\\"/data/app.db\\\"");
    scene_put(&s, CONFIG,
              "{\"metadata\":{\"labels\":{\"app.kubernetes.io/managed-by\":\"walferry\"},"
              "\"ownerReferences\":[{\"kind\":\"SqliteReplica\",\"name\":\"app\"}]},"
              "\"data\":{\"walferry.yml\":\"dbs: []\"}}");
    scene_wait(&s, CONFIG, "path: \\\"/data/app.db\\\"");
    /* One whose owner was taken away would not go with its resource. */
    scene_put(&s, CONFIG,
              "{\"metadata\":{\"labels\":{\"app.kubernetes.io/managed-by\":\"walferry\"}},"
              "\"data\":{}}");
    scene_wait(&s, CONFIG, "\"kind\":\"SqliteReplica\"");
    /* Ours, and of something else: nobody's business. */
    unsigned written = kube_server_requests(s.kube.server, "PATCH ");
    scene_put(&s, SHOP_CONFIG_MAPS "walferry-b",
              "{\"metadata\":{\"labels\":{\"app.kubernetes.io/managed-by\":\"walferry\"},"
              "\"ownerReferences\":[{\"kind\":\"SqliteBucket\",\"name\":\"app\"}]}}");
    scene_wait_scrapes(&s, 5);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH "), written);
    replica_scene_drop(&s);
}

static void test_a_new_leader_writes_nothing_that_is_there(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    following_put(&s);
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    scene_wait_scrapes(&s, 2); /* written in full */
    replica_scene_leave(&s);
    unsigned written = kube_server_requests(s.kube.server, "PATCH ");
    replica_scene_lead(&s);
    scene_wait_scrapes(&s, 5);
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH "), written);
    /* What was changed while nobody led is healed. */
    replica_scene_leave(&s);
    scene_put(&s, CONFIG,
              "{\"metadata\":{\"labels\":{\"app.kubernetes.io/managed-by\":\"walferry\"},"
              "\"ownerReferences\":[{\"kind\":\"SqliteReplica\",\"name\":\"app\",\"uid\":\"u\"}]},"
              "\"data\":{\"walferry.yml\":\"dbs: []\"}}");
    s.status = lagging;
    replica_scene_lead(&s);
    scene_wait(&s, CONFIG, "path: \\\"/data/app.db\\\"");
    scene_wait(&s, REPLICA, "\"reason\":\"Lagging\"");
    replica_scene_drop(&s);
}

static void test_what_sidecars_answer_is_what_is_said(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    following_put(&s);
    scene_wait(&s, REPLICA, "{\"type\":\"Replicating\",\"status\":\"True\"");
    s.status = lagging;
    scene_wait(&s, REPLICA, "\"reason\":\"Lagging\"");
    scene_wait(&s, REPLICA, "\"reason\":\"Critical\"");
    scene_wait(&s, REPLICA, "503 SlowDown");
    s.status = NULL;
    scene_wait(&s, REPLICA, "\"reason\":\"SidecarUnreachable\"");
    s.status = "{\"databases\":7}";
    scene_wait(&s, REPLICA, "databases: expected an array");
    s.status = following;
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    replica_scene_drop(&s);
}

static void test_a_sidecar_that_tells_its_news_is_not_asked_for_them(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    s.version = "\"1.1\"";
    following_put(&s);
    scene_wait(&s, REPLICA, "{\"type\":\"Replicating\",\"status\":\"True\"");
    scene_wait_listener(&s);
    unsigned scraped = s.scrape_count;
    for (unsigned i = 0; i < 5; i++) { /* nothing is new, again and again */
        scene_tell(&s, "\"1.1\"");
        scene_wait_listener(&s);
    }
    assert_in_range(s.scrape_count, scraped, scraped + 4); /* another pass, for other reasons */
    s.status = lagging;
    scene_tell(&s, "\"2.1\"");
    scene_wait(&s, REPLICA, "\"reason\":\"Lagging\"");
    scene_wait_listener(&s);
    s.status = following;
    scene_tell(&s, "\"3.1\"");
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    replica_scene_drop(&s);
}

static void test_a_sidecar_that_dies_is_noticed_by_who_listens(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    s.version = "\"1.1\"";
    following_put(&s);
    scene_wait(&s, REPLICA, "{\"type\":\"Replicating\",\"status\":\"True\"");
    scene_wait_listener(&s);
    s.status = NULL; /* it answers 503 to the scrape that follows */
    http_server_respond_text(TAKE(s.waiting), 503, "ending");
    scene_wait(&s, REPLICA, "\"reason\":\"SidecarUnreachable\"");
    /* It is asked now and then, and listened to again once it answers. */
    s.status = following;
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    scene_wait_listener(&s);
    replica_scene_drop(&s);
}

static void test_a_pod_that_vanishes_is_no_longer_spoken_of(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    following_put(&s);
    scene_pod_put(&s, "bare", NULL, "");
    scene_wait(&s, REPLICA, "\"reason\":\"PodWithoutSidecar\"");
    kube_server_delete(s.kube.server, SHOP_PODS "bare");
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    /* Asked, and gone before the answer. */
    scene_wait_scrapes(&s, 1);
    kube_server_delete(s.kube.server, SHOP_PODS "app-0");
    scene_wait(&s, REPLICA, "\"reason\":\"NoMatchingPods\"");
    replica_scene_drop(&s);
}

static void test_a_bucket_that_is_missing_is_told_until_it_is_there(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    scene_put(&s, REPLICA,
              "{\"metadata\":{\"generation\":1},\"spec\":{\"databases\":[{\"name\":\"main\","
              "\"path\":\"/data/app.db\"}],\"destination\":{\"bucketRef\":{\"name\":\"b\"}}}}");
    scene_wait(&s, REPLICA, "SqliteBucket \\\"b\\\" does not exist");
    scene_wait(&s, REPLICA, "\"reason\":\"InvalidConfiguration\"");
    assert_null(kube_server_get(s.kube.server, CONFIG));
    scene_put(&s, SHOP_OURS "sqlitebuckets/b",
              "{\"spec\":{\"s3\":{\"bucket\":\"backups\"}},\"status\":{\"conditions\":[{\"type\":"
              "\"Available\",\"status\":\"False\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\","
              "\"reason\":\"AuthFailed\",\"message\":\"403\"}]}}");
    scene_wait(&s, CONFIG, "backups");
    scene_wait(&s, REPLICA, "SqliteBucket b: 403");
    replica_scene_drop(&s);
}

static void test_rivals_for_a_prefix_name_each_other(void **state UNUSED)
{
    static const char spec[] =
        "{\"metadata\":{\"generation\":1},\"spec\":{\"databases\":[{\"name\":\"main\",\"path\":"
        "\"/data/"
        "app.db\"}],\"prefixTemplate\":\"same\",\"destination\":{\"s3\":{\"bucket\":\"b\"}}}}";
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    scene_put(&s, REPLICA, "%s", spec);
    scene_put(&s, SHOP_OURS "sqlitereplicas/zoo", "%s", spec);
    scene_wait(&s, SHOP_OURS "sqlitereplicas/zoo", "SqliteReplica shop/app writes to the same");
    scene_wait(&s, SHOP_OURS "sqlitereplicas/zoo", "\"reason\":\"PrefixConflict\"");
    scene_wait(&s, REPLICA, "SqliteReplica shop/zoo writes to the same");
    kube_server_delete(s.kube.server, SHOP_OURS "sqlitereplicas/zoo");
    scene_wait_not(&s, REPLICA, "PrefixConflict");
    replica_scene_drop(&s);
}

static void test_every_request_of_a_pass_is_tried_again(void **state UNUSED)
{
    static const char *const rows[] = {"PATCH " CONFIG, "PATCH " REPLICA};
    static const int statuses[] = {0, 409, 429, 500};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < ARRAY_LEN(statuses); k++) {
            struct replica_scene s;
            test_row(rows[i]);
            replica_scene_make(&s, &reconciler_replica);
            kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 3,
                                                                    .fail_part = rows[i],
                                                                    .fail_status = statuses[k]});
            following_put(&s);
            scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
            replica_scene_drop(&s);
        }
    }
}

static void test_a_server_that_forgets_and_hangs_up_is_followed_again(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    following_put(&s);
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    kube_server_compact(s.kube.server); /* 410 for whoever comes back */
    kube_server_drop_connections(s.kube.server);
    scene_replica_put(&s, 2, ",\"suspend\":true");
    scene_wait(&s, REPLICA, "\"reason\":\"Suspended\"");
    replica_scene_drop(&s);
}

static void test_a_resource_that_goes_meanwhile_is_forgotten(void **state UNUSED)
{
    struct replica_scene s;
    replica_scene_make(&s, &reconciler_replica);

    following_put(&s);
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    kube_server_faults(s.kube.server,
                       &(struct kube_faults){.fail_count = 1,
                                             .fail_part = "PATCH " REPLICA,
                                             .fail_status = 404,
                                             .fail_body = "{\"kind\":\"Status\",\"reason\":"
                                                          "\"NotFound\",\"code\":404}"});
    s.status = lagging;
    scene_wait_requests(&s, "PATCH " REPLICA,
                        kube_server_requests(s.kube.server, "PATCH " REPLICA) + 1);
    kube_server_delete(s.kube.server, REPLICA);
    kube_server_delete(s.kube.server, SHOP_PODS "app-0");
    following_put(&s); /* under the same name: as new */
    scene_wait(&s, REPLICA, "{\"type\":\"Ready\",\"status\":\"True\"");
    replica_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_resource_becomes_a_config_map_and_a_status),
        TEST(test_nothing_is_written_while_nothing_changes),
        TEST(test_a_config_map_that_others_touch_is_written_again),
        TEST(test_a_new_leader_writes_nothing_that_is_there),
        TEST(test_what_sidecars_answer_is_what_is_said),
        TEST(test_a_sidecar_that_tells_its_news_is_not_asked_for_them),
        TEST(test_a_sidecar_that_dies_is_noticed_by_who_listens),
        TEST(test_a_pod_that_vanishes_is_no_longer_spoken_of),
        TEST(test_a_bucket_that_is_missing_is_told_until_it_is_there),
        TEST(test_rivals_for_a_prefix_name_each_other),
        TEST(test_every_request_of_a_pass_is_tried_again),
        TEST(test_a_server_that_forgets_and_hangs_up_is_followed_again),
        TEST(test_a_resource_that_goes_meanwhile_is_forgotten),
    };
    return TEST_MAIN(tests);
}
