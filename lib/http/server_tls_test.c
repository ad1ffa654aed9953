/*
 * The server over TLS with an identity: a key pair that is replaced is what the next handshake
 * gets, connections that are there go on, and without one there is no handshake.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/server.h"
#include "lib/testing/server.h"
#include "lib/testing/test.h"
#include "lib/tls/tls.h"

enum {
    BODY_BYTES_MAX = 4 << 20,
};

/* Longer than what libwebsockets would wait by itself. */
static const uint64_t idle_ns = 6 * NS_PER_SEC;

static const char *const names[] = {"localhost"};

struct fixture {
    char folder[256];
    struct loop *loop;
    struct tls_identity *identity;
    struct http_server *server;
    char url[64];
    unsigned request_count;
};

static void on_size(void *arg, struct http_server_request *request)
{
    struct fixture *f = arg;

    f->request_count++;
    http_server_respond_text(request, 200, "%zu", http_server_request_body(request).n);
}

static void on_hello(void *arg, struct http_server_request *request)
{
    struct fixture *f = arg;

    f->request_count++;
    http_server_respond_text(request, 200, "hello");
}

static const struct http_route routes[] = {{"GET", "/hello", on_hello}, {"POST", "/size", on_size}};

static void fixture_make(struct fixture *f)
{
    struct http_server_config config = {
        .listener_count = 1, .body_bytes_max = BODY_BYTES_MAX, .idle_timeout_ns = idle_ns};
    struct error err = ERROR_INIT;

    *f = (struct fixture){.request_count = 0};
    test_folder_make(f->folder);
    assert_ok(loop_new(env_real(), 1, &f->loop, &err), &err);
    assert_ok(tls_identity_new(&f->identity, &err), &err);
    config.listeners[0] = (struct http_listener){.address = "127.0.0.1",
                                                 .identity = f->identity,
                                                 .routes = routes,
                                                 .route_count = ARRAY_LEN(routes),
                                                 .arg = f};
    assert_ok(http_server_new(f->loop, &config, &f->server, &err), &err);
    (void)snprintf(f->url, sizeof(f->url), "https://localhost:%u/hello",
                   http_server_port(f->server, 0));
}

static void fixture_drop(struct fixture *f)
{
    http_server_free(f->server);
    loop_run(f->loop);
    tls_identity_free(f->identity);
    loop_free(f->loop);
    test_folder_remove(f->folder);
}

/* Gives the server a key pair of a new authority, whose certificate is written to ca_path. */
static void identity_renew(struct fixture *f, const char *name, char ca_path[static 300])
{
    uint64_t now = env_wall_ns(env_real());
    const struct tls_validity life = {now, now + NS_PER_DAY};
    struct tls_pem ca = TLS_PEM_INIT, server = TLS_PEM_INIT;
    struct tls_keypair *k = NULL;
    struct error err = ERROR_INIT;

    assert_ok(tls_authority_make(env_real(), name, &life, &ca, &err), &err);
    assert_ok(tls_authority_sign(env_real(), &ca, names, 1, &life, &server, &err), &err);
    assert_ok(tls_keypair_parse(buf_slice(&server.cert), buf_slice(&server.key), &k, &err), &err);
    tls_identity_set(f->identity, k);
    (void)snprintf(ca_path, 300, "%s/%s.crt", f->folder, name);
    test_file_write(ca_path, buf_slice(&ca.cert));
    tls_pem_destroy(&ca);
    tls_pem_destroy(&server);
}

static int get(struct fixture *f, struct http_client *client, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(1024);
    const struct http_request request = {
        .method = "GET", .url = f->url, .deadline_ns = 20 * NS_PER_SEC};
    int status = 0;

    int rc = http_wait(client, &request, &status, &body, err);
    if (rc == 0) {
        assert_int_equal(status, 200);
        assert_string_equal(buf_str(&body), "hello\n");
    }
    return rc;
}

static struct http_client *client_make(struct fixture *f, const char *ca_path)
{
    const struct http_client_config config = {.ca_file = ca_path, .connections_max = 1};
    struct http_client *client = NULL;
    struct error err = ERROR_INIT;

    assert_ok(http_client_new(f->loop, &config, &client, &err), &err);
    return client;
}

static void test_a_replaced_key_pair_is_served_and_connections_go_on(void **state UNUSED)
{
    char first_ca[300], second_ca[300];
    struct fixture f;
    struct error err = ERROR_INIT;

    fixture_make(&f);
    identity_renew(&f, "first", first_ca);
    struct http_client *old = client_make(&f, first_ca);
    assert_ok(get(&f, old, &err), &err);
    assert_int_equal(http_server_connection_count(f.server), 1);
    identity_renew(&f, "second", second_ca);
    /* The connection of before is used again: a new handshake would not be trusted. */
    assert_ok(get(&f, old, &err), &err);
    assert_int_equal(http_server_connection_count(f.server), 1);
    struct http_client *fresh = client_make(&f, second_ca);
    assert_ok(get(&f, fresh, &err), &err);
    struct http_client *late = client_make(&f, first_ca);
    assert_error(get(&f, late, &err), &err, ERR_ACCESS, "");
    assert_int_equal(f.request_count, 3);
    http_client_free(late);
    http_client_free(fresh);
    http_client_free(old);
    fixture_drop(&f);
}

static void test_without_a_key_pair_there_is_no_handshake(void **state UNUSED)
{
    char ca[300];
    struct fixture f;
    struct error err = ERROR_INIT;

    fixture_make(&f);
    struct http_client *client = client_make(&f, NULL);
    assert_int_equal(get(&f, client, &err), -1);
    assert_true(tls_identity_refused_count(f.identity) > 0);
    assert_int_equal(f.request_count, 0);
    http_client_free(client);
    identity_renew(&f, "first", ca);
    client = client_make(&f, ca);
    assert_ok(get(&f, client, &err), &err);
    http_client_free(client);
    fixture_drop(&f);
}

static void test_bodies_of_every_size_arrive_whole(void **state UNUSED)
{
    static const size_t sizes[] = {0,     1,     4095,  4096,  4097,   16383,         16384,
                                   16385, 20480, 65535, 65536, 524288, BODY_BYTES_MAX};
    CLEANUP(buf_destroy) struct buf big = BUF_INIT(BODY_BYTES_MAX);
    char ca[300], url[128], wanted[32];
    struct fixture f;
    struct error err = ERROR_INIT;
    uint8_t *p = NULL;

    fixture_make(&f);
    identity_renew(&f, "first", ca);
    struct http_client *client = client_make(&f, ca);
    assert_ok(buf_extend(&big, BODY_BYTES_MAX, &p, &err), &err);
    memset(p, 'x', BODY_BYTES_MAX);
    (void)snprintf(url, sizeof(url), "https://localhost:%u/size", http_server_port(f.server, 0));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CLEANUP(buf_destroy) struct buf body = BUF_INIT(1024);
        const struct http_request request = {.method = "POST",
                                             .url = url,
                                             .body_slice = slice_of(p, sizes[i]),
                                             .has_body = true,
                                             .deadline_ns = 20 * NS_PER_SEC};
        int status = 0;
        (void)snprintf(wanted, sizeof(wanted), "%zu\n", sizes[i]);
        test_row(wanted);
        assert_ok(http_wait(client, &request, &status, &body, &err), &err);
        assert_string_equal(buf_str(&body), wanted);
    }
    assert_int_equal(http_server_connection_count(f.server), 1);
    http_client_free(client);
    fixture_drop(&f);
}

static bool is_empty(void *arg)
{
    struct fixture *f = arg;

    (void)loop_turn(f->loop);
    return http_server_connection_count(f->server) == 0;
}

static void test_an_idle_connection_lives_as_long_as_is_configured(void **state UNUSED)
{
    const struct env *env = env_real();
    char ca[300];
    struct fixture f;
    struct error err = ERROR_INIT;

    fixture_make(&f);
    identity_renew(&f, "first", ca);
    struct http_client *client = client_make(&f, ca);
    assert_ok(get(&f, client, &err), &err);
    uint64_t begin_ns = env_monotonic_ns(env);
    assert_true(test_wait_until(is_empty, &f, 60 * NS_PER_SEC));
    assert_true(env_monotonic_ns(env) - begin_ns >= idle_ns - 100 * NS_PER_MS);
    http_client_free(client);
    fixture_drop(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_replaced_key_pair_is_served_and_connections_go_on),
        TEST(test_without_a_key_pair_there_is_no_handshake),
        TEST(test_bodies_of_every_size_arrive_whole),
        TEST(test_an_idle_connection_lives_as_long_as_is_configured),
    };
    return TEST_MAIN(tests);
}
