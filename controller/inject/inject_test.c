/*
 * Injection by example: each testdata/cases/NAME.json is a request, NAME.golden what is answered.
 * GOLDEN=write rewrites the latter; read the difference before you commit it.
 *
 * For each that is patched: the patch fits the pod, the pod that comes out has been injected, and
 * injecting it again changes nothing.
 */
#include "controller/inject/inject.h"

#include <stdio.h>
#include <string.h>

#include "lib/testing/json_patch_apply.h"
#include "lib/testing/test.h"

enum {
    TEXT_BYTES_MAX = 4 << 20,
    CASES_MAX = 200,
};

static const char folder[] = "controller/inject/testdata/cases";

static const struct inject_options standard_options = {
    .image = "registry.example.com/walferry:1.0.0",
    .version = "1.0.0",
};

/* A case that was read. */
struct scene {
    struct jsonval_doc doc;
    struct api_replica *replica;
    struct api_bucket *buckets[4];
    struct inject_peer peers[4];
    struct inject_options options;
    struct inject_request request;
};

static void scene_read(struct scene *s, const char *path)
{
    struct error err = ERROR_INIT;
    size_t n = 0;
    uint8_t *text = test_file_read(path, &n);

    *s = (struct scene){.doc = JSONVAL_DOC_INIT, .options = standard_options};
    assert_ok(jsonval_parse(&s->doc, path, slice_of(text, n), &err), &err);
    free(text);
    struct jsonval root = jsonval_root(&s->doc);
    assert_ok(api_replica_parse(jsonval_get(root, "replica"), &s->replica, &err), &err);
    struct jsonval list = jsonval_get(root, "buckets");
    for (struct jsonval v = jsonval_first(list); jsonval_exists(v); v = jsonval_next(v)) {
        assert_ok(api_bucket_parse(v, &s->buckets[s->request.bucket_count++], &err), &err);
        assert_true(s->request.bucket_count <= ARRAY_LEN(s->buckets));
    }
    list = jsonval_get(root, "peers");
    for (struct jsonval v = jsonval_first(list); jsonval_exists(v); v = jsonval_next(v)) {
        struct inject_peer *peer = &s->peers[s->request.peer_count++];
        assert_true(s->request.peer_count <= ARRAY_LEN(s->peers));
        assert_ok(jsonval_str(jsonval_get(v, "name"), &peer->name, &err), &err);
        assert_ok(jsonval_bool_or(jsonval_get(v, "leaving"), false, &peer->is_leaving, &err), &err);
        assert_ok(jsonval_bool_or(jsonval_get(v, "ending"), false, &peer->is_ending, &err), &err);
        assert_ok(jsonval_bool_or(jsonval_get(v, "finished"), false, &peer->is_finished, &err),
                  &err);
    }
    assert_ok(jsonval_bool_or(jsonval_get(root, "allowHostPath"), false,
                              &s->options.allow_host_path, &err),
              &err);
    assert_ok(jsonval_str_or(jsonval_get(root, "kind"), "Pod", &s->request.kind, &err), &err);
    s->request.object = jsonval_get(root, "object");
    s->request.namespace_name = "prod";
    s->request.replica = s->replica;
    s->request.buckets = (const struct api_bucket *const *)s->buckets;
    s->request.peers = s->peers;
    s->request.options = &s->options;
}

static void scene_destroy(struct scene *s)
{
    for (size_t i = 0; i < s->request.bucket_count; i++)
        api_bucket_free(s->buckets[i]);
    api_replica_free(s->replica);
    jsonval_doc_destroy(&s->doc);
}

static void scene_decide(const struct scene *s, struct inject_result *result)
{
    struct error err = ERROR_INIT;
    const char *target = NULL;

    assert_ok(jsonval_str_or(jsonval_get(jsonval_root(&s->doc), "target"), NULL, &target, &err),
              &err);
    if (target)
        assert_ok(inject_scale(&s->request, target, "app", result, &err), &err);
    else if (strcmp(s->request.kind, "Pod") == 0)
        assert_ok(inject_pod(&s->request, result, &err), &err);
    else
        assert_ok(inject_workload(&s->request, result, &err), &err);
}

/* The answer as it stands in a golden file. */
static void answer_write(const struct inject_result *result, struct buf *out)
{
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(out, result->is_denied ? "denied" : "allowed", &err), &err);
    assert_ok(buf_printf(out, &err, "%s%s\n", result->is_denied ? ": " : "",
                         result->is_denied ? buf_str(&result->denial) : ""),
              &err);
    for (size_t i = 0; i < result->warning_count; i++)
        assert_ok(buf_printf(out, &err, "warning: %s\n", result->warnings[i]), &err);
    if (result->patch.n > 0)
        assert_ok(json_pretty(buf_slice(&result->patch), out, &err), &err);
    assert_ok(buf_append_str(out, "\n", &err), &err);
}

/* The object of a scene as JSON text. */
static void object_write(const struct scene *s, struct buf *out)
{
    struct error err = ERROR_INIT;
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    jsonval_write(s->request.object, &w, NULL);
    assert_ok(json_writer_finish(&w, &err), &err);
}

/* What was patched is injected, and stays as it is. */
static void second_time_check(struct scene *s, const struct inject_result *first)
{
    CLEANUP(buf_destroy) struct buf before = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf after = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(inject_result_destroy) struct inject_result again = INJECT_RESULT_INIT;
    struct error err = ERROR_INIT;

    object_write(s, &before);
    assert_ok(json_patch_apply(buf_slice(&before), buf_slice(&first->patch), &after, &err), &err);
    assert_ok(jsonval_parse(&doc, "injected pod", buf_slice(&after), &err), &err);
    struct inject_request request = s->request;
    request.object = jsonval_root(&doc);
    assert_ok(inject_pod(&request, &again, &err), &err);
    assert_false(again.is_denied);
    assert_string_equal(buf_str(&again.patch), "");
    const char *name = NULL;
    struct jsonval init = jsonval_way(request.object, "spec.initContainers");
    bool has_sidecar = false;
    for (struct jsonval v = jsonval_first(init); jsonval_exists(v); v = jsonval_next(v)) {
        assert_ok(jsonval_str(jsonval_get(v, "name"), &name, &err), &err);
        has_sidecar = has_sidecar || strcmp(name, API_CONTAINER_SIDECAR) == 0;
    }
    assert_true(has_sidecar);
}

static void golden_compare(const char *path, const struct buf *answer)
{
    const char *mode = getenv("GOLDEN"); // NOLINT(concurrency-mt-unsafe): nobody sets any

    if (mode && strcmp(mode, "write") == 0) {
        test_file_write(path, buf_slice(answer));
        return;
    }
    size_t n = 0;
    uint8_t *wanted = test_file_read(path, &n);
    bool is_same = slice_eq(slice_of(wanted, n), buf_slice(answer));
    if (!is_same) {
        print_error("# %s: wanted:\n%.*s\n# got:\n%s\n", path, (int)n, (char *)wanted,
                    buf_str(answer));
    }
    free(wanted);
    assert_true(is_same);
}

static int name_collect(void *arg, const char *name, struct error *err)
{
    struct buf *names = arg;
    size_t n = strlen(name);

    if (n < 5 || strcmp(name + n - 5, ".json") != 0)
        return 0;
    return buf_printf(names, err, "%.*s\n", (int)n - 5, name);
}

static void test_every_case_is_answered_as_its_golden_file_says(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf names = BUF_INIT(65536);
    struct error err = ERROR_INIT;
    size_t count = 0;

    assert_ok(env_list_folder(env_real(), folder, name_collect, &names, &err), &err);
    for (const char *at = buf_str(&names); *at; at += strcspn(at, "\n") + 1, count++) {
        CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;
        CLEANUP(buf_destroy) struct buf answer = BUF_INIT(TEXT_BYTES_MAX);
        char path[512];
        struct scene s;
        int n = (int)strcspn(at, "\n");

        (void)snprintf(path, sizeof(path), "%s/%.*s.json", folder, n, at);
        test_row(path);
        scene_read(&s, path);
        scene_decide(&s, &result);
        answer_write(&result, &answer);
        (void)snprintf(path, sizeof(path), "%s/%.*s.golden", folder, n, at);
        golden_compare(path, &answer);
        if (result.patch.n > 0)
            second_time_check(&s, &result);
        scene_destroy(&s);
    }
    assert_in_range(count, 40, CASES_MAX);
}

/* A pod injected under one resource, then asked about under another. */
static void inject_text(const struct scene *s, struct slice pod, struct inject_result *out)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "pod", pod, &err), &err);
    struct inject_request request = s->request;
    request.object = jsonval_root(&doc);
    assert_ok(inject_pod(&request, out, &err), &err);
}

static void test_another_spec_replaces_what_was_injected(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf plain = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf old = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf replaced = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf fresh = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(inject_result_destroy) struct inject_result first = INJECT_RESULT_INIT;
    CLEANUP(inject_result_destroy) struct inject_result second = INJECT_RESULT_INIT;
    CLEANUP(inject_result_destroy) struct inject_result direct = INJECT_RESULT_INIT;
    struct error err = ERROR_INIT;
    struct scene s;

    scene_read(&s, "controller/inject/testdata/cases/istio-native.json");
    object_write(&s, &plain);
    inject_text(&s, buf_slice(&plain), &first);
    assert_ok(json_patch_apply(buf_slice(&plain), buf_slice(&first.patch), &old, &err), &err);
    s.options.image = "registry.example.com/walferry:2.0.0";
    inject_text(&s, buf_slice(&old), &second);
    assert_true(second.patch.n > 0);
    assert_ok(json_patch_apply(buf_slice(&old), buf_slice(&second.patch), &replaced, &err), &err);
    inject_text(&s, buf_slice(&plain), &direct);
    assert_ok(json_patch_apply(buf_slice(&plain), buf_slice(&direct.patch), &fresh, &err), &err);
    /* As if it had been injected once only. */
    assert_string_equal(buf_str(&replaced), buf_str(&fresh));
    assert_null(strstr(buf_str(&replaced), "walferry:1.0.0"));
    scene_destroy(&s);
}

static void test_spec_hash_tells_what_needs_new_pods(void **state UNUSED)
{
    char before[INJECT_HASH_BYTES], after[INJECT_HASH_BYTES];
    struct error err = ERROR_INIT;
    struct scene s;

    scene_read(&s, "controller/inject/testdata/cases/simple.json");
    assert_ok(inject_spec_hash(s.replica, NULL, 0, &s.options, before, &err), &err);
    /* Taken up live: the same pods will do. */
    s.replica->destinations[0].sync_interval_ns *= 2;
    s.replica->destinations[0].retention_ns *= 2;
    s.replica->sidecar.log_level = API_LOG_DEBUG;
    assert_ok(inject_spec_hash(s.replica, NULL, 0, &s.options, after, &err), &err);
    assert_string_equal(before, after);
    s.options.image = "registry.example.com/walferry:2.0.0";
    assert_ok(inject_spec_hash(s.replica, NULL, 0, &s.options, after, &err), &err);
    assert_string_not_equal(before, after);
    s.options = standard_options;
    s.replica->sidecar.metrics_port++;
    assert_ok(inject_spec_hash(s.replica, NULL, 0, &s.options, after, &err), &err);
    assert_string_not_equal(before, after);
    scene_destroy(&s);
}

static void test_a_missing_bucket_is_no_hash(void **state UNUSED)
{
    char hash[INJECT_HASH_BYTES];
    struct error err = ERROR_INIT;
    struct scene s;

    scene_read(&s, "controller/inject/testdata/cases/bucket-missing.json");
    assert_error(inject_spec_hash(s.replica, NULL, 0, &s.options, hash, &err), &err, ERR_NOT_FOUND,
                 "SqliteBucket \"shared\"");
    scene_destroy(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_case_is_answered_as_its_golden_file_says),
        TEST(test_another_spec_replaces_what_was_injected),
        TEST(test_spec_hash_tells_what_needs_new_pods),
        TEST(test_a_missing_bucket_is_no_hash),
    };
    return TEST_MAIN(tests);
}
