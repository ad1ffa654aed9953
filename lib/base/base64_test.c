/*
 * Base64: the vectors of RFC 4648, section 10, and what is refused.
 */
#include "lib/base/base64.h"

#include "lib/testing/test.h"

static void test_base64_agrees_with_the_vectors_of_the_rfc(void **state UNUSED)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"},
                {"\xff\xfe\xfd", "//79"},
                {"\xfb\xef", "++8="}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(64);
        CLEANUP(buf_destroy) struct buf bytes = BUF_INIT(64);
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_ok(base64_encode(slice_of_str(rows[i].bytes), &text, &err), &err);
        assert_string_equal(buf_str(&text), rows[i].text);
        assert_ok(base64_decode(buf_slice(&text), &bytes, &err), &err);
        assert_true(slice_eq_str(buf_slice(&bytes), rows[i].bytes));
    }
}

static void test_base64_may_be_folded_over_lines(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf bytes = BUF_INIT(64);
    struct error err = ERROR_INIT;

    assert_ok(base64_decode(SLICE_LIT(" Zm9v\r\n\tYm Fy\n"), &bytes, &err), &err);
    assert_string_equal(buf_str(&bytes), "foobar");
}

static void test_base64_refuses_what_is_not_whole(void **state UNUSED)
{
    static const char *const bad[] = {"Z",    "Zg",      "Zg=",  "Zg==Zg==", "Zm9v=",  "=Zg=",
                                      "Zg=a", "Zm9v-_8", "Zh==", "Zm9=",     "Z m\x01"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(buf_destroy) struct buf bytes = BUF_INIT(64);
        struct error err = ERROR_INIT;
        test_row(bad[i]);
        assert_error(base64_decode(slice_of_str(bad[i]), &bytes, &err), &err, ERR_CORRUPT,
                     "base64");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_base64_agrees_with_the_vectors_of_the_rfc),
        TEST(test_base64_may_be_folded_over_lines),
        TEST(test_base64_refuses_what_is_not_whole),
    };
    return TEST_MAIN(tests);
}
