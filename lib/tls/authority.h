/*
 * A certificate authority of our own: ECDSA on P-256, SHA-256. All it is, is text: a certificate
 * and a key in PEM, to be kept in a Secret.
 *
 * Threads: any. Cost: well below a millisecond each.
 * Source: RFC 5280; names of a server are in subjectAltName (RFC 6125).
 */
#ifndef WALFERRY_LIB_TLS_AUTHORITY_H
#define WALFERRY_LIB_TLS_AUTHORITY_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    TLS_NAMES_MAX = 16, /* DNS names of a certificate */
};

/* A certificate and its key as PEM. TLS_PEM_INIT, destroyed by tls_pem_destroy(). */
struct tls_pem {
    struct buf cert;
    struct buf key;
};

#define TLS_PEM_INIT {.cert = BUF_INIT(65536), .key = BUF_INIT(65536)}

/* Wipes the key and frees both. */
void tls_pem_destroy(struct tls_pem *pem);

/* From when to when; moments. It begins a little earlier than asked for: clocks differ. */
struct tls_validity {
    uint64_t not_before_ns;
    uint64_t not_after_ns;
};

/*
 * Makes an authority with a key of its own, signed by itself. It may sign servers, and no other
 * authority. env gives the serial number. ERR_NO_MEMORY.
 */
MUST_USE int tls_authority_make(const struct env *env, const char *common_name,
                                const struct tls_validity *validity, struct tls_pem *out,
                                struct error *err);

/*
 * Makes a key and signs a server's certificate for these DNS names, the first of which is its
 * common name (cut to the 64 bytes that a common name may have).
 * It never outlives the authority: then it ends with it. ERR_CORRUPT (the authority is no pair),
 * ERR_LIMIT (names), ERR_NO_MEMORY.
 */
MUST_USE int tls_authority_sign(const struct env *env, const struct tls_pem *authority,
                                const char *const *dns_names, size_t name_count,
                                const struct tls_validity *validity, struct tls_pem *out,
                                struct error *err);

#endif
