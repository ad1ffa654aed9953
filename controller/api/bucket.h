/*
 * SqliteBucket (short name sqlb): a destination that several SqliteReplicas of its namespace share.
 * The controller probes what it can do and reports the condition Available.
 */
#ifndef WALFERRY_CONTROLLER_API_BUCKET_H
#define WALFERRY_CONTROLLER_API_BUCKET_H

#include "controller/api/meta.h"
#include "controller/api/store.h"

struct api_bucket {
    struct api_meta meta;
    struct api_store store;     /* never API_STORE_NONE */
    char *prefix;               /* stands before the prefix of each replica; "" for none */
    bool is_read_only;          /* accessMode: ReadOnly: only restored from */
    bool create_bucket;         /* create it when it is missing */
    uint64_t probe_interval_ns; /* validationIntervalSeconds; 0: once for each generation */
    char *service_account;      /* of the probe Job; NULL: the namespace's default */

    /* status, as far as it is read back */
    uint64_t observed_generation;
    uint64_t probed_ns; /* lastValidationTime; 0: never */
};

/* ERR_CORRUPT with the place, ERR_NO_MEMORY. *out is freed by api_bucket_free(). */
MUST_USE int api_bucket_parse(struct jsonval resource, struct api_bucket **out, struct error *err);
void api_bucket_free(struct api_bucket *bucket);

/* For CLEANUP on a struct api_bucket *. */
void api_bucket_cleanup(struct api_bucket **bucket);

#endif
