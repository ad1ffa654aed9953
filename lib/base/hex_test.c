/*
 * Hexadecimal digits: each of them, everything beside them, and texts that end too early.
 */
#include "lib/base/hex.h"

#include <string.h>

#include "lib/testing/test.h"

static void test_hex_value_knows_the_22_digits_and_no_other_character(void **state UNUSED)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    unsigned count = 0;

    for (int c = 0; c < 256; c++) {
        const char *at = c ? strchr(digits, c) : NULL;
        if (at)
            assert_int_equal(hex_value((char)c), (at - digits) % 16);
        else
            assert_int_equal(hex_value((char)c), -1);
        count += at != NULL;
    }
    assert_int_equal(count, 22);
}

static void test_hex_byte_takes_two_digits_or_nothing(void **state UNUSED)
{
    assert_int_equal(hex_byte("00"), 0);
    assert_int_equal(hex_byte("7Fx"), 0x7f);
    assert_int_equal(hex_byte("fF"), 0xff);
    assert_int_equal(hex_byte(""), -1);
    assert_int_equal(hex_byte("a"), -1);
    assert_int_equal(hex_byte("ag"), -1);
    assert_int_equal(hex_byte("ga"), -1);
}

static void test_hex_number_takes_small_letters_of_one_width(void **state UNUSED)
{
    static const struct {
        const char *text;
        unsigned digits;
        bool is_number;
        uint64_t value;
    } rows[] = {
        {"0000000000000000", 16, true, 0},
        {"ffffffffffffffff", 16, true, UINT64_MAX},
        {"0123456789abcdef.more", 16, true, 0x0123456789abcdef},
        {"00000003-0a1b2c3d", 8, true, 3},
        {"7", 1, true, 7},
        {"0A1B2C3D", 8, false, 0},
        {"0a1b2c3", 8, false, 0},
        {"0a1b2c3g", 8, false, 0},
        {" a1b2c3d", 8, false, 0},
        {"", 1, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t value = 4711;
        test_row(rows[i].text);
        assert_int_equal(hex_number(rows[i].text, rows[i].digits, &value), rows[i].is_number);
        assert_int_equal(value, rows[i].is_number ? rows[i].value : 4711);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_hex_value_knows_the_22_digits_and_no_other_character),
        TEST(test_hex_byte_takes_two_digits_or_nothing),
        TEST(test_hex_number_takes_small_letters_of_one_width),
    };
    return TEST_MAIN(tests);
}
