/*
 * What is inside a key pair, and the small things that all files on OpenSSL need.
 */
#ifndef WALFERRY_LIB_TLS_KEYPAIR_INTERNAL_H
#define WALFERRY_LIB_TLS_KEYPAIR_INTERNAL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "lib/tls/keypair.h"

struct tls_keypair {
    X509 *cert;
    STACK_OF(X509) * chain; /* behind the first */
    EVP_PKEY *key;
    uint64_t not_before_ns;
    uint64_t not_after_ns;
};

/* An error with OpenSSL's reason, whose queue is emptied. Returns -1. */
int tls_error(struct error *err, enum error_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Reads the next certificate of a PEM text: 1, 0 at its end, -1 ERR_CORRUPT, ERR_NO_MEMORY. */
MUST_USE int tls_cert_next(BIO *pem, X509 **out, struct error *err);

/* Reads a private key. ERR_CORRUPT. */
MUST_USE int tls_key_parse(struct slice pem, EVP_PKEY **out, struct error *err);

/* A moment of a certificate. ERR_CORRUPT: it is before 1970 or no time. */
MUST_USE int tls_time_read(const ASN1_TIME *t, uint64_t *out_unix_ns, struct error *err);

/* For CLEANUP. */
void tls_bio_free(BIO **bio);
void tls_cert_free(X509 **cert);
void tls_key_free(EVP_PKEY **key);

#endif
