/*
 * Objects looked at until something is true of them: `status -w`, a restore on its way.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_FOLLOW_H
#define WALFERRY_CONTROLLER_PLUGIN_FOLLOW_H

#include "controller/plugin/session.h"

enum follow_end {
    FOLLOW_ENOUGH,      /* on_object or on_synced said so */
    FOLLOW_TIMEOUT,     /* timeout_ns has passed */
    FOLLOW_INTERRUPTED, /* SIGINT or SIGTERM */
};

struct follow {
    const struct kube_resource *resource;
    const char *namespace_name; /* NULL: all */
    const char *name;           /* NULL: all */
    const char *label_selector; /* NULL: all */
    uint64_t timeout_ns;        /* 0: none */
    /* An object is there or has changed; gone: it was deleted. 1: enough; 0: go on; -1: err. */
    int (*on_object)(void *arg, struct jsonval object, bool is_gone, struct error *err);
    /* All that is there was told. As above. May be NULL. */
    int (*on_synced)(void *arg, struct error *err);
    void *arg;
};

/*
 * Follows until the end. A connection that breaks is told on standard error and made again. Errors
 * are those of the callbacks and of starting.
 */
MUST_USE int follow_run(struct session *s, const struct follow *follow, enum follow_end *out_end,
                        struct error *err);

#endif
