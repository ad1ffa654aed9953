/*
 * The operator's own certificates against an API server: made when nothing is there, shared by
 * replicas, published, repaired; and certificates in files. Waiting is for a condition, by turns of
 * the loop.
 */
#include "controller/webhook/authority.h"

#include "controller/kube/kube_scene.h"
#include "controller/webhook/files.h"
#include "controller/webhook/rotation.h"

static const char secret_path[] = "/api/v1/namespaces/ops/secrets/walferry-webhook";
static const char mutating_path[] =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/walferry";
static const char mutating[] =
    "{\"kind\":\"MutatingWebhookConfiguration\",\"metadata\":{\"name\":\"walferry\"},\"webhooks\":["
    "{\"name\":\"pods.walferry.dev\",\"clientConfig\":{\"service\":{\"name\":\"walferry\"}}},"
    "{\"name\":\"jobs.walferry.dev\",\"clientConfig\":{\"service\":{\"name\":\"walferry\"}}}]}";
static const char *const names[] = {"walferry.ops.svc"};

/* One replica of the operator. */
struct replica {
    struct tls_identity *identity;
    struct authority *authority;
    unsigned rotated_count;
};

static void on_rotated(void *arg, const char *step UNUSED)
{
    struct replica *r = arg;
    r->rotated_count++;
}

static void replica_start(struct kube_scene *s, struct replica *r)
{
    static const struct authority_target targets[] = {{&kube_mutating_webhooks, "walferry"},
                                                      {&kube_validating_webhooks, "walferry"}};
    const struct authority_config config = {.client = s->client,
                                            .namespace_name = "ops",
                                            .secret_name = "walferry-webhook",
                                            .dns_names = names,
                                            .name_count = ARRAY_LEN(names),
                                            .targets = targets,
                                            .target_count = ARRAY_LEN(targets),
                                            .log = &s->log,
                                            .look_ns = 2 * NS_PER_MS,
                                            .on_rotated = on_rotated,
                                            .arg = r};
    struct authority_config c = config;
    struct error err = ERROR_INIT;

    *r = (struct replica){.rotated_count = 0};
    assert_ok(tls_identity_new(&r->identity, &err), &err);
    c.identity = r->identity;
    assert_ok(authority_start(s->loop, &c, &r->authority, &err), &err);
}

static void replica_stop(struct replica *r)
{
    authority_free(r->authority);
    tls_identity_free(r->identity);
}

/* Turns the loop until the condition holds. */
static void turn_until(struct kube_scene *s, bool (*is_true)(void *arg), void *arg)
{
    uint64_t begin_ns = env_monotonic_ns(env_real());

    while (!is_true(arg)) {
        assert_true(loop_turn(s->loop));
        if (env_monotonic_ns(env_real()) - begin_ns > 60 * NS_PER_SEC)
            fail_msg("it never came true");
    }
}

static bool is_ready(void *arg)
{
    struct replica *r = arg;
    return authority_is_ready(r->authority);
}

/* The Secret as the API server has it. */
static void secret_read(struct kube_scene *s, struct rotation *out)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(mem_free) char *text = kube_server_get(s->server, secret_path);
    struct error err = ERROR_INIT;

    assert_non_null(text);
    assert_ok(jsonval_parse(&doc, "secret", slice_of_str(text), &err), &err);
    assert_ok(rotation_read(jsonval_get(jsonval_root(&doc), "data"), out, &err), &err);
}

/* Whether both webhooks have the bundle of the Secret. */
static bool bundle_is_published(struct kube_scene *s)
{
    CLEANUP(rotation_destroy) struct rotation r = ROTATION_INIT;
    CLEANUP(buf_destroy) struct buf bundle = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf base64 = BUF_INIT(1 << 20);
    CLEANUP(mem_free) char *text = kube_server_get(s->server, mutating_path);
    struct error err = ERROR_INIT;

    secret_read(s, &r);
    assert_ok(rotation_bundle(&r, &bundle, &err), &err);
    assert_ok(base64_encode(buf_slice(&bundle), &base64, &err), &err);
    const char *first = strstr(text, buf_str(&base64));
    return first && strstr(first + 1, buf_str(&base64));
}

static void test_certificates_are_made_served_and_published(void **state UNUSED)
{
    CLEANUP(rotation_destroy) struct rotation kept = ROTATION_INIT;
    struct kube_scene s;
    struct replica r;
    kube_scene_make(&s, false);
    kube_server_put(s.server, mutating_path, mutating);

    replica_start(&s, &r);
    assert_false(authority_is_ready(r.authority));
    turn_until(&s, is_ready, &r);
    assert_true(bundle_is_published(&s));
    secret_read(&s, &kept);
    const struct tls_keypair *k = tls_identity_get(r.identity);
    assert_true(tls_keypair_has_name(k, names[0]));
    assert_true(tls_keypair_is_signed_by(k, buf_slice(&kept.ca.cert)));
    assert_int_equal(r.rotated_count, 1);
    /* Nothing is written while nothing is due: no validating configuration is there, either. */
    unsigned writes = kube_server_requests(s.server, "PUT /") +
                      kube_server_requests(s.server, "PATCH /") +
                      kube_server_requests(s.server, "POST /");
    assert_int_equal(writes, 2);
    replica_stop(&r);
    kube_scene_drop(&s);
}

struct pair {
    struct replica *a, *b;
};

static bool both_are_ready(void *arg)
{
    struct pair *p = arg;
    return authority_is_ready(p->a->authority) && authority_is_ready(p->b->authority);
}

static void test_replicas_agree_on_one_authority(void **state UNUSED)
{
    CLEANUP(rotation_destroy) struct rotation kept = ROTATION_INIT;
    struct kube_scene s;
    struct replica a, b;
    kube_scene_make(&s, false);
    kube_server_put(s.server, mutating_path, mutating);

    replica_start(&s, &a);
    replica_start(&s, &b);
    turn_until(&s, both_are_ready, &(struct pair){&a, &b});
    secret_read(&s, &kept);
    assert_true(tls_keypair_is_signed_by(tls_identity_get(a.identity), buf_slice(&kept.ca.cert)));
    assert_true(tls_keypair_is_signed_by(tls_identity_get(b.identity), buf_slice(&kept.ca.cert)));
    assert_true(bundle_is_published(&s));
    replica_stop(&a);
    replica_stop(&b);
    kube_scene_drop(&s);
}

struct repair {
    struct kube_scene *s;
    struct replica *r;
    const struct tls_keypair *before;
};

static bool secret_is_back(void *arg)
{
    struct repair *x = arg;
    char *text = kube_server_get(x->s->server, secret_path);
    bool is_back = text != NULL;

    free(text);
    return is_back && tls_identity_get(x->r->identity) != x->before && bundle_is_published(x->s);
}

static bool is_published_again(void *arg)
{
    struct repair *x = arg;
    return bundle_is_published(x->s);
}

static void test_what_is_deleted_or_reset_is_repaired(void **state UNUSED)
{
    struct kube_scene s;
    struct replica r;
    kube_scene_make(&s, false);
    kube_server_put(s.server, mutating_path, mutating);

    replica_start(&s, &r);
    turn_until(&s, is_ready, &r);
    struct repair x = {&s, &r, tls_identity_get(r.identity)};
    kube_server_delete(s.server, secret_path);
    turn_until(&s, secret_is_back, &x);
    kube_server_put(s.server, mutating_path, mutating); /* as `helm upgrade` does */
    assert_false(bundle_is_published(&s));
    turn_until(&s, is_published_again, &x);
    replica_stop(&r);
    kube_scene_drop(&s);
}

/* Whether everybody who trusts the bundle that the API server has been told accepts what is served. */
static void assert_served_is_trusted(struct kube_scene *s, const struct replica *r)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf bundle = BUF_INIT(1 << 20);
    CLEANUP(mem_free) char *text = kube_server_get(s->server, mutating_path);
    const char *base64;
    struct error err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "configuration", slice_of_str(text), &err), &err);
    struct jsonval first = jsonval_first(jsonval_get(jsonval_root(&doc), "webhooks"));
    assert_ok(jsonval_str(jsonval_way(first, "clientConfig.caBundle"), &base64, &err), &err);
    assert_ok(base64_decode(slice_of_str(base64), &bundle, &err), &err);
    assert_true(tls_keypair_is_signed_by(tls_identity_get(r->identity), buf_slice(&bundle)));
}

static void test_a_deleted_secret_costs_no_admission(void **state UNUSED)
{
    CLEANUP(rotation_destroy) struct rotation first = ROTATION_INIT;
    CLEANUP(rotation_destroy) struct rotation second = ROTATION_INIT;
    struct kube_scene s;
    struct replica a, b;
    kube_scene_make(&s, false);
    kube_server_put(s.server, mutating_path, mutating);

    replica_start(&s, &a);
    replica_start(&s, &b);
    turn_until(&s, both_are_ready, &(struct pair){&a, &b});
    secret_read(&s, &first);
    struct repair x = {&s, &a, tls_identity_get(a.identity)};
    struct repair y = {&s, &b, tls_identity_get(b.identity)};
    kube_server_delete(s.server, secret_path);
    while (!secret_is_back(&x) || !secret_is_back(&y)) {
        assert_true(loop_turn(s.loop));
        assert_served_is_trusted(&s, &a);
        assert_served_is_trusted(&s, &b);
    }
    secret_read(&s, &second);
    assert_false(slice_eq(buf_slice(&first.ca.cert), buf_slice(&second.ca.cert)));
    assert_true(slice_eq(buf_slice(&first.ca.cert), buf_slice(&second.old.cert)));
    assert_true(tls_keypair_is_signed_by(tls_identity_get(a.identity), buf_slice(&second.ca.cert)));
    replica_stop(&a);
    replica_stop(&b);
    kube_scene_drop(&s);
}

static void test_a_secret_of_nonsense_is_made_anew(void **state UNUSED)
{
    struct kube_scene s;
    struct replica r;
    kube_scene_make(&s, false);
    kube_server_put(s.server, mutating_path, mutating);
    kube_server_put(s.server, secret_path,
                    "{\"metadata\":{\"name\":\"walferry-webhook\"},\"data\":{\"ca.crt\":\"%%\","
                    "\"tls.crt\":\"aGVsbG8=\"}}");

    replica_start(&s, &r);
    turn_until(&s, is_ready, &r);
    assert_true(bundle_is_published(&s));
    replica_stop(&r);
    kube_scene_drop(&s);
}

static void test_an_api_server_that_fails_is_asked_again(void **state UNUSED)
{
    struct kube_scene s;
    struct replica r;
    kube_scene_make(&s, false);
    kube_server_put(s.server, mutating_path, mutating);
    s.log.level = LOG_LEVEL_ERROR;
    kube_server_faults(
        s.server, &(struct kube_faults){.fail_count = 3, .fail_part = "/", .fail_status = 500});

    replica_start(&s, &r);
    turn_until(&s, is_ready, &r);
    assert_true(bundle_is_published(&s));
    replica_stop(&r);
    kube_scene_drop(&s);
}

/* ---- files ---- */

static void pem_make(struct rotation *r)
{
    struct error err = ERROR_INIT;

    *r = (struct rotation)ROTATION_INIT;
    assert_ok(rotation_do(ROTATION_MAKE, env_real(), names, 1, env_wall_ns(env_real()), r, &err),
              &err);
}

struct watched {
    struct tls_identity *identity;
    const struct rotation *wanted;
};

static bool is_served(void *arg)
{
    struct watched *w = arg;
    const struct tls_keypair *k = tls_identity_get(w->identity);

    return k && tls_keypair_is_signed_by(k, buf_slice(&w->wanted->ca.cert));
}

static void test_files_are_served_and_followed(void **state UNUSED)
{
    struct kube_scene s;
    struct rotation first, second;
    struct files *files = NULL;
    struct error err = ERROR_INIT;
    char cert[300], key[300];
    kube_scene_make(&s, false);
    pem_make(&first);
    pem_make(&second);
    (void)snprintf(cert, sizeof(cert), "%s/tls.crt", s.folder);
    (void)snprintf(key, sizeof(key), "%s/tls.key", s.folder);
    struct watched w = {.wanted = &first};
    assert_ok(tls_identity_new(&w.identity, &err), &err);
    struct files_config config = {.cert_path = cert,
                                  .key_path = key,
                                  .identity = w.identity,
                                  .log = &s.log,
                                  .look_ns = 2 * NS_PER_MS};

    assert_ok(files_start(s.loop, &config, &files, &err), &err);
    assert_null(tls_identity_get(w.identity)); /* not there yet, and no reason to end */
    test_file_write(key, buf_slice(&first.server.key));
    test_file_write(cert, buf_slice(&first.server.cert));
    turn_until(&s, is_served, &w);
    /* A certificate without its key is not served; with it, it is. */
    test_file_write(cert, buf_slice(&second.server.cert));
    for (int i = 0; i < 3; i++)
        (void)loop_turn(s.loop);
    assert_true(is_served(&w));
    test_file_write(key, buf_slice(&second.server.key));
    w.wanted = &second;
    turn_until(&s, is_served, &w);
    files_free(files);
    tls_identity_free(w.identity);
    rotation_destroy(&first);
    rotation_destroy(&second);
    kube_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_certificates_are_made_served_and_published),
        TEST(test_replicas_agree_on_one_authority),
        TEST(test_what_is_deleted_or_reset_is_repaired),
        TEST(test_a_deleted_secret_costs_no_admission),
        TEST(test_a_secret_of_nonsense_is_made_anew),
        TEST(test_an_api_server_that_fails_is_asked_again),
        TEST(test_files_are_served_and_followed),
    };
    return TEST_MAIN(tests);
}
