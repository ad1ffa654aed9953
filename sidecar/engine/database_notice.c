/*
 * Noticing what was committed, and noting it although no destination takes it.
 *
 * Noticing a commit. inotify on the -wal file wakes us when a frame is written, which is *before*
 * the commit: with synchronous=FULL the header moves only after the fsync, without another event.
 * So after a wake-up the header is looked at again after 0.1, 0.3, 1, 3, 10 and 30 ms. A poll at
 * each monitor-interval is the net behind that. Both ask follower_look(), some 35 ns.
 *
 * Rest. Of a thousand databases that nobody writes to, each look is at memory that is in no cache, a
 * microsecond. So one that is calm is looked at by each tenth poll only, as long as all of this holds:
 *
 *   - its file system tells of every write (watch_tells_of_writes()), the watch is on, and the -wal
 *     file still has its name: whoever commits must write a frame there, and that ends the rest
 *   - for ten polls there was no event and no task: whatever was written has had time to be published
 *     by a slow fsync
 *   - nothing was committed that was not noted, the header is whole, and our holder sits on slot 0: it
 *     is in nobody's way, so no checkpoint can wait for it, and the log needs no room
 *
 * Where events get lost all the same, a commit is noticed after ten polls instead of one.
 *
 * While a change is noticed and waits for sync-interval, the watch is off: a busy application
 * would wake us for every page. The task that notes the change puts it back, and looks.
 *
 * The poll also asks whether a checkpoint of the application waits for our reader (step_aside.c).
 * Nothing tells of that, so it waits for a monitor-interval at most; a RESTART that waits for a
 * second time is noticed at once.
 */
#include <string.h>

#include "sidecar/engine/database_internal.h"

/* The file that is watched may have lost its name: by unlink() or rename(). */
static const uint32_t wal_renamed = IN_ATTRIB | IN_MOVE_SELF;

static const uint64_t relook_ns[] = {100 * NS_PER_US, 300 * NS_PER_US, 1 * NS_PER_MS,
                                     3 * NS_PER_MS,   10 * NS_PER_MS,  30 * NS_PER_MS};

static const uint64_t aside_again_ns = 10 * NS_PER_MS;

static const uint64_t rest_interval_ns_max = NS_PER_SEC; /* whoever wants fewer polls has them */

enum {
    /* Polls between two questions whether the path still names our file; rarer where the kernel
     * would tell. */
    MOVED_POLLS = 10,
    MOVED_POLLS_WATCHED = 60,
    SPACE_POLLS = 5, /* polls between two looks at the free space */
    CALM_POLLS = 10, /* without an event: then it rests */
    REST_POLLS = 10, /* polls between two looks at a database that rests */
};

static_assert(MOVED_POLLS % REST_POLLS == 0 && MOVED_POLLS_WATCHED % REST_POLLS == 0 &&
                  REST_POLLS % SPACE_POLLS == 0,
              "whoever rests is asked for the rest in the polls that look at it");

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

/* Something happens here: every poll looks for a while. */
static void rest_end(struct database *db)
{
    db->is_resting = false;
    db->calm_polls = 0;
}

static bool can_rest(const struct database *db)
{
    return db->calm_polls >= CALM_POLLS && db->is_told_of_writes &&
           watch_is_active(&db->wal_watch) && !db->is_notified && !db->torn_since_ns &&
           db->stats_seen.holder_slot == 0 && db->engine->poll_interval_ns <= rest_interval_ns_max;
}

static void watch_wal(struct database *db)
{
    struct engine *e = db->engine;
    struct error err = ERROR_INIT;
    uint64_t count = 0;

    if (!database_is_following(db) || watch_is_active(&db->wal_watch))
        return;
    rest_end(db); /* what was written before is not told, and may be published yet */
    if (watch_add(e->watch, &db->wal_watch, follower_wal_path(db->follower),
                  IN_MODIFY | wal_renamed, wal_changed, db, &err) == 0)
        return;
    /* Not there yet, or no more watches: the poll finds every change, and this is tried again. */
    if (err.code == ERR_LIMIT &&
        log_repeat_is_due(&e->watch_repeat, &err, env_monotonic_ns(e->env), &count)) {
        LOG_WARN(e->log, "commits are noticed by the poll only, each monitor-interval",
                 LOG_STR("db", db->path), LOG_ERR(&err), LOG_STR("hint", err.hint),
                 LOG_U64("count", count));
    }
}

static void commit_notice(struct database *db)
{
    rest_end(db);
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

static void wal_changed(void *arg, uint32_t events, const char *name UNUSED)
{
    struct database *db = arg;

    rest_end(db);
    if (events & wal_renamed) {
        watch_remove(&db->wal_watch);
        watch_wal(db);
    }
    db->look_step = 0;
    look_again(db);
}

static void file_changed(void *arg, uint32_t events UNUSED, const char *name UNUSED)
{
    struct database *db = arg;

    if (database_is_following(db))
        task_queue_push(&db->queue, &db->advance_task);
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
    int rc = db->is_stepping_aside
                 ? follower_step_aside(db->follower, database_note, db, &db->task_result, err)
                 : follower_advance(db->follower, database_note, db, &db->task_result, err);
    if (rc < 0)
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

static void advance_done(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, advance_task);

    if (db->is_stepping_aside && !db->is_closing)
        loop_timer_start(&db->aside_timer, aside_again_ns);
    db->is_stepping_aside = false;
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

/* ---- stepping aside ---- */

static void aside_consider(void *arg)
{
    struct database *db = arg;

    /* Nobody else may have the follower; a task that has it looks again by itself. */
    if (db->is_closing || !database_is_following(db) || !task_queue_is_idle(&db->queue) ||
        !follower_is_in_the_way(db->follower))
        return;
    db->is_stepping_aside = true;
    task_queue_push(&db->queue, &db->advance_task);
}

/* ---- what tasks learned ---- */

void database_refresh(struct database *db)
{
    struct error ignored = ERROR_INIT; /* statistics: the next task reports what is wrong */

    rest_end(db);
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
        c->dirty_page_count = c->dirty.page_count + c->out.page_count;
    }
    db->is_notified = false;
    watch_wal(db);
    database_look(db); /* what came between the note and the watch */
    database_consider_shrink(db);
}

/* ---- the poll ---- */

void database_poll(struct database *db)
{
    if (db->is_closing || (++db->poll_count % REST_POLLS != 0 && db->is_resting))
        return;
    db->is_resting = false;
    if (db->poll_count % SPACE_POLLS == 0)
        reserve_check(db);
    if (!database_is_following(db))
        return;
    if (db->poll_count % MOVED_POLLS == 0 &&
        (!watch_is_active(&db->file_watch) || db->poll_count % MOVED_POLLS_WATCHED == 0)) {
        uint64_t file_id = 0;
        struct error err = ERROR_INIT;
        if (page_map_file_id(db->engine->env, db->path, &file_id, &err) < 0 ||
            file_id != db->file_id)
            task_queue_push(&db->queue, &db->advance_task); /* it asks SQLite */
    }
    aside_consider(db);
    if (db->is_notified) {
        /* No destination could take it for a whole interval: it is noted all the same. */
        task_queue_push(&db->queue, &db->advance_task);
        return;
    }
    watch_wal(db);
    database_look(db);
    db->calm_polls++;
    db->is_resting = can_rest(db);
}

/* ---- life ---- */

void database_notice_init(struct database *db)
{
    db->advance_task =
        (struct task){.work = advance_work, .done = advance_done, .urgency = TASK_URGENT};
    loop_timer_init(&db->look_timer, db->engine->loop, look_again, db);
    loop_timer_init(&db->aside_timer, db->engine->loop, aside_consider, db);
}

void database_notice_start(struct database *db)
{
    struct error ignored = ERROR_INIT; /* the poll asks too */

    IGNORE(watch_add(db->engine->watch, &db->file_watch, db->path,
                     IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB, file_changed, db, &ignored));
    watch_wal(db);
    database_refresh(db);
}

void database_notice_stop(struct database *db)
{
    watch_remove(&db->wal_watch);
    watch_remove(&db->file_watch);
    loop_timer_stop(&db->look_timer);
    loop_timer_stop(&db->aside_timer);
}
