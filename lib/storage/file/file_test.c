/*
 * What is special about a folder as a store: links, leftovers, modes, file systems that cannot
 * link, and disks that fail at any call.
 */
#include "lib/storage/file/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/storage/storage_wait.h"
#include "lib/testing/fault_env.h"
#include "lib/testing/test.h"
#include "lib/testing/unsynced.h"

static const char key[] = "ltx/0/0000000000000001-0000000000000001.ltx";

struct fixture {
    struct loop *loop;
    struct storage *st;
    char folder[256];
    char root[320];
};

static int fixture_setup(void **state)
{
    struct error err = ERROR_INIT;
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    test_folder_make(f->folder);
    (void)snprintf(f->root, sizeof(f->root), "%s/root", f->folder);
    assert_ok(loop_new(env_real(), 4, &f->loop, &err), &err);
    assert_ok(storage_file_new(f->loop, env_real(), f->root, &f->st, &err), &err);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    storage_free(f->st);
    loop_run(f->loop);
    loop_free(f->loop);
    test_folder_remove(f->folder);
    free(f);
    return 0;
}

/* Binds the fixture to another environment. */
static void fixture_rebind(struct fixture *f, const struct env *env)
{
    struct error err = ERROR_INIT;

    storage_free(TAKE(f->st));
    assert_ok(storage_file_new(f->loop, env, f->root, &f->st, &err), &err);
}

static int put(struct fixture *f, const char *name, enum storage_put_mode mode, const char *text,
               struct error *err)
{
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;

    assert_ok(blob_of_slice(env_real(), slice_of_str(text), &body, err), err);
    const struct storage_put args = {
        .key = name, .body = &body, .mode = mode, .timestamp_ns = 5 * NS_PER_SEC + 7};
    return storage_put_wait(f->st, &args, err);
}

static void create_ok(struct fixture *f, const char *name, const char *text)
{
    struct error err = ERROR_INIT;

    assert_ok(put(f, name, STORAGE_PUT_CREATE, text, &err), &err);
}

static void assert_text(struct fixture *f, const char *name, const char *wanted)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(10000);

    assert_ok(storage_get_wait(f->st, name, 0, 0, &got, &err), &err);
    assert_string_equal(buf_str(&got), wanted);
}

static int keys_on_object(void *arg, const struct storage_object *object, struct error *err)
{
    return buf_printf(arg, err, "%s\n", object->key);
}

static int list(struct fixture *f, const char *prefix, struct buf *keys, struct error *err)
{
    const struct storage_list args = {.prefix = prefix, .on_object = keys_on_object};

    return storage_list_wait(f->st, &args, keys, err);
}

static void assert_keys(struct fixture *f, const char *wanted)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf keys = BUF_INIT(10000);

    assert_ok(list(f, "", &keys, &err), &err);
    assert_string_equal(buf_str(&keys), wanted);
}

static const char *path_of(const struct fixture *f, const char *name)
{
    static char path[1024];

    (void)snprintf(path, sizeof(path), "%s/%s", f->root, name);
    return path;
}

/* Files in a folder of the root, whatever they are. */
static unsigned entry_count(const struct fixture *f, const char *name)
{
    DIR *folder = opendir(path_of(f, name));
    unsigned count = 0;

    if (!folder)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    assert_int_equal(closedir(folder), 0);
    return count;
}

static void test_a_constructor_refuses_what_cannot_be_a_root(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct storage *st = NULL;
    char file[300];
    char below[320];
    CLEANUP(mem_free) char *long_path = malloc(FILE_ROOT_BYTES_MAX + 2);

    assert_non_null(long_path);
    memset(long_path, '/', FILE_ROOT_BYTES_MAX + 1);
    long_path[FILE_ROOT_BYTES_MAX + 1] = '\0';
    (void)snprintf(file, sizeof(file), "%s/file", f->folder);
    (void)snprintf(below, sizeof(below), "%s/below", file);
    test_file_write(file, SLICE_LIT("x"));
    assert_error(storage_file_new(f->loop, env_real(), file, &st, &err), &err, ERR_USAGE,
                 "is not a folder");
    assert_error(storage_file_new(f->loop, env_real(), below, &st, &err), &err, ERR_USAGE,
                 "below a file");
    assert_error(storage_file_new(f->loop, env_real(), "relative", &st, &err), &err, ERR_USAGE,
                 "absolute");
    assert_error(storage_file_new(f->loop, env_real(), "", &st, &err), &err, ERR_USAGE, "absolute");
    assert_error(storage_file_new(f->loop, env_real(), long_path, &st, &err), &err, ERR_USAGE,
                 "longer than");
    assert_null(st);
}

static void test_a_url_names_the_folder_without_its_slashes(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct storage *st = NULL;

    assert_ok(storage_file_new(f->loop, env_real(), "/backups/app//", &st, &err), &err);
    assert_string_equal(storage_url(st), "file:///backups/app");
    assert_string_equal(storage_type(st), "file");
    assert_int_equal(storage_caps(st)->layout, STORAGE_LAYOUT_LTX);
    storage_free(st);
    assert_ok(storage_file_new(f->loop, env_real(), "/", &st, &err), &err);
    assert_string_equal(storage_url(st), "file:///");
    storage_free(st);
}

static void test_a_missing_root_is_an_empty_prefix(void **state)
{
    struct fixture *f = *state;

    assert_keys(f, "");
    assert_int_equal(access(f->root, F_OK), -1);
}

static void test_a_root_that_became_a_file_is_not_empty(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf keys = BUF_INIT(100);

    test_file_write(f->root, SLICE_LIT("x"));
    assert_error(list(f, "", &keys, &err), &err, ERR_WRONG_STATE, "is not a folder");
    assert_error(put(f, key, STORAGE_PUT_CREATE, "x", &err), &err, ERR_WRONG_STATE,
                 "is not a folder");
}

static void test_objects_are_files_with_private_modes_and_exact_times(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    mode_t old = umask(0);

    create_ok(f, key, "content");
    (void)umask(old);
    assert_int_equal(stat(path_of(f, key), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_mtim.tv_sec, 5);
    assert_int_equal(st.st_mtim.tv_nsec, 7);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(stat(path_of(f, "ltx/0"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(entry_count(f, "ltx/0"), 1);
}

static void test_temporary_files_are_not_listed_and_no_keys(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    static const char temp[] = "ltx/0/.a.ltx.0123456789abcdef.tmp";

    create_ok(f, key, "content");
    create_ok(f, "ltx/0/.a.ltx.0123456789abcde.tmp", "15 digits: an ordinary name");
    test_file_write(path_of(f, temp), SLICE_LIT("half"));
    assert_keys(f, "ltx/0/.a.ltx.0123456789abcde.tmp\n"
                   "ltx/0/0000000000000001-0000000000000001.ltx\n");
    assert_error(put(f, temp, STORAGE_PUT_CREATE, "x", &err), &err, ERR_USAGE, "temporary");
}

/* A clock a day and an hour ahead: what was just written looks as old. */
static uint64_t late_wall_ns(void *ctx)
{
    (void)ctx;
    return env_wall_ns(env_real()) + NS_PER_DAY + NS_PER_HOUR;
}

static void test_old_temporary_files_are_removed_at_the_first_put_and_new_ones_kept(void **state)
{
    struct fixture *f = *state;
    static const char temp[] = "ltx/0/.a.ltx.0123456789abcdef.tmp";
    struct env late = *env_real();
    const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    late.clock.wall_ns = late_wall_ns;
    create_ok(f, key, "content");
    test_file_write(path_of(f, temp), SLICE_LIT("half"));
    /* Its mtime is the object's and means nothing. */
    assert_int_equal(utimensat(AT_FDCWD, path_of(f, temp), long_ago, 0), 0);
    fixture_rebind(f, env_real());
    create_ok(f, "ltx/0/second", "x");
    assert_int_equal(access(path_of(f, temp), F_OK), 0);
    fixture_rebind(f, &late);
    create_ok(f, "ltx/0/third", "x");
    assert_int_equal(access(path_of(f, temp), F_OK), -1);
    assert_text(f, key, "content");
}

static void test_symbolic_links_below_the_root_are_refused_aloud(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
    struct storage_object object;
    static const char *const below[] = {"ltx/0/outside"};
    char outside[300];
    char victim[320];

    (void)snprintf(outside, sizeof(outside), "%s/elsewhere", f->folder);
    (void)snprintf(victim, sizeof(victim), "%s/outside", outside);
    assert_int_equal(mkdir(outside, 0700), 0);
    test_file_write(victim, SLICE_LIT("not ours"));
    create_ok(f, "ltx/9/x", "content");
    assert_int_equal(symlink(outside, path_of(f, "ltx/0")), 0);
    assert_error(list(f, "", &out, &err), &err, ERR_WRONG_STATE, "ltx/0: is a symbolic link");
    assert_error(put(f, "ltx/0/new", STORAGE_PUT_CREATE, "x", &err), &err, ERR_WRONG_STATE,
                 "symbolic link");
    assert_error(storage_get_wait(f->st, below[0], 0, 0, &out, &err), &err, ERR_WRONG_STATE,
                 "symbolic link");
    assert_error(storage_head_wait(f->st, below[0], &object, &err), &err, ERR_WRONG_STATE,
                 "symbolic link");
    assert_error(storage_delete_wait(f->st, below, 1, &err), &err, ERR_WRONG_STATE,
                 "symbolic link");
    assert_int_equal(access(victim, F_OK), 0);
    buf_clear(&out);
    assert_ok(list(f, "ltx/9/", &out, &err), &err);
    assert_string_equal(buf_str(&out), "ltx/9/x\n");
}

static void test_an_object_that_is_a_symbolic_link_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);

    create_ok(f, "ltx/0/x", "content");
    assert_int_equal(symlink("/etc/hostname", path_of(f, "ltx/0/link")), 0);
    assert_error(storage_get_wait(f->st, "ltx/0/link", 0, 0, &out, &err), &err, ERR_WRONG_STATE,
                 "symbolic link");
    assert_error(put(f, "ltx/0/link", STORAGE_PUT_CREATE, "x", &err), &err, ERR_WRONG_STATE,
                 "symbolic link");
}

static void test_a_root_may_be_a_symbolic_link(void **state)
{
    struct fixture *f = *state;
    char real[300];

    (void)snprintf(real, sizeof(real), "%s/real", f->folder);
    assert_int_equal(mkdir(real, 0700), 0);
    assert_int_equal(symlink(real, f->root), 0);
    create_ok(f, key, "content");
    assert_text(f, key, "content");
    assert_keys(f, "ltx/0/0000000000000001-0000000000000001.ltx\n");
}

static void test_a_name_cannot_be_an_object_and_a_folder(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    static const char *const folder[] = {"a"};
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(100);

    create_ok(f, "a/b", "below");
    assert_error(put(f, "a", STORAGE_PUT_CREATE, "x", &err), &err, ERR_WRONG_STATE, "folder");
    assert_error(put(f, "a", STORAGE_PUT_OVERWRITE, "x", &err), &err, ERR_WRONG_STATE, "folder");
    assert_error(put(f, "a/b/c", STORAGE_PUT_CREATE, "x", &err), &err, ERR_WRONG_STATE,
                 "where a folder is needed");
    assert_error(storage_get_wait(f->st, "a", 0, 0, &out, &err), &err, ERR_NOT_FOUND, "");
    assert_ok(storage_delete_wait(f->st, folder, 1, &err), &err);
    assert_text(f, "a/b", "below");
}

static void test_a_pipe_in_the_folder_is_no_object_and_holds_nobody(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(100);

    create_ok(f, "x", "x");
    assert_int_equal(mkfifo(path_of(f, "pipe"), 0600), 0);
    assert_error(storage_get_wait(f->st, "pipe", 0, 0, &out, &err), &err, ERR_NOT_FOUND, "");
    assert_keys(f, "x\n");
}

static void test_names_that_are_no_keys_are_passed_over(void **state)
{
    struct fixture *f = *state;

    create_ok(f, "x", "x");
    test_file_write(path_of(f, "two\nlines"), SLICE_LIT("x"));
    test_file_write(path_of(f, "a..b"), SLICE_LIT("x"));
    test_file_write(path_of(f, "\xc3\xa4"), SLICE_LIT("x"));
    assert_int_equal(mkdir(path_of(f, "lost+found"), 0), 0);
    assert_keys(f, "x\n");
}

static int link_refused(void *ctx UNUSED, const char *from UNUSED, const char *to UNUSED)
{
    return -EPERM;
}

static int noreplace_refused(void *ctx UNUSED, const char *from UNUSED, const char *to UNUSED)
{
    return -EINVAL;
}

static void test_a_file_system_without_hard_links_renames_without_replacing(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct env env = *env_real();

    env.file.link = link_refused;
    fixture_rebind(f, &env);
    create_ok(f, key, "first");
    assert_error(put(f, key, STORAGE_PUT_CREATE, "second", &err), &err, ERR_EXISTS, key);
    assert_text(f, key, "first");
    assert_int_equal(entry_count(f, "ltx/0"), 1);
}

static void test_a_file_system_that_cannot_create_says_so_until_told_otherwise(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct env env = *env_real();

    env.file.link = link_refused;
    env.file.rename_noreplace = noreplace_refused;
    fixture_rebind(f, &env);
    assert_error(put(f, key, STORAGE_PUT_CREATE, "x", &err), &err, ERR_UNSUPPORTED, key);
    assert_true(strstr(err.hint, "fenced"));
    assert_int_equal(entry_count(f, "ltx/0"), 0);
    storage_set_can_create(f->st, false);
    create_ok(f, key, "first");
    assert_error(put(f, key, STORAGE_PUT_CREATE, "second", &err), &err, ERR_EXISTS, key);
    assert_text(f, key, "first");
}

/* As NFS when the answer to a link was lost: the repeated call finds the name taken, by itself. */
static int link_twice(void *ctx UNUSED, const char *from, const char *to)
{
    return link(from, to) < 0 ? -errno : -EEXIST;
}

static void test_a_link_whose_answer_was_lost_counts_as_made(void **state)
{
    struct fixture *f = *state;
    struct env env = *env_real();

    env.file.link = link_twice;
    fixture_rebind(f, &env);
    create_ok(f, key, "content");
    assert_text(f, key, "content");
    assert_int_equal(entry_count(f, "ltx/0"), 1);
}

static void test_a_folder_that_was_removed_is_made_again(void **state)
{
    struct fixture *f = *state;
    char level[PATH_MAX];

    create_ok(f, key, "first");
    (void)snprintf(level, sizeof(level), "%s/ltx", f->root);
    test_folder_remove(level);
    create_ok(f, key, "second");
    assert_text(f, key, "second");
}

static int nothing_expected(void *arg UNUSED, const struct storage_object *object UNUSED,
                            struct error *err)
{
    return error_set(err, ERR_CORRUPT, 0, "an object in an empty prefix");
}

static void test_a_root_that_vanished_is_not_made_anew_before_a_list_has_seen_it(void **state)
{
    struct fixture *f = *state;
    const struct storage_list list = {.prefix = "", .on_object = nothing_expected};
    struct error err = ERROR_INIT;
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
    const struct storage_put put = {.key = key, .body = &body, .mode = STORAGE_PUT_CREATE};

    create_ok(f, key, "first");
    test_folder_remove(f->root);
    assert_ok(blob_of_slice(env_real(), SLICE_LIT("second"), &body, &err), &err);
    assert_error(storage_put_wait(f->st, &put, &err), &err, ERR_WRONG_STATE, "has vanished");
    assert_ok(storage_list_wait(f->st, &list, NULL, &err), &err);
    create_ok(f, key, "second");
    assert_text(f, key, "second");
}

/* What the counting environment leaves out goes to the real one, uncounted. */
static void fault_complete(struct fault_env *fault)
{
    const struct env_file *real = &env_real()->file;
    struct env_file *file = &fault->env.file;

    file->lstat = file->lstat ? file->lstat : real->lstat;
    file->set_mtime = file->set_mtime ? file->set_mtime : real->set_mtime;
    file->rename_noreplace =
        file->rename_noreplace ? file->rename_noreplace : real->rename_noreplace;
    file->list_folder = file->list_folder ? file->list_folder : real->list_folder;
}

static void test_a_put_that_fails_at_any_call_leaves_nothing_or_the_whole_object(void **state)
{
    struct fixture *f = *state;
    unsigned failures = 0;

    for (uint64_t n = 1; n < 1000; n++) {
        struct fault_env fault;
        struct error err = ERROR_INIT;
        char name[64];
        (void)snprintf(name, sizeof(name), "put%llu/x", (unsigned long long)n);
        fault_env_init(&fault, FAULT_FAIL, n);
        fault_complete(&fault);
        fixture_rebind(f, &fault.env);
        int rc = put(f, name, STORAGE_PUT_CREATE, "content", &err);
        bool has_struck = fault_env_has_struck(&fault);
        fixture_rebind(f, env_real());
        CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);
        struct error get_err = ERROR_INIT;
        test_row(name);
        if (rc < 0) {
            failures++;
            /* Never an answer about the object. */
            assert_int_not_equal(err.code, ERR_EXISTS);
            assert_int_not_equal(err.code, ERR_NOT_FOUND);
            assert_non_null(strstr(err.text, name));
        }
        if (storage_get_wait(f->st, name, 0, 0, &got, &get_err) == 0) {
            assert_string_equal(buf_str(&got), "content");
        } else {
            assert_int_equal(rc, -1);
            assert_int_equal(get_err.code, ERR_NOT_FOUND);
        }
        if (!has_struck) {
            assert_int_equal(rc, 0);
            assert_true(failures >= 5);
            return;
        }
    }
    fail_msg("the put never succeeded");
}

static int set_mtime_refused(void *ctx UNUSED, int fd UNUSED, uint64_t mtime_ns UNUSED)
{
    return -EIO;
}

static void test_an_object_without_its_timestamp_is_not_put(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct env env = *env_real();

    env.file.set_mtime = set_mtime_refused;
    fixture_rebind(f, &env);
    assert_error(put(f, key, STORAGE_PUT_CREATE, "x", &err), &err, ERR_IO, "set time of");
    assert_int_equal(entry_count(f, "ltx/0"), 0);
}

/* In a folder that is there, in new ones, and over another: no crash takes it back. */
static void test_an_object_is_durable_when_it_is_told_to_be_there(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct unsynced u;

    unsynced_init(&u);
    (void)snprintf(f->root, sizeof(f->root), "%s/root/in/folders", f->folder);
    fixture_rebind(f, &u.env);
    create_ok(f, key, "the first of its folders");
    assert_int_equal(unsynced_count(&u), 0);
    create_ok(f, "ltx/0/beside", "x");
    assert_int_equal(unsynced_count(&u), 0);
    assert_ok(put(f, "ltx/0/beside", STORAGE_PUT_OVERWRITE, "y", &err), &err);
    assert_int_equal(unsynced_count(&u), 0);
    assert_int_equal(unsynced_early_names(&u), 0);
    fixture_rebind(f, env_real());
}

/* Files are synced, folders are not. */
static int fsync_refused(void *ctx UNUSED, int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return S_ISDIR(st.st_mode) ? -EIO : 0;
}

/* The other writer may have given it a moment ago. */
static void test_a_taken_name_is_made_durable_before_it_is_told(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct unsynced u;
    char other[1024];

    unsynced_init(&u);
    fixture_rebind(f, &u.env);
    create_ok(f, key, "x");
    (void)snprintf(other, sizeof(other), "%s", path_of(f, "ltx/0/other"));
    assert_ok(env_link(&u.env, path_of(f, key), other, &err), &err);
    assert_int_equal(unsynced_count(&u), 1);
    assert_error(put(f, "ltx/0/other", STORAGE_PUT_CREATE, "y", &err), &err, ERR_EXISTS, "name");
    assert_int_equal(unsynced_count(&u), 0);
    u.env.file.fsync = fsync_refused;
    assert_error(put(f, "ltx/0/other", STORAGE_PUT_CREATE, "y", &err), &err, ERR_IO, "fsync");
    fixture_rebind(f, env_real());
}

static void test_a_delete_that_is_not_durable_fails_for_its_keys(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct env env = *env_real();
    static const char *const keys[] = {"a/1", "a/2", "b/1"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        create_ok(f, keys[i], "x");
    env.file.fsync = fsync_refused;
    fixture_rebind(f, &env);
    assert_error(storage_delete_wait(f->st, keys, ARRAY_LEN(keys), &err), &err, ERR_IO, "fsync");
    fixture_rebind(f, env_real());
    assert_keys(f, "");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(test_a_constructor_refuses_what_cannot_be_a_root),
        CASE(test_a_url_names_the_folder_without_its_slashes),
        CASE(test_a_missing_root_is_an_empty_prefix),
        CASE(test_a_root_that_became_a_file_is_not_empty),
        CASE(test_objects_are_files_with_private_modes_and_exact_times),
        CASE(test_temporary_files_are_not_listed_and_no_keys),
        CASE(test_old_temporary_files_are_removed_at_the_first_put_and_new_ones_kept),
        CASE(test_symbolic_links_below_the_root_are_refused_aloud),
        CASE(test_an_object_that_is_a_symbolic_link_is_refused),
        CASE(test_a_root_may_be_a_symbolic_link),
        CASE(test_a_name_cannot_be_an_object_and_a_folder),
        CASE(test_a_pipe_in_the_folder_is_no_object_and_holds_nobody),
        CASE(test_names_that_are_no_keys_are_passed_over),
        CASE(test_a_file_system_without_hard_links_renames_without_replacing),
        CASE(test_a_file_system_that_cannot_create_says_so_until_told_otherwise),
        CASE(test_a_link_whose_answer_was_lost_counts_as_made),
        CASE(test_a_folder_that_was_removed_is_made_again),
        CASE(test_a_root_that_vanished_is_not_made_anew_before_a_list_has_seen_it),
        CASE(test_a_put_that_fails_at_any_call_leaves_nothing_or_the_whole_object),
        CASE(test_an_object_without_its_timestamp_is_not_put),
        CASE(test_an_object_is_durable_when_it_is_told_to_be_there),
        CASE(test_a_taken_name_is_made_durable_before_it_is_told),
        CASE(test_a_delete_that_is_not_durable_fails_for_its_keys),
    };
    return TEST_MAIN(tests);
}
