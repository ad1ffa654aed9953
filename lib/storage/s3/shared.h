/*
 * What the stores of one loop have in common: HTTP clients with their connections, credentials
 * with their refreshes, and the gate before each host. A thousand databases in one bucket then cost
 * one client and one look-up of credentials.
 *
 * Each take is answered by one drop; the last one ends the thing. Equal means: the same loop, and
 * the same settings as far as they matter to the thing.
 *
 * Threads: all on the loop thread; loops of different threads share nothing.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_SHARED_H
#define WALFERRY_LIB_STORAGE_S3_SHARED_H

#include "lib/http/client.h"
#include "lib/storage/s3/credentials.h"
#include "lib/storage/s3/gate.h"

/* Settings that tell clients apart; see struct http_client_config. */
struct s3_client_config {
    const char *ca_file; /* NULL: the system's */
    bool skip_verify;
};

/* Errors of http_client_new(). */
MUST_USE int s3_shared_client_take(struct loop *loop, const struct s3_client_config *config,
                                   struct http_client **out, struct error *err);

/* Errors of s3_credentials_chain_new(). */
MUST_USE int s3_shared_credentials_take(struct loop *loop,
                                        const struct s3_credentials_config *config,
                                        struct s3_credentials_chain **out, struct error *err);

/* host with port, as it stands in URLs but without a bucket. ERR_NO_MEMORY. */
MUST_USE int s3_shared_gate_take(struct loop *loop, const char *host, struct s3_gate **out,
                                 struct error *err);

/*
 * Give back what was taken; NULL ok. Exchanges and waits of the caller must be over. Whoever is the
 * last ends the thing, with the conditions of its own free().
 */
void s3_shared_client_drop(struct http_client *client);
void s3_shared_credentials_drop(struct s3_credentials_chain *chain);
void s3_shared_gate_drop(struct s3_gate *gate);

#endif
