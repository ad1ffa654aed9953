/*
 * walferry verify: is what lies in the bucket still a backup? By listing (-list), by reading every
 * object or a subset of them, or by a drill: a whole restore to a temporary file, with SQLite's own
 * check, that is thrown away.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ltx/ltx.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"
#include "sidecar/restore/audit.h"
#include "sidecar/restore/restore.h"

enum {
    WORKERS = 4,
    OUTPUT_BYTES_MAX = 256 << 20,
    EXIT_NO_BACKUP = 3,
    DATABASES_MAX = 64,
};

struct verify_args {
    struct config_choice config;
    const char *replica;
    const char *subset;
    const char *scratch;
    const char *integrity;
    uint64_t jitter_ns;
    bool list;
    bool drill;
    bool faults;
    bool json;
};

static const struct verify_args defaults = {.scratch = "/tmp", .integrity = "full"};

#define AT(field) offsetof(struct verify_args, field)

static const struct flag flags[] = {
    {"config", FLAG_TEXT, AT(config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, AT(config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"replica", FLAG_TEXT, AT(replica), "NAME", "only this destination", "all of them"},
    {"list", FLAG_SWITCH, AT(list), NULL, "only look at the listing, read no object", NULL},
    {"subset", FLAG_TEXT, AT(subset), "N/T",
     "read only the N-th of every T objects: T runs read everything once", "all"},
    {"drill", FLAG_SWITCH, AT(drill), NULL,
     "restore for real to a temporary file, check it with SQLite, throw it away", NULL},
    {"integrity-check", FLAG_TEXT, AT(integrity), "none|quick|full",
     "what SQLite checks in the drill's database, beside the checksums of its pages", "full"},
    {"scratch", FLAG_TEXT, AT(scratch), "FOLDER", "where the drill restores to", "/tmp"},
    {"faults", FLAG_SWITCH, AT(faults), NULL, "with -json: name only the objects that have one",
     NULL},
    {"jitter", FLAG_DURATION, AT(jitter_ns), "D",
     "begin at a random moment within D: for many that are started at once", NULL},
    {"json", FLAG_SWITCH, AT(json), NULL, "print JSON", NULL},
};

/* What is collected while destinations are verified one after the other. */
struct report {
    const struct verify_args *args;
    struct loop *loop;
    struct buf out;
    struct json_writer w;
    const char *database; /* that is verified, as it was named */
    enum restore_integrity integrity;
    uint32_t subset; /* of subset_of; both 0: everything */
    uint32_t subset_of;
    struct error err; /* of the output */
    uint64_t faults;
    int failed_status; /* of the first destination that could not be verified; 0: none */
    bool is_any_empty; /* some destination holds no backup */
};

static int subset_parse(const char *text, uint32_t *out_n, uint32_t *out_of, struct error *err)
{
    unsigned long n = 0;
    unsigned long of = 0;
    char rest = '\0';

    if (!text)
        return 0;
    if (sscanf(text, "%5lu/%5lu%c", &n, &of, &rest) != 2 || n < 1 || n > of)
        return error_set(err, ERR_USAGE, 0, "-subset: \"%.32s\" is not N/T with 1 <= N <= T", text);
    *out_n = (uint32_t)n;
    *out_of = (uint32_t)of;
    return 0;
}

static void finding_print(void *arg, const struct audit_finding *f)
{
    struct report *r = arg;
    char txid[LTX_TXID_TEXT_BYTES];

    if (f->kind == AUDIT_OBJECT_OK && (!r->args->json || r->args->faults))
        return;
    if (r->args->json) {
        json_writer_object(&r->w, NULL);
        json_writer_str(&r->w, "status", audit_kind_name(f->kind));
        json_writer_u64(&r->w, "level", f->level);
        json_writer_str(&r->w, "min_txid", ltx_txid_format(f->min_txid, txid));
        json_writer_str(&r->w, "max_txid", ltx_txid_format(f->max_txid, txid));
        json_writer_u64(&r->w, "size", f->bytes);
        json_writer_str(&r->w, "detail", f->text);
        json_writer_end(&r->w);
        return;
    }
    if (buf_printf(&r->out, &r->err, "%-11s level %u  %016" PRIx64 "-%016" PRIx64 "  %s\n",
                   audit_kind_name(f->kind), f->level, f->min_txid, f->max_txid, f->text) < 0)
        return; /* r->err is looked at in the end */
}

static int audit_summary(struct report *r, const struct storage *st, const struct audit_result *a)
{
    char oldest[TIME_TEXT_BYTES];
    char newest[TIME_TEXT_BYTES];

    if (r->args->json) {
        json_writer_u64(&r->w, "objects", a->object_count);
        json_writer_u64(&r->w, "read", a->read_count);
        json_writer_u64(&r->w, "read_bytes", a->read_bytes);
        json_writer_u64(&r->w, "faults", a->fault_count);
        json_writer_strf(&r->w, "txid", "%016" PRIx64, a->tip_txid);
        json_writer_time(&r->w, "restore_oldest", a->oldest_ns);
        json_writer_time(&r->w, "restore_newest", a->newest_ns);
        return 0;
    }
    return buf_printf(&r->out, &r->err,
                      "%s: %" PRIu64 " objects, %" PRIu64 " read (%" PRIu64 " bytes), %" PRIu64
                      " faults; tip TXID %016" PRIx64 ", restorable from %s to %s\n",
                      storage_url(st), a->object_count, a->read_count, a->read_bytes,
                      a->fault_count, a->tip_txid, time_format_rfc3339(a->oldest_ns, oldest),
                      time_format_rfc3339(a->newest_ns, newest));
}

/* ---- the drill ---- */

static int drill_report(struct report *r, const struct restore_result *result)
{
    static const char *const checked[] = {[RESTORE_INTEGRITY_NONE] = "",
                                          [RESTORE_INTEGRITY_QUICK] = ", quick_check ok",
                                          [RESTORE_INTEGRITY_FULL] = ", integrity_check ok"};
    char took[TIME_TEXT_BYTES];

    if (r->args->json) {
        json_writer_object(&r->w, "drill");
        json_writer_str(&r->w, "integrity_check", r->args->integrity);
        json_writer_strf(&r->w, "txid", "%016" PRIx64, result->txid);
        json_writer_time(&r->w, "timestamp", result->timestamp_ns);
        json_writer_u64(&r->w, "pages", result->page_count);
        json_writer_bool(&r->w, "db_checksum_recorded", result->is_checksum_recorded);
        json_writer_u64(&r->w, "duration_ms", result->duration_ns / NS_PER_MS);
        json_writer_end(&r->w);
        return 0;
    }
    return buf_printf(&r->out, &r->err,
                      "drill: restored TXID %016" PRIx64 ", %" PRIu32 " pages%s%s, in %s\n",
                      result->txid, result->page_count, checked[r->integrity],
                      result->is_checksum_recorded ? ", database checksum as recorded" : "",
                      duration_format(result->duration_ns / NS_PER_MS * NS_PER_MS, took));
}

static int drill_run(struct loop *loop, struct report *r, struct storage *st, const char *name,
                     struct error *err)
{
    struct log log = {.env = loop_env(loop), .fd = STDERR_FILENO, .level = LOG_LEVEL_WARN};
    CLEANUP(mem_free)
    char *output = str_printf(err, "%s/walferry-drill-%d.db", r->args->scratch, (int)getpid());
    const struct restore_destination from = {.storage = st, .name = name};
    const struct restore_options options = {.output = output, .integrity = r->integrity};
    const struct restore_args args = {.loop = loop,
                                      .env = loop_env(loop),
                                      .log = &log,
                                      .destinations = &from,
                                      .destination_count = 1,
                                      .options = &options};
    struct restore_result result = {.outcome = RESTORE_FAILED};

    if (!output)
        return -1;
    int rc = restore_run(&args, &result, err);
    if (rc == 0)
        rc = drill_report(r, &result);
    restore_result_destroy(&result);
    if (rc < 0)
        return error_wrap(err, "drill");
    return env_unlink(loop_env(loop), output, err);
}

/* ---- a destination, and all of them ---- */

static int destination_audit(struct loop *loop, struct report *r, struct storage *st,
                             struct error *err)
{
    struct audit_args args = {.loop = loop,
                              .storage = st,
                              .has_content = !r->args->list,
                              .subset = r->subset,
                              .subset_of = r->subset_of,
                              .on_finding = finding_print,
                              .arg = r};
    struct audit_result result;

    if (r->args->json)
        json_writer_array(&r->w, "findings");
    int rc = audit_run(&args, &result, err);
    if (r->args->json)
        json_writer_end(&r->w);
    if (rc < 0) {
        /* "No backup" is what a listing says; a bucket that is not there is a mistake. */
        if (err->code == ERR_NOT_FOUND && err->origin != 0)
            err->code = ERR_USAGE;
        return -1;
    }
    r->faults += result.fault_count;
    return audit_summary(r, st, &result);
}

/* Verifies one. What is wrong with it goes into r; -1: the report itself cannot be written. */
static int destination_verify(void *arg, const struct target *t, size_t idx, struct error *err)
{
    struct report *r = arg;
    struct storage *st = t->storages[idx];
    struct error cause = ERROR_INIT;

    if (r->args->json) {
        json_writer_object(&r->w, NULL);
        json_writer_str(&r->w, "database", r->database);
        json_writer_str(&r->w, "destination", t->names[idx]);
        json_writer_str(&r->w, "url", storage_url(st));
    }
    int rc = destination_audit(r->loop, r, st, &cause);
    if (rc == 0 && r->args->drill)
        rc = drill_run(r->loop, r, st, t->names[idx], &cause);
    if (r->err.code != ERR_NONE) {
        *err = r->err;
        return -1;
    }
    if (rc < 0) {
        IGNORE(error_wrap(&cause, "verify %s", storage_url(st))); /* it goes on */
        int status = command_report(&cause);
        if (cause.code == ERR_NOT_FOUND)
            r->is_any_empty = true;
        else if (r->failed_status == 0)
            r->failed_status = status;
    }
    if (r->args->json) {
        json_writer_str(&r->w, "error", rc < 0 ? cause.text : NULL);
        json_writer_end(&r->w);
    }
    return 0;
}

static int arguments_check(struct loop *loop, struct report *r, struct error *err)
{
    bool exists = true;

    if (subset_parse(r->args->subset, &r->subset, &r->subset_of, err) < 0 ||
        restore_integrity_parse(r->args->integrity, &r->integrity, err) < 0 ||
        (r->args->drill && env_exists(loop_env(loop), r->args->scratch, &exists, err) < 0))
        return -1;
    return exists ? 0 : error_set(err, ERR_USAGE, 0, "-scratch: %s is not there", r->args->scratch);
}

static void jitter_is_over(void *arg)
{
    *(bool *)arg = true;
}

static void jitter_wait(struct loop *loop, uint64_t jitter_ns)
{
    struct loop_timer timer;
    bool is_over = false;

    if (jitter_ns == 0)
        return;
    loop_timer_init(&timer, loop, jitter_is_over, &is_over);
    loop_timer_start(&timer, env_random_below(loop_env(loop), jitter_ns));
    (void)loop_run_until(loop, &is_over); /* the timer is armed: it ends */
}

static int database_verify(struct report *r, const char *arg, struct error *err)
{
    CLEANUP(target_close) struct target t = {.count = 0};

    r->database = arg;
    if (target_open(r->loop, &r->args->config, arg, DESTINATION_PATIENT, &t, err) < 0)
        return -1;
    return target_each(&t, r->args->replica, destination_verify, r, err);
}

static int verify_all(struct loop *loop, struct report *r, const struct invocation *inv,
                      struct error *err)
{
    if (arguments_check(loop, r, err) < 0)
        return -1;
    if (r->args->json)
        json_writer_array(&r->w, NULL);
    for (int i = 0; i < inv->positional_count; i++) {
        if (database_verify(r, inv->positional[i], err) < 0)
            return -1;
    }
    if (!r->args->json)
        return command_print(buf_slice(&r->out), err);
    json_writer_end(&r->w);
    return command_print_json(&r->w, &r->out, err);
}

/* Damage outweighs what could not be looked at, and that outweighs an empty destination. */
static int status_of(const struct report *r)
{
    if (r->faults > 0)
        return error_exit_status(ERR_CORRUPT);
    if (r->failed_status != 0)
        return r->failed_status;
    return r->is_any_empty ? EXIT_NO_BACKUP : 0;
}

static int run(const struct invocation *inv, struct error *err)
{
    struct report r = {.args = inv->args, .out = BUF_INIT(OUTPUT_BYTES_MAX), .err = ERROR_INIT};
    struct loop *loop = NULL;

    if (loop_new(inv->env, WORKERS, &loop, err) < 0)
        return -1;
    r.loop = loop;
    json_writer_init(&r.w, &r.out, JSON_PRETTY);
    jitter_wait(loop, r.args->jitter_ns);
    int rc = verify_all(loop, &r, inv, err);
    loop_run(loop); /* what the storages still close */
    loop_free(loop);
    buf_destroy(&r.out);
    return rc < 0 ? -1 : status_of(&r);
}

const struct command command_verify = {
    .name = "verify",
    .summary = "Check that a replica can be restored",
    .usage = "walferry verify [flags] DB_PATH|REPLICA_URL...",
    .example = "  walferry verify -drill s3://bucket/app",
    .detail = "Reads every object whole and checks format, page order and checksum, and that\n"
              "the objects of each level follow each other. Exit status 4: something is\n"
              "damaged or missing; 3: there is no backup.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct verify_args),
    .defaults = &defaults,
    .positional_min = 1,
    .positional_max = DATABASES_MAX,
    .run = run,
};
