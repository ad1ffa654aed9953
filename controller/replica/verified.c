/*
 * RestoreVerified: the last real restore succeeded, and is not older than its schedule says.
 */
#include "controller/replica/judge.h"

enum {
    STALE_GRACE_S = 3600, /* after the schedule asked for one: Jobs take their time */
};

void judge_verified(const struct replica_view *view, struct replica_outcome *out)
{
    struct condition_set *set = &out->conditions;
    const struct verification *last = &view->verified;
    const enum condition_type type = CONDITION_RESTORE_VERIFIED;

    if (!view->item->replica->verification.schedule && last->at_ns == 0)
        return; /* nobody asked for it: absent */
    if (last->at_ns == 0) {
        condition_put(set, type, CONDITION_UNKNOWN, "NeverRun",
                      view->is_verification_running ? "The first verification is running."
                                                    : "No verification has run yet.");
    } else if (!last->has_passed)
        condition_put(set, type, CONDITION_FALSE, "Failed", "%s", last->message);
    else if (view->verification_due_ns > last->at_ns &&
             view->now_ns > view->verification_due_ns + STALE_GRACE_S * NS_PER_SEC) {
        condition_put(set, type, CONDITION_FALSE, "Stale",
                      "The last verification passed, but the next one is overdue.");
    } else {
        condition_put(set, type, CONDITION_TRUE, "Passed",
                      "A restore was made and checked page by page.");
    }
}
