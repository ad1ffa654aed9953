/*
 * What a restore must not destroy: applications that have the database open, other restores, owner
 * and mode, links.
 */
#include "sidecar/restore/guard.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "sidecar/restore/restore_scene.h"

static void guard_scene_make(struct scene *s)
{
    s->replica.has_ext = true;
    scene_make_files(s, 4096);
    test_replica_live(&s->replica, 3, 5);
    scene_write_levels(s);
}

/* An application in a child process: opens the database, says so, and holds it until it is told. */
struct app {
    pid_t pid;
    int to_child;
};

static void app_run(const char *path, int from_parent, int to_parent)
{
    sqlite3 *db = NULL;
    char byte = 0;

    if (sqlite3_open(path, &db) == SQLITE_OK &&
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(x); SELECT * FROM t",
                     NULL, NULL, NULL) == SQLITE_OK &&
        write(to_parent, "x", 1) == 1 && read(from_parent, &byte, 1) == 1)
        _exit(0);
    _exit(1);
}

static void app_start(struct app *app, const char *path)
{
    int to_child[2];
    int to_parent[2];
    char byte = 0;

    assert_int_equal(pipe(to_child), 0);
    assert_int_equal(pipe(to_parent), 0);
    app->pid = fork();
    assert_true(app->pid >= 0);
    if (app->pid == 0)
        app_run(path, to_child[0], to_parent[1]);
    (void)close(to_child[0]);
    (void)close(to_parent[1]);
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    (void)close(to_parent[0]);
    app->to_child = to_child[1];
}

static void app_end(struct app *app)
{
    int status = 0;

    assert_int_equal(write(app->to_child, "x", 1), 1);
    assert_int_equal(waitpid(app->pid, &status, 0), app->pid);
    assert_int_equal(status, 0);
    (void)close(app->to_child);
}

static void test_restore_refuses_a_database_that_is_open(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    struct app app;
    char text[40];

    guard_scene_make(&s);
    app_start(&app, s.out);
    scene_storage_open(&s);
    s.options.force = true;
    assert_error(scene_restore(&s, &err), &err, ERR_BUSY, "is open in process");
    (void)snprintf(text, sizeof(text), "process %d", (int)app.pid);
    assert_non_null(strstr(err.text, text));
    assert_non_null(strstr(err.hint, "stop the application"));
    app_end(&app);
    assert_ok(scene_restore(&s, &err), &err);
    test_replica_assert_state(&s.replica, s.out, s.replica.txid);
}

static void test_restore_refuses_while_another_restore_writes(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    guard_scene_make(&s);
    int fd = open(s.temp, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_ok(guard_lock_temp(env_real(), fd, s.temp, &err), &err);
    scene_storage_open(&s);
    assert_error(scene_restore(&s, &err), &err, ERR_BUSY, "another restore is writing");
    assert_true(scene_has(s.temp));
    (void)close(fd);
    assert_ok(scene_restore(&s, &err), &err);
}

static void test_restore_does_not_replace_a_database_that_appears_meanwhile(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    CLEANUP(guard_destroy) struct guard g = {0};
    struct error err = ERROR_INIT;
    size_t n = 0;

    guard_scene_make(&s);
    assert_ok(guard_look(env_real(), s.out, &g, &err), &err);
    assert_false(g.is_there);
    test_file_write(s.temp, SLICE_LIT("restored"));
    test_file_write(s.out, SLICE_LIT("somebody's"));
    int fd = open(s.temp, O_RDONLY);
    assert_error(guard_swap(&g, s.temp, fd, &err), &err, ERR_EXISTS, "appeared while");
    (void)close(fd);
    uint8_t *bytes = test_file_read(s.out, &n);
    assert_true(slice_eq_str(slice_of(bytes, n), "somebody's"));
    free(bytes);
}

static void test_restore_does_not_swap_in_a_file_that_is_not_its_own(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    CLEANUP(guard_destroy) struct guard g = {0};
    struct error err = ERROR_INIT;

    guard_scene_make(&s);
    assert_ok(guard_look(env_real(), s.out, &g, &err), &err);
    test_file_write(s.temp, SLICE_LIT("ours"));
    int fd = open(s.temp, O_RDONLY);
    assert_int_equal(unlink(s.temp), 0);
    test_file_write(s.temp, SLICE_LIT("theirs"));
    assert_error(guard_swap(&g, s.temp, fd, &err), &err, ERR_BUSY, "has replaced");
    (void)close(fd);
    assert_false(scene_has(s.out));
}

static void test_restore_refuses_a_folder(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;

    guard_scene_make(&s);
    scene_storage_open(&s);
    s.options.output = s.folder;
    s.options.force = true;
    assert_error(scene_restore(&s, &err), &err, ERR_USAGE, "is a folder, not a file");
}

static void test_restore_keeps_owner_and_mode_of_the_old_database(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    struct stat st;
    bool is_root = geteuid() == 0;

    guard_scene_make(&s);
    scene_storage_open(&s);
    test_file_write(s.out, SLICE_LIT("old"));
    assert_int_equal(chmod(s.out, 0640), 0);
    if (is_root)
        assert_int_equal(chown(s.out, 12345, 23456), 0);
    s.options.force = true;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(stat(s.out, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_uid, is_root ? 12345 : geteuid());
    if (is_root)
        assert_int_equal(st.st_gid, 23456);
    assert_int_equal(stat(s.map, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    if (is_root)
        assert_int_equal(st.st_uid, 12345);
}

static void
test_restore_by_root_gives_a_new_database_to_the_owner_of_the_folder(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    struct stat st;

    if (geteuid() != 0)
        test_skip("only root can give files away");
    guard_scene_make(&s);
    scene_storage_open(&s);
    assert_int_equal(chown(s.folder, 12345, 23456), 0);
    assert_int_equal(chmod(s.folder, 02770), 0);
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(stat(s.out, &st), 0);
    assert_int_equal(st.st_uid, 12345);
    assert_int_equal(st.st_gid, 23456);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(stat(s.map, &st), 0);
    assert_int_equal(st.st_uid, 12345);
}

static void test_restore_follows_a_link_to_the_database(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    struct error err = ERROR_INIT;
    struct stat st;
    char link_path[400];

    guard_scene_make(&s);
    scene_storage_open(&s);
    test_file_write(s.out, SLICE_LIT("old"));
    (void)snprintf(link_path, sizeof(link_path), "%s/link.db", s.folder);
    assert_int_equal(symlink(s.out, link_path), 0);
    s.options.output = link_path;
    s.options.force = true;
    assert_ok(scene_restore(&s, &err), &err);
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    test_replica_assert_state(&s.replica, s.out, s.replica.txid);
}

/* The test that forks comes first: there are no threads yet. */
int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_restore_refuses_a_database_that_is_open),
        TEST(test_restore_refuses_while_another_restore_writes),
        TEST(test_restore_does_not_replace_a_database_that_appears_meanwhile),
        TEST(test_restore_does_not_swap_in_a_file_that_is_not_its_own),
        TEST(test_restore_refuses_a_folder),
        TEST(test_restore_keeps_owner_and_mode_of_the_old_database),
        TEST(test_restore_by_root_gives_a_new_database_to_the_owner_of_the_folder),
        TEST(test_restore_follows_a_link_to_the_database),
    };
    return TEST_MAIN(tests);
}
