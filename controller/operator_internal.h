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
    struct operator_webhook *webhook; /* NULL: admission is off */
    struct signals *signals;
    struct outage outage; /* of the API server */
    struct operator_member members[OPERATOR_RECONCILERS_MAX];
    size_t member_count;
    size_t busy_count;        /* members that have not said yet that they are idle; while ENDING */
    uint64_t ending_since_ns; /* monotonic */
    struct loop_timer served; /* until when admissions are answered; while ENDING */
    struct loop_timer end;    /* the latest moment */
    int status;
};

/* "syncing", "standby", "leading", "ending". */
const char *operator_state_name(enum operator_state state);

/* Listens. Errors of http_server_new(). */
MUST_USE int operator_serve(struct operator_process *p, struct error *err);

/* ---- operator_webhook.c ---- */

/* Before the informers start: it asks for some. Errors of webhook_new(), ERR_USAGE (no image). */
MUST_USE int operator_webhook_start(struct operator_process *p, struct error *err);
/* Harmless if it was not started. */
void operator_webhook_stop(struct operator_process *p);
/* Whether a certificate is served and trusted; true where admission is off. */
bool operator_webhook_is_ready(const struct operator_process *p);
/* Admissions that are not answered yet. */
unsigned operator_webhook_pending(const struct operator_process *p);
/* Adds its families. */
void operator_webhook_metrics(const struct operator_process *p, struct metrics_writer *w);

/* Adds all families of /metrics. */
MUST_USE int operator_metrics(const struct operator_process *p, enum metrics_format format,
                              struct buf *out, struct error *err);

#endif
