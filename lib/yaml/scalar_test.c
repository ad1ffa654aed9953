/*
 * What the text of a scalar means, by tables.
 */
#include "lib/yaml/scalar.h"

#include "lib/testing/test.h"

static void test_switches_are_yaml_words_in_any_case(void **state UNUSED)
{
    static const struct {
        const char *text;
        int value; /* -1: refused */
    } rows[] = {{"true", 1},   {"True", 1}, {"yes", 1},  {"ON", 1},    {"y", 1}, {"1", 1},
                {"false", 0},  {"No", 0},   {"off", 0},  {"n", 0},     {"0", 0}, {"", -1},
                {"maybe", -1}, {"2", -1},   {"tru", -1}, {"true ", -1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        bool value = false;
        test_row(rows[i].text);
        if (rows[i].value < 0) {
            assert_error(scalar_bool(rows[i].text, &value, &err), &err, ERR_USAGE,
                         "is not a switch (expected true or false)");
            continue;
        }
        assert_ok(scalar_bool(rows[i].text, &value, &err), &err);
        assert_int_equal(value, rows[i].value);
    }
}

static void test_numbers_are_decimal_to_the_last_character(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint64_t value;
        const char *error;
    } rows[] = {
        {"0", 0, NULL},
        {"1000", 1000, NULL},
        {"1_000", 1000, NULL},
        {"18446744073709551615", UINT64_MAX, NULL},
        {"18446744073709551616", 0, "too large"},
        {"010", 0, "without leading zero"},
        {"", 0, "not a number"},
        {"-1", 0, "not a number"},
        {"1_", 0, "not a number"},
        {"_1", 0, "not a number"},
        {"1e3", 0, "not a number"},
        {"12 ", 0, "not a number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        uint64_t value = 42;
        test_row(rows[i].text);
        if (rows[i].error) {
            assert_error(scalar_u64(rows[i].text, &value, &err), &err, ERR_USAGE, rows[i].error);
            assert_int_equal(value, 42);
            continue;
        }
        assert_ok(scalar_u64(rows[i].text, &value, &err), &err);
        assert_true(value == rows[i].value);
    }
}

static void test_signed_numbers_keep_their_sign(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    int64_t value = 0;
    assert_ok(scalar_i64("-17", &value, &err), &err);
    assert_true(value == -17);
    assert_ok(scalar_i64("17", &value, &err), &err);
    assert_true(value == 17);
    assert_error(scalar_i64("--17", &value, &err), &err, ERR_USAGE, "not a number");
    assert_error(scalar_i64("9223372036854775808", &value, &err), &err, ERR_USAGE, "too large");
}

static void test_permissions_are_octal_digits(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint32_t value;
        bool is_valid;
    } rows[] = {{"0600", 0600, true},  {"600", 0600, true},      {"0o660", 0660, true},
                {"7777", 07777, true}, {"0", 0, true},           {"10000", 0, false},
                {"0800", 0, false},    {"rw", 0, false},         {"", 0, false},
                {"0o", 0, false},      {"99999999999", 0, false}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        uint32_t value = 0;
        test_row(rows[i].text);
        if (!rows[i].is_valid) {
            assert_error(scalar_octal(rows[i].text, &value, &err), &err, ERR_USAGE,
                         "are not permissions");
            continue;
        }
        assert_ok(scalar_octal(rows[i].text, &value, &err), &err);
        assert_int_equal(value, rows[i].value);
    }
}

static const struct size_row {
    const char *text;
    uint64_t bytes;
    const char *formatted; /* NULL: the text is refused */
} size_rows[] = {
    {"0", 0, "0"},
    {"5242880", 5 << 20, "5MiB"},
    {"5MiB", 5 << 20, "5MiB"},
    {"5 MiB", 5 << 20, "5MiB"},
    {"5mib", 5 << 20, "5MiB"},
    {"5Mi", 5 << 20, "5MiB"},
    {"5MB", 5000000, "5MB"},
    {"5M", 5000000, "5MB"},
    {"1.5GB", 1500000000, "1500MB"},
    {"0.5KiB", 512, "512"},
    {"67,108,864", 64 << 20, "64MiB"},
    {"10b", 10, "10"},
    {"1500", 1500, "1500"},
    {"16PiB", UINT64_C(16) << 50, "16PiB"},
    {"", 0, NULL},
    {"MB", 0, NULL},
    {"-1", 0, NULL},
    {"5XB", 0, NULL},
    {"5MiBs", 0, NULL},
    {"5M B", 0, NULL},
    {".5MB", 0, NULL},
    {"99999999999999999999", 0, NULL},
    {"20000PiB", 0, NULL},
};

static void test_sizes_are_read_as_go_humanize_does(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(size_rows); i++) {
        const struct size_row *row = &size_rows[i];
        struct error err = ERROR_INIT;
        char text[SCALAR_BYTES_TEXT];
        uint64_t bytes = 42;
        test_row(row->text);
        if (!row->formatted) {
            assert_error(scalar_bytes(row->text, &bytes, &err), &err, ERR_USAGE, "is not a size");
            assert_int_equal(bytes, 42);
            continue;
        }
        assert_ok(scalar_bytes(row->text, &bytes, &err), &err);
        assert_true(bytes == row->bytes);
        assert_string_equal(scalar_bytes_format(bytes, text), row->formatted);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_switches_are_yaml_words_in_any_case),
        TEST(test_numbers_are_decimal_to_the_last_character),
        TEST(test_signed_numbers_keep_their_sign),
        TEST(test_permissions_are_octal_digits),
        TEST(test_sizes_are_read_as_go_humanize_does),
    };
    return TEST_MAIN(tests);
}
