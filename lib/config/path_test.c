/*
 * Paths as people write them.
 */
#include "lib/config/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/testing/test.h"

static void test_paths_become_absolute_and_clean(void **state UNUSED)
{
    static const struct {
        const char *text, *path;
    } rows[] = {
        {"/data/app.db", "/data/app.db"},
        {"/data//app.db", "/data/app.db"},
        {"/data/./x/../app.db", "/data/app.db"},
        {"/../../app.db", "/app.db"},
        {"/data/", "/data"},
        {"/", "/"},
        {"//", "/"},
        {"~", "/home/ada"},
        {"~/", "/home/ada"},
        {"~/app.db", "/home/ada/app.db"},
        {"sqlite3:///data/app.db", "/data/app.db"},
        {"sqlite:///data/app.db", "/data/app.db"},
        {"sqlite3://~/app.db", "/home/ada/app.db"},
        {"/data/~/x", "/data/~/x"},
        {"/a/..b/.c", "/a/..b/.c"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(mem_free) char *path = NULL;
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_ok(path_expand(rows[i].text, "/home/ada", &path, &err), &err);
        assert_string_equal(path, rows[i].path);
    }
}

static void test_relative_path_begins_in_the_current_folder(void **state UNUSED)
{
    CLEANUP(mem_free) char *path = NULL;
    struct error err = ERROR_INIT;
    char folder[256];
    char before[1024];
    char wanted[300];

    assert_non_null(getcwd(before, sizeof(before)));
    test_folder_make(folder);
    assert_int_equal(chdir(folder), 0);
    int rc = path_expand("sub/../app.db", NULL, &path, &err);
    assert_int_equal(chdir(before), 0);
    test_folder_remove(folder);
    assert_ok(rc, &err);
    (void)snprintf(wanted, sizeof(wanted), "%s/app.db", folder);
    assert_string_equal(path, wanted);
}

static void test_paths_without_meaning_are_refused(void **state UNUSED)
{
    static const struct {
        const char *text, *home, *error;
    } rows[] = {
        {"", "/home/ada", "the path is empty"},
        {"sqlite3://", "/home/ada", "the path is empty"},
        {"~bob/app.db", "/home/ada", "\"~bob/app.db\": only ~ and ~/... are known"},
        {"~/app.db", NULL, "HOME is not set to an absolute path"},
        {"~/app.db", "home", "HOME is not set to an absolute path"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        char *path = NULL;
        test_row(rows[i].text);
        assert_error(path_expand(rows[i].text, rows[i].home, &path, &err), &err, ERR_USAGE,
                     rows[i].error);
        assert_null(path);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_paths_become_absolute_and_clean),
        TEST(test_relative_path_begins_in_the_current_folder),
        TEST(test_paths_without_meaning_are_refused),
    };
    return TEST_MAIN(tests);
}
