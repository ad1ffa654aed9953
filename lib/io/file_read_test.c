/*
 * Files read whole, up to the last byte that the reader allows.
 */
#include "lib/io/file_read.h"

#include <stdio.h>

#include "lib/testing/test.h"

static void test_file_read_takes_all_or_says_that_it_is_too_long(void **state UNUSED)
{
    char folder[256], path[300];
    struct error err = ERROR_INIT;
    static uint8_t content[40000];

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/f", folder);
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)(i % 251);
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 40000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CLEANUP(buf_destroy) struct buf all = BUF_INIT(40000);
        test_file_write(path, slice_of(content, sizes[i]));
        assert_ok(file_read(env_real(), path, &all, &err), &err);
        assert_int_equal(all.n, sizes[i]);
        if (sizes[i] > 0) {
            CLEANUP(buf_destroy) struct buf little = BUF_INIT(sizes[i] - 1);
            assert_memory_equal(all.p, content, sizes[i]);
            assert_error(file_read(env_real(), path, &little, &err), &err, ERR_LIMIT, "longer");
        }
    }
    CLEANUP(buf_destroy) struct buf none = BUF_INIT(10);
    (void)snprintf(path, sizeof(path), "%s/none", folder);
    assert_error(file_read(env_real(), path, &none, &err), &err, ERR_NOT_FOUND, "none");
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_file_read_takes_all_or_says_that_it_is_too_long),
    };
    return TEST_MAIN(tests);
}
