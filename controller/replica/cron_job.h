/*
 * Whether a CronJob is as we wrote it. The API server fills in what we leave out, so what is there
 * cannot be compared with what we would write: its annotation walferry.dev/spec-hash says the sum of
 * what was written, and metadata.managedFields whether anybody else has written since.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_CRON_JOB_H
#define WALFERRY_CONTROLLER_REPLICA_CRON_JOB_H

#include "controller/inject/inject.h"

/* The sum of a body without that annotation; never 0. */
uint64_t cron_job_sum(struct slice body);

/* It as the annotation has it. Returns out. */
const char *cron_job_sum_text(uint64_t sum, char out[static INJECT_HASH_BYTES]);

/*
 * The sum of what was written, as a CronJob of the API server tells it. 0: it tells none, or a
 * field of its spec belongs to somebody else.
 * Source of managedFields: k8s.io/apimachinery, meta/v1, ManagedFieldsEntry.
 */
uint64_t cron_job_sum_read(struct jsonval object);

#endif
