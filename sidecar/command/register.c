/*
 * Databases that are registered while the process runs (control socket).
 *
 * Each must not get into the way of any other: those of the configuration, those that were
 * registered before (they are remembered for that), and those that folders of the configuration have
 * or will have: all that lies below the destination of a folder is the folder's. (What it has now
 * cannot be looked for here: opening and closing a database file drops the locks that we hold on it.)
 */
#include <stdlib.h>

#include "sidecar/command/replicate.h"

int register_conflicts(const struct replication *r, const struct config_db *db, struct error *err)
{
    for (size_t i = 0; i < r->registered_count; i++) {
        if (config_db_conflicts(r->registered[i], db, err) < 0)
            return -1;
    }
    return 0;
}

static int conflicts(const struct replication *r, const struct config_db *db, struct error *err)
{
    for (size_t i = 0; i < r->config->db_count; i++) {
        const struct config_db *other = &r->config->dbs[i];
        if (config_db_conflicts(other, db, err) < 0 ||
            (other->dir && config_dir_conflicts(other, db, err) < 0))
            return -1;
    }
    return register_conflicts(r, db, err);
}

/* Room for one more. */
static int list_grow(struct replication *r, struct error *err)
{
    struct config_db **grown =
        realloc(r->registered, (r->registered_count + 1) * sizeof(struct config_db *));

    if (!grown)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory");
    r->registered = grown;
    return 0;
}

int register_database(struct replication *r, const char *path, const char *replica_url,
                      bool *out_is_new, struct error *err)
{
    struct config_db *db = NULL;

    *out_is_new = !engine_has_database(r->engine, path);
    if (!*out_is_new)
        return 0;
    if (list_grow(r, err) < 0 || config_db_new(r->config, path, &replica_url, 1, &db, err) < 0)
        return -1;
    if (conflicts(r, db, err) < 0 || replicate_add(r, db, err) < 0) {
        config_db_free(db);
        return -1;
    }
    r->registered[r->registered_count++] = db;
    return 0;
}

void register_stop(struct replication *r)
{
    for (size_t i = 0; i < r->registered_count; i++)
        config_db_free(r->registered[i]);
    free(r->registered);
    r->registered = NULL;
    r->registered_count = 0;
}
