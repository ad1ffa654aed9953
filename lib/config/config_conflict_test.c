/*
 * Databases that would get into each other's way.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/config/config.h"
#include "lib/testing/test.h"

#define A(replica)       "- path: /a.db\n  replica: {" replica "}\n"
#define B(path, replica) "- path: " path "\n  replica: {" replica "}\n"

static const struct conflict_row {
    const char *text;
    const char *error; /* NULL: no conflict */
} rows[] = {
    {A("url: s3://b/p") B("/b.db", "url: s3://b/q"), NULL},
    {A("url: s3://b/p") B("/b.db", "url: s3://c/p"), NULL},
    {A("url: s3://b/p") B("/b.db", "url: 's3://b/p?endpoint=h:1'"), NULL},
    {A("url: s3://b/p") B("/b.db", "url: s3://b/p, sync-interval: never"), NULL},
    {A("url: s3://b/p") B("/a.db", "url: s3://b/q"),
     "c.yml:4: the database /a.db is listed twice (first in line 2)"},
    {A("url: s3://b/p") B("/x/..//a.db", "url: s3://b/q"),
     "c.yml:4: the database /a.db is listed twice (first in line 2)"},
    {A("url: s3://b/p") B("/b.db", "url: s3://b/p/"),
     "c.yml:4: the destination s3://b/p is used by two databases: /a.db (line 2) and /b.db"},
    {A("url: s3://b/p") B("/b.db", "type: s3, bucket: b, path: /p, region: x"),
     "c.yml:4: the destination s3://b/p is used by two databases: /a.db (line 2) and /b.db"},
    {A("path: /r") B("/b.db", "url: 'file:///r/'"),
     "c.yml:4: the destination file:///r is used by two databases: /a.db (line 2) and /b.db"},
    {A("url: s3://b/p, endpoint: 'https://H'") B("/b.db", "url: 's3://b/p?endpoint=h'"),
     "c.yml:4: the destination s3://b/p?endpoint=https://h is used by two databases: /a.db (line "
     "2) "
     "and /b.db"},
    {"- path: /a.db\n  replicas: [{url: s3://b/p}, {url: s3://b/p}]\n",
     "c.yml:2: /a.db: two replicas have the destination s3://b/p"},
    {"- {path: /a.db, meta-path: /m, replica: {path: /1}}\n"
     "- {path: /b.db, meta-path: /m/, replica: {path: /2}}\n",
     "c.yml:3: the folder of state /m is used by two databases: /a.db (line 2) and /b.db"},
    {"- {path: /a.db, replica: {path: /1}}\n"
     "- {path: /b.db, meta-path: /.a.db-walferry, replica: {path: /2}}\n",
     "c.yml:3: the folder of state /.a.db-walferry is used by two databases: /a.db (line 2) and "
     "/b.db"},
    {"- {dir: /d, pattern: '*.db', replica: {path: /1}}\n- {path: /d/x.db, replica: {path: /2}}\n",
     "c.yml:3: the database /d/x.db is also in the folder /d (line 2) and fits its pattern"},
    {"- {path: /d/x.db, replica: {path: /2}}\n- {dir: /d, pattern: '*.db', replica: {path: /1}}\n",
     "c.yml:2: the database /d/x.db is also in the folder /d (line 3) and fits its pattern"},
    {"- {dir: /d, pattern: '*.db', replica: {path: /1}}\n"
     "- {path: /d/s/x.db, replica: {path: /2}}\n",
     NULL},
    {"- {dir: /d, pattern: '*.db', recursive: on, replica: {path: /1}}\n"
     "- {path: /d/s/x.db, replica: {path: /2}}\n",
     "c.yml:3: the database /d/s/x.db is also in the folder /d (line 2) and fits its pattern"},
    {"- {dir: /d, pattern: '*.db', replica: {path: /1}}\n- {path: /d2/x.db, replica: {path: /2}}\n",
     NULL},
    {"- {dir: /d, pattern: '*.db', replica: {path: /1}}\n"
     "- {dir: /d, pattern: '*.db', replica: {path: /2}}\n",
     "c.yml:3: the folder /d is listed twice with the pattern *.db (first in line 2)"},
    {"- {dir: /d, pattern: '*.db', replica: {path: /1}}\n"
     "- {dir: /e, pattern: '*.db', replica: {path: /1}}\n",
     "c.yml:3: the destination file:///1 is used by two databases: /d (line 2) and /e"},
};

static void test_conflicts_are_refused_with_both_sides(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(config_cleanup) struct config *c = NULL;
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(10000);
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_ok(buf_printf(&text, &err, "dbs:\n%s", rows[i].text), &err);
        int rc = config_parse(buf_slice(&text), "c.yml", NULL, &c, &err);
        if (!rows[i].error) {
            assert_ok(rc, &err);
            continue;
        }
        assert_error(rc, &err, ERR_USAGE, "");
        assert_string_equal(err.text, rows[i].error);
    }
}

static void test_two_databases_are_compared_alone(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *a = NULL;
    CLEANUP(config_cleanup) struct config *b = NULL;
    CLEANUP(config_cleanup) struct config *same = NULL;
    struct error err = ERROR_INIT;
    static const char *const first[] = {"s3://b/1", "s3://b/2"};
    static const char *const second[] = {"s3://b/3", "s3://b/2"};

    assert_ok(config_from_args("/a.db", first, 2, &a, &err), &err);
    assert_ok(config_from_args("/b.db", second, 1, &b, &err), &err);
    assert_ok(config_db_conflicts(&a->dbs[0], &b->dbs[0], &err), &err);
    assert_ok(config_from_args("/c.db", second, 2, &same, &err), &err);
    assert_error(config_db_conflicts(&a->dbs[0], &same->dbs[0], &err), &err, ERR_USAGE,
                 "the destination s3://b/2 is used by two databases: ");
    assert_error(config_db_conflicts(&a->dbs[0], &a->dbs[0], &err), &err, ERR_USAGE, "/a.db");
}

static void test_destination_below_that_of_a_folder_is_the_folders(void **state UNUSED)
{
    static const struct {
        const char *url;
        const char *error;
    } below[] = {
        {"s3://b/all", "the destination s3://b/all of /x.db lies below s3://b/all, where"},
        {"s3://b/all/one.db", "where the databases of the folder /data"},
        {"s3://b//all/team/one.db/", "where the databases of the folder /data"},
        {"s3://b/allies", NULL},
        {"s3://b/", NULL},
        {"s3://c/all/one.db", NULL},
        {"file:///all/one.db", NULL},
    };
    static const char text[] = "dbs: [{dir: /data, pattern: \"*.db\", replica: {url: "
                               "\"s3://b/all/\"}}]\n";
    CLEANUP(config_cleanup) struct config *dirs = NULL;
    struct error err = ERROR_INIT;

    assert_ok(config_parse(slice_of_str(text), "c.yml", NULL, &dirs, &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(below); i++) {
        CLEANUP(config_cleanup) struct config *one = NULL;
        test_row(below[i].url);
        assert_ok(config_from_args("/x.db", &below[i].url, 1, &one, &err), &err);
        int rc = config_dir_conflicts(&dirs->dbs[0], &one->dbs[0], &err);
        if (below[i].error)
            assert_error(rc, &err, ERR_USAGE, below[i].error);
        else
            assert_ok(rc, &err);
        error_clear(&err);
    }
}

static void test_ten_thousand_databases_are_compared_quickly(void **state UNUSED)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(4 << 20);
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(&text, "dbs:\n", &err), &err);
    for (int i = 0; i < 10000; i++) {
        assert_ok(buf_printf(&text, &err, "- {path: /d/%d, replica: {url: s3://b/%d}}\n", i, i),
                  &err);
    }
    assert_ok(config_parse(buf_slice(&text), "c.yml", NULL, &c, &err), &err);
    assert_int_equal(c->db_count, 10000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_conflicts_are_refused_with_both_sides),
        TEST(test_two_databases_are_compared_alone),
        TEST(test_destination_below_that_of_a_folder_is_the_folders),
        TEST(test_ten_thousand_databases_are_compared_quickly),
    };
    return TEST_MAIN(tests);
}
