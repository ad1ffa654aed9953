/*
 * A database's life: found, opened, followed, checkpointed, lost, found again.
 *
 *   OPENING/ABSENT/NOT_WAL/... --open task--> FOLLOWING --moved, torn, I/O error--> closed, again
 *                                               |    ^
 *                            disk almost full   v    |   space again
 *                                             DISK_FULL (readers let go)
 *
 * Noticing a commit. inotify on the -wal file wakes us when a frame is written, which is *before*
 * the commit: with synchronous=FULL the header moves only after the fsync, without another event.
 * So after a wake-up the header is looked at again after 0.1, 0.3, 1, 3, 10 and 30 ms. A poll at
 * each monitor-interval is the net behind that. Both ask follower_look(), some 35 ns.
 *
 * While a change is noticed and waits for sync-interval, the watch is off: a busy application
 * would wake us for every page. The task that notes the change puts it back, and looks.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sqlite/wal_format.h"
#include "sidecar/engine/engine_internal.h"

static const uint64_t relook_ns[] = {100 * NS_PER_US, 300 * NS_PER_US, 1 * NS_PER_MS,
                                     3 * NS_PER_MS,   10 * NS_PER_MS,  30 * NS_PER_MS};
static const uint64_t reopen_base_ns = 200 * NS_PER_MS;
static const uint64_t reopen_ceiling_ns = 10 * NS_PER_SEC;
static const uint64_t shrink_pause_ns = 1 * NS_PER_MS; /* between two cuts: for the writers */
static const uint64_t shrink_busy_ns = 20 * NS_PER_MS; /* a writer had the lock; doubled */
static const uint64_t shrink_busy_ceiling_ns = 5 * NS_PER_SEC;
/* Doubled while readers hold back, HELD_BACK_DOUBLINGS times: 2 s, since their end tells nobody. */
static const uint64_t checkpoint_again_ns = 250 * NS_PER_MS;

enum {
    /* Polls between two questions whether the path still names our file; rarer where the kernel
     * would tell. */
    MOVED_POLLS = 10,
    MOVED_POLLS_WATCHED = 60,
    SPACE_POLLS = 5, /* polls between two looks at the free space */
    HELD_BACK_DOUBLINGS = 3,
};

/* ---- state ---- */

void database_set_state(struct database *db, enum status_db_state state, const char *detail)
{
    struct engine *e = db->engine;

    text_keep(&db->state_detail, detail);
    if (db->state == state)
        return;
    LOG_INFO(e->log, "database state", LOG_STR("db", db->path),
             LOG_STR("from", status_db_state_name(db->state)),
             LOG_STR("to", status_db_state_name(state)),
             LOG_STR(detail[0] ? "detail" : NULL, detail));
    db->state = state;
    db->state_since_ns = env_monotonic_ns(e->env);
}

bool database_is_following(const struct database *db)
{
    return db->follower && !db->is_released && !db->is_closing && !task_is_pending(&db->close_task);
}

static enum status_db_state state_of_follow(enum follow_state state)
{
    switch (state) {
    case FOLLOW_OK:
        return STATUS_DB_FOLLOWING;
    case FOLLOW_ABSENT:
        return STATUS_DB_ABSENT;
    case FOLLOW_NOT_WAL:
        return STATUS_DB_NOT_WAL;
    case FOLLOW_EXCLUSIVE:
        return STATUS_DB_EXCLUSIVE;
    case FOLLOW_NETWORK_FS:
        return STATUS_DB_NETWORK_FILE_SYSTEM;
    case FOLLOW_MOVED:
        return STATUS_DB_MOVED;
    case FOLLOW_HEADER_TORN:
        return STATUS_DB_HEADER_TORN;
    case FOLLOW_NOT_DATABASE:
        return STATUS_DB_DAMAGED;
    case FOLLOW_READ_ONLY:
    case FOLLOW_BUSY:
    default:
        return STATUS_DB_BACKOFF;
    }
}

/* ---- notes: task side ---- */

int database_note(void *arg, uint32_t pgno, struct error *err)
{
    struct database *db = arg;

    for (size_t i = 0; i < db->chain_count; i++) {
        struct chain *c = &db->chains[i];
        if (c->is_tracking && page_set_add(&c->dirty, pgno, err) < 0)
            return -1;
    }
    return 0;
}

void database_mark_unproven(struct database *db)
{
    for (size_t i = 0; i < db->chain_count; i++) {
        if (db->chains[i].is_tracking)
            db->chains[i].needs_difference = true;
    }
}

/* ---- looking ---- */

static void wal_changed(void *arg, uint32_t events, const char *name);

static void watch_wal(struct database *db)
{
    struct error ignored = ERROR_INIT; /* without a watch the poll finds every change */

    if (!database_is_following(db) || watch_is_active(&db->wal_watch))
        return;
    IGNORE(watch_add(db->engine->watch, &db->wal_watch, follower_wal_path(db->follower), IN_MODIFY,
                     wal_changed, db, &ignored));
}

static void commit_notice(struct database *db)
{
    db->is_notified = true;
    db->look_step = 0;
    loop_timer_stop(&db->look_timer);
    db->last_commit_at_ns = env_wall_ns(db->engine->env);
    watch_remove(&db->wal_watch);
    for (size_t i = 0; i < db->chain_count; i++)
        chain_commit_noticed(&db->chains[i]);
}

void database_look(struct database *db)
{
    if (!database_is_following(db) || db->is_notified)
        return;
    switch (follower_look(db->follower)) {
    case LOOK_CHANGED:
        commit_notice(db);
        return;
    case LOOK_TORN:
        if (!db->torn_since_ns)
            db->torn_since_ns = env_monotonic_ns(db->engine->env);
        else if (env_monotonic_ns(db->engine->env) - db->torn_since_ns > NS_PER_SEC)
            task_queue_push(&db->queue, &db->advance_task); /* it makes SQLite recover */
        return;
    case LOOK_SAME:
    default:
        db->torn_since_ns = 0;
    }
}

static void look_again(void *arg)
{
    struct database *db = arg;

    database_look(db);
    if (db->is_notified || db->look_step == ARRAY_LEN(relook_ns))
        return;
    loop_timer_start(&db->look_timer, relook_ns[db->look_step++]);
}

static void wal_changed(void *arg, uint32_t events UNUSED, const char *name UNUSED)
{
    struct database *db = arg;

    db->look_step = 0;
    look_again(db);
}

static void file_changed(void *arg, uint32_t events UNUSED, const char *name UNUSED)
{
    struct database *db = arg;

    if (database_is_following(db))
        task_queue_push(&db->queue, &db->advance_task);
}

static void folder_changed(void *arg, uint32_t events UNUSED, const char *name UNUSED)
{
    struct database *db = arg;
    struct stat st;
    struct error ignored = ERROR_INIT;

    if (!db->follower && env_stat(db->engine->env, db->path, &st, &ignored) == 0 && st.st_size > 0)
        task_queue_push(&db->queue, &db->open_task);
}

/* ---- opening ---- */

static void open_work(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, open_task);
    const struct follow_options options = {.enable_wal = db->opt.enable_wal,
                                           .busy_timeout_ns = db->opt.busy_timeout_ns};

    struct stat st;

    error_clear(&db->task_err);
    db->opened = NULL;
    db->open_state = FOLLOW_OK;
    if (db->follower)
        return;
    if (follower_open(db->engine->env, db->path, &options, &db->opened, &db->open_state,
                      &db->task_err) < 0) {
        db->opened = NULL;
        return;
    }
    db->device = env_stat(db->engine->env, db->path, &st, &db->task_err) == 0 ? st.st_dev : 0;
    if (page_map_file_id(db->path, &db->file_id, &db->task_err) < 0) {
        db->file_id = 0; /* not known: only content or log can prove that the file is the same */
        error_clear(&db->task_err);
    }
    if (claim_take(db, &db->task_err) < 0) {
        follower_close(TAKE(db->opened));
        return;
    }
    claim_look(db, db->opened);
}

static void open_failed(struct database *db)
{
    struct engine *e = db->engine;
    bool is_waiting = db->task_err.code == ERR_WRONG_STATE;
    uint64_t delay = reopen_base_ns;
    struct error ignored = ERROR_INIT;

    if (is_waiting)
        database_set_state(db, state_of_follow(db->open_state), db->task_err.text);
    else
        database_set_state(db, STATUS_DB_BACKOFF, db->task_err.text);
    if (!is_waiting || db->open_state != FOLLOW_ABSENT)
        fault_note(e, &db->fault, "database cannot be followed", db->path, NULL, &db->task_err);
    for (unsigned i = 0; i < db->open_failures && delay < reopen_ceiling_ns; i++)
        delay *= 2;
    db->open_failures++;
    if (is_waiting && delay > db->opt.monitor_interval_ns)
        delay = db->opt.monitor_interval_ns;
    if (db->open_state == FOLLOW_ABSENT && !watch_is_active(&db->folder_watch)) {
        char folder[4096];
        const char *slash = strrchr(db->path, '/');
        int n = snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - db->path) : 1,
                         slash ? db->path : ".");
        if (n >= 0) {
            IGNORE(watch_add(e->watch, &db->folder_watch, n ? folder : "/",
                             IN_CREATE | IN_MOVED_TO | IN_ONLYDIR, folder_changed, db, &ignored));
        }
    }
    loop_timer_start(&db->retry_timer, delay);
    engine_check_waits(e);
}

static void open_done(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, open_task);
    struct engine *e = db->engine;
    struct error ignored = ERROR_INIT;

    if (db->follower)
        return;
    if (!db->opened) {
        if (!db->is_closing)
            open_failed(db);
        return;
    }
    db->follower = TAKE(db->opened);
    env_random_fill(e->env, &db->owner, sizeof(db->owner));
    db->open_failures = 0;
    db->is_notified = false;
    db->is_moved = false;
    db->stats_seen = (struct follow_stats){.commits_seen = 0}; /* counts from the opening on */
    db->is_released = false;
    loop_timer_stop(&db->retry_timer);
    watch_remove(&db->folder_watch);
    fault_end(e, &db->fault, "database recovered", db->path, NULL);
    if (db->is_closing)
        return;
    database_set_state(db, STATUS_DB_FOLLOWING, "");
    IGNORE(watch_add(e->watch, &db->file_watch, db->path, IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB,
                     file_changed, db, &ignored)); /* the poll asks too */
    watch_wal(db);
    database_refresh(db);
    for (size_t i = 0; i < db->chain_count; i++) {
        db->chains[i].proof = db->chains[i].found;
        chain_start(&db->chains[i]);
    }
}

static void open_again(void *arg)
{
    struct database *db = arg;

    if (!db->follower && !db->is_closing)
        task_queue_push(&db->queue, &db->open_task);
}

/* ---- losing it ---- */

static void close_work(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, close_task);
    follower_close(db->follower);
}

static void close_done(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, close_task);

    db->follower = NULL;
    db->pin_holder = NULL;
    for (size_t i = 0; i < db->chain_count; i++)
        db->chains[i].has_pin = false;
    if (db->is_closing)
        return;
    loop_timer_start(&db->retry_timer, reopen_base_ns);
    engine_check_waits(db->engine);
}

void database_reopen(struct database *db, const struct error *why)
{
    if (task_is_pending(&db->close_task) || !db->follower || db->is_closing)
        return;
    db->locks_lost_total += why->code == ERR_WRONG_STATE && why->origin == FOLLOW_ORIGIN_LOCKS_LOST;
    fault_note(db->engine, &db->fault, "database is opened again", db->path, NULL, why);
    database_set_state(db, db->is_moved ? STATUS_DB_MOVED : STATUS_DB_BACKOFF, why->text);
    watch_remove(&db->wal_watch);
    watch_remove(&db->file_watch);
    loop_timer_stop(&db->look_timer);
    loop_timer_stop(&db->checkpoint_timer);
    loop_timer_stop(&db->shrink_timer);
    for (size_t i = 0; i < db->chain_count; i++)
        chain_suspend(&db->chains[i]);
    task_queue_push(&db->queue, &db->close_task);
}

/* ---- noting without shipping: the store is away, or somebody suspects a move ---- */

static int advance_checked(struct database *db, struct error *err)
{
    db->is_moved = follower_check_moved(db->follower) == FOLLOW_MOVED;
    if (db->is_moved) {
        return error_set(err, ERR_WRONG_STATE, 0,
                         "%s names another file now (or none): it was moved, deleted or replaced",
                         db->path);
    }
    if (follower_advance(db->follower, database_note, db, &db->task_result, err) < 0)
        return -1;
    if (db->task_result == ADVANCE_UNPROVEN)
        database_mark_unproven(db);
    return 0;
}

static void advance_work(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, advance_task);

    error_clear(&db->task_err);
    if (db->follower && !db->is_released)
        (void)advance_checked(db, &db->task_err); /* done() looks at task_err */
}

void database_task_failed(struct database *db, const char *what)
{
    if (db->task_err.code == ERR_CANCELED || db->is_closing)
        return;
    if (db->task_err.code == ERR_BUSY) {
        db->busy_total++;
        return;
    }
    if (db->task_err.code == ERR_WRONG_STATE || db->task_err.code == ERR_IO ||
        db->task_err.code == ERR_CORRUPT) {
        database_reopen(db, &db->task_err);
        return;
    }
    fault_note(db->engine, &db->fault, what, db->path, NULL, &db->task_err);
}

static void advance_done(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, advance_task);

    if (db->task_err.code != ERR_NONE) {
        database_task_failed(db, "log cannot be followed");
        return;
    }
    database_refresh(db);
    for (size_t i = 0; i < db->chain_count; i++) {
        if (db->chains[i].news_count)
            chain_ship_soon(&db->chains[i]);
    }
    database_consider_checkpoint(db);
}

/* ---- checkpoints ---- */

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

/* ---- what tasks learned ---- */

void database_refresh(struct database *db)
{
    struct error ignored = ERROR_INIT; /* statistics: the next task reports what is wrong */

    if (!database_is_following(db))
        return;
    uint32_t before = db->end_seen.frame;
    bool is_same_log =
        memcmp(db->end_seen.salt, follower_end(db->follower)->salt, sizeof(db->end_seen.salt)) == 0;
    db->end_seen = *follower_end(db->follower);
    if (is_same_log && db->end_seen.frame >= before)
        db->frames_total += db->end_seen.frame - before;
    else
        db->frames_total += db->end_seen.frame;
    uint64_t commits_before = db->stats_seen.commits_seen;
    IGNORE(follower_stats(db->follower, &db->stats_seen, &ignored));
    db->commits_total += db->stats_seen.commits_seen - commits_before;
    if (db->stats_seen.commits_seen > commits_before && !db->is_notified)
        db->last_commit_at_ns = env_wall_ns(db->engine->env); /* a task was first to see it */
    for (size_t i = 0; i < db->chain_count; i++) {
        struct chain *c = &db->chains[i];
        c->dirty_page_count = c->dirty.page_count + c->out.entries.count;
    }
    db->is_notified = false;
    watch_wal(db);
    database_look(db); /* what came between the note and the watch */
    if (is_shrink_worthwhile(db) && !loop_timer_is_armed(&db->shrink_timer))
        shrink_start(db);
}

/* ---- the poll ---- */

void database_poll(struct database *db)
{
    if (db->is_closing)
        return;
    if (++db->poll_count % SPACE_POLLS == 0)
        reserve_check(db);
    if (!database_is_following(db))
        return;
    if (db->poll_count % MOVED_POLLS == 0 &&
        (!watch_is_active(&db->file_watch) || db->poll_count % MOVED_POLLS_WATCHED == 0)) {
        uint64_t file_id = 0;
        struct error err = ERROR_INIT;
        if (page_map_file_id(db->path, &file_id, &err) < 0 || file_id != db->file_id)
            task_queue_push(&db->queue, &db->advance_task); /* it asks SQLite */
    }
    if (db->is_notified) {
        /* No destination could take it for a whole interval: it is noted all the same. */
        task_queue_push(&db->queue, &db->advance_task);
        return;
    }
    watch_wal(db);
    database_look(db);
}

/* ---- life ---- */

static char *work_folder_of(const struct database *db, struct error *err)
{
    char *path = page_map_path(db->path, db->meta_path, "x", err);
    char *slash = path ? strrchr(path, '/') : NULL;

    if (slash)
        *slash = '\0';
    return path;
}

static int database_init(struct database *db, const struct database_options *opt, struct error *err)
{
    struct loop *loop = db->engine->loop;

    db->opt = *opt;
    db->opt.destinations = NULL;
    task_queue_init(&db->queue, loop);
    db->open_task = (struct task){.work = open_work, .done = open_done, .urgency = TASK_NORMAL};
    db->advance_task =
        (struct task){.work = advance_work, .done = advance_done, .urgency = TASK_URGENT};
    db->checkpoint_task =
        (struct task){.work = checkpoint_work, .done = checkpoint_done, .urgency = TASK_NORMAL};
    db->shrink_task =
        (struct task){.work = shrink_work, .done = shrink_done, .urgency = TASK_BACKGROUND};
    reserve_init(db);
    db->close_task =
        (struct task){.work = close_work, .done = close_done, .urgency = TASK_BACKGROUND};
    loop_timer_init(&db->look_timer, loop, look_again, db);
    loop_timer_init(&db->retry_timer, loop, open_again, db);
    loop_timer_init(&db->checkpoint_timer, loop, checkpoint_on_timer, db);
    loop_timer_init(&db->shrink_timer, loop, shrink_start, db);
    db->checkpoint_seconds =
        (struct metrics_histogram)METRICS_HISTOGRAM_INIT(&metrics_buckets_local);
    db->claim_fd = -1;
    db->path = str_dup(opt->path, err);
    if (!db->path || (opt->meta_path && !(db->meta_path = str_dup(opt->meta_path, err))))
        return -1;
    db->work_folder = work_folder_of(db, err);
    return db->work_folder ? 0 : -1;
}

int database_new(struct engine *e, const struct database_options *opt, struct database **out,
                 struct error *err)
{
    struct database *db = mem_new(1, sizeof(*db), err);
    size_t taken = 0;
    int rc = db ? 0 : -1;

    if (db) {
        db->engine = e;
        db->chains = mem_new(opt->destination_count, sizeof(*db->chains), err);
        rc = db->chains ? database_init(db, opt, err) : -1;
    }
    for (; rc == 0 && taken < opt->destination_count; taken++) {
        db->chain_count = taken + 1; /* destroys the storage from here on */
        rc = chain_init(&db->chains[taken], db, &opt->destinations[taken], taken, err);
    }
    if (rc == 0) {
        *out = db;
        return 0;
    }
    for (size_t i = taken; i < opt->destination_count; i++)
        storage_free(opt->destinations[i].storage);
    if (db)
        database_free(db);
    return -1;
}

void database_start(struct database *db)
{
    db->state_since_ns = env_monotonic_ns(db->engine->env);
    db->poll_count = (unsigned)db->engine->db_count; /* not all ask the kernel in the same poll */
    task_queue_push(&db->queue, &db->open_task);
}

static void final_work(struct job *job)
{
    struct database *db = CONTAINER_OF(job, struct database, final_job);
    follower_close(db->follower);
}

static void final_done(struct job *job)
{
    struct database *db = CONTAINER_OF(job, struct database, final_job);

    db->follower = NULL;
    db->is_final_done = true;
    engine_check_waits(db->engine);
}

static void final_start(void *arg)
{
    struct database *db = arg;

    db->queue.on_idle = NULL;
    job_submit(db->engine->loop, &db->final_job, final_work, final_done);
}

void database_close(struct database *db)
{
    if (db->is_closing)
        return;
    db->is_closing = true;
    database_set_state(db, STATUS_DB_STOPPED, "stopping");
    watch_remove(&db->wal_watch);
    watch_remove(&db->file_watch);
    watch_remove(&db->folder_watch);
    loop_timer_stop(&db->look_timer);
    loop_timer_stop(&db->retry_timer);
    loop_timer_stop(&db->checkpoint_timer);
    loop_timer_stop(&db->shrink_timer);
    task_queue_close(&db->queue); /* first: what is only queued will not hold up the chains */
    for (size_t i = 0; i < db->chain_count; i++)
        chain_stop(&db->chains[i]);
    if (task_queue_is_idle(&db->queue)) {
        final_start(db);
        return;
    }
    db->queue.on_idle = final_start;
    db->queue.on_idle_arg = db;
}

bool database_is_closed(const struct database *db)
{
    if (!db->is_closing || !db->is_final_done)
        return false;
    for (size_t i = 0; i < db->chain_count; i++) {
        if (!chain_is_quiet(&db->chains[i]))
            return false;
    }
    return true;
}

void database_free(struct database *db)
{
    for (size_t i = 0; i < db->chain_count; i++)
        chain_destroy(&db->chains[i]);
    claim_release(db);
    free(db->chains);
    free(db->path);
    free(db->meta_path);
    free(db->work_folder);
    free(db->state_detail);
    fault_destroy(&db->fault);
    free(db);
}
