/*
 * kubectl walferry restore NAME: a SqliteRestore into a claim or in place, made and followed.
 */
#include <stdio.h>
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/plugin_internal.h"
#include "controller/plugin/restoring.h"

struct args {
    struct session_args session;
    const char *at, *claim, *path, *database, *pod, *destination, *integrity, *name;
    bool is_in_place, is_dry_run, is_sure, is_left;
    uint64_t timeout_ns;
};

struct run {
    struct session session;
    struct restoring restoring;
    struct buf out;
};

static const uint64_t keep_s = 24 * 3600; /* how long the resource tells of it */

static int args_check(const struct args *a, struct error *err)
{
    if (a->claim && a->is_in_place)
        return error_set(err, ERR_USAGE, 0, "--to-claim and --in-place exclude each other");
    if (!a->claim && !a->is_in_place && !a->is_dry_run) {
        (void)error_set(err, ERR_USAGE, 0, "where to?");
        return error_hint(err, "--to-claim NAME writes a copy, --in-place rewinds the replica, "
                               "--dry-run only tells what would be done");
    }
    if (a->path && !a->claim)
        return error_set(err, ERR_USAGE, 0, "--path is a file of --to-claim");
    if (strcmp(a->integrity, "none") != 0 && strcmp(a->integrity, "quick") != 0 &&
        strcmp(a->integrity, "full") != 0) {
        return error_set(err, ERR_USAGE, 0, "--integrity-check: \"%.20s\" is none, quick or full",
                         a->integrity);
    }
    if (!a->claim && (!a->at || strcmp(a->at, "latest") == 0)) {
        (void)error_set(err, ERR_USAGE, 0, "in place, --at must say what to go back to");
        return error_hint(err, "a moment, a span before now (15m), or a TXID");
    }
    if (a->is_in_place && !a->is_dry_run && !a->is_sure) {
        (void)error_set(err, ERR_USAGE, 0,
                        "--in-place stops the workloads of the replica and makes the earlier state "
                        "its newest: say --yes");
        return error_hint(err, "--dry-run tells what would be done");
    }
    return 0;
}

static int plan_print(struct run *r, const struct args *a, const char *source, struct error *err)
{
    struct jsonval o = jsonval_root(&r->restoring.source);
    const struct restoring *x = &r->restoring;
    const char *at = x->target_time[0]   ? x->target_time
                     : x->target_txid[0] ? x->target_txid
                                         : "latest";
    const char *path = "";

    for (struct jsonval d = jsonval_first(jsonval_way(o, "spec.databases")); jsonval_exists(d);
         d = jsonval_next(d)) {
        if (strcmp(fact_text(d, "name"), x->database) == 0)
            path = fact_text(d, "path");
    }
    if (buf_printf(&r->out, err,
                   "sqliterestore.walferry.dev/%s would be created (server dry run)\n"
                   "  from      %s, database %s%s%s\n"
                   "  to        %s%s%s%s\n"
                   "  at        %s\n"
                   "  window    %s to %s\n",
                   x->name, source, x->database, a->pod ? ", pod " : "", a->pod ? a->pod : "",
                   a->claim ? "claim " : path, a->claim ? a->claim : "", a->claim ? ", file " : "",
                   a->claim ? x->path : " of its pods; their workloads are stopped meanwhile", at,
                   fact_text(o, "status.earliestRestoreTime"),
                   fact_text(o, "status.latestRestoreTime")) < 0)
        return -1;
    return command_print(buf_slice(&r->out), err);
}

static int json_print(struct run *r, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, &r->out, JSON_PRETTY);
    restoring_json(&r->restoring, &w);
    return command_print_json(&w, &r->out, err);
}

/* What came of it, in a sentence; a failure is told as an error is. */
static int end_print(struct run *r, int status, struct error *err)
{
    struct jsonval o = jsonval_root(&r->restoring.object);
    char bytes[FACT_TEXT_BYTES];

    if (status == PLUGIN_EXIT_PROBLEM) {
        struct fact_condition failed = fact_condition(o, "Failed");
        (void)error_set(err, ERR_WRONG_STATE, 0, "sqliterestore %s has failed: %s: %s",
                        r->restoring.name, failed.reason, failed.message);
        return -1;
    }
    if (status != 0)
        return status;
    if (buf_printf(&r->out, err, "restored TXID %s of %s: %s fetched, %us\n",
                   fact_text(o, "status.restoredTxid"), fact_text(o, "status.restoredTime"),
                   bytes_format(fact_u64(o, "status.bytes"), bytes),
                   (unsigned)fact_u64(o, "status.durationSeconds")) < 0 ||
        command_print(buf_slice(&r->out), err) < 0)
        return -1;
    return 0;
}

static int follow(struct run *r, const struct args *a, struct error *err)
{
    if (r->session.output != SESSION_JSON) {
        if (buf_printf(&r->out, err, "sqliterestore.walferry.dev/%s created\n", r->restoring.name) <
                0 ||
            command_print(buf_slice(&r->out), err) < 0)
            return -1;
        buf_clear(&r->out);
    }
    int status = a->is_left ? 0 : restoring_follow(&r->session, &r->restoring, a->timeout_ns, err);
    if (status < 0)
        return -1;
    if (r->session.output == SESSION_JSON)
        return json_print(r, err) < 0 ? -1 : status;
    return a->is_left ? 0 : end_print(r, status, err);
}

static void run_end(struct run *r)
{
    restoring_destroy(&r->restoring);
    buf_destroy(&r->out);
    session_close(&r->session);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct args *a = inv->args;
    CLEANUP(run_end)
    struct run r = {.restoring = RESTORING_INIT, .out = BUF_INIT(SESSION_OUTPUT_BYTES_MAX)};
    const struct restore_wish wish = {
        .source = inv->positional[0],
        .name = a->name,
        .mode = a->claim ? "ToClaim" : "InPlace",
        .at = a->at,
        .database = a->database,
        .destination = a->destination,
        .pod = a->pod,
        .integrity = a->integrity,
        .claim = a->claim,
        .path = a->path,
        .ttl_s = keep_s,
    };

    if (args_check(a, err) < 0 || session_open(&r.session, inv->env, &a->session, err) < 0 ||
        restoring_plan(&r.session, &wish, &r.restoring, err) < 0 ||
        restoring_create(&r.session, &wish, &r.restoring, a->is_dry_run, err) < 0)
        return -1;
    if (!a->is_dry_run)
        return follow(&r, a, err);
    return r.session.output == SESSION_JSON ? json_print(&r, err)
                                            : plan_print(&r, a, wish.source, err);
}

static const struct flag flags[] = {
    {"at", FLAG_TEXT, offsetof(struct args, at), "WHEN",
     "a moment (RFC 3339), a span before now (15m), a TXID, or latest", NULL},
    {"to-claim", FLAG_TEXT, offsetof(struct args, claim), "NAME",
     "write a copy into this PersistentVolumeClaim", NULL},
    {"path", FLAG_TEXT, offsetof(struct args, path), "FILE",
     "its name in the claim; without it that of the database", NULL},
    {"in-place", FLAG_SWITCH, offsetof(struct args, is_in_place), NULL,
     "rewind the replica and its application", NULL},
    {"dry-run", FLAG_SWITCH, offsetof(struct args, is_dry_run), NULL,
     "tell what would be done, checked by the server", NULL},
    {"yes", FLAG_SWITCH, offsetof(struct args, is_sure), NULL, "with --in-place: do it", NULL},
    {"database", FLAG_TEXT, offsetof(struct args, database), "NAME",
     "of the resource; needed where it has several", NULL},
    {"pod", FLAG_TEXT, offsetof(struct args, pod), "NAME",
     "whose replica, where each pod has its own", NULL},
    {"destination", FLAG_TEXT, offsetof(struct args, destination), "NAME",
     "restore from this one only", NULL},
    {"integrity-check", FLAG_TEXT, offsetof(struct args, integrity), "none|quick|full",
     "what SQLite checks beside all checksums", "quick"},
    {"name", FLAG_TEXT, offsetof(struct args, name), "NAME", "of the SqliteRestore", NULL},
    {"no-wait", FLAG_SWITCH, offsetof(struct args, is_left), NULL, "do not follow it", NULL},
    {"timeout", FLAG_DURATION, offsetof(struct args, timeout_ns), "DURATION",
     "stop following after so long", NULL},
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS, .integrity = "quick"};

const struct command command_restore = {
    .name = "restore",
    .summary = "Restore a database to any moment, into a claim or in place",
    .usage = "kubectl walferry restore NAME --at WHEN --to-claim PVC|--in-place [flags]",
    .example = "  kubectl walferry restore shop --at 15m --to-claim inspection\n"
               "  kubectl walferry restore shop --at 2026-11-26T09:30:00Z --in-place --dry-run\n"
               "  kubectl walferry restore shop --at 00000000000000f0 --in-place --yes",
    .detail = "It makes a SqliteRestore, which the operator carries out whether or not anybody\n"
              "looks on, and follows its conditions. What is restored is the last state at or\n"
              "before the moment. A failure leaves what was there. The resource is kept for a\n"
              "day.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
