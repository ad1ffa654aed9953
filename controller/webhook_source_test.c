/*
 * What the webhook asks, against an API server: caches, uncached looks shared by all who wait for the
 * same one, workloads, namespaces, rivals; and an end while answers are under way.
 */
#include "controller/webhook_source.h"

#include "controller/kube/kube_scene.h"
#include "controller/webhook/review.h"

#define OURS "/apis/walferry.dev/v1alpha1/namespaces/shop/"
#define SPEC(destination)                                                                          \
    "{\"spec\":{\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\"}],\"prefixTemplate\":" \
    "\"same\",\"destination\":" destination "}}"
#define S3 SPEC("{\"s3\":{\"bucket\":\"b\"}}")

struct scene {
    struct kube_scene kube;
    struct informer_set *set;
    struct recorder *recorder;
    struct webhook_source_state *state;
    struct webhook_source source;
    unsigned answers;       /* of refreshes and looks */
    unsigned events_wanted; /* see has_event() */
    struct error err;       /* of the last */
    char replica[64];       /* of the last workload; "-" : NULL */
    struct webhook_namespace wish;
};

static bool is_synced(void *arg)
{
    const struct scene *s = arg;

    return s->source.is_synced(s->source.ctx);
}

/* starts: the informers run; without, the caches are empty for ever. */
static void scene_make(struct scene *s, bool starts)
{
    struct error err = ERROR_INIT;

    *s = (struct scene){.answers = 0};
    kube_scene_make(&s->kube, false);
    assert_ok(informer_set_new(s->kube.client, s->kube.loop, NULL, 0, &s->kube.log, &s->set, &err),
              &err);
    assert_ok(recorder_new(s->kube.client, s->kube.loop, "walferry.dev/controller", "test",
                           &s->recorder, &err),
              &err);
    const struct webhook_source_config config = {.client = s->kube.client,
                                                 .loop = s->kube.loop,
                                                 .informers = s->set,
                                                 .recorder = s->recorder,
                                                 .log = &s->kube.log};
    assert_ok(webhook_source_new(&config, &s->state, &err), &err);
    s->source = webhook_source_of(s->state);
    if (!starts)
        return;
    assert_ok(informer_set_start(s->set, &err), &err);
    assert_true(kube_scene_until(&s->kube, is_synced, s));
}

static void scene_drop(struct scene *s)
{
    webhook_source_free(s->state);
    recorder_free(s->recorder);
    informer_set_free(s->set);
    kube_scene_drop(&s->kube);
}

/* ---- answers ---- */

static void on_refreshed(void *arg, const struct error *err)
{
    struct scene *s = arg;

    s->answers++;
    s->err = *err;
}

static void on_workload(void *arg, const char *replica, const struct error *err)
{
    struct scene *s = arg;

    (void)snprintf(s->replica, sizeof(s->replica), "%s", replica ? replica : "-");
    on_refreshed(s, err);
}

static void on_namespace(void *arg, const struct webhook_namespace *wish, const struct error *err)
{
    struct scene *s = arg;

    s->wish = *wish;
    on_refreshed(s, err);
}

struct wait {
    const struct scene *s;
    unsigned answers;
};

static bool has_answers(void *arg)
{
    const struct wait *w = arg;

    return w->s->answers >= w->answers;
}

static void answers_wait(struct scene *s, unsigned answers)
{
    struct wait w = {s, answers};

    assert_true(kube_scene_until(&s->kube, has_answers, &w));
}

static bool is_known(void *arg)
{
    const struct scene *s = arg;
    struct webhook_subject subject;

    s->source.look(s->source.ctx, "shop", "app", &subject);
    return subject.replica && subject.bucket_count == 1 && subject.peer_count == 1;
}

/* ---- tests ---- */

static void test_what_the_caches_have_is_told_without_asking(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, true);

    kube_server_put(s.kube.server, OURS "sqlitereplicas/app",
                    SPEC("{\"bucketRef\":{\"name\":\"b\"}}"));
    kube_server_put(s.kube.server, OURS "sqlitebuckets/b",
                    "{\"spec\":{\"s3\":{\"bucket\":\"b\"}}}");
    kube_server_put(s.kube.server, "/api/v1/namespaces/shop/pods/app-0",
                    "{\"metadata\":{\"labels\":{\"walferry.dev/replica\":\"app\"}}}");
    assert_true(kube_scene_until(&s.kube, is_known, &s));
    assert_int_equal(kube_server_requests(s.kube.server, "GET " OURS "sqlitereplicas/app"), 0);
    scene_drop(&s);
}

static void test_a_look_is_shared_and_brings_the_buckets(void **state UNUSED)
{
    struct webhook_subject subject;
    struct scene s;
    scene_make(&s, false);

    kube_server_put(s.kube.server, OURS "sqlitereplicas/app",
                    SPEC("{\"bucketRef\":{\"name\":\"b\"}}"));
    kube_server_put(s.kube.server, OURS "sqlitebuckets/b",
                    "{\"spec\":{\"s3\":{\"bucket\":\"b\"}}}");
    for (unsigned i = 0; i < 5; i++)
        s.source.refresh(s.source.ctx, "shop", "app", on_refreshed, &s);
    assert_int_equal(s.answers, 0); /* never inside refresh() */
    answers_wait(&s, 5);
    assert_int_equal(s.err.code, ERR_NONE);
    assert_int_equal(kube_server_requests(s.kube.server, "GET " OURS "sqlitereplicas/app"), 1);
    assert_int_equal(kube_server_requests(s.kube.server, "GET " OURS "sqlitebuckets/b"), 1);
    s.source.look(s.source.ctx, "shop", "app", &subject);
    assert_non_null(subject.replica);
    assert_int_equal(subject.bucket_count, 1);
    scene_drop(&s);
}

static void test_what_is_not_there_is_an_answer_and_a_fault_is_an_error(void **state UNUSED)
{
    struct webhook_subject subject;
    struct scene s;
    scene_make(&s, false);

    s.source.refresh(s.source.ctx, "shop", "nowhere", on_refreshed, &s);
    answers_wait(&s, 1);
    assert_int_equal(s.err.code, ERR_NONE);
    s.source.look(s.source.ctx, "shop", "nowhere", &subject);
    assert_null(subject.replica);
    kube_server_faults(
        s.kube.server,
        &(struct kube_faults){.fail_count = 1, .fail_part = "sqlitereplicas", .fail_status = 500});
    s.source.refresh(s.source.ctx, "shop", "app", on_refreshed, &s);
    answers_wait(&s, 2);
    assert_int_not_equal(s.err.code, ERR_NONE);
    /* A name that can be none is refused from the loop. */
    s.source.refresh(s.source.ctx, "shop", "a/b", on_refreshed, &s);
    assert_int_equal(s.answers, 2);
    answers_wait(&s, 3);
    assert_int_equal(s.err.code, ERR_USAGE);
    scene_drop(&s);
}

static void test_workloads_tell_whose_their_pods_are(void **state UNUSED)
{
#define TEMPLATE(label) "{\"spec\":{\"template\":{\"metadata\":{\"labels\":{" label "}}}}}"
    static const struct {
        const char *kind, *name, *replica;
    } rows[] = {
        {"Deployment", "web", "app"}, {"StatefulSet", "db", ""}, {"ReplicaSet", "other", "-"},
        {"Deployment", "gone", "-"},  {"Rollout", "web", "-"},
    };
    struct scene s;
    scene_make(&s, false);

    kube_server_put(s.kube.server, "/apis/apps/v1/namespaces/shop/deployments/web",
                    TEMPLATE("\"walferry.dev/replica\":\"app\""));
    kube_server_put(s.kube.server, "/apis/apps/v1/namespaces/shop/statefulsets/db",
                    TEMPLATE("\"walferry.dev/replica\":\"\""));
    kube_server_put(s.kube.server, "/apis/apps/v1/namespaces/shop/replicasets/other",
                    TEMPLATE("\"app\":\"x\""));
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].name);
        s.source.workload_look(s.source.ctx, "shop", rows[i].kind, rows[i].name, on_workload, &s);
        answers_wait(&s, i + 1);
        assert_int_equal(s.err.code, ERR_NONE);
        assert_string_equal(s.replica, rows[i].replica);
    }
    scene_drop(&s);
}

static void test_annotations_of_a_namespace_are_its_wishes(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, false);

    kube_server_put(s.kube.server, "/api/v1/namespaces/shop",
                    "{\"metadata\":{\"annotations\":{\"walferry.dev/enforcement\":\"Warn\","
                    "\"walferry.dev/default-replica\":\"app\"}}}");
    kube_server_put(s.kube.server, "/api/v1/namespaces/plain",
                    "{\"metadata\":{\"annotations\":{\"walferry.dev/enforcement\":\"warn\"}}}");
    s.source.namespace_look(s.source.ctx, "shop", on_namespace, &s);
    answers_wait(&s, 1);
    assert_true(s.wish.only_warns);
    assert_string_equal(s.wish.default_replica, "app");
    s.source.namespace_look(s.source.ctx, "plain", on_namespace, &s);
    answers_wait(&s, 2);
    assert_false(s.wish.only_warns); /* words are those of the resource */
    assert_string_equal(s.wish.default_replica, "");
    s.source.namespace_look(s.source.ctx, "gone", on_namespace, &s);
    answers_wait(&s, 3);
    assert_int_equal(s.err.code, ERR_NONE);
    kube_server_faults(
        s.kube.server,
        &(struct kube_faults){.fail_count = 1, .fail_part = "namespaces/shop", .fail_status = 500});
    s.source.namespace_look(s.source.ctx, "shop", on_namespace, &s);
    answers_wait(&s, 4);
    assert_int_not_equal(s.err.code, ERR_NONE);
    assert_false(s.wish.only_warns);
    scene_drop(&s);
}

static bool has_two(void *arg)
{
    const struct scene *s = arg;
    CLEANUP(buf_destroy) struct buf prefix = BUF_INIT(4096);
    struct webhook_subject subject;

    s->source.look(s->source.ctx, "shop", "app", &subject);
    if (!subject.replica)
        return false;
    const char *rival = s->source.prefix_rival(s->source.ctx, subject.replica, &prefix);
    return rival && strcmp(rival, "shop/zoo") == 0 && strstr(buf_str(&prefix), "same");
}

static void test_a_rival_for_the_prefix_is_found(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, true);

    kube_server_put(s.kube.server, OURS "sqlitereplicas/app", S3);
    kube_server_put(s.kube.server, OURS "sqlitereplicas/zoo", S3);
    assert_true(kube_scene_until(&s.kube, has_two, &s));
    scene_drop(&s);
}

static bool has_event(void *arg)
{
    const struct scene *s = arg;

    return kube_server_requests(s->kube.server, "/namespaces/shop/events") >= s->events_wanted;
}

static void test_a_pod_that_was_skipped_is_an_event_of_its_owner(void **state UNUSED)
{
    static const char pod[] =
        "{\"metadata\":{\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"web-1\",\"uid\":"
        "\"u\",\"controller\":true}]}}";
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    struct scene s;
    scene_make(&s, false);

    assert_ok(jsonval_parse(&doc, "pod", slice_of_str(pod), &err), &err);
    const struct review review = {
        .kind = "Pod", .namespace_name = "shop", .name = "", .object = jsonval_root(&doc)};
    s.source.on_skipped(s.source.ctx, &review, "app", "there is none");
    s.events_wanted = 1;
    assert_true(kube_scene_until(&s.kube, has_event, &s));
    s.source.on_risk(s.source.ctx, &review, "app", "pod \"web-0\" is ending and may still write");
    s.events_wanted = 2;
    assert_true(kube_scene_until(&s.kube, has_event, &s));
    scene_drop(&s);
}

/* The texts at ways[] of the only event there is. */
static void event_check(struct scene *s, const char *const (*fields)[2], size_t count)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    const char *text;

    assert_ok(kube_wait(s->kube.client,
                        &(struct kube_call){
                            .verb = KUBE_LIST, .resource = &kube_events, .namespace_name = "shop"},
                        &doc, NULL, &err),
              &err);
    struct jsonval items = jsonval_get(jsonval_root(&doc), "items");
    assert_int_equal(jsonval_count(items), 1);
    for (size_t i = 0; i < count; i++) {
        test_row(fields[i][0]);
        assert_ok(jsonval_str(jsonval_way(jsonval_first(items), fields[i][0]), &text, &err), &err);
        assert_string_equal(text, fields[i][1]);
    }
}

static bool has_sent(void *arg)
{
    const struct scene *s = arg;

    return recorder_is_idle(s->recorder);
}

/* Once, however often it is written: the same again is a series. A Scale is its workload. */
static void test_a_workload_with_two_writers_is_an_event_of_its_own(void **state UNUSED)
{
    static const char object[] = "{\"metadata\":{\"name\":\"web\",\"uid\":\"u-7\"}}";
    static const char *const kinds[] = {"Deployment", "Scale", "Deployment"};
    static const char *const fields[][2] = {{"regarding.kind", "Deployment"},
                                            {"regarding.apiVersion", "apps/v1"},
                                            {"regarding.name", "web"},
                                            {"regarding.uid", "u-7"},
                                            {"type", "Warning"},
                                            {"reason", "MultipleWriters"},
                                            {"note", "2 pods of this Deployment"}};
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    struct scene s;
    scene_make(&s, false);

    assert_ok(jsonval_parse(&doc, "object", slice_of_str(object), &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct review review = {.kind = kinds[i],
                                      .group = "apps",
                                      .version = "v1",
                                      .resource = "deployments",
                                      .namespace_name = "shop",
                                      .name = "",
                                      .object = jsonval_root(&doc)};
        s.source.on_risk(s.source.ctx, &review, "app", "2 pods of this Deployment");
        assert_true(kube_scene_until(&s.kube, has_sent, &s));
    }
    event_check(&s, fields, ARRAY_LEN(fields));
    assert_int_equal(recorder_stats(s.recorder)->sent_count, 1);
    assert_int_equal(recorder_stats(s.recorder)->series_count, 1);
    scene_drop(&s);
}

static void test_an_end_tells_whoever_waits(void **state UNUSED)
{
    struct scene s;
    scene_make(&s, false);

    kube_server_faults(s.kube.server,
                       &(struct kube_faults){.fail_count = 9, .fail_part = "/", .fail_status = -1});
    s.source.refresh(s.source.ctx, "shop", "app", on_refreshed, &s);
    s.source.refresh(s.source.ctx, "shop", "app", on_refreshed, &s);
    s.source.refresh(s.source.ctx, "shop", "a/b", on_refreshed, &s);
    s.source.workload_look(s.source.ctx, "shop", "Deployment", "web", on_workload, &s);
    s.source.namespace_look(s.source.ctx, "shop", on_namespace, &s);
    webhook_source_free(s.state);
    s.state = NULL;
    assert_int_equal(s.answers, 5);
    assert_int_equal(s.err.code, ERR_CANCELED);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_what_the_caches_have_is_told_without_asking),
        TEST(test_a_look_is_shared_and_brings_the_buckets),
        TEST(test_what_is_not_there_is_an_answer_and_a_fault_is_an_error),
        TEST(test_workloads_tell_whose_their_pods_are),
        TEST(test_annotations_of_a_namespace_are_its_wishes),
        TEST(test_a_rival_for_the_prefix_is_found),
        TEST(test_a_pod_that_was_skipped_is_an_event_of_its_owner),
        TEST(test_a_workload_with_two_writers_is_an_event_of_its_own),
        TEST(test_an_end_tells_whoever_waits),
    };
    return TEST_MAIN(tests);
}
