/*
 * Durable files: the new content appears whole or not at all, whichever operation fails or kills
 * us, and nothing is left beside it.
 */
#include "lib/io/durable_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/fault_env.h"
#include "lib/testing/test.h"
#include "lib/testing/unsynced.h"

enum {
    FAULTS_MAX = 100 /* more than any case here makes file operations */
};

struct place {
    char folder[256];
    char path[300];
    char temp_path[310];
};

static void place_make(struct place *p)
{
    test_folder_make(p->folder);
    (void)snprintf(p->path, sizeof(p->path), "%s/file", p->folder);
    (void)snprintf(p->temp_path, sizeof(p->temp_path), "%s.tmp", p->path);
}

static size_t entries(const struct place *p)
{
    size_t count = 0;
    DIR *dir = opendir(p->folder);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    assert_int_equal(closedir(dir), 0);
    return count - 2; /* "." and ".." */
}

static bool content_is(const struct place *p, const char *text)
{
    size_t n = 0;
    if (access(p->path, F_OK) < 0)
        return text == NULL;
    CLEANUP(mem_free) uint8_t *content = test_file_read(p->path, &n);
    return text && n == strlen(text) && memcmp(content, text, n) == 0;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_commit_creates_and_replaces(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    place_make(&p);
    assert_ok(file_commit(env_real(), p.path, SLICE_LIT("one"), NULL, &err), &err);
    assert_true(content_is(&p, "one"));
    assert_int_equal(mode_of(p.path), 0644);
    assert_ok(file_commit(env_real(), p.path, SLICE_LIT("two"), NULL, &err), &err);
    assert_true(content_is(&p, "two"));
    assert_int_equal(entries(&p), 1);
    test_folder_remove(p.folder);
}

static void test_what_was_committed_survives_a_crash_of_the_machine(void **state UNUSED)
{
    static const struct durable_file_options create = {.is_new = true};
    struct place p;
    struct error err = ERROR_INIT;
    struct unsynced u;
    place_make(&p);
    unsynced_init(&u);
    assert_ok(file_commit(&u.env, p.path, SLICE_LIT("one"), &create, &err), &err);
    assert_int_equal(unsynced_count(&u), 0);
    assert_ok(file_commit(&u.env, p.path, SLICE_LIT("two"), NULL, &err), &err);
    assert_int_equal(unsynced_count(&u), 0);
    assert_int_equal(unsynced_early_names(&u), 0);
    test_folder_remove(p.folder);
}

static void test_nothing_is_seen_before_the_commit(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    struct durable_file f = DURABLE_FILE_INIT;
    place_make(&p);
    assert_ok(durable_file_begin(&f, env_real(), p.path, NULL, &err), &err);
    assert_ok(durable_file_append(&f, SLICE_LIT("abc"), &err), &err);
    assert_ok(durable_file_append(&f, SLICE_LIT("def"), &err), &err);
    assert_ok(durable_file_write_at(&f, SLICE_LIT("X"), 1, &err), &err);
    assert_int_equal(f.bytes, 6);
    assert_true(content_is(&p, NULL));
    assert_ok(durable_file_commit(&f, &err), &err);
    assert_true(content_is(&p, "aXcdef"));
    durable_file_abort(&f); /* after a commit: nothing */
    assert_true(content_is(&p, "aXcdef"));
    test_folder_remove(p.folder);
}

static void test_abort_leaves_nothing(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    struct durable_file f = DURABLE_FILE_INIT;
    place_make(&p);
    durable_file_abort(&f);
    assert_ok(durable_file_begin(&f, env_real(), p.path, NULL, &err), &err);
    assert_int_equal(entries(&p), 1);
    durable_file_abort(&f);
    durable_file_abort(&f);
    assert_int_equal(entries(&p), 0);
    test_folder_remove(p.folder);
}

static void test_options_set_mode_temporary_name_and_size(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    struct durable_file f = DURABLE_FILE_INIT;
    struct stat st;
    char temp[300];
    place_make(&p);
    (void)snprintf(temp, sizeof(temp), "%s/other", p.folder);
    const struct durable_file_options options = {.temp_path = temp, .mode = 0666, .bytes = 100000};
    mode_t old = umask(077);
    assert_ok(durable_file_begin(&f, env_real(), p.path, &options, &err), &err);
    (void)umask(old);
    assert_int_equal(access(temp, F_OK), 0);
    assert_ok(durable_file_append(&f, SLICE_LIT("x"), &err), &err);
    assert_ok(durable_file_commit(&f, &err), &err);
    assert_int_equal(stat(p.path, &st), 0);
    assert_int_equal(st.st_size, 100000);
    assert_int_equal(st.st_mode & 07777, 0666);
    assert_int_equal(entries(&p), 1);
    test_folder_remove(p.folder);
}

static void test_owner_and_mode_of_another_file_are_kept(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    struct stat like;
    struct stat st;
    place_make(&p);
    test_file_write(p.path, SLICE_LIT("old"));
    assert_int_equal(chmod(p.path, 0640), 0);
    if (geteuid() == 0)
        assert_int_equal(chown(p.path, 1234, 2345), 0);
    assert_int_equal(stat(p.path, &like), 0);
    const struct durable_file_options options = {.like = &like};
    assert_ok(file_commit(env_real(), p.path, SLICE_LIT("new"), &options, &err), &err);
    assert_int_equal(stat(p.path, &st), 0);
    assert_true(content_is(&p, "new"));
    assert_int_equal(st.st_mode, like.st_mode);
    assert_int_equal(st.st_uid, like.st_uid);
    assert_int_equal(st.st_gid, like.st_gid);
    test_folder_remove(p.folder);
}

static void test_a_new_file_is_refused_where_there_is_one(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    const struct durable_file_options options = {.is_new = true};
    place_make(&p);
    assert_ok(file_commit(env_real(), p.path, SLICE_LIT("one"), &options, &err), &err);
    assert_error(file_commit(env_real(), p.path, SLICE_LIT("two"), &options, &err), &err,
                 ERR_EXISTS, p.path);
    assert_true(content_is(&p, "one"));
    assert_int_equal(entries(&p), 1);
    test_folder_remove(p.folder);
}

static void test_a_leftover_that_is_a_second_name_is_not_written_through(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    struct durable_file f = DURABLE_FILE_INIT;
    place_make(&p);
    test_file_write(p.path, SLICE_LIT("committed"));
    assert_int_equal(link(p.path, p.temp_path), 0); /* died between link and removal */
    assert_ok(durable_file_begin(&f, env_real(), p.path, NULL, &err), &err);
    assert_ok(durable_file_append(&f, SLICE_LIT("x"), &err), &err);
    assert_true(content_is(&p, "committed"));
    durable_file_abort(&f);
    assert_true(content_is(&p, "committed"));
    test_folder_remove(p.folder);
}

static void test_a_missing_folder_is_an_error_with_the_path(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    assert_error(file_commit(env_real(), "/nowhere/file", SLICE_LIT("x"), NULL, &err), &err,
                 ERR_NOT_FOUND, "/nowhere/file");
}

static int save(const struct env *env, const struct place *p, bool is_new, struct error *err)
{
    const struct durable_file_options options = {.is_new = is_new, .bytes = 3};
    return file_commit(env, p->path, SLICE_LIT("new"), &options, err);
}

/* is_new: there is no old file. */
static void fail_each_operation(bool is_new)
{
    const char *old = is_new ? NULL : "old";
    bool has_struck = true;
    for (uint64_t n = 1; has_struck; n++) {
        struct place p;
        struct fault_env fe;
        struct error err = ERROR_INIT;
        assert_true(n < FAULTS_MAX);
        place_make(&p);
        if (old)
            test_file_write(p.path, slice_of_str(old));
        fault_env_init(&fe, FAULT_FAIL, n);
        int rc = save(&fe.env, &p, is_new, &err);
        has_struck = fault_env_has_struck(&fe);
        if (rc < 0 && strstr(err.text, "in place") == NULL)
            assert_true(content_is(&p, old));
        else
            assert_true(content_is(&p, "new"));
        if (rc < 0) {
            assert_non_null(strstr(err.text, p.path));
            assert_int_equal(entries(&p), content_is(&p, NULL) ? 0 : 1);
        } else {
            /* A second name that cannot be removed is no failure. */
            assert_true(!has_struck || is_new);
        }
        test_folder_remove(p.folder);
    }
}

static void test_each_failing_step_leaves_the_old_file_and_nothing_else(void **state UNUSED)
{
    fail_each_operation(false);
}

static void test_each_failing_step_of_a_new_file_leaves_nothing(void **state UNUSED)
{
    fail_each_operation(true);
}

static void test_being_killed_at_each_step_leaves_the_old_or_the_new_file(void **state UNUSED)
{
    bool was_killed = true;
    for (uint64_t n = 1; was_killed; n++) {
        struct place p;
        struct error err = ERROR_INIT;
        int status = 0;
        assert_true(n < FAULTS_MAX);
        place_make(&p);
        test_file_write(p.path, SLICE_LIT("old"));
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct fault_env fe;
            fault_env_init(&fe, FAULT_KILL, n);
            _exit(save(&fe.env, &p, false, &err) < 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        was_killed = WIFSIGNALED(status);
        assert_true(content_is(&p, "old") || content_is(&p, "new"));
        /* And the next attempt gets through whatever was left. */
        assert_ok(file_commit(env_real(), p.path, SLICE_LIT("next"), NULL, &err), &err);
        assert_true(content_is(&p, "next"));
        assert_int_equal(entries(&p), 1);
        test_folder_remove(p.folder);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_commit_creates_and_replaces),
        TEST(test_what_was_committed_survives_a_crash_of_the_machine),
        TEST(test_nothing_is_seen_before_the_commit),
        TEST(test_abort_leaves_nothing),
        TEST(test_options_set_mode_temporary_name_and_size),
        TEST(test_owner_and_mode_of_another_file_are_kept),
        TEST(test_a_new_file_is_refused_where_there_is_one),
        TEST(test_a_leftover_that_is_a_second_name_is_not_written_through),
        TEST(test_a_missing_folder_is_an_error_with_the_path),
        TEST(test_each_failing_step_leaves_the_old_file_and_nothing_else),
        TEST(test_each_failing_step_of_a_new_file_leaves_nothing),
        TEST(test_being_killed_at_each_step_leaves_the_old_or_the_new_file),
    };
    return TEST_MAIN(tests);
}
