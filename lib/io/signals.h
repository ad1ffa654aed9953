/*
 * Signals as callbacks of the event loop: SIGINT, SIGTERM, SIGHUP and whatever else a program wants
 * to hear of. They never interrupt anything; the callback runs between others.
 *
 * Waiting for signals does not keep the loop running. Threads: loop thread.
 */
#ifndef WALFERRY_LIB_IO_SIGNALS_H
#define WALFERRY_LIB_IO_SIGNALS_H

#include "lib/base/base.h"
#include "lib/io/loop.h"

enum {
    SIGNALS_MAX = 8 /* different ones in a set */
};

struct signals;

typedef void signals_fn(void *arg, int signum);

/*
 * Begins to call fn for each signal of the set. Several deliveries in a row may become one call.
 * ERR_NO_MEMORY, ERR_LIMIT (descriptors). More than SIGNALS_MAX is our mistake (asserted).
 */
MUST_USE int signals_new(struct loop *loop, const int *signums, size_t count, signals_fn *fn,
                         void *arg, struct signals **out, struct error *err);

/* The signals have their former (default) effect again. Also from within fn. Accepts NULL. */
void signals_free(struct signals *s);

/* "SIGTERM" for people and logs; "signal 63" for those without a name. Returns out or a constant.
 */
const char *signal_name(int signum, char out[static 16]);

#endif
