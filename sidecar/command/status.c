/*
 * walferry status: what is known locally, without a running replication: database, page map, log.
 * (What a running one knows is at /status of its address, and on its control socket.)
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/dir_scan.h"
#include "lib/ltx/ltx.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"
#include "sidecar/engine/page_map.h"

struct status_args {
    struct config_choice config;
    bool json;
};

static const struct flag flags[] = {
    {"config", FLAG_TEXT, offsetof(struct status_args, config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, offsetof(struct status_args, config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"json", FLAG_SWITCH, offsetof(struct status_args, json), NULL, "print JSON", NULL},
};

/* One line: a database at one destination. */
struct local_status {
    const char *word; /* "ok", "not initialized", "no database", "error" */
    uint64_t txid;
    uint64_t wal_bytes;
    bool is_rewind;
    struct error err;
};

static uint64_t size_or_zero(const struct env *env, const char *path)
{
    struct stat st;
    struct error ignored = ERROR_INIT; /* not there: nothing */
    return env_stat(env, path, &st, &ignored) == 0 ? (uint64_t)st.st_size : 0;
}

static void local_look(const struct env *env, const struct config_db *db, const char *name,
                       struct local_status *out)
{
    CLEANUP(page_map_close) struct page_map map = PAGE_MAP_INIT;
    CLEANUP(mem_free) char *map_path = page_map_path(db->path, db->meta_path, name, &out->err);
    CLEANUP(mem_free) char *wal_path = str_printf(&out->err, "%s-wal", db->path);
    bool exists = false;

    out->word = "error";
    if (!map_path || !wal_path || env_exists(env, db->path, &exists, &out->err) < 0)
        return;
    out->wal_bytes = size_or_zero(env, wal_path);
    if (!exists) {
        out->word = "no database";
        return;
    }
    if (page_map_open(env, map_path, &map, &out->err) < 0) {
        if (out->err.code == ERR_NOT_FOUND)
            out->word = "not initialized";
        return;
    }
    out->word = "ok";
    out->txid = map.state.txid;
    out->is_rewind = map.state.is_rewind;
}

static int line_print(struct buf *out, struct json_writer *w, const struct config_db *db,
                      const char *name, const struct local_status *s, struct error *err)
{
    char txid[LTX_TXID_TEXT_BYTES];

    if (!w) {
        return buf_printf(out, err, "%-40s %-12s %-16s %s %12" PRIu64 "\n", db->path, name, s->word,
                          ltx_txid_format(s->txid, txid), s->wal_bytes);
    }
    json_writer_object(w, NULL);
    json_writer_str(w, "database", db->path);
    json_writer_str(w, "destination", name);
    json_writer_str(w, "status", s->word);
    json_writer_str(w, "local_txid", s->txid ? ltx_txid_format(s->txid, txid) : NULL);
    json_writer_bool(w, "is_rewind", s->is_rewind);
    json_writer_u64(w, "wal_size", s->wal_bytes);
    json_writer_str(w, "error", strcmp(s->word, "error") == 0 ? s->err.text : NULL);
    json_writer_end(w);
    return 0;
}

static int db_print(const struct env *env, const struct config_db *db, struct buf *out,
                    struct json_writer *w, struct error *err)
{
    for (size_t i = 0; i < db->replica_count; i++) {
        struct local_status s = {.err = ERROR_INIT};
        local_look(env, db, db->replicas[i].name, &s);
        if (line_print(out, w, db, db->replicas[i].name, &s, err) < 0)
            return -1;
    }
    return 0;
}

/* One entry of the configuration: a database, or the databases that are in a folder now. */
static int entry_print(const struct env *env, const struct config_db *entry, struct buf *out,
                       struct json_writer *w, struct error *err)
{
    CLEANUP(dir_scan_destroy) struct dir_scan found = {.dbs = NULL};

    if (!entry->dir)
        return db_print(env, entry, out, w, err);
    if (dir_scan(env, entry, NULL, &found, err) < 0)
        return -1;
    for (size_t i = 0; i < found.db_count; i++) {
        if (db_print(env, &found.dbs[i], out, w, err) < 0)
            return -1;
    }
    return 0;
}

static int entries_print(const struct invocation *inv, const struct config_db *entries,
                         size_t entry_count, struct error *err)
{
    const struct status_args *args = inv->args;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(64 << 20);
    struct json_writer w;

    json_writer_init(&w, &out, JSON_PRETTY);
    if (args->json) {
        json_writer_array(&w, NULL);
    } else if (buf_printf(&out, err, "%-40s %-12s %-16s %-16s %12s\n", "database", "destination",
                          "status", "local txid", "wal size") < 0) {
        return -1;
    }
    for (size_t i = 0; i < entry_count; i++) {
        if (entry_print(inv->env, &entries[i], &out, args->json ? &w : NULL, err) < 0)
            return -1;
    }
    if (!args->json)
        return command_print(buf_slice(&out), err);
    json_writer_end(&w);
    return command_print_json(&w, &out, err);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct status_args *args = inv->args;
    CLEANUP(config_cleanup) struct config *config = NULL;
    struct config_db *derived = NULL;

    if (config_choose(inv->env, &args->config, &config, err) < 0)
        return -1;
    if (inv->positional_count == 0)
        return entries_print(inv, config->dbs, config->db_count, err);
    const struct config_db *db = config_db_choose(config, inv->positional[0], &derived, err);
    int rc = db ? entries_print(inv, db, 1, err) : -1;
    config_db_free(derived);
    return rc;
}

const struct command command_status = {
    .name = "status",
    .summary = "Show the local state of replication",
    .usage = "walferry status [flags] [DB_PATH]",
    .example = "  walferry status -json",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct status_args),
    .positional_max = 1,
    .run = run,
};
