/*
 * The configuration file while replication runs: it is looked at each few seconds, also when it is a
 * link that changes its target, as in a mounted ConfigMap. These take effect without a restart:
 *
 *   suspend                              sync-interval, snapshot-interval, retention,
 *   logging.level                        validation-interval of each destination
 *   l0-retention, retention.enabled
 *
 * A file that has become wrong is told in the log, and what was in effect stays. Other changes wait
 * for the next start. Databases of a folder (dir) are paced by the entry that covers them, also those
 * that appear later.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_LIVE_H
#define WALFERRY_SIDECAR_COMMAND_LIVE_H

#include "sidecar/command/destination.h"
#include "sidecar/command/replicate.h"

struct live;

struct live_options {
    const struct config_choice *choice; /* how the file is read; borrowed */
    struct log *log;                    /* whose level changes; borrowed */
    bool
        has_fixed_level; /* the level was given by -log-level or $LOG_LEVEL: it outweighs the file */
};

/* Begins to look at r->config->name. ERR_NO_MEMORY. */
MUST_USE int live_start(struct replication *r, const struct live_options *options,
                        struct live **out, struct error *err);

/* Gives a database that has just been added the pace that the file asks for now, if it has changed
 * since the start. */
void live_pace(const struct replication *r, const char *path);

/* NULL ok. */
void live_stop(struct live *live);

#endif
