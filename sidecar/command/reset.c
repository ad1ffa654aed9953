/*
 * walferry reset: forgets what is known locally about a database's replicas (the page maps), so
 * that the next start proves descent from the bucket anew. The database is not touched.
 */
#include <stdlib.h>

#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"
#include "sidecar/engine/page_map.h"

struct reset_args {
    struct config_choice config;
    bool dry_run;
};

static const struct flag flags[] = {
    {"config", FLAG_TEXT, offsetof(struct reset_args, config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, offsetof(struct reset_args, config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"dry-run", FLAG_SWITCH, offsetof(struct reset_args, dry_run), NULL,
     "print what would be removed", NULL},
};

static int map_remove(const struct env *env, const struct config_db *db, const char *name,
                      bool is_dry_run, struct buf *out, struct error *err)
{
    CLEANUP(mem_free) char *path = page_map_path(db->path, db->meta_path, name, err);
    bool exists = false;

    if (!path || env_exists(env, path, &exists, err) < 0)
        return -1;
    if (!exists)
        return buf_printf(out, err, "%s: nothing to forget\n", path);
    if (!is_dry_run && env_unlink(env, path, err) < 0)
        return -1;
    return buf_printf(out, err, "%s: %s\n", path, is_dry_run ? "would be removed" : "removed");
}

static int maps_remove(const struct env *env, const struct config_db *db, bool is_dry_run,
                       struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1 << 16);

    for (size_t i = 0; i < db->replica_count; i++) {
        if (map_remove(env, db, db->replicas[i].name, is_dry_run, &out, err) < 0)
            return -1;
    }
    return command_print(buf_slice(&out), err);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct reset_args *args = inv->args;
    CLEANUP(config_cleanup) struct config *config = NULL;
    struct config_db *derived = NULL;

    if (config_choose(inv->env, &args->config, &config, err) < 0)
        return -1;
    const struct config_db *db = config_db_choose(config, inv->positional[0], &derived, err);
    int rc = db ? maps_remove(inv->env, db, args->dry_run, err) : -1;
    config_db_free(derived);
    return rc;
}

const struct command command_reset = {
    .name = "reset",
    .summary = "Forget the local state of a database's replication",
    .usage = "walferry reset [flags] DB_PATH",
    .example = "  walferry reset -dry-run /data/app.db",
    .detail = "Run it only while nothing replicates the database. The next start compares the\n"
              "database with the newest object of the bucket; if they differ it refuses to go\n"
              "on, and says how to (-adopt sends all pages once).\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct reset_args),
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
