/*
 * walferry databases: what the configuration names, with directory entries looked through.
 */
#include <stdlib.h>

#include "lib/config/dir_scan.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"

struct databases_args {
    struct config_choice config;
    bool json;
};

static const struct flag flags[] = {
    {"config", FLAG_TEXT, offsetof(struct databases_args, config.path), "PATH",
     "configuration file", "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, offsetof(struct databases_args, config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"json", FLAG_SWITCH, offsetof(struct databases_args, json), NULL, "print JSON", NULL},
};

static void print_db_json(struct json_writer *w, const struct config_db *db)
{
    for (size_t i = 0; i < db->replica_count; i++) {
        json_writer_object(w, NULL);
        json_writer_str(w, "path", db->path);
        json_writer_str(w, "replica", config_backend_name(db->replicas[i].backend));
        json_writer_str(w, "destination", db->replicas[i].name);
        json_writer_str(w, "url", db->replicas[i].url);
        json_writer_end(w);
    }
}

static int print_db_text(struct buf *out, const struct config_db *db, struct error *err)
{
    for (size_t i = 0; i < db->replica_count; i++) {
        if (buf_printf(out, err, "%-40s %-12s %s\n", db->path, db->replicas[i].name,
                       db->replicas[i].url) < 0)
            return -1;
    }
    return 0;
}

/* One entry of the configuration: a database, or a folder of them. */
static int entry_print(const struct env *env, const struct config_db *entry, struct json_writer *w,
                       struct buf *out, struct error *err)
{
    CLEANUP(dir_scan_destroy) struct dir_scan found = {.dbs = NULL};
    const struct config_db *dbs = entry;
    size_t count = 1;

    if (entry->dir) {
        if (dir_scan(env, entry, NULL, &found, err) < 0)
            return -1;
        dbs = found.dbs;
        count = found.db_count;
    }
    for (size_t i = 0; i < count; i++) {
        if (w)
            print_db_json(w, &dbs[i]);
        else if (print_db_text(out, &dbs[i], err) < 0)
            return -1;
    }
    return 0;
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct databases_args *args = inv->args;
    CLEANUP(config_cleanup) struct config *config = NULL;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(64 << 20);
    struct json_writer w;

    if (config_choose(inv->env, &args->config, &config, err) < 0)
        return -1;
    json_writer_init(&w, &out, JSON_PRETTY);
    if (args->json)
        json_writer_array(&w, NULL);
    else if (buf_printf(&out, err, "%-40s %-12s %s\n", "path", "destination", "url") < 0)
        return -1;
    for (size_t i = 0; i < config->db_count; i++) {
        if (entry_print(inv->env, &config->dbs[i], args->json ? &w : NULL, &out, err) < 0)
            return -1;
    }
    if (!args->json)
        return command_print(buf_slice(&out), err);
    json_writer_end(&w);
    return command_print_json(&w, &out, err);
}

const struct command command_databases = {
    .name = "databases",
    .summary = "List the databases of the configuration",
    .usage = "walferry databases [flags]",
    .example = "  walferry databases -config /etc/litestream.yml",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct databases_args),
    .run = run,
};
