/*
 * What of a pod is remembered, and so what of its changes is news.
 */
#include "controller/replica/kinds.h"

#include "lib/testing/test.h"

#define META                                                                                       \
    "\"metadata\":{\"namespace\":\"shop\",\"name\":\"web-0\",\"uid\":\"u\",\"labels\":{"           \
    "\"walferry.dev/replica\":\"app\"},\"annotations\":{\"walferry.dev/spec-hash\":\"h\"}}"
#define SPEC                                                                                       \
    "\"spec\":{\"initContainers\":[{\"name\":\"walferry\",\"ports\":[{\"containerPort\":9090}]}]}"
#define STATUS(more, started)                                                                      \
    "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.7\"," more                               \
    "\"initContainerStatuses\":[{\"name\":\"walferry\",\"started\":" started "}]}"
#define POD(meta, status) "{" meta "," SPEC "," status "}"

static void *pod(const char *json)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    void *item = NULL;

    assert_ok(jsonval_parse(&doc, "pod", slice_of_str(json), &err), &err);
    assert_ok(kind_pods.project(jsonval_root(&doc), &item, &err), &err);
    return item;
}

static void test_a_pod_is_the_same_until_something_changes_that_is_looked_at(void **state UNUSED)
{
    static const char before[] = POD(META, STATUS("", "true"));
    static const struct {
        const char *name, *after;
        bool is_same;
    } rows[] = {
        {"itself", before, true},
        {"its node is not ready",
         POD(META, STATUS("\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}],", "true")),
         true},
        {"its application was started anew",
         POD(META,
             STATUS("\"containerStatuses\":[{\"name\":\"app\",\"restartCount\":3}],", "true")),
         true},
        {"its sidecar ended", POD(META, STATUS("", "false")), false},
        {"another address", POD(META, "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.8\"}"),
         false},
        {"it is over", POD(META, "\"status\":{\"phase\":\"Failed\",\"podIP\":\"10.0.0.7\"}"),
         false},
        {"another pod of this name",
         POD("\"metadata\":{\"namespace\":\"shop\",\"name\":\"web-0\",\"uid\":\"v\",\"labels\":{"
             "\"walferry.dev/replica\":\"app\"},\"annotations\":{\"walferry.dev/spec-hash\":"
             "\"h\"}}",
             STATUS("", "true")),
         false},
        {"injected anew",
         POD("\"metadata\":{\"namespace\":\"shop\",\"name\":\"web-0\",\"uid\":\"u\",\"labels\":{"
             "\"walferry.dev/replica\":\"app\"}}",
             STATUS("", "true")),
         false},
        {"it is ending",
         POD("\"metadata\":{\"namespace\":\"shop\",\"name\":\"web-0\",\"uid\":\"u\",\"labels\":{"
             "\"walferry.dev/replica\":\"app\"},\"annotations\":{\"walferry.dev/spec-hash\":"
             "\"h\"},\"deletionTimestamp\":\"2026-11-26T19:00:00Z\"}",
             STATUS("", "true")),
         false},
    };
    void *first = pod(before);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        void *second = pod(rows[i].after);
        test_row(rows[i].name);
        assert_int_equal(pod_item_is_same(first, second), rows[i].is_same);
        kind_pods.item_free(second);
    }
    kind_pods.item_free(first);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_pod_is_the_same_until_something_changes_that_is_looked_at),
    };
    return TEST_MAIN(tests);
}
