/*
 * Events as the API server gets them: one, a series, too many.
 */
#include "controller/kube/recorder.h"

#include "controller/kube/kube_scene.h"

static const char events_path[] = "/apis/events.k8s.io/v1/namespaces/shop/events";

struct scene {
    struct kube_scene kube;
    struct recorder *recorder;
};

static const struct recorder_object orders = {
    .resource = &kube_sqlite_replicas, .namespace_name = "shop", .name = "orders", .uid = "u-1"};

static void scene_make(struct scene *s)
{
    struct error err = ERROR_INIT;

    *s = (struct scene){.recorder = NULL};
    kube_scene_make(&s->kube, false);
    assert_ok(recorder_new(s->kube.client, s->kube.loop, "walferry.dev/controller", "pod-a",
                           &s->recorder, &err),
              &err);
}

static void scene_drop(struct scene *s)
{
    recorder_free(s->recorder);
    kube_scene_drop(&s->kube);
}

static bool is_idle(void *arg)
{
    const struct scene *s = arg;

    return recorder_is_idle(s->recorder);
}

static void lag(struct scene *s, const char *note)
{
    recorder_event(s->recorder, &orders, true, "LagCritical", "Replicate", "%s", note);
}

static void test_recorder_writes_what_kubectl_shows(void **state UNUSED)
{
    static const struct {
        const char *way, *text;
    } fields[] = {
        {"regarding.kind", "SqliteReplica"},
        {"regarding.apiVersion", "walferry.dev/v1alpha1"},
        {"regarding.name", "orders"},
        {"regarding.uid", "u-1"},
        {"type", "Warning"},
        {"reason", "LagCritical"},
        {"action", "Replicate"},
        {"note", "lag is 400 s"},
        {"reportingController", "walferry.dev/controller"},
        {"reportingInstance", "pod-a"},
    };
    struct scene s;
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    const char *text;
    scene_make(&s);

    lag(&s, "lag is 400 s");
    assert_true(kube_scene_until(&s.kube, is_idle, &s));
    assert_int_equal(kube_server_count(s.kube.server, events_path), 1);
    assert_ok(kube_wait(s.kube.client,
                        &(struct kube_call){
                            .verb = KUBE_LIST, .resource = &kube_events, .namespace_name = "shop"},
                        &doc, NULL, &err),
              &err);
    struct jsonval event = jsonval_first(jsonval_get(jsonval_root(&doc), "items"));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        test_row(fields[i].way);
        assert_ok(jsonval_str(jsonval_way(event, fields[i].way), &text, &err), &err);
        assert_string_equal(text, fields[i].text);
    }
    assert_ok(jsonval_str(jsonval_get(event, "eventTime"), &text, &err), &err);
    assert_int_equal(strlen(text), strlen("2026-11-26T09:00:00.000000Z"));
    jsonval_doc_destroy(&doc);
    scene_drop(&s);
}

static void test_recorder_makes_a_series_of_what_repeats(void **state UNUSED)
{
    struct scene s;
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    uint64_t count = 0;
    scene_make(&s);

    lag(&s, "lag is 400 s");
    assert_true(kube_scene_until(&s.kube, is_idle, &s));
    for (int i = 0; i < 50; i++)
        lag(&s, "lag is 400 s");
    lag(&s, "lag is 500 s"); /* another sentence is another event */
    assert_true(kube_scene_until(&s.kube, is_idle, &s));
    assert_int_equal(kube_server_count(s.kube.server, events_path), 2);
    /* The second occurrence is told at once, the rest when 30 s have passed. */
    assert_int_equal(kube_server_requests(s.kube.server, "PATCH"), 1);
    assert_int_equal(recorder_stats(s.recorder)->sent_count, 2);
    assert_int_equal(recorder_stats(s.recorder)->series_count, 1);
    assert_int_equal(recorder_stats(s.recorder)->dropped_count, 0);
    assert_ok(kube_wait(s.kube.client,
                        &(struct kube_call){
                            .verb = KUBE_LIST, .resource = &kube_events, .namespace_name = "shop"},
                        &doc, NULL, &err),
              &err);
    struct jsonval event = jsonval_first(jsonval_get(jsonval_root(&doc), "items"));
    assert_ok(jsonval_u64(jsonval_way(event, "series.count"), &count, &err), &err);
    assert_true(count >= 2);
    jsonval_doc_destroy(&doc);
    scene_drop(&s);
}

static void test_recorder_lets_no_object_flood_the_server(void **state UNUSED)
{
    struct scene s;
    char note[64];
    scene_make(&s);

    for (int i = 0; i < 60; i++) {
        (void)snprintf(note, sizeof(note), "number %d", i);
        lag(&s, note);
    }
    assert_true(kube_scene_until(&s.kube, is_idle, &s));
    assert_int_equal(kube_server_count(s.kube.server, events_path), 25);
    assert_int_equal(recorder_stats(s.recorder)->dropped_count, 35);
    scene_drop(&s);
}

static void test_recorder_drops_what_does_not_fit_or_is_refused(void **state UNUSED)
{
    struct scene s;
    char name[32], longer[2000];
    scene_make(&s);

    kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 1,
                                                            .fail_part = "POST /apis/events",
                                                            .fail_status = 403});
    lag(&s, "refused");
    assert_true(kube_scene_until(&s.kube, is_idle, &s));
    assert_int_equal(recorder_stats(s.recorder)->dropped_count, 1);
    /* 100 objects at once: so many do not wait. */
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "o-%d", i);
        recorder_event(s.recorder,
                       &(struct recorder_object){
                           .resource = &kube_pods, .namespace_name = "shop", .name = name},
                       false, "Reason", "Action", "x");
    }
    assert_int_equal(recorder_stats(s.recorder)->pending_count, RECORDER_PENDING_MAX);
    assert_int_equal(recorder_stats(s.recorder)->dropped_count, 1 + 100 - RECORDER_PENDING_MAX);
    assert_true(kube_scene_until(&s.kube, is_idle, &s));
    /* A long sentence is cut, a name that is none is not sent. */
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    lag(&s, longer);
    recorder_event(
        s.recorder,
        &(struct recorder_object){.resource = &kube_pods, .namespace_name = "shop", .name = "../x"},
        false, "Reason", "Action", "x");
    assert_true(kube_scene_until(&s.kube, is_idle, &s));
    assert_int_equal(recorder_stats(s.recorder)->sent_count, RECORDER_PENDING_MAX + 1);
    lag(&s, "under way when the recorder goes");
    scene_drop(&s);
}

static void test_recorder_remembers_a_bounded_number_of_series(void **state UNUSED)
{
    struct scene s;
    char name[32];
    scene_make(&s);

    for (int i = 0; i < RECORDER_SERIES_MAX + 100; i++) {
        (void)snprintf(name, sizeof(name), "o-%d", i);
        recorder_event(s.recorder,
                       &(struct recorder_object){
                           .resource = &kube_pods, .namespace_name = "shop", .name = name},
                       false, "Reason", "Action", "x");
        if (i % RECORDER_PENDING_MAX == RECORDER_PENDING_MAX - 1)
            assert_true(kube_scene_until(&s.kube, is_idle, &s));
    }
    assert_true(kube_scene_until(&s.kube, is_idle, &s));
    assert_int_equal(recorder_stats(s.recorder)->sent_count, RECORDER_SERIES_MAX + 100);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_recorder_writes_what_kubectl_shows),
        TEST(test_recorder_makes_a_series_of_what_repeats),
        TEST(test_recorder_lets_no_object_flood_the_server),
        TEST(test_recorder_drops_what_does_not_fit_or_is_refused),
        TEST(test_recorder_remembers_a_bounded_number_of_series),
    };
    return TEST_MAIN(tests);
}
