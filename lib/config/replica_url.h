/*
 * Replica URLs, taken apart without looking at the network or at a provider's habits.
 *
 *   file:///absolute/path         three slashes; taken literally, as Litestream does
 *   /path ./path ../path ~/path   the same without a scheme
 *   s3://BUCKET[/PREFIX][?QUERY]
 *   s3://HOST/PREFIX              where HOST is one of
 *       bucket.s3.amazonaws.com, bucket.s3.REGION.amazonaws.com, bucket.s3-REGION.amazonaws.com,
 *       bucket.s3.REGION.amazonaws.com.cn
 *       bucket.REGION.digitaloceanspaces.com
 *       bucket.s3.REGION.backblazeb2.com            path style
 *       bucket.s3.filebase.com                      path style
 *       bucket.s3.REGION.scw.cloud
 *       bucket.REGION.linodeobjects.com             path style (0.3.13)
 *       bucket.br-NAME.storage.CELL.REGION.aws.neon.tech   path style
 *       bucket.localhost, bucket.HOST:PORT          MinIO: http, path style, us-east-1
 *   s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME[/PREFIX][?QUERY]
 *   gs gcs abs sftp webdav webdavs nats oss         recognised; only the backend is filled
 *
 * The query of an s3 URL names settings, in hyphens as in litestream.yml or in camelCase, at most
 * once each: endpoint region force-path-style skip-verify sign-payload sign-accept-encoding
 * require-content-md5 put-object-content-md5 storage-class part-size concurrency
 * sse-customer-algorithm sse-customer-key sse-customer-key-md5 sse-customer-key-path
 * sse-kms-key-id. Values are given as text; who applies them checks them. Unknown names are
 * refused, and so are a query on other schemes, a fragment, and credentials
 * ("s3://key:secret@bucket"): URLs end in process lists.
 *
 * The prefix is percent-decoded and cleaned (no "//", "." and ".."), as Litestream does.
 *
 * Source: Litestream 0.5.18 replica_url.go and s3/replica_client.go (ParseHost, URL factory);
 * 0.3.13 s3/replica_client.go (ParseHost).
 */
#ifndef WALFERRY_LIB_CONFIG_REPLICA_URL_H
#define WALFERRY_LIB_CONFIG_REPLICA_URL_H

#include <stdbool.h>

#include "lib/base/base.h"
#include "lib/config/config.h"

enum {
    REPLICA_URL_BYTES_MAX = 4096,
    REPLICA_URL_PARAMS_MAX = 16,
};

struct replica_url_param {
    const char *key; /* the key in litestream.yml: "force-path-style"; static */
    char *value;     /* percent-decoded */
};

struct replica_url {
    enum config_backend backend;
    char *path;     /* file: as written, not expanded. s3: prefix without '/' at either end; "" for
                       none */
    char *bucket;   /* s3: a bucket's name or an access point's ARN */
    char *endpoint; /* implied by the host: "https://nyc3.digitaloceanspaces.com"; else NULL */
    char *region;   /* implied by the host or ARN; else NULL */
    enum config_tristate path_style; /* implied by the host; else CONFIG_UNSET */
    struct replica_url_param params[REPLICA_URL_PARAMS_MAX];
    size_t param_count;
};

/*
 * Takes text apart into out (zeroed by this function; the caller destroys it).
 * ERR_USAGE names what is wrong, without repeating credentials. ERR_NO_MEMORY. A scheme that
 * nobody knows is ERR_USAGE and names the known ones; a backend of Litestream that this version
 * lacks parses well .
 */
MUST_USE int replica_url_parse(const char *text, struct replica_url *out, struct error *err);
void replica_url_destroy(struct replica_url *u);

/* True if text begins with a scheme ("s3://"), so it is a URL and not the path of a database. */
bool replica_url_looks_like_one(const char *text);

/*
 * Adds the URL for people: "s3://bucket/prefix?endpoint=https://host", "file:///backups/app".
 * Never a credential or a key. Reading it again gives the same backend, bucket, endpoint and path,
 * unless the bucket's own name looks like a provider's host.
 * endpoint may be NULL. ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int replica_url_format(enum config_backend backend, const char *bucket, const char *path,
                                const char *endpoint, struct buf *out, struct error *err);

#endif
