/*
 * Calls to an API server: verbs, refusals, credentials, repetitions, cancellation.
 */
#include "controller/kube/client.h"

#include "controller/kube/kube_scene.h"

static const char config_map[] = "/api/v1/namespaces/shop/configmaps/orders";

static int call(struct kube_scene *s, const struct kube_call *c, struct jsonval_doc *out,
                struct error *err)
{
    return kube_wait(s->client, c, out, NULL, err);
}

static const char *text_at(const struct jsonval_doc *doc, const char *way)
{
    struct error err = ERROR_INIT;
    const char *text = NULL;

    assert_ok(jsonval_str(jsonval_way(jsonval_root(doc), way), &text, &err), &err);
    return text;
}

static void test_client_gets_creates_updates_and_deletes(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    kube_scene_make(&s, false);
    struct kube_call c = {
        .resource = &kube_config_maps, .namespace_name = "shop", .name = "orders"};

    c.verb = KUBE_GET;
    assert_error(call(&s, &c, NULL, &err), &err, ERR_NOT_FOUND,
                 "get configmaps shop/orders: 404 object not found");
    c.verb = KUBE_CREATE;
    c.body = SLICE_LIT("{\"metadata\":{\"name\":\"orders\"},\"data\":{\"a\":\"1\"}}");
    assert_ok(call(&s, &c, NULL, &err), &err);
    assert_error(call(&s, &c, NULL, &err), &err, ERR_EXISTS, "create configmaps shop/orders: 409");
    c.verb = KUBE_GET;
    assert_ok(call(&s, &c, &doc, &err), &err);
    assert_string_equal(text_at(&doc, "data.a"), "1");

    c.verb = KUBE_UPDATE;
    c.body = SLICE_LIT("{\"metadata\":{\"name\":\"orders\",\"resourceVersion\":\"1\"}}");
    assert_error(call(&s, &c, NULL, &err), &err, ERR_CONFLICT,
                 "update configmaps shop/orders: 409 the object has been modified");
    c.verb = KUBE_DELETE;
    c.uid = "another";
    assert_error(call(&s, &c, NULL, &err), &err, ERR_CONFLICT, "UID in the precondition");
    c.uid = text_at(&doc, "metadata.uid");
    assert_ok(call(&s, &c, NULL, &err), &err);
    assert_null(kube_server_get(s.server, config_map));
    jsonval_doc_destroy(&doc);
    kube_scene_drop(&s);
}

static void test_client_applies_patches_and_tries_without_keeping(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    kube_scene_make(&s, false);
    struct kube_call c = {.verb = KUBE_APPLY,
                          .resource = &kube_config_maps,
                          .namespace_name = "shop",
                          .name = "orders",
                          .field_manager = "walferry",
                          .body = SLICE_LIT("{\"data\":{\"a\":\"1\"}}")};

    c.is_dry_run = true;
    assert_ok(call(&s, &c, &doc, &err), &err);
    assert_string_equal(text_at(&doc, "data.a"), "1");
    jsonval_doc_destroy(&doc);
    assert_null(kube_server_get(s.server, config_map));
    c.is_dry_run = false;
    assert_ok(call(&s, &c, NULL, &err), &err);
    assert_int_equal(kube_server_requests(s.server, "fieldManager=walferry&force=true"), 2);

    c.verb = KUBE_MERGE_PATCH;
    c.subresource = "status";
    c.body = SLICE_LIT("{\"data\":{\"a\":\"2\"},\"status\":{\"ready\":true}}");
    assert_ok(call(&s, &c, &doc, &err), &err);
    assert_string_equal(text_at(&doc, "data.a"), "1");
    assert_true(jsonval_exists(jsonval_way(jsonval_root(&doc), "status.ready")));
    assert_int_equal(kube_server_requests(s.server, "PATCH /api/v1/namespaces/shop/configmaps/"
                                                    "orders/status?fieldManager=walferry"),
                     1);
    jsonval_doc_destroy(&doc);
    kube_scene_drop(&s);
}

static void test_client_lists_by_pages_and_labels(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    char path[128], token[64] = "";
    size_t seen = 0;
    kube_scene_make(&s, false);

    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof(path), "/api/v1/namespaces/shop/pods/p-%d", i);
        kube_server_put(s.server, path,
                        i == 3 ? "{}" : "{\"metadata\":{\"labels\":{\"a/b\":\"x=y\"}}}");
    }
    struct kube_call c = {
        .verb = KUBE_LIST, .resource = &kube_pods, .label_selector = "a/b", .limit = 2};
    do {
        struct jsonval_doc doc = JSONVAL_DOC_INIT;
        const char *more;
        c.continue_token = token[0] ? token : NULL;
        assert_ok(call(&s, &c, &doc, &err), &err);
        seen += jsonval_count(jsonval_get(jsonval_root(&doc), "items"));
        assert_ok(
            jsonval_str_or(jsonval_way(jsonval_root(&doc), "metadata.continue"), "", &more, &err),
            &err);
        (void)snprintf(token, sizeof(token), "%s", more);
        jsonval_doc_destroy(&doc);
    } while (token[0]);
    assert_int_equal(seen, 4);
    assert_int_equal(kube_server_requests(s.server, "GET /api/v1/pods?labelSelector=a%2Fb&limit=2"),
                     2);
    kube_scene_drop(&s);
}

static void test_client_reads_compressed_answers_and_limits_what_they_unpack_to(void **state UNUSED)
{
    enum {
        BLOB_BYTES = 100000 /* more than one block of gzip */
    };
    static const char path[] = "/api/v1/namespaces/shop/configmaps/large";
    struct kube_scene s;
    struct error err = ERROR_INIT;
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf json = BUF_INIT(1 << 20);
    const char *blob;
    char accepts[512];
    kube_scene_make(&s, false);

    assert_ok(buf_append_str(&json, "{\"data\":{\"blob\":\"", &err), &err);
    for (size_t i = 0; i < BLOB_BYTES; i++)
        assert_ok(buf_append_byte(&json, (uint8_t)('a' + i % 25), &err), &err);
    assert_ok(buf_append_str(&json, "\"}}", &err), &err);
    kube_server_put(s.server, path, buf_str(&json));
    kube_server_faults(s.server, &(struct kube_faults){.gzips = true});
    struct kube_call get = {
        .verb = KUBE_GET, .resource = &kube_config_maps, .namespace_name = "shop", .name = "large"};
    assert_ok(call(&s, &get, &doc, &err), &err);
    assert_int_equal(kube_server_gzipped(s.server), 1);
    assert_ok(jsonval_str(jsonval_way(jsonval_root(&doc), "data.blob"), &blob, &err), &err);
    assert_int_equal(strlen(blob), BLOB_BYTES);
    assert_int_equal(blob[BLOB_BYTES - 1], 'a' + (BLOB_BYTES - 1) % 25);
    jsonval_doc_destroy(&doc);
    get.answer_bytes_max = BLOB_BYTES / 2;
    assert_error(call(&s, &get, NULL, &err), &err, ERR_LIMIT, "larger than 50000 bytes");
    /* disable-compression of a kubeconfig */
    s.config.is_compression_off = true;
    kube_scene_client(&s);
    get.answer_bytes_max = 0;
    error_clear(&err);
    assert_ok(call(&s, &get, NULL, &err), &err);
    kube_server_last_header(s.server, "Accept-Encoding", accepts);
    assert_string_equal(accepts, "");
    assert_int_equal(kube_server_gzipped(s.server), 2);
    kube_scene_drop(&s);
}

static void test_client_reuses_one_connection_and_names_itself(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    char agent[512];
    kube_scene_make(&s, false);

    for (int i = 0; i < 20; i++) {
        assert_ok(
            call(&s,
                 &(struct kube_call){.verb = KUBE_RAW, .raw_path = "/readyz", .wants_text = true},
                 NULL, &err) == 0 ||
                err.code == ERR_CORRUPT,
            &err);
    }
    assert_int_equal(kube_server_connections(s.server), 1);
    kube_server_last_header(s.server, "User-Agent", agent);
    assert_non_null(strstr(agent, "walferry/"));
    assert_non_null(strstr(agent, "(linux/"));
    assert_int_equal(kube_client_stats(s.client)->counts[0][200], 20);
    kube_scene_drop(&s);
}

static void test_client_waits_as_long_as_the_server_wishes(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    kube_scene_make(&s, false);
    struct kube_call c = {.verb = KUBE_LIST, .resource = &kube_pods};

    kube_server_faults(s.server, &(struct kube_faults){.fail_count = 1,
                                                       .fail_part = "GET /api/v1/pods",
                                                       .fail_status = 429,
                                                       .fail_headers = "Retry-After: 1\r\n"});
    uint64_t before = env_monotonic_ns(env_real());
    assert_ok(call(&s, &c, NULL, &err), &err);
    assert_true(env_monotonic_ns(env_real()) - before >= NS_PER_SEC);
    assert_int_equal(kube_client_stats(s.client)->retry_count, 1);

    /* Without the time for it, and without a wish, a refusal is an answer. */
    kube_server_faults(s.server, &(struct kube_faults){.fail_count = 1,
                                                       .fail_part = "GET /api/v1/pods",
                                                       .fail_status = 503,
                                                       .fail_headers = "Retry-After: 60\r\n"});
    c.deadline_ns = 10 * NS_PER_SEC;
    assert_error(call(&s, &c, NULL, &err), &err, ERR_UNAVAILABLE,
                 "list pods (all namespaces): 503");
    kube_server_faults(s.server, &(struct kube_faults){.fail_count = 1,
                                                       .fail_part = "GET /api/v1/pods",
                                                       .fail_status = 500});
    assert_error(call(&s, &c, NULL, &err), &err, ERR_UNAVAILABLE, "500");
    kube_scene_drop(&s);
}

static void test_client_reports_a_server_that_hangs_up_or_talks_nonsense(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    kube_scene_make(&s, false);
    struct kube_call c = {.verb = KUBE_LIST, .resource = &kube_pods};

    kube_server_faults(s.server,
                       &(struct kube_faults){.fail_count = 1, .fail_part = "GET /api/v1/pods"});
    assert_error(call(&s, &c, NULL, &err), &err, ERR_UNAVAILABLE,
                 "list pods (all namespaces): GET http://127.0.0.1");
    kube_server_faults(s.server, &(struct kube_faults){.fail_count = 1,
                                                       .fail_part = "GET /api/v1/pods",
                                                       .fail_status = 200,
                                                       .fail_body = "<html>hello</html>"});
    assert_error(call(&s, &c, NULL, &err), &err, ERR_CORRUPT,
                 "list pods (all namespaces): answer: not JSON");
    kube_scene_drop(&s);
}

static void config_set(char **out, const char *text)
{
    struct error err = ERROR_INIT;

    free(*out);
    *out = str_dup(text, &err);
    assert_non_null(*out);
}

static void test_client_reads_a_rotated_token_after_a_401(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    char path[300];
    kube_scene_make(&s, false);
    struct kube_call c = {.verb = KUBE_LIST, .resource = &kube_pods};

    (void)snprintf(path, sizeof(path), "%s/token", s.folder);
    test_file_write(path, SLICE_LIT("first\n"));
    config_set(&s.config.token_file, path);
    kube_scene_client(&s);
    kube_server_faults(s.server, &(struct kube_faults){.token = "first"});
    assert_ok(call(&s, &c, NULL, &err), &err);
    /* Rotated in place at once: the same size, and looked at less than a second ago. */
    test_file_write(path, SLICE_LIT("after\n"));
    kube_server_faults(s.server, &(struct kube_faults){.token = "after"});
    assert_ok(call(&s, &c, NULL, &err), &err);
    assert_int_equal(kube_client_stats(s.client)->reauth_count, 1);
    assert_int_equal(kube_client_stats(s.client)->counts[0][401], 1);
    /* A token that stays wrong is asked about twice, not for ever. */
    kube_server_faults(s.server, &(struct kube_faults){.token = "unknown"});
    assert_error(call(&s, &c, NULL, &err), &err, ERR_ACCESS, "401 Unauthorized");
    assert_int_equal(kube_client_stats(s.client)->counts[0][401], 3);
    kube_scene_drop(&s);
}

static void test_client_without_other_credentials_does_not_repeat_a_401(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    kube_scene_make(&s, false);

    config_set(&s.config.token, "wrong");
    kube_scene_client(&s);
    kube_server_faults(s.server, &(struct kube_faults){.token = "right"});
    assert_error(
        call(&s, &(struct kube_call){.verb = KUBE_LIST, .resource = &kube_pods}, NULL, &err), &err,
        ERR_ACCESS, "401");
    assert_int_equal(kube_server_requests(s.server, "GET"), 1);
    kube_scene_drop(&s);
}

static void test_client_runs_an_exec_plugin_until_its_token_is_refused(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    char script[300], text[1200];
    kube_scene_make(&s, false);
    struct kube_call c = {.verb = KUBE_LIST, .resource = &kube_pods};

    /* Each run answers with another token, and proves what it was asked. */
    (void)snprintf(script, sizeof(script), "%s/plugin", s.folder);
    (void)snprintf(
        text, sizeof(text),
        "#!/bin/sh\n"
        "n=$(cat '%s/n' 2>/dev/null || echo 0); n=$((n + 1)); echo $n >'%s/n'\n"
        "case $KUBERNETES_EXEC_INFO in *'\"interactive\":false'*) ;; *) exit 3 ;; esac\n"
        "[ \"$1 $EXTRA\" = 'get-token yes' ] || exit 4\n"
        "[ -z \"$(cat)\" ] || exit 5\n"
        "echo '{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/"
        "v1\",\"status\":{\"token\":\"t-'$n'\"}}'\n",
        s.folder, s.folder);
    test_file_write(script, slice_of_str(text));
    assert_int_equal(chmod(script, 0755), 0);
    char *argv[] = {script, (char *)"get-token", NULL};
    char *names[] = {(char *)"EXTRA"};
    char *values[] = {(char *)"yes"};
    kube_client_free(s.client);
    s.client = NULL;
    s.config.exec = (struct kube_exec){.argv = argv,
                                       .argc = 0, /* not for kube_config_destroy() to free */
                                       .env_names = names,
                                       .env_values = values,
                                       .env_count = 1,
                                       .api_version = (char *)"client.authentication.k8s.io/v1"};
    kube_scene_client(&s);
    kube_server_faults(s.server, &(struct kube_faults){.token = "t-1"});
    assert_ok(call(&s, &c, NULL, &err), &err);
    assert_ok(call(&s, &c, NULL, &err), &err);
    kube_server_faults(s.server, &(struct kube_faults){.token = "t-2"});
    assert_ok(call(&s, &c, NULL, &err), &err);
    assert_int_equal(kube_client_stats(s.client)->reauth_count, 1);

    test_file_write(script, SLICE_LIT("#!/bin/sh\nexit 7\n"));
    kube_server_faults(s.server, &(struct kube_faults){.token = "t-9"});
    assert_error(call(&s, &c, NULL, &err), &err, ERR_ACCESS, "exit status 7");
    assert_non_null(strstr(err.text, "exec plug-in"));
    kube_client_free(s.client);
    s.client = NULL;
    s.config.exec = (struct kube_exec){.argv = NULL};
    kube_scene_drop(&s);
}

static void on_never(void *arg UNUSED, const struct kube_answer *answer UNUSED)
{
    fail_msg("a canceled call was answered");
}

static void count_canceled(void *arg, const struct kube_answer *answer)
{
    unsigned *count = arg;

    assert_int_equal(answer->err->code, ERR_CANCELED);
    (*count)++;
}

static bool has_seen_list(void *server)
{
    return kube_server_requests(server, "GET /api/v1/pods") > 0;
}

static void test_client_forgets_canceled_calls_and_ends_the_others(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    struct kube_request *early, *late;
    unsigned count = 0;
    kube_scene_make(&s, false);
    struct kube_call c = {.verb = KUBE_LIST, .resource = &kube_pods};

    kube_server_faults(
        s.server,
        &(struct kube_faults){.fail_count = 9, .fail_part = "GET /api/v1/pods", .fail_status = -1});
    assert_ok(kube_start(s.client, &c, on_never, NULL, &early, &err), &err);
    kube_cancel(early); /* still waits for its turn */
    assert_ok(kube_start(s.client, &c, on_never, NULL, &late, &err), &err);
    assert_true(kube_scene_until(&s, has_seen_list, s.server));
    kube_cancel(late); /* under way */
    assert_ok(kube_start(s.client, &c, count_canceled, &count, NULL, &err), &err);
    assert_ok(kube_start(s.client, &c, count_canceled, &count, NULL, &err), &err);
    kube_client_free(s.client);
    s.client = NULL;
    assert_int_equal(count, 2);
    kube_scene_drop(&s);
}

static void test_client_keeps_calls_within_its_rate(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    kube_scene_make(&s, false);

    kube_client_free(s.client);
    s.client = NULL;
    assert_ok(kube_client_new(
                  s.loop,
                  &(struct kube_client_config){.config = &s.config, .rate_per_s = 20, .burst = 2},
                  &s.client, &err),
              &err);
    struct kube_call c = {.verb = KUBE_RAW, .raw_path = "/version"};
    uint64_t before = env_monotonic_ns(env_real());
    for (int i = 0; i < 6; i++)
        assert_ok(call(&s, &c, NULL, &err), &err);
    /* Two at once, four more at 20 a second; urgent ones do not wait. */
    assert_true(env_monotonic_ns(env_real()) - before >= 195 * NS_PER_MS);
    uint64_t waited = kube_client_stats(s.client)->throttle_ns;
    c.is_urgent = true;
    assert_ok(call(&s, &c, NULL, &err), &err);
    assert_true(kube_client_stats(s.client)->throttle_ns - waited < 40 * NS_PER_MS);
    kube_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_client_gets_creates_updates_and_deletes),
        TEST(test_client_applies_patches_and_tries_without_keeping),
        TEST(test_client_lists_by_pages_and_labels),
        TEST(test_client_reads_compressed_answers_and_limits_what_they_unpack_to),
        TEST(test_client_reuses_one_connection_and_names_itself),
        TEST(test_client_waits_as_long_as_the_server_wishes),
        TEST(test_client_reports_a_server_that_hangs_up_or_talks_nonsense),
        TEST(test_client_reads_a_rotated_token_after_a_401),
        TEST(test_client_without_other_credentials_does_not_repeat_a_401),
        TEST(test_client_runs_an_exec_plugin_until_its_token_is_refused),
        TEST(test_client_forgets_canceled_calls_and_ends_the_others),
        TEST(test_client_keeps_calls_within_its_rate),
    };
    return TEST_MAIN(tests);
}
