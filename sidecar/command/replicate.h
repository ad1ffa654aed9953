/*
 * What the files of `walferry replicate` share: one replication process.
 *
 *   replicate.c   flags, configuration, databases into the engine
 *   directory.c   folders of databases, also those that appear later
 *   serve.c       metrics, health and the control socket
 *   heartbeat.c   the dead man's switch
 *   supervise.c   child process, signals, the end
 */
#ifndef WALFERRY_SIDECAR_COMMAND_REPLICATE_H
#define WALFERRY_SIDECAR_COMMAND_REPLICATE_H

#include "lib/base/base.h"
#include "lib/config/config.h"
#include "lib/io/loop.h"
#include "sidecar/engine/engine.h"
#include "sidecar/engine/follow.h"

struct directory;

struct replication {
    struct loop *loop;
    const struct log *log;
    const struct config *config;
    struct engine *engine;
    struct directory *directories; /* watched folders; directory.c */
    bool adopt;
};

/* Opens the destinations of a database and adds it to the engine. */
MUST_USE int replicate_add(const struct replication *r, const struct config_db *db,
                           struct error *err);

#endif
