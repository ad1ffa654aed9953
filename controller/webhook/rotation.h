/*
 * The operator's own certificates: what is there, what is due, what comes next. Pure functions on
 * PEM texts; authority.h keeps them in a Secret.
 *
 *   Secret key      what
 *   ca.crt ca.key         the authority that signs
 *   next-ca.crt .key      the one that will, from the moment on that everybody trusts it
 *   old-ca.crt            the one before, for who still sees what it has signed
 *   tls.crt tls.key       the webhook's certificate
 *
 * An authority lives for 5 years, a certificate for 90 days; at two thirds of that comes the next
 * one. An authority is replaced in three steps, between which the API server has time to read what
 * it trusts (caBundle): everything that is served is trusted at every moment.
 *
 *   PREPARE   next is made          trusted: ca, next          served: signed by ca
 *   PROMOTE   an hour later, and only when the bundle is published
 *             ca -> old, next -> ca  trusted: old, ca           served: signed by the new ca
 *   FORGET    a day later            trusted: ca
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_ROTATION_H
#define WALFERRY_CONTROLLER_WEBHOOK_ROTATION_H

#include <stdbool.h>

#include "lib/json/json.h"
#include "lib/tls/tls.h"

#define ROTATION_CA_NS     (1825 * NS_PER_DAY)
#define ROTATION_SERVER_NS (90 * NS_PER_DAY)
#define ROTATION_TRUST_NS  NS_PER_HOUR /* from PREPARE to PROMOTE */
#define ROTATION_OLD_NS    NS_PER_DAY  /* from PROMOTE to FORGET */

struct rotation {
    struct tls_pem ca;
    struct tls_pem next;
    struct tls_pem old; /* its key is never there */
    struct tls_pem server;
};

#define ROTATION_INIT                                                                              \
    {.ca = TLS_PEM_INIT, .next = TLS_PEM_INIT, .old = TLS_PEM_INIT, .server = TLS_PEM_INIT}

enum rotation_step {
    ROTATION_NOTHING,
    ROTATION_MAKE, /* everything anew: there is no usable authority */
    ROTATION_SIGN, /* the webhook's certificate */
    ROTATION_PREPARE,
    ROTATION_PROMOTE,
    ROTATION_FORGET,
};

/* Wipes and frees. */
void rotation_destroy(struct rotation *r);

/*
 * Reads the data of a Secret (base64 by key) into out, which must be ROTATION_INIT. Keys that are
 * missing are empty: rotation_due() decides what follows. ERR_CORRUPT (not base64), ERR_LIMIT,
 * ERR_NO_MEMORY.
 */
MUST_USE int rotation_read(struct jsonval data, struct rotation *out, struct error *err);

/* Writes it as the value of the next key: an object. Failures stick in w. */
void rotation_write(const struct rotation *r, struct json_writer *w, const char *key);

/*
 * What is due now. dns_names: those that the certificate must have. is_published: whether the
 * bundle of rotation_bundle() is what the API server was told.
 */
enum rotation_step rotation_due(const struct rotation *r, const char *const *dns_names,
                                size_t name_count, uint64_t now_ns, bool is_published);

/* Does a step. ERR_NO_MEMORY, ERR_CORRUPT (names). */
MUST_USE int rotation_do(enum rotation_step step, const struct env *env,
                         const char *const *dns_names, size_t name_count, uint64_t now_ns,
                         struct rotation *r, struct error *err);

/* Adds what has to be trusted: the authorities, one after the other. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int rotation_bundle(const struct rotation *r, struct buf *out, struct error *err);

/* "prepare", for logs and events. */
const char *rotation_step_name(enum rotation_step step);

#endif
