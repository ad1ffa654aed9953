/*
 * walferry restore: flags, progress and reports around sidecar/restore.
 */
#include "sidecar/restore/restore.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/config/path.h"
#include "lib/io/signals.h"
#include "lib/ltx/ltx.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"

enum {
    WORKERS = 4,
    DATABASES_MAX = 64, /* of one call */
    OUTPUT_BYTES_MAX = 64 << 20,
};

struct restore_args_cli {
    struct config_choice config;
    const char *output;
    const char *txid;
    const char *timestamp;
    const char *fenced;
    const char *replica;
    const char *integrity;
    uint64_t parallelism;
    bool if_db_not_exists;
    bool if_replica_exists;
    bool roll_forward;
    bool force;
    bool dry_run;
    bool json;
};

static const struct restore_args_cli defaults = {
    .integrity = "none",
    .parallelism = RESTORE_PARALLELISM_DEFAULT,
};

#define AT(field) offsetof(struct restore_args_cli, field)

static const struct flag flags[] = {
    {"o", FLAG_TEXT, AT(output), "PATH", "where to restore to; needed for a URL",
     "the database's own path"},
    {"config", FLAG_TEXT, AT(config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, AT(config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"replica", FLAG_TEXT, AT(replica), "NAME", "only this destination", "each in turn"},
    {"txid", FLAG_TEXT, AT(txid), "TXID", "restore to this TXID (16 hex digits), inclusive",
     "latest"},
    {"timestamp", FLAG_TEXT, AT(timestamp), "TIME",
     "restore to the last boundary at or before this moment (RFC 3339)", "latest"},
    {"fenced", FLAG_TEXT, AT(fenced), "EPOCH-OWNER",
     "restore what a fenced writer could not ship (ltx -level all); needs -o or -force", NULL},
    {"if-db-not-exists", FLAG_SWITCH, AT(if_db_not_exists), NULL,
     "succeed without doing anything if the database exists", NULL},
    {"if-replica-exists", FLAG_SWITCH, AT(if_replica_exists), NULL,
     "succeed without doing anything if there is positively no backup", NULL},
    {"roll-forward", FLAG_SWITCH, AT(roll_forward), NULL,
     "bring an existing database that is an older state of the replica up to date", NULL},
    {"force", FLAG_SWITCH, AT(force), NULL,
     "replace an existing database, once the restored one is proven", NULL},
    {"integrity-check", FLAG_TEXT, AT(integrity), "none|quick|full",
     "let SQLite check the restored database before it takes its name", "none"},
    {"parallelism", FLAG_NUMBER, AT(parallelism), "N", "requests at a time, 1 to 64", "8"},
    {"dry-run", FLAG_SWITCH, AT(dry_run), NULL, "print which objects would be used", NULL},
    {"json", FLAG_SWITCH, AT(json), NULL, "print the result as JSON", NULL},
};

static const char detail[] =
    "Exit status 0: restored (or nothing to do with -if-db-not-exists or\n"
    "-if-replica-exists); 3: every destination was listed and there is no backup;\n"
    "anything else: it could not be told, or failed. On failure whatever lay at the\n"
    "output is as it was. Several databases are restored one after the other; the\n"
    "first that does not end with 0 is the last.\n";

/* ---- arguments ---- */

static int fenced_parse(const struct restore_args_cli *a, struct restore_options *out,
                        struct error *err)
{
    if (!a->fenced)
        return 0;
    out->is_fenced = true;
    return restore_fenced_parse(a->fenced, &out->fenced, err) < 0 ? error_wrap(err, "-fenced") : 0;
}

static int arguments_check(const struct restore_args_cli *a, struct error *err)
{
    if (a->force && a->if_db_not_exists)
        return error_set(err, ERR_USAGE, 0, "-force and -if-db-not-exists exclude each other");
    if (a->force && a->roll_forward)
        return error_set(err, ERR_USAGE, 0, "-force and -roll-forward exclude each other");
    if (a->fenced && (a->txid || a->timestamp || a->roll_forward))
        return error_set(err, ERR_USAGE, 0, "-fenced excludes -txid, -timestamp and -roll-forward");
    if (a->fenced && !a->output && !a->force && !a->dry_run) {
        (void)error_set(err, ERR_USAGE, 0, "-fenced leads to a fork of history");
        return error_hint(err, "-o PATH writes it elsewhere; -force replaces the database");
    }
    if (a->parallelism < 1 || a->parallelism > RESTORE_PARALLELISM_MAX) {
        return error_set(err, ERR_USAGE, 0, "-parallelism must be 1 to %d",
                         (int)RESTORE_PARALLELISM_MAX);
    }
    return 0;
}

static int destinations_choose(const struct target *t, const char *name,
                               struct restore_destination *out, size_t *out_count,
                               struct error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < t->count; i++) {
        if (!name || strcmp(t->names[i], name) == 0) {
            out[n++] =
                (struct restore_destination){.storage = t->storages[i],
                                             .name = t->names[i],
                                             .is_read_only = storage_is_read_only(t->storages[i])};
        }
    }
    *out_count = n;
    return n ? 0
             : error_set(err, ERR_USAGE, 0, "no destination%s%.64s", name ? " named " : "",
                         name ? name : "");
}

/* ---- progress, for people ---- */

struct watcher {
    bool is_terminal;
    bool has_line;
    atomic_bool is_canceled;
};

static void progress_show(void *arg, const struct restore_progress *p)
{
    struct watcher *w = arg;
    char left[TIME_TEXT_BYTES];

    if (!w->is_terminal)
        return;
    w->has_line = true;
    uint64_t left_s = p->left_ns / NS_PER_SEC * NS_PER_SEC;
    /* Progress is a courtesy: a terminal that went away does not matter. */
    (void)fprintf(stderr, "\r\033[K%s: %.1f of %.1f MB, %" PRIu64 " of %" PRIu64 " pages%s%s",
                  restore_phase_name(p->phase), (double)p->bytes_done / 1e6,
                  (double)p->bytes_total / 1e6, p->pages_done, p->page_count,
                  p->left_ns ? ", left " : "", p->left_ns ? duration_format(left_s, left) : "");
}

static void stop_requested(void *arg, int signum UNUSED)
{
    struct watcher *w = arg;
    atomic_store(&w->is_canceled, true);
}

/* ---- results ---- */

static void plan_json(struct json_writer *w, const struct restore_plan *plan)
{
    char txid[LTX_TXID_TEXT_BYTES];

    json_writer_array(w, "files");
    for (size_t i = 0; i < plan->object_count; i++) {
        const struct inventory_object *o = &plan->objects[i].object;
        json_writer_object(w, NULL);
        if (plan->objects[i].is_fenced)
            json_writer_str(w, "level", "fenced");
        else
            json_writer_u64(w, "level", plan->objects[i].level);
        json_writer_strf(w, "name", "%016" PRIx64 "-%016" PRIx64 ".ltx", o->min_txid, o->max_txid);
        json_writer_str(w, "min_txid", ltx_txid_format(o->min_txid, txid));
        json_writer_str(w, "max_txid", ltx_txid_format(o->max_txid, txid));
        json_writer_u64(w, "size", o->bytes);
        json_writer_time(w, "timestamp", o->timestamp_ns);
        json_writer_end(w);
    }
    json_writer_end(w);
}

static const char *outcome_word(enum restore_outcome outcome)
{
    static const char *const words[] = {
        [RESTORE_FAILED] = "failed",         [RESTORE_DONE] = "restored",
        [RESTORE_NO_BACKUP] = "no_backup",   [RESTORE_DB_EXISTS] = "db_exists",
        [RESTORE_UP_TO_DATE] = "up_to_date", [RESTORE_PLANNED] = "planned",
    };
    return words[outcome];
}

static int result_json(const struct restore_result *r, const struct restore_destination *from,
                       const char *output, const char *integrity, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(OUTPUT_BYTES_MAX);
    struct json_writer w;
    char txid[LTX_TXID_TEXT_BYTES];
    bool has_source = r->outcome == RESTORE_DONE || r->outcome == RESTORE_PLANNED ||
                      r->outcome == RESTORE_UP_TO_DATE;

    json_writer_init(&w, &out, JSON_PRETTY);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "outcome", outcome_word(r->outcome));
    json_writer_str(&w, "db_path", output);
    json_writer_str(&w, "replica", has_source ? storage_type(from->storage) : NULL);
    json_writer_str(&w, "source", has_source ? storage_url(from->storage) : NULL);
    json_writer_str(&w, "txid", r->txid ? ltx_txid_format(r->txid, txid) : NULL);
    json_writer_time(&w, "timestamp", r->timestamp_ns);
    json_writer_u64(&w, "duration_ms", r->duration_ns / NS_PER_MS);
    json_writer_u64(&w, "bytes", r->bytes);
    json_writer_u64(&w, "page_size", r->page_size);
    json_writer_u64(&w, "page_count", r->page_count);
    json_writer_strf(&w, "db_checksum", "%016" PRIx64, r->db_checksum);
    json_writer_bool(&w, "db_checksum_recorded", r->is_checksum_recorded);
    json_writer_str(&w, "integrity_check", integrity);
    if (r->outcome == RESTORE_PLANNED)
        plan_json(&w, &r->plan);
    json_writer_end(&w);
    return command_print_json(&w, &out, err);
}

static int plan_text(struct buf *out, const struct restore_result *r,
                     const struct restore_destination *from, const char *output, struct error *err)
{
    char moment[TIME_TEXT_BYTES];

    if (buf_printf(out, err, "would restore %s from %s\nto TXID %016" PRIx64 " of %s\n", output,
                   storage_url(from->storage), r->plan.txid,
                   time_format_rfc3339(r->plan.timestamp_ns, moment)) < 0)
        return -1;
    for (size_t i = 0; i < r->plan.object_count; i++) {
        const struct inventory_object *o = &r->plan.objects[i].object;
        char level[16] = "fenced ";
        if (!r->plan.objects[i].is_fenced)
            (void)snprintf(level, sizeof(level), "level %u", r->plan.objects[i].level);
        if (buf_printf(out, err, "  %s  %016" PRIx64 "-%016" PRIx64 "  %12" PRIu64 " bytes\n",
                       level, o->min_txid, o->max_txid, o->bytes) < 0)
            return -1;
    }
    return buf_printf(out, err, "%zu objects, %" PRIu64 " bytes\n", r->plan.object_count,
                      r->plan.bytes);
}

static int result_text(const struct restore_result *r, const struct restore_destination *from,
                       const char *output, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(OUTPUT_BYTES_MAX);
    char moment[TIME_TEXT_BYTES];
    char took[TIME_TEXT_BYTES];
    int rc = 0;

    switch (r->outcome) {
    case RESTORE_DONE:
        rc = buf_printf(&out, err,
                        "restored %s from %s: TXID %016" PRIx64 " of %s, %" PRIu32
                        " pages, %" PRIu64 " bytes fetched in %s%s\n",
                        output, storage_url(from->storage), r->txid,
                        time_format_rfc3339(r->timestamp_ns, moment), r->page_count, r->bytes,
                        duration_format(r->duration_ns / NS_PER_MS * NS_PER_MS, took),
                        r->is_checksum_recorded ? ", database checksum as recorded" : "");
        break;
    case RESTORE_PLANNED:
        rc = plan_text(&out, r, from, output, err);
        break;
    case RESTORE_NO_BACKUP:
        rc = buf_printf(&out, err, "no backup: every destination was listed and is empty\n");
        break;
    case RESTORE_DB_EXISTS:
        rc = buf_printf(&out, err, "%s exists: nothing was done\n", output);
        break;
    case RESTORE_UP_TO_DATE:
        rc = buf_printf(&out, err, "%s is up to date: nothing was done\n", output);
        break;
    case RESTORE_FAILED:
    default:
        break;
    }
    return rc < 0 ? -1 : command_print(buf_slice(&out), err);
}

/* ---- running ---- */

static int restore_to(struct loop *loop, const struct restore_args_cli *a, const struct target *t,
                      const char *output, int *out_status, struct error *err)
{
    struct restore_destination from[CONFIG_REPLICAS_MAX];
    struct log log = {.env = loop_env(loop), .fd = STDERR_FILENO, .level = LOG_LEVEL_WARN};
    struct watcher watcher = {.is_terminal = isatty(STDERR_FILENO) && !a->json};
    struct restore_options options = {
        .output = output,
        .if_db_not_exists = a->if_db_not_exists,
        .if_replica_exists = a->if_replica_exists,
        .force = a->force,
        .roll_forward = a->roll_forward,
        .dry_run = a->dry_run,
        .parallelism = (unsigned)a->parallelism,
        .want_page_map = t->db && (!a->output || strcmp(output, t->db->path) == 0),
        .meta_path = t->db ? t->db->meta_path : NULL,
        .is_canceled = &watcher.is_canceled,
    };
    CLEANUP(restore_result_destroy) struct restore_result result = {.outcome = RESTORE_FAILED};
    static const int stops[] = {SIGINT, SIGTERM};
    struct signals *signals = NULL;
    size_t from_count = 0;

    if (restore_target_parse(a->txid, a->timestamp, &options.target, err) < 0 ||
        fenced_parse(a, &options, err) < 0 ||
        restore_integrity_parse(a->integrity, &options.integrity, err) < 0 ||
        destinations_choose(t, a->replica, from, &from_count, err) < 0 ||
        signals_new(loop, stops, ARRAY_LEN(stops), stop_requested, &watcher, &signals, err) < 0)
        return -1;
    const struct restore_args args = {
        .loop = loop,
        .env = loop_env(loop),
        .log = &log,
        .destinations = from,
        .destination_count = from_count,
        .options = &options,
        .on_progress = progress_show,
        .arg = &watcher,
    };
    int rc = restore_run(&args, &result, err);
    signals_free(signals);
    if (watcher.has_line)
        (void)fprintf(stderr, "\r\033[K"); /* as in progress_show() */
    *out_status = restore_exit_status(&result, rc, err);
    if (rc < 0 && result.outcome != RESTORE_NO_BACKUP)
        return -1;
    const struct restore_destination *source = &from[result.destination_idx];
    return a->json ? result_json(&result, source, output, a->integrity, err)
                   : result_text(&result, source, output, err);
}

static int restore_on_loop(struct loop *loop, const struct restore_args_cli *a, const char *arg,
                           int *out_status, struct error *err)
{
    CLEANUP(target_close) struct target t = {.count = 0};
    CLEANUP(mem_free) char *output = NULL;

    if (arguments_check(a, err) < 0 ||
        target_open(loop, &a->config, arg, DESTINATION_PATIENT, &t, err) < 0)
        return -1;
    if (!a->output && !t.db)
        return error_set(err, ERR_USAGE, 0, "restoring from a URL needs -o PATH");
    if (path_expand(a->output ? a->output : t.db->path, getenv("HOME"), &output, err) < 0)
        return -1;
    if (restore_to(loop, a, &t, output, out_status, err) < 0)
        return error_wrap(err, "restore %s", output);
    return 0;
}

/* What names one database or one document cannot be said of several. */
static int several_check(const struct invocation *inv, struct error *err)
{
    const struct restore_args_cli *a = inv->args;

    if (inv->positional_count == 1)
        return 0;
    if (a->output || a->txid || a->fenced || a->json) {
        return error_set(err, ERR_USAGE, 0,
                         "-o, -txid, -fenced and -json are for one database, "
                         "not for %d",
                         inv->positional_count);
    }
    for (int i = 0; i < inv->positional_count; i++) {
        if (argument_is_replica(inv->env, inv->positional[i]))
            return error_set(err, ERR_USAGE, 0, "%s: a replica stands alone", inv->positional[i]);
    }
    return 0;
}

static int run(const struct invocation *inv, struct error *err)
{
    struct loop *loop = NULL;
    int status = 0;

    if (several_check(inv, err) < 0 || loop_new(inv->env, WORKERS, &loop, err) < 0)
        return -1;
    int rc = 0;
    for (int i = 0; i < inv->positional_count && rc == 0 && status == 0; i++)
        rc = restore_on_loop(loop, inv->args, inv->positional[i], &status, err);
    loop_run(loop); /* what the storages still close */
    loop_free(loop);
    return rc < 0 ? -1 : status;
}

const struct command command_restore = {
    .name = "restore",
    .summary = "Restore a database from a replica",
    .usage = "walferry restore [flags] DB_PATH...|REPLICA_URL",
    .example = "  walferry restore -o /data/app.db s3://bucket/app\n"
               "  walferry restore -timestamp 2026-11-21T09:30:00Z /data/app.db",
    .detail = detail,
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct restore_args_cli),
    .defaults = &defaults,
    .positional_min = 1,
    .positional_max = DATABASES_MAX,
    .run = run,
};
