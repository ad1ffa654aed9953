/*
 * One line for an outage, however many keys fail in it.
 */
#include "controller/informer/outage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/testing/test.h"

static unsigned lines_of(const char *path, const char *part)
{
    size_t n = 0;
    CLEANUP(mem_free) uint8_t *bytes = test_file_read(path, &n);
    CLEANUP(mem_free) char *text = strndup((const char *)bytes, n);
    unsigned count = 0;

    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

static void test_an_outage_is_a_line_and_its_end_another(void **state UNUSED)
{
    struct outage o = {0};
    struct error refused = ERROR_INIT, late = ERROR_INIT, conflict = ERROR_INIT;
    char folder[256], path[300];

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/log", folder);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const struct log log = {.env = env_real(), .fd = fd, .level = LOG_LEVEL_INFO};
    (void)error_set(&refused, ERR_UNAVAILABLE, 0, "connection refused");
    (void)error_set(&late, ERR_TIMEOUT, 0, "timed out");
    (void)error_set(&conflict, ERR_CONFLICT, 0, "modified");

    assert_false(outage_failed(&o, env_real(), &log, &conflict));
    outage_succeeded(&o, &log); /* there is none */
    assert_int_equal(lines_of(path, "msg="), 0);
    for (int i = 0; i < 1000; i++)
        assert_true(outage_failed(&o, env_real(), &log, i % 2 ? &late : &refused));
    assert_int_equal(lines_of(path, "API server does not answer"), 1);
    outage_succeeded(&o, &log);
    outage_succeeded(&o, &log);
    assert_int_equal(lines_of(path, "API server answers again"), 1);
    assert_true(outage_failed(&o, env_real(), &log, &refused));
    assert_int_equal(lines_of(path, "API server does not answer"), 2);
    (void)close(fd);
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_an_outage_is_a_line_and_its_end_another),
    };
    return TEST_MAIN(tests);
}
