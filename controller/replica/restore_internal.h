/*
 * What the files of the SqliteRestore reconciler share.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_RESTORE_INTERNAL_H
#define WALFERRY_CONTROLLER_REPLICA_RESTORE_INTERNAL_H

#include "controller/replica/job_result.h"
#include "controller/replica/reconcile_internal.h"

struct restores {
    struct reconcile_context context;
    struct informer *restores;
    struct informer *replicas;
    struct informer *buckets;
    struct informer *jobs;
    struct queue *queue;
};

/* One pass over one SqliteRestore. */
struct restore_pass {
    struct restores *r;
    char *key;
    struct kube_request *request;
    struct job_result_request *result;
    uint64_t job_created_ns, job_finished_ns; /* of the Job that is being read */
    bool has_job_failed;
};

/* How a restore ended, for its status. */
struct restore_outcome {
    struct condition_set conditions;
    char txid[17];         /* "" : none */
    uint64_t timestamp_ns; /* the moment that was restored; 0: none */
    uint64_t bytes;
    uint64_t seconds;
    char message[CONDITION_MESSAGE_BYTES];
};

/* Ends the pass. delay_ns counts for QUEUE_AFTER. */
void restore_pass_end(struct restore_pass *p, enum queue_outcome outcome, uint64_t delay_ns);
/* Logs, and ends the pass to be tried again. */
void restore_pass_fail(struct restore_pass *p, const char *what, const struct error *err);
/* The resource as the cache has it now; NULL: it is gone, and the pass has ended. */
const struct restore_item *restore_pass_item(struct restore_pass *p);

/* ---- restore_job.c ---- */

/* Name of the Job of a restore. Returns out. */
const char *restore_job_name(const char *name, char out[static KUBE_NAME_BYTES_MAX + 1]);

/* Makes the Job, and ends the pass. ERR_USAGE: the resource asks for what there is not. */
MUST_USE int restore_job_begin(struct restore_pass *p, const struct restore_item *item,
                               const struct replica_item *source, struct error *err);

/* ---- restore_result.c ---- */

/* Reads what the Job found, writes the status, and ends the pass. */
MUST_USE int restore_result_begin(struct restore_pass *p, const struct restore_item *item,
                                  const struct job_item *job, struct error *err);

/* Ends a restore that cannot be done at all: Failed with this reason; ends the pass. */
MUST_USE int restore_refuse(struct restore_pass *p, const struct restore_item *item,
                            const char *reason, const char *text, struct error *err);

#endif
