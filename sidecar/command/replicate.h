/*
 * What the files of `walferry replicate` share: one replication process.
 *
 *   replicate.c   flags, configuration, databases into the engine
 *   prepare.c     what is restored or rolled forward before
 *   directory.c   folders of databases, also those that appear later
 *   register.c    databases that are added by the control socket
 *   serve.c       metrics, health and the control socket
 *   heartbeat.c   the dead man's switch
 *   live.c        what of the configuration takes effect while it runs
 *   supervise.c   child process, signals, the end
 */
#ifndef WALFERRY_SIDECAR_COMMAND_REPLICATE_H
#define WALFERRY_SIDECAR_COMMAND_REPLICATE_H

#include "lib/base/base.h"
#include "lib/config/config.h"
#include "lib/io/loop.h"
#include "sidecar/command/supervise.h"
#include "sidecar/engine/engine.h"
#include "sidecar/engine/follow.h"

struct directory;

struct replication {
    struct loop *loop;
    const struct log *log;
    const struct config *config; /* as it was at the start; see live.c for what changed since */
    const struct config
        *current;      /* the file as it was read last, if it has changed since; live.c */
    bool is_from_file; /* config is the file config->name */
    struct engine *engine;
    struct directory *directories; /* watched folders; directory.c */
    struct config_db **registered; /* registered_count of them, owned; register.c */
    size_t registered_count;
    bool adopt;
    const char *roll_forward_until; /* NULL: stale databases are not rolled forward; prepare.h */
    bool has_rolled_in_vain;        /* rolling forward does not help: the engine tells why */
    struct supervise_stale stale;   /* of this engine: one is to be rolled forward */
};

/* Opens the destinations of a database and adds it to the engine. */
MUST_USE int replicate_add(const struct replication *r, const struct config_db *db,
                           struct error *err);

/* Adds a database while the process runs; *out_is_new: it was not there before. ERR_USAGE names the
 * database whose path, folder of state or destination it would take. */
MUST_USE int register_database(struct replication *r, const char *path, const char *replica_url,
                               bool *out_is_new, struct error *err);

/* Whether db would take something of a database that was registered: ERR_USAGE. */
MUST_USE int register_conflicts(const struct replication *r, const struct config_db *db,
                                struct error *err);
void register_stop(struct replication *r); /* frees the list */

#endif
