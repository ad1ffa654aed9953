/*
 * Scans, and scans again: inotify on the top folder wakes us (a quarter of a second later, since
 * files come in groups); a timer finds what inotify cannot see (subfolders, lost events), or all of
 * it while the kernel has no watch for us.
 */
#include "sidecar/command/directory.h"

#include <stdlib.h>
#include <string.h>

#include "lib/config/dir_scan.h"
#include "lib/io/watch.h"
#include "sidecar/command/live.h"

static const uint64_t settle_ns = 250 * NS_PER_MS;
static const uint64_t rescan_ns = 30 * NS_PER_SEC;

struct directory {
    struct replication *r;
    const struct config_db *entry; /* inside the configuration */
    struct watch *watch;
    struct watch_entry folder;
    struct loop_timer timer;
    struct directory *next;
    struct log_repeat repeat;
    struct log_repeat watch_repeat;
};

static bool is_known(void *arg, const char *path, const struct stat *st UNUSED)
{
    const struct replication *r = arg;
    return engine_has_database(r->engine, path);
}

static int scan(struct replication *r, const struct config_db *entry, size_t *out_found,
                struct error *err)
{
    CLEANUP(dir_scan_destroy) struct dir_scan found = {.dbs = NULL};
    const struct dir_scan_guard guard = {.is_known = is_known, .arg = r};

    if (dir_scan(loop_env(r->loop), entry, &guard, &found, err) < 0)
        return -1;
    for (size_t i = 0; i < found.db_count; i++) {
        if (register_conflicts(r, &found.dbs[i], err) < 0 ||
            replicate_add(r, &found.dbs[i], err) < 0)
            return -1;
        live_pace(r, found.dbs[i].path);
    }
    *out_found = found.db_count + found.known_count;
    return 0;
}

static void folder_changed(void *arg, uint32_t events UNUSED, const char *name UNUSED)
{
    struct directory *d = arg;
    loop_timer_start(&d->timer, settle_ns);
}

/* Without a watch the timer finds what is new, and it is tried again. */
static int folder_watch(struct directory *d, struct error *err)
{
    uint64_t count = 0;

    if (watch_is_active(&d->folder) ||
        watch_add(d->watch, &d->folder, d->entry->dir, IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE,
                  folder_changed, d, err) == 0)
        return 0;
    if (err->code != ERR_LIMIT)
        return -1;
    if (log_repeat_is_due(&d->watch_repeat, err, env_monotonic_ns(loop_env(d->r->loop)), &count)) {
        LOG_WARN(d->r->log, "new databases are found by scanning only, each half minute",
                 LOG_STR("dir", d->entry->dir), LOG_ERR(err), LOG_STR("hint", err->hint),
                 LOG_U64("count", count));
    }
    error_clear(err);
    return 0;
}

static void scan_again(void *arg)
{
    struct directory *d = arg;
    struct error err = ERROR_INIT;
    size_t found = 0;
    uint64_t count = 0;

    if (scan(d->r, d->entry, &found, &err) < 0 &&
        log_repeat_is_due(&d->repeat, &err, env_monotonic_ns(loop_env(d->r->loop)), &count)) {
        LOG_ERROR(d->r->log, "folder cannot be scanned", LOG_STR("dir", d->entry->dir),
                  LOG_ERR(&err), LOG_U64("count", count));
    }
    IGNORE(folder_watch(d, &err)); /* of a folder that is away the scan tells */
    loop_timer_start(&d->timer, rescan_ns);
}

static int directory_watch(struct replication *r, const struct config_db *entry, struct error *err)
{
    struct directory *d = mem_new(1, sizeof(*d), err);

    if (!d)
        return -1;
    d->r = r;
    d->entry = entry;
    d->next = r->directories;
    r->directories = d;
    loop_timer_init(&d->timer, r->loop, scan_again, d);
    loop_timer_start(&d->timer, rescan_ns);
    if (watch_new(r->loop, &d->watch, err) < 0 || folder_watch(d, err) < 0)
        return error_wrap(err, "dir %s", entry->dir);
    return 0;
}

int directory_add(struct replication *r, const struct config_db *entry, struct error *err)
{
    size_t found = 0;

    if (entry->is_watched && directory_watch(r, entry, err) < 0)
        return -1;
    if (scan(r, entry, &found, err) < 0)
        return error_wrap(err, "dir %s", entry->dir);
    if (found == 0 && !entry->is_watched) {
        return error_set(err, ERR_USAGE, 0, "dir %s: no database matches \"%s\"", entry->dir,
                         entry->pattern);
    }
    return 0;
}

void directory_stop(struct replication *r)
{
    while (r->directories) {
        struct directory *d = r->directories;
        r->directories = d->next;
        loop_timer_stop(&d->timer);
        watch_remove(&d->folder);
        watch_free(d->watch);
        free(d);
    }
}
