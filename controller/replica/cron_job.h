/*
 * Whether a CronJob is as we wrote it. The API server fills in what we leave out, so what is there
 * cannot be compared with what we would write. Its annotation walferry.dev/spec-hash is a *mark*:
 *
 *   0123456789abcdef-3    the sum of what was written, and the metadata.generation that it made
 *
 * Kubernetes counts a generation for each change of a spec, whoever makes it and whatever he leaves
 * behind in metadata.managedFields: who takes a field away owns nothing. What the generation will be
 * is foreseen when the mark is written (one more, or 1); where that was wrong, the answer tells, and
 * the mark is written once more, which changes no spec. So a new leader sees what was changed while
 * nobody led.
 *
 * metadata.managedFields is asked as well: in a CronJob that tells no generation, it is all there is.
 * Source: k8s.io/kubernetes, pkg/registry/batch/cronjob/strategy.go; k8s.io/apimachinery, meta/v1,
 * ManagedFieldsEntry.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_CRON_JOB_H
#define WALFERRY_CONTROLLER_REPLICA_CRON_JOB_H

#include "controller/inject/inject.h"

enum {
    CRON_JOB_MARK_BYTES = INJECT_HASH_BYTES + 21, /* a hyphen and 20 digits */
};

/* The sum of a body without a mark; never 0. */
uint64_t cron_job_sum(struct slice body);

/* The mark of a body of this sum that makes this generation. Returns out. */
const char *cron_job_mark(uint64_t sum, uint64_t generation, char out[static CRON_JOB_MARK_BYTES]);

/* metadata.generation of a CronJob of the API server; 0: it tells none. */
uint64_t cron_job_generation(struct jsonval object);

/*
 * The sum of what was written, as a CronJob of the API server tells it. 0: it has no mark, its spec
 * was changed since, or a field of it belongs to somebody else.
 */
uint64_t cron_job_sum_read(struct jsonval object);

#endif
