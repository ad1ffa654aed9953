/*
 * Which of the places where a setting can stand counts (the table in config.h): afterwards the
 * struct holds one value, and its origin is that of the place that gave it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/config_internal.h"
#include "lib/config/path.h"

enum {
    NAME_BYTES_MAX = 32 /* of a name that we make: "webdav-8" */
};

char *config_meta_path_default(const char *db_path, struct error *err)
{
    const char *file = strrchr(db_path, '/') + 1;

    return str_printf(err, "%.*s.%s-walferry", (int)(file - db_path), db_path, file);
}

static bool is_name_taken(const struct config_db *db, const char *name)
{
    for (size_t i = 0; i < db->replica_count; i++) {
        if (db->replicas[i].name && strcmp(db->replicas[i].name, name) == 0)
            return true;
    }
    return false;
}

/* "s3", and where that is taken "s3-2", "s3-3", ... */
static int name_make(struct config_db *db, struct config_replica *replica, struct error *err)
{
    char name[NAME_BYTES_MAX];
    const char *type = config_backend_name(replica->backend);

    (void)snprintf(name, sizeof(name), "%s", type); /* every type fits */
    for (unsigned i = 2; is_name_taken(db, name); i++)
        (void)snprintf(name, sizeof(name), "%s-%u", type, i); /* i <= CONFIG_REPLICAS_MAX + 1 */
    replica->name = str_dup(name, err);
    return replica->name ? 0 : -1;
}

/* Takes *from and its origin if the field at *to was not configured (is zero). */
static void duration_inherit(uint64_t *to, uint32_t *to_origin, uint64_t from, uint32_t from_origin)
{
    if (*to > 0)
        return;
    *to = from;
    *to_origin = from_origin;
}

static void replica_inherit(const struct config *c, const struct config_db *db,
                            struct config_replica *replica)
{
    struct setting_table globals = config_global_table();
    struct setting_table dbs = config_db_table();
    struct setting_table replicas = config_replica_table();
    size_t validation = config_row(replicas, "validation-interval");

    duration_inherit(&replica->snapshot_interval_ns,
                     &replica->origin[config_row(replicas, "snapshot-interval")],
                     db->snapshot_interval_ns, db->origin[config_row(dbs, "snapshot.interval")]);
    duration_inherit(&replica->snapshot_retention_ns,
                     &replica->origin[config_row(replicas, "retention")], db->snapshot_retention_ns,
                     db->origin[config_row(dbs, "snapshot.retention")]);
    if (replica->origin[validation] == CONFIG_ORIGIN_DEFAULT) {
        duration_inherit(&replica->validation_interval_ns, &replica->origin[validation],
                         c->validation_interval_ns,
                         c->origin[config_row(globals, "validation.interval")]);
    }
}

int config_db_resolve(const struct config *c, struct config_db *db, struct error *err)
{
    struct setting_table globals = config_global_table();
    struct setting_table dbs = config_db_table();

    if (db->path && !db->meta_path) {
        db->meta_path = config_meta_path_default(db->path, err);
        if (!db->meta_path)
            return -1;
        db->origin[config_row(dbs, "meta-path")] = CONFIG_ORIGIN_DERIVED;
    }
    duration_inherit(&db->snapshot_interval_ns, &db->origin[config_row(dbs, "snapshot.interval")],
                     c->snapshot_interval_ns, c->origin[config_row(globals, "snapshot.interval")]);
    duration_inherit(&db->snapshot_retention_ns, &db->origin[config_row(dbs, "snapshot.retention")],
                     c->snapshot_retention_ns,
                     c->origin[config_row(globals, "snapshot.retention")]);
    for (size_t i = 0; i < db->replica_count; i++) {
        replica_inherit(c, db, &db->replicas[i]);
        if (!db->replicas[i].name && name_make(db, &db->replicas[i], err) < 0)
            return -1;
    }
    return 0;
}
