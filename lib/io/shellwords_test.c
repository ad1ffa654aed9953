/*
 * Command lines: what a word is, what is refused, and that quoting is the way back.
 */
#include "lib/io/shellwords.h"

#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

static void test_lines_are_split_like_a_shell_does(void **state UNUSED)
{
    static const struct {
        const char *line;
        const char *words[6];
    } rows[] = {
        {"app", {"app"}},
        {"  app \t --flag  ", {"app", "--flag"}},
        {"app 'a b' \"c d\" e\\ f", {"app", "a b", "c d", "e f"}},
        {"a'b'\"c\"d", {"abcd"}},
        {"app '' \"\"", {"app", "", ""}},
        {"'a\\b' '$HOME' '\"'", {"a\\b", "$HOME", "\""}},
        {"\"a\\\"b\" \"\\$x\" \"\\\\\" \"\\n\" \"'\"", {"a\"b", "$x", "\\", "\\n", "'"}},
        {"$HOME ~/x *.db #no", {"$HOME", "~/x", "*.db", "#no"}},
        {"a\\\nb \"c\\\nd\"", {"ab", "cd"}},
        {"\\;\\&", {";&"}},
        {"sh -c 'a && b > c; d | e'", {"sh", "-c", "a && b > c; d | e"}},
        {"'line\nend'", {"line\nend"}},
        {"na\303\257ve", {"na\303\257ve"}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(shellwords_destroy) struct shellwords w = SHELLWORDS_INIT;
        struct error err = ERROR_INIT;
        size_t n = 0;
        test_row(rows[i].line);
        assert_ok(shellwords_split(rows[i].line, &w, &err), &err);
        while (n < ARRAY_LEN(rows[i].words) && rows[i].words[n])
            n++;
        assert_int_equal(w.argc, n);
        for (size_t j = 0; j < n; j++)
            assert_string_equal(w.argv[j], rows[i].words[j]);
        assert_null(w.argv[n]);
    }
}

static void test_lines_that_are_no_single_command_are_refused(void **state UNUSED)
{
    static const struct {
        const char *line, *text;
    } rows[] = {
        {"", "command is empty"},
        {"  \t", "command is empty"},
        {"\\\n", "command is empty"},
        {"app 'x", "no closing ' for the one at character 5"},
        {"app \"x", "no closing \" for the one at character 5"},
        {"app \"x\\\"", "no closing \""},
        {"app \\", "nothing follows the last backslash"},
        {"a && b", "unquoted & at character 3"},
        {"a; b", "unquoted ; at character 2"},
        {"a | b", "unquoted |"},
        {"a >b", "unquoted >"},
        {"a <b", "unquoted <"},
        {"(a)", "unquoted ("},
        {"a)", "unquoted )"},
        {"a\nb", "line end at character 2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct shellwords w = SHELLWORDS_INIT;
        struct error err = ERROR_INIT;
        test_row(rows[i].line);
        assert_error(shellwords_split(rows[i].line, &w, &err), &err, ERR_USAGE, rows[i].text);
        assert_null(w.argv);
    }
}

static void test_too_many_words_and_bytes_are_refused(void **state UNUSED)
{
    size_t n = SHELLWORDS_BYTES_MAX + 1;
    struct error err = ERROR_INIT;
    struct shellwords w = SHELLWORDS_INIT;
    CLEANUP(mem_free) char *line = malloc(n + 1);
    memset(line, 'a', n);
    line[n] = '\0';
    assert_error(shellwords_split(line, &w, &err), &err, ERR_LIMIT, "longer than");
    for (size_t i = 1; i < n; i += 2)
        line[i] = ' ';
    line[n - 1] = '\0';
    assert_error(shellwords_split(line, &w, &err), &err, ERR_LIMIT, "more than 1024 words");
}

static void test_quoted_words_come_back(void **state UNUSED)
{
    static const char *const words[] = {"", "a b", "it's", "'", "''", "\\", "\"$x`\n\t;&|"};
    CLEANUP(buf_destroy) struct buf line = BUF_INIT(4096);
    CLEANUP(shellwords_destroy) struct shellwords w = SHELLWORDS_INIT;
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        assert_ok(shellwords_quote(words[i], &line, &err), &err);
        assert_ok(buf_append_byte(&line, ' ', &err), &err);
    }
    assert_ok(shellwords_split(buf_str(&line), &w, &err), &err);
    assert_int_equal(w.argc, ARRAY_LEN(words));
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_string_equal(w.argv[i], words[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_lines_are_split_like_a_shell_does),
        TEST(test_lines_that_are_no_single_command_are_refused),
        TEST(test_too_many_words_and_bytes_are_refused),
        TEST(test_quoted_words_come_back),
    };
    return TEST_MAIN(tests);
}
