/*
 * Secrets do not leave; what is needed to help does.
 */
#include "controller/plugin/redact.h"

#include <string.h>

#include "lib/testing/test.h"

static void test_secrets_in_text_are_taken_away(void **state UNUSED)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"nothing to hide: s3://bucket/app?region=eu",
         "nothing to hide: s3://bucket/app?region=eu"},
        {"GET https://user:pa55@minio:9000/b", "GET https://REDACTED@minio:9000/b"},
        {"HTTPS_PROXY=http://me:x@proxy", "HTTPS_PROXY=http://REDACTED@proxy"},
        {"mail a@b.c, see http://x/y", "mail a@b.c, see http://x/y"},
        {"Authorization: Bearer eyJhbGciOi.x.y\nnext", "Authorization: REDACTED REDACTED\nnext"},
        {"-H 'Bearer abc'", "-H 'Bearer REDACTED'"},
        {"{\"secret-access-key\": \"wJalr/XUt\", \"bucket\": \"b\"}",
         "{\"secret-access-key\": \"REDACTED\", \"bucket\": \"b\"}"},
        {"AWS_SECRET_ACCESS_KEY=wJalr next", "AWS_SECRET_ACCESS_KEY=REDACTED next"},
        {"msg=\"x\" password = \"a b\" c=1", "msg=\"x\" password = \"REDACTED\" c=1"},
        {"\"log\":\"{\\\"token\\\":\\\"abc\\\"}\"", "\"log\":\"{\\\"token\\\":\\\"REDACTED\\\"}\""},
        {"?X-Amz-Credential=AK/1&X-Amz-Date=2&X-Amz-Signature=ff",
         "?X-Amz-Credential=REDACTED&X-Amz-Date=2&X-Amz-Signature=REDACTED"},
        {"-----BEGIN EC PRIVATE KEY-----\nMHc\nxyz0123456789abcdefghijklmnopqrstuvwxyz==\n-----END "
         "EC PRIVATE KEY-----\n",
         "-----BEGIN EC PRIVATE KEY-----REDACTED-----END EC PRIVATE KEY-----\n"},
        {"-----BEGIN PRIVATE KEY-----\nMHc", "-----BEGIN PRIVATE KEY-----REDACTED"},
        {"-----BEGIN CERTIFICATE-----\nMHc\n", "-----BEGIN CERTIFICATE-----\nMHc\n"},
        {"password=REDACTED, token: REDACTED", "password=REDACTED, token: REDACTED"},
        {"token: ", "token: "},
        {"holderIdentity: walferry-0, tokens: 3", "holderIdentity: walferry-0, tokens: 3"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(4096);
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_ok(redact_text(slice_of_str(rows[i].text), &out, &err), &err);
        assert_string_equal(buf_str(&out), rows[i].wanted);
    }
}

static void test_objects_keep_their_shape_and_lose_their_secrets(void **state UNUSED)
{
    static const char object[] =
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"x\":1}],"
        "\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{...}\",\"k\":"
        "\"v\"}},\"spec\":{\"containers\":[{\"env\":[{\"name\":\"A\",\"value\":\"x\"},{\"name\":"
        "\"B\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}],\"args\":"
        "[\"-url\",\"https://u:p@h/\"]}],\"automountServiceAccountToken\":false,\"password\":"
        "\"x\",\"count\":3}}";
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(8192);
    struct error err = ERROR_INIT;
    struct json_writer w;

    assert_ok(jsonval_parse(&doc, "x", slice_of_str(object), &err), &err);
    json_writer_init(&w, &out, JSON_COMPACT);
    assert_ok(redact_json(jsonval_root(&doc), &w, NULL, &err), &err);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_string_equal(
        buf_str(&out),
        "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"annotations\":{\"k\":\"v\"}},\"spec\":{"
        "\"containers\":[{\"env\":[{\"name\":\"A\",\"value\":\"REDACTED\"},{\"name\":\"B\","
        "\"valueFrom\":{\"secretKeyRef\":{\"name\":\"s\",\"key\":\"k\"}}}],\"args\":[\"-url\","
        "\"https://REDACTED@h/\"]}],\"automountServiceAccountToken\":false,\"password\":"
        "\"REDACTED\",\"count\":3}}");
}

static void test_an_object_of_kind_secret_is_its_metadata(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(8192);
    struct error err = ERROR_INIT;
    struct json_writer w;

    assert_ok(jsonval_parse(&doc, "x",
                            SLICE_LIT("{\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"},\"data\":"
                                      "{\"a\":\"eA==\"},\"stringData\":{\"b\":\"y\"}}"),
                            &err),
              &err);
    json_writer_init(&w, &out, JSON_COMPACT);
    assert_ok(redact_json(jsonval_root(&doc), &w, NULL, &err), &err);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_string_equal(buf_str(&out), "{\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\"},"
                                       "\"data\":\"REDACTED\",\"stringData\":\"REDACTED\"}");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_secrets_in_text_are_taken_away),
        TEST(test_objects_keep_their_shape_and_lose_their_secrets),
        TEST(test_an_object_of_kind_secret_is_its_metadata),
    };
    return TEST_MAIN(tests);
}
