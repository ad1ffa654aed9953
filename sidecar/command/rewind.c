/*
 * walferry rewind: an earlier state becomes the newest of the replica, without the database.
 *
 *   1. The state is restored into the work folder, which leaves the marker of a rewind (page map).
 *   2. An engine follows it there, with all destinations of the database: what differs from the
 *      newest state is shipped as the next TXID, under a new epoch. What was newer stays
 *      restorable by its TXID.
 *   3. The replica is listed again: its tip must have moved.
 *
 * Killed anywhere and begun anew, it does the same again: the state is the same, since it is named
 * by a TXID or lies before a moment, and what it ships a second time differs in nothing.
 *
 * A database that was at the former tip, unchanged, is an older state then: `restore
 * -roll-forward` brings it forward (that is, back).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/path.h"
#include "lib/ltx/ltx.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"
#include "sidecar/command/prepare.h"
#include "sidecar/command/supervise.h"

enum {
    WORKERS = 4,
    OUTPUT_BYTES_MAX = 64 << 10,
};

struct rewind_args {
    struct config_choice config;
    const char *work_folder;
    const char *txid;
    const char *timestamp;
    const char *replica;
    const char *integrity;
    bool json;
};

static const struct rewind_args defaults = {.integrity = "none"};

#define AT(field) offsetof(struct rewind_args, field)

static const struct flag flags[] = {
    {"work-folder", FLAG_TEXT, AT(work_folder), "PATH",
     "where the state is restored to, and stays; needed", NULL},
    {"timestamp", FLAG_TEXT, AT(timestamp), "TIME",
     "go back to the last boundary at or before this moment (RFC 3339)", NULL},
    {"txid", FLAG_TEXT, AT(txid), "TXID", "go back to this TXID (16 hex digits), inclusive", NULL},
    {"config", FLAG_TEXT, AT(config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, AT(config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"replica", FLAG_TEXT, AT(replica), "NAME", "restore from this destination only",
     "each in turn"},
    {"integrity-check", FLAG_TEXT, AT(integrity), "none|quick|full",
     "let SQLite check the restored state before it is shipped", "none"},
    {"json", FLAG_SWITCH, AT(json), NULL, "print the result as JSON", NULL},
};

static const char detail[] =
    "The application and its replication must be stopped. Its database is left alone:\n"
    "`walferry restore -roll-forward` brings it to the new state, or restore it anew.\n"
    "What was newer stays in the replica, and restorable by its TXID. A state that is\n"
    "the newest already is left as it is.\n";

/* What the steps hand on. */
struct rewind_run {
    struct replication r;
    const struct rewind_args *args;
    const struct config_db *db;
    struct config_db
        scratch; /* the same destinations, but those that are only read; another path */
    struct config_replica own[CONFIG_REPLICAS_MAX]; /* of scratch; what they point to is borrowed */
    struct restore_result restored;
    uint64_t tip_txid; /* of the replica, afterwards */
};

/* ---- step 1 ---- */

static int state_restore(struct rewind_run *w, struct error *err)
{
    struct restore_options options = {
        .output = w->scratch.path,
        .force = true, /* of an earlier run */
        .want_page_map = true,
        .meta_path = w->scratch.meta_path,
    };

    if (restore_target_parse(w->args->txid, w->args->timestamp, &options.target, err) < 0 ||
        restore_integrity_parse(w->args->integrity, &options.integrity, err) < 0)
        return -1;
    return prepare_restore(&w->r, &w->scratch, w->args->replica, &options, &w->restored, err);
}

/* ---- step 2 ---- */

/* *out_status: of the process; why it is not 0 has been told. */
static int state_ship(struct rewind_run *w, int *out_status, struct error *err)
{
    const struct config *c = w->r.config;
    const struct engine_options options = {.loop = w->r.loop,
                                           .log = w->r.log,
                                           .version = walferry_version(),
                                           .commit = walferry_commit(),
                                           .shutdown_timeout_ns = c->shutdown_sync_timeout_ns};
    struct supervise_end end = {.status = 0};

    if (engine_new(&options, &w->r.engine, err) < 0)
        return -1;
    int rc = replicate_add(&w->r, &w->scratch, err);
    if (rc == 0) {
        const struct supervise_options supervise = {.loop = w->r.loop,
                                                    .log = w->r.log,
                                                    .engine = w->r.engine,
                                                    .is_once = true,
                                                    .timeout_ns = c->shutdown_sync_timeout_ns};
        rc = supervise_run(&supervise, &end, err);
    }
    engine_free(w->r.engine);
    w->r.engine = NULL;
    loop_run(w->r.loop); /* what it still closes */
    *out_status = end.status;
    return rc;
}

/* ---- step 3 ---- */

static int tip_look(struct rewind_run *w, struct error *err)
{
    const struct restore_options options = {.output = w->scratch.path, .dry_run = true};
    CLEANUP(restore_result_destroy) struct restore_result plan = {.outcome = RESTORE_FAILED};

    if (prepare_restore(&w->r, &w->scratch, w->args->replica, &options, &plan, err) < 0)
        return error_wrap(err, "the replica afterwards");
    if (w->restored.is_rewind && plan.txid <= w->restored.plan.tip_txid) {
        return error_set(err, ERR_WRONG_STATE, 0,
                         "the replica still ends at TXID %016" PRIx64
                         ", although the earlier state was shipped",
                         plan.txid);
    }
    w->tip_txid = plan.txid;
    return 0;
}

/* ---- the report ---- */

static int report_json(const struct rewind_run *w, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(OUTPUT_BYTES_MAX);
    const struct restore_result *r = &w->restored;
    struct json_writer j;
    char txid[LTX_TXID_TEXT_BYTES];

    json_writer_init(&j, &out, JSON_PRETTY);
    json_writer_object(&j, NULL);
    json_writer_str(&j, "outcome", r->is_rewind ? "rewound" : "up_to_date");
    json_writer_str(&j, "db_path", w->db->path);
    json_writer_str(&j, "txid", ltx_txid_format(r->txid, txid));
    json_writer_time(&j, "timestamp", r->timestamp_ns);
    json_writer_str(&j, "tip_txid", ltx_txid_format(w->tip_txid, txid));
    json_writer_u64(&j, "duration_ms", r->duration_ns / NS_PER_MS);
    json_writer_u64(&j, "bytes", r->bytes);
    json_writer_u64(&j, "page_count", r->page_count);
    json_writer_strf(&j, "db_checksum", "%016" PRIx64, r->db_checksum);
    json_writer_bool(&j, "db_checksum_recorded", r->is_checksum_recorded);
    json_writer_str(&j, "integrity_check", w->args->integrity);
    json_writer_end(&j);
    return command_print_json(&j, &out, err);
}

static int report_text(const struct rewind_run *w, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(OUTPUT_BYTES_MAX);
    const struct restore_result *r = &w->restored;
    char moment[TIME_TEXT_BYTES];
    int rc =
        r->is_rewind
            ? buf_printf(&out, err,
                         "TXID %016" PRIx64 " of %s is the newest state again, as "
                         "TXID %016" PRIx64 "; %016" PRIx64 " stays restorable\n",
                         r->txid, time_format_rfc3339(r->timestamp_ns, moment), w->tip_txid,
                         r->plan.tip_txid)
            : buf_printf(&out, err, "TXID %016" PRIx64 " is the newest state: nothing was done\n",
                         r->txid);

    return rc < 0 ? -1 : command_print(buf_slice(&out), err);
}

/* ---- all of it ---- */

static int arguments_check(const struct rewind_args *a, struct error *err)
{
    if (!a->work_folder)
        return error_set(err, ERR_USAGE, 0, "-work-folder is needed");
    if (!a->txid && !a->timestamp)
        return error_set(err, ERR_USAGE, 0, "-timestamp or -txid says how far back");
    return 0;
}

static int scratch_make(struct rewind_run *w, struct error *err)
{
    CLEANUP(mem_free) char *folder = NULL;
    const char *slash = strrchr(w->db->path, '/');
    const char *name = slash ? slash + 1 : w->db->path;

    if (path_expand(w->args->work_folder, getenv("HOME"), &folder, err) < 0)
        return -1;
    w->scratch = *w->db;
    w->scratch.path = NULL; /* these two will be its own */
    w->scratch.meta_path = NULL;
    w->scratch.replicas = w->own;
    w->scratch.replica_count = 0;
    for (size_t i = 0; i < w->db->replica_count; i++) {
        if (!config_replica_is_read_only(&w->db->replicas[i]))
            w->own[w->scratch.replica_count++] = w->db->replicas[i];
    }
    if (w->scratch.replica_count == 0) {
        return error_set(err, ERR_USAGE, 0, "%s has no destination that is written to",
                         w->db->path);
    }
    w->scratch.path = str_printf(err, "%s/%s", folder, name);
    w->scratch.meta_path =
        w->scratch.path ? str_printf(err, "%s/.%s-walferry", folder, name) : NULL;
    return w->scratch.meta_path ? 0 : -1;
}

static int rewind_steps(struct rewind_run *w, int *out_status, struct error *err)
{
    if (follow_process_init(err) < 0)
        return -1;
    if (state_restore(w, err) < 0) {
        if (w->restored.outcome != RESTORE_NO_BACKUP)
            return -1;
        *out_status = 3;
        return command_print(SLICE_LIT("no backup: every destination was listed and is empty\n"),
                             err);
    }
    if (w->restored.is_rewind) {
        if (state_ship(w, out_status, err) < 0)
            return -1;
        if (*out_status != 0)
            return 0;
    }
    if (tip_look(w, err) < 0)
        return -1;
    return w->args->json ? report_json(w, err) : report_text(w, err);
}

static int rewind_on_loop(struct rewind_run *w, const char *path, int *out_status,
                          struct error *err)
{
    struct config_db *derived = NULL;

    w->db = config_db_choose(w->r.config, path, &derived, err);
    int rc = w->db ? scratch_make(w, err) : -1;
    if (rc == 0)
        rc = rewind_steps(w, out_status, err);
    if (w->db) {
        free(w->scratch.path);
        free(w->scratch.meta_path);
    }
    config_db_free(derived);
    return rc;
}

static int run(const struct invocation *inv, struct error *err)
{
    CLEANUP(config_cleanup) struct config *config = NULL;
    struct log log = {.env = inv->env, .fd = STDERR_FILENO, .level = LOG_LEVEL_WARN};
    struct rewind_run w = {.args = inv->args, .r = {.log = &log}};
    int status = 0;

    if (arguments_check(w.args, err) < 0 ||
        config_choose(inv->env, &w.args->config, &config, err) < 0 ||
        loop_new(inv->env, WORKERS, &w.r.loop, err) < 0)
        return -1;
    w.r.config = config;
    int rc = rewind_on_loop(&w, inv->positional[0], &status, err);
    restore_result_destroy(&w.restored);
    loop_run(w.r.loop); /* what the storages still close */
    loop_free(w.r.loop);
    return rc < 0 ? error_wrap(err, "rewind %s", inv->positional[0]) : status;
}

const struct command command_rewind = {
    .name = "rewind",
    .summary = "Make an earlier state the newest of a replica",
    .usage = "walferry rewind [flags] DB_PATH",
    .example = "  walferry rewind -work-folder /tmp -txid 00000000000000a7 /data/app.db\n"
               "  walferry restore -roll-forward /data/app.db",
    .detail = detail,
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct rewind_args),
    .defaults = &defaults,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
