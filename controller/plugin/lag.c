/*
 * kubectl walferry lag: how far each database is behind, in time, bytes and transactions.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/plugin_internal.h"
#include "controller/plugin/table.h"

struct args {
    struct session_args session;
    uint64_t over_ns;
};

struct run {
    struct session session;
    struct table table;
    struct json_writer json;
    struct buf out;
    const char *name;  /* of one SqliteReplica; NULL: all */
    uint64_t over_ns;  /* shown is what lags more than that */
    size_t count;      /* rows */
    size_t seen_count; /* replicas */
    bool is_troubled;  /* a lag is beyond its objective */
};

static const char *const columns[] = {"NAMESPACE", "NAME",  "POD",        "DATABASE",  "LAG",
                                      "BEHIND",    "TXIDS", "REPLICATED", "LAST-SYNC", "OBJECTIVE"};

static uint64_t txid_read(struct jsonval d, const char *way)
{
    return strtoull(fact_text(d, way), NULL, 16);
}

/* Transactions that no store has yet. */
static uint64_t txids_behind(struct jsonval d)
{
    uint64_t local = txid_read(d, "txid");
    uint64_t shipped = txid_read(d, "replicatedTxid");

    return local > shipped ? local - shipped : 0;
}

/* What the resource says about the lag: spec.lagObjective.warningSeconds, 60 by default. */
static uint64_t objective_s(struct jsonval replica)
{
    uint64_t s = fact_u64(replica, "spec.lagObjective.warningSeconds");

    return s > 0 ? s : 60;
}

static void row_add(struct run *r, struct jsonval replica, struct jsonval d)
{
    char text[FACT_TEXT_BYTES];

    if (!r->session.namespace_name)
        table_cell(&r->table, "%s", fact_text(replica, "metadata.namespace"));
    table_cell(&r->table, "%s", fact_text(replica, "metadata.name"));
    table_cell(&r->table, "%s", fact_text(d, "pod"));
    table_cell(&r->table, "%s", fact_text(d, "name"));
    table_cell(&r->table, "%s", age_format(fact_u64(d, "lagSeconds") * NS_PER_SEC, text));
    table_cell(&r->table, "%s", bytes_format(fact_u64(d, "lagBytes"), text));
    table_cell(&r->table, "%" PRIu64, txids_behind(d));
    table_cell(&r->table, "%s", fact_text(d, "replicatedTxid"));
    table_cell(&r->table, "%s",
               age_since(r->session.now_ns, fact_time_ns(d, "lastSyncTime"), text));
    table_cell(&r->table, "%s", age_format(objective_s(replica) * NS_PER_SEC, text));
}

static void row_json(struct run *r, struct jsonval replica, struct jsonval d)
{
    struct json_writer *w = &r->json;

    json_writer_object(w, NULL);
    json_writer_str(w, "namespace", fact_text(replica, "metadata.namespace"));
    json_writer_str(w, "replica", fact_text(replica, "metadata.name"));
    json_writer_u64(w, "objectiveSeconds", objective_s(replica));
    json_writer_u64(w, "txidsBehind", txids_behind(d));
    for (struct jsonval v = jsonval_first(d); jsonval_exists(v); v = jsonval_next(v))
        jsonval_write(v, w, jsonval_key(v));
    json_writer_end(w);
}

static int replica_tell(void *arg, struct jsonval replica, struct error *err UNUSED)
{
    struct run *r = arg;
    struct jsonval all = jsonval_way(replica, "status.databases");

    r->seen_count++;
    for (struct jsonval d = jsonval_first(all); jsonval_exists(d); d = jsonval_next(d)) {
        uint64_t lag_s = fact_u64(d, "lagSeconds");
        r->is_troubled |= lag_s > objective_s(replica);
        if (r->over_ns > 0 && lag_s * NS_PER_SEC <= r->over_ns)
            continue;
        r->count++;
        if (r->session.output == SESSION_JSON)
            row_json(r, replica, d);
        else
            row_add(r, replica, d);
    }
    return 0;
}

static int look(struct run *r, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    if (!r->name) {
        return session_each(&r->session, &kube_sqlite_replicas, r->session.namespace_name, NULL,
                            replica_tell, r, err);
    }
    if (session_get(&r->session, &kube_sqlite_replicas, r->name, &doc, err) < 0)
        return -1;
    return replica_tell(r, jsonval_root(&doc), err);
}

static int tell(struct run *r, struct error *err)
{
    json_writer_init(&r->json, &r->out, JSON_PRETTY);
    if (r->session.output != SESSION_JSON) {
        if (look(r, err) < 0)
            return -1;
        if (r->count == 0 && r->seen_count == 0)
            session_say_none(&r->session);
        return r->count == 0                              ? 0
               : table_print(&r->table, &r->out, err) < 0 ? -1
                                                          : command_print(buf_slice(&r->out), err);
    }
    json_writer_object(&r->json, NULL);
    json_writer_array(&r->json, "items");
    if (look(r, err) < 0)
        return -1;
    json_writer_end(&r->json);
    json_writer_end(&r->json);
    return command_print_json(&r->json, &r->out, err);
}

static void run_end(struct run *r)
{
    table_destroy(&r->table);
    buf_destroy(&r->out);
    session_close(&r->session);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct args *args = inv->args;
    CLEANUP(run_end)
    struct run r = {.out = BUF_INIT(SESSION_OUTPUT_BYTES_MAX), .over_ns = args->over_ns};

    r.name = inv->positional_count > 0 ? inv->positional[0] : NULL;
    if (r.name && args->session.is_all)
        return error_set(err, ERR_USAGE, 0, "a NAME is looked for in one namespace: leave out -A");
    if (session_open(&r.session, inv->env, &args->session, err) < 0)
        return -1;
    size_t first = r.session.namespace_name ? 1 : 0;
    r.table = (struct table)TABLE_INIT(columns + first, ARRAY_LEN(columns) - first);
    if (tell(&r, err) < 0)
        return -1;
    return r.is_troubled ? PLUGIN_EXIT_PROBLEM : 0;
}

static const struct flag flags[] = {
    {"over", FLAG_DURATION, offsetof(struct args, over_ns), "DURATION",
     "only what lags more than this", NULL},
    SESSION_FLAG_ALL(struct args),
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS};

const struct command command_lag = {
    .name = "lag",
    .summary = "Show how far each database is behind",
    .usage = "kubectl walferry lag [NAME] [flags]",
    .example = "  kubectl walferry lag -A\n"
               "  kubectl walferry lag -A --over 1m      # only what needs a look",
    .detail = "LAG is the age of the oldest commit that is not acknowledged, BEHIND the bytes\n"
              "and TXIDS the transactions that are not. The operator writes them in steps, at\n"
              "most each 15 seconds; the sidecar's metrics are exact. OBJECTIVE is\n"
              "spec.lagObjective.warningSeconds; the exit status is 1 if a lag exceeds it.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .positional_max = 1,
    .run = run,
};
