/*
 * Child processes: what they get from us, how their end is told, and that orphans are reaped
 * without taking a child's status along.
 */
#include "lib/io/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

struct fixture {
    struct loop *loop;
    struct reaper *reaper;
    struct loop_timer limit;
};

static void on_limit(void *arg UNUSED)
{
    fail_msg("the child did not end within 30 s");
}

static void fixture_make(struct fixture *f)
{
    struct error err = ERROR_INIT;
    *f = (struct fixture){.loop = NULL};
    assert_ok(loop_new(env_real(), 1, &f->loop, &err), &err);
    assert_ok(reaper_new(f->loop, &f->reaper, &err), &err);
    loop_timer_init(&f->limit, f->loop, on_limit, NULL);
    loop_timer_start(&f->limit, 30 * NS_PER_SEC);
}

static void fixture_drop(struct fixture *f)
{
    loop_timer_stop(&f->limit);
    loop_run(f->loop); /* ends: no child is under way */
    reaper_free(f->reaper);
    loop_free(f->loop);
}

struct outcome {
    struct child *child;
    struct child_exit how;
    unsigned calls;
    bool is_done;
};

static void on_done(void *arg, const struct child_exit *how)
{
    struct outcome *o = arg;
    o->how = *how;
    o->calls++;
    o->is_done = true;
    child_signal(o->child, SIGTERM); /* too late, harmless */
}

static void start_with(struct fixture *f, struct outcome *o, char *const *argv,
                       const struct child_variable *variables, size_t count)
{
    struct error err = ERROR_INIT;
    const struct child_config config = {
        .argv = argv, .variables = variables, .variable_count = count};
    assert_ok(child_start(f->reaper, &config, on_done, o, &o->child, &err), &err);
    assert_false(o->is_done);
    assert_true(child_pid(o->child) > 0);
}

/* A shell script: in tests only. */
static void start(struct fixture *f, struct outcome *o, const char *script)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "%s", script);
    char name[] = "sh";
    char option[] = "-c";
    char *argv[] = {name, option, text, NULL};
    start_with(f, o, argv, NULL, 0);
}

static void finish(struct fixture *f, struct outcome *o)
{
    assert_true(loop_run_until(f->loop, &o->is_done));
    assert_int_equal(o->calls, 1);
}

static void test_exit_status_and_signal_are_told(void **state UNUSED)
{
    static const struct {
        const char *script;
        int status, signum, shell_status;
    } rows[] = {
        {"exit 0", 0, 0, 0},
        {"exit 7", 7, 0, 7},
        {"kill -TERM $$", -1, SIGTERM, 143},
        {"kill -KILL $$", -1, SIGKILL, 137},
    };
    struct fixture f;
    fixture_make(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outcome o = {.calls = 0};
        test_row(rows[i].script);
        start(&f, &o, rows[i].script);
        finish(&f, &o);
        assert_int_equal(o.how.status, rows[i].status);
        assert_int_equal(o.how.signum, rows[i].signum);
        assert_int_equal(child_exit_status(&o.how), rows[i].shell_status);
    }
    assert_int_equal(reaper_orphan_count(f.reaper), 0);
    fixture_drop(&f);
}

static void test_many_children_each_get_their_own_status(void **state UNUSED)
{
    struct fixture f;
    struct outcome o[20] = {{.calls = 0}};
    fixture_make(&f);
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        char script[64];
        (void)snprintf(script, sizeof(script), "exit %zu", i);
        start(&f, &o[i], script);
    }
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        finish(&f, &o[i]);
        assert_int_equal(o[i].how.status, i);
    }
    fixture_drop(&f);
}

static void test_signals_are_passed_on(void **state UNUSED)
{
    struct fixture f;
    struct outcome o = {.calls = 0};
    char name[] = "sleep";
    char seconds[] = "100";
    char *argv[] = {name, seconds, NULL};
    fixture_make(&f);
    start_with(&f, &o, argv, NULL, 0);
    child_signal(o.child, SIGHUP);
    finish(&f, &o);
    assert_int_equal(o.how.signum, SIGHUP);
    fixture_drop(&f);
}

static void test_variables_are_added_and_replaced(void **state UNUSED)
{
    static const struct child_variable variables[] = {{"CHILD_NEW", "a b"}, {"CHILD_OLD", "new"}};
    struct fixture f;
    struct outcome o = {.calls = 0};
    char name[] = "sh";
    char option[] = "-c";
    char script[] = "[ \"$CHILD_NEW\" = 'a b' ] && [ \"$CHILD_OLD\" = new ] && "
                    "[ \"$CHILD_KEPT\" = kept ] && [ $(env | grep -c ^CHILD_OLD=) = 1 ] && "
                    "[ -z \"$UV_THREADPOOL_SIZE\" ]";
    char *argv[] = {name, option, script, NULL};
    assert_int_equal(setenv("CHILD_OLD", "old", 1), 0);
    assert_int_equal(setenv("CHILD_KEPT", "kept", 1), 0);
    fixture_make(&f);
    start_with(&f, &o, argv, variables, ARRAY_LEN(variables));
    finish(&f, &o);
    assert_int_equal(o.how.status, 0);
    fixture_drop(&f);
}

static void test_a_child_inherits_no_descriptor_and_no_blocked_signal(void **state UNUSED)
{
    struct fixture f;
    struct outcome o = {.calls = 0};
    sigset_t blocked;
    sigset_t old;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    fixture_make(&f);
    int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC on purpose */
    assert_true(fd >= 3);
    assert_int_equal(sigaction(SIGPIPE, &ignore, NULL), 0);
    assert_int_equal(sigemptyset(&blocked), 0);
    assert_int_equal(sigaddset(&blocked, SIGUSR1), 0);
    assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &old), 0);
    /* "ls" itself has the folder open: 0, 1, 2 and 3. */
    start(&f, &o,
          "[ \"$(ls /proc/self/fd | wc -l)\" = 4 ] || exit 1; "
          "grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status || exit 2; "
          "[ $((0x$(awk '/^SigIgn/{print $2}' /proc/self/status) & 0x1000)) = 0 ] || exit 3");
    finish(&f, &o);
    assert_int_equal(o.how.status, 0);
    assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    assert_int_equal(close(fd), 0);
    fixture_drop(&f);
}

static void test_a_program_that_cannot_start_is_named(void **state UNUSED)
{
    struct fixture f;
    struct error err = ERROR_INIT;
    char missing[] = "no-such-program-here";
    char folder[] = "/etc";
    char *argv_missing[] = {missing, NULL};
    char *argv_folder[] = {folder, NULL};
    fixture_make(&f);
    assert_error(child_start(f.reaper, &(struct child_config){.argv = argv_missing}, on_done, NULL,
                             NULL, &err),
                 &err, ERR_NOT_FOUND, "start no-such-program-here");
    assert_non_null(strstr(err.hint, "PATH"));
    assert_error(child_start(f.reaper, &(struct child_config){.argv = argv_folder}, on_done, NULL,
                             NULL, &err),
                 &err, ERR_ACCESS, "start /etc");
    fixture_drop(&f);
}

static void on_look(void *arg)
{
    bool *is_time = arg;
    *is_time = true;
}

static void test_orphans_are_reaped_and_statuses_stay_with_their_child(void **state UNUSED)
{
    struct fixture f;
    struct outcome o[4] = {{.calls = 0}};
    struct loop_timer look;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    fixture_make(&f);
    /* Each leaves two orphans behind: one that ends at once, one a little later. */
    for (size_t i = 0; i < ARRAY_LEN(o); i++)
        start(&f, &o[i], "(exec sleep 0) & (exec sleep 0.1) & exit 5");
    for (size_t i = 0; i < ARRAY_LEN(o); i++) {
        finish(&f, &o[i]);
        assert_int_equal(o[i].how.status, 5);
    }
    /* The shell may have reaped the quick one itself; the slow ones come to us. */
    while (reaper_orphan_count(f.reaper) < ARRAY_LEN(o)) {
        bool is_time = false;
        loop_timer_init(&look, f.loop, on_look, &is_time);
        loop_timer_start(&look, 5 * NS_PER_MS);
        assert_true(loop_run_until(f.loop, &is_time));
    }
    fixture_drop(&f);
    while (waitpid(-1, NULL, 0) > 0) { /* no zombie is left but what ended after us */
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_exit_status_and_signal_are_told),
        TEST(test_many_children_each_get_their_own_status),
        TEST(test_signals_are_passed_on),
        TEST(test_variables_are_added_and_replaced),
        TEST(test_a_child_inherits_no_descriptor_and_no_blocked_signal),
        TEST(test_a_program_that_cannot_start_is_named),
        TEST(test_orphans_are_reaped_and_statuses_stay_with_their_child),
    };
    return TEST_MAIN(tests);
}
