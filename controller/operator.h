/*
 * The process of the operator: what is started in which order, who may write when, and how it ends.
 *
 *   SYNCING   informers take their first pictures; /readyz says no
 *   STANDBY   caches are full, the webhook answers; another replica leads (or nobody yet)
 *   LEADING   the lease is ours: reconcilers work
 *   ENDING    SIGTERM: not ready, reconcilers finish what they are at, the lease is given back,
 *             the process ends; END_NS_MAX at most
 *
 * A leader that loses its lease ends at once, with status 1: whatever it still had in mind was
 * decided with an authority it no longer has. Without leader election it leads once it is synced.
 *
 * Served on one address, plain HTTP: /healthz (the loop turns), /readyz, /metrics.
 */
#ifndef WALFERRY_CONTROLLER_OPERATOR_H
#define WALFERRY_CONTROLLER_OPERATOR_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/informer/reconciler.h"
#include "controller/kube/kube.h"
#include "lib/base/base.h"
#include "lib/io/loop.h"

/* Admission; texts as those of struct operator_options. */
struct operator_webhook_options {
    bool is_enabled;
    unsigned port;         /* 0: the kernel picks; it is in the log */
    const char *service;   /* name of the Service in front of it */
    const char *cert_path; /* PEM files that somebody else renews; NULL: our own authority */
    const char *key_path;
    const char *secret;        /* that holds our own certificates */
    const char *configuration; /* name of the webhook configurations that have to trust it */
    const char *pull_policy;   /* of injected containers; NULL: Kubernetes decides */
    bool allow_host_path;
};

/* All borrowed until operator_run() returns. */
struct operator_options {
    struct loop *loop;
    const struct log *log;
    const struct kube_config *kube;
    double rate_per_s, burst; /* of requests; 0: the client's defaults */
    uint64_t interval_ns;     /* between looks at a resource whose pods run; 0: the default */
    const char *const *namespaces;
    size_t namespace_count;     /* 0: all */
    const char *namespace_name; /* in which we run */
    const char *identity;       /* of this replica */
    bool elects;                /* leader election */
    const char *lease_name;
    const char *lease_namespace;
    const char *address; /* of /healthz and so on, in digits; NULL: every address */
    unsigned port;       /* 0: the kernel picks; it is in the log */
    const char *sidecar_image;
    struct operator_webhook_options webhook;
    const struct reconciler *const *reconcilers; /* ended by NULL */
};

/*
 * Runs until SIGTERM or SIGINT (*out_status 0), or until the lease is lost (1). -1: it could not be
 * started.
 */
MUST_USE int operator_run(const struct operator_options *options, int *out_status,
                          struct error *err);

#endif
