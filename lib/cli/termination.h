/*
 * The termination message of a container: what `kubectl describe pod` shows of a container that
 * ended, and what a controller reads of a Job. The container runtime makes the file; outside of a
 * container there is none, and nothing is written.
 *
 * Source: Kubernetes, "Determine the Reason for Pod Failure" (terminationMessagePath).
 */
#ifndef WALFERRY_LIB_CLI_TERMINATION_H
#define WALFERRY_LIB_CLI_TERMINATION_H

#include "lib/base/base.h"

enum {
    TERMINATION_BYTES_MAX = 4096, /* what Kubernetes keeps */
};

/* Replaces the message. Beyond TERMINATION_BYTES_MAX the end is lost. Best effort: no error. */
void termination_message(const struct env *env, struct slice text);

#endif
