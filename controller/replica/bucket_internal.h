/*
 * What the files of the SqliteBucket reconciler share.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_BUCKET_INTERNAL_H
#define WALFERRY_CONTROLLER_REPLICA_BUCKET_INTERNAL_H

#include "controller/replica/job_result.h"
#include "controller/replica/reconcile_internal.h"

enum {
    PROBE_RETRY_S = 60, /* after a probe that found the destination unavailable */
};

struct buckets {
    struct reconcile_context context;
    struct informer *buckets;
    struct informer *jobs;
    struct queue *queue;
};

/* One pass over one SqliteBucket. */
struct bucket_pass {
    struct buckets *b;
    char *key;
    struct kube_request *request;
    char job[KUBE_NAME_BYTES_MAX + 1]; /* that ended, or that is being made */
    uint64_t finished_ns;
};

/* Ends the pass. delay_ns counts for QUEUE_AFTER. */
void bucket_pass_end(struct bucket_pass *p, enum queue_outcome outcome, uint64_t delay_ns);

/* Logs, and ends the pass to be tried again. */
void bucket_pass_fail(struct bucket_pass *p, const char *what, const struct error *err);

/* The resource as the cache has it now; NULL: it is gone, and the pass has ended. */
const struct bucket_item *bucket_pass_item(struct bucket_pass *p);

/* Step 2: makes ConfigMap and Job, and ends the pass. probe_job.c */
MUST_USE int probe_job_begin(struct bucket_pass *p, const struct bucket_item *item,
                             struct error *err);

/* Step 3: reads what the Job found, writes the status, and ends the pass. probe_result.c */
MUST_USE int probe_result_begin(struct bucket_pass *p, const struct bucket_item *item,
                                const char *job, struct error *err);

#endif
