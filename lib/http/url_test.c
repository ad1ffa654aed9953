/*
 * URLs: parts and back, what is refused, and that secrets stay out of what is shown.
 */
#include "lib/http/url.h"

#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

static const struct parse_row {
    const char *text;
    const char *scheme, *user, *password, *host;
    uint16_t port;
    const char *path;
    const char *param_name, *param_value;
    const char *built;
} parse_rows[] = {
    {"http://127.0.0.1:9000/a/b?x=1", "http", NULL, NULL, "127.0.0.1", 9000, "/a/b", "x", "1",
     "http://127.0.0.1:9000/a/b?x=1"},
    {"s3://bucket", "s3", NULL, NULL, "bucket", 0, "/", "x", NULL, "s3://bucket/"},
    {"S3://bucket/pre fix", NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL},
    {"s3://bucket/pre%20fix/", "s3", NULL, NULL, "bucket", 0, "/pre fix/", "x", NULL,
     "s3://bucket/pre%20fix/"},
    {"s3://key:se%2Fcret@bucket/p", "s3", "key", "se/cret", "bucket", 0, "/p", "x", NULL,
     "s3://key:se%2Fcret@bucket/p"},
    {"s3://12345/p", "s3", NULL, NULL, "12345", 0, "/p", "x", NULL, "s3://12345/p"},
    {"s3://b?endpoint=http%3A%2F%2Fm%3A9000&y", "s3", NULL, NULL, "b", 0, "/", "endpoint",
     "http://m:9000", "s3://b/?endpoint=http%3A%2F%2Fm%3A9000&y="},
    {"s3://b/?a+b=c+d&&a+b=e", "s3", NULL, NULL, "b", 0, "/", "a b", "c d",
     "s3://b/?a%20b=c%20d&a%20b=e"},
    {"file:///var/lib/x", "file", NULL, NULL, "", 0, "/var/lib/x", "x", NULL, "file:///var/lib/x"},
    {"sftp://u:p@host:22/~/x#frag", "sftp", "u", "p", "host", 22, "/~/x", "x", NULL,
     "sftp://u:p@host:22/~/x"},
    {"https://[::1]:8443/", "https", NULL, NULL, "[::1]", 8443, "/", "x", NULL,
     "https://[::1]:8443/"},
    {"https://h/a/../b/./c", "https", NULL, NULL, "h", 0, "/a/../b/./c", "x", NULL,
     "https://h/a/../b/./c"},
    {"abs://account@container/p", "abs", "account", NULL, "container", 0, "/p", "x", NULL,
     "abs://account@container/p"},
    {"nats://h/na%C3%AFve", "nats", NULL, NULL, "h", 0, "/na\303\257ve", "x", NULL,
     "nats://h/na%C3%AFve"},
};

static void assert_same(const char *a, const char *b)
{
    if (!a || !b)
        assert_true(a == b);
    else
        assert_string_equal(a, b);
}

static void test_urls_come_apart_and_together(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(parse_rows); i++) {
        const struct parse_row *row = &parse_rows[i];
        CLEANUP(url_destroy) struct url u = URL_INIT;
        CLEANUP(buf_destroy) struct buf built = BUF_INIT(4096);
        struct error err = ERROR_INIT;
        test_row(row->text);
        if (!row->scheme) {
            assert_error(url_parse(row->text, &u, &err), &err, ERR_USAGE, "is not a URL");
            continue;
        }
        assert_ok(url_parse(row->text, &u, &err), &err);
        assert_same(u.scheme, row->scheme);
        assert_same(u.user, row->user);
        assert_same(u.password, row->password);
        assert_same(u.host, row->host);
        assert_int_equal(u.port, row->port);
        assert_same(u.path, row->path);
        assert_same(url_param(&u, row->param_name), row->param_value);
        assert_ok(url_build(&u, &built, &err), &err);
        assert_string_equal(buf_str(&built), row->built);
    }
}

static void test_bad_urls_are_refused_without_their_secrets(void **state UNUSED)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"", "is not a URL"},
        {"bucket/path", "is not a URL"},
        {"s3://", "is not a URL"},
        {"s3:/b/p", "does not begin with a scheme"},
        {"s3:///b/p", "does not begin with a scheme"},
        {"file:x///y", "does not begin with a scheme"},
        {"http://h:99999/?secret", "\"http://h:99999/\" is not a URL"},
        {"http://u:secret@[::1/", "is not a URL"},
        {"s3://b/%zz?secret", "path of the URL: '%' at offset 1"},
        {"s3://b/%00", "path of the URL: control character"},
        {"s3://b/?x=secret%0a", "query of the URL: control character"},
        {"s3://u:secret%2@b/", "password of the URL"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u = URL_INIT;
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_error(url_parse(rows[i].text, &u, &err), &err, ERR_USAGE, rows[i].part);
        assert_null(strstr(err.text, "secret"));
        assert_null(u.scheme);
    }
}

static void test_length_and_parameters_are_limited(void **state UNUSED)
{
    struct url u = URL_INIT;
    struct error err = ERROR_INIT;
    size_t n = URL_BYTES_MAX + 10;
    CLEANUP(mem_free) char *text = malloc(n + 1);
    memset(text, 'a', n);
    memcpy(text, "s3://b/", 7);
    text[n] = '\0';
    assert_error(url_parse(text, &u, &err), &err, ERR_LIMIT, "longer than 65536 bytes");
    text[URL_BYTES_MAX] = '\0';
    text[7] = '?';
    for (size_t i = 8; i < URL_BYTES_MAX; i += 2)
        text[i] = '&';
    assert_error(url_parse(text, &u, &err), &err, ERR_LIMIT, "more than 64 parameters");
}

static void test_encoding_keeps_the_unreserved_characters(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool keep_slash;
        const char *encoded;
    } rows[] = {
        {"AZaz09-._~", false, "AZaz09-._~"},
        {"/a b", true, "/a%20b"},
        {"/a b", false, "%2Fa%20b"},
        {"!*'();:@&=+$,?#[]%", true, "%21%2A%27%28%29%3B%3A%40%26%3D%2B%24%2C%3F%23%5B%5D%25"},
        {"\303\244\177\001", true, "%C3%A4%7F%01"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(200);
        CLEANUP(buf_destroy) struct buf back = BUF_INIT(200);
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_ok(url_encode(slice_of_str(rows[i].text), rows[i].keep_slash, &out, &err), &err);
        assert_string_equal(buf_str(&out), rows[i].encoded);
        assert_ok(url_decode(buf_slice(&out), false, &back, &err), &err);
        assert_string_equal(buf_str(&back), rows[i].text);
    }
}

static void test_decoding_refuses_half_an_escape(void **state UNUSED)
{
    static const char *const bad[] = {"%", "%4", "%4g", "%g4", "abc%", "%%41"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(200);
        struct error err = ERROR_INIT;
        test_row(bad[i]);
        assert_error(url_decode(slice_of_str(bad[i]), false, &out, &err), &err, ERR_USAGE,
                     "two hex digits");
    }
}

static void test_what_is_shown_has_no_secret(void **state UNUSED)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"https://h/p?X-Amz-Signature=s", "https://h/p"},
        {"https://u:p@h/p#f", "https://h/p"},
        {"https://u:p@ss@h/p@q", "https://h/p@q"},
        {"not a url?s", "not a url"},
        {"x\n\x1b[0m", "x??[0m"},
        {"?a://b@c", ""},
    };
    char shown[URL_REDACTED_BYTES];
    char lengthy[1000];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].text);
        assert_string_equal(url_redact(rows[i].text, shown), rows[i].shown);
    }
    memset(lengthy, 'a', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = '\0';
    (void)url_redact(lengthy, shown);
    assert_int_equal(strlen(shown), URL_REDACTED_BYTES - 1);
    assert_string_equal(shown + URL_REDACTED_BYTES - 4, "...");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_urls_come_apart_and_together),
        TEST(test_bad_urls_are_refused_without_their_secrets),
        TEST(test_length_and_parameters_are_limited),
        TEST(test_encoding_keeps_the_unreserved_characters),
        TEST(test_decoding_refuses_half_an_escape),
        TEST(test_what_is_shown_has_no_secret),
    };
    return TEST_MAIN(tests);
}
