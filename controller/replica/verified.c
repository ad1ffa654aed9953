/*
 * RestoreVerified: the last real restore succeeded, and is not older than its schedule says.
 *
 * Overdue is what should have happened STALE_GRACE_S (and the jitter) ago: a verification that
 * Kubernetes has scheduled, or one that it would have had to, by the longest time that can lie
 * between two moments of the schedule. So a controller-manager that schedules nothing, and a Job that
 * never comes, are noticed, too.
 */
#include <string.h>

#include "controller/replica/judge.h"

enum {
    STALE_GRACE_S = 3600, /* after the schedule asked for one: Jobs take their time */
    CRON_FIELDS = 5,
};

/* Field idx of a schedule, from 0: whether it says "any". */
static bool is_any(const char *schedule, size_t idx)
{
    const char *at = schedule + strspn(schedule, " ");

    for (; idx > 0; idx--) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    return strcspn(at, " ") == 1 && (*at == '*' || *at == '?');
}

uint64_t judge_cron_period_ns(const char *schedule)
{
    /* minute hour day-of-month month day-of-week: the widest that is restricted decides. Where both
     * days are, either one will do. */
    if (*schedule == '@' || !is_any(schedule, 3))
        return 366 * NS_PER_DAY;
    if (!is_any(schedule, 4))
        return 7 * NS_PER_DAY;
    if (!is_any(schedule, 2))
        return 62 * NS_PER_DAY; /* the 31st: July has one, then August; January, then March */
    return is_any(schedule, 1) ? NS_PER_HOUR : NS_PER_DAY;
}

static bool is_overdue(const struct replica_view *view)
{
    const struct api_replica *r = view->item->replica;
    uint64_t grace_ns = STALE_GRACE_S * NS_PER_SEC + r->verification.jitter_ns;
    uint64_t last_ns = view->verified.at_ns ? view->verified.at_ns : view->verification_since_ns;

    if (!r->verification.schedule || r->is_suspended || last_ns == 0)
        return false;
    if (view->verification_due_ns > last_ns && view->now_ns > view->verification_due_ns + grace_ns)
        return true;
    return view->now_ns > last_ns + judge_cron_period_ns(r->verification.schedule) + grace_ns;
}

void judge_verified(const struct replica_view *view, struct replica_outcome *out)
{
    struct condition_set *set = &out->conditions;
    const struct verification *last = &view->verified;
    const enum condition_type type = CONDITION_RESTORE_VERIFIED;

    if (!view->item->replica->verification.schedule && last->at_ns == 0)
        return; /* nobody asked for it: absent */
    if (view->verification_refusal) {
        condition_put(set, type, CONDITION_FALSE, "InvalidSchedule", "%s",
                      view->verification_refusal);
    } else if (last->at_ns > 0 && !last->has_passed)
        condition_put(set, type, CONDITION_FALSE, "Failed", "%s", last->message);
    else if (is_overdue(view)) {
        condition_put(set, type, CONDITION_FALSE, "Stale", "%s",
                      last->at_ns ? "The last verification passed, but the next one is overdue."
                                  : "The first verification is overdue: see the CronJob's events.");
    } else if (last->at_ns == 0) {
        condition_put(set, type, CONDITION_UNKNOWN, "NeverRun",
                      view->is_verification_running ? "The first verification is running."
                                                    : "No verification has run yet.");
    } else {
        condition_put(set, type, CONDITION_TRUE, "Passed",
                      "A restore was made and checked page by page.");
    }
}
