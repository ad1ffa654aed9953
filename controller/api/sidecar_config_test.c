/*
 * What the controller writes, the sidecar reads: the configuration of a resource with every setting
 * goes through lib/config, and each value arrives.
 */
#include "controller/api/sidecar_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api.h"
#include "lib/config/config.h"
#include "lib/testing/server.h"
#include "lib/testing/test.h"

static const char rich[] =
    "{\"metadata\":{\"name\":\"app\",\"namespace\":\"prod\"},\"spec\":{"
    "\"databases\":[{\"name\":\"main\",\"path\":\"/data/a $b\\\"c.db\",\"journalMode\":\"Enable\","
    "\"seal\":false,\"monitorIntervalMilliseconds\":500,\"checkpointIntervalSeconds\":0,"
    "\"minCheckpointPages\":77,\"busyTimeoutMilliseconds\":250,"
    "\"freeSpaceReserve\":{\"bytes\":1048576,\"percent\":7}},"
    "{\"name\":\"jobs\",\"path\":\"/data/jobs.db\",\"freeSpaceReserve\":{\"bytes\":0,\"percent\":0"
    "}}],"
    "\"destination\":{\"s3\":{\"bucket\":\"backups\",\"region\":\"eu\",\"endpoint\":"
    "\"https://minio:9000\",\"forcePathStyle\":true,\"signPayload\":true,\"requireContentMD5\":"
    "false,\"storageClass\":\"STANDARD_IA\",\"partSizeBytes\":8388608,\"concurrency\":3,"
    "\"credentialsSecretRef\":{\"name\":\"k\"},\"caSecretRef\":{\"name\":\"ca\",\"key\":"
    "\"root.pem\"},\"sseKMSKeyID\":\"kms-1\"}},"
    "\"prefixTemplate\":\"{{namespace}}/{{name}}/{{database}}/{{podName}}\","
    "\"secondaryDestinations\":[{\"name\":\"nas\",\"file\":{\"claimName\":\"nas\"},"
    "\"syncIntervalMilliseconds\":60000,\"snapshotIntervalSeconds\":3600,\"retentionWindow\":"
    "\"48h\"},{\"name\":\"shared\",\"bucketRef\":{\"name\":\"shared\"}}],"
    "\"sync\":{\"intervalMilliseconds\":2000,\"snapshotIntervalSeconds\":43200,"
    "\"l0RetentionSeconds\":600,\"levelIntervalsSeconds\":[10,100],\"requireFencing\":true,"
    "\"validationIntervalSeconds\":7200},"
    "\"singleWriter\":{\"lease\":true},\"suspend\":true,"
    "\"retention\":{\"window\":\"14d\",\"enabled\":false},"
    "\"sidecar\":{\"logLevel\":\"Debug\",\"logFormat\":\"Text\",\"metricsPort\":9191,"
    "\"metricsCompat\":\"Litestream\",\"terminationFlushSeconds\":45}}}";

static const char bucket_text[] =
    "{\"metadata\":{\"name\":\"shared\"},\"spec\":{\"prefix\":\"team\",\"accessMode\":\"%s\","
    "\"s3\":{\"bucket\":\"other\",\"sseCustomerKeySecretRef\":{\"name\":\"s\"}}}}";

static struct api_replica *replica_make(const char *text)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct api_replica *r = NULL;
    struct error err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "text", slice_of_str(text), &err), &err);
    assert_ok(api_replica_parse(jsonval_root(&doc), &r, &err), &err);
    return r;
}

static struct api_bucket *bucket_make(const char *access_mode)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(1024);
    struct api_bucket *b = NULL;
    struct error err = ERROR_INIT;
    const char *hole = strstr(bucket_text, "%s");

    assert_ok(buf_printf(&text, &err, "%.*s%s%s", (int)(hole - bucket_text), bucket_text,
                         access_mode, hole + 2),
              &err);
    assert_ok(jsonval_parse(&doc, "text", buf_slice(&text), &err), &err);
    assert_ok(api_bucket_parse(jsonval_root(&doc), &b, &err), &err);
    return b;
}

static const char *pod_getenv(void *arg UNUSED, const char *name)
{
    return strcmp(name, "POD_NAME") == 0 ? "app-0" : NULL;
}

/* The configuration as a sidecar in pod app-0 understands it. */
static struct config *read_back(const struct buf *text)
{
    const struct config_options options = {.getenv = pod_getenv};
    struct config *c = NULL;
    struct error err = ERROR_INIT;

    if (config_parse(buf_slice(text), "walferry.yml", &options, &c, &err) < 0)
        fail_msg("%s\n%s", err.text, buf_str(text));
    assert_int_equal(c->warning_count, 0);
    return c;
}

static void globals_check(const struct config *c)
{
    assert_string_equal(c->addr, ":9191");
    assert_int_equal(c->metrics_compat, CONFIG_METRICS_LITESTREAM);
    assert_true(c->socket.is_enabled);
    assert_string_equal(c->socket.path, API_SOCKET_PATH);
    assert_int_equal(c->socket.permissions, 0600);
    assert_int_equal(c->level_count, 2);
    assert_int_equal(c->level_interval_ns[1], 100 * NS_PER_SEC);
    assert_int_equal(c->l0_retention_ns, 600 * NS_PER_SEC);
    assert_false(c->retention_enabled);
    assert_true(c->is_suspended);
    assert_int_equal(c->shutdown_sync_timeout_ns, 45 * NS_PER_SEC);
    assert_int_equal(c->logging.level, LOG_LEVEL_DEBUG);
    assert_int_equal(c->logging.format, LOG_FORMAT_TEXT);
}

static void s3_check(const struct config_replica *r)
{
    assert_string_equal(r->name, "primary");
    assert_string_equal(r->path, "prod/app/main/app-0");
    assert_string_equal(r->s3.bucket, "backups");
    assert_string_equal(r->s3.endpoint, "https://minio:9000");
    assert_int_equal(r->s3.path_style, CONFIG_YES);
    assert_int_equal(r->s3.sign_payload, CONFIG_YES);
    assert_int_equal(r->s3.content_md5, CONFIG_NO);
    assert_string_equal(r->s3.storage_class, "STANDARD_IA");
    assert_int_equal(r->s3.part_bytes, 8 << 20);
    assert_int_equal(r->s3.concurrency, 3);
    assert_string_equal(r->s3.credentials_path, "/etc/walferry/credentials/primary");
    assert_string_equal(r->s3.ca_file, "/etc/walferry/ca/primary/root.pem");
    assert_string_equal(r->s3.sse_kms_key_id, "kms-1");
    assert_int_equal(r->sync_interval_ns, 2 * NS_PER_SEC);
    assert_int_equal(r->snapshot_interval_ns, 12 * NS_PER_HOUR);
    assert_int_equal(r->snapshot_retention_ns, 14 * NS_PER_DAY);
    assert_int_equal(r->validation_interval_ns, 2 * NS_PER_HOUR);
    assert_true(r->require_fencing);
    assert_true(r->lease);
}

static void test_every_setting_reaches_the_sidecar(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = replica_make(rich);
    CLEANUP(api_bucket_cleanup) struct api_bucket *bucket = bucket_make("ReadWrite");
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(API_CONFIG_BYTES_MAX);
    struct error err = ERROR_INIT;

    assert_ok(api_sidecar_config(r, (const struct api_bucket *const *)&bucket, 1, &text, &err),
              &err);
    CLEANUP(config_cleanup) struct config *c = read_back(&text);
    globals_check(c);
    assert_int_equal(c->db_count, 2);
    const struct config_db *db = &c->dbs[0];
    assert_string_equal(db->path, "/data/a $b\"c.db");
    assert_int_equal(db->journal_mode, CONFIG_JOURNAL_ENABLE);
    assert_false(db->seal);
    assert_int_equal(db->monitor_interval_ns, 500 * NS_PER_MS);
    assert_int_equal(db->checkpoint_interval_ns, 0);
    assert_int_equal(db->min_checkpoint_page_count, 77);
    assert_int_equal(db->busy_timeout_ns, 250 * NS_PER_MS);
    assert_int_equal(db->free_space_reserve.bytes, 1 << 20);
    assert_int_equal(db->free_space_reserve.percent, 7);
    assert_int_equal(c->dbs[1].free_space_reserve.bytes, 0);
    assert_int_equal(c->dbs[1].journal_mode, CONFIG_JOURNAL_REQUIRE);
    assert_int_equal(db->replica_count, 3);
    s3_check(&db->replicas[0]);
    assert_string_equal(db->replicas[1].path, "/var/lib/walferry/nas/prod/app/main/app-0");
    assert_int_equal(db->replicas[1].sync_interval_ns, NS_PER_MIN);
    assert_int_equal(db->replicas[1].snapshot_retention_ns, 48 * NS_PER_HOUR);
    assert_string_equal(db->replicas[2].path, "team/prod/app/main/app-0");
    assert_string_equal(db->replicas[2].s3.sse_customer_key_path, "/etc/walferry/sse/shared/key");
    assert_string_equal(c->dbs[1].replicas[0].path, "prod/app/jobs/app-0");
}

/* The program itself, as a person would ask it. */
static void test_walferry_config_check_accepts_it(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = replica_make(rich);
    CLEANUP(api_bucket_cleanup) struct api_bucket *bucket = bucket_make("ReadWrite");
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(API_CONFIG_BYTES_MAX);
    const char *variant = getenv("VARIANT"); // NOLINT(concurrency-mt-unsafe): nobody sets any
    char folder[256], path[300], log[300], program[128];
    struct error err = ERROR_INIT;

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/walferry.yml", folder);
    (void)snprintf(log, sizeof(log), "%s/log", folder);
    (void)snprintf(program, sizeof(program), "build/%s/bin/walferry",
                   variant && *variant ? variant : "release");
    assert_ok(api_sidecar_config(r, (const struct api_bucket *const *)&bucket, 1, &text, &err),
              &err);
    test_file_write(path, buf_slice(&text));
    const char *const argv[] = {program, "config", "-config", path, "check", NULL};
    const char *const env[] = {"POD_NAME=app-0", NULL};
    CLEANUP(mem_free) char *out = test_process_run(argv, env, log, 20 * NS_PER_SEC, 0);
    assert_non_null(strstr(out, "2 databases, 0 warnings"));
    assert_non_null(strstr(out, "s3://backups/prod/app/main/app-0"));
    test_folder_remove(folder);
}

static void test_the_same_resource_gives_the_same_bytes(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = replica_make(rich);
    CLEANUP(api_bucket_cleanup) struct api_bucket *bucket = bucket_make("ReadWrite");
    CLEANUP(buf_destroy) struct buf once = BUF_INIT(API_CONFIG_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf twice = BUF_INIT(API_CONFIG_BYTES_MAX);
    const struct api_bucket *const *buckets = (const struct api_bucket *const *)&bucket;
    struct error err = ERROR_INIT;

    assert_ok(api_sidecar_config(r, buckets, 1, &once, &err), &err);
    assert_ok(api_sidecar_config(r, buckets, 1, &twice, &err), &err);
    assert_string_equal(buf_str(&once), buf_str(&twice));
}

/* A line of the file as a controller of the next version would write it: one more key before it. */
static void newer_make(const char *text, size_t at, struct buf *out)
{
    struct error err = ERROR_INIT;
    size_t indent = strspn(text + at, " ");
    bool is_entry = strncmp(text + at + indent, "- ", 2) == 0;

    buf_clear(out);
    assert_ok(buf_printf(out, &err, "%.*s", (int)at, text), &err);
    if (is_entry) { /* behind the dash: "- new: 1", and what was there is next */
        assert_ok(buf_printf(out, &err, "%*s- key-of-a-newer-version: 1\n%*s%s", (int)indent, "",
                             (int)indent + 2, "", text + at + indent + 2),
                  &err);
    } else {
        assert_ok(buf_printf(out, &err, "%*skey-of-a-newer-version: {a: [1]}\n%s", (int)indent, "",
                             text + at),
                  &err);
    }
}

static void test_a_sidecar_passes_over_what_a_newer_controller_writes(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = replica_make(rich);
    CLEANUP(api_bucket_cleanup) struct api_bucket *bucket = bucket_make("ReadWrite");
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(API_CONFIG_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf newer = BUF_INIT(API_CONFIG_BYTES_MAX);
    const struct config_options options = {.getenv = pod_getenv};
    struct error err = ERROR_INIT;
    size_t line_count = 0;

    assert_ok(api_sidecar_config(r, (const struct api_bucket *const *)&bucket, 1, &text, &err),
              &err);
    for (const char *line = buf_str(&text); *line; line = strchr(line, '\n') + 1) {
        struct config *c = NULL;
        if (strncmp(line, "  - interval", 12) == 0)
            continue; /* a level is an interval and nothing else */
        newer_make(buf_str(&text), (size_t)(line - buf_str(&text)), &newer);
        if (config_parse(buf_slice(&newer), "walferry.yml", &options, &c, &err) < 0)
            fail_msg("%s\n%s", err.text, buf_str(&newer));
        assert_int_equal(c->warning_count, 1);
        assert_non_null(strstr(c->warnings[0], "key-of-a-newer-version: unknown key"));
        globals_check(c);
        config_free(c);
        line_count++;
    }
    assert_true(line_count > 60);
}

/* Keys without which a file means nothing. */
static bool is_structure(const char *line)
{
    static const char *const words[] = {
        "dbs:",    "replicas:",   "path:",   "type:",        "bucket:", "name:",
        "levels:", "- interval:", "socket:", "retention:\n", "logging:"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *at = strstr(line, words[i]);
        if (at && at < strchr(line, '\n'))
            return true;
    }
    return false;
}

static void test_a_sidecar_does_without_what_an_older_controller_does_not_write(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = replica_make(rich);
    CLEANUP(api_bucket_cleanup) struct api_bucket *bucket = bucket_make("ReadWrite");
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(API_CONFIG_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf older = BUF_INIT(API_CONFIG_BYTES_MAX);
    const struct config_options options = {.getenv = pod_getenv};
    struct error err = ERROR_INIT;
    size_t line_count = 0;

    assert_ok(api_sidecar_config(r, (const struct api_bucket *const *)&bucket, 1, &text, &err),
              &err);
    for (const char *line = buf_str(&text); *line; line = strchr(line, '\n') + 1) {
        struct config *c = NULL;
        if (*line == '#' || is_structure(line))
            continue;
        buf_clear(&older);
        assert_ok(buf_printf(&older, &err, "%.*s%s", (int)(line - buf_str(&text)), buf_str(&text),
                             strchr(line, '\n') + 1),
                  &err);
        if (config_parse(buf_slice(&older), "walferry.yml", &options, &c, &err) < 0)
            fail_msg("%s\n%s", err.text, buf_str(&older));
        assert_int_equal(c->warning_count, 0);
        config_free(c);
        line_count++;
    }
    assert_true(line_count > 40);
}

static void test_a_bucket_that_is_missing_is_an_error(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = replica_make(rich);
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(API_CONFIG_BYTES_MAX);
    struct error err = ERROR_INIT;

    assert_error(api_sidecar_config(r, NULL, 0, &text, &err), &err, ERR_NOT_FOUND,
                 "SqliteBucket \"shared\" does not exist");
}

static void test_a_read_only_bucket_is_only_restored_from(void **state UNUSED)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = replica_make(rich);
    CLEANUP(api_bucket_cleanup) struct api_bucket *bucket = bucket_make("ReadOnly");
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(API_CONFIG_BYTES_MAX);
    struct error err = ERROR_INIT;

    assert_ok(api_sidecar_config(r, (const struct api_bucket *const *)&bucket, 1, &text, &err),
              &err);
    CLEANUP(config_cleanup) struct config *c = read_back(&text);
    assert_false(config_replica_is_read_only(&c->dbs[0].replicas[0]));
    assert_true(config_replica_is_read_only(&c->dbs[0].replicas[2]));
    assert_string_equal(c->dbs[0].replicas[2].name, "shared");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_setting_reaches_the_sidecar),
        TEST(test_walferry_config_check_accepts_it),
        TEST(test_the_same_resource_gives_the_same_bytes),
        TEST(test_a_sidecar_passes_over_what_a_newer_controller_writes),
        TEST(test_a_sidecar_does_without_what_an_older_controller_does_not_write),
        TEST(test_a_bucket_that_is_missing_is_an_error),
        TEST(test_a_read_only_bucket_is_only_restored_from),
    };
    return TEST_MAIN(tests);
}
