/*
 * A certificate chain with the private key of its first certificate. Parsing checks that they
 * belong together, so whoever has a struct tls_keypair can serve it.
 *
 * Immutable; threads: any.
 */
#ifndef WALFERRY_LIB_TLS_KEYPAIR_H
#define WALFERRY_LIB_TLS_KEYPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    TLS_PEM_BYTES_MAX = 256 << 10,
    TLS_CHAIN_MAX = 16, /* certificates of a chain, the first included */
};

struct tls_keypair;

/*
 * Reads PEM: the certificate, those that lead to the authority behind it in order, and the key
 * (PKCS#8, or the older forms; not encrypted). *out is freed by tls_keypair_free().
 * ERR_CORRUPT says what is wrong: no certificate, no key, not a pair. ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int tls_keypair_parse(struct slice cert_pem, struct slice key_pem,
                               struct tls_keypair **out, struct error *err);

/* Wipes the key. Accepts NULL. */
void tls_keypair_free(struct tls_keypair *k);

/* For CLEANUP on a struct tls_keypair *. */
void tls_keypair_cleanup(struct tls_keypair **k);

/* When the certificate begins and ceases to be valid; moments. */
uint64_t tls_keypair_not_before_ns(const struct tls_keypair *k);
uint64_t tls_keypair_not_after_ns(const struct tls_keypair *k);

/* Whether clients that ask for this DNS name accept the certificate. */
bool tls_keypair_has_name(const struct tls_keypair *k, const char *dns_name);

/* Whether one of the certificates in a PEM bundle signed the (first) certificate. A bundle that is
 * no PEM has signed nothing. */
bool tls_keypair_is_signed_by(const struct tls_keypair *k, struct slice bundle_pem);

/*
 * When the last of the certificates in a PEM bundle ceases to be valid; a moment. While authorities
 * are rotated, a bundle holds the old and the new one.
 * ERR_CORRUPT: there is none, or it is damaged; ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int tls_bundle_expiry(struct slice bundle_pem, uint64_t *out_ns, struct error *err);

#endif
