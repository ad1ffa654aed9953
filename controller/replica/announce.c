/*
 * Which change of a condition people hear of as an event: of its status, and of the reason for which
 * it stays False, since what was a warning may have become a loss meanwhile. A condition that goes
 * from unknown to good is no news, except the first success.
 */
#include <string.h>

#include "controller/replica/reconcile_internal.h"

struct announcement {
    enum condition_type type;
    enum condition_status status; /* that it changed to */
    const char *condition_reason; /* NULL: any */
    const char *reason;           /* of the event */
    bool is_warning;
};

/* The first that fits counts. */
static const struct announcement announcements[] = {
    {CONDITION_DESTINATION_AVAILABLE, CONDITION_TRUE, NULL, "DestinationAvailable", false},
    {CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE, "AuthFailed", "CredentialsInvalid", true},
    {CONDITION_DESTINATION_AVAILABLE, CONDITION_FALSE, NULL, "DestinationUnavailable", true},
    {CONDITION_INJECTED, CONDITION_FALSE, "PodWithoutSidecar", "PodWithoutSidecar", true},
    {CONDITION_REPLICATING, CONDITION_TRUE, NULL, "ReplicationRecovered", false},
    {CONDITION_REPLICATING, CONDITION_FALSE, "NotWALMode", "DatabaseNotWAL", true},
    {CONDITION_REPLICATING, CONDITION_FALSE, "LineageRefused", "LineageRefused", true},
    {CONDITION_WITHIN_LAG_OBJECTIVE, CONDITION_FALSE, "Critical", "LagCritical", true},
    {CONDITION_WITHIN_LAG_OBJECTIVE, CONDITION_FALSE, NULL, "LagWarning", true},
    {CONDITION_SINGLE_WRITER, CONDITION_FALSE, "PrefixConflict", "PrefixConflict", true},
    {CONDITION_SINGLE_WRITER, CONDITION_FALSE, NULL, "MultipleWriters", true},
    {CONDITION_RESTORE_VERIFIED, CONDITION_TRUE, NULL, "VerificationSucceeded", false},
    {CONDITION_RESTORE_VERIFIED, CONDITION_FALSE, NULL, "VerificationFailed", true},
    {CONDITION_RETENTION_ENFORCED, CONDITION_FALSE, NULL, "RetentionFailed", true},
};

static const struct announcement *announcement_of(enum condition_type type,
                                                  const struct condition *c)
{
    for (size_t i = 0; i < ARRAY_LEN(announcements); i++) {
        const struct announcement *a = &announcements[i];
        if (a->type == type && a->status == c->status &&
            (!a->condition_reason || strcmp(a->condition_reason, c->reason) == 0))
            return a;
    }
    return NULL;
}

static bool is_news(const struct condition *c, const struct condition_marks *marks, size_t type)
{
    return marks->status[type] != (uint8_t)c->status ||
           (c->status == CONDITION_FALSE &&
            marks->reason_sum[type] != condition_reason_sum(c->reason));
}

void announce(struct recorder *recorder, const struct replica_item *item,
              const struct condition_set *now)
{
    const struct api_meta *meta = &item->replica->meta;
    const struct recorder_object object = {.resource = &kube_sqlite_replicas,
                                           .namespace_name = meta->namespace_name,
                                           .name = meta->name,
                                           .uid = meta->uid};

    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        const struct condition *c = &now->of[i];
        const struct announcement *a = announcement_of((enum condition_type)i, c);
        if (a && is_news(c, &item->marks, i)) {
            recorder_event(recorder, &object, a->is_warning, a->reason, "Reconcile", "%s",
                           c->message);
        }
    }
}
