/*
 * What the process frame (controller/run.c) starts: a reconciler is a row in its table.
 *
 * Life: start() on every replica (asks the set for informers, listens to them, makes a queue with
 * queue_new(), paused), resume() when this replica leads and all informers are synced, pause() when
 * the process ends (on_idle once nothing is under work: from then on it must not write), free() at
 * the end. A leader that has lost its lease is not asked: the process ends at once.
 */
#ifndef WALFERRY_CONTROLLER_INFORMER_RECONCILER_H
#define WALFERRY_CONTROLLER_INFORMER_RECONCILER_H

#include <stdbool.h>

#include "controller/informer/informer_set.h"
#include "controller/informer/outage.h"
#include "controller/informer/queue.h"
#include "controller/kube/recorder.h"

/* What a reconciler works with; all borrowed for its life. */
struct reconcile_context {
    struct loop *loop;
    struct kube_client *client;
    struct informer_set *informers;
    struct recorder *recorder;
    const struct log *log;
    struct outage *outage;      /* of the API server, in the log */
    const char *namespace_name; /* in which we run */
    const char *sidecar_image;  /* what sidecars and Jobs of ours run; NULL: not said */
    const char *pull_policy;    /* of it; NULL: Kubernetes decides */
    bool allow_host_path;       /* databases on hostPath volumes are injected */
    uint64_t interval_ns;       /* between looks at a resource that goes on; 0: the reconciler's own
                                   value */
};

struct reconciler {
    const char *name; /* "sqlitereplica": label `controller` */
    int (*start)(const struct reconcile_context *context, void **out_state, struct error *err);
    void (*resume)(void *state);
    void (*pause)(void *state, void (*on_idle)(void *arg), void *arg);
    void (*free)(void *state);
    /* Its queue, for the metrics. */
    const struct queue *(*queue)(const void *state);
    /* Adds families of its own to /metrics; NULL: none. */
    void (*metrics)(const void *state, struct metrics_writer *w);
};

#endif
