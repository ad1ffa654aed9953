/*
 * Directory mode on real folders.
 */
#include "lib/config/dir_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/testing/fault_env.h"
#include "lib/testing/test.h"

static const char db_bytes[] = "SQLite format 3\0the rest of the header";

struct fixture {
    char folder[256];
    struct config *c;
    struct dir_scan found;
};

static char *path_in(const struct fixture *f, const char *name)
{
    struct error err = ERROR_INIT;
    char *path = str_printf(&err, "%s/%s", f->folder, name);
    assert_non_null(path);
    return path;
}

static void file_make(const struct fixture *f, const char *name, const char *bytes, size_t n)
{
    CLEANUP(mem_free) char *path = path_in(f, name);
    test_file_write(path, slice_of(bytes, n));
}

static void db_make(const struct fixture *f, const char *name)
{
    file_make(f, name, db_bytes, sizeof(db_bytes));
}

static void folder_make(const struct fixture *f, const char *name)
{
    CLEANUP(mem_free) char *path = path_in(f, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    test_folder_make(f->folder);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    dir_scan_destroy(&f->found);
    config_free(f->c);
    test_folder_remove(f->folder);
    free(f);
    return 0;
}

/* Reads an entry for the folder; more is added to it. */
static const struct config_db *entry(struct fixture *f, const char *more)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(10000);
    struct error err = ERROR_INIT;

    assert_ok(buf_printf(&text, &err, "dbs:\n- dir: %s\n  pattern: '*.db'\n%s", f->folder, more),
              &err);
    assert_ok(config_parse(buf_slice(&text), "d.yml", NULL, &f->c, &err), &err);
    return &f->c->dbs[0];
}

static const char one_replica[] = "  replica: {url: s3://b/tenants}\n";

static void assert_found(const struct fixture *f, const char *const *names, size_t count)
{
    assert_int_equal(f->found.db_count, count);
    for (size_t i = 0; i < count; i++) {
        CLEANUP(mem_free) char *path = path_in(f, names[i]);
        assert_string_equal(f->found.dbs[i].path, path);
        assert_null(f->found.dbs[i].dir);
    }
}

static void test_scan_finds_databases_by_name_and_header(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    static const char *const names[] = {".hidden.db", "a.db", "b.db"};

    db_make(f, "b.db");
    db_make(f, "a.db");
    db_make(f, ".hidden.db");
    db_make(f, "c.sqlite");
    db_make(f, "d.db-wal");
    file_make(f, "empty.db", "", 0);
    file_make(f, "short.db", "SQLite", 6);
    file_make(f, "text.db", "this is no database at all", 26);
    folder_make(f, "folder.db");
    folder_make(f, "sub");
    db_make(f, "sub/x.db");
    assert_ok(dir_scan(env_real(), entry(f, one_replica), NULL, &f->found, &err), &err);
    assert_found(f, names, ARRAY_LEN(names));
}

static void test_recursive_scan_passes_over_folders_of_state(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    static const char *const names[] = {"a.db", "acme/deep/y.db", "acme/x.db"};

    db_make(f, "a.db");
    folder_make(f, "acme");
    db_make(f, "acme/x.db");
    folder_make(f, "acme/deep");
    db_make(f, "acme/deep/y.db");
    folder_make(f, ".a.db-litestream");
    db_make(f, ".a.db-litestream/z.db");
    folder_make(f, ".a.db-walferry");
    db_make(f, ".a.db-walferry/z.db");
    const struct config_db *e =
        entry(f, "  recursive: true\n  replicas: [{url: 's3://b/tenants'}, {path: /backups}]\n");
    assert_ok(dir_scan(env_real(), e, NULL, &f->found, &err), &err);
    assert_found(f, names, ARRAY_LEN(names));
    const struct config_db *y = &f->found.dbs[1];
    assert_string_equal(y->replicas[0].path, "tenants/acme/deep/y.db");
    assert_string_equal(y->replicas[0].url, "s3://b/tenants/acme/deep/y.db");
    assert_string_equal(y->replicas[1].path, "/backups/acme/deep/y.db");
    CLEANUP(mem_free) char *meta = path_in(f, "acme/deep/.y.db-walferry");
    assert_string_equal(y->meta_path, meta);
}

static void test_links_are_other_names_of_one_file(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    static const char *const names[] = {"real.db"};
    CLEANUP(mem_free) char *real = path_in(f, "real.db");
    CLEANUP(mem_free) char *link1 = path_in(f, "a-link.db");
    CLEANUP(mem_free) char *link2 = path_in(f, "zz-hard.db");
    CLEANUP(mem_free) char *dangling = path_in(f, "dangling.db");
    CLEANUP(mem_free) char *loop = path_in(f, "loop");

    db_make(f, "real.db");
    assert_int_equal(symlink("real.db", link1), 0);
    assert_int_equal(link(real, link2), 0);
    assert_int_equal(symlink("nothing", dangling), 0);
    assert_int_equal(symlink(".", loop), 0);
    const struct config_db *e = entry(f, "  recursive: true\n  replica: {path: /backups}\n");
    assert_ok(dir_scan(env_real(), e, NULL, &f->found, &err), &err);
    assert_found(f, names, ARRAY_LEN(names));
}

/* A guard that knows one file, by device and inode, and counts what it is asked. */
struct known {
    struct stat st;
    size_t asked;
};

static bool is_known(void *arg, const char *path UNUSED, const struct stat *st)
{
    struct known *k = arg;
    k->asked++;
    return st->st_dev == k->st.st_dev && st->st_ino == k->st.st_ino;
}

static void test_known_databases_are_not_opened_under_any_name(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct known known = {0};
    struct dir_scan_guard guard = {.is_known = is_known, .arg = &known};
    static const char *const names[] = {"b.db"};
    CLEANUP(mem_free) char *a = path_in(f, "a.db");
    CLEANUP(mem_free) char *alias = path_in(f, "c.db");

    db_make(f, "a.db");
    db_make(f, "b.db");
    assert_int_equal(symlink("a.db", alias), 0);
    assert_int_equal(stat(a, &known.st), 0);
    assert_ok(dir_scan(env_real(), entry(f, one_replica), &guard, &f->found, &err), &err);
    assert_found(f, names, ARRAY_LEN(names));
    assert_int_equal(f->found.known_count, 2);
    assert_int_equal(known.asked, 3);
}

static void test_state_goes_where_the_entry_says(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct config_db db;
    CLEANUP(mem_free) char *path = path_in(f, "acme/x.db");

    assert_ok(
        dir_scan_derive(entry(f, "  meta-path: /meta\n  replica: {path: /r}\n"), path, &db, &err),
        &err);
    assert_string_equal(db.meta_path, "/meta/acme/.x.db-walferry");
    config_db_destroy(&db);
    config_free(TAKE(f->c));
    assert_ok(
        dir_scan_derive(entry(f, "  meta-dir: /meta\n  replica: {path: /r}\n"), path, &db, &err),
        &err);
    assert_string_equal(db.meta_path, "/meta/acme/x.db-walferry");
    config_db_destroy(&db);
}

static void test_prefix_of_a_replica_is_cleaned_as_litestream_does(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(mem_free) char *path = path_in(f, "x.db");
    static const struct {
        const char *replica, *path;
    } rows[] = {
        {"  replica: {type: s3, bucket: b}\n", "x.db"},
        {"  replica: {type: s3, bucket: b, path: live/}\n", "live/x.db"},
        {"  replica: {type: s3, bucket: b, path: /live//a}\n", "/live/a/x.db"},
        {"  replica: {url: 's3://b'}\n", "x.db"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_db db;
        test_row(rows[i].replica);
        assert_ok(dir_scan_derive(entry(f, rows[i].replica), path, &db, &err), &err);
        assert_string_equal(db.replicas[0].path, rows[i].path);
        config_db_destroy(&db);
        config_free(TAKE(f->c));
    }
}

static void test_path_outside_the_folder_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct config_db db;

    const struct config_db *e = entry(f, one_replica);
    assert_error(dir_scan_derive(e, "/elsewhere/x.db", &db, &err), &err, ERR_USAGE, "is not below");
    assert_error(dir_scan_derive(e, f->folder, &db, &err), &err, ERR_USAGE, "is not below");
}

static void test_missing_folder_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    f->c = NULL;
    static const char text[] = "dbs: [{dir: /nonexistent-x, pattern: '*', replica: {path: /r}}]";
    assert_ok(config_parse(slice_of_str(text), "d.yml", NULL, &f->c, &err), &err);
    assert_error(dir_scan(env_real(), &f->c->dbs[0], NULL, &f->found, &err), &err, ERR_NOT_FOUND,
                 "looking for databases in /nonexistent-x");
}

static void test_folders_nest_up_to_the_limit(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf name = BUF_INIT(1000);

    for (int i = 0; i < DIR_SCAN_DEPTH_MAX; i++) {
        assert_ok(buf_printf(&name, &err, "%sd", i > 0 ? "/" : ""), &err);
        folder_make(f, buf_str(&name));
    }
    const struct config_db *e = entry(f, "  recursive: true\n  replica: {path: /r}\n");
    assert_error(dir_scan(env_real(), e, NULL, &f->found, &err), &err, ERR_LIMIT,
                 "folders nested deeper than 32");
}

static void test_every_failing_file_call_ends_the_scan(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"a.db", "sub/b.db"};

    db_make(f, "a.db");
    folder_make(f, "sub");
    db_make(f, "sub/b.db");
    const struct config_db *e = entry(f, "  recursive: true\n  replica: {path: /r}\n");
    for (uint64_t n = 1;; n++) {
        struct fault_env fe;
        struct error err = ERROR_INIT;
        dir_scan_destroy(&f->found);
        fault_env_init(&fe, FAULT_FAIL, n);
        if (!fe.env.file.lstat) /* operations that it lets through */
            fe.env.file.lstat = env_real()->file.lstat;
        if (!fe.env.file.list_folder)
            fe.env.file.list_folder = env_real()->file.list_folder;
        int rc = dir_scan(&fe.env, e, NULL, &f->found, &err);
        if (rc == 0)
            assert_found(f, names, ARRAY_LEN(names)); /* no fault, or only when closing */
        else
            assert_non_null(strstr(err.text, f->folder));
        if (!fault_env_has_struck(&fe))
            break;
    }
}

#define SCAN_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SCAN_TEST(test_scan_finds_databases_by_name_and_header),
        SCAN_TEST(test_recursive_scan_passes_over_folders_of_state),
        SCAN_TEST(test_links_are_other_names_of_one_file),
        SCAN_TEST(test_known_databases_are_not_opened_under_any_name),
        SCAN_TEST(test_state_goes_where_the_entry_says),
        SCAN_TEST(test_prefix_of_a_replica_is_cleaned_as_litestream_does),
        SCAN_TEST(test_path_outside_the_folder_is_refused),
        SCAN_TEST(test_missing_folder_is_an_error),
        SCAN_TEST(test_folders_nest_up_to_the_limit),
        SCAN_TEST(test_every_failing_file_call_ends_the_scan),
    };
    return TEST_MAIN(tests);
}
