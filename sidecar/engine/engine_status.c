/*
 * What the engine tells about itself: its state, copied into the flat structs of status.h when a
 * scrape or a person asks. The arrays are kept for the next question.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/engine/engine_internal.h"
#include "sidecar/engine/retain.h"

void engine_listen(struct engine *e, void (*on_change)(void *arg), void *arg)
{
    e->on_change = on_change;
    e->change_arg = arg;
}

void engine_changed(const struct engine *e)
{
    if (e->on_change)
        e->on_change(e->change_arg);
}

static enum status_destination_state destination_state(const struct chain *c)
{
    switch (c->state) {
    case CHAIN_FOLLOWING:
        return c->fault.streak ? STATUS_DESTINATION_BACKOFF : STATUS_DESTINATION_FOLLOWING;
    case CHAIN_FENCED:
        return STATUS_DESTINATION_FENCED;
    case CHAIN_REFUSED:
        return STATUS_DESTINATION_REFUSED;
    case CHAIN_STOPPED:
        return STATUS_DESTINATION_STOPPED;
    case CHAIN_WAITING:
    case CHAIN_ATTACHING:
    default:
        return c->fault.streak ? STATUS_DESTINATION_BACKOFF : STATUS_DESTINATION_ATTACHING;
    }
}

/* Those that were noted, and what the wal-index tells right now. */
static uint64_t commits_now(const struct database *db)
{
    uint64_t more =
        database_is_following(db) ? follower_commits_since(db->follower, db->stats_seen.change) : 0;
    return db->commits_total + more;
}

/*
 * Monotonic time since when the store has been behind; 0: it has everything. One that could not be
 * asked yet may lack what was committed before we came, unless the page map and the log prove that
 * nothing was.
 */
static uint64_t behind_since(const struct chain *c)
{
    if (c->out.oldest_commit_ns)
        return c->out.oldest_commit_ns;
    if (c->oldest_commit_ns)
        return c->oldest_commit_ns;
    bool is_unknown = c->state == CHAIN_ATTACHING && c->fault.streak > 0 && !c->proof.is_unchanged;
    return is_unknown && database_is_following(c->db) ? c->state_since_ns : 0;
}

/* Age of the oldest commit that the store has not acknowledged. */
static void lag_fill(const struct chain *c, uint64_t now_mono, uint64_t now_wall,
                     struct status_destination *out)
{
    uint64_t oldest = behind_since(c);

    if (oldest) {
        out->lag_ns = now_mono > oldest ? now_mono - oldest : 0;
        out->oldest_unshipped_at_ns = now_wall - out->lag_ns;
    }
    out->lag_commits = commits_now(c->db) - c->commits_acknowledged;
    out->dirty_page_count = c->dirty_page_count;
    out->lag_bytes = out->dirty_page_count * c->db->end_seen.page_size;
}

static void levels_fill(const struct chain *c, struct status_destination *out)
{
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        const struct inventory_level *l = &c->inv.level[level];
        struct status_level *s = &out->levels[level];
        s->object_count = l->object_count;
        for (size_t i = 0; i < l->object_count; i++)
            s->object_bytes += l->object[i].bytes;
        s->newest_txid = l->object_count ? l->object[l->object_count - 1].max_txid : 0;
        s->written_total = c->level_total[level].written;
        s->written_bytes_total = c->level_total[level].written_bytes;
        s->deleted_total = c->level_total[level].deleted;
    }
    const struct inventory_object *snapshot = inventory_newest(&c->inv, LTX_LEVEL_SNAPSHOT);
    if (snapshot) {
        out->snapshot_txid = snapshot->max_txid;
        out->snapshot_at_ns = snapshot->timestamp_ns;
    }
    out->snapshots = c->inv.level[LTX_LEVEL_SNAPSHOT].object;
    out->snapshot_count = c->inv.level[LTX_LEVEL_SNAPSHOT].object_count;
    (void)retain_window(&c->inv, &out->restore_oldest_at_ns,
                        &out->restore_newest_at_ns); /* false: both stay 0 */
}

static void destination_fill(const struct chain *c, uint64_t now_mono, uint64_t now_wall,
                             struct status_destination *out)
{
    bool has_error = c->fault.last != NULL;

    *out = (struct status_destination){
        .name = c->name,
        .url = storage_url(c->storage),
        .type = storage_type(c->storage),
        .state = destination_state(c),
        .state_detail = c->state_detail,
        .state_since_ns = now_mono - c->state_since_ns,
        .is_attached = c->state == CHAIN_FOLLOWING || c->state == CHAIN_FENCED,
        .has_local_proof = c->acknowledged_txid > 0 || c->proof.is_same_file,
        .can_create = storage_caps(c->storage)->can_create,
        .is_can_create_known = c->has_accepted,
        .acknowledged_txid = c->acknowledged_txid,
        .local_txid = c->acknowledged_txid + (chain_has_unshipped(c) ? 1 : 0),
        .last_success_at_ns = c->last_success_at_ns,
        .last_commit_at_ns = c->timestamp_ms * NS_PER_MS,
        .last_error = has_error ? c->fault.last->text : NULL,
        .last_error_hint = has_error ? c->fault.last->hint : NULL,
        .last_error_at_ns = c->fault.last_at_ns,
        .error_streak = c->fault.streak,
        .errors_total = c->fault.total,
        .syncs_total = c->syncs_total,
        .sync_ns_total = c->sync_ns_total,
        .sync_pages_total = c->sync_pages_total,
        .rotten_pages_total = c->rotten_pages_total,
        .rotten_pgno = c->rotten_pgno,
        .rotten_at_ns = c->rotten_at_ns,
        .merges_total = c->merges_total,
        .differences_total = c->differences_total,
        .epoch = c->epoch,
        .owner = c->owner,
        .fenced_by_epoch = c->fenced_by_epoch,
        .fenced_by_owner = c->fenced_by_owner,
        .conflicts_total = c->conflicts_total,
        .retention_window_ns = c->opt.is_retention_enabled ? c->opt.snapshot_retention_ns : 0,
        .retention_at_ns = c->retention_at_ns,
        .retention_errors_total = c->retention_errors_total,
        .retention_error = c->retention_error ? c->retention_error->text : NULL,
        .objects = c->recent,
        .object_count = c->recent_count,
        .requests = *storage_counters(c->storage),
        .upload_seconds = &c->upload_seconds,
    };
    lag_fill(c, now_mono, now_wall, out);
    levels_fill(c, out);
}

/* A comparison is a state of its own only to those who look: the log is followed meanwhile. */
static void difference_fill(const struct database *db, uint64_t now_mono, struct status_db *out)
{
    for (size_t i = 0; i < db->chain_count && db->state == STATUS_DB_FOLLOWING; i++) {
        const struct chain *c = &db->chains[i];
        if (!task_is_pending(&c->difference_task))
            continue;
        out->state = STATUS_DB_DIFFERENCE;
        out->state_detail = "history is unproven: comparing the whole database with the page map";
        if (out->state_since_ns > now_mono - c->difference_since_ns)
            out->state_since_ns = now_mono - c->difference_since_ns;
    }
}

static void database_fill(const struct database *db, uint64_t now_mono, struct status_db *out)
{
    bool has_error = db->fault.last != NULL;
    uint64_t frame_bytes = db->end_seen.page_size ? db->end_seen.page_size + 24U : 0;

    *out = (struct status_db){
        .path = db->path,
        .name = db->path,
        .state = db->state,
        .state_detail = db->state_detail,
        .state_since_ns = now_mono - db->state_since_ns,
        .page_size = db->end_seen.page_size,
        .page_count = db->end_seen.page_count,
        .db_bytes = (uint64_t)db->end_seen.page_size * db->end_seen.page_count,
        .wal_bytes = db->stats_seen.wal_file_bytes,
        .wal_frames = db->stats_seen.log_frames,
        .wal_backfilled_frames = db->stats_seen.backfilled_frames,
        .disk_free_bytes = db->disk_free_bytes,
        .commits_total = commits_now(db),
        .frames_total = db->frames_total,
        .wal_bytes_total = db->frames_total * frame_bytes,
        .last_commit_at_ns = db->last_commit_at_ns,
        .checkpoint_seconds = &db->checkpoint_seconds,
        .last_checkpoint_at_ns = db->last_checkpoint_at_ns,
        .busy_total = db->busy_total,
        .seals_given_up_total = db->seals_given_up_total,
        .locks_lost_total = db->locks_lost_total,
        .blocked_by_reader_ns = db->blocked_since_ns ? now_mono - db->blocked_since_ns : 0,
        .last_error = has_error ? db->fault.last->text : NULL,
        .last_error_hint = has_error ? db->fault.last->hint : NULL,
        .last_error_at_ns = db->fault.last_at_ns,
        .error_streak = db->fault.streak,
        .errors_total = db->fault.total,
    };
    memcpy(out->checkpoints, db->checkpoints, sizeof(out->checkpoints));
    difference_fill(db, now_mono, out);
}

static int arrays_grow(struct engine *e, size_t destination_count, struct error *err)
{
    if (e->status_db_cap < e->db_count) {
        struct status_db *dbs = realloc(e->status_dbs, e->db_count * sizeof(*dbs));
        if (!dbs)
            return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a status");
        e->status_dbs = dbs;
        e->status_db_cap = e->db_count;
    }
    if (e->status_destination_cap < destination_count) {
        struct status_destination *all =
            realloc(e->status_destinations, destination_count * sizeof(*all));
        if (!all)
            return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a status");
        e->status_destinations = all;
        e->status_destination_cap = destination_count;
    }
    return 0;
}

int engine_status(void *engine, struct status_process *out, struct error *err)
{
    struct engine *e = engine;
    uint64_t now_mono = env_monotonic_ns(e->env);
    uint64_t now_wall = env_wall_ns(e->env);
    size_t count = 0;

    for (size_t i = 0; i < e->db_count; i++)
        count += e->dbs[i]->chain_count;
    if (arrays_grow(e, count, err) < 0)
        return -1;
    count = 0;
    for (size_t i = 0; i < e->db_count; i++) {
        const struct database *db = e->dbs[i];
        database_fill(db, now_mono, &e->status_dbs[i]);
        e->status_dbs[i].destinations = e->status_destinations + count;
        e->status_dbs[i].destination_count = db->chain_count;
        for (size_t j = 0; j < db->chain_count; j++)
            destination_fill(&db->chains[j], now_mono, now_wall, &e->status_destinations[count++]);
    }
    *out = (struct status_process){
        .version = e->opt.version,
        .commit = e->opt.commit,
        .pid = (int)getpid(),
        .started_at_ns = e->started_at_ns,
        .now_ns = now_wall,
        .sqlite_version = follow_sqlite_version(),
        .is_sqlite_affected_by_wal_reset_bug = follow_sqlite_has_wal_reset_bug(),
        .is_draining = e->is_draining || e->is_stopping,
        .dbs = e->status_dbs,
        .db_count = e->db_count,
    };
    return 0;
}
