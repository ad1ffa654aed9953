/*
 * The state of the operator's process, shared by its life (operator.c), what it serves
 * (operator_serve.c) and its metrics (operator_metrics.c).
 */
#ifndef WALFERRY_CONTROLLER_OPERATOR_INTERNAL_H
#define WALFERRY_CONTROLLER_OPERATOR_INTERNAL_H

#include "controller/operator.h"
#include "lib/http/server.h"
#include "lib/io/signals.h"

enum {
    OPERATOR_RECONCILERS_MAX = 8
};

enum operator_state {
    OPERATOR_SYNCING,
    OPERATOR_STANDBY,
    OPERATOR_LEADING,
    OPERATOR_ENDING,
};

struct operator_member {
    const struct reconciler *reconciler;
    void *state;
};

struct operator_process {
    const struct operator_options *opt;
    enum operator_state state;
    struct kube_client *client;
    struct informer_set *informers;
    struct recorder *recorder;
    struct lease *lease; /* NULL: none, or not yet */
    struct http_server *server;
    struct signals *signals;
    struct operator_member members[OPERATOR_RECONCILERS_MAX];
    size_t member_count;
    size_t busy_count;     /* members that have not said yet that they are idle; while ENDING */
    struct loop_timer end; /* the latest moment */
    int status;
};

/* "syncing", "standby", "leading", "ending". */
const char *operator_state_name(enum operator_state state);

/* Listens. Errors of http_server_new(). */
MUST_USE int operator_serve(struct operator_process *p, struct error *err);

/* Adds all families of /metrics. */
MUST_USE int operator_metrics(const struct operator_process *p, enum metrics_format format,
                              struct buf *out, struct error *err);

#endif
