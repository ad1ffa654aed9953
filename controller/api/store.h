/*
 * Where a destination is and how it is reached: the union of s3 and file that stands in
 * SqliteReplica (destination, secondaryDestinations[]) and in SqliteBucket alike.
 */
#ifndef WALFERRY_CONTROLLER_API_STORE_H
#define WALFERRY_CONTROLLER_API_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/json/jsonval.h"

enum api_store_kind {
    API_STORE_NONE, /* neither: a bucketRef stands there */
    API_STORE_S3,
    API_STORE_FILE,
};

/* A switch that the provider of the store decides when it is not set. */
enum api_tristate {
    API_UNSET,
    API_NO,
    API_YES,
};

/* Texts are NULL when not set. */
struct api_store {
    enum api_store_kind kind;

    char *bucket; /* s3: never NULL */
    char *region;
    char *endpoint;
    enum api_tristate force_path_style;
    enum api_tristate sign_payload;
    enum api_tristate content_md5;
    char *storage_class;
    uint64_t part_bytes;  /* 0: the sidecar's default */
    uint64_t concurrency; /* 0: the provider's */
    bool skip_verify;
    char *credentials_secret; /* NULL: the identity of the pod's ServiceAccount */
    char *ca_secret;          /* a Secret of the pod's namespace ... */
    char *ca_config_map;      /* ... or a ConfigMap */
    char *ca_key;             /* which of its keys; "ca.crt" */
    char *sse_kms_key_id;
    char *sse_secret; /* SSE-C: 32 bytes as base64 */
    char *sse_key;    /* key of that Secret; never NULL with sse_secret */

    char *claim;    /* file: a PersistentVolumeClaim of the pod's namespace; never NULL */
    char *sub_path; /* folder in it; NULL: its root */
};

/*
 * Reads the union at v, an object with at most one of "s3" and "file".
 * ERR_CORRUPT with the place, ERR_NO_MEMORY. The caller destroys out.
 */
MUST_USE int api_store_parse(struct jsonval v, struct api_store *out, struct error *err);
void api_store_destroy(struct api_store *store);

/* "s3://bucket" or "pvc://claim/folder", for messages and columns. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int api_store_url(const struct api_store *store, struct buf *out, struct error *err);

/* Whether both lead to the same objects: endpoint and bucket, or claim and folder. */
bool api_store_same(const struct api_store *a, const struct api_store *b);

#endif
