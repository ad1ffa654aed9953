/*
 * Signals arrive as callbacks of the loop, and have their old effect again afterwards.
 */
#include "lib/io/signals.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

struct seen {
    struct loop *loop;
    struct signals *signals;
    unsigned calls;
    int last;
    bool is_told;
    bool frees;
};

static void on_signal(void *arg, int signum)
{
    struct seen *s = arg;
    s->calls++;
    s->last = signum;
    s->is_told = true;
    if (s->frees)
        signals_free(s->signals);
}

static void seen_make(struct seen *s)
{
    static const int signums[] = {SIGTERM, SIGHUP, SIGUSR1};
    struct error err = ERROR_INIT;
    assert_ok(loop_new(env_real(), 1, &s->loop, &err), &err);
    assert_ok(signals_new(s->loop, signums, ARRAY_LEN(signums), on_signal, s, &s->signals, &err),
              &err);
}

/* A signal's way goes through a pipe: something must keep the loop running until it is read. */
static void on_limit(void *arg UNUSED)
{
    fail_msg("the signal was not told within 10 s");
}

static void wait_for(struct seen *s)
{
    struct loop_timer limit;
    loop_timer_init(&limit, s->loop, on_limit, NULL);
    loop_timer_start(&limit, 10 * NS_PER_SEC);
    assert_true(loop_run_until(s->loop, &s->is_told));
    loop_timer_stop(&limit);
    s->is_told = false;
}

static void test_each_signal_of_the_set_is_told(void **state UNUSED)
{
    static const int signums[] = {SIGHUP, SIGTERM, SIGUSR1, SIGTERM};
    struct seen s = {.calls = 0};
    seen_make(&s);
    for (size_t i = 0; i < ARRAY_LEN(signums); i++) {
        assert_int_equal(kill(getpid(), signums[i]), 0);
        assert_int_equal(s.calls, i); /* never in between */
        wait_for(&s);
        assert_int_equal(s.last, signums[i]);
    }
    signals_free(s.signals);
    loop_free(s.loop);
}

static void test_the_set_may_be_freed_by_its_callback(void **state UNUSED)
{
    struct seen s = {.frees = true};
    seen_make(&s);
    assert_int_equal(raise(SIGTERM), 0);
    wait_for(&s);
    loop_free(s.loop);
    signals_free(NULL);
}

static void test_waiting_for_signals_does_not_keep_the_loop_running(void **state UNUSED)
{
    struct seen s = {.calls = 0};
    seen_make(&s);
    loop_run(s.loop);
    signals_free(s.signals);
    loop_free(s.loop);
}

static void test_signals_kill_again_once_the_set_is_freed(void **state UNUSED)
{
    struct seen s = {.calls = 0};
    int status = 0;
    seen_make(&s);
    signals_free(s.signals);
    loop_free(s.loop);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)raise(SIGTERM);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void test_a_signal_that_cannot_be_caught_is_an_error(void **state UNUSED)
{
    static const int signums[] = {SIGTERM, SIGKILL};
    struct seen s = {.calls = 0};
    struct error err = ERROR_INIT;
    assert_ok(loop_new(env_real(), 1, &s.loop, &err), &err);
    assert_error(signals_new(s.loop, signums, ARRAY_LEN(signums), on_signal, &s, &s.signals, &err),
                 &err, ERR_IO, "listen for SIGKILL");
    loop_free(s.loop);
}

static void test_signals_have_names(void **state UNUSED)
{
    char name[16];
    assert_string_equal(signal_name(SIGTERM, name), "SIGTERM");
    assert_string_equal(signal_name(SIGINT, name), "SIGINT");
    assert_string_equal(signal_name(63, name), "signal 63");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_each_signal_of_the_set_is_told),
        TEST(test_the_set_may_be_freed_by_its_callback),
        TEST(test_waiting_for_signals_does_not_keep_the_loop_running),
        TEST(test_signals_kill_again_once_the_set_is_freed),
        TEST(test_a_signal_that_cannot_be_caught_is_an_error),
        TEST(test_signals_have_names),
    };
    return TEST_MAIN(tests);
}
