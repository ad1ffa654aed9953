/*
 * Directory mode: which databases lie in a folder. A database is a regular file (or a symbolic
 * link to one) whose name fits the entry's pattern (fnmatch; a leading dot is nothing special) and
 * whose first 16 bytes are "SQLite format 3\0"; an empty file is not one yet. "-wal", "-shm" and
 * "-journal" files and the state folders ".NAME-litestream", ".NAME-walferry" are passed over;
 * links to folders are not followed. A file found under several names (links) counts once, under
 * its first name that is not a symbolic link.
 *
 * The header check opens and closes the file. That is forbidden for a database that this process
 * has open through SQLite: closing any descriptor of it drops all POSIX locks of the process. So
 * each candidate is shown to is_known() first, with its stat (a link or a second name of an open
 * database has the same st_dev and st_ino), and is left unopened when that answers true. Call this
 * before anything is open, or with a guard that knows everything that is.
 *
 * What vanishes during the scan is passed over. What cannot be read is an error: a database that
 * is overlooked would have no backup and nobody would know.
 *
 * Threads: any, since it only reads; it blocks on the disk, so it belongs into a job. The guard is
 * called on the same thread.
 */
#ifndef WALFERRY_LIB_CONFIG_DIR_SCAN_H
#define WALFERRY_LIB_CONFIG_DIR_SCAN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "lib/base/base.h"
#include "lib/config/config.h"

enum {
    DIR_SCAN_DBS_MAX = 20000,
    DIR_SCAN_ENTRIES_MAX = 2000000, /* looked at in one scan */
    DIR_SCAN_DEPTH_MAX = 32,
};

struct dir_scan_guard {
    /* Whether the file is a database that this process has open; then it is not touched. */
    bool (*is_known)(void *arg, const char *path, const struct stat *st);
    void *arg;
};

struct dir_scan {
    struct config_db *dbs; /* found and not known, ordered by path */
    size_t db_count;
    size_t known_count; /* candidates that is_known() answered for */
};

/*
 * Looks through entry->dir. Each database found becomes a copy of entry, see dir_scan_derive().
 * guard may be NULL when nothing is open yet. out is zeroed first.
 * ERR_NOT_FOUND: the folder is not there. ERR_LIMIT: more than the limits above, or deeper. ERR_IO,
 * ERR_ACCESS, ERR_NO_MEMORY.
 */
MUST_USE int dir_scan(const struct env *env, const struct config_db *entry,
                      const struct dir_scan_guard *guard, struct dir_scan *out, struct error *err);

/* Frees what was found. Accepts zeroed. */
void dir_scan_destroy(struct dir_scan *s);

/*
 * The entry's copy for one database below its dir, without looking at the file (for events of
 * inotify): path set, dir and pattern gone, meta_path derived
 * (<meta-path>/<folders>/.NAME-walferry, <meta-dir>/<relative path>-walferry, or beside the
 * database), and "/<relative path>" added to the path of each replica. The caller destroys out.
 * ERR_USAGE: path is not below dir; ERR_NO_MEMORY. Source of the derived names: Litestream 0.5.18
 * cmd/litestream/main.go (newDBFromDirectoryEntry), whose folders of state end in "-litestream".
 */
MUST_USE int dir_scan_derive(const struct config_db *entry, const char *path, struct config_db *out,
                             struct error *err);

/*
 * Whether a file's name (without folders) could be that of a database of the entry: it fits the
 * pattern and is none of SQLite's side files.
 */
bool dir_scan_name_fits(const struct config_db *entry, const char *name);

#endif
