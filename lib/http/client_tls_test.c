/*
 * The HTTP client over TLS: a private authority is trusted when it is named, nobody else is, and
 * skip_verify means what it says. The server is openssl s_server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/client.h"
#include "lib/testing/server.h"
#include "lib/testing/test.h"

struct fixture {
    char folder[256];
    struct test_tls tls;
    struct test_process server;
    unsigned port;
    struct loop *loop;
};

static void fixture_make(struct fixture *f)
{
    struct error err = ERROR_INIT;
    char accept[16];
    char log_path[300];

    *f = (struct fixture){.server = TEST_PROCESS_INIT};
    test_folder_make(f->folder);
    test_tls_make(&f->tls, f->folder);
    f->port = test_port_free();
    (void)snprintf(accept, sizeof(accept), "%u", f->port);
    (void)snprintf(log_path, sizeof(log_path), "%s/server.log", f->folder);
    const char *const argv[] = {"openssl", "s_server",
                                "-quiet",  "-www",
                                "-accept", accept,
                                "-cert",   f->tls.server_cert_path,
                                "-key",    f->tls.server_key_path,
                                NULL};
    test_process_start(&f->server, argv, NULL, log_path);
    assert_true(test_port_wait(f->port, &f->server, 10 * NS_PER_SEC));
    assert_ok(loop_new(env_real(), 1, &f->loop, &err), &err);
}

static void fixture_drop(struct fixture *f)
{
    loop_free(f->loop);
    test_process_stop(&f->server);
    test_folder_remove(f->folder);
}

/* GET / of the server as host, with a client of this configuration. */
static int get(struct fixture *f, const struct http_client_config *config, const char *host,
               int *out_status, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(1 << 20);
    struct http_client *client = NULL;
    char url[128];

    (void)snprintf(url, sizeof(url), "https://%s:%u/", host, f->port);
    assert_ok(http_client_new(f->loop, config, &client, err), err);
    int rc = http_wait(
        client, &(struct http_request){.method = "GET", .url = url, .deadline_ns = 20 * NS_PER_SEC},
        out_status, &body, err);
    http_client_free(client);
    if (rc == 0)
        assert_non_null(strstr(buf_str(&body), "TLSv1"));
    return rc;
}

static void test_a_private_authority_is_trusted_when_it_is_named(void **state UNUSED)
{
    struct fixture f;
    struct error err = ERROR_INIT;
    int status = 0;
    fixture_make(&f);
    assert_ok(
        get(&f, &(struct http_client_config){.ca_file = f.tls.ca_path}, "127.0.0.1", &status, &err),
        &err);
    assert_int_equal(status, 200);
    fixture_drop(&f);
}

static void test_an_unknown_authority_is_refused(void **state UNUSED)
{
    struct fixture f;
    struct error err = ERROR_INIT;
    int status = 0;
    fixture_make(&f);
    assert_error(get(&f, &(struct http_client_config){.ca_file = NULL}, "127.0.0.1", &status, &err),
                 &err, ERR_ACCESS, "GET https://127.0.0.1:");
    assert_non_null(strstr(err.hint, "CA file"));
    assert_int_equal(status, 0);
    fixture_drop(&f);
}

static void test_a_certificate_for_another_host_is_refused(void **state UNUSED)
{
    struct fixture f;
    struct error err = ERROR_INIT;
    int status = 0;
    fixture_make(&f);
    /* 127.0.0.2 reaches the same server, but the certificate does not name it. */
    assert_error(
        get(&f, &(struct http_client_config){.ca_file = f.tls.ca_path}, "127.0.0.2", &status, &err),
        &err, ERR_ACCESS, "127.0.0.2");
    fixture_drop(&f);
}

static void test_skip_verify_trusts_everybody(void **state UNUSED)
{
    struct fixture f;
    struct error err = ERROR_INIT;
    int status = 0;
    fixture_make(&f);
    assert_ok(
        get(&f, &(struct http_client_config){.skip_verify = true}, "127.0.0.2", &status, &err),
        &err);
    assert_int_equal(status, 200);
    fixture_drop(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_private_authority_is_trusted_when_it_is_named),
        TEST(test_an_unknown_authority_is_refused),
        TEST(test_a_certificate_for_another_host_is_refused),
        TEST(test_skip_verify_trusts_everybody),
    };
    return TEST_MAIN(tests);
}
