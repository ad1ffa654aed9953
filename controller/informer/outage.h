/*
 * An outage of the API server in the log: a line when it begins, one each half a minute while it
 * lasts, with the number of failures that it stands for, and one when it is over. A reconciler with
 * thousands of keys would otherwise say thousands of times what one line says. What fails for a
 * reason of its own is logged by whoever knows it.
 */
#ifndef WALFERRY_CONTROLLER_INFORMER_OUTAGE_H
#define WALFERRY_CONTROLLER_INFORMER_OUTAGE_H

#include "lib/base/base.h"

/* Shared by all reconcilers of a process. Zeroed at the start. */
struct outage {
    struct log_repeat repeat;
};

/* Whether a failure is one of the API server as a whole; then it is counted, and logged by the above
 * rule. False: the caller logs it. */
bool outage_failed(struct outage *o, const struct env *env, const struct log *log,
                   const struct error *err);

/* Something was carried out. */
void outage_succeeded(struct outage *o, const struct log *log);

#endif
