/*
 * The calls of the file seam that stores of files need: listing, links, times, names that must not
 * be replaced.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/testing/test.h"

static char folder[256];

static const char *path_of(const char *name)
{
    static char path[2][320];
    static unsigned turn;

    turn = !turn;
    (void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
    return path[turn];
}

static int folder_setup(void **state UNUSED)
{
    test_folder_make(folder);
    return 0;
}

static int folder_teardown(void **state UNUSED)
{
    test_folder_remove(folder);
    return 0;
}

static int count_on_name(void *arg, const char *name, struct error *err)
{
    unsigned *count = arg;

    assert_string_not_equal(name, ".");
    assert_string_not_equal(name, "..");
    (*count)++;
    return strcmp(name, "stop") == 0 ? error_set(err, ERR_LIMIT, 0, "enough") : 0;
}

static void test_a_folder_lists_its_entries_without_dots(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    unsigned count = 0;

    test_file_write(path_of("a"), SLICE_LIT("x"));
    test_file_write(path_of(".b"), SLICE_LIT("x"));
    assert_ok(env_list_folder(env_real(), folder, count_on_name, &count, &err), &err);
    assert_int_equal(count, 2);
}

static void test_a_listing_ends_with_the_error_of_its_callback(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    unsigned count = 0;

    test_file_write(path_of("stop"), SLICE_LIT("x"));
    assert_error(env_list_folder(env_real(), folder, count_on_name, &count, &err), &err, ERR_LIMIT,
                 "enough");
    assert_int_equal(count, 1);
    assert_error(env_list_folder(env_real(), path_of("no"), count_on_name, &count, &err), &err,
                 ERR_NOT_FOUND, "list folder");
}

static void test_a_rename_without_replacing_refuses_a_taken_name(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    bool exists = true;

    test_file_write(path_of("a"), SLICE_LIT("x"));
    test_file_write(path_of("b"), SLICE_LIT("x"));
    assert_error(env_rename_noreplace(env_real(), path_of("a"), path_of("b"), &err), &err,
                 ERR_EXISTS, "rename without replacing");
    assert_ok(env_rename_noreplace(env_real(), path_of("a"), path_of("c"), &err), &err);
    assert_ok(env_exists(env_real(), path_of("a"), &exists, &err), &err);
    assert_false(exists);
}

static void test_a_modification_time_keeps_its_nanoseconds(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct stat st;
    int fd = -1;

    test_file_write(path_of("a"), SLICE_LIT("x"));
    assert_ok(env_open(env_real(), path_of("a"), O_RDWR, 0, &fd, &err), &err);
    assert_ok(env_set_mtime(env_real(), fd, 5 * NS_PER_SEC + 7, "a", &err), &err);
    assert_ok(env_close(env_real(), fd, "a", &err), &err);
    assert_ok(env_stat(env_real(), path_of("a"), &st, &err), &err);
    assert_int_equal(st.st_mtim.tv_sec, 5);
    assert_int_equal(st.st_mtim.tv_nsec, 7);
}

static void test_lstat_looks_at_the_link_itself(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct stat st;

    assert_int_equal(symlink("nowhere", path_of("link")), 0);
    assert_ok(env_lstat(env_real(), path_of("link"), &st, &err), &err);
    assert_true(S_ISLNK(st.st_mode));
    assert_error(env_stat(env_real(), path_of("link"), &st, &err), &err, ERR_NOT_FOUND, "stat");
}

static void test_a_made_folder_tells_whether_it_is_new(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    bool is_new = false;

    assert_ok(env_mkdir(env_real(), path_of("f"), 0700, &is_new, &err), &err);
    assert_true(is_new);
    assert_ok(env_mkdir(env_real(), path_of("f"), 0700, &is_new, &err), &err);
    assert_false(is_new);
    assert_error(env_mkdir(env_real(), path_of("x/y"), 0700, &is_new, &err), &err, ERR_NOT_FOUND,
                 "create folder");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, folder_setup, folder_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(test_a_folder_lists_its_entries_without_dots),
        CASE(test_a_listing_ends_with_the_error_of_its_callback),
        CASE(test_a_rename_without_replacing_refuses_a_taken_name),
        CASE(test_a_modification_time_keeps_its_nanoseconds),
        CASE(test_lstat_looks_at_the_link_itself),
        CASE(test_a_made_folder_tells_whether_it_is_new),
    };
    return TEST_MAIN(tests);
}
