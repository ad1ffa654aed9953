/*
 * What every test file includes, and the only place that knows in which order cmocka wants its
 * headers. A test's name is a sentence about behaviour; one behaviour a test:
 *
 *     static void test_duration_refuses_a_number_without_unit(void **state) { ... }
 *     int main(void)
 *     {
 *         static const struct CMUnitTest tests[] = {TEST(test_duration_refuses_...)};
 *         return TEST_MAIN(tests);
 *     }
 *
 * Tables: a row has name, input, and expected value or error text; call test_row(row->name) first,
 * so that a failure prints which row it was.
 */
#ifndef WALFERRY_LIB_TESTING_TEST_H
#define WALFERRY_LIB_TESTING_TEST_H

/* cmocka needs these four before its own header. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>

#include "lib/base/base.h"

#ifdef __clang_analyzer__
/* That a failed assertion leaves the test, in a form that clang's analyzer believes. */
#undef assert_true
#undef assert_false
#undef assert_null
#undef assert_non_null
#undef assert_int_equal
#undef assert_int_not_equal
#undef fail
#undef fail_msg
#undef skip
#define fail()             abort()
#define fail_msg(...)      (print_error(__VA_ARGS__), abort())
#define skip()             abort()
#define assert_true(c)     ((c) ? (void)0 : abort())
#define assert_false(c)    ((c) ? abort() : (void)0)
#define assert_null(p)     assert_false(p)
#define assert_non_null(p) assert_true(p)
#define assert_int_equal(a, b)                                                                     \
    assert_true(cast_to_largest_integral_type(a) == cast_to_largest_integral_type(b))
#define assert_int_not_equal(a, b)                                                                 \
    assert_true(cast_to_largest_integral_type(a) != cast_to_largest_integral_type(b))
#endif

#define TEST(fn) cmocka_unit_test(fn)

/* Runs the table of tests with TAP output; the exit status counts the failures. */
#define TEST_MAIN(tests) test_main_run((tests), ARRAY_LEN(tests), #tests)

int test_main_run(const struct CMUnitTest *tests, size_t count, const char *name);

/* Names the row of a table that the following assertions are about. */
void test_row(const char *name);

/* Fails with the text of err unless rc is 0 (or positive, for iterators). */
#ifdef __clang_analyzer__
#define assert_ok(rc, err) assert_true(((void)(err), (rc)) >= 0)
#else
#define assert_ok(rc, err) test_assert_ok((rc), (err), #rc, __FILE__, __LINE__)
#endif
void test_assert_ok(int rc, const struct error *err, const char *what, const char *file, int line);

/* Asserts that rc is -1, the code is as wanted and the text contains part. */
#define assert_error(rc, err, wanted_code, part)                                                   \
    test_assert_error((rc), (err), (wanted_code), (part), #rc, __FILE__, __LINE__)
void test_assert_error(int rc, const struct error *err, enum error_code wanted_code,
                       const char *part, const char *what, const char *file, int line);

/*
 * A fresh folder for this test below TMPDIR (or /tmp); removed with everything in it by
 * test_folder_remove(). The caller frees nothing: the path is in out.
 */
void test_folder_make(char out[static 256]);
void test_folder_remove(const char *path);

/* Writes or reads a whole file; fails the test on any error. The caller frees what is read. */
void test_file_write(const char *path, struct slice content);
uint8_t *test_file_read(const char *path, size_t *out_n);

/* Prints why and marks the test as skipped, never as passed. */
#define test_skip(...)                                                                             \
    do {                                                                                           \
        print_message(__VA_ARGS__);                                                                \
        print_message("\n");                                                                       \
        skip();                                                                                    \
    } while (0)

#endif
