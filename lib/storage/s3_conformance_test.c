/*
 * The promises of every store, kept by the S3 driver against a real server (versitygw), over http
 * and over https with a certificate of a private authority.
 */
#include <stdio.h>
#include <string.h>

#include "lib/storage/s3/s3.h"
#include "lib/testing/server.h"
#include "lib/testing/storage_conformance.h"
#include "lib/testing/test.h"

static const char bucket[] = "conformance";

struct s3_fixture {
    struct test_s3 server;
    char folder[256];
    unsigned case_idx; /* each case has a prefix of its own */
};

static int s3_open_with(const struct s3_fixture *f, const char *bucket_name, const char *secret,
                        struct loop *loop, struct storage **out, struct error *err)
{
    char prefix[64];

    (void)snprintf(prefix, sizeof(prefix), "team a/app %u", f->case_idx);
    const struct storage_s3_config config = {
        .endpoint = f->server.endpoint,
        .region = f->server.region,
        .bucket = bucket_name,
        .prefix = prefix,
        .access_key_id = f->server.access_key,
        .secret_access_key = secret,
        .ca_file = f->server.is_https ? f->server.tls.ca_path : NULL,
    };
    return storage_s3_new(loop, &config, out, err);
}

static int s3_open(void *arg, struct loop *loop, struct storage **out, struct error *err)
{
    struct s3_fixture *f = arg;

    f->case_idx++;
    return s3_open_with(f, bucket, f->server.secret_key, loop, out, err);
}

static int s3_open_again(void *arg, struct loop *loop, struct storage **out, struct error *err)
{
    struct s3_fixture *f = arg;

    return s3_open_with(f, bucket, f->server.secret_key, loop, out, err);
}

static int s3_open_missing(void *arg, struct loop *loop, struct storage **out, struct error *err)
{
    struct s3_fixture *f = arg;

    return s3_open_with(f, "no-such-bucket", f->server.secret_key, loop, out, err);
}

static int s3_open_refused(void *arg, struct loop *loop, struct storage **out, struct error *err)
{
    struct s3_fixture *f = arg;

    return s3_open_with(f, bucket, "not-the-secret-key-at-all", loop, out, err);
}

static void test_versitygw_is_there(void **state UNUSED)
{
    char path[256];

    if (!test_peer_path("versitygw", path))
        test_skip("# no versitygw at %s: run 'make peers'", path);
}

static int conformance_over(const char *name, bool is_https)
{
    struct s3_fixture f = {.case_idx = 0};
    const struct storage_conformance_setup setup = {
        .name = name,
        .open = s3_open,
        .open_again = s3_open_again,
        .open_missing = s3_open_missing,
        .open_refused = s3_open_refused,
        .arg = &f,
    };

    test_folder_make(f.folder);
    int failures = 1;
    if (test_s3_start(&f.server, f.folder, is_https)) {
        test_s3_bucket_make(&f.server, bucket);
        failures = storage_conformance_run(&setup);
    }
    test_s3_stop(&f.server);
    test_folder_remove(f.folder);
    return failures;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {TEST(test_versitygw_is_there)};
    char path[256];
    int failures = TEST_MAIN(tests);

    if (!test_peer_path("versitygw", path))
        return failures;
    return failures + conformance_over("s3 over http", false) +
           conformance_over("s3 over https", true);
}
