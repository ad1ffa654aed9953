/*
 * What is said about a resource, for everything that can be seen: a row a situation.
 */
#include "controller/replica/judge.h"

#include <string.h>

#include "lib/testing/test.h"

#define CURRENT "0123456789abcdef"

/* One pod with one database; a row changes what it is about. */
struct scene {
    struct api_destination destination;
    struct api_database database;
    struct api_replica replica;
    struct replica_item item;
    struct pod_item pods[2];
    struct observed seen;
    struct bucket_item bucket;
    struct api_bucket bucket_spec;
    struct replica_view view;
    struct replica_outcome out;
};

static char text_pod_a[] = "app-0", text_pod_b[] = "app-1", text_hash[] = CURRENT,
            text_old_hash[] = "ffffffffffffffff", text_name[] = "main",
            text_path[] = "/data/app.db", text_template[] = API_PREFIX_TEMPLATE,
            text_resource[] = "app",
            text_per_pod[] = "{{namespace}}/{{name}}/{{database}}/{{podName}}",
            text_trouble[] = "CrashLoopBackOff: Error: restore /data/app.db: 403 AccessDenied",
            text_cron[] = "0 3 * * *";

static void scene_make(struct scene *s)
{
    *s = (struct scene){0};
    s->destination.prefix_template = text_template;
    s->database = (struct api_database){.name = text_name, .path = text_path};
    s->replica = (struct api_replica){.databases = &s->database,
                                      .database_count = 1,
                                      .destinations = &s->destination,
                                      .destination_count = 1,
                                      .retention_enabled = true};
    s->replica.meta.name = text_resource;
    s->replica.lag.warning_ns = 60 * NS_PER_SEC;
    s->replica.lag.critical_ns = 300 * NS_PER_SEC;
    s->item.replica = &s->replica;
    for (size_t i = 0; i < 2; i++) {
        s->pods[i] = (struct pod_item){.name = i ? text_pod_b : text_pod_a,
                                       .spec_hash = text_hash,
                                       .has_sidecar = true,
                                       .is_sidecar_started = true};
    }
    s->seen.database_count = 1;
    (void)snprintf(s->seen.databases[0].path, sizeof(s->seen.databases[0].path), "%s", text_path);
    (void)snprintf(s->seen.databases[0].replicated_txid,
                   sizeof(s->seen.databases[0].replicated_txid), "000000000000000a");
    s->seen.databases[0].oldest_restore_ns = 100 * NS_PER_SEC;
    s->seen.databases[0].newest_restore_ns = 200 * NS_PER_SEC;
    s->bucket.bucket = &s->bucket_spec;
    s->bucket_spec.meta.name = text_resource;
    s->view = (struct replica_view){.item = &s->item,
                                    .pods = {{.pod = &s->pods[0], .seen = &s->seen}},
                                    .pod_count = 1,
                                    .pod_total = 1,
                                    .spec_hash = CURRENT,
                                    .now_ns = 1000 * NS_PER_SEC};
}

/* ---- what a row changes ---- */

static void nothing(struct scene *s UNUSED)
{
}

static void no_pods(struct scene *s)
{
    s->view.pod_count = 0;
    s->view.pod_total = 0;
}

static void no_sidecar(struct scene *s)
{
    s->pods[0].has_sidecar = false;
    s->view.pods[0].seen = NULL;
}

static void old_hash(struct scene *s)
{
    s->pods[0].spec_hash = text_old_hash;
}

static void silent(struct scene *s)
{
    s->view.pods[0].seen = NULL;
    s->view.pods[0].scrape_error = "GET http://10.0.0.1:9090/status: no answer in time";
}

static void not_started(struct scene *s)
{
    s->view.pods[0].seen = NULL;
    s->pods[0].is_sidecar_started = false;
}

static void restore_fails(struct scene *s)
{
    not_started(s);
    s->pods[0].trouble = text_trouble;
}

static void lags(struct scene *s)
{
    s->seen.databases[0].lag_ns = 61 * NS_PER_SEC;
}

static void lags_much(struct scene *s)
{
    s->seen.databases[0].lag_ns = 301 * NS_PER_SEC;
}

static void state_put(struct scene *s, enum observed_state state, const char *error)
{
    s->seen.databases[0].state = state;
    (void)snprintf(s->seen.databases[0].error, sizeof(s->seen.databases[0].error), "%s", error);
}

static void store_is_away(struct scene *s)
{
    state_put(s, OBSERVED_BACKOFF, "PUT https://s3: connection refused");
}

static void credentials_are_wrong(struct scene *s)
{
    state_put(s, OBSERVED_BACKOFF, "LIST s3://b/app: 403 SignatureDoesNotMatch");
}

static void clock_is_off(struct scene *s)
{
    state_put(
        s, OBSERVED_BACKOFF,
        "LIST s3://b/app: 403 RequestTimeTooSkewed: the clock here is 20m ahead of the server's");
}

static void not_wal(struct scene *s)
{
    state_put(s, OBSERVED_NOT_WAL, "journal mode is delete");
}

static void is_fenced(struct scene *s)
{
    state_put(s, OBSERVED_FENCED, "TXID 7 was written by another");
    (void)snprintf(s->seen.databases[0].fenced_by, sizeof(s->seen.databases[0].fenced_by),
                   "epoch 3, owner 0badcafe");
}

static void two_pods(struct scene *s)
{
    s->view.pods[1] = (struct pod_view){.pod = &s->pods[1], .seen = &s->seen};
    s->view.pod_count = 2;
    s->view.pod_total = 2;
}

static void two_pods_with_prefixes_of_their_own(struct scene *s)
{
    two_pods(s);
    s->destination.prefix_template = text_per_pod;
}

static void one_pod_replaces_another(struct scene *s)
{
    two_pods(s);
    s->pods[0].is_ending = true;
}

static void rival(struct scene *s)
{
    s->view.prefix_rival = "shop/other";
}

static void bucket_says_no(struct scene *s)
{
    (void)snprintf(s->bucket.reason, sizeof(s->bucket.reason), "BucketMissing");
    (void)snprintf(s->bucket.message, sizeof(s->bucket.message), "there is no bucket backups");
    s->view.unavailable_bucket = &s->bucket;
}

static void no_configuration(struct scene *s)
{
    s->view.config_error = "SqliteBucket \"gone\" does not exist";
    s->view.spec_hash = NULL;
}

static void a_source(struct scene *s)
{
    no_pods(s);
    s->view.read_only = 1;
}

static void a_source_with_pods(struct scene *s)
{
    s->view.read_only = 1;
}

static void a_source_whose_bucket_says_no(struct scene *s)
{
    a_source(s);
    bucket_says_no(s);
}

static void suspended(struct scene *s)
{
    s->replica.is_suspended = true;
}

static void verified(struct scene *s)
{
    s->replica.verification.schedule = text_cron;
    s->view.verified.at_ns = 900 * NS_PER_SEC;
    s->view.verified.has_passed = true;
    s->view.verification_due_ns = 800 * NS_PER_SEC;
}

static void verification_failed(struct scene *s)
{
    verified(s);
    s->view.verified.has_passed = false;
    (void)snprintf(s->view.verified.message, sizeof(s->view.verified.message), "page 7: checksum");
}

static void verification_is_overdue(struct scene *s)
{
    verified(s);
    s->view.verification_due_ns = 2000 * NS_PER_SEC;
    s->view.now_ns = 2000 * NS_PER_SEC + NS_PER_DAY;
}

struct row {
    const char *name;
    void (*change)(struct scene *s);
    enum condition_type type; /* beside Ready */
    enum condition_status status;
    const char *reason;
    const char *ready_reason;
    const char *message_part; /* of the condition */
    bool is_stalled;
};

static const struct row rows[] = {
    {"all is well", nothing, CONDITION_REPLICATING, CONDITION_TRUE, "Replicating", "Ready", "",
     false},
    {"nothing to inject", no_pods, CONDITION_INJECTED, CONDITION_FALSE, "NoMatchingPods",
     "NoMatchingPods", "walferry.dev/replica: app", false},
    {"a pod without sidecar", no_sidecar, CONDITION_INJECTED, CONDITION_FALSE, "PodWithoutSidecar",
     "PodWithoutSidecar", "app-0", true},
    {"a pod of an earlier spec", old_hash, CONDITION_INJECTED, CONDITION_FALSE, "PodsOutdated",
     "PodsOutdated", "wait for a rollout", false},
    {"a sidecar that does not answer", silent, CONDITION_REPLICATING, CONDITION_FALSE,
     "SidecarUnreachable", "SidecarUnreachable", "no answer in time", false},
    {"a sidecar that has not started", not_started, CONDITION_REPLICATING, CONDITION_FALSE,
     "NotStarted", "NotStarted", "app-0", false},
    {"a restore that fails", restore_fails, CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE,
     "AuthFailed", "AuthFailed", "AccessDenied", true},
    {"lag above the warning", lags, CONDITION_WITHIN_LAG_OBJECTIVE, CONDITION_FALSE, "Warning",
     "Ready", "120 s", false},
    {"lag above the critical", lags_much, CONDITION_REPLICATING, CONDITION_FALSE, "Lagging",
     "Lagging", "600 s", false},
    {"a store that is away", store_is_away, CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE,
     "Unreachable", "Unreachable", "connection refused", false},
    {"wrong credentials", credentials_are_wrong, CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE,
     "AuthFailed", "AuthFailed", "403", true},
    {"a clock that is off", clock_is_off, CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE,
     "ClockSkew", "ClockSkew", "20m ahead", true},
    {"not in WAL mode", not_wal, CONDITION_REPLICATING, CONDITION_FALSE, "NotWALMode", "NotWALMode",
     "main of pod app-0", true},
    {"fenced", is_fenced, CONDITION_SINGLE_WRITER, CONDITION_FALSE, "Fenced", "Fenced",
     "epoch 3, owner 0badcafe", true},
    {"two pods on one prefix", two_pods, CONDITION_SINGLE_WRITER, CONDITION_FALSE,
     "MultipleWriters", "MultipleWriters", "app-0 and app-1", true},
    {"two pods with prefixes of their own", two_pods_with_prefixes_of_their_own,
     CONDITION_SINGLE_WRITER, CONDITION_TRUE, "SingleWriter", "Ready", "", false},
    {"a pod that replaces another", one_pod_replaces_another, CONDITION_SINGLE_WRITER,
     CONDITION_TRUE, "SingleWriter", "Ready", "", false},
    {"another resource on the prefix", rival, CONDITION_SINGLE_WRITER, CONDITION_FALSE,
     "PrefixConflict", "PrefixConflict", "shop/other", true},
    {"a bucket that says no", bucket_says_no, CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE,
     "BucketMissing", "BucketMissing", "there is no bucket backups", true},
    {"no configuration", no_configuration, CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE,
     "InvalidConfiguration", "InvalidConfiguration", "gone", true},
    {"only restored from", a_source, CONDITION_DESTINATION_AVAILABLE, CONDITION_TRUE, "ReadOnly",
     "ReadOnly", "nothing is written there", false},
    {"only restored from, and no pods", a_source, CONDITION_INJECTED, CONDITION_ABSENT, "",
     "ReadOnly", "", false},
    {"only restored from, and pods", a_source_with_pods, CONDITION_REPLICATING, CONDITION_FALSE,
     "ReadOnly", "ReadOnly", "nothing is shipped", true},
    {"only restored from, and not there", a_source_whose_bucket_says_no,
     CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE, "BucketMissing", "BucketMissing", "", true},
    {"suspended", suspended, CONDITION_REPLICATING, CONDITION_FALSE, "Suspended", "Suspended", "",
     false},
    {"verified", verified, CONDITION_RESTORE_VERIFIED, CONDITION_TRUE, "Passed", "Ready", "",
     false},
    {"verification failed", verification_failed, CONDITION_RESTORE_VERIFIED, CONDITION_FALSE,
     "Failed", "Failed", "page 7", false},
    {"verification overdue", verification_is_overdue, CONDITION_RESTORE_VERIFIED, CONDITION_FALSE,
     "Stale", "Stale", "", false},
};

static void test_conditions_say_what_was_seen(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        CLEANUP(mem_free) struct scene *s = calloc(1, sizeof(*s));
        assert_non_null(s);
        test_row(row->name);
        scene_make(s);
        row->change(s);
        judge(&s->view, &s->out);
        const struct condition *c = &s->out.conditions.of[row->type];
        assert_string_equal(c->reason, row->reason);
        assert_int_equal(c->status, row->status);
        assert_non_null(strstr(c->message, row->message_part));
        assert_string_equal(s->out.conditions.of[CONDITION_READY].reason, row->ready_reason);
        bool is_stalled = s->out.conditions.of[CONDITION_STALLED].status == CONDITION_TRUE;
        assert_int_equal(is_stalled, row->is_stalled);
    }
}

static void test_the_restore_window_is_what_all_databases_have_in_common(void **state UNUSED)
{
    CLEANUP(mem_free) struct scene *s = calloc(1, sizeof(*s));

    assert_non_null(s);
    scene_make(s);
    s->seen.database_count = 2;
    s->seen.databases[1] = s->seen.databases[0];
    s->seen.databases[1].oldest_restore_ns = 150 * NS_PER_SEC;
    s->seen.databases[1].newest_restore_ns = 180 * NS_PER_SEC;
    judge(&s->view, &s->out);
    assert_int_equal(s->out.oldest_restore_ns, 150 * NS_PER_SEC);
    assert_int_equal(s->out.newest_restore_ns, 180 * NS_PER_SEC);
    assert_int_equal(s->out.row_count, 2);
}

static void test_lag_is_reported_in_steps_rounded_up(void **state UNUSED)
{
    static const struct {
        uint64_t ns, seconds;
    } steps[] = {
        {0, 0},
        {1, 1},
        {NS_PER_SEC, 1},
        {3 * NS_PER_SEC, 5},
        {59 * NS_PER_SEC, 60},
        {3601 * NS_PER_SEC, 7200},
    };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        assert_int_equal(judge_lag_quantised(steps[i].ns), steps[i].seconds);
}

static void test_a_schedules_longest_period_is_that_of_its_widest_field(void **state UNUSED)
{
    static const struct {
        const char *schedule;
        uint64_t period_ns;
    } cases[] = {
        {"*/5 * * * *", NS_PER_HOUR},   {"0 3 * * *", NS_PER_DAY},
        {"0 */6 * * *", NS_PER_DAY},    {"0 3 * * 0", 7 * NS_PER_DAY},
        {"0 3 1 * *", 62 * NS_PER_DAY}, {"0 3 1 1 *", 366 * NS_PER_DAY},
        {"@monthly", 366 * NS_PER_DAY}, {"0", 366 * NS_PER_DAY},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        test_row(cases[i].schedule);
        assert_int_equal(judge_cron_period_ns(cases[i].schedule), cases[i].period_ns);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_schedules_longest_period_is_that_of_its_widest_field),
        TEST(test_conditions_say_what_was_seen),
        TEST(test_the_restore_window_is_what_all_databases_have_in_common),
        TEST(test_lag_is_reported_in_steps_rounded_up),
    };
    return TEST_MAIN(tests);
}
