/*
 * Replica URLs, by tables.
 */
#include "lib/config/replica_url.h"

#include <stdlib.h>

#include "lib/testing/test.h"

static const char none[] = "";

static const struct url_row {
    const char *text;
    enum config_backend backend;
    const char *bucket, *path, *endpoint, *region; /* "" stands for NULL, except path */
    enum config_tristate path_style;
} url_rows[] = {
    {"file:///backups/app", CONFIG_BACKEND_FILE, none, "/backups/app", none, none, CONFIG_UNSET},
    {"FILE:///a%20b", CONFIG_BACKEND_FILE, none, "/a%20b", none, none, CONFIG_UNSET},
    {"/backups/app", CONFIG_BACKEND_FILE, none, "/backups/app", none, none, CONFIG_UNSET},
    {"./app", CONFIG_BACKEND_FILE, none, "./app", none, none, CONFIG_UNSET},
    {"~/app", CONFIG_BACKEND_FILE, none, "~/app", none, none, CONFIG_UNSET},
    {"s3://bucket", CONFIG_BACKEND_S3, "bucket", "", none, none, CONFIG_UNSET},
    {"s3://bucket/", CONFIG_BACKEND_S3, "bucket", "", none, none, CONFIG_UNSET},
    {"s3://my.bucket.name/a/b", CONFIG_BACKEND_S3, "my.bucket.name", "a/b", none, none,
     CONFIG_UNSET},
    {"s3://b//a/./c/../d//", CONFIG_BACKEND_S3, "b", "a/d", none, none, CONFIG_UNSET},
    {"s3://b/a%2Fb%20c+d", CONFIG_BACKEND_S3, "b", "a/b c+d", none, none, CONFIG_UNSET},
    {"s3://b.s3.amazonaws.com/p", CONFIG_BACKEND_S3, "b", "p", none, none, CONFIG_NO},
    {"s3://b.s3.eu-west-1.amazonaws.com/p", CONFIG_BACKEND_S3, "b", "p", none, "eu-west-1",
     CONFIG_NO},
    {"s3://b.c.s3-eu-west-1.amazonaws.com/p", CONFIG_BACKEND_S3, "b.c", "p", none, "eu-west-1",
     CONFIG_NO},
    {"s3://b.s3.cn-north-1.amazonaws.com.cn/p", CONFIG_BACKEND_S3, "b", "p",
     "https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", CONFIG_NO},
    {"s3://b.nyc3.digitaloceanspaces.com/p", CONFIG_BACKEND_S3, "b", "p",
     "https://nyc3.digitaloceanspaces.com", "nyc3", CONFIG_NO},
    {"s3://b.s3.us-west-002.backblazeb2.com/p", CONFIG_BACKEND_S3, "b", "p",
     "https://s3.us-west-002.backblazeb2.com", "us-west-002", CONFIG_YES},
    {"s3://b.s3.filebase.com/p", CONFIG_BACKEND_S3, "b", "p", "https://s3.filebase.com", none,
     CONFIG_YES},
    {"s3://b.s3.fr-par.scw.cloud/p", CONFIG_BACKEND_S3, "b", "p", "https://s3.fr-par.scw.cloud",
     "fr-par", CONFIG_NO},
    {"s3://b.us-east-1.linodeobjects.com/p", CONFIG_BACKEND_S3, "b", "p",
     "https://us-east-1.linodeobjects.com", "us-east-1", CONFIG_YES},
    {"s3://b.br-x-1.storage.c-6.us-east-2.aws.neon.tech/p", CONFIG_BACKEND_S3, "b", "p",
     "https://br-x-1.storage.c-6.us-east-2.aws.neon.tech", "us-east-2", CONFIG_YES},
    {"s3://b.localhost:9000/p", CONFIG_BACKEND_S3, "b", "p", "http://localhost:9000", "us-east-1",
     CONFIG_YES},
    {"s3://b.localhost/p", CONFIG_BACKEND_S3, "b", "p", "http://localhost", "us-east-1",
     CONFIG_YES},
    {"s3://b.minio.svc.Cluster.local:9000/p", CONFIG_BACKEND_S3, "b", "p",
     "http://minio.svc.cluster.local:9000", "us-east-1", CONFIG_YES},
    {"s3://b.127.0.0.1:9000/p", CONFIG_BACKEND_S3, "b", "p", "http://127.0.0.1:9000", "us-east-1",
     CONFIG_YES},
    {"s3://arn:aws:s3:us-east-1:123456789012:accesspoint/mine", CONFIG_BACKEND_S3,
     "arn:aws:s3:us-east-1:123456789012:accesspoint/mine", "", none, "us-east-1", CONFIG_UNSET},
    {"s3://arn:aws:s3:us-east-1:123456789012:accesspoint/mine/a/b?concurrency=2", CONFIG_BACKEND_S3,
     "arn:aws:s3:us-east-1:123456789012:accesspoint/mine", "a/b", none, "us-east-1", CONFIG_UNSET},
    {"gs://bucket/path", CONFIG_BACKEND_GS, none, none, none, none, CONFIG_UNSET},
    {"gcs://bucket/path", CONFIG_BACKEND_GS, none, none, none, none, CONFIG_UNSET},
    {"abs://account@container/path", CONFIG_BACKEND_ABS, none, none, none, none, CONFIG_UNSET},
    {"sftp://user:pw@host:22/path", CONFIG_BACKEND_SFTP, none, none, none, none, CONFIG_UNSET},
    {"webdavs://host/path", CONFIG_BACKEND_WEBDAV, none, none, none, none, CONFIG_UNSET},
    {"nats://host:4222/bucket", CONFIG_BACKEND_NATS, none, none, none, none, CONFIG_UNSET},
    {"oss://bucket/path", CONFIG_BACKEND_OSS, none, none, none, none, CONFIG_UNSET},
};

static void assert_text(const char *text, const char *wanted)
{
    if (!*wanted && !text)
        return;
    assert_non_null(text);
    assert_string_equal(text, wanted);
}

static void test_urls_are_taken_apart(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(url_rows); i++) {
        const struct url_row *row = &url_rows[i];
        CLEANUP(replica_url_destroy) struct replica_url u = {0};
        struct error err = ERROR_INIT;
        test_row(row->text);
        assert_ok(replica_url_parse(row->text, &u, &err), &err);
        assert_int_equal(u.backend, row->backend);
        assert_text(u.bucket, row->bucket);
        assert_text(u.path, row->path);
        assert_text(u.endpoint, row->endpoint);
        assert_text(u.region, row->region);
        assert_int_equal(u.path_style, row->path_style);
    }
}

static void test_url_for_people_reads_back_the_same(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(url_rows); i++) {
        CLEANUP(replica_url_destroy) struct replica_url u = {0};
        CLEANUP(replica_url_destroy) struct replica_url again = {0};
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(10000);
        struct error err = ERROR_INIT;
        if (url_rows[i].backend > CONFIG_BACKEND_S3 || url_rows[i].text[0] == '.' ||
            url_rows[i].text[0] == '~')
            continue;
        test_row(url_rows[i].text);
        assert_ok(replica_url_parse(url_rows[i].text, &u, &err), &err);
        assert_ok(replica_url_format(u.backend, u.bucket, u.path, u.endpoint, &text, &err), &err);
        assert_ok(replica_url_parse(buf_str(&text), &again, &err), &err);
        assert_int_equal(again.backend, u.backend);
        assert_text(again.bucket, u.bucket ? u.bucket : "");
        assert_text(again.path, u.path);
        if (u.endpoint) {
            assert_int_equal(again.param_count, 1);
            assert_string_equal(again.params[0].key, "endpoint");
            assert_string_equal(again.params[0].value, u.endpoint);
        }
    }
}

static void test_query_is_read_in_both_spellings(void **state UNUSED)
{
    static const char *const texts[] = {
        "s3://b/p?endpoint=http%3A%2F%2Fh%3A9000&region=eu&force-path-style=true&skip-verify=true"
        "&sign-payload=false&require-content-md5=no&storage-class=GLACIER_IR&part-size=5242880"
        "&concurrency=7&sse-kms-key-id=k+1",
        "s3://b/p?endpoint=http://h:9000&region=eu&forcePathStyle=true&skipVerify=true&signPayload="
        "false&&requireContentMD5=no&storageClass=GLACIER_IR&partSize=5242880&concurrency=7"
        "&sseKmsKeyId=k%201",
    };
    static const struct replica_url_param wanted[] = {
        {"endpoint", (char *)"http://h:9000"},
        {"region", (char *)"eu"},
        {"force-path-style", (char *)"true"},
        {"skip-verify", (char *)"true"},
        {"sign-payload", (char *)"false"},
        {"require-content-md5", (char *)"no"},
        {"storage-class", (char *)"GLACIER_IR"},
        {"part-size", (char *)"5242880"},
        {"concurrency", (char *)"7"},
        {"sse-kms-key-id", (char *)"k 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(replica_url_destroy) struct replica_url u = {0};
        struct error err = ERROR_INIT;
        test_row(texts[i]);
        assert_ok(replica_url_parse(texts[i], &u, &err), &err);
        assert_int_equal(u.param_count, ARRAY_LEN(wanted));
        for (size_t j = 0; j < u.param_count; j++) {
            assert_string_equal(u.params[j].key, wanted[j].key);
            assert_string_equal(u.params[j].value, wanted[j].value);
        }
    }
}

static void test_broken_urls_are_refused(void **state UNUSED)
{
    static const struct {
        const char *text, *error;
        enum error_code code;
    } rows[] = {
        {"", "expected a URL", ERR_USAGE},
        {"bucket/path", "expected a URL", ERR_USAGE},
        {"s3:/bucket", "expected a URL", ERR_USAGE},
        {"http://bucket/path", "unknown scheme \"http\"", ERR_USAGE},
        {"s3://", "there is no bucket in the URL", ERR_USAGE},
        {"s3:///path", "there is no bucket in the URL", ERR_USAGE},
        {"s3://b c/path", "\"b c\" is neither a bucket nor a host", ERR_USAGE},
        {"s3://AKIA:secret@bucket/path", "credentials do not belong into a URL", ERR_USAGE},
        {"s3://s3.eu-west-1.amazonaws.com/b", "there is no bucket before the host", ERR_USAGE},
        {"s3://nyc3.digitaloceanspaces.com/b", "there is no bucket before the host", ERR_USAGE},
        {"s3://localhost:9000/b", "there is no bucket before the host localhost:9000", ERR_USAGE},
        {"s3://127.0.0.1:9000/b", "there is no bucket before the host 127.0.0.1:9000", ERR_USAGE},
        {"s3://[::1]:9000/b", "there is no bucket before the host [::1]:9000", ERR_USAGE},
        {"s3://b.h<o:9000/p", "\"b.h<o:9000\" is neither a bucket nor a host", ERR_USAGE},
        {"s3://b.host:port/p", "\"b.host:port\" is neither a bucket nor a host", ERR_USAGE},
        {"s3://.b/p", "\".b\" is not the name of a bucket", ERR_USAGE},
        {"s3://b-/p", "\"b-\" is not the name of a bucket", ERR_USAGE},
        {"s3://b/p#x", "'#' must be written as %23", ERR_USAGE},
        {"s3://b/p%2", "'%' must be followed by two hex digits", ERR_USAGE},
        {"s3://b/p%zz", "'%' must be followed by two hex digits", ERR_USAGE},
        {"s3://b/p%00", "the URL contains a control character", ERR_USAGE},
        {"s3://b/p?regoin=x", "unknown parameter \"regoin\"; did you mean \"region\"?", ERR_USAGE},
        {"s3://b/p?secretAccessKey=x", "unknown parameter \"secretAccessKey\"", ERR_USAGE},
        {"s3://b/p?region=", "parameter \"region\" has no value", ERR_USAGE},
        {"s3://b/p?region", "parameter \"region\" has no value", ERR_USAGE},
        {"s3://b/p?part-size=1&partSize=2", "parameter \"part-size\" is there twice", ERR_USAGE},
        {"s3://arn:aws:s3:us-east-1:1:bucket/x", "expected arn:aws:s3:REGION:ACCOUNT:accesspoint",
         ERR_USAGE},
        {"s3://arn:aws:s3:us-east-1:1:accesspoint/", "the ARN names no access point", ERR_USAGE},
        {"s3://arn:aws:s3::1:accesspoint/x", "only access points of one region", ERR_UNSUPPORTED},
        {"file://backups/app", "three slashes", ERR_USAGE},
        {"file:///backups?x=1", "neither '?' nor '#'", ERR_USAGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct replica_url u = {0};
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_error(replica_url_parse(rows[i].text, &u, &err), &err, rows[i].code, rows[i].error);
        assert_null(u.bucket);
        assert_null(strstr(err.text, "secret@"));
    }
}

static void test_overlong_url_is_refused(void **state UNUSED)
{
    static char text[REPLICA_URL_BYTES_MAX + 10] = "s3://bucket/";
    struct replica_url u = {0};
    struct error err = ERROR_INIT;

    memset(text + 12, 'x', sizeof(text) - 13);
    assert_error(replica_url_parse(text, &u, &err), &err, ERR_LIMIT, "more than 4096 bytes");
}

static void test_every_cut_of_a_url_parses_or_is_refused(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(url_rows); i++) {
        for (size_t n = 0; n < strlen(url_rows[i].text); n++) {
            CLEANUP(replica_url_destroy) struct replica_url u = {0};
            CLEANUP(mem_free) char *cut = strndup(url_rows[i].text, n);
            struct error err = ERROR_INIT;
            if (replica_url_parse(cut, &u, &err) < 0)
                assert_true(err.code == ERR_USAGE || err.code == ERR_UNSUPPORTED);
        }
    }
}

static void test_url_and_path_are_told_apart(void **state UNUSED)
{
    assert_true(replica_url_looks_like_one("s3://bucket/x"));
    assert_true(replica_url_looks_like_one("foo://bucket/x"));
    assert_false(replica_url_looks_like_one("/data/s3://x"));
    assert_false(replica_url_looks_like_one("app.db"));
    assert_false(replica_url_looks_like_one("sqlite3:///data/app.db"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_urls_are_taken_apart),
        TEST(test_url_for_people_reads_back_the_same),
        TEST(test_query_is_read_in_both_spellings),
        TEST(test_broken_urls_are_refused),
        TEST(test_overlong_url_is_refused),
        TEST(test_every_cut_of_a_url_parses_or_is_refused),
        TEST(test_url_and_path_are_told_apart),
    };
    return TEST_MAIN(tests);
}
