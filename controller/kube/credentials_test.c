/*
 * Credentials that change while they are in use; and who we are to a server that asks over TLS.
 */
#include "controller/kube/credentials.h"

#include <unistd.h>

#include "controller/kube/kube_scene.h"

static void on_never(void *arg UNUSED, const struct credentials_view *view UNUSED,
                     const struct error *err UNUSED)
{
    fail_msg("files do not have to be waited for");
}

static void view_get(struct credentials *c, struct credentials_view *out)
{
    struct error err = ERROR_INIT;

    assert_int_equal(credentials_get(c, out, on_never, NULL, &err), 1);
}

static void test_credentials_are_read_again_when_files_change(void **state UNUSED)
{
    char folder[256], token[300], ca[300], staged[300];
    struct loop *loop;
    struct credentials *c;
    struct credentials_view view;
    struct error err = ERROR_INIT;
    test_folder_make(folder);
    assert_ok(loop_new(env_real(), 1, &loop, &err), &err);
    (void)snprintf(token, sizeof(token), "%s/token", folder);
    (void)snprintf(ca, sizeof(ca), "%s/ca", folder);
    (void)snprintf(staged, sizeof(staged), "%s/staged", folder);
    struct kube_config config = {.token_file = token, .ca_file = ca};

    assert_error(credentials_new(loop, &config, &c, &err), &err, ERR_NOT_FOUND, "credentials: ");
    test_file_write(token, SLICE_LIT("one\n"));
    test_file_write(ca, SLICE_LIT("CA 1\n"));
    assert_ok(credentials_new(loop, &config, &c, &err), &err);
    view_get(c, &view);
    assert_string_equal(view.authorization, "Bearer one");
    assert_string_equal(view.ca_pem, "CA 1");
    uint64_t generation = view.tls_generation;

    /* Replaced by a rename, as the kubelet does it. */
    test_file_write(staged, SLICE_LIT("two"));
    assert_int_equal(rename(staged, token), 0);
    assert_true(credentials_refused(c)); /* does not wait for the next look */
    view_get(c, &view);
    assert_string_equal(view.authorization, "Bearer two");
    assert_int_equal(view.tls_generation, generation);
    test_file_write(ca, SLICE_LIT("CA 2"));
    assert_true(credentials_refused(c));
    view_get(c, &view);
    assert_string_equal(view.ca_pem, "CA 2");
    assert_true(view.tls_generation > generation);

    /* Gone or empty: what was there stays in use. */
    test_file_write(token, SLICE_LIT("\n"));
    assert_int_equal(unlink(ca), 0);
    assert_true(credentials_refused(c));
    view_get(c, &view);
    assert_string_equal(view.authorization, "Bearer two");
    assert_string_equal(view.ca_pem, "CA 2");
    credentials_free(c);
    loop_free(loop);
    test_folder_remove(folder);
}

static void test_credentials_of_a_plugin_must_be_whole(void **state UNUSED)
{
    static const char v1[] = "client.authentication.k8s.io/v1";
    static const struct {
        const char *name, *status, *what;
    } rows[] = {
        {"a token", "{\"token\":\"t\",\"expirationTimestamp\":\"2026-11-26T09:00:00Z\"}", NULL},
        {"a certificate", "{\"clientCertificateData\":\"C\",\"clientKeyData\":\"K\"}", NULL},
        {"nothing", "{}", "neither a token nor a certificate"},
        {"a certificate without key", "{\"clientCertificateData\":\"C\"}", "belong together"},
        {"a token of two lines", "{\"token\":\"a\\nHost: x\"}", "more than one line"},
        {"a strange moment", "{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}", "not a moment"},
        {"a number", "{\"token\":7}", "expected a string"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct exec_credential c = {.token = NULL};
        struct error err = ERROR_INIT;
        char text[512];
        test_row(rows[i].name);
        (void)snprintf(text, sizeof(text),
                       "{\"kind\":\"ExecCredential\",\"apiVersion\":\"%s\",\"status\":%s}", v1,
                       rows[i].status);
        int rc = exec_credential_parse(slice_of_str(text), v1, &c, &err);
        if (rows[i].what)
            assert_error(rc, &err, ERR_CORRUPT, rows[i].what);
        else
            assert_ok(rc, &err);
        exec_credential_destroy(&c);
    }
    struct exec_credential c;
    struct error err = ERROR_INIT;
    assert_error(exec_credential_parse(SLICE_LIT("{\"kind\":\"ExecCredential\",\"apiVersion\":"
                                                 "\"client.authentication.k8s.io/v1beta1\"}"),
                                       v1, &c, &err),
                 &err, ERR_CORRUPT, "expected ExecCredential of client.authentication.k8s.io/v1");
}

static int version_get(struct kube_scene *s, struct error *err)
{
    return kube_wait(s->client, &(struct kube_call){.verb = KUBE_RAW, .raw_path = "/version"}, NULL,
                     NULL, err);
}

static void config_set(char **out, const char *text)
{
    struct error err = ERROR_INIT;

    free(*out);
    *out = text ? str_dup(text, &err) : NULL;
}

static void test_client_shows_its_certificate_when_asked(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    char peer[256];
    kube_scene_make(&s, true);

    assert_ok(version_get(&s, &err), &err);
    kube_server_last_peer(s.server, peer);
    assert_string_equal(peer, "");
    config_set(&s.config.cert_file, kube_server_client_cert(s.server));
    config_set(&s.config.key_file, kube_server_client_key(s.server));
    kube_scene_client(&s);
    assert_ok(version_get(&s, &err), &err);
    kube_server_last_peer(s.server, peer);
    assert_string_equal(peer, "/CN=localhost");
    kube_scene_drop(&s);
}

static void test_client_verifies_the_name_it_was_told(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    char host[512];
    kube_scene_make(&s, true);

    config_set(&s.config.tls_server_name, "localhost");
    kube_scene_client(&s);
    assert_ok(version_get(&s, &err), &err);
    /* The request is for the real host nevertheless. */
    kube_server_last_header(s.server, "Host", host);
    assert_string_equal(host, kube_server_url(s.server) + strlen("https://"));
    config_set(&s.config.tls_server_name, "elsewhere.example");
    kube_scene_client(&s);
    assert_error(version_get(&s, &err), &err, ERR_ACCESS, "get /version: GET https://127.0.0.1:");
    /* Not even then is a name wrong when the file says so. */
    s.config.skip_verify = true;
    kube_scene_client(&s);
    assert_ok(version_get(&s, &err), &err);
    kube_scene_drop(&s);
}

static void test_client_trusts_no_other_authority(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    kube_scene_make(&s, true);

    config_set(&s.config.ca_file, NULL);
    kube_scene_client(&s);
    assert_error(version_get(&s, &err), &err, ERR_ACCESS, "get /version");
    assert_non_null(strstr(err.hint, "authority"));
    kube_scene_drop(&s);
}

static void test_client_refuses_a_key_that_does_not_fit(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    struct kube_client *client;
    kube_scene_make(&s, true);

    config_set(&s.config.cert_file, kube_server_ca(s.server));
    config_set(&s.config.key_file, kube_server_client_key(s.server));
    assert_error(
        kube_client_new(s.loop, &(struct kube_client_config){.config = &s.config}, &client, &err),
        &err, ERR_USAGE, "client key does not belong to the client certificate");
    config_set(&s.config.key_file, kube_server_ca(s.server));
    assert_error(
        kube_client_new(s.loop, &(struct kube_client_config){.config = &s.config}, &client, &err),
        &err, ERR_USAGE, "no (unencrypted) private key");
    kube_scene_drop(&s);
}

static void test_client_goes_through_its_proxy(void **state UNUSED)
{
    struct kube_scene s;
    struct error err = ERROR_INIT;
    kube_scene_make(&s, false);

    config_set(&s.config.proxy_url, kube_server_url(s.server));
    config_set(&s.config.server, "http://api.example:6443");
    kube_scene_client(&s);
    /* The server is no proxy: that it was asked for another host is all it can tell. */
    assert_error(version_get(&s, &err), &err, ERR_NOT_FOUND, "404");
    assert_int_equal(kube_server_requests(s.server, "GET http://api.example:6443/version"), 1);
    kube_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_credentials_are_read_again_when_files_change),
        TEST(test_credentials_of_a_plugin_must_be_whole),
        TEST(test_client_shows_its_certificate_when_asked),
        TEST(test_client_verifies_the_name_it_was_told),
        TEST(test_client_trusts_no_other_authority),
        TEST(test_client_refuses_a_key_that_does_not_fit),
        TEST(test_client_goes_through_its_proxy),
    };
    return TEST_MAIN(tests);
}
