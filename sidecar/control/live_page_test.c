/*
 * The page is one document that asks nobody but us, and its policy allows exactly what is in it.
 */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "lib/testing/test.h"
#include "sidecar/control/control_internal.h"

/* Asserts that the policy names the hash of what stands between the tags. */
static void assert_hash_is_allowed(const char *directive, const char *begin_tag,
                                   const char *end_tag)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char text[64], wanted[128];
    const char *begin = strstr(live_page_html, begin_tag);
    const char *end = strstr(live_page_html, end_tag);

    assert_true(begin && end);
    begin += strlen(begin_tag);
    assert_null(strstr(begin, begin_tag)); /* there is one only */
    SHA256((const uint8_t *)begin, (size_t)(end - begin), hash);
    EVP_EncodeBlock((uint8_t *)text, hash, sizeof(hash));
    (void)snprintf(wanted, sizeof(wanted), "%s 'sha256-%s';", directive, text);
    print_message("# wanted in live_page_policy: %s\n", wanted);
    assert_non_null(strstr(live_page_policy, wanted));
}

static void test_the_policy_allows_this_style_and_this_script(void **state UNUSED)
{
    assert_hash_is_allowed("style-src", "<style>", "</style>");
    assert_hash_is_allowed("script-src", "<script>", "</script>");
}

static void test_the_policy_allows_nothing_else(void **state UNUSED)
{
    assert_int_equal(strncmp(live_page_policy, "default-src 'none'; ", 20), 0);
    assert_null(strstr(live_page_policy, "unsafe"));
    assert_null(strstr(live_page_policy, "http"));
    assert_null(strstr(live_page_policy, "*"));
}

static void test_the_page_has_nothing_from_elsewhere(void **state UNUSED)
{
    static const char *const forbidden[] = {
        "http:",     "https:",    "//",        "src=",      "<link", "@import",
        "url(",      "innerHTML", "outerHTML", "insertAdj", "eval(", "document.write",
        " onclick=", " onload=",  " style=",   "<iframe"};
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        test_row(forbidden[i]);
        assert_null(strstr(live_page_html, forbidden[i]));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_the_policy_allows_this_style_and_this_script),
        TEST(test_the_policy_allows_nothing_else),
        TEST(test_the_page_has_nothing_from_elsewhere),
    };
    return TEST_MAIN(tests);
}
