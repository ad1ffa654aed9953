/*
 * What to answer to a review, given what is known about the SqliteReplica. Pure, but for the two
 * questions of struct webhook_source that name a workload's resource and a prefix's rival.
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_DECIDE_H
#define WALFERRY_CONTROLLER_WEBHOOK_DECIDE_H

#include "controller/webhook/review.h"
#include "controller/webhook/webhook.h"

enum decide_path {
    DECIDE_MUTATE,
    DECIDE_VALIDATE,
};

/*
 * The SqliteReplica that has to be known before this review can be answered; NULL: none, it is
 * allowed as it is (or decides about itself). Borrowed from the review or the source.
 */
const char *decide_replica_name(const struct review *review, enum decide_path path,
                                const struct webhook_source *source);

/* Whether what the cache knows is enough, or one uncached look is due. */
bool decide_knows_enough(const struct webhook_subject *subject);

/* Everything that an answer depends on. Borrowed. */
struct decide_case {
    const struct review *review;
    enum decide_path path;
    const char *name;                      /* what decide_replica_name() answered, NULL included */
    const struct webhook_subject *subject; /* not looked at without a name */
    const struct webhook_source *source;
    const struct inject_options *options;
};

/*
 * Fills result. -1: ERR_CORRUPT the object is not what it should be (with the place), ERR_LIMIT,
 * ERR_NO_MEMORY.
 */
MUST_USE int decide(const struct decide_case *c, struct inject_result *result, struct error *err);

#endif
