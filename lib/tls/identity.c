/*
 * A certificate callback of OpenSSL: it runs in each handshake, before the certificate is needed,
 * and gives the connection its own references to chain and key.
 */
#include "lib/tls/identity.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "lib/tls/keypair_internal.h"

struct tls_identity {
    struct tls_keypair *keypair; /* NULL: none yet */
    uint64_t refused_count;
};

int tls_identity_new(struct tls_identity **out, struct error *err)
{
    *out = mem_new(1, sizeof(**out), err);
    return *out ? 0 : -1;
}

void tls_identity_free(struct tls_identity *identity)
{
    if (!identity)
        return;
    tls_keypair_free(identity->keypair);
    free(identity);
}

void tls_identity_set(struct tls_identity *identity, struct tls_keypair *keypair)
{
    tls_keypair_free(identity->keypair);
    identity->keypair = keypair;
}

const struct tls_keypair *tls_identity_get(const struct tls_identity *identity)
{
    return identity->keypair;
}

uint64_t tls_identity_refused_count(const struct tls_identity *identity)
{
    return identity->refused_count;
}

/* 1 goes on, 0 ends the handshake with an alert. */
static int on_certificate_needed(SSL *ssl, void *arg)
{
    struct tls_identity *identity = arg;
    const struct tls_keypair *k = identity->keypair;

    if (!k) {
        identity->refused_count++;
        return 0;
    }
    /* Each takes references of its own (set1), so that the pair may be replaced meanwhile. */
    if (SSL_use_cert_and_key(ssl, k->cert, k->key, k->chain, 1) != 1) {
        ERR_clear_error();
        return 0;
    }
    return 1;
}

void tls_identity_attach(struct tls_identity *identity, struct ssl_ctx_st *ctx)
{
    SSL_CTX_set_cert_cb(ctx, on_certificate_needed, identity);
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION); /* a known version never fails */
}
