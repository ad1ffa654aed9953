/*
 * Certificate chains and keys by OpenSSL's PEM readers.
 */
#include "lib/tls/keypair.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/tls/keypair_internal.h"

/* ---- shared ---- */

int tls_error(struct error *err, enum error_code code, const char *fmt, ...)
{
    unsigned long reason = ERR_peek_last_error();
    char text[160] = "";
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* cut when long */
    va_end(ap);
    const char *why = reason ? ERR_reason_error_string(reason) : NULL;
    bool has_no_memory = ERR_GET_REASON(reason) == ERR_R_MALLOC_FAILURE;
    (void)error_set(err, has_no_memory ? ERR_NO_MEMORY : code, 0, "%s%s%s", text, why ? ": " : "",
                    why ? why : "");
    ERR_clear_error();
    return -1;
}

void tls_bio_free(BIO **bio)
{
    BIO_free_all(*bio);
}

void tls_cert_free(X509 **cert)
{
    X509_free(*cert);
}

void tls_key_free(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

/* Nobody is asked for the password of an encrypted key. */
static int no_password(char *out UNUSED, int size UNUSED, int rw UNUSED, void *arg UNUSED)
{
    return -1;
}

int tls_cert_next(BIO *pem, X509 **out, struct error *err)
{
    *out = PEM_read_bio_X509(pem, NULL, no_password, NULL);
    if (*out)
        return 1;
    unsigned long reason = ERR_peek_last_error();
    if (ERR_GET_LIB(reason) == ERR_LIB_PEM && ERR_GET_REASON(reason) == PEM_R_NO_START_LINE) {
        ERR_clear_error();
        return 0;
    }
    return tls_error(err, ERR_CORRUPT, "certificate");
}

int tls_key_parse(struct slice pem, EVP_PKEY **out, struct error *err)
{
    CLEANUP(tls_bio_free) BIO *bio = NULL;

    if (pem.n > TLS_PEM_BYTES_MAX)
        return error_set(err, ERR_LIMIT, 0, "key: more than %d bytes", TLS_PEM_BYTES_MAX);
    bio = BIO_new_mem_buf(pem.n ? pem.p : (const uint8_t *)"", (int)pem.n);
    if (!bio)
        return tls_error(err, ERR_NO_MEMORY, "key");
    *out = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    return *out ? 0 : tls_error(err, ERR_CORRUPT, "private key");
}

int tls_time_read(const ASN1_TIME *t, uint64_t *out_unix_ns, struct error *err)
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(t, &tm))
        return tls_error(err, ERR_CORRUPT, "validity of the certificate");
    time_t seconds = timegm(&tm);
    if (seconds < 0)
        return error_set(err, ERR_CORRUPT, 0, "the certificate's validity lies before 1970");
    if (!checked_mul_u64((uint64_t)seconds, NS_PER_SEC, out_unix_ns))
        *out_unix_ns = UINT64_MAX; /* "no end" is the year 9999 */
    return 0;
}

/* ---- a pair ---- */

static int chain_parse(struct slice pem, struct tls_keypair *k, struct error *err)
{
    CLEANUP(tls_bio_free) BIO *bio = NULL;
    int rc;

    if (pem.n > TLS_PEM_BYTES_MAX)
        return error_set(err, ERR_LIMIT, 0, "certificates: more than %d bytes", TLS_PEM_BYTES_MAX);
    bio = BIO_new_mem_buf(pem.n ? pem.p : (const uint8_t *)"", (int)pem.n);
    k->chain = sk_X509_new_null();
    if (!bio || !k->chain)
        return tls_error(err, ERR_NO_MEMORY, "certificates");
    rc = tls_cert_next(bio, &k->cert, err);
    if (rc == 0)
        return error_set(err, ERR_CORRUPT, 0, "there is no certificate in PEM form");
    while (rc == 1) {
        X509 *next = NULL;
        rc = tls_cert_next(bio, &next, err);
        if (rc == 1 && !sk_X509_push(k->chain, next)) {
            X509_free(next);
            return tls_error(err, ERR_NO_MEMORY, "certificates");
        }
        if (sk_X509_num(k->chain) >= TLS_CHAIN_MAX) {
            return error_set(err, ERR_LIMIT, 0, "more than %d certificates in a chain",
                             TLS_CHAIN_MAX);
        }
    }
    return rc;
}

int tls_keypair_parse(struct slice cert_pem, struct slice key_pem, struct tls_keypair **out,
                      struct error *err)
{
    CLEANUP(tls_keypair_cleanup) struct tls_keypair *k = mem_new(1, sizeof(*k), err);

    ERR_clear_error();
    if (!k || chain_parse(cert_pem, k, err) < 0 || tls_key_parse(key_pem, &k->key, err) < 0 ||
        tls_time_read(X509_get0_notBefore(k->cert), &k->not_before_ns, err) < 0 ||
        tls_time_read(X509_get0_notAfter(k->cert), &k->not_after_ns, err) < 0)
        return -1;
    if (X509_check_private_key(k->cert, k->key) != 1) {
        ERR_clear_error();
        return error_set(err, ERR_CORRUPT, 0, "the private key is not that of the certificate");
    }
    *out = TAKE(k);
    return 0;
}

void tls_keypair_free(struct tls_keypair *k)
{
    if (!k)
        return;
    X509_free(k->cert);
    sk_X509_pop_free(k->chain, X509_free);
    EVP_PKEY_free(k->key); /* OpenSSL wipes it */
    free(k);
}

void tls_keypair_cleanup(struct tls_keypair **k)
{
    tls_keypair_free(*k);
}

uint64_t tls_keypair_not_before_ns(const struct tls_keypair *k)
{
    return k->not_before_ns;
}

uint64_t tls_keypair_not_after_ns(const struct tls_keypair *k)
{
    return k->not_after_ns;
}

bool tls_keypair_has_name(const struct tls_keypair *k, const char *dns_name)
{
    return X509_check_host(k->cert, dns_name, strlen(dns_name), 0, NULL) == 1;
}

bool tls_keypair_is_signed_by(const struct tls_keypair *k, struct slice bundle_pem)
{
    CLEANUP(tls_bio_free) BIO *bio = NULL;
    struct error ignored = ERROR_INIT;
    bool is_signed = false;
    X509 *ca = NULL;

    if (bundle_pem.n == 0 || bundle_pem.n > TLS_PEM_BYTES_MAX)
        return false;
    bio = BIO_new_mem_buf(bundle_pem.p, (int)bundle_pem.n);
    while (bio && !is_signed && tls_cert_next(bio, &ca, &ignored) == 1) {
        is_signed = X509_check_issued(ca, k->cert) == X509_V_OK &&
                    X509_verify(k->cert, X509_get0_pubkey(ca)) == 1;
        X509_free(ca);
    }
    ERR_clear_error();
    return is_signed;
}

int tls_bundle_expiry(struct slice bundle_pem, uint64_t *out_ns, struct error *err)
{
    CLEANUP(tls_bio_free) BIO *bio = NULL;
    uint64_t last_ns = 0;
    X509 *cert = NULL;
    int rc;

    if (bundle_pem.n > TLS_PEM_BYTES_MAX)
        return error_set(err, ERR_LIMIT, 0, "certificates: more than %d bytes", TLS_PEM_BYTES_MAX);
    bio = BIO_new_mem_buf(bundle_pem.n ? bundle_pem.p : (const uint8_t *)"", (int)bundle_pem.n);
    if (!bio)
        return tls_error(err, ERR_NO_MEMORY, "certificates");
    while ((rc = tls_cert_next(bio, &cert, err)) == 1) {
        uint64_t ns = 0;
        rc = tls_time_read(X509_get0_notAfter(cert), &ns, err);
        X509_free(cert);
        if (rc < 0)
            return -1;
        last_ns = ns > last_ns ? ns : last_ns;
    }
    if (rc < 0)
        return -1;
    if (last_ns == 0)
        return error_set(err, ERR_CORRUPT, 0, "there is no certificate in PEM form");
    *out_ns = last_ns;
    return 0;
}
