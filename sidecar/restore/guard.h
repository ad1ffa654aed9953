/*
 * What a restore must not destroy: the look before it begins, and the swap at its end.
 *
 * The swap never pairs the new database with a log of the old one. In order:
 *   1. nobody has the old database open (asked again: a restore takes long)
 *   2. its -wal and -journal are moved aside ("<path>.old-wal"), its -shm is removed, and the
 *      folder is synced
 *   3. the new file takes the name: rename(2) over an old one, link(2) where there must be none
 *   4. the folder is synced, what was moved aside is removed
 * When step 3 fails, step 2 is undone and the old database is as it was. When the process dies
 * between 2 and 3, the old database is there without the transactions of its log (they lie in
 * "<path>.old-wal" until the next restore): only under -force, which gave them up.
 *
 * An empty file (0 bytes) counts as no database: SQLite makes one by merely opening.
 * Threads: any, one restore at a time per path.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_GUARD_H
#define WALFERRY_SIDECAR_RESTORE_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/base/base.h"

/* What lies at the output. */
struct guard {
    const struct env *env;
    char *path;      /* owned; symbolic links of an existing file are resolved */
    bool is_there;   /* a database, that is, not empty */
    bool is_empty;   /* a file of 0 bytes */
    struct stat old; /* of the file, if is_there or is_empty */
};

/*
 * Looks. ERR_USAGE: a folder or another thing that is no file; ERR_ACCESS, ERR_IO, ERR_NO_MEMORY.
 * A path whose folder does not exist is simply not there.
 */
MUST_USE int guard_look(const struct env *env, const char *path, struct guard *out,
                        struct error *err);
void guard_destroy(struct guard *g);

/* ERR_BUSY if any process (this one too) holds SQLite's locks on the file: in WAL mode every open
 * connection that has read once does. Nothing there: 0. */
MUST_USE int guard_check_unlocked(const struct guard *g, struct error *err);

/*
 * Removes what a dead restore left: "<path>.tmp" (and what SQLite put beside it), ".old-*".
 * ERR_BUSY if a living restore is writing there.
 */
MUST_USE int guard_remove_leftovers(const struct guard *g, struct error *err);

/* Marks the temporary file as that of a living restore, until fd is closed. ERR_BUSY. */
MUST_USE int guard_lock_temp(const struct env *env, int fd, const char *temp_path,
                             struct error *err);

/*
 * Gives the new file, created with mode 0644 less the umask, owner, group and mode of the old one.
 * Without an old one it stays as it is; but root gives it the owner of the folder, and group and
 * others are allowed what the folder allows them. ERR_ACCESS with a hint if we may not give it
 * away.
 */
MUST_USE int guard_apply_owner(const struct guard *g, int fd, const char *temp_path,
                               struct error *err);

/*
 * Swaps temp_path in, see above. temp_path is synced, temp_fd is open on it.
 * ERR_EXISTS: nothing was there at guard_look(), but is now. ERR_BUSY: also when temp_path is not
 * our file any more. ERR_IO, ERR_ACCESS, ...
 */
MUST_USE int guard_swap(const struct guard *g, const char *temp_path, int temp_fd,
                        struct error *err);

#endif
