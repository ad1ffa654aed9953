/*
 * The promises of every store, kept by the S3 driver against real servers: versitygw, over http, over
 * https with a certificate of a private authority, over HTTP/2, with the bucket in the path and in
 * the name of the host; MinIO; and Swift, which cannot create
 * conditionally, so that the driver has to look before it creates.
 *
 * STORES=minio runs one of them.
 */
#include <stdio.h>
#include <string.h>

#include "lib/storage/s3/s3.h"
#include "lib/testing/server.h"
#include "lib/testing/storage_conformance.h"
#include "lib/testing/store.h"
#include "lib/testing/test.h"

struct s3_fixture {
    struct test_s3 server;   /* versitygw, or */
    struct test_store store; /* another */
    const char *endpoint;
    const char *bucket;
    const char *access_key;
    const char *secret_key;
    const char *ca_file;
    bool can_create;
    size_t page_keys; /* 0: as S3 */
    char folder[256];
    unsigned case_idx; /* each case has a prefix of its own */
};

static int s3_open_with(const struct s3_fixture *f, const char *bucket_name, const char *secret,
                        struct loop *loop, struct storage **out, struct error *err)
{
    char prefix[64];

    (void)snprintf(prefix, sizeof(prefix), "team a/app %u", f->case_idx);
    const struct storage_s3_config config = {
        .endpoint = f->endpoint,
        .region = "us-east-1",
        .bucket = bucket_name,
        .prefix = prefix,
        .access_key_id = f->access_key,
        .secret_access_key = secret,
        .ca_file = f->ca_file,
        .force_path_style = f->server.ways & TEST_S3_VIRTUAL_HOST ? S3_CHOICE_NO : S3_CHOICE_AUTO,
    };
    if (storage_s3_new(loop, &config, out, err) < 0)
        return -1;
    storage_set_can_create(*out, f->can_create); /* as the probe would find it */
    return 0;
}

static int s3_open(void *arg, struct loop *loop, struct storage **out, struct error *err)
{
    struct s3_fixture *f = arg;

    f->case_idx++;
    return s3_open_with(f, f->bucket, f->secret_key, loop, out, err);
}

static int s3_open_again(void *arg, struct loop *loop, struct storage **out, struct error *err)
{
    struct s3_fixture *f = arg;

    return s3_open_with(f, f->bucket, f->secret_key, loop, out, err);
}

static int s3_open_missing(void *arg, struct loop *loop, struct storage **out, struct error *err)
{
    struct s3_fixture *f = arg;

    return s3_open_with(f, "no-such-bucket", f->secret_key, loop, out, err);
}

static int s3_open_refused(void *arg, struct loop *loop, struct storage **out, struct error *err)
{
    struct s3_fixture *f = arg;

    return s3_open_with(f, f->bucket, "not-the-secret-key-at-all", loop, out, err);
}

/* A store that is not installed is a test that is skipped, and says so. */
static bool is_there;

static void test_the_store_is_there(void **state UNUSED)
{
    if (!is_there)
        test_skip("# its suite is left out");
}

static int conformance_run(struct s3_fixture *f, const char *name)
{
    static const struct CMUnitTest tests[] = {TEST(test_the_store_is_there)};
    const struct storage_conformance_setup setup = {
        .name = name,
        .open = s3_open,
        .open_again = s3_open_again,
        .open_missing = s3_open_missing,
        .open_refused = s3_open_refused,
        .cannot_create = !f->can_create,
        .page_keys = f->page_keys,
        .arg = f,
    };
    int failures = test_main_run(tests, ARRAY_LEN(tests), name);

    return is_there ? failures + storage_conformance_run(&setup) : failures;
}

static const struct way {
    const char *name;
    unsigned ways;
} ways[] = {
    {"s3 over http", TEST_S3_PLAIN},
    {"s3 over https", TEST_S3_TLS},
    {"s3 over http, virtual host", TEST_S3_VIRTUAL_HOST},
    {"s3 over HTTP/2, virtual host", TEST_S3_HTTP2 | TEST_S3_VIRTUAL_HOST},
};

/* The server that is running, for the tests that look at its log. */
static const struct s3_fixture *running;

static void test_http_2_was_spoken_where_it_should_be(void **state UNUSED)
{
    const struct test_s3 *s3 = &running->server;
    bool is_wanted = (s3->ways & TEST_S3_HTTP2) != 0;
    bool is_whole = http_client_writes_over_http2();

    if (is_wanted) {
        print_message("# libcurl here %s\n", is_whole ? "speaks HTTP/2 always"
                                                      : "speaks HTTP/2 for all but PUT and DELETE");
    }
    assert_int_equal(test_s3_front_count(s3, "GET ") > 50, is_wanted);
    assert_int_equal(test_s3_front_count(s3, "PUT ") > 50, is_wanted);
    assert_int_equal(test_s3_front_count(s3, " HTTP/2 ") > 50, is_wanted);
    assert_int_equal(test_s3_front_count(s3, " HTTP/1.1 ") > 50, is_wanted && !is_whole);
}

static void test_the_bucket_was_in_the_path_or_in_the_host(void **state UNUSED)
{
    const struct test_s3 *s3 = &running->server;
    bool is_in_host = (s3->ways & TEST_S3_VIRTUAL_HOST) != 0;

    assert_true(test_s3_request_count(s3, "s3_PutObject") > 20);
    assert_int_equal(test_s3_request_count(s3, " /conformance/team") > 20, !is_in_host);
    assert_int_equal(test_s3_request_count(s3, " /team") > 20, is_in_host);
}

static int conformance_versitygw(const struct way *way)
{
    static const struct CMUnitTest afterwards[] = {
        TEST(test_http_2_was_spoken_where_it_should_be),
        TEST(test_the_bucket_was_in_the_path_or_in_the_host),
    };
    struct s3_fixture f = {.can_create = true, .bucket = "conformance"};

    test_folder_make(f.folder);
    is_there = test_s3_start(&f.server, f.folder, way->ways);
    if (is_there)
        test_s3_bucket_make(&f.server, f.bucket);
    f.endpoint = f.server.endpoint;
    f.access_key = f.server.access_key;
    f.secret_key = f.server.secret_key;
    f.ca_file = f.server.is_https ? f.server.tls.ca_path : NULL;
    running = &f;
    int failures = conformance_run(&f, way->name);
    if (is_there)
        failures += TEST_MAIN(afterwards);
    test_s3_stop(&f.server);
    test_folder_remove(f.folder);
    return failures;
}

static int conformance_store(const char *kind, bool can_create, size_t page_keys)
{
    struct s3_fixture f = {.can_create = can_create, .page_keys = page_keys};

    test_folder_make(f.folder);
    is_there = test_store_start(&f.store, kind, f.folder);
    f.endpoint = f.store.endpoint;
    f.bucket = f.store.bucket;
    f.access_key = f.store.access_key;
    f.secret_key = f.store.secret_key;
    int failures = conformance_run(&f, kind);
    test_store_stop(&f.store);
    test_folder_remove(f.folder);
    return failures;
}

static bool is_wanted(const char *kind)
{
    const char *only = getenv("STORES");

    return !only || strcmp(only, kind) == 0;
}

int main(void)
{
    int failures = 0;

    for (size_t i = 0; is_wanted("versitygw") && i < ARRAY_LEN(ways); i++)
        failures += conformance_versitygw(&ways[i]);
    if (is_wanted("minio"))
        failures += conformance_store("minio", true, 0);
    if (is_wanted("swift"))
        failures += conformance_store("swift", false, 100);
    return failures;
}
