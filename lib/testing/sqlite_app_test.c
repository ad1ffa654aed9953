/*
 * The test application itself: a damaged copy must not pass for a sound one.
 */
#include "lib/testing/sqlite_app.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/server.h"
#include "lib/testing/test.h"

struct fixture {
    char folder[256];
    char db[300];
    char copy[300];
};

static int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    test_folder_make(f->folder);
    (void)snprintf(f->db, sizeof(f->db), "%s/app.db", f->folder);
    (void)snprintf(f->copy, sizeof(f->copy), "%s/copy.db", f->folder);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    test_folder_remove(f->folder);
    free(f);
    return 0;
}

static void test_a_snapshot_holds_what_was_committed_and_verifies(void **state)
{
    struct fixture *f = *state;
    CLEANUP(sqlite_app_close) struct sqlite_app app = {.db = NULL};
    const struct sqlite_app_config config = {.page_size = 1024, .seed = 42};

    sqlite_app_open(&app, f->db, &config);
    sqlite_app_insert(&app, 100, 0);
    sqlite_app_checkpoint(&app, SQLITE_CHECKPOINT_PASSIVE);
    sqlite_app_insert_each(&app, 10, 5000);
    sqlite_app_snapshot_file(f->db, f->copy);
    assert_int_equal(sqlite_app_verify(f->copy, 42), 110);
    sqlite_app_assert_same_content(f->db, f->copy, f->folder, SQLITE_APP_EXACT);
    assert_int_equal(sqlite_app_int(&app, "PRAGMA page_size"), 1024);
}

static void test_a_snapshot_leaves_the_locks_of_this_process_alone(void **state)
{
    struct fixture *f = *state;
    CLEANUP(sqlite_app_close) struct sqlite_app app = {.db = NULL};
    char log[320];
    char command[400];

    (void)snprintf(log, sizeof(log), "%s/fuser.log", f->folder);
    sqlite_app_open(&app, f->db, NULL);
    sqlite_app_insert(&app, 1, 0);
    sqlite_app_exec(&app, "BEGIN IMMEDIATE");
    sqlite_app_snapshot_file(f->db, f->copy);
    /* Another process still finds the write lock held. */
    (void)snprintf(command, sizeof(command), "cat /proc/locks | grep -q \" %d \"", (int)getpid());
    free(test_process_run((const char *const[]){"sh", "-c", command, NULL}, NULL, log,
                          10 * NS_PER_SEC, 0));
    sqlite_app_exec(&app, "ROLLBACK");
}

static void test_reopening_goes_on_counting(void **state)
{
    struct fixture *f = *state;
    CLEANUP(sqlite_app_close) struct sqlite_app app = {.db = NULL};

    sqlite_app_open(&app, f->db, NULL);
    sqlite_app_insert(&app, 5, 0);
    sqlite_app_close(&app);
    sqlite_app_open(&app, f->db, NULL);
    assert_int_equal(app.row_count, 5);
    sqlite_app_insert(&app, 5, 0);
    sqlite_app_close(&app);
    assert_int_equal(sqlite_app_verify(f->db, 0), 10);
}

/* Whether an assertion inside would have failed: run in a child, which the assertion ends. */
static bool fails(void (*fn)(struct fixture *f), struct fixture *f)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        /* cmocka's failure would jump into the parent's runner: end instead. */
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(0);
        (void)setenv("CMOCKA_TEST_ABORT", "1", 1);
        fn(f);
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status != 0;
}

static void verify_copy(struct fixture *f)
{
    (void)sqlite_app_verify(f->copy, 0);
}

static void compare_copy(struct fixture *f)
{
    sqlite_app_assert_same(f->db, f->copy, SQLITE_APP_IGNORE_COUNTERS);
}

/* A database of ten rows, closed, and a copy that sql has changed. */
static void copy_changed(struct fixture *f, const char *sql)
{
    struct sqlite_app app;

    sqlite_app_open(&app, f->db, NULL);
    sqlite_app_insert(&app, 10, 0);
    sqlite_app_close(&app);
    sqlite_app_snapshot_file(f->db, f->copy);
    sqlite_app_open(&app, f->copy, NULL);
    sqlite_app_exec(&app, sql);
    sqlite_app_checkpoint(&app, SQLITE_CHECKPOINT_TRUNCATE);
    sqlite_app_close(&app);
}

static void test_a_copy_with_a_missing_row_does_not_verify(void **state)
{
    struct fixture *f = *state;

    copy_changed(f, "DELETE FROM app_row WHERE n=5");
    assert_true(fails(verify_copy, f));
    assert_true(fails(compare_copy, f));
}

static void test_a_copy_with_a_changed_row_does_not_verify(void **state)
{
    struct fixture *f = *state;

    copy_changed(f, "UPDATE app_row SET body=zeroblob(100) WHERE n=5");
    assert_true(fails(verify_copy, f));
}

static void test_a_sound_copy_passes(void **state)
{
    struct fixture *f = *state;

    copy_changed(f, "SELECT 1");
    assert_false(fails(verify_copy, f));
    assert_false(fails(compare_copy, f));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(test_a_snapshot_holds_what_was_committed_and_verifies),
        CASE(test_a_snapshot_leaves_the_locks_of_this_process_alone),
        CASE(test_reopening_goes_on_counting),
        CASE(test_a_copy_with_a_missing_row_does_not_verify),
        CASE(test_a_copy_with_a_changed_row_does_not_verify),
        CASE(test_a_sound_copy_passes),
    };
    return TEST_MAIN(tests);
}
