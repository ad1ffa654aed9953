/*
 * Watches: who is told of what, and what may be done inside a callback.
 */
#include "lib/io/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

struct fixture {
    struct loop *loop;
    struct watch *watch;
    struct loop_timer limit;
    bool is_late;
    char folder[256];
    char path[300];
};

static void on_limit(void *arg)
{
    bool *is_late = arg;
    *is_late = true;
}

static void fixture_make(struct fixture *f)
{
    struct error err = ERROR_INIT;
    *f = (struct fixture){.loop = NULL};
    assert_ok(loop_new(env_real(), 1, &f->loop, &err), &err);
    assert_ok(watch_new(f->loop, &f->watch, &err), &err);
    test_folder_make(f->folder);
    (void)snprintf(f->path, sizeof(f->path), "%s/file", f->folder);
    test_file_write(f->path, SLICE_LIT("x"));
    loop_timer_init(&f->limit, f->loop, on_limit, &f->is_late);
}

static void fixture_drop(struct fixture *f)
{
    loop_timer_stop(&f->limit);
    watch_free(f->watch);
    loop_free(f->loop);
    test_folder_remove(f->folder);
}

/* One interest and what it was told. */
struct seen {
    struct watch_entry entry;
    unsigned calls;
    uint32_t events;
    bool is_told;
    char name[64];
    struct seen *removes; /* its entry is removed by the callback */
    struct fixture *adds; /* the callback watches the file again */
};

static void on_event(void *arg, uint32_t events, const char *name)
{
    struct seen *s = arg;
    struct error err = ERROR_INIT;

    s->calls++;
    s->events |= events;
    s->is_told = true;
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    if (s->removes)
        watch_remove(&s->removes->entry);
    if (s->adds && !watch_is_active(&s->entry)) {
        test_file_write(s->adds->path, SLICE_LIT("again"));
        assert_ok(watch_add(s->adds->watch, &s->entry, s->adds->path, IN_MODIFY, on_event, s, &err),
                  &err);
    }
}

static void add(struct fixture *f, struct seen *s, uint32_t mask)
{
    struct error err = ERROR_INIT;
    assert_ok(watch_add(f->watch, &s->entry, f->path, mask, on_event, s, &err), &err);
}

static void wait_for(struct fixture *f, struct seen *s)
{
    f->is_late = false;
    loop_timer_start(&f->limit, 10 * NS_PER_SEC);
    assert_true(loop_run_until(f->loop, &s->is_told));
    loop_timer_stop(&f->limit);
    s->is_told = false;
}

/* Lets everything that is already there be told. */
static void settle(struct fixture *f)
{
    for (int i = 0; i < 5; i++) {
        f->is_late = false;
        loop_timer_start(&f->limit, NS_PER_MS);
        assert_true(loop_run_until(f->loop, &f->is_late));
    }
}

static void append(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "y", 1), 1);
    assert_int_equal(close(fd), 0);
}

static void test_a_write_is_told(void **state UNUSED)
{
    struct fixture f;
    struct seen s = {.calls = 0};
    fixture_make(&f);
    assert_false(watch_is_active(&s.entry));
    add(&f, &s, IN_MODIFY);
    assert_true(watch_is_active(&s.entry));
    append(f.path);
    assert_int_equal(s.calls, 0);
    wait_for(&f, &s);
    assert_int_equal(s.events, IN_MODIFY);
    assert_string_equal(s.name, "");
    watch_remove(&s.entry);
    watch_remove(&s.entry);
    append(f.path);
    settle(&f);
    assert_int_equal(s.calls, 1);
    fixture_drop(&f);
}

static void test_entries_of_one_file_have_their_own_masks(void **state UNUSED)
{
    struct fixture f;
    struct seen writes = {.calls = 0};
    struct seen opens = {.calls = 0};
    fixture_make(&f);
    add(&f, &writes, IN_MODIFY);
    add(&f, &opens, IN_OPEN);
    assert_int_equal(writes.entry.wd, opens.entry.wd);
    append(f.path);
    settle(&f);
    assert_int_equal(writes.events, IN_MODIFY);
    assert_int_equal(opens.events, IN_OPEN);
    watch_remove(&opens.entry); /* the other one stays */
    append(f.path);
    settle(&f);
    assert_int_equal(writes.calls, 2);
    assert_int_equal(opens.calls, 1);
    watch_remove(&writes.entry);
    fixture_drop(&f);
}

static void test_a_folder_tells_names(void **state UNUSED)
{
    struct fixture f;
    struct seen s = {.calls = 0};
    struct error err = ERROR_INIT;
    char other[300];
    fixture_make(&f);
    (void)snprintf(other, sizeof(other), "%s/other", f.folder);
    assert_ok(watch_add(f.watch, &s.entry, f.folder, IN_CREATE | IN_ONLYDIR, on_event, &s, &err),
              &err);
    test_file_write(other, SLICE_LIT("x"));
    wait_for(&f, &s);
    assert_int_equal(s.events, IN_CREATE);
    assert_string_equal(s.name, "other");
    watch_remove(&s.entry);
    fixture_drop(&f);
}

static void test_a_deleted_file_ends_its_entries(void **state UNUSED)
{
    struct fixture f;
    struct seen a = {.calls = 0};
    struct seen b = {.calls = 0};
    fixture_make(&f);
    add(&f, &a, IN_DELETE_SELF);
    add(&f, &b, IN_MODIFY);
    assert_int_equal(unlink(f.path), 0);
    settle(&f);
    assert_int_equal(a.events, IN_DELETE_SELF | IN_IGNORED);
    assert_int_equal(b.events, IN_IGNORED);
    assert_false(watch_is_active(&a.entry));
    assert_false(watch_is_active(&b.entry));
    loop_run(f.loop); /* nothing is watched: ends */
    test_file_write(f.path, SLICE_LIT("x"));
    fixture_drop(&f);
}

static void test_a_callback_may_watch_the_new_file_of_that_name(void **state UNUSED)
{
    struct fixture f;
    struct seen s = {.adds = &f};
    fixture_make(&f);
    add(&f, &s, IN_MODIFY);
    assert_int_equal(unlink(f.path), 0);
    wait_for(&f, &s);
    assert_true(watch_is_active(&s.entry));
    s.events = 0;
    append(f.path);
    wait_for(&f, &s);
    assert_int_equal(s.events, IN_MODIFY);
    watch_remove(&s.entry);
    fixture_drop(&f);
}

static void test_a_callback_may_remove_any_entry(void **state UNUSED)
{
    struct fixture f;
    struct seen s[4] = {{.calls = 0}};
    fixture_make(&f);
    for (size_t i = 0; i < 4; i++)
        add(&f, &s[i], IN_MODIFY);
    /* The last added is called first. */
    s[3].removes = &s[2];
    s[1].removes = &s[1];
    append(f.path);
    settle(&f);
    assert_int_equal(s[3].calls, 1);
    assert_int_equal(s[2].calls, 0);
    assert_int_equal(s[1].calls, 1);
    assert_int_equal(s[0].calls, 1);
    append(f.path);
    settle(&f);
    assert_int_equal(s[3].calls + s[2].calls + s[1].calls + s[0].calls, 5);
    watch_remove(&s[0].entry);
    watch_remove(&s[3].entry);
    fixture_drop(&f);
}

static unsigned long long number_in(const char *path)
{
    unsigned long long v = 0;
    FILE *file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%llu", &v) != 1)
            v = 0;
        (void)fclose(file);
    }
    return v;
}

static void test_an_overflow_is_told_to_all(void **state UNUSED)
{
    struct fixture f;
    struct seen busy = {.calls = 0};
    struct seen quiet = {.calls = 0};
    struct error err = ERROR_INIT;
    char path[320];
    unsigned long long limit = number_in("/proc/sys/fs/inotify/max_queued_events");

    if (limit == 0 || limit > 100000)
        test_skip("the queue of inotify is too long to fill: %llu", limit);
    fixture_make(&f);
    assert_ok(
        watch_add(f.watch, &busy.entry, f.folder, IN_CREATE | IN_DELETE, on_event, &busy, &err),
        &err);
    add(&f, &quiet, IN_MODIFY);
    for (unsigned long long i = 0; i < limit / 2 + 10; i++) { /* two events each, never merged */
        {
            (void)snprintf(path, sizeof(path), "%s/n%llu", f.folder, i);
            int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
            assert_true(fd >= 0);
            assert_int_equal(close(fd), 0);
            assert_int_equal(unlink(path), 0);
        }
    }
    wait_for(&f, &quiet);
    assert_int_equal(quiet.events, WATCH_OVERFLOW);
    assert_true(busy.events & WATCH_OVERFLOW);
    watch_remove(&busy.entry);
    watch_remove(&quiet.entry);
    fixture_drop(&f);
}

static void test_a_missing_path_is_named(void **state UNUSED)
{
    struct fixture f;
    struct seen s = {.calls = 0};
    struct error err = ERROR_INIT;
    fixture_make(&f);
    assert_error(watch_add(f.watch, &s.entry, "/nowhere/x", IN_MODIFY, on_event, &s, &err), &err,
                 ERR_NOT_FOUND, "watch /nowhere/x");
    assert_false(watch_is_active(&s.entry));
    fixture_drop(&f);
}

/* In a process of its own, in a user namespace where this limit is 0. 0: as it should be. */
static int nothing_left(const char *limit, const char *hint)
{
    struct loop *loop = NULL;
    struct watch *w = NULL;
    struct watch_entry e = {.wd = 0};
    struct error err = ERROR_INIT;

    if (unshare(CLONE_NEWUSER) < 0)
        return 77;
    int fd = open(limit, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        return 77;
    if (loop_new(env_real(), 1, &loop, &err) < 0 || watch_new(loop, &w, &err) < 0)
        return 1;
    if (watch_add(w, &e, "/tmp", IN_MODIFY, on_event, NULL, &err) == 0 || watch_is_active(&e))
        return 2;
    if (err.code != ERR_LIMIT || !strstr(err.hint, hint))
        return 3;
    if (pwrite(fd, "9", 1, 0) != 1 || close(fd) < 0) /* somebody else has ended */
        return 4;
    error_clear(&err);
    if (watch_add(w, &e, "/tmp", IN_MODIFY, on_event, NULL, &err) < 0)
        return 5;
    watch_remove(&e);
    watch_free(w);
    loop_free(loop);
    return 0;
}

static void must_be_told(const char *limit, const char *hint)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(nothing_left(limit, hint));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        test_skip("no user namespace with a limit of its own can be made here");
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_too_many_watches_are_a_limit_until_one_is_free(void **state UNUSED)
{
    must_be_told("/proc/sys/user/max_inotify_watches", "fs.inotify.max_user_watches");
}

static void test_too_many_instances_are_a_limit_until_one_is_free(void **state UNUSED)
{
    must_be_told("/proc/sys/user/max_inotify_instances", "fs.inotify.max_user_instances");
}

static void test_only_known_file_systems_of_one_kernel_tell_of_every_write(void **state UNUSED)
{
    static const struct {
        const char *name;
        int64_t magic;
        bool tells;
    } rows[] = {
        {"ext4", 0xEF53, true},         {"XFS", 0x58465342, true},   {"btrfs", 0x9123683E, true},
        {"tmpfs", 0x01021994, true},    {"F2FS", 0xF2F52010, true},  {"NFS", 0x6969, false},
        {"FUSE", 0x65735546, false},    {"9p", 0x01021997, false},   {"CIFS", 0xFF534D42, false},
        {"overlay", 0x794C7630, false}, {"GFS2", 0x01161970, false}, {"OCFS2", 0x7461636F, false},
        {"unknown", 0x12345678, false}, {"none", 0, false},          {"an error", -ENOENT, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (watch_tells_of_writes(rows[i].magic) != rows[i].tells) {
            print_error("# %s\n", rows[i].name);
            fail();
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_too_many_watches_are_a_limit_until_one_is_free), /* first: they fork */
        TEST(test_too_many_instances_are_a_limit_until_one_is_free),
        TEST(test_a_write_is_told),
        TEST(test_entries_of_one_file_have_their_own_masks),
        TEST(test_a_folder_tells_names),
        TEST(test_a_deleted_file_ends_its_entries),
        TEST(test_a_callback_may_watch_the_new_file_of_that_name),
        TEST(test_a_callback_may_remove_any_entry),
        TEST(test_an_overflow_is_told_to_all),
        TEST(test_a_missing_path_is_named),
        TEST(test_only_known_file_systems_of_one_kernel_tell_of_every_write),
    };
    return TEST_MAIN(tests);
}
