/*
 * When the log is checkpointed, and when its file is cut down after a peak. What a checkpoint does is
 * in checkpoint.c, seal.c and shrink.c.
 */
#include "lib/sqlite/wal_format.h"
#include "sidecar/engine/database_internal.h"

/*
 * Between two cuts, for the writers: one that met a cut sleeps in SQLite's busy handler (1, 2, 5, 10,
 * 15 ms ...), and must not wake up in the next cut.
 */
static const uint64_t shrink_pause_ns = 20 * NS_PER_MS;
static const uint64_t shrink_busy_ns = 20 * NS_PER_MS; /* a writer had the lock; doubled */
static const uint64_t shrink_busy_ceiling_ns = 5 * NS_PER_SEC;
/* Doubled while readers hold back, HELD_BACK_DOUBLINGS times: 2 s, since their end tells nobody. */
static const uint64_t checkpoint_again_ns = 250 * NS_PER_MS;

enum {
    HELD_BACK_DOUBLINGS = 3,
};

/* Writers without a pause: the log was copied again and again, and could not begin anew. */
static bool is_log_long(const struct database *db)
{
    return db->stats_seen.log_frames >= 2 * db->opt.checkpoint_frames;
}

void database_consider_checkpoint(struct database *db)
{
    uint64_t now = env_monotonic_ns(db->engine->env);
    const struct follow_stats *s = &db->stats_seen;
    uint32_t waiting = s->log_frames - s->backfilled_frames;

    if (!database_is_following(db) || db->pin_holder || waiting == 0 ||
        s->backfilled_frames > s->log_frames || task_is_pending(&db->checkpoint_task))
        return;
    /* Also a log that is copied and could not begin anew: it would go on growing. */
    bool is_full = waiting >= db->opt.checkpoint_frames || is_log_long(db);
    unsigned doublings =
        db->held_back_count < HELD_BACK_DOUBLINGS ? db->held_back_count : HELD_BACK_DOUBLINGS;
    uint64_t again_ns = checkpoint_again_ns << doublings;
    bool is_held_back = db->last_checkpoint_ns && now - db->last_checkpoint_ns < again_ns;
    if (is_full && !is_held_back) {
        task_queue_push(&db->queue, &db->checkpoint_task);
        return;
    }
    uint64_t delay = is_full ? again_ns : db->opt.checkpoint_interval_ns;
    if (delay && (is_full || !loop_timer_is_armed(&db->checkpoint_timer)))
        loop_timer_start(&db->checkpoint_timer, delay);
}

static void checkpoint_on_timer(void *arg)
{
    struct database *db = arg;

    if (database_is_following(db) && !db->pin_holder)
        task_queue_push(&db->queue, &db->checkpoint_task);
}

static void checkpoint_work(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, checkpoint_task);
    bool may_seal = db->opt.may_seal && is_log_long(db);

    error_clear(&db->task_err);
    db->outcome = (struct checkpoint_outcome){.log_frames = 0};
    if (!db->follower || db->is_released)
        return;
    if (follower_checkpoint(db->follower, may_seal, database_note, db, &db->task_result,
                            &db->outcome, &db->task_err) == 0 &&
        db->task_result == ADVANCE_UNPROVEN)
        database_mark_unproven(db);
}

static void checkpoint_count(struct database *db)
{
    const struct checkpoint_outcome *o = &db->outcome;
    struct status_checkpoint *s = &db->checkpoints[STATUS_CHECKPOINT_PASSIVE];
    struct status_checkpoint *seal = &db->checkpoints[STATUS_CHECKPOINT_SEAL];

    s->total++;
    s->ns_total += o->total_ns;
    if (o->total_ns > s->ns_max)
        s->ns_max = o->total_ns;
    if (o->was_sealed) {
        seal->total++;
        seal->ns_total += o->seal_ns;
        if (o->seal_ns > seal->ns_max)
            seal->ns_max = o->seal_ns;
    }
    db->seals_given_up_total += o->was_seal_busy;
    metrics_histogram_observe(&db->checkpoint_seconds, o->total_ns);
    db->last_checkpoint_at_ns = env_wall_ns(db->engine->env);
    db->held_back_count = o->blocking_frame ? db->held_back_count + 1 : 0;
    if (o->is_complete || !o->blocking_frame)
        db->blocked_since_ns = 0;
    else if (!db->blocked_since_ns)
        db->blocked_since_ns = env_monotonic_ns(db->engine->env);
}

static void checkpoint_done(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, checkpoint_task);

    db->last_checkpoint_ns = env_monotonic_ns(db->engine->env);
    if (db->task_err.code != ERR_NONE) {
        db->checkpoints[STATUS_CHECKPOINT_PASSIVE].errors_total++;
        database_task_failed(db, "checkpoint");
        return;
    }
    checkpoint_count(db);
    database_refresh(db);
    LOG_DEBUG(db->engine->log, "checkpoint", LOG_STR("db", db->path),
              LOG_U64("frames", db->outcome.log_frames),
              LOG_U64("backfilled", db->outcome.backfilled_frames),
              LOG_BOOL("sealed", db->outcome.was_sealed),
              LOG_BOOL("seal_busy", db->outcome.was_seal_busy),
              LOG_U64("blocked_at", db->outcome.blocking_frame),
              LOG_F64("seconds", (double)db->outcome.total_ns / 1e9));
    for (size_t i = 0; i < db->chain_count; i++)
        chain_ship_soon(&db->chains[i]); /* what it noted is known to be dirty now */
    database_consider_checkpoint(db);
}

/* What the log needs between two checkpoints stays: it would only grow again. */
static uint64_t wal_keep_bytes(const struct database *db)
{
    uint64_t cycle = 2 * (uint64_t)db->opt.checkpoint_frames * db->end_seen.page_size;
    return cycle > db->opt.wal_keep_bytes ? cycle : db->opt.wal_keep_bytes;
}

/* The file is much larger than what it keeps and than its live frames, which nobody can cut. */
static bool is_shrink_worthwhile(const struct database *db)
{
    const struct follow_stats *s = &db->stats_seen;
    uint64_t keep = wal_keep_bytes(db);
    uint64_t live = (uint64_t)s->log_frames * (WAL_FRAME_HEADER_BYTES + db->end_seen.page_size);

    return s->wal_file_bytes > (live > keep ? live : keep) + keep;
}

static void shrink_start(void *arg)
{
    struct database *db = arg;

    if (database_is_following(db) && !db->pin_holder)
        task_queue_push(&db->queue, &db->shrink_task);
}

static void shrink_work(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, shrink_task);

    error_clear(&db->task_err);
    db->shrink_more = false;
    if (db->follower && !db->is_released) {
        IGNORE(follower_shrink(db->follower, wal_keep_bytes(db), &db->shrink_more,
                               &db->task_err)); /* done() looks at task_err */
    }
}

static void shrink_done(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, shrink_task);
    struct status_checkpoint *s = &db->checkpoints[STATUS_CHECKPOINT_SHRINK];

    if (db->task_err.code != ERR_NONE) {
        s->errors_total++;
        database_task_failed(db, "shrinking the log");
        return;
    }
    s->total++;
    uint64_t bytes_before = db->stats_seen.wal_file_bytes;
    database_refresh(db);
    if (!db->shrink_more || db->is_closing)
        return;
    bool was_cut = db->stats_seen.wal_file_bytes < bytes_before; /* else: a writer had the lock */
    if (was_cut)
        db->shrink_wait_ns = 0;
    else
        db->shrink_wait_ns = db->shrink_wait_ns ? 2 * db->shrink_wait_ns : shrink_busy_ns;
    if (db->shrink_wait_ns > shrink_busy_ceiling_ns)
        db->shrink_wait_ns = shrink_busy_ceiling_ns; /* a transaction that is left open for long */
    loop_timer_start(&db->shrink_timer, was_cut ? shrink_pause_ns : db->shrink_wait_ns);
}

void database_consider_shrink(struct database *db)
{
    if (is_shrink_worthwhile(db) && !loop_timer_is_armed(&db->shrink_timer))
        shrink_start(db);
}

/* ---- life ---- */

void database_checkpoint_init(struct database *db)
{
    struct loop *loop = db->engine->loop;

    db->checkpoint_task =
        (struct task){.work = checkpoint_work, .done = checkpoint_done, .urgency = TASK_NORMAL};
    db->shrink_task =
        (struct task){.work = shrink_work, .done = shrink_done, .urgency = TASK_BACKGROUND};
    loop_timer_init(&db->checkpoint_timer, loop, checkpoint_on_timer, db);
    loop_timer_init(&db->shrink_timer, loop, shrink_start, db);
    db->checkpoint_seconds =
        (struct metrics_histogram)METRICS_HISTOGRAM_INIT(&metrics_buckets_local);
}

void database_checkpoint_stop(struct database *db)
{
    loop_timer_stop(&db->checkpoint_timer);
    loop_timer_stop(&db->shrink_timer);
}
