/*
 * Keys of SSE-C: base64, MD5, files.
 */
#include "lib/config/sse_key.h"

#include <stdio.h>

#include "lib/testing/test.h"

/* 32 bytes of 'k' (0x6b), and their MD5. */
static const char key_base64[] = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";
static const char key_md5[] = "mT2HRsMGJ5IX5C+0rreZ8Q==";

static void test_key_is_decoded_and_its_md5_checked(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    uint8_t key[SSE_KEY_BYTES];
    uint8_t wanted[SSE_KEY_BYTES];

    memset(wanted, 'k', sizeof(wanted));
    assert_ok(sse_key_decode(key_base64, NULL, key, &err), &err);
    assert_memory_equal(key, wanted, sizeof(key));
    int rc = sse_key_decode(key_base64, key_md5, key, &err);
    assert_ok(rc, &err);
    assert_error(sse_key_decode(key_base64, "AAAA", key, &err), &err, ERR_USAGE, "not AAAA");
}

static void test_what_is_no_key_is_refused_without_repeating_it(void **state UNUSED)
{
    static const char *const rows[] = {
        "",
        "c2VjcmV0",
        "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2tr",
        "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2==",
        "!!tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        uint8_t key[SSE_KEY_BYTES];
        test_row(rows[i]);
        assert_error(sse_key_decode(rows[i], NULL, key, &err), &err, ERR_USAGE,
                     "the key is not the base64 form of 32 bytes");
    }
}

static void test_key_is_read_from_its_file(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct config_s3 s3 = {0};
    uint8_t key[SSE_KEY_BYTES];
    bool has_key = true;
    char folder[256];
    char path[300];

    assert_ok(sse_key_load(env_real(), &s3, &has_key, key, &err), &err);
    assert_false(has_key);
    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/key", folder);
    s3.sse_customer_key_path = path;
    assert_error(sse_key_load(env_real(), &s3, &has_key, key, &err), &err, ERR_NOT_FOUND, path);
    test_file_write(path, SLICE_LIT("\n  a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=  \n\n"));
    assert_ok(sse_key_load(env_real(), &s3, &has_key, key, &err), &err);
    assert_true(has_key);
    assert_int_equal(key[31], 'k');
    test_file_write(path, SLICE_LIT("secretsecret"));
    assert_error(sse_key_load(env_real(), &s3, &has_key, key, &err), &err, ERR_USAGE,
                 "the key is not the base64 form of 32 bytes");
    assert_null(strstr(err.text, "secretsecret"));
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_key_is_decoded_and_its_md5_checked),
        TEST(test_what_is_no_key_is_refused_without_repeating_it),
        TEST(test_key_is_read_from_its_file),
    };
    return TEST_MAIN(tests);
}
