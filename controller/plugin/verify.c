/*
 * kubectl walferry verify NAME: restores for real, to a scratch volume, and checks every page. One
 * SqliteRestore a database, one after the other.
 */
#include <stdio.h>
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/plugin_internal.h"
#include "controller/plugin/restoring.h"

struct args {
    struct session_args session;
    const char *at, *database, *pod, *destination, *integrity;
    uint64_t timeout_ns;
};

struct run {
    struct session session;
    struct buf out;
    struct json_writer json;
    const struct args *args;
    const char *source;
    int status; /* the worst so far */
};

static const uint64_t keep_s = 3600; /* how long the resource tells of it */

static int tell(struct run *r, const struct restoring *x, int status, struct error *err)
{
    struct jsonval o = jsonval_root(&x->object);
    struct fact_condition failed = fact_condition(o, "Failed");
    char bytes[FACT_TEXT_BYTES];

    if (r->session.output == SESSION_JSON) {
        restoring_json(x, &r->json);
        return 0;
    }
    if (status == PLUGIN_EXIT_TIMEOUT)
        return 0; /* told already */
    buf_clear(&r->out);
    if (status != 0) {
        if (buf_printf(&r->out, err, "%s: FAILED: %s: %s\n", x->database, failed.reason,
                       failed.message) < 0)
            return -1;
    } else if (buf_printf(&r->out, err, "%s: passed: TXID %s of %s, %s fetched, %us\n", x->database,
                          fact_text(o, "status.restoredTxid"), fact_text(o, "status.restoredTime"),
                          bytes_format(fact_u64(o, "status.bytes"), bytes),
                          (unsigned)fact_u64(o, "status.durationSeconds")) < 0) {
        return -1;
    }
    return command_print(buf_slice(&r->out), err);
}

static int verify_one(struct run *r, const char *database, struct error *err)
{
    CLEANUP(restoring_destroy) struct restoring x = RESTORING_INIT;
    const struct restore_wish wish = {
        .source = r->source,
        .mode = "Verify",
        .at = r->args->at,
        .database = database,
        .destination = r->args->destination,
        .pod = r->args->pod,
        .integrity = r->args->integrity,
        .ttl_s = keep_s,
    };

    if (restoring_plan(&r->session, &wish, &x, err) < 0 ||
        restoring_create(&r->session, &wish, &x, false, err) < 0)
        return -1;
    int status = restoring_follow(&r->session, &x, r->args->timeout_ns, err);
    if (status < 0 || tell(r, &x, status, err) < 0)
        return -1;
    if (status > r->status)
        r->status = status;
    return 0;
}

static int verify_all(struct run *r, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    if (r->args->database)
        return verify_one(r, r->args->database, err);
    if (session_get(&r->session, &kube_sqlite_replicas, r->source, &doc, err) < 0)
        return -1;
    struct jsonval all = jsonval_way(jsonval_root(&doc), "spec.databases");
    for (struct jsonval d = jsonval_first(all); jsonval_exists(d); d = jsonval_next(d)) {
        if (verify_one(r, fact_text(d, "name"), err) < 0)
            return -1;
    }
    return 0;
}

static void run_end(struct run *r)
{
    buf_destroy(&r->out);
    session_close(&r->session);
}

static int run(const struct invocation *inv, struct error *err)
{
    CLEANUP(run_end) struct run r = {.out = BUF_INIT(SESSION_OUTPUT_BYTES_MAX), .args = inv->args};

    r.source = inv->positional[0];
    if (session_open(&r.session, inv->env, &r.args->session, err) < 0)
        return -1;
    if (r.session.output != SESSION_JSON)
        return verify_all(&r, err) < 0 ? -1 : r.status;
    json_writer_init(&r.json, &r.out, JSON_PRETTY);
    json_writer_object(&r.json, NULL);
    json_writer_array(&r.json, "items");
    if (verify_all(&r, err) < 0)
        return -1;
    json_writer_end(&r.json);
    json_writer_end(&r.json);
    return command_print_json(&r.json, &r.out, err) < 0 ? -1 : r.status;
}

static const struct flag flags[] = {
    {"at", FLAG_TEXT, offsetof(struct args, at), "WHEN",
     "a moment (RFC 3339), a span before now (15m), a TXID, or latest", "latest"},
    {"database", FLAG_TEXT, offsetof(struct args, database), "NAME",
     "only this one; without it each in turn", NULL},
    {"pod", FLAG_TEXT, offsetof(struct args, pod), "NAME",
     "whose replica, where each pod has its own", NULL},
    {"destination", FLAG_TEXT, offsetof(struct args, destination), "NAME",
     "restore from this one only", NULL},
    {"integrity-check", FLAG_TEXT, offsetof(struct args, integrity), "none|quick|full",
     "what SQLite checks beside all checksums", "full"},
    {"timeout", FLAG_DURATION, offsetof(struct args, timeout_ns), "DURATION",
     "stop following after so long", NULL},
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS, .integrity = "full"};

const struct command command_verify = {
    .name = "verify",
    .summary = "Restore for real to a scratch volume, and check every page",
    .usage = "kubectl walferry verify NAME [flags]",
    .example = "  kubectl walferry verify shop\n"
               "  kubectl walferry verify shop --database main --at 1d",
    .detail = "The exit status is 0 if every database passed, 1 if one did not. The scratch\n"
              "volume is thrown away. spec.verification.schedule of the resource does this by\n"
              "itself.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
