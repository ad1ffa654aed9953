/*
 * What a TLS listener serves. The key pair is chosen at each handshake, so it can be replaced at
 * any time: connections that are there go on with theirs, new ones get the new one.
 *
 * Threads: all on one.
 */
#ifndef WALFERRY_LIB_TLS_IDENTITY_H
#define WALFERRY_LIB_TLS_IDENTITY_H

#include <stdint.h>

#include "lib/tls/keypair.h"

struct tls_identity;
struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* Without a key pair: handshakes fail until there is one. ERR_NO_MEMORY. */
MUST_USE int tls_identity_new(struct tls_identity **out, struct error *err);

/* No listener may use it any more. Accepts NULL. */
void tls_identity_free(struct tls_identity *identity);

/* Replaces the key pair; takes it. */
void tls_identity_set(struct tls_identity *identity, struct tls_keypair *keypair);

/* The key pair that is served now; NULL: none. Borrowed until tls_identity_set(). */
const struct tls_keypair *tls_identity_get(const struct tls_identity *identity);

/* Handshakes that failed because there was no key pair. */
uint64_t tls_identity_refused_count(const struct tls_identity *identity);

/* Makes an SSL_CTX serve the identity, by TLS 1.2 or newer. Called by the listener's owner. */
void tls_identity_attach(struct tls_identity *identity, struct ssl_ctx_st *ctx);

#endif
