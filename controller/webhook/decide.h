/*
 * What to answer to a review, given what is known about the SqliteReplica. Pure, but for the
 * question of struct webhook_source that names a prefix's rival.
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_DECIDE_H
#define WALFERRY_CONTROLLER_WEBHOOK_DECIDE_H

#include "controller/webhook/review.h"
#include "controller/webhook/webhook.h"

enum decide_path {
    DECIDE_MUTATE,
    DECIDE_VALIDATE,
    DECIDE_PATHS,
};

/*
 * The workload whose pods' label counts, for a review that names only that one (Scale,
 * HorizontalPodAutoscaler): its name, and its kind. NULL: the review is not of this sort. Borrowed
 * from the review.
 */
const char *decide_target(const struct review *review, enum decide_path path,
                          const char **out_kind);

/*
 * The SqliteReplica that has to be known before this review can be answered; NULL: none, it is
 * allowed as it is (or decides about itself); "": the namespace's default. Of a review with a
 * decide_target() that has to be asked. Borrowed from the review.
 */
const char *decide_replica_name(const struct review *review, enum decide_path path);

/* Whether what the cache knows is enough, or one uncached look is due. */
bool decide_knows_enough(const struct webhook_subject *subject);

/* Everything that an answer depends on. Borrowed. */
struct decide_case {
    const struct review *review;
    enum decide_path path;
    const char *name;                      /* of the resource, as above; never "" */
    const struct webhook_subject *subject; /* not looked at without a name */
    const struct webhook_source *source;
    const struct inject_options *options;
    bool only_warns; /* the namespace asks for it */
};

/*
 * Fills result. -1: ERR_CORRUPT the object is not what it should be (with the place), ERR_LIMIT,
 * ERR_NO_MEMORY.
 */
MUST_USE int decide(const struct decide_case *c, struct inject_result *result, struct error *err);

#endif
