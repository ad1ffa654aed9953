/*
 * The operator's own certificates, kept in a Secret and told to the API server: a loop that looks
 * each few seconds, does what is due (rotation.h), and repairs what somebody has deleted.
 *
 *   1. get the Secret; what is in it is served, as soon as every configuration was seen to trust it
 *   2. do what is due, and write the Secret: created if it was missing, else replaced in the version
 *      that was read. Whoever comes second reads again: every replica of the operator may do this
 *   3. get each webhook configuration; where a webhook's caBundle is another, apply ours
 *
 * It needs, in its own namespace, get, create and update of that Secret by name, and get and patch
 * of the webhook configurations by name. Without an API server nothing changes: what is served goes
 * on being served.
 *
 * Threads: all on the loop thread.
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_AUTHORITY_H
#define WALFERRY_CONTROLLER_WEBHOOK_AUTHORITY_H

#include "controller/kube/client.h"
#include "lib/tls/identity.h"

enum {
    AUTHORITY_CONFIGS_MAX = 4,
};

/* Time between two looks: a deleted Secret is back, a reset caBundle repaired, this soon. */
#define AUTHORITY_LOOK_NS (5 * NS_PER_SEC)

/* A webhook configuration that has to trust us. */
struct authority_target {
    const struct kube_resource *resource; /* kube_mutating_webhooks or kube_validating_webhooks */
    const char *name;
};

/* Borrowed until authority_free(). */
struct authority_config {
    struct kube_client *client;
    struct tls_identity *identity;
    const char *namespace_name; /* of the Secret */
    const char *secret_name;
    const char *const *dns_names; /* of the Service: "walferry.ops.svc", ... */
    size_t name_count;
    const struct authority_target *targets;
    size_t target_count;
    const struct log *log;
    uint64_t look_ns; /* 0: AUTHORITY_LOOK_NS */
    /* Called after a new certificate is served: for an event; may be NULL. */
    void (*on_rotated)(void *arg, const char *step);
    void *arg;
};

struct authority;

/* Starts at once. ERR_NO_MEMORY. */
MUST_USE int authority_start(struct loop *loop, const struct authority_config *config,
                             struct authority **out, struct error *err);

/* Ends what is under way. Accepts NULL. */
void authority_free(struct authority *a);

/* Whether a certificate is served and every webhook configuration that exists trusts it. */
bool authority_is_ready(const struct authority *a);

#endif
