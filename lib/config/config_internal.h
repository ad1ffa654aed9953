/*
 * What the files of lib/config share: the tables of settings, and how a configuration is put
 * together.
 *
 *   config_table.c     which keys there are
 *   config_read.c      a YAML document -> struct config
 *   config_replica.c   a replica's mapping or URL -> struct config_replica
 *   config_resolve.c   precedence between the places of a setting; checks that concern several
 *   config_conflict.c  two things in each other's way
 *   config.c           the public functions
 */
#ifndef WALFERRY_LIB_CONFIG_CONFIG_INTERNAL_H
#define WALFERRY_LIB_CONFIG_CONFIG_INTERNAL_H

#include "lib/base/base.h"
#include "lib/config/config.h"
#include "lib/config/setting_internal.h"
#include "lib/yaml/yamldoc.h"

/* The keys of struct config, struct config_db and struct config_replica. */
struct setting_table config_global_table(void);
struct setting_table config_db_table(void);
struct setting_table config_replica_table(void);

/* Index of a key's row in a table, and so in the array of origins. The key must be there. */
size_t config_row(struct setting_table table, const char *key);

/* Where a configuration is being made. */
struct config_reader {
    struct config *c;
    struct setting_context context;
    const struct config_options *options; /* never NULL */
    bool tolerates_unknown_keys;          /* the document says so, wherever in it */
};

/* Where the keys of one mapping go. */
struct config_scope {
    struct setting_table table;
    unsigned flags; /* only rows that have all of them */
    void *base;
    uint32_t *origin;
};

/*
 * Reads the pairs of a mapping into the scopes, the first scope that knows a key gets it. Rows of
 * kind SETTING_PLACE are passed over. prefix stands before each key ("" or "socket.").
 * Unknown keys, bad values and refused keys are errors with the line.
 */
MUST_USE int config_mapping_read(struct config_reader *r, const struct yamldoc_node *map,
                                 const char *prefix, const struct config_scope *scopes,
                                 size_t scope_count, struct error *err);

/* Adds "<file>:<line>: <path>: <fmt>" to the warnings. ERR_NO_MEMORY. */
MUST_USE int config_warn(struct config *c, const struct yamldoc_node *node, struct error *err,
                         const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The same without a place: "<file>: <fmt>". */
MUST_USE int config_warn_plain(struct config *c, struct error *err, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Reads a whole document into r->c. */
MUST_USE int config_document_read(struct config_reader *r, struct yamldoc *doc, struct error *err);

/*
 * Replicas: from a mapping, or from a URL alone (origin: CONFIG_ORIGIN_ARGUMENT). They start from
 * defaults (NULL: the table's). out is zeroed first; on failure it is empty.
 */
MUST_USE int config_replica_read(struct config_reader *r, const struct yamldoc_node *map,
                                 struct config_replica *out, struct error *err);
MUST_USE int config_replica_from_url(const struct config_replica *defaults, const char *url,
                                     const struct setting_context *context,
                                     struct config_replica *out, struct error *err);
/* out becomes a copy; on failure it is empty. */
MUST_USE int config_replica_copy(const struct config_replica *from, struct config_replica *out,
                                 struct error *err);
void config_replica_destroy(struct config_replica *replica);
/* Makes url anew from backend, bucket, endpoint and path. */
MUST_USE int config_replica_url_make(struct config_replica *replica, struct error *err);

/*
 * Fills what a database inherits: names of unnamed replicas, snapshot policy, validation, the
 * state's folder. c gives the global values.
 */
MUST_USE int config_db_resolve(const struct config *c, struct config_db *db, struct error *err);

/* All databases of c against each other. */
MUST_USE int config_conflicts_check(const struct config *c, struct error *err);

/* The state's folder of a database beside it: "<folder>/.<file>-walferry". NULL: ERR_NO_MEMORY. */
MUST_USE char *config_meta_path_default(const char *db_path, struct error *err);

/* getenv() of the options. */
const char *config_getenv(const struct config_options *options, const char *name);

#endif
