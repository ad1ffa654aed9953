/*
 * The limit of open files: raised for us, as it was for our children.
 */
#include "lib/io/descriptors.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    BORN_WITH = 200,
    HARD = 400,
};

static void test_the_soft_limit_becomes_the_hard_one(void **state UNUSED)
{
    struct rlimit now;

    assert_int_equal(descriptors_raise(), HARD);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, HARD);
    assert_int_equal(descriptors_raise(), HARD);
}

static void test_a_child_gets_the_limit_that_we_were_born_with(void **state UNUSED)
{
    struct rlimit of_child;
    int ends[2];
    char byte = 0;

    (void)descriptors_raise(); /* the first test may have done it */
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(close(ends[1]) == 0 && read(ends[0], &byte, 1) == 0 ? 0 : 1);
    descriptors_restore_for(pid);
    assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &of_child), 0);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(of_child.rlim_cur, BORN_WITH);
    assert_int_equal(of_child.rlim_max, HARD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_soft_limit_becomes_the_hard_one),
        TEST(test_a_child_gets_the_limit_that_we_were_born_with),
    };

    const struct rlimit limit = {.rlim_cur = BORN_WITH, .rlim_max = HARD};

    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? TEST_MAIN(tests) : 1;
}
