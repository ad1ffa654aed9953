/*
 * Jobs of ours: probing a bucket, verifying a replica, restoring into a claim. They run the
 * sidecar's image with the same configuration, Secrets and certificates as the sidecars do, in the
 * user's namespace and with the user's ServiceAccount; the operator itself reads no Secret. What
 * they found comes back as the termination message of their pod (lib/cli/termination.h).
 *
 * Restricted like injected containers: no root, no privileges, no writable root, no API token.
 */
#ifndef WALFERRY_CONTROLLER_INJECT_JOB_H
#define WALFERRY_CONTROLLER_INJECT_JOB_H

#include "controller/inject/inject.h"

enum {
    INJECT_JOB_ARGS_MAX = 16 + API_DATABASES_MAX,
    INJECT_JOB_BYTES_MAX = 256 << 10,
};

/* Labels of Jobs and of their pods. */
#define INJECT_JOB_LABEL_MANAGER "app.kubernetes.io/managed-by" /* "walferry" */
#define INJECT_JOB_LABEL_PURPOSE "walferry.dev/purpose"         /* "probe", "verify", "restore" */
#define INJECT_JOB_LABEL_OWNER   "walferry.dev/owner"           /* name of the resource it is for */

/* Where a Job finds room to work: the claim it was given, else an emptyDir. */
#define INJECT_JOB_FOLDER "/work"

/* All texts are borrowed. */
struct inject_job {
    const char *name;
    const char *purpose;
    const char *owner_kind; /* of walferry.dev/v1alpha1 */
    const char *owner_name;
    const char *owner_uid;
    const struct api_replica *replica; /* whose destinations it uses */
    const struct api_bucket *const *buckets;
    size_t bucket_count;
    const struct inject_options *options;
    const char *config_map; /* that holds API_CONFIG_KEY */
    const char *args[INJECT_JOB_ARGS_MAX];
    size_t arg_count;
    const char *spec_hash;       /* of all the rest, as annotation; NULL: none */
    const char *pod_name;        /* what $POD_NAME stands for in prefixes; NULL: nothing */
    const char *service_account; /* NULL: the namespace's default */
    const char *claim;           /* mounted at INJECT_JOB_FOLDER; NULL: an emptyDir */
    uint64_t deadline_seconds;
    uint64_t ttl_seconds;
    uint64_t retries;
};

/*
 * Adds the body of the Job. ERR_NOT_FOUND: a SqliteBucket is missing; ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int inject_job(const struct inject_job *job, struct buf *out, struct error *err);

/*
 * Adds the body of a CronJob that makes such Jobs. schedule and time_zone go to Kubernetes as they
 * are, which also says what is wrong with them. Errors as inject_job().
 */
MUST_USE int inject_cron_job(const struct inject_job *job, const char *schedule,
                             const char *time_zone, bool is_suspended, struct buf *out,
                             struct error *err);

#endif
