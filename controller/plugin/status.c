/*
 * kubectl walferry status [NAME] [-w]: how replication is going, of one or of all.
 */
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/follow.h"
#include "controller/plugin/listing.h"
#include "controller/plugin/plugin_internal.h"

struct args {
    struct session_args session;
    bool watches;
    uint64_t timeout_ns;
};

/* One run of the command. */
struct run {
    struct listing listing;
    size_t count;     /* followed: objects told */
    bool is_troubled; /* one of them is not Ready */
    bool is_synced;
};

static const char *const columns[] = {"NAMESPACE", "NAME",     "READY",    "REASON",
                                      "PODS",      "LAG",      "LATEST",   "AGE",
                                      "VERIFIED",  "SNAPSHOT", "EARLIEST", "STORED"};

enum {
    COLUMNS_NARROW = 8, /* of those with the namespace */
};

/* ---- a row ---- */

static void wide_cells(struct run *r, struct jsonval o)
{
    char text[FACT_TEXT_BYTES];
    uint64_t now = env_wall_ns(r->listing.session.env);
    const char *result = fact_text(o, "status.lastVerification.result");
    uint64_t verified_ns = fact_time_ns(o, "status.lastVerification.time");

    if (*result)
        table_cell(&r->listing.table, "%s %s ago", result, age_since(now, verified_ns, text));
    else
        table_cell(&r->listing.table, "%s", "");
    table_cell(&r->listing.table, "%s",
               age_since(now, fact_time_ns(o, "status.lastSnapshotTime"), text));
    table_cell(&r->listing.table, "%s",
               age_since(now, fact_time_ns(o, "status.earliestRestoreTime"), text));
    table_cell(&r->listing.table, "%s",
               jsonval_exists(jsonval_way(o, "status.storage"))
                   ? bytes_format(fact_u64(o, "status.storage.bytes"), text)
                   : "");
}

static void row_add(struct run *r, struct jsonval o)
{
    char text[FACT_TEXT_BYTES];
    uint64_t now = env_wall_ns(r->listing.session.env);
    struct fact_condition ready = fact_condition(o, "Ready");
    bool has_lag = jsonval_exists(jsonval_way(o, "status.maxLagSeconds"));

    listing_namespace_cell(&r->listing, o);
    table_cell(&r->listing.table, "%s", fact_text(o, "metadata.name"));
    table_cell(&r->listing.table, "%s", *ready.status ? ready.status : "Unknown");
    table_cell(&r->listing.table, "%s", *ready.status ? ready.reason : "NotReconciled");
    table_cell(&r->listing.table, "%u/%u", (unsigned)fact_u64(o, "status.injectedPods"),
               (unsigned)fact_u64(o, "status.desiredPods"));
    table_cell(&r->listing.table, "%s",
               has_lag ? age_format(fact_u64(o, "status.maxLagSeconds") * NS_PER_SEC, text) : "");
    table_cell(&r->listing.table, "%s",
               age_since(now, fact_time_ns(o, "status.latestRestoreTime"), text));
    table_cell(&r->listing.table, "%s",
               age_since(now, fact_time_ns(o, "metadata.creationTimestamp"), text));
    if (r->listing.session.output == SESSION_WIDE)
        wide_cells(r, o);
}

/* ---- as it is now ---- */

static int list_one(void *arg, struct jsonval o, struct error *err UNUSED)
{
    struct run *r = arg;

    r->is_troubled |= !fact_condition_is_true(o, "Ready");
    if (r->listing.session.output == SESSION_JSON)
        status_json(o, &r->listing.json);
    else
        row_add(r, o);
    return 0;
}

static int show_one(struct run *r, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    if (session_get(&r->listing.session, &kube_sqlite_replicas, r->listing.name, &doc, err) < 0)
        return -1;
    struct jsonval o = jsonval_root(&doc);
    r->is_troubled = !fact_condition_is_true(o, "Ready");
    if (r->listing.session.output == SESSION_JSON) {
        json_writer_init(&r->listing.json, &r->listing.out, JSON_PRETTY);
        status_json(o, &r->listing.json);
        return command_print_json(&r->listing.json, &r->listing.out, err);
    }
    return status_detail(&r->listing.session, o, &r->listing.out, err) < 0
               ? -1
               : command_print(buf_slice(&r->listing.out), err);
}

/* ---- as it becomes ---- */

static int lines_print(struct run *r, struct error *err)
{
    buf_clear(&r->listing.out);
    return table_print(&r->listing.table, &r->listing.out, err) < 0
               ? -1
               : command_print(buf_slice(&r->listing.out), err);
}

static int followed_json(struct run *r, struct jsonval o, struct error *err)
{
    struct json_writer w;

    buf_clear(&r->listing.out);
    json_writer_init(&w, &r->listing.out, JSON_COMPACT);
    status_json(o, &w);
    if (json_writer_finish(&w, err) < 0 || buf_append_str(&r->listing.out, "\n", err) < 0)
        return -1;
    return command_print(buf_slice(&r->listing.out), err);
}

static int on_object(void *arg, struct jsonval o, bool is_gone, struct error *err)
{
    struct run *r = arg;

    if (is_gone)
        return 0;
    r->count++;
    if (r->listing.session.output == SESSION_JSON)
        return followed_json(r, o, err);
    row_add(r, o);
    return r->is_synced ? lines_print(r, err) : 0;
}

static int on_synced(void *arg, struct error *err)
{
    struct run *r = arg;

    r->is_synced = true;
    if (r->count == 0)
        session_say_none(&r->listing.session);
    return r->listing.session.output == SESSION_JSON || r->count == 0 ? 0 : lines_print(r, err);
}

static int follow_all(struct run *r, uint64_t timeout_ns, struct error *err)
{
    const char *name = r->listing.name;
    const struct follow follow = {.resource = &kube_sqlite_replicas,
                                  .namespace_name = r->listing.session.namespace_name,
                                  .name = name,
                                  .timeout_ns = timeout_ns,
                                  .on_object = on_object,
                                  .on_synced = on_synced,
                                  .arg = r};
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    enum follow_end end;

    /* What is not there, or not allowed, is told at once instead of being waited for. */
    if (name && session_get(&r->listing.session, &kube_sqlite_replicas, name, &doc, err) < 0)
        return -1;
    const struct kube_call look = {.verb = KUBE_LIST,
                                   .resource = &kube_sqlite_replicas,
                                   .namespace_name = r->listing.session.namespace_name,
                                   .limit = 1};
    if (!name && session_call(&r->listing.session, &look, NULL, NULL, err) < 0)
        return -1;
    return follow_run(&r->listing.session, &follow, &end, err);
}

/* ---- the command ---- */

static void run_end(struct run *r)
{
    listing_close(&r->listing);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct args *args = inv->args;
    bool is_wide = strcmp(args->session.output, "wide") == 0;
    CLEANUP(run_end) struct run r = {.listing = LISTING_INIT};

    if (listing_open(&r.listing, inv, &args->session, columns,
                     is_wide ? ARRAY_LEN(columns) : COLUMNS_NARROW, err) < 0)
        return -1;
    if (args->watches)
        return follow_all(&r, args->timeout_ns, err);
    if ((r.listing.name ? show_one(&r, err) : listing_run(&r.listing, list_one, &r, err)) < 0)
        return -1;
    return r.is_troubled ? PLUGIN_EXIT_PROBLEM : 0;
}

static const struct flag flags[] = {
    {"w/watch", FLAG_SWITCH, offsetof(struct args, watches), NULL,
     "go on with a line for each change, until interrupted", NULL},
    {"timeout", FLAG_DURATION, offsetof(struct args, timeout_ns), "DURATION",
     "with --watch: stop after so long", NULL},
    SESSION_FLAG_ALL(struct args),
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS};

const struct command command_status = {
    .name = "status",
    .summary = "Show how replication is going",
    .usage = "kubectl walferry status [NAME] [flags]",
    .example = "  kubectl walferry status                # a line for each SqliteReplica\n"
               "  kubectl walferry status shop -n prod   # conditions and databases of one\n"
               "  kubectl walferry status -A -w          # all of the cluster, as they change",
    .detail = "LAG is the age of the oldest commit that no store has acknowledged, in steps;\n"
              "LATEST the age of the newest moment that can be restored. The exit status is\n"
              "1 if one of them is not Ready, but not with --watch.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .positional_max = 1,
    .run = run,
};
