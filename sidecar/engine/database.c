/*
 * A database's life: found, opened, followed, lost, found again.
 *
 *   OPENING/ABSENT/NOT_WAL/... --open task--> FOLLOWING --moved, torn, I/O error--> closed, again
 *                                               |    ^
 *                            disk almost full   v    |   space again
 *                                             DISK_FULL (readers let go)
 *
 * What happens while it is followed: database_notice.c, database_checkpoint.c, reserve.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/database_internal.h"

static const uint64_t reopen_base_ns = 200 * NS_PER_MS;
static const uint64_t reopen_ceiling_ns = 10 * NS_PER_SEC;

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
    engine_changed(e);
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

/* ---- opening ---- */

static void folder_changed(void *arg, uint32_t events UNUSED, const char *name UNUSED)
{
    struct database *db = arg;
    struct stat st;
    struct error ignored = ERROR_INIT;

    if (!db->follower && env_stat(db->engine->env, db->path, &st, &ignored) == 0 && st.st_size > 0)
        task_queue_push(&db->queue, &db->open_task);
}

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
    if (page_map_file_id(db->engine->env, db->path, &db->file_id, &db->task_err) < 0) {
        db->file_id = 0; /* not known: only content or log can prove that the file is the same */
        error_clear(&db->task_err);
    }
    db->is_told_of_writes =
        watch_tells_of_writes(env_fs_magic(db->engine->env, follower_wal_path(db->opened)));
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
    database_notice_start(db);
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

    /* Here, not in chain_suspend(): an encoding that was queued before goes by it, to its end. */
    for (size_t i = 0; i < db->chain_count; i++)
        chain_clear_needs(&db->chains[i]);
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
    database_notice_stop(db);
    database_checkpoint_stop(db);
    for (size_t i = 0; i < db->chain_count; i++)
        chain_suspend(&db->chains[i]);
    task_queue_push(&db->queue, &db->close_task);
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
    database_notice_init(db);
    database_checkpoint_init(db);
    reserve_init(db);
    db->close_task =
        (struct task){.work = close_work, .done = close_done, .urgency = TASK_BACKGROUND};
    loop_timer_init(&db->retry_timer, loop, open_again, db);
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
    database_notice_stop(db);
    database_checkpoint_stop(db);
    watch_remove(&db->folder_watch);
    loop_timer_stop(&db->retry_timer);
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
