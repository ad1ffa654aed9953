/*
 * RestoreVerified: the last real restore succeeded, and is not older than its schedule says.
 */
#include <string.h>

#include "controller/replica/judge.h"

enum {
    STALE_GRACE_S = 3600, /* after the next one was due: Jobs take their time */
};

void judge_verified(const struct replica_view *view, struct replica_outcome *out)
{
    struct condition_set *set = &out->conditions;
    const struct replica_item *item = view->item;
    const enum condition_type type = CONDITION_RESTORE_VERIFIED;

    if (!item->replica->verification.schedule && item->verified_ns == 0)
        return; /* nobody asked for it: absent */
    if (item->verified_ns == 0) {
        condition_put(set, type, CONDITION_UNKNOWN, "NeverRun",
                      view->is_verification_running ? "The first verification is running."
                                                    : "No verification has run yet.");
    } else if (strcmp(item->verified_result, "Passed") != 0)
        condition_put(set, type, CONDITION_FALSE, "Failed", "%s", item->verified_message);
    else if (view->verification_due_ns > 0 &&
             view->now_ns > view->verification_due_ns + STALE_GRACE_S * NS_PER_SEC) {
        condition_put(set, type, CONDITION_FALSE, "Stale",
                      "The last verification passed, but the next one is overdue.");
    } else {
        condition_put(set, type, CONDITION_TRUE, "Passed",
                      "A restore was made and checked page by page.");
    }
}
