/*
 * From configuration to storage: opening the destinations that a command works on.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_DESTINATION_H
#define WALFERRY_SIDECAR_COMMAND_DESTINATION_H

#include "lib/base/base.h"
#include "lib/config/config.h"
#include "lib/io/loop.h"
#include "lib/storage/storage.h"

/* Who waits for the destination decides how long its requests are tried again. */
enum destination_patience {
    DESTINATION_PATIENT, /* a person or a starting pod: some half a minute */
    DESTINATION_BRISK, /* who tries again by itself or asks for the fault (engine, probe): seconds */
};

/*
 * Opens one destination; the caller frees it by storage_free(). ERR_USAGE names the setting;
 * ERR_UNSUPPORTED for a backend that this version lacks; ERR_NO_MEMORY.
 */
MUST_USE int destination_open(struct loop *loop, const struct config_replica *replica,
                              enum destination_patience patience, struct storage **out,
                              struct error *err);

/* Which configuration a command reads, from its flags. */
struct config_choice {
    const char *path;   /* -config; NULL: $LITESTREAM_CONFIG or /etc/litestream.yml */
    bool no_expand_env; /* -no-expand-env */
    bool is_quiet;      /* the caller shows the warnings itself */
};

/*
 * Reads the configuration file of the choice. Warnings are printed to standard error, unless it is quiet. Errors of
 * config_load(), but a file that is not there, or asks for what this version lacks, is ERR_USAGE:
 * ERR_NOT_FOUND is about backups.
 */
MUST_USE int config_choose(const struct env *env, const struct config_choice *choice,
                           struct config **out, struct error *err);

/*
 * The database with this path (expanded like those of the file): an entry of c, or what an entry in
 * directory mode makes of it, whether the file is there or not; *out_derived is that then (else
 * NULL), and the caller's to config_db_free(). NULL with ERR_USAGE: c knows no such database.
 */
MUST_USE const struct config_db *config_db_choose(const struct config *c, const char *path,
                                                  struct config_db **out_derived,
                                                  struct error *err);

/*
 * What a DB_PATH or REPLICA_URL argument stands for: the database (NULL for a URL) and its
 * destinations, opened.
 */
struct target {
    struct config *config;          /* owned; NULL for a URL */
    const struct config_db *db;     /* inside config, or derived; NULL for a URL */
    struct config_db *derived;      /* owned; for a database of directory mode */
    struct config_replica *replica; /* owned; for a URL */
    struct storage *storages[CONFIG_REPLICAS_MAX];
    const char *names[CONFIG_REPLICAS_MAX]; /* inside db or replica */
    size_t count;
};

/* Resolves the argument, and opens its destinations with so much patience. ERR_USAGE: no such
 * database in the configuration; -config with a URL. */
MUST_USE int target_open(struct loop *loop, const struct config_choice *choice, const char *arg,
                         enum destination_patience patience, struct target *out, struct error *err);
void target_close(struct target *t);

/*
 * Calls fn for each destination of the target in turn (idx counts in its arrays), or, if name is
 * not NULL, for the one that is called so. Ends with the first that answers -1.
 * ERR_USAGE: there is none of this name.
 */
typedef int target_fn(void *arg, const struct target *t, size_t idx, struct error *err);
MUST_USE int target_each(const struct target *t, const char *name, target_fn *fn, void *arg,
                         struct error *err);

/*
 * Whether the argument names a replica rather than a database: it is a URL, or a folder that is
 * there (as `replicate` takes file:///folder without the scheme).
 */
bool argument_is_replica(const struct env *env, const char *arg);

#endif
