/*
 * The status of a SqliteReplica as the body of a server-side apply: everything that is ours, every
 * time, so that what is left out is removed.
 */
#include <inttypes.h>
#include <string.h>

#include "controller/replica/reconcile_internal.h"

static void put_rows(const struct replica_outcome *o, struct json_writer *w)
{
    json_writer_array(w, "databases");
    for (size_t i = 0; i < o->row_count; i++) {
        const struct database_row *row = &o->rows[i];
        json_writer_object(w, NULL);
        json_writer_str(w, "pod", row->pod);
        json_writer_str(w, "name", row->database);
        status_write_text(w, "txid", row->seen->txid);
        status_write_text(w, "replicatedTxid", row->seen->replicated_txid);
        json_writer_u64(w, "lagSeconds", row->lag_seconds);
        json_writer_u64(w, "lagBytes", row->seen->lag_bytes);
        status_write_time(w, "lastSyncTime", row->seen->last_sync_ns);
        json_writer_u64(w, "dbBytes", row->seen->db_bytes);
        json_writer_u64(w, "walBytes", row->seen->wal_bytes);
        status_write_text(w, "error", row->seen->error);
        json_writer_end(w);
    }
    json_writer_end(w);
}

static void put_figures(const struct replica_view *view, const struct replica_outcome *o,
                        struct json_writer *w)
{
    json_writer_u64(w, "desiredPods", o->desired_pods);
    json_writer_u64(w, "injectedPods", o->injected_pods);
    if (o->has_lag)
        json_writer_u64(w, "maxLagSeconds", o->max_lag_seconds);
    status_write_time(w, "earliestRestoreTime", o->oldest_restore_ns);
    status_write_time(w, "latestRestoreTime", o->newest_restore_ns);
    status_write_time(w, "lastSnapshotTime", o->snapshot_ns);
    status_write_text(w, "specHash", view->spec_hash);
    if (o->row_count > 0) {
        json_writer_object(w, "storage");
        json_writer_u64(w, "bytes", o->stored_bytes);
        json_writer_u64(w, "objects", o->stored_objects);
        json_writer_end(w);
    }
}

static void put_verification(const struct verification *last, struct json_writer *w)
{
    if (last->at_ns == 0)
        return;
    json_writer_object(w, "lastVerification");
    status_write_time(w, "time", last->at_ns);
    json_writer_str(w, "result", last->has_passed ? "Passed" : "Failed");
    status_write_text(w, "txid", last->txid);
    json_writer_u64(w, "durationSeconds", last->seconds);
    status_write_text(w, "message", last->message);
    json_writer_end(w);
}

/* The bucket that a destination names, among those found; NULL: an own store. */
static const struct api_bucket *bucket_of(const struct api_destination *d,
                                          const struct api_bucket *const *buckets, size_t count)
{
    for (size_t i = 0; d->bucket_ref && i < count; i++) {
        if (strcmp(buckets[i]->meta.name, d->bucket_ref) == 0)
            return buckets[i];
    }
    return NULL;
}

/* Destinations whose bucket was made, or found: it is never made again. */
static void put_made(const struct replica_view *view, struct json_writer *w)
{
    const struct api_replica *r = view->item->replica;

    if (view->made == 0)
        return;
    json_writer_array(w, "createdBuckets");
    for (size_t i = 0; i < r->destination_count; i++) {
        if (view->made >> i & 1)
            json_writer_str(w, NULL, r->destinations[i].name);
    }
    json_writer_end(w);
}

/* Adds the primary prefix of a row if a replica is reported there and it is not listed yet. */
static int put_prefix(const struct replica_view *view, const struct database_row *row,
                      const struct api_bucket *const *buckets, size_t bucket_count,
                      struct json_writer *w, struct error *err)
{
    CLEANUP(buf_destroy) struct buf prefix = BUF_INIT(2048);
    const struct api_replica *r = view->item->replica;
    const struct api_destination *d = &r->destinations[0];

    for (size_t i = 0; row->seen->replicated_txid[0] && i < r->database_count; i++) {
        if (strcmp(r->databases[i].name, row->database) != 0)
            continue;
        if (api_prefix_resolve(r, d, &r->databases[i], bucket_of(d, buckets, bucket_count),
                               row->pod, &prefix, err) < 0)
            return -1;
        if (!api_replica_has_reported(r, buf_str(&prefix)))
            json_writer_str(w, NULL, buf_str(&prefix));
    }
    return 0;
}

/* Where a replica was ever reported: never forgotten, for onNoBackup: StartEmpty. */
static int put_prefixes(const struct replica_view *view, const struct replica_outcome *o,
                        const struct api_bucket *const *buckets, size_t bucket_count,
                        struct json_writer *w, struct error *err)
{
    const struct api_replica *r = view->item->replica;

    json_writer_array(w, "replicatedPrefixes");
    for (size_t i = 0; i < r->status.prefix_count; i++)
        json_writer_str(w, NULL, r->status.prefixes[i]);
    for (size_t i = 0; i < o->row_count && r->status.prefix_count + i < API_PREFIXES_MAX; i++) {
        if (put_prefix(view, &o->rows[i], buckets, bucket_count, w, err) < 0)
            return -1;
    }
    json_writer_end(w);
    return 0;
}

int status_body(const struct replica_view *view, const struct replica_outcome *outcome,
                const struct api_bucket *const *buckets, size_t bucket_count, struct buf *out,
                struct error *err)
{
    const struct api_meta *meta = &view->item->replica->meta;
    struct json_writer w;

    status_write_begin(&w, out, &kube_sqlite_replicas, meta);
    put_figures(view, outcome, &w);
    put_verification(&view->verified, &w);
    put_rows(outcome, &w);
    put_made(view, &w);
    if (put_prefixes(view, outcome, buckets, bucket_count, &w, err) < 0)
        return -1;
    return status_write_end(&w, &outcome->conditions, meta, err);
}
