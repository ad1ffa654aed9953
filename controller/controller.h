/*
 * controller: the operator. Rooms, from the bottom up:
 *
 *   kube/      client of the Kubernetes API: configuration, requests, list, watch, leases, events
 *   api/       SqliteReplica, SqliteBucket, SqliteRestore <-> structs
 *   informer/  cache of what the API server has, and the queue of what has to be looked at
 *   inject/    a pod goes in, a patch comes out
 *   webhook/   admission over TLS: certificates, AdmissionReview
 *   replica/   reconcile, a file per concern
 *   plugin/    kubectl-walferry
 *
 * controller.c holds the command line of walferry-controller.
 */
#ifndef WALFERRY_CONTROLLER_CONTROLLER_H
#define WALFERRY_CONTROLLER_CONTROLLER_H

#include "lib/base/base.h"

/* Parses and runs argv; prints errors. Returns the exit status. */
int controller_main(const struct env *env, int argc, char **argv);

#endif
