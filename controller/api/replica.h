/*
 * SqliteReplica (short name sqlr): which databases of a pod are restored before it starts and
 * replicated while it runs, and where to. Fields are those of crds/sqlitereplica.yaml, whose
 * descriptions are the manual (docs/crd-reference.md); here stands only what they leave open.
 *
 * Intervals are nanoseconds here, whatever their unit in the resource.
 */
#ifndef WALFERRY_CONTROLLER_API_REPLICA_H
#define WALFERRY_CONTROLLER_API_REPLICA_H

#include "controller/api/bucket.h"
#include "controller/api/meta.h"
#include "controller/api/store.h"

enum {
    API_DATABASES_MAX = 16,
    API_DESTINATIONS_MAX = 3, /* the first is spec.destination */
    API_ENV_MAX = 32,
    API_LEVELS_MAX = 8,
    API_PREFIXES_MAX = 256, /* of status.replicatedPrefixes */
};

/* The prefix where spec.prefixTemplate is not set. */
#define API_PREFIX_TEMPLATE "{{namespace}}/{{name}}/{{database}}"

struct api_database {
    char *name;          /* unique, a DNS label */
    char *path;          /* absolute, in the application's container */
    char *container;     /* whose mounts to look at; NULL: spec.containerName, or the only one */
    char *volume;        /* NULL: the one with the longest mountPath that leads to path */
    bool journal_enable; /* journalMode: Enable; else wait for the application */
    bool seal;
    uint64_t monitor_interval_ns;
    uint64_t checkpoint_interval_ns;
    uint64_t min_checkpoint_page_count;
    uint64_t busy_timeout_ns;
    uint64_t reserve_bytes; /* of free disk space; the larger of both counts */
    uint64_t reserve_percent;
};

struct api_destination {
    char *name;             /* "primary" for spec.destination */
    char *bucket_ref;       /* name of a SqliteBucket; NULL: store */
    struct api_store store; /* API_STORE_NONE with bucket_ref */
    bool create_bucket;     /* of store: make the bucket where it is missing */
    char *prefix_template;  /* never NULL */
    uint64_t sync_interval_ns;
    uint64_t snapshot_interval_ns;
    uint64_t retention_ns;
};

enum api_restore_policy {
    API_RESTORE_IF_MISSING, /* a database that is missing is restored; onNoBackup decides the rest */
    API_RESTORE_REQUIRE,    /* as before, and having no backup is always an error */
    API_RESTORE_NEVER,
};

enum api_integrity {
    API_INTEGRITY_NONE,
    API_INTEGRITY_QUICK,
    API_INTEGRITY_FULL,
};

enum api_log_level {
    API_LOG_TRACE,
    API_LOG_DEBUG,
    API_LOG_INFO,
    API_LOG_WARN,
    API_LOG_ERROR,
};

struct api_resources {
    char *cpu_request; /* quantities as written: "10m", "64Mi"; NULL: not set */
    char *memory_request;
    char *cpu_limit;
    char *memory_limit;
};

struct api_env {
    char *name;
    char *value;
};

struct api_sidecar {
    char *image;       /* NULL: the operator's */
    char *pull_policy; /* "Always", "IfNotPresent", "Never"; NULL: Kubernetes decides */
    struct api_resources resources;
    struct api_resources restore_resources;
    enum api_log_level log_level;
    bool log_json;
    uint64_t metrics_port;
    bool litestream_metrics;
    uint64_t flush_ns; /* terminationFlushSeconds */
    bool has_user;
    bool has_group;
    uint64_t user;
    uint64_t group;
    struct api_env *env;
    size_t env_count;
};

struct api_replica {
    struct api_meta meta;

    bool is_suspended;
    struct api_database *databases; /* 1..API_DATABASES_MAX */
    size_t database_count;
    char *container;                      /* spec.containerName; NULL: the only one */
    struct api_destination *destinations; /* 1..API_DESTINATIONS_MAX */
    size_t destination_count;

    uint64_t l0_retention_ns;
    uint64_t level_ns[API_LEVELS_MAX];
    size_t level_count;
    bool require_fencing;
    bool has_lease;         /* singleWriter.lease */
    bool retention_enabled; /* false: nothing is ever deleted at a destination */
    uint64_t validation_ns; /* chain check of the sidecar; 0: off */

    struct {
        enum api_restore_policy policy;
        char *target_time; /* RFC 3339, checked; NULL: the newest */
        char *target_txid; /* 16 hex digits; NULL: the newest */
        enum api_integrity integrity;
        bool may_start_empty; /* onNoBackup: StartEmpty */
        uint64_t parallelism;
    } restore;

    struct {
        uint64_t warning_ns;
        uint64_t critical_ns;
        bool gates_readiness;
    } lag;

    struct {
        char *schedule;  /* cron; NULL: never */
        char *time_zone; /* IANA; "Etc/UTC" */
        enum api_integrity integrity;
        uint64_t jitter_ns;
    } verification;

    bool enforces_single_writer; /* singleWriter.enforcement: Enforce; else warnings */
    bool rollout_auto;           /* rollout: Auto */
    bool prometheus_annotations;
    struct api_sidecar sidecar;

    struct {
        uint64_t observed_generation;
        char **prefixes; /* replicatedPrefixes: where a replica was ever reported */
        size_t prefix_count;
        /* A SqliteRestore that goes on in place: until pods_may_run they are not admitted. */
        struct {
            char *name; /* NULL: there is none */
            char *uid;
            bool pods_may_run;
        } restore;
    } status;
};

/*
 * Reads a SqliteReplica as the API server answers it (kind and apiVersion are not looked at).
 * ERR_CORRUPT with the place, ERR_NO_MEMORY. *out is freed by api_replica_free().
 */
MUST_USE int api_replica_parse(struct jsonval resource, struct api_replica **out,
                               struct error *err);
void api_replica_free(struct api_replica *replica);

/* For CLEANUP on a struct api_replica *. */
void api_replica_cleanup(struct api_replica **replica);

/* The ConfigMap with the sidecars' configuration: "walferry-<name>". ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int api_replica_config_map(const struct api_replica *replica, struct buf *out,
                                    struct error *err);

/* Whether a replica was ever reported under this prefix (status.replicatedPrefixes). */
bool api_replica_has_reported(const struct api_replica *replica, const char *prefix);

/*
 * Whether a destination is only restored from: it names a SqliteBucket with accessMode ReadOnly.
 * Of a bucket that is not among them nothing is known: false.
 */
bool api_destination_is_read_only(const struct api_destination *destination,
                                  const struct api_bucket *const *buckets, size_t bucket_count);

/*
 * Where a destination leads: its own store, or that of the bucket it names.
 * buckets: those of the namespace that were found, in any order; others in it do not matter.
 * *out_bucket is NULL for an own store. Both are borrowed.
 * ERR_NOT_FOUND names the SqliteBucket that is missing.
 */
MUST_USE int api_destination_store(const struct api_destination *destination,
                                   const struct api_bucket *const *buckets, size_t bucket_count,
                                   const struct api_store **out_store,
                                   const struct api_bucket **out_bucket, struct error *err);

#endif
