/*
 * Restores that are killed (SIGKILL) before each of their file operations: nothing that is left
 * looks finished, and the next restore finishes.
 *
 * Every restore runs in a child process; the parent never makes a loop, since threads do not
 * survive a fork.
 */
#include <signal.h>
#include <sys/wait.h>

#include "sidecar/restore/restore_scene.h"

enum {
    KILLS_MAX = 500 /* more operations than the restores here have */
};

static void kill_scene_make(struct scene *s)
{
    s->replica.has_ext = true;
    scene_make_files(s, 1024);
    test_replica_live(&s->replica, 7, 5);
    test_replica_write(&s->replica, 9, 1, 4);
    for (uint64_t t = 5; t <= 8; t++)
        test_replica_write(&s->replica, 0, t, t);
}

/* Restores in a child that dies before its n-th file operation (0: never); its wait status. */
static int restore_in_child(struct scene *s, uint64_t n)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct fault_env fe;
        struct error err = ERROR_INIT;
        fault_env_init(&fe, n ? FAULT_KILL : FAULT_NONE, n);
        fe.counts_reads = false;
        s->env = &fe.env;
        scene_storage_open(s);
        _exit(scene_restore(s, &err) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool was_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void test_restore_killed_anywhere_leaves_nothing_that_looks_finished(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    unsigned unfinished = 0;

    kill_scene_make(&s);
    for (uint64_t n = 1; n < KILLS_MAX; n++) {
        s.options.if_db_not_exists = false;
        int status = restore_in_child(&s, n);
        if (!was_killed(status)) {
            assert_int_equal(status, 0);
            break;
        }
        /* The name is taken by a whole database or by none; a map only beside its database. */
        if (scene_has(s.out))
            test_replica_assert_state(&s.replica, s.out, 8);
        else
            assert_false(scene_has(s.map));
        unfinished += !scene_has(s.out);

        s.options.if_db_not_exists = true;
        assert_int_equal(restore_in_child(&s, 0), 0);
        test_replica_assert_state(&s.replica, s.out, 8);
        if (scene_has(s.map))
            scene_assert_map(&s, 8, false);
        scene_clear_output(&s);
    }
    assert_true(unfinished > 10);
}

static void
test_restore_killed_under_force_never_pairs_new_database_and_old_log(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    char wal[400];
    bool was_new = false;

    kill_scene_make(&s);
    (void)snprintf(wal, sizeof(wal), "%s-wal", s.out);
    s.options.force = true;
    for (uint64_t n = 1; n < KILLS_MAX; n++) {
        size_t bytes = 0;
        test_file_write(s.out, SLICE_LIT("old database"));
        test_file_write(wal, SLICE_LIT("old log"));
        int status = restore_in_child(&s, n);
        uint8_t *content = test_file_read(s.out, &bytes);
        bool is_old = slice_eq_str(slice_of(content, bytes), "old database");
        free(content);
        if (!is_old) {
            was_new = true;
            test_replica_assert_state(&s.replica, s.out, 8);
            assert_false(scene_has(wal));
        }
        assert_false(was_new && is_old); /* one moment divides old from new */
        if (!was_killed(status)) {
            assert_int_equal(status, 0);
            break;
        }
        /* Leftovers do not disturb the next one. */
        assert_int_equal(restore_in_child(&s, 0), 0);
        test_replica_assert_state(&s.replica, s.out, 8);
        scene_assert_map(&s, 8, false);
        assert_false(scene_has(s.temp));
        scene_clear_output(&s);
    }
    assert_true(was_new);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_restore_killed_anywhere_leaves_nothing_that_looks_finished),
        TEST(test_restore_killed_under_force_never_pairs_new_database_and_old_log),
    };
    return TEST_MAIN(tests);
}
