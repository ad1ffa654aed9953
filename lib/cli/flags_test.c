/*
 * Flags as people write them.
 */
#include "lib/cli/flags.h"

#include <stdio.h>
#include <string.h>

#include "lib/testing/test.h"

struct args {
    bool force;
    const char *output;
    uint64_t interval_ns;
    uint64_t count;
};

static const struct flag flags[] = {
    {"force", FLAG_SWITCH, offsetof(struct args, force), NULL, "replace", NULL},
    {"o", FLAG_TEXT, offsetof(struct args, output), "PATH", "where to", NULL},
    {"interval", FLAG_DURATION, offsetof(struct args, interval_ns), "D", "how often", "1s"},
    {"count", FLAG_NUMBER, offsetof(struct args, count), "N", "how many", NULL},
};

enum {
    WORDS_MAX = 16
};

/* Splits a line at spaces into argv, behind the name of the program. */
static int words_of(char *line, char *argv[static WORDS_MAX])
{
    char *save = NULL;
    int n = 1;

    argv[0] = (char *)"walferry";
    for (char *w = strtok_r(line, " ", &save); w && n < WORDS_MAX; w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    return n;
}

static void test_flags_are_read_in_all_their_forms(void **state UNUSED)
{
    static const char *const lines[] = {
        "-force -o out.db -interval 2s -count 7 pos",
        "--force --o=out.db --interval=2s --count=7 pos",
        "-force=true -o=out.db -interval 2000ms -count 7 -- pos",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct error err = ERROR_INIT;
        struct args a = {.force = false};
        char line[128];
        char *argv[WORDS_MAX];
        int first = 0;
        test_row(lines[i]);
        (void)snprintf(line, sizeof(line), "%s", lines[i]);
        int argc = words_of(line, argv);
        assert_ok(flags_parse(flags, ARRAY_LEN(flags), argc, argv, &a, &first, &err), &err);
        assert_true(a.force);
        assert_string_equal(a.output, "out.db");
        assert_int_equal(a.interval_ns, 2 * NS_PER_SEC);
        assert_int_equal(a.count, 7);
        assert_string_equal(argv[first], "pos");
    }
}

static void test_flags_refuse_what_they_do_not_know(void **state UNUSED)
{
    static const struct {
        const char *line, *part;
    } rows[] = {
        {"-forse", "unknown flag: -forse; did you mean -force?"},
        {"-xyzzyx", "unknown flag: -xyzzyx"},
        {"-o", "-o needs a value (PATH)"},
        {"-count many", "\"many\" is not a number"},
        {"-count -3", "\"-3\" is not a number"},
        {"-interval 5", "is not a duration"},
        {"-force=maybe", "neither true nor false"},
        {"pos -force", "-force stands behind a positional argument"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct args a = {.force = false};
        char line[128];
        char *argv[WORDS_MAX];
        int first = 0;
        test_row(rows[i].line);
        (void)snprintf(line, sizeof(line), "%s", rows[i].line);
        int argc = words_of(line, argv);
        assert_error(flags_parse(flags, ARRAY_LEN(flags), argc, argv, &a, &first, &err), &err,
                     ERR_USAGE, rows[i].part);
    }
}

static void test_flags_answer_a_call_for_help(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct args a = {.force = false};
    char *argv[] = {(char *)"walferry", (char *)"-h", NULL};
    int first = 0;
    assert_error(flags_parse(flags, ARRAY_LEN(flags), 2, argv, &a, &first, &err), &err,
                 ERR_CANCELED, "help");
}

struct kubectl_args {
    const char *namespace_name;
    const char *output;
    bool watches;
};

static const struct flag kubectl_flags[] = {
    {"n/namespace", FLAG_TEXT, offsetof(struct kubectl_args, namespace_name), "NAME", "where",
     NULL},
    {"o/output", FLAG_TEXT, offsetof(struct kubectl_args, output), "table|json", "what", "table"},
    {"w/watch", FLAG_SWITCH, offsetof(struct kubectl_args, watches), NULL, "go on", NULL},
};

static void test_flags_with_letters_stand_anywhere_as_in_kubectl(void **state UNUSED)
{
    static const char *const lines[] = {
        "-n prod -o json -w shop erp",      "shop -n prod erp -ojson --watch",
        "shop erp -w -nprod -o=json",       "--namespace=prod shop --output json -w=true erp",
        "-nprod shop -w --output=json erp", "-w -n prod -o json -- shop erp",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct error err = ERROR_INIT;
        struct kubectl_args a = {.watches = false};
        char line[128];
        char *argv[WORDS_MAX];
        int first = 0;
        test_row(lines[i]);
        (void)snprintf(line, sizeof(line), "%s", lines[i]);
        int argc = words_of(line, argv);
        flags_forward(kubectl_flags, ARRAY_LEN(kubectl_flags), argc, argv);
        assert_ok(
            flags_parse(kubectl_flags, ARRAY_LEN(kubectl_flags), argc, argv, &a, &first, &err),
            &err);
        assert_string_equal(a.namespace_name, "prod");
        assert_string_equal(a.output, "json");
        assert_true(a.watches);
        assert_int_equal(argc - first, 2);
        assert_string_equal(argv[first], "shop");
        assert_string_equal(argv[first + 1], "erp");
    }
}

static void test_flags_before_a_command_are_passed_over(void **state UNUSED)
{
    char line[] = "-n prod --output=json -w status shop";
    char *argv[WORDS_MAX];
    int argc = words_of(line, argv);

    assert_string_equal(argv[flags_first(kubectl_flags, ARRAY_LEN(kubectl_flags), argc, argv)],
                        "status");
    assert_int_equal(flags_first(kubectl_flags, ARRAY_LEN(kubectl_flags), 4, argv), 4);
}

static void test_help_shows_letter_and_name(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(4096);

    assert_ok(flags_help(kubectl_flags, ARRAY_LEN(kubectl_flags), FLAG_STYLE_KUBECTL, &out, &err),
              &err);
    assert_string_equal(buf_str(&out), "  -n, --namespace NAME        where\n"
                                       "  -o, --output table|json     what (default table)\n"
                                       "  -w, --watch                 go on\n");
}

static void test_help_stays_within_eighty_columns(void **state UNUSED)
{
    static const struct flag wordy = {
        "a-rather-long-name-for-a-flag",
        FLAG_TEXT,
        0,
        "VALUE",
        "a long explanation of what it does, with many words that cannot all stand in one line",
        "nothing in particular"};
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(4096);
    assert_ok(flags_help(&wordy, 1, FLAG_STYLE_GO, &out, &err), &err);
    size_t column = 0;
    for (size_t i = 0; i < out.n; i++) {
        column = out.p[i] == '\n' ? 0 : column + 1;
        assert_true(column <= 80);
    }
    assert_non_null(strstr(buf_str(&out), "particular)"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_flags_are_read_in_all_their_forms),
        TEST(test_flags_refuse_what_they_do_not_know),
        TEST(test_flags_answer_a_call_for_help),
        TEST(test_flags_with_letters_stand_anywhere_as_in_kubectl),
        TEST(test_flags_before_a_command_are_passed_over),
        TEST(test_help_shows_letter_and_name),
        TEST(test_help_stays_within_eighty_columns),
    };
    return TEST_MAIN(tests);
}
