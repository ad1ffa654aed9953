/*
 * What the admission webhook asks (controller/webhook/webhook.h), answered from the informers, and
 * by one uncached look where a cache does not have what `kubectl apply` has just made: that look's
 * answer is kept for half a minute, by when the watch has it, too.
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_SOURCE_H
#define WALFERRY_CONTROLLER_WEBHOOK_SOURCE_H

#include "controller/informer/informer_set.h"
#include "controller/kube/recorder.h"
#include "controller/webhook/webhook.h"

enum {
    WEBHOOK_SOURCE_KEPT_MAX = 256, /* answers of uncached looks; the oldest makes room */
    WEBHOOK_SOURCE_PEERS_MAX = 64,
};

struct webhook_source_state;

/* All borrowed for the life of the source. */
struct webhook_source_config {
    struct kube_client *client;
    struct loop *loop;
    struct informer_set *informers;
    struct recorder *recorder;
    const struct log *log;
};

/* Asks the set for the informers it needs, before they are started. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int webhook_source_new(const struct webhook_source_config *config,
                                struct webhook_source_state **out, struct error *err);

/* No webhook may ask any more. NULL ok. */
void webhook_source_free(struct webhook_source_state *s);

/* What webhook_config wants. */
struct webhook_source webhook_source_of(struct webhook_source_state *s);

#endif
