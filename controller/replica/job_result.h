/*
 * What a Job of ours found: the termination message of its newest pod. The pod has no access to the
 * API, so this is the way back.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_JOB_RESULT_H
#define WALFERRY_CONTROLLER_REPLICA_JOB_RESULT_H

#include "controller/kube/kube.h"
#include "lib/json/json.h"

/* Valid during the call. */
struct job_result {
    const struct error *err; /* the pods could not be read */
    const char *message;     /* of the newest pod that ended; "" : it left none */
    int64_t exit_code;       /* -1: no pod has ended */
};

typedef void job_result_fn(void *arg, const struct job_result *result);

/* Asks; done is called once, later. ERR_USAGE, ERR_LIMIT, ERR_NO_MEMORY: it is not. */
MUST_USE int job_result_start(struct kube_client *client, const char *namespace_name,
                              const char *job_name, job_result_fn *done, void *arg,
                              struct error *err);

#endif
