/*
 * The explained configuration: golden text and JSON, and no secret in either.
 */
#include "lib/config/config_check.h"

#include <stdlib.h>

#include "lib/json/jsonval.h"
#include "lib/testing/test.h"

static const char text[] = "secret-access-key: TOPSECRET\n"
                           "access-key-id: AKIA1\n"
                           "addr: ':9090'\n"
                           "dbs:\n"
                           "- path: /a.db\n"
                           "  max-checkpoint-page-count: 1\n"
                           "  replicas:\n"
                           "  - url: s3://b.nyc3.digitaloceanspaces.com/p?concurrency=3\n"
                           "    session-token: OTHERSECRET\n"
                           "    retention: 2d\n"
                           "  - path: /r\n";

static struct config *parse(void)
{
    struct error err = ERROR_INIT;
    struct config *c = NULL;
    assert_ok(config_parse(slice_of_str(text), "a.yml", NULL, &c, &err), &err);
    return c;
}

static void test_short_form_shows_what_is_not_default(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = parse();
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;

    assert_ok(config_check_text(c, false, &out, &err), &err);
    assert_string_equal(
        buf_str(&out),
        "addr                                                 :9090                    line 3\n"
        "dbs[0].path                                          /a.db                    line 5\n"
        "dbs[0].meta-path                                     /.a.db-walferry          derived\n"
        "dbs[0].replicas[0].type                              s3                       derived\n"
        "dbs[0].replicas[0].url                               "
        "s3://b/p?endpoint=https://nyc3.digitaloceanspaces.com derived\n"
        "dbs[0].replicas[0].retention                         2d                       line 10\n"
        "dbs[0].replicas[0].access-key-id                     AKIA1                    line 2\n"
        "dbs[0].replicas[0].secret-access-key                 ***                      line 1\n"
        "dbs[0].replicas[0].session-token                     ***                      line 9\n"
        "dbs[0].replicas[0].region                            nyc3                     url\n"
        "dbs[0].replicas[0].bucket                            b                        url\n"
        "dbs[0].replicas[0].endpoint                          "
        "https://nyc3.digitaloceanspaces.com url\n"
        "dbs[0].replicas[0].force-path-style                  false                    url\n"
        "dbs[0].replicas[0].concurrency                       3                        url\n"
        "dbs[0].replicas[1].type                              file                     derived\n"
        "dbs[0].replicas[1].url                               file:///r                derived\n"
        "warning: a.yml:6: dbs[0].max-checkpoint-page-count: has no meaning here: checkpoints "
        "never wait for readers here, however long the log is\n"
        "a.yml: 1 database, 1 warning\n");
}

static void test_full_form_shows_defaults_but_no_s3_for_a_file_replica(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = parse();
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;

    assert_ok(config_check_text(c, true, &out, &err), &err);
    assert_non_null(strstr(buf_str(&out), "l0-retention                                         5m "
                                          "                      default\n"));
    assert_non_null(strstr(buf_str(&out), "levels[2].interval"));
    assert_non_null(strstr(buf_str(&out), "dbs[0].replicas[0].part-size"));
    assert_null(strstr(buf_str(&out), "dbs[0].replicas[1].part-size"));
    assert_null(strstr(buf_str(&out), "SECRET"));
}

static void test_json_form_holds_every_setting_and_no_secret(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = parse();
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1 << 20);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    struct json_writer w;
    const char *value = NULL;
    uint64_t line = 0;

    json_writer_init(&w, &out, JSON_PRETTY);
    config_check_json(c, &w, NULL);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_null(strstr(buf_str(&out), "SECRET"));
    assert_ok(jsonval_parse(&doc, "check", buf_slice(&out), &err), &err);
    struct jsonval root = jsonval_root(&doc);
    assert_int_equal(jsonval_count(jsonval_get(root, "warnings")), 1);
    struct jsonval first = jsonval_first(jsonval_get(root, "settings"));
    assert_ok(jsonval_str(jsonval_get(first, "key"), &value, &err), &err);
    assert_string_equal(value, "addr");
    assert_ok(jsonval_str(jsonval_get(first, "origin"), &value, &err), &err);
    assert_string_equal(value, "file");
    assert_ok(jsonval_u64(jsonval_get(first, "line"), &line, &err), &err);
    assert_int_equal(line, 3);
}

static void test_full_buffer_is_an_error(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = parse();
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(100);
    struct error err = ERROR_INIT;
    struct json_writer w;

    assert_error(config_check_text(c, true, &out, &err), &err, ERR_LIMIT, "limit");
    json_writer_init(&w, &out, JSON_PRETTY);
    config_check_json(c, &w, NULL);
    assert_error(json_writer_finish(&w, &err), &err, ERR_LIMIT, "JSON output");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_short_form_shows_what_is_not_default),
        TEST(test_full_form_shows_defaults_but_no_s3_for_a_file_replica),
        TEST(test_json_form_holds_every_setting_and_no_secret),
        TEST(test_full_buffer_is_an_error),
    };
    return TEST_MAIN(tests);
}
