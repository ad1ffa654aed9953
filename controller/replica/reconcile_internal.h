/*
 * What the files of the SqliteReplica reconciler share.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_RECONCILE_INTERNAL_H
#define WALFERRY_CONTROLLER_REPLICA_RECONCILE_INTERNAL_H

#include "controller/inject/inject.h"
#include "controller/inject/job.h"
#include "controller/kube/limiter.h"
#include "controller/replica/judge.h"
#include "controller/replica/kinds.h"
#include "controller/replica/listen.h"
#include "controller/replica/replica.h"
#include "controller/replica/scrape.h"
#include "controller/replica/status_write.h"

enum {
    RECONCILE_INTERVAL_S = 15, /* between looks at a resource with pods, and between its statuses */
    RECONCILE_CALM_INTERVALS = 240, /* up to so many, while its sidecars are listened to, */
    RECONCILE_CALM_S_MAX = 3600,    /* but no longer than this */
    RECONCILE_CACHE_LAG_S = 5,      /* so long a cache may not have heard of a write of ours */
    RECONCILE_FIGURES_PER_S = 20,   /* statuses, over all resources, that say only newer figures */
    BUCKETS_MAX = API_DESTINATIONS_MAX,
};

/* What was judged and written for a resource last; lost at a restart, which costs a comparison with
 * what the API server has. */
struct memory {
    char *key;
    uint64_t config_sum; /* of the ConfigMap, as written or found; 0: it is to be looked at */
    uint64_t config_written_ns; /* monotonic; 0: it was found */
    uint64_t cron_sum;          /* of the CronJob, as written or found; 0: it is to be looked at */
    char *cron_refusal;         /* why the API server does not take it; NULL: it does */
    uint64_t status_crc;
    uint64_t status_written_ns; /* monotonic */
    uint64_t rollout_crc;       /* of hash and owners that a rollout was begun for; 0: none */
    uint64_t rollout_due_ns;    /* monotonic: when it is looked at again */
    char *rollout_text;         /* what it came to; NULL: nothing */
    bool has_lag;
    uint64_t lag_seconds; /* as judged last */
    struct {
        uint8_t status; /* enum condition_status */
        char reason[CONDITION_REASON_BYTES];
    } conditions[CONDITION_TYPES]; /* as judged last, for metrics */
};

struct reconcile {
    struct reconcile_context context;
    struct informer *replicas;
    struct informer *buckets;
    struct informer *pods;
    struct informer *jobs;
    struct informer *cron_jobs;
    struct informer *config_maps;
    struct queue *queue;
    struct scraper *scraper;
    struct listeners *listeners;
    struct limiter figures; /* of statuses without a changed condition */
    void *memories;         /* tsearch() tree of struct memory */
    uint64_t status_write_count;
    uint64_t config_write_count;
};

/*
 * Logs that a pass over key has failed at step, unless the API server is away: that is logged once
 * for all. kind: "sqlitereplica", ...
 */
void reconcile_log(const struct reconcile_context *context, const char *kind, const char *key,
                   const char *step, const struct error *err);

/* What injection is told, as the webhook has it: so both make the same hash of a spec. */
struct inject_options reconcile_inject_options(const struct reconcile_context *context);

/* RECONCILE_INTERVAL_S, or what -status-interval says. */
uint64_t reconcile_interval_ns(const struct reconcile *r);

/* The memory of a key, made when there is none. NULL: ERR_NO_MEMORY. */
struct memory *reconcile_memory(struct reconcile *r, const char *key, struct error *err);
void reconcile_forget(struct reconcile *r, const char *key);

/* ---- pass.c ---- */

/* Begins a pass over key; leads to exactly one queue_finish(). */
void pass_begin(struct reconcile *r, const char *key);

/*
 * Collects the buckets that the destinations name and that are there. Returns their number; the
 * items are borrowed until the loop turns.
 */
size_t reconcile_buckets(const struct reconcile *r, const struct api_replica *replica,
                         const struct bucket_item *out[static BUCKETS_MAX]);

/*
 * The hash that pods of the resource should carry. ERR_NOT_FOUND: a SqliteBucket is missing;
 * ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int reconcile_spec_hash(const struct reconcile *r, const struct api_replica *replica,
                                 char out[static INJECT_HASH_BYTES], struct error *err);

/* ---- verify.c ---- */

/* "walferry-verify-NAME", the CronJob of a resource. Returns out. */
const char *verify_cron_name(const char *name, char out[static KUBE_NAME_BYTES_MAX + 1]);

/* ---- status_body.c ---- */

/* Adds the body of the apply that sets the status. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int status_body(const struct replica_view *view, const struct replica_outcome *outcome,
                         const struct api_bucket *const *buckets, size_t bucket_count,
                         struct buf *out, struct error *err);

/* ---- reconcile_metrics.c ---- */

/* Keeps what a pass has judged for the next scrape of /metrics. */
void metrics_keep(struct memory *m, const struct replica_outcome *outcome);

/* Adds the families about resources. */
void metrics_write(const struct reconcile *r, struct metrics_writer *w);

/* ---- announce.c ---- */

/* Records an event for each condition that has changed and that people want to hear of. */
void announce(struct recorder *recorder, const struct replica_item *item,
              const struct condition_set *now);

#endif
