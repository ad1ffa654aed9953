/*
 * One SqliteReplica in detail, for people and as JSON.
 */
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/plugin_internal.h"
#include "controller/plugin/table.h"

/* "Snapshot:      2026-11-26T12:00:00Z (5m ago)", or nothing where it is not known. */
static int moment_add(const struct session *s, struct jsonval o, const char *head, const char *way,
                      struct buf *out, struct error *err)
{
    char text[FACT_TEXT_BYTES];
    uint64_t then = fact_time_ns(o, way);

    if (then == 0)
        return buf_printf(out, err, "%-14s<none>\n", head);
    return buf_printf(out, err, "%-14s%s (%s ago)\n", head, fact_text(o, way),
                      age_since(s->now_ns, then, text));
}

static int verified_add(const struct session *s, struct jsonval o, struct buf *out,
                        struct error *err)
{
    char text[FACT_TEXT_BYTES];
    struct jsonval last = jsonval_way(o, "status.lastVerification");

    if (!jsonval_exists(last))
        return buf_printf(out, err, "%-14s<none>\n", "Verified:");
    return buf_printf(out, err, "%-14s%s %s ago, TXID %s, in %us%s%s\n",
                      "Verified:", fact_text(last, "result"),
                      age_since(s->now_ns, fact_time_ns(last, "time"), text),
                      fact_text(last, "txid"), (unsigned)fact_u64(last, "durationSeconds"),
                      *fact_text(last, "message") ? ": " : "", fact_text(last, "message"));
}

static int storage_add(struct jsonval o, struct buf *out, struct error *err)
{
    char text[FACT_TEXT_BYTES];

    if (!jsonval_exists(jsonval_way(o, "status.storage")))
        return 0;
    return buf_printf(out, err, "%-14s%s in %u objects\n",
                      "Stored:", bytes_format(fact_u64(o, "status.storage.bytes"), text),
                      (unsigned)fact_u64(o, "status.storage.objects"));
}

static int head_add(const struct session *s, struct jsonval o, struct buf *out, struct error *err)
{
    struct fact_condition ready = fact_condition(o, "Ready");

    if (buf_printf(out, err, "%-14s%s\n%-14s%s\n%-14s%s (%s)%s\n%-14s%u of %u have a sidecar\n",
                   "Name:", fact_text(o, "metadata.name"),
                   "Namespace:", fact_text(o, "metadata.namespace"),
                   "Ready:", *ready.status ? ready.status : "Unknown",
                   *ready.status ? ready.reason : "the operator has not looked at it yet",
                   fact_bool(o, "spec.suspend") ? ", paused" : "",
                   "Pods:", (unsigned)fact_u64(o, "status.injectedPods"),
                   (unsigned)fact_u64(o, "status.desiredPods")) < 0)
        return -1;
    if (*fact_text(o, "status.destination") &&
        buf_printf(out, err, "%-14s%s\n", "Destination:", fact_text(o, "status.destination")) < 0)
        return -1;
    if (moment_add(s, o, "Earliest:", "status.earliestRestoreTime", out, err) < 0 ||
        moment_add(s, o, "Latest:", "status.latestRestoreTime", out, err) < 0 ||
        moment_add(s, o, "Snapshot:", "status.lastSnapshotTime", out, err) < 0 ||
        verified_add(s, o, out, err) < 0)
        return -1;
    return storage_add(o, out, err);
}

static int conditions_add(const struct session *s, struct jsonval o, struct buf *out,
                          struct error *err)
{
    static const char *const columns[] = {"CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"};
    CLEANUP(table_destroy) struct table t = TABLE_INIT(columns, ARRAY_LEN(columns));
    struct jsonval all = jsonval_way(o, "status.conditions");

    if (jsonval_count(all) == 0)
        return 0;
    for (struct jsonval c = jsonval_first(all); jsonval_exists(c); c = jsonval_next(c)) {
        char text[FACT_TEXT_BYTES];
        table_cell(&t, "%s", fact_text(c, "type"));
        table_cell(&t, "%s", fact_text(c, "status"));
        table_cell(&t, "%s", fact_text(c, "reason"));
        table_cell(&t, "%s", age_since(s->now_ns, fact_time_ns(c, "lastTransitionTime"), text));
        table_cell(&t, "%s", fact_text(c, "message"));
    }
    return buf_append_str(out, "\n", err) < 0 ? -1 : table_print(&t, out, err);
}

static int databases_add(const struct session *s, struct jsonval o, struct buf *out,
                         struct error *err)
{
    static const char *const columns[] = {"POD",       "DATABASE", "LAG", "BEHIND", "REPLICATED",
                                          "LAST-SYNC", "SIZE",     "LOG", "ERROR"};
    CLEANUP(table_destroy) struct table t = TABLE_INIT(columns, ARRAY_LEN(columns));
    struct jsonval all = jsonval_way(o, "status.databases");

    if (jsonval_count(all) == 0)
        return 0;
    for (struct jsonval d = jsonval_first(all); jsonval_exists(d); d = jsonval_next(d)) {
        char text[FACT_TEXT_BYTES];
        table_cell(&t, "%s", fact_text(d, "pod"));
        table_cell(&t, "%s", fact_text(d, "name"));
        table_cell(&t, "%s", age_format(fact_u64(d, "lagSeconds") * NS_PER_SEC, text));
        table_cell(&t, "%s", bytes_format(fact_u64(d, "lagBytes"), text));
        table_cell(&t, "%s", fact_text(d, "replicatedTxid"));
        table_cell(&t, "%s", age_since(s->now_ns, fact_time_ns(d, "lastSyncTime"), text));
        table_cell(&t, "%s", bytes_format(fact_u64(d, "dbBytes"), text));
        table_cell(&t, "%s", bytes_format(fact_u64(d, "walBytes"), text));
        table_cell(&t, "%s", fact_text(d, "error"));
    }
    return buf_append_str(out, "\n", err) < 0 ? -1 : table_print(&t, out, err);
}

int status_detail(const struct session *s, struct jsonval replica, struct buf *out,
                  struct error *err)
{
    return head_add(s, replica, out, err) < 0 || conditions_add(s, replica, out, err) < 0
               ? -1
               : databases_add(s, replica, out, err);
}

void status_json(struct jsonval replica, struct json_writer *w)
{
    struct fact_condition ready = fact_condition(replica, "Ready");
    struct jsonval status = jsonval_get(replica, "status");

    json_writer_object(w, NULL);
    json_writer_str(w, "namespace", fact_text(replica, "metadata.namespace"));
    json_writer_str(w, "name", fact_text(replica, "metadata.name"));
    json_writer_bool(w, "ready", fact_condition_is_true(replica, "Ready"));
    json_writer_str(w, "reason", ready.reason);
    json_writer_str(w, "message", ready.message);
    json_writer_bool(w, "suspended", fact_bool(replica, "spec.suspend"));
    for (struct jsonval v = jsonval_first(status); jsonval_exists(v); v = jsonval_next(v))
        jsonval_write(v, w, jsonval_key(v));
    json_writer_end(w);
}
