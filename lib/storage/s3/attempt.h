/*
 * One try of a request, ready to be sent: URL and headers, signed for this moment and these
 * credentials.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_ATTEMPT_H
#define WALFERRY_LIB_STORAGE_S3_ATTEMPT_H

#include "lib/storage/s3/s3_internal.h"

enum {
    ATTEMPT_URL_BYTES_MAX = 65536, /* a listing goes on by key, upload id or token, all encoded */
    ATTEMPT_AUTH_BYTES_MAX = 4096,
};

/* All borrowed for the call. */
struct attempt_spec {
    const char *method;
    const char *key;   /* NULL: the bucket */
    const char *query; /* "" for none */
    const struct http_header *headers;
    size_t header_count;
    const char *range;    /* NULL: none */
    const char *if_match; /* NULL: none */
    const char *payload_hash;
    const struct s3_credentials *credentials;
};

struct attempt {
    struct http_header headers[HTTP_HEADERS_MAX]; /* values borrowed from the spec, or own */
    size_t count;
    char date[TIME_TEXT_BYTES];
    struct buf url;
    struct buf authorization;
};

#define ATTEMPT_INIT                                                                               \
    {.url = BUF_INIT(ATTEMPT_URL_BYTES_MAX), .authorization = BUF_INIT(ATTEMPT_AUTH_BYTES_MAX)}

/*
 * Makes url and headers. a must be ATTEMPT_INIT, and the spec live as long as a is used.
 * ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int attempt_make(struct attempt *a, struct s3_store *store,
                          const struct attempt_spec *spec, struct error *err);

/* Frees what the attempt holds. Accepts a zeroed one. */
void attempt_destroy(struct attempt *a);

#endif
