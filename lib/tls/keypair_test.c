/*
 * Key pairs, and the authority that makes them: what is refused, who signed what, and that OpenSSL's
 * own verification, as an API server would do it, accepts the result.
 */
#include "lib/tls/keypair.h"

#include <stdio.h>
#include <string.h>

#include "lib/testing/server.h"
#include "lib/testing/test.h"
#include "lib/tls/authority.h"

#define NOW (UINT64_C(1800000000) * NS_PER_SEC)

static const char *const names[] = {"walferry.walferry-system.svc",
                                    "walferry.walferry-system.svc.cluster.local"};

struct pairs {
    struct tls_pem ca, server;
};

static void pairs_make(struct pairs *p)
{
    const struct tls_validity ca_life = {NOW, NOW + 1825 * NS_PER_DAY};
    const struct tls_validity life = {NOW, NOW + 90 * NS_PER_DAY};
    struct error err = ERROR_INIT;

    *p = (struct pairs){.ca = TLS_PEM_INIT, .server = TLS_PEM_INIT};
    assert_ok(tls_authority_make(env_real(), "walferry", &ca_life, &p->ca, &err), &err);
    assert_ok(
        tls_authority_sign(env_real(), &p->ca, names, ARRAY_LEN(names), &life, &p->server, &err),
        &err);
}

static void pairs_destroy(struct pairs *p)
{
    tls_pem_destroy(&p->ca);
    tls_pem_destroy(&p->server);
}

static struct tls_keypair *pair_parse(const struct tls_pem *pem)
{
    struct tls_keypair *k = NULL;
    struct error err = ERROR_INIT;

    assert_ok(tls_keypair_parse(buf_slice(&pem->cert), buf_slice(&pem->key), &k, &err), &err);
    return k;
}

static void test_a_signed_certificate_has_names_validity_and_issuer(void **state UNUSED)
{
    struct pairs p, other;
    pairs_make(&p);
    pairs_make(&other);
    struct tls_keypair *k = pair_parse(&p.server);

    assert_true(tls_keypair_has_name(k, names[0]));
    assert_true(tls_keypair_has_name(k, names[1]));
    assert_false(tls_keypair_has_name(k, "walferry.other.svc"));
    assert_int_equal(tls_keypair_not_after_ns(k), NOW + 90 * NS_PER_DAY);
    assert_int_equal(tls_keypair_not_before_ns(k), NOW - 5 * NS_PER_MIN);
    assert_true(tls_keypair_is_signed_by(k, buf_slice(&p.ca.cert)));
    /* Another authority of the same name has not signed it. */
    assert_false(tls_keypair_is_signed_by(k, buf_slice(&other.ca.cert)));
    assert_false(tls_keypair_is_signed_by(k, SLICE_LIT("nonsense")));
    assert_false(tls_keypair_is_signed_by(k, SLICE_EMPTY));
    struct error err = ERROR_INIT;
    assert_ok(buf_append_slice(&other.ca.cert, buf_slice(&p.ca.cert), &err), &err);
    assert_true(tls_keypair_is_signed_by(k, buf_slice(&other.ca.cert)));
    tls_keypair_free(k);
    pairs_destroy(&p);
    pairs_destroy(&other);
}

static void test_a_bundle_lasts_as_long_as_its_last_certificate(void **state UNUSED)
{
    struct pairs p;
    struct error err = ERROR_INIT;
    uint64_t ns = 0;
    pairs_make(&p);

    assert_ok(tls_bundle_expiry(buf_slice(&p.server.cert), &ns, &err), &err);
    assert_int_equal(ns, NOW + 90 * NS_PER_DAY);
    assert_ok(buf_append_slice(&p.server.cert, buf_slice(&p.ca.cert), &err), &err);
    assert_ok(tls_bundle_expiry(buf_slice(&p.server.cert), &ns, &err), &err);
    assert_int_equal(ns, NOW + 1825 * NS_PER_DAY);
    assert_error(tls_bundle_expiry(SLICE_LIT("nonsense"), &ns, &err), &err, ERR_CORRUPT,
                 "no certificate in PEM form");
    assert_error(tls_bundle_expiry(SLICE_EMPTY, &ns, &err), &err, ERR_CORRUPT, "no certificate");
    pairs_destroy(&p);
}

static void test_openssl_verifies_the_chain_for_a_server(void **state UNUSED)
{
    char folder[256], ca[300], server[300], moment[32];
    struct pairs p;
    pairs_make(&p);
    test_folder_make(folder);
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", folder);
    (void)snprintf(server, sizeof(server), "%s/tls.crt", folder);
    (void)snprintf(moment, sizeof(moment), "%llu", (unsigned long long)(NOW / NS_PER_SEC + 60));
    test_file_write(ca, buf_slice(&p.ca.cert));
    test_file_write(server, buf_slice(&p.server.cert));
    const char *const argv[] = {
        "openssl",          "verify", "-x509_strict", "-attime", moment, "-purpose", "sslserver",
        "-verify_hostname", names[0], "-CAfile",      ca,        server, NULL};
    char log_path[300];
    (void)snprintf(log_path, sizeof(log_path), "%s/log", folder);
    free(test_process_run(argv, NULL, log_path, 20 * NS_PER_SEC, 0));
    test_folder_remove(folder);
    pairs_destroy(&p);
}

static void test_a_certificate_never_outlives_its_authority(void **state UNUSED)
{
    const struct tls_validity life = {NOW, NOW + 9999 * NS_PER_DAY};
    struct tls_pem pem = TLS_PEM_INIT;
    struct error err = ERROR_INIT;
    struct pairs p;
    pairs_make(&p);

    assert_ok(tls_authority_sign(env_real(), &p.ca, names, 1, &life, &pem, &err), &err);
    struct tls_keypair *k = pair_parse(&pem);
    assert_int_equal(tls_keypair_not_after_ns(k), NOW + 1825 * NS_PER_DAY);
    tls_keypair_free(k);
    tls_pem_destroy(&pem);
    pairs_destroy(&p);
}

static void test_names_that_are_none_are_refused(void **state UNUSED)
{
    static const char *const rows[] = {"", "a,DNS:b", "a b", "IP:1.2.3.4"};
    const struct tls_validity life = {NOW, NOW + NS_PER_DAY};
    struct pairs p;
    pairs_make(&p);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_pem pem = TLS_PEM_INIT;
        struct error err = ERROR_INIT;
        test_row(rows[i]);
        assert_error(tls_authority_sign(env_real(), &p.ca, &rows[i], 1, &life, &pem, &err), &err,
                     ERR_CORRUPT, "is not a DNS name");
        tls_pem_destroy(&pem);
    }
    struct tls_pem pem = TLS_PEM_INIT;
    struct error err = ERROR_INIT;
    assert_error(tls_authority_sign(env_real(), &p.ca, rows, 0, &life, &pem, &err), &err, ERR_LIMIT,
                 "0 DNS names");
    tls_pem_destroy(&pem);
    pairs_destroy(&p);
}

static void test_what_is_no_pair_is_refused(void **state UNUSED)
{
    struct pairs p, other;
    pairs_make(&p);
    pairs_make(&other);
    const struct slice cert = buf_slice(&p.server.cert), key = buf_slice(&p.server.key);
    const struct {
        const char *name;
        struct slice cert, key;
        const char *error;
    } rows[] = {
        {"nothing", SLICE_EMPTY, SLICE_EMPTY, "there is no certificate"},
        {"no key", cert, SLICE_EMPTY, "private key"},
        {"key only", key, key, "there is no certificate"},
        {"another's key", cert, buf_slice(&other.server.key), "is not that of the certificate"},
        {"cut certificate", slice_sub(cert, 0, cert.n / 2), key, "certificate"},
        {"cut key", cert, slice_sub(key, 0, key.n / 2), "private key"},
        {"text", SLICE_LIT("hello"), key, "there is no certificate"},
        {"empty block", SLICE_LIT("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), key,
         "certificate"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_keypair *k = NULL;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        assert_error(tls_keypair_parse(rows[i].cert, rows[i].key, &k, &err), &err, ERR_CORRUPT,
                     rows[i].error);
        assert_null(k);
    }
    pairs_destroy(&p);
    pairs_destroy(&other);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_signed_certificate_has_names_validity_and_issuer),
        TEST(test_a_bundle_lasts_as_long_as_its_last_certificate),
        TEST(test_openssl_verifies_the_chain_for_a_server),
        TEST(test_a_certificate_never_outlives_its_authority),
        TEST(test_names_that_are_none_are_refused),
        TEST(test_what_is_no_pair_is_refused),
    };
    return TEST_MAIN(tests);
}
