/*
 * walferry replicate: from configuration or command line to a running engine.
 */
#include "sidecar/command/replicate.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/config/dir_scan.h"
#include "lib/io/loop.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"
#include "sidecar/command/directory.h"
#include "sidecar/command/heartbeat.h"
#include "sidecar/command/live.h"
#include "sidecar/command/prepare.h"
#include "sidecar/command/serve.h"
#include "sidecar/command/supervise.h"

enum {
    WORKERS = 4,
};

struct replicate_args {
    struct config_choice config;
    const char *exec;
    const char *log_level;
    bool once;
    bool force_snapshot;
    bool enforce_retention;
    bool restore_if_db_not_exists;
    const char *roll_forward_until;
    bool adopt;
};

#define AT(field) offsetof(struct replicate_args, field)

static const struct flag flags[] = {
    {"config", FLAG_TEXT, AT(config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, AT(config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"exec", FLAG_TEXT, AT(exec), "COMMAND",
     "run the application as a child; signals are passed on, its exit status is ours", NULL},
    {"once", FLAG_SWITCH, AT(once), NULL, "ship what is committed now, then end", NULL},
    {"force-snapshot", FLAG_SWITCH, AT(force_snapshot), NULL,
     "with -once: write a snapshot of every database", NULL},
    {"enforce-retention", FLAG_SWITCH, AT(enforce_retention), NULL,
     "with -once: delete what retention allows", NULL},
    {"restore-if-db-not-exists", FLAG_SWITCH, AT(restore_if_db_not_exists), NULL,
     "restore databases that are missing before replicating", NULL},
    {"roll-forward-until", FLAG_TEXT, AT(roll_forward_until), "FILE",
     "bring databases that are an older state of their replica up to date, until FILE is there; it "
     "is made before /startupz first answers 200 and lets the application start",
     NULL},
    {"adopt", FLAG_SWITCH, AT(adopt), NULL,
     "continue whatever lies at the destination with this database", NULL},
    {"log-level", FLAG_TEXT, AT(log_level), "trace|debug|info|warn|error",
     "log lines of this level and those above it", "$LOG_LEVEL, the configuration, info"},
};

static const char detail[] =
    "Without arguments the databases come from the configuration. With DB_PATH and\n"
    "one or more REPLICA_URLs that one database is replicated to each of them.\n"
    "A database that is not there yet is waited for. With -once it is an error,\n"
    "unless it was to be restored and there is positively no backup of it.\n"
    "Exit status 1 means that something committed here did not reach a destination.\n";

/* ---- options of the engine, from the configuration ---- */

static uint64_t reserve_bytes(const struct env *env, const struct config_db *db)
{
    char folder[4096];
    uint64_t free_bytes = 0;
    uint64_t total = 0;
    struct error ignored = ERROR_INIT; /* the folder may not be there yet: then the bytes count */
    const char *slash = strrchr(db->path, '/');
    int n = snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - db->path) : 0, db->path);

    if (n <= 0 || env_free_bytes(env, folder, &free_bytes, &total, &ignored) < 0)
        return db->free_space_reserve.bytes;
    uint64_t share = total / 100 * db->free_space_reserve.percent;
    return share > db->free_space_reserve.bytes ? share : db->free_space_reserve.bytes;
}

static struct destination_options destination_options_of(const struct config *c,
                                                         const struct config_replica *r, bool adopt)
{
    struct destination_options o = {
        .name = r->name,
        .sync_interval_ns = r->sync_interval_ns,
        .snapshot_interval_ns = r->snapshot_interval_ns,
        .snapshot_retention_ns = r->snapshot_retention_ns,
        .validation_interval_ns = r->validation_interval_ns,
        .l0_retention_ns = c->l0_retention_ns,
        .is_retention_enabled = c->retention_enabled,
        .is_suspended = c->is_suspended,
        .require_fencing = r->require_fencing,
        .lease = r->lease,
        .adopt = adopt,
    };

    for (size_t i = 0; i < c->level_count; i++)
        o.level_interval_ns[i] = c->level_interval_ns[i];
    return o;
}

static void warn_unverified(const struct replication *r, const struct config_db *db,
                            const struct config_replica *replica)
{
    if (replica->s3.skip_verify) {
        LOG_WARN(r->log, "TLS certificates are not verified", LOG_STR("db", db->path),
                 LOG_STR("destination", replica->name));
    }
}

/* Opens those that are written to. On failure none is open. */
static int destinations_open(const struct replication *r, const struct config_db *db,
                             struct destination_options *to, size_t *out_count, struct error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < db->replica_count; i++) {
        if (config_replica_is_read_only(&db->replicas[i]))
            continue;
        warn_unverified(r, db, &db->replicas[i]);
        to[count] = destination_options_of(r->config, &db->replicas[i], r->adopt);
        if (destination_open(r->loop, &db->replicas[i], DESTINATION_BRISK, &to[count].storage,
                             err) < 0) {
            while (count-- > 0)
                storage_free(to[count].storage);
            return -1;
        }
        count++;
    }
    *out_count = count;
    if (count > 0)
        return 0;
    (void)error_set(err, ERR_USAGE, 0, "%s has no destination%s", db->path,
                    db->replica_count > 0 ? " that is written to" : "");
    return db->replica_count > 0
               ? error_hint(err, "sync-interval: never makes one a source of restores only")
               : -1;
}

int replicate_add(const struct replication *r, const struct config_db *db, struct error *err)
{
    const struct env *env = loop_env(r->loop);
    struct destination_options to[CONFIG_REPLICAS_MAX];
    struct database_options options = {
        .path = db->path,
        .meta_path = db->meta_path,
        .enable_wal = db->journal_mode == CONFIG_JOURNAL_ENABLE,
        .may_seal = db->seal,
        .monitor_interval_ns = db->monitor_interval_ns,
        .checkpoint_interval_ns = db->checkpoint_interval_ns,
        .busy_timeout_ns = db->busy_timeout_ns,
        .checkpoint_frames = db->min_checkpoint_page_count,
        .wal_keep_bytes = 4U << 20,
        .reserve_bytes = reserve_bytes(env, db),
        .destinations = to,
    };

    if (destinations_open(r, db, to, &options.destination_count, err) < 0)
        return -1;
    return engine_add_database(r->engine, &options, err);
}

/* ---- running ---- */

static int log_prepare(const struct replicate_args *a, const struct config *c, struct log *log,
                       struct error *err)
{
    const char *level = a->log_level ? a->log_level : getenv("LOG_LEVEL");

    log->level = c->logging.level;
    log->format = c->logging.format;
    log->fd = c->logging.to_stderr ? STDERR_FILENO : STDOUT_FILENO;
    return level && *level ? log_level_parse(level, &log->level, err) : 0;
}

static int arguments_check(const struct invocation *inv, struct error *err)
{
    const struct replicate_args *a = inv->args;

    if (inv->positional_count == 1)
        return error_set(err, ERR_USAGE, 0, "DB_PATH needs at least one REPLICA_URL behind it");
    if (inv->positional_count > 1 && a->config.path)
        return error_set(err, ERR_USAGE, 0, "DB_PATH REPLICA_URL and -config exclude each other");
    if (a->roll_forward_until && (a->once || a->exec)) {
        return error_set(err, ERR_USAGE, 0,
                         "-roll-forward-until is for a service whose application waits for "
                         "/startupz: it excludes -once and -exec");
    }
    if (a->once && a->exec)
        return error_set(err, ERR_USAGE, 0, "-once and -exec exclude each other");
    if ((a->force_snapshot || a->enforce_retention) && !a->once)
        return error_set(err, ERR_USAGE, 0, "-force-snapshot and -enforce-retention go with -once");
    return 0;
}

static int config_read(const struct invocation *inv, struct config **out, struct error *err)
{
    const struct replicate_args *a = inv->args;

    if (inv->positional_count == 0)
        return config_choose(inv->env, &a->config, out, err);
    return config_from_args(inv->positional[0], (const char *const *)&inv->positional[1],
                            (size_t)inv->positional_count - 1, out, err);
}

static bool is_absent(const struct replication *r, const struct config_db *db)
{
    struct stat st;
    struct error err = ERROR_INIT; /* any other error is the engine's to tell */

    return db->path && env_stat(loop_env(r->loop), db->path, &st, &err) < 0 &&
           err.code == ERR_NOT_FOUND;
}

static void absent_tell(const struct replication *r, const struct config_db *db,
                        const struct error *err)
{
    LOG_ERROR(r->log, "database is missing", LOG_STR("db", db->path), LOG_ERR(err), LOG_HINT(err));
}

/*
 * With -once nobody waits for a database that the application may yet make: one that was named and
 * is not there is a mistake, most likely in its name. The others are shipped all the same. One that
 * was to be restored may be absent: then there is positively no backup, and it is a fresh start.
 */
static int absent_check(const struct replication *r, bool is_restored, size_t *out_absent_count,
                        struct error *err)
{
    size_t absent_count = 0;

    for (size_t i = 0; i < r->config->db_count; i++) {
        const struct config_db *db = &r->config->dbs[i];
        if (is_restored || db->restore_if_db_not_exists || !is_absent(r, db))
            continue;
        absent_count++;
        (void)error_set(err, ERR_NOT_FOUND, 0, "%s does not exist", db->path);
        (void)error_hint(err, "-once does not wait for it: check the path, or restore it first");
        if (r->config->db_count > 1) /* else it ends us, and is told then */
            absent_tell(r, db, err);
    }
    *out_absent_count = absent_count;
    if (absent_count > 0 && absent_count == r->config->db_count)
        return -1;
    error_clear(err);
    return 0;
}

static int databases_add(struct replication *r, struct error *err)
{
    for (size_t i = 0; i < r->config->db_count; i++) {
        const struct config_db *db = &r->config->dbs[i];
        int rc = db->dir ? directory_add(r, db, err) : replicate_add(r, db, err);
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* Follows the configuration file, if there is one and there is time for it. */
static int live_begin(struct replication *r, const struct replicate_args *a, struct log *log,
                      struct live **out, struct error *err)
{
    const char *level = getenv("LOG_LEVEL");
    const struct live_options options = {
        .choice = &a->config,
        .log = log,
        .has_fixed_level = a->log_level || (level && *level),
    };

    if (a->once || !r->is_from_file)
        return 0;
    return live_start(r, &options, out, err);
}

/* From the engine's first to its last moment. */
static int engine_run(struct replication *r, const struct replicate_args *a, struct log *log,
                      bool has_failed, struct supervise_end *out, struct error *err)
{
    bool may_roll = !prepare_is_too_late(r) && !r->has_rolled_in_vain;
    const struct engine_options options = {.loop = r->loop,
                                           .log = r->log,
                                           .version = walferry_version(),
                                           .commit = walferry_commit(),
                                           .shutdown_timeout_ns =
                                               r->config->shutdown_sync_timeout_ns,
                                           .on_stale = may_roll ? supervise_on_stale : NULL,
                                           .stale_arg = &r->stale};
    struct server *server = NULL;
    struct heartbeat *heartbeat = NULL;
    struct live *live = NULL;
    int rc = -1;

    r->stale = (struct supervise_stale){.is_found = false};
    if (engine_new(&options, &r->engine, err) < 0)
        return -1;
    if (databases_add(r, err) == 0 && serve_start(r, &server, err) == 0 &&
        heartbeat_start(r, &heartbeat, err) == 0 && live_begin(r, a, log, &live, err) == 0) {
        const struct supervise_options supervise = {
            .loop = r->loop,
            .log = r->log,
            .engine = r->engine,
            .exec = a->exec   ? a->exec
                    : a->once ? NULL
                              : r->config->exec,
            .is_once = a->once,
            .has_failed = has_failed,
            .force_snapshot = a->force_snapshot,
            .enforce_retention = a->enforce_retention,
            .timeout_ns = r->config->shutdown_sync_timeout_ns,
            .stale = may_roll ? &r->stale : NULL,
        };
        rc = supervise_run(&supervise, out, err);
    }
    live_stop(live);
    heartbeat_stop(heartbeat);
    serve_stop(server);
    directory_stop(r);
    register_stop(r);
    engine_free(r->engine);
    r->engine = NULL;
    return rc;
}

static int replicate_run(struct replication *r, const struct replicate_args *a, struct log *log,
                         int *out_status, struct error *err)
{
    struct supervise_end end = {.status = 0};
    size_t absent_count = 0;

    /* SQLite is set up before a restore checks what it wrote by it. */
    if (follow_process_init(err) < 0 || prepare_missing(r, a->restore_if_db_not_exists, err) < 0 ||
        (a->once && absent_check(r, a->restore_if_db_not_exists, &absent_count, err) < 0))
        return -1;
    for (;;) {
        bool has_rolled = false;
        if (engine_run(r, a, log, absent_count > 0, &end, err) < 0)
            return -1;
        if (!end.is_stale)
            break;
        loop_run(r->loop); /* what the engine and its server still close */
        if (prepare_roll_forward(r, &has_rolled, err) < 0)
            return -1;
        r->has_rolled_in_vain = !has_rolled;
    }
    *out_status = end.status;
    return 0;
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct replicate_args *a = inv->args;
    CLEANUP(config_cleanup) struct config *config = NULL;
    struct log log = {.env = inv->env};
    struct replication r = {
        .log = &log, .adopt = a->adopt, .roll_forward_until = a->roll_forward_until};
    int status = 0;

    if (arguments_check(inv, err) < 0 || config_read(inv, &config, err) < 0 ||
        log_prepare(a, config, &log, err) < 0 || loop_new(inv->env, WORKERS, &r.loop, err) < 0)
        return -1;
    r.config = config;
    LOG_INFO(&log, "walferry", LOG_STR("version", walferry_version()),
             LOG_STR("sqlite", follow_sqlite_version()),
             LOG_BOOL("sqlite_has_wal_reset_bug", follow_sqlite_has_wal_reset_bug()));
    r.is_from_file = inv->positional_count == 0;
    int rc = replicate_run(&r, a, &log, &status, err);
    loop_run(r.loop); /* what the storages still close */
    loop_free(r.loop);
    return rc < 0 ? -1 : status;
}

const struct command command_replicate = {
    .name = "replicate",
    .summary = "Replicate databases continuously",
    .usage = "walferry replicate [flags] [DB_PATH REPLICA_URL...]",
    .example = "  walferry replicate /data/app.db s3://bucket/app\n"
               "  walferry replicate -config /etc/litestream.yml -exec \"myapp -port 8080\"",
    .detail = detail,
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct replicate_args),
    .positional_max = 1 + CONFIG_REPLICAS_MAX,
    .run = run,
};
