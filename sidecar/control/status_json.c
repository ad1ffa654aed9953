/*
 * Writes struct status_process as the document that status_json.h describes, field by field in its
 * order. The writer keeps the first failure, so this is plain lines; a text that is NULL or empty
 * becomes null here, so that readers have one word for "nothing".
 */
#include "sidecar/control/status_json.h"

#include <inttypes.h>

#include "lib/json/json_writer.h"
#include "lib/ltx/ltx.h"

static void put_text(struct json_writer *w, const char *key, const char *text)
{
    json_writer_str(w, key, text && text[0] ? text : NULL);
}

static void put_seconds(struct json_writer *w, const char *key, uint64_t ns)
{
    json_writer_f64(w, key, (double)ns / (double)NS_PER_SEC);
}

static void put_txid(struct json_writer *w, const char *key, uint64_t txid)
{
    char text[LTX_TXID_TEXT_BYTES];

    json_writer_str(w, key, txid ? ltx_txid_format(txid, text) : NULL);
}

struct fault {
    const char *text, *hint;
    uint64_t at_ns, streak, total;
};

static void put_fault(struct json_writer *w, const struct fault *f)
{
    if (f->streak == 0) {
        json_writer_null(w, "error");
        return;
    }
    json_writer_object(w, "error");
    put_text(w, "text", f->text);
    put_text(w, "hint", f->hint);
    json_writer_time(w, "at", f->at_ns);
    json_writer_u64(w, "streak", f->streak);
    json_writer_u64(w, "total", f->total);
    json_writer_end(w);
}

/* ---- destination ---- */

static void put_lag(struct json_writer *w, const struct status_destination *d)
{
    json_writer_object(w, "lag");
    put_seconds(w, "seconds", d->lag_ns);
    json_writer_u64(w, "bytes", d->lag_bytes);
    json_writer_u64(w, "commits", d->lag_commits);
    json_writer_u64(w, "pages", d->dirty_page_count);
    json_writer_time(w, "oldest_commit_at", d->oldest_unshipped_at_ns);
    json_writer_end(w);
}

static void put_lineage(struct json_writer *w, const struct status_destination *d)
{
    json_writer_u64(w, "epoch", d->epoch);
    json_writer_strf(w, "owner", "%08" PRIx32, d->owner);
    if (d->fenced_by_epoch == 0) {
        json_writer_null(w, "fenced_by");
        return;
    }
    json_writer_object(w, "fenced_by");
    json_writer_u64(w, "epoch", d->fenced_by_epoch);
    json_writer_strf(w, "owner", "%08" PRIx32, d->fenced_by_owner);
    json_writer_end(w);
}

/* What a restore could use. */
static void put_history(struct json_writer *w, const struct status_destination *d)
{
    if (d->restore_newest_at_ns > 0) {
        json_writer_object(w, "restore_window");
        json_writer_time(w, "oldest", d->restore_oldest_at_ns);
        json_writer_time(w, "newest", d->restore_newest_at_ns);
        json_writer_end(w);
    } else {
        json_writer_null(w, "restore_window");
    }
    if (d->snapshot_at_ns > 0) {
        json_writer_object(w, "snapshot");
        put_txid(w, "txid", d->snapshot_txid);
        json_writer_time(w, "at", d->snapshot_at_ns);
        json_writer_end(w);
    } else {
        json_writer_null(w, "snapshot");
    }
    json_writer_object(w, "retention");
    put_seconds(w, "window_seconds", d->retention_window_ns);
    json_writer_time(w, "last_at", d->retention_at_ns);
    json_writer_u64(w, "errors_total", d->retention_errors_total);
    put_text(w, "error", d->retention_error);
    json_writer_end(w);
}

static void put_levels(struct json_writer *w, const struct status_destination *d)
{
    uint64_t bytes = 0, objects = 0;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        bytes += d->levels[level].object_bytes;
        objects += d->levels[level].object_count;
    }
    json_writer_u64(w, "bytes", bytes);
    json_writer_u64(w, "objects", objects);
    json_writer_array(w, "levels");
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        if (d->levels[level].object_count == 0)
            continue;
        json_writer_object(w, NULL);
        json_writer_u64(w, "level", level);
        json_writer_u64(w, "objects", d->levels[level].object_count);
        json_writer_u64(w, "bytes", d->levels[level].object_bytes);
        put_txid(w, "newest_txid", d->levels[level].newest_txid);
        json_writer_end(w);
    }
    json_writer_end(w);
}

static void put_last_objects(struct json_writer *w, const struct status_destination *d)
{
    json_writer_array(w, "last_objects");
    for (size_t i = 0; i < d->object_count && i < STATUS_OBJECTS_MAX; i++) {
        const struct status_object *o = &d->objects[i];
        json_writer_object(w, NULL);
        json_writer_u64(w, "level", o->level);
        put_txid(w, "min_txid", o->min_txid);
        put_txid(w, "max_txid", o->max_txid);
        json_writer_u64(w, "bytes", o->bytes);
        json_writer_time(w, "at", o->shipped_at_ns);
        put_seconds(w, "seconds", o->duration_ns);
        json_writer_end(w);
    }
    json_writer_end(w);
}

static void put_requests(struct json_writer *w, const struct status_destination *d)
{
    json_writer_object(w, "requests");
    for (unsigned kind = 0; kind < STORAGE_OP_KINDS; kind++) {
        json_writer_object(w, storage_op_name((enum storage_op_kind)kind));
        json_writer_u64(w, "total", d->requests.op[kind].requests);
        json_writer_u64(w, "bytes", d->requests.op[kind].bytes);
        json_writer_u64(w, "errors", d->requests.op[kind].errors);
        json_writer_end(w);
    }
    json_writer_end(w);
}

static const char *fencing_name(const struct status_destination *d)
{
    if (!d->is_can_create_known)
        return "unknown";
    return d->can_create ? "atomic" : "weak";
}

static void put_rotten(struct json_writer *w, const struct status_destination *d)
{
    if (d->rotten_pages_total == 0) {
        json_writer_null(w, "rotten");
        return;
    }
    json_writer_object(w, "rotten");
    json_writer_u64(w, "pages_total", d->rotten_pages_total);
    json_writer_u64(w, "last_page", d->rotten_pgno);
    json_writer_time(w, "last_at", d->rotten_at_ns);
    json_writer_u64(w, "merges_total", d->merges_total);
    json_writer_end(w);
}

static void put_destination(struct json_writer *w, const struct status_destination *d)
{
    const struct fault fault = {d->last_error, d->last_error_hint, d->last_error_at_ns,
                                d->error_streak, d->errors_total};

    json_writer_object(w, NULL);
    json_writer_str(w, "name", d->name);
    put_text(w, "url", d->url);
    put_text(w, "type", d->type);
    json_writer_str(w, "state", status_destination_state_name(d->state));
    put_text(w, "state_detail", d->state_detail);
    put_seconds(w, "state_seconds", d->state_since_ns);
    json_writer_bool(w, "is_attached", d->is_attached);
    json_writer_str(w, "fencing", fencing_name(d));
    put_txid(w, "acknowledged_txid", d->acknowledged_txid);
    put_txid(w, "local_txid", d->local_txid);
    put_lag(w, d);
    json_writer_time(w, "last_success_at", d->last_success_at_ns);
    json_writer_time(w, "last_commit_at", d->last_commit_at_ns);
    put_fault(w, &fault);
    put_lineage(w, d);
    put_history(w, d);
    put_rotten(w, d);
    put_levels(w, d);
    put_last_objects(w, d);
    put_requests(w, d);
    json_writer_end(w);
}

/* ---- database ---- */

static void put_checkpoints(struct json_writer *w, const struct status_db *db)
{
    json_writer_object(w, "checkpoints");
    for (unsigned mode = 0; mode < STATUS_CHECKPOINT_MODES; mode++) {
        const struct status_checkpoint *c = &db->checkpoints[mode];
        json_writer_object(w, status_checkpoint_mode_name((enum status_checkpoint_mode)mode));
        json_writer_u64(w, "total", c->total);
        json_writer_u64(w, "errors", c->errors_total);
        put_seconds(w, "seconds", c->ns_total);
        put_seconds(w, "seconds_max", c->ns_max);
        json_writer_end(w);
    }
    json_writer_time(w, "last_at", db->last_checkpoint_at_ns);
    json_writer_end(w);
}

static void put_db(struct json_writer *w, const struct status_db *db)
{
    const struct fault fault = {db->last_error, db->last_error_hint, db->last_error_at_ns,
                                db->error_streak, db->errors_total};

    json_writer_object(w, NULL);
    json_writer_str(w, "path", db->path);
    json_writer_str(w, "name", db->name);
    json_writer_str(w, "state", status_db_state_name(db->state));
    put_text(w, "state_detail", db->state_detail);
    put_seconds(w, "state_seconds", db->state_since_ns);
    json_writer_u64(w, "page_size", db->page_size);
    json_writer_u64(w, "page_count", db->page_count);
    json_writer_u64(w, "bytes", db->db_bytes);
    json_writer_object(w, "wal");
    json_writer_u64(w, "bytes", db->wal_bytes);
    json_writer_u64(w, "frames", db->wal_frames);
    json_writer_u64(w, "backfilled_frames", db->wal_backfilled_frames);
    json_writer_end(w);
    json_writer_u64(w, "disk_free_bytes", db->disk_free_bytes);
    json_writer_u64(w, "commits_total", db->commits_total);
    json_writer_time(w, "last_commit_at", db->last_commit_at_ns);
    put_checkpoints(w, db);
    json_writer_u64(w, "busy_total", db->busy_total);
    json_writer_u64(w, "locks_lost_total", db->locks_lost_total);
    json_writer_object(w, "blocked_by_reader");
    put_seconds(w, "seconds", db->blocked_by_reader_ns);
    json_writer_end(w);
    put_fault(w, &fault);
    json_writer_array(w, "destinations");
    for (size_t i = 0; i < db->destination_count; i++)
        put_destination(w, &db->destinations[i]);
    json_writer_end(w);
    json_writer_end(w);
}

/* ---- process ---- */

int status_json_write(const struct status_process *s, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_u64(&w, "schema", 1);
    put_text(&w, "version", s->version);
    put_text(&w, "commit", s->commit);
    json_writer_i64(&w, "pid", s->pid);
    json_writer_time(&w, "now", s->now_ns);
    json_writer_time(&w, "started_at", s->started_at_ns);
    json_writer_bool(&w, "is_draining", s->is_draining);
    json_writer_object(&w, "sqlite");
    put_text(&w, "version", s->sqlite_version);
    json_writer_bool(&w, "is_affected_by_wal_reset_bug", s->is_sqlite_affected_by_wal_reset_bug);
    json_writer_end(&w);
    json_writer_array(&w, "databases");
    for (size_t i = 0; i < s->db_count; i++)
        put_db(&w, &s->dbs[i]);
    json_writer_end(&w);
    json_writer_end(&w);
    if (json_writer_finish(&w, err) < 0 || buf_append_byte(out, '\n', err) < 0)
        return error_wrap(err, "status");
    return 0;
}
