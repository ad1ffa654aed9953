/*
 * Child processes of tests: what they print, how they end, and that they do end.
 */
#include "lib/testing/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

static char folder[256];
static char log_path[300];

static int folder_setup(void **state UNUSED)
{
    test_folder_make(folder);
    (void)snprintf(log_path, sizeof(log_path), "%s/log", folder);
    return 0;
}

static int folder_teardown(void **state UNUSED)
{
    test_folder_remove(folder);
    return 0;
}

static void test_output_and_status_of_a_process_are_told(void **state UNUSED)
{
    CLEANUP(mem_free)
    char *output =
        test_process_run((const char *const[]){"sh", "-c", "echo out; echo err >&2; exit 7", NULL},
                         NULL, log_path, 10 * NS_PER_SEC, 7);

    assert_string_equal(output, "out\nerr\n");
}

static void test_the_environment_is_changed_as_asked(void **state UNUSED)
{
    assert_int_equal(setenv("SERVER_TEST_GONE", "x", 1), 0);
    assert_int_equal(setenv("SERVER_TEST_KEPT", "kept", 1), 0);
    CLEANUP(mem_free)
    char *output = test_process_run(
        (const char *const[]){
            "sh", "-c", "echo ${SERVER_TEST_GONE-none} $SERVER_TEST_KEPT $SERVER_TEST_NEW", NULL},
        (const char *const[]){"SERVER_TEST_GONE", "SERVER_TEST_NEW=new", NULL}, log_path,
        10 * NS_PER_SEC, 0);

    assert_string_equal(output, "none kept new\n");
}

static void test_a_program_that_is_missing_ends_with_127(void **state UNUSED)
{
    free(test_process_run((const char *const[]){"no-such-program", NULL}, NULL, log_path,
                          10 * NS_PER_SEC, 127));
}

static void test_a_process_that_is_stopped_is_gone(void **state UNUSED)
{
    struct test_process p;

    test_process_start(&p, (const char *const[]){"sleep", "60", NULL}, NULL, log_path);
    assert_false(test_process_wait(&p, 0));
    test_process_stop(&p);
    assert_int_equal(p.status, 128 + SIGTERM);
    assert_int_equal(kill(p.pid, 0), -1);
    test_process_stop(&p);
}

static bool has_ended(void *arg)
{
    return kill(*(pid_t *)arg, 0) < 0;
}

static void test_no_child_outlives_a_test_that_dies(void **state UNUSED)
{
    int ends[2];
    pid_t grandchild = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct test_process p;
        test_process_start(&p, (const char *const[]){"sleep", "60", NULL}, NULL, log_path);
        _exit(write(ends[1], &p.pid, sizeof(p.pid)) == sizeof(p.pid) ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(read(ends[0], &grandchild, sizeof(grandchild)), sizeof(grandchild));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(close(ends[1]), 0);
    /* Whoever adopts it must reap it: until then it is a zombie, which a signal still finds. */
    char path[64];
    char state_letter = 'Z';
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)grandchild);
    if (!test_wait_until(has_ended, &grandchild, 2 * NS_PER_SEC)) {
        FILE *stat_file = fopen(path, "re");
        assert_true(!stat_file || fscanf(stat_file, "%*d %*s %c", &state_letter) == 1);
        if (stat_file)
            assert_int_equal(fclose(stat_file), 0);
    }
    assert_int_equal(state_letter, 'Z');
}

static void test_a_port_nobody_listens_on_is_not_waited_for_longer_than_told(void **state UNUSED)
{
    assert_false(test_port_wait(test_port_free(), NULL, 20 * NS_PER_MS));
}

static void test_certificates_are_signed_by_their_authority(void **state UNUSED)
{
    struct test_tls tls;

    test_tls_make(&tls, folder);
    free(test_process_run((const char *const[]){"openssl", "verify", "-CAfile", tls.ca_path,
                                                "-verify_ip", "127.0.0.1", tls.server_cert_path,
                                                NULL},
                          NULL, log_path, 10 * NS_PER_SEC, 0));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, folder_setup, folder_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(test_output_and_status_of_a_process_are_told),
        CASE(test_the_environment_is_changed_as_asked),
        CASE(test_a_program_that_is_missing_ends_with_127),
        CASE(test_a_process_that_is_stopped_is_gone),
        CASE(test_no_child_outlives_a_test_that_dies),
        CASE(test_a_port_nobody_listens_on_is_not_waited_for_longer_than_told),
        CASE(test_certificates_are_signed_by_their_authority),
    };
    return TEST_MAIN(tests);
}
