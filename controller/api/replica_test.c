/*
 * SqliteReplica, SqliteBucket and SqliteRestore from JSON: defaults, what is refused and where, and
 * that nothing leaks when memory is out is for the fuzzer's sanitizers.
 */
#include <stdio.h>
#include <string.h>

#include "controller/api/api.h"
#include "controller/inject/inject.h"
#include "lib/testing/test.h"

#define DESTINATION   "\"destination\":{\"s3\":{\"bucket\":\"b\"}}"
#define DATABASE      "\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\"}]"
#define META          "\"metadata\":{\"name\":\"app\",\"namespace\":\"prod\"}"
#define REPLICA(spec) "{" META ",\"spec\":{" spec "}}"

static int parse(const char *text, struct api_replica **out, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error parse_err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "text", slice_of_str(text), &parse_err), &parse_err);
    return api_replica_parse(jsonval_root(&doc), out, err);
}

static void test_the_least_resource_has_every_default(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = NULL;
    struct error err = ERROR_INIT;

    assert_ok(parse(REPLICA(DATABASE "," DESTINATION), &r, &err), &err);
    assert_string_equal(r->databases[0].path, "/data/app.db");
    assert_false(r->databases[0].journal_enable);
    assert_true(r->databases[0].seal);
    assert_int_equal(r->databases[0].reserve_percent, 5);
    assert_string_equal(r->destinations[0].name, "primary");
    assert_string_equal(r->destinations[0].prefix_template, API_PREFIX_TEMPLATE);
    assert_int_equal(r->destinations[0].sync_interval_ns, NS_PER_SEC);
    assert_int_equal(r->destinations[0].retention_ns, 720 * NS_PER_HOUR);
    assert_int_equal(r->level_count, 3);
    assert_int_equal(r->level_ns[2], NS_PER_HOUR);
    assert_int_equal(r->restore.policy, API_RESTORE_IF_MISSING);
    assert_true(r->restore.may_start_empty);
    assert_int_equal(r->restore.integrity, API_INTEGRITY_QUICK);
    assert_int_equal(r->lag.critical_ns, 300 * NS_PER_SEC);
    assert_true(r->enforces_single_writer);
    assert_false(r->rollout_auto);
    assert_true(r->retention_enabled);
    assert_string_equal(r->sidecar.resources.memory_limit, "64Mi");
    assert_string_equal(r->sidecar.restore_resources.memory_limit, "192Mi");
    assert_true(r->sidecar.log_json);
    assert_int_equal(r->sidecar.flush_ns, 20 * NS_PER_SEC);
    assert_false(r->sidecar.has_user);
}

static struct api_replica *file_parse(const char *path)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct api_replica *r = NULL;
    struct error err = ERROR_INIT;
    size_t n = 0;
    uint8_t *text = test_file_read(path, &n);

    assert_ok(jsonval_parse(&doc, path, slice_of(text, n), &err), &err);
    free(text);
    assert_ok(api_replica_parse(jsonval_root(&doc), &r, &err), &err);
    return r;
}

/* What the API server fills in is what is meant without it. crds/crds_test.sh makes the file. */
static void test_defaults_are_those_of_the_definition(void **state UNUSED)
{
    static const struct inject_options options = {.image = "i:1", .version = "1"};
    CLEANUP(api_replica_cleanup)
    struct api_replica *a = file_parse("controller/api/testdata/least.json");
    CLEANUP(api_replica_cleanup)
    struct api_replica *b = file_parse("controller/api/testdata/least-defaulted.json");
    CLEANUP(buf_destroy) struct buf config_a = BUF_INIT(API_CONFIG_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf config_b = BUF_INIT(API_CONFIG_BYTES_MAX);
    char hash_a[INJECT_HASH_BYTES], hash_b[INJECT_HASH_BYTES];
    struct error err = ERROR_INIT;

    assert_ok(api_sidecar_config(a, NULL, 0, &config_a, &err), &err);
    assert_ok(api_sidecar_config(b, NULL, 0, &config_b, &err), &err);
    assert_string_equal(buf_str(&config_a), buf_str(&config_b));
    assert_ok(inject_spec_hash(a, NULL, 0, &options, hash_a, &err), &err);
    assert_ok(inject_spec_hash(b, NULL, 0, &options, hash_b, &err), &err);
    assert_string_equal(hash_a, hash_b);
    assert_int_equal(a->lag.warning_ns, b->lag.warning_ns);
    assert_int_equal(a->lag.critical_ns, b->lag.critical_ns);
    assert_int_equal(a->verification.integrity, b->verification.integrity);
    assert_int_equal(a->verification.jitter_ns, b->verification.jitter_ns);
    assert_string_equal(a->verification.time_zone, b->verification.time_zone);
    assert_int_equal(a->enforces_single_writer, b->enforces_single_writer);
    assert_int_equal(a->rollout_auto, b->rollout_auto);
    assert_int_equal(a->is_suspended, b->is_suspended);
}

static void test_a_second_destination_is_as_the_first_where_it_says_nothing(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = NULL;
    struct error err = ERROR_INIT;

    assert_ok(parse(REPLICA(DATABASE "," DESTINATION ",\"prefixTemplate\":\"x/{{name}}\","
                                     "\"sync\":{\"intervalMilliseconds\":250},"
                                     "\"retention\":{\"window\":\"30d\"},"
                                     "\"secondaryDestinations\":[{\"name\":\"nas\",\"file\":{"
                                     "\"claimName\":\"nas\"},\"retentionWindow\":\"2h\"}]"),
                    &r, &err),
              &err);
    assert_int_equal(r->destination_count, 2);
    assert_int_equal(r->destinations[1].store.kind, API_STORE_FILE);
    assert_string_equal(r->destinations[1].prefix_template, "x/{{name}}");
    assert_int_equal(r->destinations[1].sync_interval_ns, 250 * NS_PER_MS);
    assert_int_equal(r->destinations[0].retention_ns, 30 * NS_PER_DAY);
    assert_int_equal(r->destinations[1].retention_ns, 2 * NS_PER_HOUR);
}

static void test_the_status_tells_where_a_replica_was_reported(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = NULL;
    struct error err = ERROR_INIT;

    assert_ok(parse("{" META ",\"spec\":{" DATABASE "," DESTINATION
                    "},\"status\":{\"observedGeneration\":3,\"replicatedPrefixes\":[\"a/b\"]}}",
                    &r, &err),
              &err);
    assert_int_equal(r->status.observed_generation, 3);
    assert_true(api_replica_has_reported(r, "a/b"));
    assert_false(api_replica_has_reported(r, "a"));
}

struct refusal {
    const char *text;
    const char *error;
};

static void test_what_is_wrong_is_named_with_its_place(void **state UNUSED)
{
    static const struct refusal rows[] = {
        {"{}", "metadata.name: it is missing"},
        {"{" META "}", "SqliteReplica prod/app: text: spec: it is missing"},
        {REPLICA(DESTINATION), "spec.databases: 0 databases, there must be 1 to 16"},
        {REPLICA(DATABASE), "exactly one of bucketRef, s3 and file must be set"},
        {REPLICA("\"databases\":[{\"name\":\"a\"}]," DESTINATION),
         "spec.databases[0].path: it is missing"},
        {REPLICA("\"databases\":[{\"name\":\"a\",\"path\":\"app.db\"}]," DESTINATION),
         "spec.databases[0].path: \"app.db\" is not an absolute"},
        {REPLICA("\"databases\":[{\"name\":\"a\",\"path\":\"/a/../b\"}]," DESTINATION),
         "not an absolute, normalised path"},
        {REPLICA("\"databases\":[{\"name\":\"a\",\"path\":\"/a/\"}]," DESTINATION),
         "not an absolute, normalised path"},
        {REPLICA("\"databases\":[{\"name\":\"a\",\"path\":\"/a\"},{\"name\":\"a\",\"path\":\"/b\"}]"
                 "," DESTINATION),
         "databases 0 and 1 have the same name or path"},
        {REPLICA("\"databases\":[{\"name\":\"a\",\"path\":\"/a\"},{\"name\":\"b\",\"path\":\"/b\"}]"
                 ",\"prefixTemplate\":\"x\"," DESTINATION),
         "would be shared by 2 databases; put {{database}} into it"},
        {REPLICA(DATABASE ",\"destination\":{\"s3\":{\"bucket\":\"b\"},\"file\":{\"claimName\":"
                          "\"c\"}}"),
         "spec.destination: s3 and file are both set"},
        {REPLICA(DATABASE ",\"destination\":{\"s3\":{\"bucket\":\"b\"},\"bucketRef\":{\"name\":"
                          "\"c\"}}"),
         "exactly one of bucketRef, s3 and file"},
        {REPLICA(DATABASE ",\"destination\":{\"s3\":{\"bucket\":7}}"),
         "spec.destination.s3.bucket: expected a string"},
        {REPLICA(DATABASE "," DESTINATION ",\"sync\":{\"intervalMilliseconds\":1}"),
         "spec.sync.intervalMilliseconds: 1 is not from 10 to 3600000"},
        {REPLICA(DATABASE "," DESTINATION ",\"sync\":{\"levelIntervalsSeconds\":[60,30]}"),
         "spec.sync.levelIntervalsSeconds[1]: level intervals must ascend"},
        {REPLICA(DATABASE "," DESTINATION ",\"sync\":{\"l0RetentionSeconds\":30}"),
         "spec.sync.l0RetentionSeconds: it must be 0 (only with the snapshots) or at least 60"},
        {REPLICA(DATABASE "," DESTINATION ",\"retention\":{\"window\":\"1m\"}"),
         "spec.retention.window: 1m is less than 3600 s"},
        {REPLICA(DATABASE "," DESTINATION ",\"retention\":{\"window\":\"soon\"}"),
         "\"soon\" is not a duration like 720h"},
        {REPLICA(DATABASE "," DESTINATION ",\"restore\":{\"policy\":\"Always\"}"),
         "spec.restore.policy: \"Always\" is none of IfMissing, Require, Never"},
        {REPLICA(DATABASE "," DESTINATION ",\"restore\":{\"targetTime\":\"now\"}"),
         "spec.restore.targetTime: \"now\" is not a moment"},
        {REPLICA(DATABASE "," DESTINATION ",\"restore\":{\"targetTxid\":\"12\"}"),
         "\"12\" is not 16 hexadecimal digits"},
        {REPLICA(DATABASE "," DESTINATION
                          ",\"restore\":{\"targetTime\":\"2026-01-01T00:00:00Z\",\"targetTxid\":"
                          "\"0000000000000001\"}"),
         "targetTime and targetTxid exclude each other"},
        {REPLICA(DATABASE "," DESTINATION
                          ",\"lagObjective\":{\"warningSeconds\":9,\"criticalSeconds\":3}"),
         "criticalSeconds is less than warningSeconds"},
        {REPLICA(DATABASE "," DESTINATION ",\"prefixTemplate\":\"{{pod}}\""), "unknown variable"},
        {REPLICA(DATABASE "," DESTINATION
                          ",\"secondaryDestinations\":[{\"name\":\"primary\",\"file\":{"
                          "\"claimName\":\"c\"}}]"),
         "another destination is called \"primary\""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(api_replica_cleanup) struct api_replica *r = NULL;
        struct error err = ERROR_INIT;
        test_row(rows[i].error);
        int rc = parse(rows[i].text, &r, &err);
        assert_int_equal(rc, -1);
        if (!strstr(err.text, rows[i].error))
            fail_msg("wanted \"%s\", got \"%s\"", rows[i].error, err.text);
        assert_null(r);
    }
}

static void test_a_bucket_has_a_store_and_a_prefix(void **state UNUSED)
{
    static const char text[] =
        "{" META ",\"spec\":{\"prefix\":\"team\",\"accessMode\":\"ReadOnly\",\"createBucket\":true,"
        "\"s3\":{\"bucket\":\"b\",\"forcePathStyle\":false,\"caSecretRef\":{\"name\":\"ca\"}}},"
        "\"status\":{\"lastValidationTime\":\"2026-01-01T00:00:00Z\"}}";
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(api_bucket_cleanup) struct api_bucket *b = NULL;
    struct error err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "text", slice_of_str(text), &err), &err);
    assert_ok(api_bucket_parse(jsonval_root(&doc), &b, &err), &err);
    assert_true(b->is_read_only);
    assert_true(b->create_bucket);
    assert_int_equal(b->store.force_path_style, API_NO);
    assert_int_equal(b->store.sign_payload, API_UNSET);
    assert_string_equal(b->store.ca_key, "ca.crt");
    assert_int_equal(b->probe_interval_ns, NS_PER_HOUR);
    assert_true(b->probed_ns > 0);
}

static void test_a_restore_is_read_with_its_outcome(void **state UNUSED)
{
    static const char text[] =
        "{" META ",\"spec\":{\"sourceRef\":{\"name\":\"app\"},\"mode\":\"ToClaim\",\"target\":{"
        "\"claimName\":\"copy\",\"path\":\"app.db\"},\"ttlSecondsAfterFinished\":0},\"status\":{"
        "\"conditions\":[{\"type\":\"Complete\",\"status\":\"True\",\"lastTransitionTime\":"
        "\"2026-01-01T00:00:00Z\"},{\"type\":\"Failed\",\"status\":\"False\"}]}}";
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(api_restore_cleanup) struct api_restore *r = NULL;
    struct error err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "text", slice_of_str(text), &err), &err);
    assert_ok(api_restore_parse(jsonval_root(&doc), &r, &err), &err);
    assert_int_equal(r->mode, API_RESTORE_TO_CLAIM);
    assert_true(r->has_ttl);
    assert_int_equal(r->ttl_after_finished_ns, 0);
    assert_true(r->status.is_complete);
    assert_false(r->status.is_failed);
    assert_true(r->status.finished_ns > 0);
}

static void test_a_restore_stays_in_its_claim(void **state UNUSED)
{
    static const struct refusal rows[] = {
        {"\"mode\":\"ToClaim\"", "ToClaim needs target.claimName and .path"},
        {"\"mode\":\"Verify\",\"target\":{\"claimName\":\"c\",\"path\":\"p\"}",
         "it belongs to mode ToClaim"},
        {"\"mode\":\"ToClaim\",\"target\":{\"claimName\":\"c\",\"path\":\"../p\"}",
         "must be relative to the claim and stay in it"},
        {"\"database\":\"x\"", "spec.mode: it is missing"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
        CLEANUP(api_restore_cleanup) struct api_restore *r = NULL;
        struct error err = ERROR_INIT;
        char text[512];
        test_row(rows[i].text);
        (void)snprintf(text, sizeof(text),
                       "{" META ",\"spec\":{\"sourceRef\":{\"name\":\"app\"},%s}}", rows[i].text);
        assert_ok(jsonval_parse(&doc, "text", slice_of_str(text), &err), &err);
        assert_error(api_restore_parse(jsonval_root(&doc), &r, &err), &err, ERR_CORRUPT,
                     rows[i].error);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_the_least_resource_has_every_default),
        TEST(test_defaults_are_those_of_the_definition),
        TEST(test_a_second_destination_is_as_the_first_where_it_says_nothing),
        TEST(test_the_status_tells_where_a_replica_was_reported),
        TEST(test_what_is_wrong_is_named_with_its_place),
        TEST(test_a_bucket_has_a_store_and_a_prefix),
        TEST(test_a_restore_is_read_with_its_outcome),
        TEST(test_a_restore_stays_in_its_claim),
    };
    return TEST_MAIN(tests);
}
