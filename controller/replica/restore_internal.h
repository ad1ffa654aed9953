/*
 * What the files of the SqliteRestore reconciler share.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_RESTORE_INTERNAL_H
#define WALFERRY_CONTROLLER_REPLICA_RESTORE_INTERNAL_H

#include "controller/replica/job_result.h"
#include "controller/replica/reconcile_internal.h"

/* Who writes the lock and the number of replicas. */
#define RESTORE_MANAGER "walferry-restore"

struct restores {
    struct reconcile_context context;
    struct informer *restores;
    struct informer *replicas;
    struct informer *buckets;
    struct informer *jobs;
    struct informer *pods;
    struct queue *queue;
};

/* One pass over one SqliteRestore. */
struct restore_pass {
    struct restores *r;
    char *key;
    struct kube_request *request;
    uint64_t job_created_ns, job_finished_ns; /* of the Job that is being read */
    bool has_job_failed;
    /* in place */
    struct api_workload found[API_RESTORE_WORKLOADS_MAX]; /* owned */
    size_t found_count;
    size_t workload_idx; /* that is being scaled */
    bool is_default;  /* the source is the default of the namespace: for labels without a value */
    bool is_resuming; /* up, not down */
};

/* How a restore ended, or how far it has come, for its status. */
struct restore_outcome {
    struct condition_set conditions;
    const struct api_workload *workloads; /* borrowed */
    size_t workload_count;
    char txid[17]; /* "" : none */
    char tip_txid[17];
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

/* Whether a restore in place has where to write to: ERR_USAGE with a sentence. */
MUST_USE int restore_check_writable(const struct restore_pass *p, const struct api_restore *r,
                                    const struct api_replica *source, struct error *err);

/* Whether the source has what is asked for: ERR_USAGE with a sentence. */
MUST_USE int restore_job_check(const struct api_restore *r, const struct api_replica *source,
                               struct error *err);

/* Makes the Job, and ends the pass. ERR_USAGE: the resource asks for what there is not. */
MUST_USE int restore_job_begin(struct restore_pass *p, const struct restore_item *item,
                               const struct replica_item *source, struct error *err);

/* ---- restore_result.c ---- */

/* Reads what the Job found, writes the status, and ends the pass. */
MUST_USE int restore_result_begin(struct restore_pass *p, const struct restore_item *item,
                                  const struct job_item *job, struct error *err);

/* Writes a status, with an event if it is the last one; ends the pass. */
MUST_USE int restore_status_apply(struct restore_pass *p, const struct restore_item *item,
                                  struct restore_outcome *o, struct error *err);

/* Ends a restore that cannot be done at all, or not go on: Failed with this reason; ends the pass. */
MUST_USE int restore_refuse(struct restore_pass *p, const struct restore_item *item,
                            const char *reason, const char *text, struct error *err);

/* ---- restore_metrics.c ---- */

/* Adds how many restores there are, by mode and state. */
void restore_metrics_write(const struct restores *r, struct metrics_writer *w);

/* ---- restore_lock.c ---- */

enum restore_lock {
    RESTORE_LOCK_FREE, /* or held by a restore that is over or gone: it may be taken */
    RESTORE_LOCK_OURS,
    RESTORE_LOCK_OTHERS, /* of a restore that goes on */
};

/* Who holds the lock of the source, as the cache has it. */
enum restore_lock restore_lock_look(const struct restore_pass *p, const struct api_restore *r,
                                    const struct replica_item *source);

/*
 * Writes the lock: ours (pods_may_run as told), or, with r NULL, none. Ends the pass; the change of
 * the source brings the next one. Somebody else's change in between makes it a retry.
 */
MUST_USE int restore_lock_write(struct restore_pass *p, const struct replica_item *source,
                                const struct api_restore *r, bool pods_may_run, struct error *err);

/* The restore of the pass is gone: releases the lock that it may have left, and ends the pass. */
MUST_USE int restore_lock_orphan(struct restore_pass *p, struct error *err);

/* ---- restore_fence.c ---- */

/* Looks for the workloads that use the source, and writes them down; ends the pass. */
MUST_USE int restore_workloads_find(struct restore_pass *p, const struct restore_item *item,
                                    struct error *err);

/* Scales the workloads to 0 and looks whether their pods are gone; ends the pass. */
MUST_USE int restore_fence(struct restore_pass *p, const struct restore_item *item,
                           struct error *err);

/* Scales them back, and completes the restore; ends the pass. */
MUST_USE int restore_resume(struct restore_pass *p, const struct restore_item *item,
                            struct error *err);

/* Frees what a pass has found. */
void restore_workloads_free(struct restore_pass *p);

/* ---- restore_in_place.c ---- */

/* The steps of a restore in place; ends the pass. */
MUST_USE int restore_in_place(struct restore_pass *p, const struct restore_item *item,
                              const struct replica_item *source, struct error *err);

/* Whether any pod of the source is not over, as the cache has it. */
bool restore_has_pods(const struct restore_pass *p, const struct api_restore *r);

/*
 * Fills in what is reached before: fields of the status, and the conditions up to and including
 * last (CONDITION_LOCKED ... CONDITION_RESUMED), as True.
 */
void restore_reached_put(const struct restore_item *item, enum condition_type last,
                         struct restore_outcome *o);

/* "Deployment shop (2), StatefulSet db (1)", or "nothing". Returns out. */
const char *restore_workloads_text(const struct api_workload *workloads, size_t count,
                                   char out[static 256]);

#endif
