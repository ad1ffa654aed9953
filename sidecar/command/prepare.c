/*
 * What `walferry restore` would do, done by `walferry replicate` itself before its engine begins.
 *
 * Rolling forward exchanges the file of a database: whoever has it open would go on in one that no
 * name leads to. So it is done only while something holds the application back, and that is what
 * the file of -roll-forward-until tells: the injected sidecar makes it just before its startup
 * probe succeeds for the first time, in a volume that lives as long as the pod. A container that
 * is restarted later finds it, and leaves stale databases alone.
 */
#include "sidecar/command/prepare.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/io/durable_file.h"
#include "lib/io/signals.h"
#include "sidecar/command/destination.h"

/* ---- one database ---- */

static void stop_requested(void *arg, int signum UNUSED)
{
    atomic_store((atomic_bool *)arg, true);
}

static int restore_from(const struct replication *r, const struct restore_destination *from,
                        size_t from_count, const struct restore_options *wanted,
                        struct restore_result *out, struct error *err)
{
    static const int stops[] = {SIGINT, SIGTERM};
    atomic_bool is_canceled = false;
    struct restore_options options = *wanted;
    struct signals *signals = NULL;

    options.is_canceled = &is_canceled;
    if (signals_new(r->loop, stops, ARRAY_LEN(stops), stop_requested, &is_canceled, &signals, err) <
        0)
        return -1;
    const struct restore_args args = {.loop = r->loop,
                                      .env = loop_env(r->loop),
                                      .log = r->log,
                                      .destinations = from,
                                      .destination_count = from_count,
                                      .options = &options};
    int rc = restore_run(&args, out, err);
    signals_free(signals);
    return rc;
}

int prepare_restore(const struct replication *r, const struct config_db *db, const char *replica,
                    const struct restore_options *options, struct restore_result *out,
                    struct error *err)
{
    struct target t = {.db = db};
    struct restore_destination from[CONFIG_REPLICAS_MAX];
    int rc = 0;

    *out = (struct restore_result){.outcome = RESTORE_FAILED};
    for (size_t i = 0; i < db->replica_count && rc == 0; i++) {
        const struct config_replica *wanted = &db->replicas[i];
        if (replica && strcmp(wanted->name, replica) != 0)
            continue;
        rc = destination_open(r->loop, wanted, DESTINATION_PATIENT, &t.storages[t.count], err);
        if (rc < 0)
            break;
        from[t.count] =
            (struct restore_destination){.storage = t.storages[t.count],
                                         .name = wanted->name,
                                         .is_read_only = config_replica_is_read_only(wanted)};
        t.count++;
    }
    if (rc == 0 && t.count == 0) {
        rc = error_set(err, ERR_USAGE, 0, "no destination%s%.64s", replica ? " named " : "",
                       replica ? replica : "");
    }
    if (rc == 0)
        rc = restore_from(r, from, t.count, options, out, err);
    target_close(&t);
    return rc;
}

static int database_restore(const struct replication *r, const struct config_db *db,
                            bool is_rolled_forward, enum restore_outcome *out, struct error *err)
{
    const struct restore_options options = {
        .output = db->path,
        .if_db_not_exists = true,
        .if_replica_exists = true,
        .roll_forward = is_rolled_forward,
        .want_page_map = true,
        .meta_path = db->meta_path,
        .integrity = RESTORE_INTEGRITY_QUICK,
    };
    CLEANUP(restore_result_destroy) struct restore_result result = {.outcome = RESTORE_FAILED};

    if (prepare_restore(r, db, NULL, &options, &result, err) < 0)
        return error_wrap(err, "%s %s", is_rolled_forward ? "roll forward" : "restore", db->path);
    *out = result.outcome;
    if (result.outcome == RESTORE_DONE) {
        LOG_INFO(r->log, result.was_rolled_forward ? "rolled forward" : "restored",
                 LOG_STR("db", db->path), LOG_U64("txid", result.txid));
    }
    return 0;
}

/* ---- what is missing ---- */

static void warn_not_restored(const struct replication *r, const struct config_db *db)
{
    if (db->dir) {
        LOG_WARN(r->log, "databases of a folder are not restored by themselves",
                 LOG_STR("dir", db->dir));
    }
}

int prepare_missing(const struct replication *r, bool is_asked, struct error *err)
{
    enum restore_outcome outcome;

    for (size_t i = 0; i < r->config->db_count; i++) {
        const struct config_db *db = &r->config->dbs[i];
        if (!is_asked && !db->restore_if_db_not_exists)
            continue;
        warn_not_restored(r, db);
        if (db->path && database_restore(r, db, false, &outcome, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- what is stale ---- */

bool prepare_is_too_late(const struct replication *r)
{
    struct error ignored = ERROR_INIT; /* not known: as if the application ran */
    bool is_there = true;

    return !r->roll_forward_until ||
           env_exists(loop_env(r->loop), r->roll_forward_until, &is_there, &ignored) < 0 ||
           is_there;
}

int prepare_end(const struct replication *r, struct error *err)
{
    const struct durable_file_options options = {.mode = 0644};

    if (r->stale.is_found)
        return error_set(err, ERR_WRONG_STATE, 0, "a database is to be rolled forward");
    if (prepare_is_too_late(r))
        return 0;
    return file_commit(loop_env(r->loop), r->roll_forward_until, slice_of_str(""), &options, err) <
                   0
               ? error_wrap(err, "-roll-forward-until")
               : 0;
}

int prepare_roll_forward(const struct replication *r, bool *out_any, struct error *err)
{
    bool has_any = false;

    for (size_t i = 0; i < r->config->db_count; i++) {
        const struct config_db *db = &r->config->dbs[i];
        enum restore_outcome outcome = RESTORE_FAILED;
        struct stat st;
        if (!db->path || env_stat(loop_env(r->loop), db->path, &st, err) < 0) {
            if (db->path && err->code != ERR_NOT_FOUND)
                return -1;
            error_clear(err);
            continue;
        }
        if (database_restore(r, db, true, &outcome, err) < 0)
            return -1;
        has_any |= outcome == RESTORE_DONE;
    }
    *out_any = has_any;
    return 0;
}
