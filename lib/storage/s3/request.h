/*
 * One request to S3: hashed, signed, sent, tried again, and its failure explained.
 *
 *     queued -> hashing -> credentials -> gate -> sending -> (waiting -> credentials ...) -> gone
 *
 * Answers become errors by one table (request_error.c):
 *
 *   404 NoSuchKey, NoSuchUpload, bare 404   ERR_NOT_FOUND, about the object
 *   404 NoSuchBucket                        ERR_NOT_FOUND, about the bucket
 *   403, 401, 400 with a credential's code  ERR_ACCESS; RequestTimeTooSkewed tells the skew
 *   412                                     ERR_EXISTS
 *   409 ConditionalRequestConflict          ERR_BUSY, tried again
 *   408, 429, 500, 502, 503, 504, SlowDown  ERR_UNAVAILABLE, tried again; Retry-After is honoured
 *   416                                     ERR_CORRUPT: the object ends before
 *   501, 405                                ERR_UNSUPPORTED
 *   3xx                                     ERR_USAGE, naming the bucket's region; never followed
 *   2xx with an <Error> in its body         as its code says
 *
 * Two things are put right without counting as a try: credentials that the service calls expired
 * are fetched again once, and a region that nobody configured is replaced by the one that AWS
 * names in its answer.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_REQUEST_H
#define WALFERRY_LIB_STORAGE_S3_REQUEST_H

#include "lib/storage/s3/s3_internal.h"

struct s3_request;

/* What came of a request; valid during done (and check). */
struct s3_answer {
    const struct error *err;          /* code ERR_NONE: a 2xx answer that check accepted */
    int status;                       /* 0: no answer */
    struct slice body;                /* without on_data */
    const struct http_response *http; /* for headers; NULL if there is none */
    const char *code;                 /* of an <Error>; "" if there is none */
    unsigned tries;                   /* of this request so far */
};

typedef void s3_request_done_fn(struct s3_op *op, void *arg, const struct s3_answer *answer);

struct s3_request_spec {
    enum storage_op_kind kind;         /* for counters and messages */
    const char *method;                /* a literal */
    const char *key;                   /* in the bucket; NULL: the bucket itself. Copied */
    const char *query;                 /* encoded; NULL: none. Copied */
    const struct http_header *headers; /* copied */
    size_t header_count;
    struct blob *blob; /* body: a part of a blob (borrowed), or a slice (copied) */
    uint64_t blob_offset;
    uint64_t blob_bytes;
    struct slice body;
    bool has_body;
    bool has_range; /* asks for range_bytes (0: to the end) from range_offset */
    uint64_t range_offset;
    uint64_t range_bytes;
    uint64_t deadline_ns; /* from now for all tries; with on_data: without progress; 0: none */
    /*
     * Receives a 2xx body. Bytes come once and in order: a try after a failure goes on where the
     * last one stopped, if the object is still the same (If-Match). arg as for done.
     */
    int (*on_data)(void *arg, struct slice chunk, struct error *err);
    /* Judges a 2xx answer; -1 with err filled makes it a failure: ERR_CORRUPT is tried again, and
     * comes out as ERR_UNAVAILABLE. NULL: anything is fine. */
    int (*check)(void *arg, const struct s3_answer *answer, struct error *err);
    s3_request_done_fn *done;
    void *arg;
};

/*
 * Starts a request of op. done is never called within, and not at all once op is ending.
 * ERR_NO_MEMORY, ERR_LIMIT.
 */
MUST_USE int s3_request_start(struct s3_op *op, const struct s3_request_spec *spec,
                              struct error *err);

/* Asks a request to end soon: s3_op_request_gone() follows, done does not. */
void s3_request_cancel(struct s3_request *r);

/* For a store that closes: as s3_request_cancel(), but the request is gone at once. */
void s3_request_cancel_now(struct s3_request *r);

/* The next request of the same operation, or NULL. */
struct s3_request *s3_request_next(const struct s3_request *r);

/* ---- request_error.c: pure ---- */

/* What is known of an answer that is not a success. */
struct s3_failure {
    enum storage_op_kind kind;
    int status;
    const struct s3_error *error; /* empty texts if there was no document */
    const char *bucket_region;    /* x-amz-bucket-region, or NULL */
    const struct s3_target *target;
    uint64_t date_ns; /* moment of the server's answer; 0: unknown */
    uint64_t wall_ns; /* our clock */
};

/* Fills err by the table above, without naming the object. Returns -1. */
int s3_failure_explain(const struct s3_failure *failure, struct error *err);

/* Whether the code says that the credentials are good no more. */
bool s3_code_is_expiry(const char *code);

#endif
