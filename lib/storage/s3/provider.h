/*
 * What differs between S3 providers, and how endpoint, region and bucket become URLs.
 *
 *   provider      host                          path  md5  parallel  else
 *   AWS           *.amazonaws.com, none given   no    yes  5
 *   Cloudflare    *.r2.cloudflarestorage.com    yes   yes  2         more uploads at once: 5xx
 *   Backblaze     *.backblazeb2.com             yes   yes  5
 *   DigitalOcean  *.digitaloceanspaces.com      yes   yes  5
 *   Hetzner       *.your-objectstorage.com      yes   yes  5
 *   Filebase      s3.filebase.com               yes   yes  5
 *   Scaleway      *.scw.cloud                   yes   yes  5
 *   Supabase      *.supabase.co                 yes   yes  5         the endpoint has a path
 *   Tigris        fly.storage.tigris.dev,       yes   no   5         X-Tigris-Consistent: true
 *                 t3.storage.dev
 *   Google        storage.googleapis.com        yes   yes  5         no batch delete
 *   any other                                   yes   yes  5
 *
 * All of them get signed payloads, no aws-chunked bodies and no trailing checksums.
 * Source: litestream, replica_url.go and the issues listed there for each provider.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_PROVIDER_H
#define WALFERRY_LIB_STORAGE_S3_PROVIDER_H

#include "lib/base/base.h"
#include "lib/storage/s3/s3.h"

enum {
    S3_HOST_BYTES_MAX = 256,
    S3_BUCKET_BYTES_MAX = 64,
    S3_REGION_BYTES_MAX = 64,
    S3_BASE_PATH_BYTES_MAX = 256,
};

struct s3_provider {
    const char *name;
    const char *suffix; /* of the host: ".scw.cloud", or a whole host; NULL: any */
    bool has_path_style;
    bool wants_content_md5;
    bool has_batch_delete;
    unsigned concurrency;
    struct http_header header; /* sent with every request; name NULL: none */
};

/* The row for a host without port. Never NULL. */
const struct s3_provider *s3_provider_of_host(const char *host);

/* Where requests go. */
struct s3_target {
    const struct s3_provider *provider;
    bool is_tls;
    bool has_path_style;
    bool is_access_point;         /* the bucket is in the host already */
    bool is_aws_default;          /* no endpoint given: the host follows the region */
    bool is_region_a_guess;       /* nobody named one: AWS may correct it */
    char host[S3_HOST_BYTES_MAX]; /* with port unless it is the scheme's own; without the bucket */
    char base_path[S3_BASE_PATH_BYTES_MAX]; /* "" or "/storage/v1/s3" */
    char bucket[S3_BUCKET_BYTES_MAX];       /* "" for access points */
    char region[S3_REGION_BYTES_MAX];
};

/*
 * Resolves a configuration. Reads AWS_REGION and AWS_DEFAULT_REGION if it names no region.
 * ERR_USAGE, naming the setting: bad endpoint, bucket, ARN or region.
 */
MUST_USE int s3_target_resolve(const struct storage_s3_config *config, struct s3_target *out,
                               struct error *err);

/* Moves an AWS target whose region was a guess. False if region is not a plausible name. */
bool s3_target_set_region(struct s3_target *target, const char *region);

/* The Host header: "bucket.s3.eu-west-1.amazonaws.com" or "127.0.0.1:9000". */
MUST_USE int s3_target_host(const struct s3_target *target, struct buf *out, struct error *err);

/*
 * The path of a request, percent-encoded once: "/bucket/key". key is within the bucket, NULL for
 * the bucket itself.
 */
MUST_USE int s3_target_path(const struct s3_target *target, const char *key, struct buf *out,
                            struct error *err);

/* Whether host[:port] is the local host. */
bool s3_host_is_loopback(const char *host);

/*
 * Bucket, region and endpoint of a URL's host ("s3://HOST/path"):
 *
 *   b.s3.amazonaws.com, b.s3.REGION.amazonaws.com, b.s3-REGION.amazonaws.com
 *   b.REGION.digitaloceanspaces.com     b.s3.REGION.backblazeb2.com    b.s3.filebase.com
 *   b.s3.REGION.scw.cloud               b.host:port (http, path style)
 *
 * False if host is none of these: then it is the name of a bucket.
 */
struct s3_host_form {
    char bucket[S3_BUCKET_BYTES_MAX];
    char region[S3_REGION_BYTES_MAX]; /* "" if the host does not tell */
    char endpoint[S3_HOST_BYTES_MAX]; /* with scheme; "" for AWS */
};
bool s3_host_form_parse(const char *host, struct s3_host_form *out);

#endif
