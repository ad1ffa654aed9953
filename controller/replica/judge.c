/*
 * The concerns in their order, and what follows from all of them: Ready has the reason of the first
 * that fails, so a reader sees the cause and not its consequences.
 */
#include "controller/replica/judge.h"

#include <string.h>

typedef void concern_fn(const struct replica_view *view, struct replica_outcome *out);

/* single_writer reads the rows that replicating collects. */
static concern_fn *const concerns[] = {
    judge_destination, judge_injected, judge_replicating, judge_single_writer, judge_verified,
};

/* In the order of causes. */
static const enum condition_type ready_needs[] = {
    CONDITION_DESTINATION_AVAILABLE, CONDITION_INJECTED,         CONDITION_SINGLE_WRITER,
    CONDITION_REPLICATING,           CONDITION_RESTORE_VERIFIED,
};

/* A person has to do something; waiting does not help. */
static bool is_stalling(const char *reason)
{
    static const char *const reasons[] = {
        "InvalidConfiguration",
        "PrefixConflict",
        "MultipleWriters",
        "Fenced",
        "LineageRefused",
        "NotWALMode",
        "AuthFailed",
        "BucketMissing",
        "PodWithoutSidecar",
        "DatabaseUnusable",
        "ReadOnly",
        "BucketNameTaken",
        "ClockSkew",
        "TLSError",
    };

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (strcmp(reasons[i], reason) == 0)
            return true;
    }
    return false;
}

/* Something is under way that will end by itself. */
static bool is_progressing(const char *reason)
{
    return strcmp(reason, "NotStarted") == 0 || strcmp(reason, "NotProbed") == 0 ||
           strcmp(reason, "NeverRun") == 0;
}

bool judge_is_source(const struct replica_view *view)
{
    return view->read_only & 1U;
}

static void ready_put(const struct replica_view *view, struct condition_set *set)
{
    const struct condition *cause = NULL;

    for (size_t i = 0; i < ARRAY_LEN(ready_needs) && !cause; i++) {
        const struct condition *c = &set->of[ready_needs[i]];
        if (c->status == CONDITION_FALSE)
            cause = c;
    }
    if (!cause && judge_is_source(view)) {
        condition_put(set, CONDITION_READY, CONDITION_TRUE, "ReadOnly",
                      "It is there to be restored from: its SqliteBucket is ReadOnly.");
        return;
    }
    if (!cause) {
        condition_put(set, CONDITION_READY, CONDITION_TRUE, "Ready",
                      "Every pod is injected and every database is being shipped.");
        return;
    }
    condition_put(set, CONDITION_READY, CONDITION_FALSE, cause->reason, "%s", cause->message);
    if (is_stalling(cause->reason))
        condition_put(set, CONDITION_STALLED, CONDITION_TRUE, cause->reason, "%s", cause->message);
    else if (is_progressing(cause->reason)) {
        condition_put(set, CONDITION_RECONCILING, CONDITION_TRUE, cause->reason, "%s",
                      cause->message);
    }
}

void judge(const struct replica_view *view, struct replica_outcome *out)
{
    *out = (struct replica_outcome){0};
    for (size_t i = 0; i < ARRAY_LEN(concerns); i++)
        concerns[i](view, out);
    ready_put(view, &out->conditions);
}
