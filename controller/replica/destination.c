/*
 * DestinationAvailable: the probe of the SqliteBucket has the first word; for a store that the
 * resource names itself, the sidecars' own requests are the probe.
 */
#include <string.h>

#include "controller/replica/judge.h"

/* A database whose last request failed, of any pod; NULL: none. */
static const struct observed_database *failing(const struct replica_view *view)
{
    for (size_t i = 0; i < view->pod_count; i++) {
        const struct observed *seen = view->pods[i].seen;
        for (size_t j = 0; seen && j < seen->database_count; j++) {
            if (seen->databases[j].state == OBSERVED_BACKOFF)
                return &seen->databases[j];
        }
    }
    return NULL;
}

/* A pod whose restore does not come through because of the store; NULL: none. */
static const struct pod_item *kept_out(const struct replica_view *view)
{
    for (size_t i = 0; i < view->pod_count; i++) {
        const struct pod_item *pod = view->pods[i].pod;
        if (!pod->is_sidecar_started && pod->trouble && strstr(pod->trouble, "restore "))
            return pod;
    }
    return NULL;
}

static bool has_shipped(const struct replica_view *view)
{
    for (size_t i = 0; i < view->pod_count; i++) {
        const struct observed *seen = view->pods[i].seen;
        for (size_t j = 0; seen && j < seen->database_count; j++) {
            if (seen->databases[j].replicated_txid[0])
                return true;
        }
    }
    return false;
}

/* What a text of the store means, in the words of the condition. */
static const char *reason_of(const char *text)
{
    static const struct {
        const char *part;
        const char *reason;
    } known[] = {
        {"NoSuchBucket", "BucketMissing"},
        {"RequestTimeTooSkewed", "ClockSkew"},
        {"RequestExpired", "ClockSkew"},
        {"certificate", "TLSError"},
        {"SSL", "TLSError"},
        {"Read-only", "ReadOnly"},
        {"AccessDenied", "AuthFailed"},
        {"InvalidAccessKeyId", "AuthFailed"},
        {"SignatureDoesNotMatch", "AuthFailed"},
        {"ExpiredToken", "AuthFailed"},
        {"credentials", "AuthFailed"},
        {"access key", "AuthFailed"},
        {"403", "AuthFailed"},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strstr(text, known[i].part))
            return known[i].reason;
    }
    return "Unreachable";
}

void judge_destination(const struct replica_view *view, struct replica_outcome *out)
{
    struct condition_set *set = &out->conditions;
    const enum condition_type type = CONDITION_DESTINATION_AVAILABLE;
    const struct observed_database *bad = failing(view);
    const struct pod_item *pod = kept_out(view);

    if (view->config_error)
        condition_put(set, type, CONDITION_FALSE, "InvalidConfiguration", "%s", view->config_error);
    else if (view->unavailable_bucket) {
        condition_put(set, type, CONDITION_FALSE, view->unavailable_bucket->reason,
                      "SqliteBucket %s: %s", view->unavailable_bucket->bucket->meta.name,
                      view->unavailable_bucket->message);
    } else if (view->make_reason)
        condition_put(set, type, CONDITION_FALSE, view->make_reason, "%s", view->make_text);
    else if (bad)
        condition_put(set, type, CONDITION_FALSE, reason_of(bad->error), "%s", bad->error);
    else if (pod) {
        condition_put(set, type, CONDITION_FALSE, reason_of(pod->trouble), "Pod %s: %s", pod->name,
                      pod->trouble);
    } else if (view->is_bucket_unprobed) {
        condition_put(set, type, CONDITION_UNKNOWN, "NotProbed",
                      "A SqliteBucket has not been probed yet.");
    } else if (judge_is_source(view)) {
        condition_put(set, type, CONDITION_TRUE, "ReadOnly",
                      "It is restored from, and nothing is written there.");
    } else if (has_shipped(view))
        condition_put(set, type, CONDITION_TRUE, "Available", "Objects are accepted.");
    else
        condition_put(set, type, CONDITION_UNKNOWN, "NotUsed", "No sidecar has written there yet.");
}
