/*
 * What the controller remembers of the API server's objects: a projection each, small, since there
 * are thousands. The tables are shared by all who follow these kinds (informer_set.h), the
 * admission webhook among them.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_KINDS_H
#define WALFERRY_CONTROLLER_REPLICA_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/api/api.h"
#include "controller/informer/informer.h"
#include "controller/replica/condition.h"

/* ---- SqliteReplica ---- */

/* How the last real restore ended. */
struct verification {
    uint64_t at_ns; /* 0: there was none */
    bool has_passed;
    uint64_t seconds;
    char txid[17];
    char message[256];
};

struct replica_item {
    struct api_replica *replica;
    struct condition_marks marks;
    struct verification verified; /* status.lastVerification */
    unsigned made;                /* status.createdBuckets: bit N for destination N */
    uint64_t status_sum;          /* status_sum() of the status; 0: there is none */
};

extern const struct informer_kind kind_replicas;

enum {
    REPLICAS_BY_BUCKET,  /* "namespace/bucket": those with a destination there */
    REPLICAS_BY_PREFIX,  /* where a database goes, as replica_store_key() says it */
    REPLICAS_BY_RESTORE, /* "namespace/restore": those that are locked by it (status.restore) */
};

/*
 * Adds the text under which two databases meet that would write to the same place: store and
 * prefix. A bucketRef is taken by name: two buckets that name one store are not seen here, the
 * fencing in the store itself is.
 */
MUST_USE int replica_store_key(const struct api_replica *replica,
                               const struct api_destination *destination,
                               const struct api_database *database, struct buf *out,
                               struct error *err);

/* ---- SqliteBucket, SqliteRestore ---- */

struct bucket_item {
    struct api_bucket *bucket;
    struct condition_marks marks;
    char reason[CONDITION_REASON_BYTES]; /* of Available, as the API server has it */
    char message[CONDITION_MESSAGE_BYTES];
};

extern const struct informer_kind kind_buckets;

struct restore_item {
    struct api_restore *restore;
    struct condition_marks marks;
};

extern const struct informer_kind kind_restores;

enum {
    RESTORES_BY_SOURCE, /* "namespace/replica" */
};

/* ---- pods that ask for a sidecar ---- */

struct pod_item {
    char *namespace_name;
    char *name;
    char *uid;
    char *replica;    /* value of the label, or the namespace's default; "": it names none */
    char *spec_hash;  /* annotation walferry.dev/spec-hash; NULL: not injected */
    char *ip;         /* NULL: none yet */
    char *owner_kind; /* what controls it: "ReplicaSet", ...; NULL: nothing */
    char *owner_name;
    char *owner_uid;
    char *trouble; /* why restore or sidecar do not run: "BackOff: ..."; NULL: they do */
    uint64_t metrics_port;
    bool has_sidecar;
    bool is_sidecar_started;
    bool is_ending;      /* deletionTimestamp is set ... */
    uint64_t ends_by_ns; /* ... to this moment: deletion and grace period; 0: it is not */
    bool is_finished;    /* phase Succeeded or Failed */
};

extern const struct informer_kind kind_pods;

/* Whether two states of a pod are the same for whoever knows only this of them: of the changes of a
 * pod's status most are. */
bool pod_item_is_same(const struct pod_item *a, const struct pod_item *b);

enum {
    PODS_BY_REPLICA, /* "namespace/replica" */
};

/* ---- Jobs of ours ---- */

/* By the labels of controller/inject/job.h. */
struct job_item {
    char *namespace_name;
    char *name;
    char *uid;
    char *purpose;
    char *owner;
    bool is_complete;
    bool is_failed;
    char *failure; /* message of the condition Failed; NULL: none */
    uint64_t created_ns;
    uint64_t finished_ns; /* 0: not yet */
};

extern const struct informer_kind kind_jobs;

enum {
    JOBS_BY_OWNER, /* "namespace/purpose/owner" */
};

/* ---- CronJobs of ours ---- */

struct cron_job_item {
    char *namespace_name;
    char *name;
    char *owner;
    uint64_t sum;        /* cron_job_sum_read() */
    uint64_t generation; /* cron_job_generation() */
    uint64_t created_ns;
    uint64_t scheduled_ns; /* status.lastScheduleTime; 0: never */
};

extern const struct informer_kind kind_cron_jobs;

/* ---- ConfigMaps of ours ---- */

/* What is in them, as a sum: whether it is to be written is seen without asking, also by a leader
 * that has just begun. */
struct config_map_item {
    char *namespace_name;
    char *replica; /* name of the SqliteReplica that owns it; NULL: something else of ours does */
    uint64_t sum;  /* config_map_sum(); 0: it has no text, or no owner */
};

extern const struct informer_kind kind_config_maps;

#endif
