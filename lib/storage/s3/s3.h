/*
 * lib/storage/s3: the S3 driver, the door of its room.
 *
 * One `struct storage` over the S3 REST interface as AWS, MinIO, R2, B2, Ceph and the others speak
 * it, cut down to what all of them understand: plain PUT with Content-Length and a signed SHA-256
 * of the body (no aws-chunked, no trailers), multipart above the part size, GET with Range, list
 * v2, batch delete, HEAD.
 *
 *   s3.h           this door: configuration and constructor
 *   sigv4.h        AWS Signature Version 4, pure
 *   credentials.h  where keys come from, cached and refreshed (static, environment, profile, web
 *                  identity, container, EC2 metadata)
 *   provider.h     what differs between providers; endpoint, region and bucket -> URL
 *   xml.h          small XML documents by expat, bounded
 *   answers.h      the documents that S3 answers, parsed
 *   shared.h       what the stores of a loop have in common: connections, credentials, gates
 *   gate.h         how many requests a host gets at a time
 *   request.h      one request: hashed, signed, sent, retried, its failure explained; its parts are
 *                  payload.h (hash on a worker), attempt.h (URL, headers, signature), range.h
 *   driver.c put.c multipart.c get.c list.c delete.c uploads.c: the operations
 *
 * Objects are named in Litestream's hexadecimal layout and carry the moment of their LTX header as
 * metadata `litestream-timestamp`.
 * Source: Amazon S3 API Reference (2006-03-01); litestream, s3/replica_client.go.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_S3_H
#define WALFERRY_LIB_STORAGE_S3_S3_H

#include "lib/http/client.h"
#include "lib/http/retry.h"
#include "lib/storage/storage.h"

#define S3_PART_BYTES_MIN                                                                          \
    (UINT64_C(5)                                                                                   \
     << 20) /* S3 refuses smaller parts, the last one excepted                         \
                         */
#define S3_PART_BYTES_MAX (UINT64_C(5) << 30)

enum {
    S3_SSE_KEY_BYTES = 32,
    S3_CONCURRENCY_DEFAULT = 5,
    S3_CONCURRENCY_MAX = 64,
    S3_EXTRA_HEADERS_MAX = 8,
};

/* A setting that the provider decides unless the user does. */
enum s3_choice {
    S3_CHOICE_AUTO,
    S3_CHOICE_YES,
    S3_CHOICE_NO,
};

/* Everything is copied by storage_s3_new(); secrets are wiped with the storage. */
struct storage_s3_config {
    /*
     * URL or host[:port] of the service; NULL: AWS. Without a scheme, http:// for loopback, private
     * addresses and .local names, else https://. A path (Supabase has one) is kept.
     */
    const char *endpoint;
    /* NULL or "": AWS_REGION, AWS_DEFAULT_REGION; then us-east-1, replaced by what AWS answers. */
    const char *region;
    /*
     * Name of the bucket, ARN of an access point, or (without endpoint) one of the host forms that
     * provider.h lists ("b.s3.eu-west-1.amazonaws.com", "b.localhost:9000").
     */
    const char *bucket;
    const char *prefix; /* NULL or "": the whole bucket; slashes around and doubled do not matter */

    enum s3_choice force_path_style;    /* auto: with an endpoint, unless its provider says no */
    enum s3_choice sign_payload;        /* auto: yes. No: UNSIGNED-PAYLOAD */
    enum s3_choice require_content_md5; /* auto: yes, except Tigris. On batch deletes only */

    const char *access_key_id; /* both or none; NULL: the chain of credentials.h */
    const char *secret_access_key;
    const char *session_token;    /* NULL: none */
    const char *credentials_path; /* folder of files with the keys; NULL: none. credentials.h */

    const char *storage_class; /* NULL: the bucket's default */
    uint64_t part_bytes;       /* 0: 5 MiB. Objects up to this size are sent by one PUT */
    unsigned concurrency;      /* parts under way at a time; 0: 5, or the provider's */

    const uint8_t *sse_c_key;   /* 32 bytes, or NULL; requires https except on loopback */
    const char *sse_kms_key_id; /* NULL: none; excludes sse_c_key */

    const char *ca_file; /* NULL: the system's */
    bool skip_verify;
    const struct http_header *extra_headers; /* sent (and signed) with every request */
    size_t extra_header_count;               /* at most S3_EXTRA_HEADERS_MAX */

    const struct retry_policy *retry; /* borrowed for ever; NULL: retry_policy_default */
};

/*
 * Makes a destination. Nothing is asked of the network yet: a wrong bucket or key shows at the
 * first operation. Credentials of the chain are looked up when first needed.
 *
 * ERR_USAGE  configuration that cannot work; the text names the setting
 * ERR_NO_MEMORY
 * Threads: loop thread. The caller ends it with storage_free().
 */
MUST_USE int storage_s3_new(struct loop *loop, const struct storage_s3_config *config,
                            struct storage **out, struct error *err);

/*
 * Aborts multipart uploads below the prefix that were begun before older_than_ns (a moment): parts
 * of uploads whose process died are stored, and billed, until somebody does. done's result counts
 * in `bytes` the uploads that were aborted. An upload that is gone already counts as success.
 * Needs s3:ListBucketMultipartUploads and s3:AbortMultipartUpload; without them ERR_ACCESS, which
 * callers may ignore. st must come from storage_s3_new() (asserted).
 */
MUST_USE int storage_s3_abort_stale_uploads_start(struct storage *st, uint64_t older_than_ns,
                                                  storage_done_fn *done, void *arg,
                                                  struct storage_op **out_op, struct error *err);

#endif
