/*
 * Endpoint, region and bucket: text in, host and path out; provider presets by host.
 */
#include "lib/storage/s3/provider.h"

#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

static const struct target_row {
    const char *name;
    struct storage_s3_config config;
    const char *provider, *host, *path, *region;
    bool is_tls;
} target_rows[] = {
    {"aws",
     {.bucket = "b", .region = "eu-west-1"},
     "AWS",
     "b.s3.eu-west-1.amazonaws.com",
     "/k",
     "eu-west-1",
     true},
    {"aws, no region",
     {.bucket = "b"},
     "AWS",
     "b.s3.us-east-1.amazonaws.com",
     "/k",
     "us-east-1",
     true},
    {"china",
     {.bucket = "b", .region = "cn-north-1"},
     "AWS",
     "b.s3.cn-north-1.amazonaws.com.cn",
     "/k",
     "cn-north-1",
     true},
    {"dots in the bucket",
     {.bucket = "b.c", .region = "eu-west-1"},
     "AWS",
     "s3.eu-west-1.amazonaws.com",
     "/b.c/k",
     "eu-west-1",
     true},
    {"path style of the user",
     {.bucket = "b", .region = "r", .force_path_style = S3_CHOICE_YES},
     "AWS",
     "s3.r.amazonaws.com",
     "/b/k",
     "r",
     true},
    {"endpoint of aws",
     {.bucket = "b", .endpoint = "https://s3.eu-west-3.amazonaws.com"},
     "AWS",
     "b.s3.eu-west-3.amazonaws.com",
     "/k",
     "eu-west-3",
     true},
    {"minio",
     {.bucket = "b", .endpoint = "http://minio:9000/"},
     "S3",
     "minio:9000",
     "/b/k",
     "us-east-1",
     false},
    {"loopback without scheme",
     {.bucket = "b", .endpoint = "localhost:9000"},
     "S3",
     "localhost:9000",
     "/b/k",
     "us-east-1",
     false},
    {"private without scheme",
     {.bucket = "b", .endpoint = "172.31.0.1:9000"},
     "S3",
     "172.31.0.1:9000",
     "/b/k",
     "us-east-1",
     false},
    {"not private",
     {.bucket = "b", .endpoint = "172.32.0.1"},
     "S3",
     "172.32.0.1",
     "/b/k",
     "us-east-1",
     true},
    {"public without scheme",
     {.bucket = "b", .endpoint = "s3.example.com"},
     "S3",
     "s3.example.com",
     "/b/k",
     "us-east-1",
     true},
    {"own port",
     {.bucket = "b", .endpoint = "https://s3.example.com:443"},
     "S3",
     "s3.example.com",
     "/b/k",
     "us-east-1",
     true},
    {"virtual host of the user",
     {.bucket = "b", .endpoint = "https://s3.example.com", .force_path_style = S3_CHOICE_NO},
     "S3",
     "b.s3.example.com",
     "/k",
     "us-east-1",
     true},
    {"supabase has a path",
     {.bucket = "b", .endpoint = "https://x.supabase.co/storage/v1/s3/"},
     "Supabase",
     "x.supabase.co",
     "/storage/v1/s3/b/k",
     "us-east-1",
     true},
    {"r2",
     {.bucket = "b", .endpoint = "https://a.r2.cloudflarestorage.com", .region = "auto"},
     "Cloudflare R2",
     "a.r2.cloudflarestorage.com",
     "/b/k",
     "auto",
     true},
    {"tigris",
     {.bucket = "b", .endpoint = "https://fly.storage.tigris.dev"},
     "Tigris",
     "fly.storage.tigris.dev",
     "/b/k",
     "us-east-1",
     true},
    {"access point",
     {.bucket = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-ap"},
     "AWS",
     "my-ap-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
     "/k",
     "us-west-2",
     true},
    {"host form of aws",
     {.bucket = "b.c.s3.eu-west-1.amazonaws.com"},
     "AWS",
     "s3.eu-west-1.amazonaws.com",
     "/b.c/k",
     "eu-west-1",
     true},
    {"old host form of aws",
     {.bucket = "b.s3-eu-west-1.amazonaws.com"},
     "AWS",
     "b.s3.eu-west-1.amazonaws.com",
     "/k",
     "eu-west-1",
     true},
    {"global host form of aws",
     {.bucket = "b.s3.amazonaws.com"},
     "AWS",
     "b.s3.us-east-1.amazonaws.com",
     "/k",
     "us-east-1",
     true},
    {"host form of spaces",
     {.bucket = "b.nyc3.digitaloceanspaces.com"},
     "DigitalOcean",
     "nyc3.digitaloceanspaces.com",
     "/b/k",
     "nyc3",
     true},
    {"host form of b2",
     {.bucket = "b.s3.us-west-002.backblazeb2.com"},
     "Backblaze B2",
     "s3.us-west-002.backblazeb2.com",
     "/b/k",
     "us-west-002",
     true},
    {"host form of filebase",
     {.bucket = "b.s3.filebase.com"},
     "Filebase",
     "s3.filebase.com",
     "/b/k",
     "us-east-1",
     true},
    {"host form of scaleway",
     {.bucket = "b.s3.fr-par.scw.cloud"},
     "Scaleway",
     "s3.fr-par.scw.cloud",
     "/b/k",
     "fr-par",
     true},
    {"host form of minio",
     {.bucket = "b.localhost:9000"},
     "S3",
     "localhost:9000",
     "/b/k",
     "us-east-1",
     false},
    {"a bucket that looks like none",
     {.bucket = "my.data.bucket", .region = "r"},
     "AWS",
     "s3.r.amazonaws.com",
     "/my.data.bucket/k",
     "r",
     true},
};

static void test_targets_are_resolved(void **state UNUSED)
{
    (void)unsetenv("AWS_REGION");
    (void)unsetenv("AWS_DEFAULT_REGION");
    for (size_t i = 0; i < ARRAY_LEN(target_rows); i++) {
        const struct target_row *row = &target_rows[i];
        CLEANUP(buf_destroy) struct buf host = BUF_INIT(1024);
        CLEANUP(buf_destroy) struct buf path = BUF_INIT(1024);
        struct s3_target target;
        struct error err = ERROR_INIT;

        test_row(row->name);
        assert_ok(s3_target_resolve(&row->config, &target, &err), &err);
        assert_ok(s3_target_host(&target, &host, &err), &err);
        assert_ok(s3_target_path(&target, "k", &path, &err), &err);
        assert_string_equal(target.provider->name, row->provider);
        assert_string_equal(buf_str(&host), row->host);
        assert_string_equal(buf_str(&path), row->path);
        assert_string_equal(target.region, row->region);
        assert_int_equal(target.is_tls, row->is_tls);
    }
}

static void test_a_region_nobody_named_comes_from_the_environment(void **state UNUSED)
{
    const struct storage_s3_config config = {.bucket = "b"};
    struct s3_target target;
    struct error err = ERROR_INIT;

    (void)setenv("AWS_REGION", "ap-south-1", 1);
    assert_ok(s3_target_resolve(&config, &target, &err), &err);
    assert_string_equal(target.host, "s3.ap-south-1.amazonaws.com");
    assert_false(target.is_region_a_guess);
    (void)unsetenv("AWS_REGION");
    assert_ok(s3_target_resolve(&config, &target, &err), &err);
    assert_true(target.is_region_a_guess);
    assert_true(s3_target_set_region(&target, "eu-central-1"));
    assert_string_equal(target.host, "s3.eu-central-1.amazonaws.com");
    assert_false(s3_target_set_region(&target, "evil.example.com/"));
    assert_string_equal(target.host, "s3.eu-central-1.amazonaws.com");
}

static void test_keys_are_encoded_once(void **state UNUSED)
{
    const struct storage_s3_config config = {.bucket = "b", .endpoint = "http://h"};
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(1024);
    struct s3_target target;
    struct error err = ERROR_INIT;

    assert_ok(s3_target_resolve(&config, &target, &err), &err);
    assert_ok(s3_target_path(&target, "a b/c%20+~\xc3\xa9", &path, &err), &err);
    assert_string_equal(buf_str(&path), "/b/a%20b/c%2520%2B~%C3%A9");
}

static void test_loopback_is_told_from_names_that_look_like_it(void **state UNUSED)
{
    assert_true(s3_host_is_loopback("127.0.0.1:9000"));
    assert_true(s3_host_is_loopback("localhost"));
    assert_true(s3_host_is_loopback("[::1]:9000"));
    assert_true(s3_host_is_loopback("minio.localhost:9000"));
    assert_false(s3_host_is_loopback("localhost.example.com"));
    assert_false(s3_host_is_loopback("127.example.com"));
    assert_false(s3_host_is_loopback("10.0.0.1"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_targets_are_resolved),
        TEST(test_a_region_nobody_named_comes_from_the_environment),
        TEST(test_keys_are_encoded_once),
        TEST(test_loopback_is_told_from_names_that_look_like_it),
    };
    return TEST_MAIN(tests);
}
