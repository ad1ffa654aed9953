/*
 * The frame of every test: TAP output, rows of tables, fresh folders.
 */
#include "lib/testing/test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *current_row = "";

int test_main_run(const struct CMUnitTest *tests, size_t count, const char *name)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

void test_row(const char *name)
{
    current_row = name;
}

void test_assert_ok(int rc, const struct error *err, const char *what, const char *file, int line)
{
    if (rc >= 0)
        return;
    print_error("# row \"%s\": %s: %s (%s)\n", current_row, what, err->text,
                error_code_name(err->code));
    _fail(file, line);
}

void test_assert_error(int rc, const struct error *err, enum error_code wanted_code,
                       const char *part, const char *what, const char *file, int line)
{
    if (rc < 0 && err->code == wanted_code && strstr(err->text, part))
        return;
    print_error("# row \"%s\": %s: rc %d, wanted %s \"%s\", got %s \"%s\"\n", current_row, what, rc,
                error_code_name(wanted_code), part, error_code_name(err->code), err->text);
    _fail(file, line);
}

void test_folder_make(char out[static 256])
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(out, 256, "%s/walferry-test-XXXXXX", base && *base ? base : "/tmp");

    assert_in_range(n, 1, 255);
    assert_non_null(mkdtemp(out));
}

static int entry_remove(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                        struct FTW *at UNUSED)
{
    return remove(path);
}

void test_folder_remove(const char *path)
{
    assert_int_equal(nftw(path, entry_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void test_file_write(const char *path, struct slice content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    size_t done = 0;
    while (done < content.n) {
        ssize_t put = write(fd, content.p + done, content.n - done);
        assert_true(put > 0);
        done += (size_t)put;
    }
    assert_int_equal(close(fd), 0);
}

uint8_t *test_file_read(const char *path, size_t *out_n)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t *p = malloc((size_t)st.st_size + 1);
    assert_non_null(p);
    size_t done = 0;
    while (done < (size_t)st.st_size) {
        ssize_t got = read(fd, p + done, (size_t)st.st_size - done);
        assert_true(got > 0);
        done += (size_t)got;
    }
    p[done] = 0;
    assert_int_equal(close(fd), 0);
    *out_n = done;
    return p;
}
