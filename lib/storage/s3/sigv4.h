/*
 * AWS Signature Version 4: which bytes of a request are signed, and the signature. Pure: no clock,
 * no network. The four steps are functions of their own so that the AWS test suite can look at
 * each. Source: AWS General Reference, "Signature Version 4 signing process"; Amazon S3 API
 * Reference, "Authenticating Requests (AWS Signature Version 4)".
 */
#ifndef WALFERRY_LIB_STORAGE_S3_SIGV4_H
#define WALFERRY_LIB_STORAGE_S3_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/http/client.h"

#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
/* SHA-256 of nothing. */
#define SIGV4_EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

enum {
    SIGV4_HASH_BYTES = 32,
    SIGV4_HEX_BYTES = 2 * SIGV4_HASH_BYTES + 1, /* lower-case hex and its terminator */
    SIGV4_CANONICAL_BYTES_MAX = 64 * 1024,      /* of a canonical request */
    SIGV4_QUERY_PARAMETERS_MAX = 32,
    SIGV4_REGION_BYTES_MAX = 64,
};

enum sigv4_path {
    SIGV4_PATH_AS_IS,     /* S3: the path is already encoded once and must not be touched */
    SIGV4_PATH_NORMALIZE, /* other services: dot segments and doubled slashes go, then encode */
};

struct sigv4_request {
    const char *method;
    const char *path;                  /* begins with '/' */
    const char *query;                 /* without '?'; "" for none; encoded or not */
    const struct http_header *headers; /* all of them are signed; must contain host */
    size_t header_count;
    const char *payload_hash; /* hex of the body's SHA-256, or SIGV4_UNSIGNED_PAYLOAD */
    enum sigv4_path path_mode;
};

/* Where and when a signature is valid. */
struct sigv4_scope {
    const char *region;
    const char *service; /* "s3" */
    uint64_t wall_ns;
};

/*
 * The signing key of one (day, region, service, secret), kept because it costs four HMACs. Zeroed
 * at start; sigv4_key_destroy() wipes it.
 */
struct sigv4_key {
    char day[9]; /* "20150830" */
    char region[SIGV4_REGION_BYTES_MAX];
    char service[16];
    uint8_t secret_hash[SIGV4_HASH_BYTES]; /* tells secrets apart without keeping one */
    uint8_t key[SIGV4_HASH_BYTES];
};

/* Wipes the key. */
void sigv4_key_destroy(struct sigv4_key *key);

/*
 * Appends the canonical request to out and the list of signed headers ("host;x-amz-date") to
 * out_signed. ERR_LIMIT (too many headers or parameters), ERR_NO_MEMORY.
 */
MUST_USE int sigv4_canonical_request(const struct sigv4_request *req, struct buf *out,
                                     struct buf *out_signed, struct error *err);

/* Appends the string to sign for a canonical request. ERR_NO_MEMORY. */
MUST_USE int sigv4_string_to_sign(const struct sigv4_scope *scope, struct slice canonical,
                                  struct buf *out, struct error *err);

/*
 * The signature of a string, in lower-case hex. key is used if it fits, else made and kept.
 * ERR_NO_MEMORY (OpenSSL).
 */
MUST_USE int sigv4_signature(struct sigv4_key *key, const struct sigv4_scope *scope,
                             const char *secret, struct slice string_to_sign,
                             char out[static SIGV4_HEX_BYTES], struct error *err);

/* Appends the value of the Authorization header: all steps above. */
MUST_USE int sigv4_authorization(struct sigv4_key *key, const struct sigv4_scope *scope,
                                 const char *access_key_id, const char *secret,
                                 const struct sigv4_request *req, struct buf *out,
                                 struct error *err);

/*
 * Appends s percent-encoded as signatures want it: letters, digits and "-_.~" stay, also '/' if
 * keep_slash; everything else becomes %XX in upper-case hex. ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int sigv4_uri_encode(struct buf *out, struct slice s, bool keep_slash, struct error *err);

/* Lower-case hex of a hash. */
const char *sigv4_hex(const uint8_t hash[static SIGV4_HASH_BYTES],
                      char out[static SIGV4_HEX_BYTES]);

/* SHA-256 of s in lower-case hex. ERR_NO_MEMORY (OpenSSL). */
MUST_USE int sigv4_hash_hex(struct slice s, char out[static SIGV4_HEX_BYTES], struct error *err);

#endif
