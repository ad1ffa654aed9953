/*
 * Single objects that the admission webhook asks for, uncached: a workload, a namespace
 * (controller/webhook/webhook.h, workload_look and namespace_look).
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_LOOKUP_H
#define WALFERRY_CONTROLLER_WEBHOOK_LOOKUP_H

#include "controller/kube/kube.h"
#include "controller/webhook/webhook.h"

/* The lookups under way. Zeroed but for client; ended by webhook_lookups_cancel(). */
struct webhook_lookups {
    struct kube_client *client;
    struct webhook_lookup *first;
};

/* As workload_look(). */
void webhook_lookup_workload(struct webhook_lookups *l, const char *namespace_name,
                             const char *kind, const char *name, webhook_workload_fn *done,
                             void *arg);

/* As namespace_look(). */
void webhook_lookup_namespace(struct webhook_lookups *l, const char *namespace_name,
                              webhook_namespace_fn *done, void *arg);

/* Ends them all: ERR_CANCELED. */
void webhook_lookups_cancel(struct webhook_lookups *l);

#endif
