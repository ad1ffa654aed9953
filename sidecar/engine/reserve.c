/*
 * The reserve of free disk space: below it the application's writes come first. Our readers are let
 * go, so that the application can cut its log; once there is space again (a quarter more than the
 * reserve), the log is taken up and the database compared with the maps.
 *
 * Free space is asked once for all databases of a file system: a thousand databases on one volume
 * need not ask a thousand times.
 */
#include "sidecar/engine/engine_internal.h"

static const uint64_t space_interval_ns = 5 * NS_PER_SEC;

/* The place for a file system: its own, or that of the one that was asked the longest ago. */
static struct disk *disk_of(struct engine *e, dev_t device)
{
    struct disk *oldest = &e->disks[0];

    for (size_t i = 0; i < ARRAY_LEN(e->disks); i++) {
        struct disk *d = &e->disks[i];
        if (d->asked_ns && d->device == device)
            return d;
        if (d->asked_ns < oldest->asked_ns)
            oldest = d;
    }
    *oldest = (struct disk){.device = device};
    return oldest;
}

static int free_bytes_ask(struct engine *e, dev_t device, const char *path, uint64_t *out_bytes,
                          struct error *err)
{
    uint64_t now = env_monotonic_ns(e->env);
    struct disk *d = disk_of(e, device);
    uint64_t total = 0;

    if (!d->asked_ns || now - d->asked_ns >= space_interval_ns) {
        if (env_free_bytes(e->env, path, &d->free_bytes, &total, err) < 0) {
            d->asked_ns = 0;
            return -1;
        }
        d->asked_ns = now;
    }
    *out_bytes = d->free_bytes;
    return 0;
}

/* ---- letting go, and taking up again ---- */

static void release_work(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, release_task);

    error_clear(&db->task_err);
    if (!db->follower)
        return;
    if (!db->is_released) {
        follower_release(db->follower);
        database_mark_unproven(db);
        return;
    }
    IGNORE(follower_reacquire(db->follower, &db->task_err)); /* done() looks at task_err */
}

static void release_done(struct task *task)
{
    struct database *db = CONTAINER_OF(task, struct database, release_task);

    if (db->task_err.code != ERR_NONE) {
        database_task_failed(db, "taking up the log again");
        return;
    }
    db->is_released = !db->is_released;
    if (db->is_released) {
        watch_remove(&db->wal_watch);
        database_set_state(db, STATUS_DB_DISK_FULL,
                           "free disk space is below the reserve: the log is left to the "
                           "application, and the database will be compared afterwards");
        return;
    }
    database_set_state(db, STATUS_DB_FOLLOWING, "");
    database_refresh(db);
    for (size_t i = 0; i < db->chain_count; i++)
        chain_commit_noticed(&db->chains[i]);
}

void reserve_check(struct database *db)
{
    struct error ignored = ERROR_INIT; /* asked again soon; opening reports what is wrong */

    if (!db->follower || task_is_pending(&db->release_task) || task_is_pending(&db->close_task))
        return;
    if (free_bytes_ask(db->engine, db->device, db->path, &db->disk_free_bytes, &ignored) < 0)
        return;
    uint64_t enough = db->opt.reserve_bytes + db->opt.reserve_bytes / 4;
    bool is_low = db->disk_free_bytes < db->opt.reserve_bytes;
    bool is_well = db->disk_free_bytes >= enough;
    if ((!db->is_released && is_low && !db->pin_holder) || (db->is_released && is_well))
        task_queue_push(&db->queue, &db->release_task);
}

void reserve_init(struct database *db)
{
    db->release_task =
        (struct task){.work = release_work, .done = release_done, .urgency = TASK_URGENT};
}
