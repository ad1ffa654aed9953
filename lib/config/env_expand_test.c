/*
 * Variables in values: what is replaced, what stays, what is reported.
 */
#include "lib/config/env_expand.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/testing/test.h"

static const char *fake_getenv(void *arg UNUSED, const char *name)
{
    if (strcmp(name, "A") == 0)
        return "alpha";
    if (strcmp(name, "B_2") == 0)
        return "$A";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    return NULL;
}

static int note_unset(void *arg, const char *name, struct error *err)
{
    return buf_printf(arg, err, "%s;", name);
}

static int expand(const char *text, struct buf *out, struct buf *unset, struct error *err)
{
    struct env_expand x = {
        .getenv = fake_getenv, .on_unset = unset ? note_unset : NULL, .on_unset_arg = unset};
    return env_expand(&x, text, out, err);
}

static void test_variables_are_replaced_and_the_rest_stays(void **state UNUSED)
{
    static const struct {
        const char *text, *expanded, *unset;
    } rows[] = {
        {"", "", ""},
        {"plain", "plain", ""},
        {"$A", "alpha", ""},
        {"${A}", "alpha", ""},
        {"x${A}y$A-z", "xalphayalpha-z", ""},
        {"$B_2", "$A", ""},
        {"$$A", "$A", ""},
        {"$$$$", "$$", ""},
        {"$${A}", "${A}", ""},
        {"p$1x$!", "p$1x$!", ""},
        {"5$", "5$", ""},
        {"$ x", "$ x", ""},
        {"[$EMPTY]", "[]", ""},
        {"[$NOPE]${GONE}", "[]", "NOPE;GONE;"},
        {"$Ax", "", "Ax;"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
        CLEANUP(buf_destroy) struct buf unset = BUF_INIT(1000);
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_ok(expand(rows[i].text, &out, &unset, &err), &err);
        assert_string_equal(buf_str(&out), rows[i].expanded);
        assert_string_equal(buf_str(&unset), rows[i].unset);
    }
}

static void test_pid_is_that_of_the_process(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
    struct error err = ERROR_INIT;
    char wanted[64];

    assert_ok(expand("a-$PID-${PID}", &out, NULL, &err), &err);
    (void)snprintf(wanted, sizeof(wanted), "a-%d-%d", (int)getpid(), (int)getpid());
    assert_string_equal(buf_str(&out), wanted);
}

static void test_malformed_braces_are_refused(void **state UNUSED)
{
    static const char *const rows[] = {"${", "${A", "${}", "${A:-b}", "${1}", "${A B}"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
        struct error err = ERROR_INIT;
        test_row(rows[i]);
        assert_error(expand(rows[i], &out, NULL, &err), &err, ERR_USAGE,
                     "only ${NAME} is known; write $${ for the text ${");
    }
}

static void test_overlong_names_and_results_are_refused(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(4);
    struct error err = ERROR_INIT;
    char text[300];

    memset(text, 'N', sizeof(text));
    text[0] = '$';
    text[sizeof(text) - 1] = '\0';
    assert_error(expand(text, &out, NULL, &err), &err, ERR_USAGE, "is too long");
    assert_error(expand("$A", &out, NULL, &err), &err, ERR_LIMIT, "limit");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_variables_are_replaced_and_the_rest_stays),
        TEST(test_pid_is_that_of_the_process),
        TEST(test_malformed_braces_are_refused),
        TEST(test_overlong_names_and_results_are_refused),
    };
    return TEST_MAIN(tests);
}
