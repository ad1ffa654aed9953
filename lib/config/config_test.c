/*
 * Whole documents of both dialects, command lines, and the life of a configuration.
 */
#include "lib/config/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/testing/fault_env.h"
#include "lib/testing/test.h"

static const char *fake_getenv(void *arg UNUSED, const char *name)
{
    if (strcmp(name, "HOME") == 0)
        return "/home/ada";
    if (strcmp(name, "LITESTREAM_ACCESS_KEY_ID") == 0)
        return "AKIAENV";
    if (strcmp(name, "LITESTREAM_SECRET_ACCESS_KEY") == 0)
        return "it's: #secret";
    return NULL;
}

static const struct config_options options = {.getenv = fake_getenv};

static struct config *load(const char *path)
{
    struct error err = ERROR_INIT;
    struct config *c = NULL;
    assert_ok(config_load(env_real(), path, &options, &c, &err), &err);
    return c;
}

static void test_defaults_are_those_of_litestream(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    struct error err = ERROR_INIT;
    static const char text[] = "dbs: [{path: /data/app.db, replica: {url: 's3://b/app'}}]";

    assert_ok(config_parse(slice_of_str(text), "a.yml", &options, &c, &err), &err);
    assert_null(c->addr);
    assert_false(c->socket.is_enabled);
    assert_string_equal(c->socket.path, "/var/run/litestream.sock");
    assert_int_equal(c->socket.permissions, 0600);
    assert_int_equal(c->level_count, 3);
    assert_int_equal(c->level_interval_ns[0], 30 * NS_PER_SEC);
    assert_int_equal(c->level_interval_ns[1], 5 * NS_PER_MIN);
    assert_int_equal(c->level_interval_ns[2], NS_PER_HOUR);
    assert_int_equal(c->l0_retention_ns, 5 * NS_PER_MIN);
    assert_int_equal(c->validation_interval_ns, 0);
    assert_true(c->retention_enabled);
    assert_null(c->heartbeat_url);
    assert_int_equal(c->heartbeat_interval_ns, 5 * NS_PER_MIN);
    assert_int_equal(c->shutdown_sync_timeout_ns, 30 * NS_PER_SEC);
    assert_int_equal(c->logging.level, LOG_LEVEL_INFO);
    assert_int_equal(c->logging.format, LOG_FORMAT_TEXT);
    assert_true(c->logging.to_stderr);
    assert_int_equal(c->warning_count, 0);

    const struct config_db *db = &c->dbs[0];
    assert_string_equal(db->meta_path, "/data/.app.db-walferry");
    assert_int_equal(db->monitor_interval_ns, NS_PER_SEC);
    assert_int_equal(db->checkpoint_interval_ns, NS_PER_MIN);
    assert_int_equal(db->busy_timeout_ns, NS_PER_SEC);
    assert_int_equal(db->min_checkpoint_page_count, 1000);
    assert_false(db->restore_if_db_not_exists);
    assert_int_equal(db->journal_mode, CONFIG_JOURNAL_ENABLE);
    assert_int_equal(db->free_space_reserve.bytes, 64 << 20);
    assert_int_equal(db->free_space_reserve.percent, 5);
    assert_true(db->seal);

    const struct config_replica *r = &db->replicas[0];
    assert_string_equal(r->name, "s3");
    assert_int_equal(r->sync_interval_ns, NS_PER_SEC);
    assert_int_equal(r->snapshot_interval_ns, NS_PER_DAY);
    assert_int_equal(r->snapshot_retention_ns, NS_PER_DAY);
    assert_int_equal(r->validation_interval_ns, 0);
    assert_false(r->require_fencing);
    assert_int_equal(r->s3.part_bytes, 5 << 20);
    assert_int_equal(r->s3.concurrency, 0);
    assert_int_equal(r->s3.path_style, CONFIG_UNSET);
    assert_int_equal(r->s3.sign_payload, CONFIG_UNSET);
    assert_null(r->s3.region);
    assert_null(r->s3.access_key_id);
}

static void assert_globals_of_0_5(const struct config *c)
{
    assert_string_equal(c->addr, ":9090");
    assert_true(c->socket.is_enabled);
    assert_string_equal(c->socket.path, "/run/litestream.sock");
    assert_int_equal(c->socket.permissions, 0660);
    assert_int_equal(c->snapshot_interval_ns, 12 * NS_PER_HOUR);
    assert_int_equal(c->snapshot_retention_ns, 7 * NS_PER_DAY);
    assert_int_equal(c->l0_retention_ns, 10 * NS_PER_MIN);
    assert_int_equal(c->heartbeat_interval_ns, 2 * NS_PER_MIN);
    assert_int_equal(c->shutdown_sync_timeout_ns, 45 * NS_PER_SEC);
    assert_int_equal(c->logging.level, LOG_LEVEL_DEBUG);
    assert_int_equal(c->logging.format, LOG_FORMAT_JSON);
    assert_false(c->logging.to_stderr);
    assert_int_equal(c->db_count, 2);
}

/* Some warning of the configuration contains the text. */
static void assert_warned(const struct config *c, const char *part)
{
    for (size_t i = 0; i < c->warning_count; i++) {
        if (strstr(c->warnings[i], part))
            return;
    }
    print_error("# no warning \"%s\"\n", part);
    fail();
}

static void test_document_of_0_5_is_read_whole(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = load("lib/config/testdata/litestream-0.5.yml");

    assert_globals_of_0_5(c);
    const struct config_db *app = &c->dbs[0];
    assert_string_equal(app->path, "/var/lib/app/app.db");
    assert_int_equal(app->line, 40);
    assert_int_equal(app->monitor_interval_ns, 500 * NS_PER_MS);
    assert_int_equal(app->busy_timeout_ns, 5 * NS_PER_SEC);
    assert_int_equal(app->min_checkpoint_page_count, 500);
    assert_true(app->restore_if_db_not_exists);
    assert_int_equal(app->snapshot_interval_ns, NS_PER_HOUR);
    const struct config_replica *r = &app->replicas[0];
    assert_string_equal(r->url, "s3://backups/app");
    assert_string_equal(r->s3.bucket, "backups");
    assert_string_equal(r->path, "app");
    assert_string_equal(r->s3.region, "eu-central-1");
    assert_string_equal(r->s3.access_key_id, "AKIAENV");
    assert_string_equal(r->s3.secret_access_key, "it's: #secret");
    assert_string_equal(r->s3.storage_class, "STANDARD_IA");
    assert_int_equal(r->s3.part_bytes, 10000000);
    assert_int_equal(r->s3.concurrency, 3);
    assert_int_equal(r->sync_interval_ns, 5 * NS_PER_SEC);
    assert_int_equal(r->snapshot_interval_ns, NS_PER_HOUR);
    assert_int_equal(r->snapshot_retention_ns, 7 * NS_PER_DAY);
    assert_int_equal(r->validation_interval_ns, 6 * NS_PER_HOUR);

    const struct config_db *notes = &c->dbs[1];
    assert_string_equal(notes->path, "/home/ada/notes.db");
    assert_string_equal(notes->meta_path, "/var/lib/litestream/notes");
    r = &notes->replicas[0];
    assert_string_equal(r->url, "s3://backups/notes?endpoint=http://localhost:9000");
    assert_string_equal(r->s3.endpoint, "http://localhost:9000");
    assert_int_equal(r->s3.path_style, CONFIG_YES);
    assert_int_equal(r->s3.sign_payload, CONFIG_NO);
    assert_true(r->s3.skip_verify);
    assert_int_equal(r->snapshot_interval_ns, 12 * NS_PER_HOUR);
    assert_int_equal(c->warning_count, 7);
    assert_warned(c, ": l0-retention-check-interval: has no meaning here");
    assert_warned(c, ": verify-compaction: has no meaning here");
    assert_warned(c, ": shutdown-sync-interval: has no meaning here");
    assert_warned(c, ".truncate-page-n: has no meaning here");
    assert_warned(c, ".max-sync-wal-bytes: has no meaning here");
    assert_warned(c, "dbs[1].replica.max-sync-ltx-files: has no meaning here");
    assert_warned(c, "dbs[1].replica.auto-recover: has no meaning here");
}

static void test_document_of_0_3_13_keeps_every_replica_and_its_policy(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = load("lib/config/testdata/litestream-0.3.13.yml");

    assert_string_equal(c->addr, "127.0.0.1:9090");
    assert_string_equal(c->exec, "myapp -addr :8080");
    assert_int_equal(c->db_count, 2);
    const struct config_db *db = &c->dbs[0];
    assert_int_equal(db->replica_count, 4);
    const struct config_replica *r = &db->replicas[0];
    assert_string_equal(r->name, "file");
    assert_string_equal(r->url, "file:///mnt/backup/fruits");
    assert_int_equal(r->snapshot_retention_ns, NS_PER_DAY);
    assert_null(r->s3.access_key_id);
    r = &db->replicas[1];
    assert_string_equal(r->name, "offsite");
    assert_string_equal(r->s3.bucket, "mybkt.litestream.io");
    assert_int_equal(r->snapshot_retention_ns, 3 * NS_PER_DAY);
    assert_int_equal(r->snapshot_interval_ns, 4 * NS_PER_HOUR);
    assert_int_equal(r->sync_interval_ns, 10 * NS_PER_SEC);
    assert_int_equal(r->validation_interval_ns, 12 * NS_PER_HOUR);
    assert_string_equal(r->s3.access_key_id, "AKIAEXAMPLE");
    assert_string_equal(r->s3.secret_access_key, "wJalr$XUtnFEMI/K7MDENG");
    r = &db->replicas[2];
    assert_string_equal(r->name, "s3");
    assert_string_equal(r->url, "s3://mybkt/fruits");
    r = &db->replicas[3];
    assert_string_equal(r->name, "s3-2");
    assert_string_equal(r->s3.endpoint, "https://nyc3.digitaloceanspaces.com");
    assert_string_equal(r->s3.access_key_id, "DOEXAMPLE");
    assert_string_equal(r->s3.secret_access_key, "dosecret");
    assert_int_equal(c->warning_count, 2);
    assert_warned(c, "litestream-0.3.13.yml:10: "
                     "dbs[0].max-checkpoint-page-count: has no meaning here");
    assert_warned(c, ".retention-check-interval: has no meaning here");
}

static void test_document_of_directory_mode_is_read(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = load("lib/config/testdata/litestream-directory.yml");

    const struct config_db *db = &c->dbs[0];
    assert_null(db->path);
    assert_string_equal(db->dir, "/srv/tenants");
    assert_string_equal(db->pattern, "*.sqlite");
    assert_true(db->is_recursive);
    assert_true(db->is_watched);
    assert_string_equal(db->meta_dir, "/var/lib/walferry");
    assert_int_equal(db->journal_mode, CONFIG_JOURNAL_REQUIRE);
    assert_int_equal(db->free_space_reserve.bytes, 1 << 30);
    assert_int_equal(db->free_space_reserve.percent, 0);
    assert_false(db->seal);
    assert_string_equal(db->replicas[0].s3.bucket, "tenants");
    assert_string_equal(db->replicas[0].path, "live/");
    assert_int_equal(db->replicas[0].sync_interval_ns, 30 * NS_PER_SEC);
}

static void test_missing_file_is_named(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct config *c = NULL;
    assert_error(config_load(env_real(), "/nonexistent/litestream.yml", &options, &c, &err), &err,
                 ERR_NOT_FOUND, "/nonexistent/litestream.yml");
}

static void test_oversized_file_is_refused(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct config *c = NULL;
    char folder[256];
    char path[300];
    uint8_t *bytes = calloc(1, 9 << 20);

    assert_non_null(bytes);
    memset(bytes, '#', 9 << 20);
    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/big.yml", folder);
    test_file_write(path, slice_of(bytes, 9 << 20));
    free(bytes);
    int rc = config_load(env_real(), path, &options, &c, &err);
    test_folder_remove(folder);
    assert_error(rc, &err, ERR_LIMIT, path);
}

static void test_every_failing_file_call_is_reported(void **state UNUSED)
{
    for (uint64_t n = 1;; n++) {
        CLEANUP(config_cleanup) struct config *c = NULL;
        struct fault_env fe;
        struct error err = ERROR_INIT;
        fault_env_init(&fe, FAULT_FAIL, n);
        int rc = config_load(&fe.env, "lib/config/testdata/litestream-0.5.yml", &options, &c, &err);
        if (!fault_env_has_struck(&fe)) {
            assert_ok(rc, &err);
            assert_true(n > 2);
            break;
        }
        if (rc == 0)
            assert_globals_of_0_5(c); /* only closing failed: nothing was written */
        else
            assert_non_null(strstr(err.text, "litestream-0.5.yml"));
    }
}

static void test_expansion_can_be_switched_off(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    struct error err = ERROR_INIT;
    struct config_options off = options;
    static const char text[] = "exec: run $$ ${X} $HOME";

    off.no_expand_env = true;
    assert_ok(config_parse(slice_of_str(text), "a.yml", &off, &c, &err), &err);
    assert_string_equal(c->exec, "run $$ ${X} $HOME");
}

static void test_unset_variables_are_warned_about_and_count_as_absent(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    struct error err = ERROR_INIT;
    static const char text[] = "# $COMMENT\nheartbeat-interval: ${NOPE}\nexec: \"[$GONE]\"\n"
                               "x-mine: $IGNORED\n";

    assert_ok(config_parse(slice_of_str(text), "a.yml", &options, &c, &err), &err);
    assert_int_equal(c->heartbeat_interval_ns, 5 * NS_PER_MIN);
    assert_string_equal(c->exec, "[]");
    assert_int_equal(c->warning_count, 2);
    assert_string_equal(c->warnings[0],
                        "a.yml:2: heartbeat-interval: $NOPE is not set in the environment and "
                        "became nothing (a dollar sign is written $$)");
}

static void test_warnings_have_a_limit(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(100000);
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(&text, "exec: x\nx-a: 1\ndbs:\n", &err), &err);
    for (int i = 0; i < 250; i++) {
        assert_ok(buf_printf(&text, &err,
                             "- {path: /d/%d, max-checkpoint-page-count: 1, replica: {path: "
                             "/r/%d}}\n",
                             i, i),
                  &err);
    }
    assert_ok(config_parse(buf_slice(&text), "a.yml", &options, &c, &err), &err);
    assert_int_equal(c->db_count, 250);
    assert_int_equal(c->warning_count, CONFIG_WARNINGS_MAX);
    assert_string_equal(c->warnings[CONFIG_WARNINGS_MAX - 1], "further warnings are left out");
}

static void test_command_line_makes_one_database_with_its_destinations(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    struct error err = ERROR_INIT;
    static const char *const urls[] = {"s3://bucket/app?region=eu-west-1&partSize=6000000",
                                       "file:///backups/app", "/backups/app2"};

    assert_ok(config_from_args("/data/app.db", urls, ARRAY_LEN(urls), &c, &err), &err);
    assert_int_equal(c->db_count, 1);
    const struct config_db *db = &c->dbs[0];
    assert_string_equal(db->path, "/data/app.db");
    assert_string_equal(db->meta_path, "/data/.app.db-walferry");
    assert_int_equal(db->replica_count, 3);
    assert_string_equal(db->replicas[0].s3.region, "eu-west-1");
    assert_int_equal(db->replicas[0].s3.part_bytes, 6000000);
    assert_string_equal(db->replicas[1].name, "file");
    assert_string_equal(db->replicas[2].name, "file-2");
    assert_string_equal(db->replicas[2].path, "/backups/app2");
    assert_int_equal(db->replicas[2].snapshot_retention_ns, NS_PER_DAY);
}

static void test_broken_command_lines_are_refused(void **state UNUSED)
{
    static const struct {
        const char *db, *url, *url2, *error;
        enum error_code code;
    } rows[] = {
        {"", "s3://b/p", NULL, "path of the database: the path is empty", ERR_USAGE},
        {"/a", "bucket/p", NULL, "bucket/p: expected a URL", ERR_USAGE},
        {"/a", "gs://b/p", NULL, "gs://b/p: replicas of type gs are not supported by this version",
         ERR_UNSUPPORTED},
        {"/a", "s3://b/p?part-size=1MB", NULL,
         "s3://b/p: part-size: 1MB is less than the minimum of 5MiB", ERR_USAGE},
        {"/a", "s3://b/p", "s3://b/p/", "/a: two replicas have the destination s3://b/p",
         ERR_USAGE},
        {"/a", "s3://b/p?sse-customer-key=SECRET", NULL, "the base64 form of 32 bytes", ERR_USAGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct config *c = NULL;
        const char *urls[] = {rows[i].url, rows[i].url2};
        test_row(rows[i].error);
        assert_error(config_from_args(rows[i].db, urls, rows[i].url2 ? 2 : 1, &c, &err), &err,
                     rows[i].code, rows[i].error);
        assert_null(strstr(err.text, "SECRET"));
        assert_null(c);
    }
}

static void test_registered_database_takes_the_defaults_of_the_file(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = load("lib/config/testdata/litestream-0.5.yml");
    struct error err = ERROR_INIT;
    struct config_db *db = NULL;
    static const char *const urls[] = {"s3://other/new"};

    assert_ok(config_db_new(c, "/data/new.db", urls, 1, &db, &err), &err);
    assert_string_equal(db->replicas[0].s3.access_key_id, "AKIAENV");
    assert_int_equal(db->replicas[0].snapshot_retention_ns, 7 * NS_PER_DAY);
    assert_ok(config_db_conflicts(&c->dbs[0], db, &err), &err);
    config_db_free(db);
}

static void test_lone_replica_is_made_from_a_url(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct config_replica *r = NULL;

    assert_ok(config_replica_new(NULL, "s3://b.localhost:9000/p", &r, &err), &err);
    assert_string_equal(r->name, "s3");
    assert_string_equal(r->s3.endpoint, "http://localhost:9000");
    assert_int_equal(r->s3.path_style, CONFIG_YES);
    assert_string_equal(r->url, "s3://b/p?endpoint=http://localhost:9000");
    config_replica_free(r);
}

static void test_database_is_found_by_its_expanded_path(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = load("lib/config/testdata/litestream-0.5.yml");

    assert_ptr_equal(config_db_find(c, "/var/lib/./app//app.db"), &c->dbs[0]);
    assert_null(config_db_find(c, "/var/lib/app/other.db"));
    assert_null(config_db_find(c, ""));
}

static void test_copy_of_a_database_shares_nothing(void **state UNUSED)
{
    struct config *c = load("lib/config/testdata/litestream-0.3.13.yml");
    struct config_db copy;
    struct error err = ERROR_INIT;

    assert_ok(config_db_copy(&c->dbs[0], &copy, &err), &err);
    config_free(c);
    assert_string_equal(copy.path, "/data/fruits.db");
    assert_string_equal(copy.replicas[3].s3.secret_access_key, "dosecret");
    assert_string_equal(copy.replicas[1].url, "s3://mybkt.litestream.io/fruits");
    config_db_destroy(&copy);
    config_db_destroy(&copy);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_defaults_are_those_of_litestream),
        TEST(test_document_of_0_5_is_read_whole),
        TEST(test_document_of_0_3_13_keeps_every_replica_and_its_policy),
        TEST(test_document_of_directory_mode_is_read),
        TEST(test_missing_file_is_named),
        TEST(test_oversized_file_is_refused),
        TEST(test_every_failing_file_call_is_reported),
        TEST(test_expansion_can_be_switched_off),
        TEST(test_unset_variables_are_warned_about_and_count_as_absent),
        TEST(test_warnings_have_a_limit),
        TEST(test_command_line_makes_one_database_with_its_destinations),
        TEST(test_broken_command_lines_are_refused),
        TEST(test_registered_database_takes_the_defaults_of_the_file),
        TEST(test_lone_replica_is_made_from_a_url),
        TEST(test_database_is_found_by_its_expanded_path),
        TEST(test_copy_of_a_database_shares_nothing),
    };
    return TEST_MAIN(tests);
}
