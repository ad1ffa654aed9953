/*
 * kubectl walferry snapshots [NAME]: what a restore could go back to, for each database and
 * destination; with --copies each full copy that lies there.
 *
 * The sidecars know it: they keep the inventory of their prefixes in memory. They are asked through
 * the API server's proxy of pods (`get pods/proxy`), so nothing of the pod network must be
 * reachable from here. Where one cannot be asked (no pod, no right), what the operator has last
 * reported is shown, which has no TXIDs, and a warning says why.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/api/api.h"
#include "controller/plugin/facts.h"
#include "controller/plugin/listing.h"
#include "controller/plugin/plugin_internal.h"

enum {
    SIDECAR_STATUS_BYTES_MAX = 8 << 20,
    LEVEL_SNAPSHOT = 9,
    METRICS_PORT = 9090,
};

struct args {
    struct session_args session;
    bool has_copies;
};

/* A pod is asked in the name of a replica. */
struct pods {
    struct listing *listing;
    struct jsonval replica;
    bool has_copies; /* each copy is told */
    size_t told_count;
};

/* What goes from pod to pod. */
struct asking {
    struct listing *listing;
    bool has_copies;
};

static const char *const columns[] = {"NAMESPACE",   "NAME",      "POD",    "DATABASE",
                                      "DESTINATION", "SNAPSHOTS", "LAST",   "TXID",
                                      "EARLIEST",    "LATEST",    "STORED", "OBJECTS"};

static const char *const copy_columns[] = {"NAMESPACE",   "NAME", "POD", "DATABASE",
                                           "DESTINATION", "TXID", "AGE", "SIZE"};

/* ---- what one destination of one database has ---- */

struct row {
    const char *pod, *database, *destination, *snapshot_txid;
    uint64_t snapshot_count; /* UINT64_MAX: not known */
    uint64_t snapshot_ns, earliest_ns, latest_ns, bytes, objects;
};

static void row_print(struct listing *r, struct jsonval replica, const struct row *row)
{
    char text[FACT_TEXT_BYTES];
    uint64_t now = r->session.now_ns;

    listing_namespace_cell(r, replica);
    table_cell(&r->table, "%s", fact_text(replica, "metadata.name"));
    table_cell(&r->table, "%s", row->pod);
    table_cell(&r->table, "%s", row->database);
    table_cell(&r->table, "%s", row->destination);
    if (row->snapshot_count == UINT64_MAX)
        table_cell(&r->table, "%s", "?");
    else
        table_cell(&r->table, "%" PRIu64, row->snapshot_count);
    table_cell(&r->table, "%s", age_since(now, row->snapshot_ns, text));
    table_cell(&r->table, "%s", row->snapshot_txid);
    table_cell(&r->table, "%s", age_since(now, row->earliest_ns, text));
    table_cell(&r->table, "%s", age_since(now, row->latest_ns, text));
    table_cell(&r->table, "%s", bytes_format(row->bytes, text));
    table_cell(&r->table, "%" PRIu64, row->objects);
}

static void row_json(struct listing *r, struct jsonval replica, const struct row *row)
{
    struct json_writer *w = &r->json;

    json_writer_object(w, NULL);
    json_writer_str(w, "namespace", fact_text(replica, "metadata.namespace"));
    json_writer_str(w, "replica", fact_text(replica, "metadata.name"));
    json_writer_str(w, "pod", row->pod);
    json_writer_str(w, "database", row->database);
    json_writer_str(w, "destination", row->destination);
    if (row->snapshot_count != UINT64_MAX)
        json_writer_u64(w, "snapshots", row->snapshot_count);
    json_writer_time(w, "lastSnapshotTime", row->snapshot_ns);
    json_writer_str(w, "lastSnapshotTxid", *row->snapshot_txid ? row->snapshot_txid : NULL);
    json_writer_time(w, "earliestRestoreTime", row->earliest_ns);
    json_writer_time(w, "latestRestoreTime", row->latest_ns);
    json_writer_u64(w, "bytes", row->bytes);
    json_writer_u64(w, "objects", row->objects);
    json_writer_end(w);
}

static void row_tell(struct listing *r, struct jsonval replica, const struct row *row)
{
    if (r->session.output == SESSION_JSON)
        row_json(r, replica, row);
    else
        row_print(r, replica, row);
}

/* ---- from the sidecar ---- */

static uint64_t snapshots_count(struct jsonval destination)
{
    struct jsonval levels = jsonval_get(destination, "levels");

    for (struct jsonval l = jsonval_first(levels); jsonval_exists(l); l = jsonval_next(l)) {
        if (fact_u64(l, "level") == LEVEL_SNAPSHOT)
            return fact_u64(l, "objects");
    }
    return 0;
}

/* What the resource calls a database that the sidecar knows by its path. */
static const char *name_of(struct jsonval replica, struct jsonval database)
{
    struct jsonval all = jsonval_way(replica, "spec.databases");

    for (struct jsonval d = jsonval_first(all); jsonval_exists(d); d = jsonval_next(d)) {
        if (strcmp(fact_text(d, "path"), fact_text(database, "path")) == 0)
            return fact_text(d, "name");
    }
    return fact_text(database, "name");
}

static void status_tell(struct pods *p, const char *pod, struct jsonval status)
{
    struct jsonval databases = jsonval_get(status, "databases");

    for (struct jsonval d = jsonval_first(databases); jsonval_exists(d); d = jsonval_next(d)) {
        struct jsonval all = jsonval_get(d, "destinations");
        for (struct jsonval t = jsonval_first(all); jsonval_exists(t); t = jsonval_next(t)) {
            const struct row row = {.pod = pod,
                                    .database = name_of(p->replica, d),
                                    .destination = fact_text(t, "name"),
                                    .snapshot_txid = fact_text(t, "snapshot.txid"),
                                    .snapshot_count = snapshots_count(t),
                                    .snapshot_ns = fact_time_ns(t, "snapshot.at"),
                                    .earliest_ns = fact_time_ns(t, "restore_window.oldest"),
                                    .latest_ns = fact_time_ns(t, "restore_window.newest"),
                                    .bytes = fact_u64(t, "bytes"),
                                    .objects = fact_u64(t, "objects")};
            row_tell(p->listing, p->replica, &row);
            p->told_count++;
        }
    }
}

/* A copy. */
static void copy_tell(struct pods *p, const char *pod, const char *database,
                      const char *destination, struct jsonval copy)
{
    struct listing *r = p->listing;
    struct json_writer *w = &r->json;
    char text[FACT_TEXT_BYTES];

    p->told_count++;
    if (r->session.output != SESSION_JSON) {
        listing_namespace_cell(r, p->replica);
        table_cell(&r->table, "%s", fact_text(p->replica, "metadata.name"));
        table_cell(&r->table, "%s", pod);
        table_cell(&r->table, "%s", database);
        table_cell(&r->table, "%s", destination);
        table_cell(&r->table, "%s", fact_text(copy, "txid"));
        table_cell(&r->table, "%s", age_since(r->session.now_ns, fact_time_ns(copy, "at"), text));
        table_cell(&r->table, "%s", bytes_format(fact_u64(copy, "bytes"), text));
        return;
    }
    json_writer_object(w, NULL);
    json_writer_str(w, "namespace", fact_text(p->replica, "metadata.namespace"));
    json_writer_str(w, "replica", fact_text(p->replica, "metadata.name"));
    json_writer_str(w, "pod", pod);
    json_writer_str(w, "database", database);
    json_writer_str(w, "destination", destination);
    json_writer_str(w, "txid", fact_text(copy, "txid"));
    json_writer_time(w, "time", fact_time_ns(copy, "at"));
    json_writer_u64(w, "bytes", fact_u64(copy, "bytes"));
    json_writer_end(w);
}

static void copies_tell(struct pods *p, const char *pod, struct jsonval answer)
{
    struct jsonval databases = jsonval_get(answer, "databases");

    for (struct jsonval d = jsonval_first(databases); jsonval_exists(d); d = jsonval_next(d)) {
        struct jsonval all = jsonval_get(d, "destinations");
        for (struct jsonval t = jsonval_first(all); jsonval_exists(t); t = jsonval_next(t)) {
            struct jsonval list = jsonval_get(t, "snapshots");
            for (struct jsonval c = jsonval_first(list); jsonval_exists(c); c = jsonval_next(c))
                copy_tell(p, pod, name_of(p->replica, d), fact_text(t, "name"), c);
        }
    }
}

/* The port of the sidecar's pages. */
static uint64_t port_of(struct jsonval pod)
{
    struct jsonval all = jsonval_way(pod, "spec.initContainers");

    for (struct jsonval c = jsonval_first(all); jsonval_exists(c); c = jsonval_next(c)) {
        uint64_t port = fact_u64(jsonval_first(jsonval_get(c, "ports")), "containerPort");
        if (strcmp(fact_text(c, "name"), API_CONTAINER_SIDECAR) == 0)
            return port ? port : METRICS_PORT;
    }
    return 0;
}

static int pod_ask(void *arg, struct jsonval pod, struct error *err)
{
    struct pods *p = arg;
    const char *name = fact_text(pod, "metadata.name");
    uint64_t port = port_of(pod);
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(KUBE_PATH_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(SIDECAR_STATUS_BYTES_MAX);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error cause = ERROR_INIT;

    if (port == 0 || strcmp(fact_text(pod, "status.phase"), "Running") != 0)
        return 0;
    if (buf_printf(&path, err, "/api/v1/namespaces/%s/pods/%s:%" PRIu64 "/proxy/%s",
                   fact_text(pod, "metadata.namespace"), name, port,
                   p->has_copies ? "snapshots" : "status") < 0)
        return -1;
    if (session_text(&p->listing->session, buf_str(&path), &text, &cause) < 0 ||
        jsonval_parse(&doc, "status of the sidecar", buf_slice(&text), &cause) < 0) {
        (void)fprintf(stderr, "Warning: pod %s cannot be asked: %s\n", name, cause.text);
        return 0;
    }
    if (p->has_copies)
        copies_tell(p, name, jsonval_root(&doc));
    else
        status_tell(p, name, jsonval_root(&doc));
    return 0;
}

/* ---- from the operator's report ---- */

static void report_tell(struct listing *r, struct jsonval replica)
{
    const struct row row = {.pod = "",
                            .database = "",
                            .destination = "primary",
                            .snapshot_txid = "",
                            .snapshot_count = UINT64_MAX,
                            .snapshot_ns = fact_time_ns(replica, "status.lastSnapshotTime"),
                            .earliest_ns = fact_time_ns(replica, "status.earliestRestoreTime"),
                            .latest_ns = fact_time_ns(replica, "status.latestRestoreTime"),
                            .bytes = fact_u64(replica, "status.storage.bytes"),
                            .objects = fact_u64(replica, "status.storage.objects")};

    row_tell(r, replica, &row);
}

static int replica_tell(void *arg, struct jsonval replica, struct error *err)
{
    const struct asking *a = arg;
    struct listing *r = a->listing;
    struct pods pods = {.listing = r, .replica = replica, .has_copies = a->has_copies};
    CLEANUP(mem_free)
    char *selector = str_printf(err, API_LABEL_REPLICA "=%s", fact_text(replica, "metadata.name"));

    if (!selector || session_each(&r->session, &kube_pods, fact_text(replica, "metadata.namespace"),
                                  selector, pod_ask, &pods, err) < 0)
        return -1;
    if (pods.told_count == 0 && !a->has_copies)
        report_tell(r, replica);
    return 0;
}

/* ---- the command ---- */

static int run(const struct invocation *inv, struct error *err)
{
    const struct args *args = inv->args;
    CLEANUP(listing_close) struct listing r = LISTING_INIT;
    struct asking asking = {.listing = &r, .has_copies = args->has_copies};
    int rc = args->has_copies
                 ? listing_open(&r, inv, &args->session, copy_columns, ARRAY_LEN(copy_columns), err)
                 : listing_open(&r, inv, &args->session, columns, ARRAY_LEN(columns), err);

    return rc < 0 ? -1 : listing_run(&r, replica_tell, &asking, err);
}

static const struct flag flags[] = {
    {"copies", FLAG_SWITCH, offsetof(struct args, has_copies), NULL,
     "each full copy at each destination, newest first", NULL},
    SESSION_FLAG_ALL(struct args),
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS};

const struct command command_snapshots = {
    .name = "snapshots",
    .summary = "Show what can be restored: window, full copies, size",
    .usage = "kubectl walferry snapshots [NAME] [flags]",
    .example = "  kubectl walferry snapshots shop\n"
               "  kubectl walferry snapshots shop --copies\n"
               "  kubectl walferry snapshots -A -o json",
    .detail = "EARLIEST and LATEST are the ages of the oldest and the newest moment that can\n"
              "be restored; every commit between them can. LAST and TXID tell of the newest\n"
              "full copy. The sidecars are asked through the API server, which needs the right\n"
              "to get pods/proxy; without it the operator's last report is shown.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .positional_max = 1,
    .run = run,
};
