/*
 * kubectl walferry lag: how far each database is behind, in time, bytes and transactions.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/listing.h"
#include "controller/plugin/plugin_internal.h"

struct args {
    struct session_args session;
    uint64_t over_ns;
};

struct run {
    struct listing listing;
    uint64_t over_ns; /* shown is what lags more than that */
    bool is_troubled; /* a lag is beyond its objective */
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

    listing_namespace_cell(&r->listing, replica);
    table_cell(&r->listing.table, "%s", fact_text(replica, "metadata.name"));
    table_cell(&r->listing.table, "%s", fact_text(d, "pod"));
    table_cell(&r->listing.table, "%s", fact_text(d, "name"));
    table_cell(&r->listing.table, "%s", age_format(fact_u64(d, "lagSeconds") * NS_PER_SEC, text));
    table_cell(&r->listing.table, "%s", bytes_format(fact_u64(d, "lagBytes"), text));
    table_cell(&r->listing.table, "%" PRIu64, txids_behind(d));
    table_cell(&r->listing.table, "%s", fact_text(d, "replicatedTxid"));
    table_cell(&r->listing.table, "%s",
               age_since(r->listing.session.now_ns, fact_time_ns(d, "lastSyncTime"), text));
    table_cell(&r->listing.table, "%s", age_format(objective_s(replica) * NS_PER_SEC, text));
}

static void row_json(struct run *r, struct jsonval replica, struct jsonval d)
{
    struct json_writer *w = &r->listing.json;

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

    for (struct jsonval d = jsonval_first(all); jsonval_exists(d); d = jsonval_next(d)) {
        uint64_t lag_s = fact_u64(d, "lagSeconds");
        r->is_troubled |= lag_s > objective_s(replica);
        if (r->over_ns > 0 && lag_s * NS_PER_SEC <= r->over_ns)
            continue;
        if (r->listing.session.output == SESSION_JSON)
            row_json(r, replica, d);
        else
            row_add(r, replica, d);
    }
    return 0;
}

static void run_end(struct run *r)
{
    listing_close(&r->listing);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct args *args = inv->args;
    CLEANUP(run_end) struct run r = {.listing = LISTING_INIT, .over_ns = args->over_ns};

    if (listing_open(&r.listing, inv, &args->session, columns, ARRAY_LEN(columns), err) < 0 ||
        listing_run(&r.listing, replica_tell, &r, err) < 0)
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
