/*
 * A thin VFS in front of SQLite's own: everything passes through, and each connection's shared
 * memory locks are written down on their way. SQLite chooses a reader's slot by itself and tells
 * nobody; what follows from a slot (follow.h) must be known, not assumed.
 *
 * It is also where tests make SQLite's I/O fail: see lock_vfs_inject().
 *
 * Threads: registration before others start. A file belongs to its connection. Faults are for
 * single-threaded tests.
 * Sources: SQLite's "OS Interface" documentation; os_unix.c for the lock bytes (120 + n).
 */
#ifndef WALFERRY_SIDECAR_ENGINE_LOCK_VFS_H
#define WALFERRY_SIDECAR_ENGINE_LOCK_VFS_H

#include <sqlite3.h>
#include <stdbool.h>

#include "lib/base/base.h"

/* The name under which sqlite3_open_v2() finds it. */
#define LOCK_VFS_NAME "walferry"

/*
 * Registers the VFS in front of the default one, which stays the default. Once per process; further
 * calls do nothing. ERR_NO_MEMORY; ERR_WRONG_STATE if SQLite has no default VFS.
 */
MUST_USE int lock_vfs_register(struct error *err);

/*
 * Puts the VFS in front of the one of this name instead (NULL: the default one). While no
 * connection is open. For tests and the simulation. Errors as above.
 */
MUST_USE int lock_vfs_stand_on(const char *vfs_name, struct error *err);

/*
 * The reader slot whose lock the connection of this file holds: 0..4, or -1.
 * file: the database file of a connection opened with LOCK_VFS_NAME (SQLITE_FCNTL_FILE_POINTER).
 */
int lock_vfs_slot(const sqlite3_file *file);

/* Whether the connection of this file holds the write lock of the log. */
bool lock_vfs_holds_writer(const sqlite3_file *file);

/*
 * From now on the file is synced each time so many bytes were written to it (0: never by itself);
 * what was written before does not count. A sync that fails is the failure of the write it follows.
 */
void lock_vfs_sync_each(sqlite3_file *file, uint64_t bytes);

/* Operations that can be made to fail. */
enum lock_vfs_op {
    LOCK_VFS_READ,
    LOCK_VFS_WRITE,
    LOCK_VFS_TRUNCATE,
    LOCK_VFS_SYNC,
    LOCK_VFS_SHM_MAP,
    LOCK_VFS_SHM_LOCK,
};

/*
 * From now on `skip` calls of op work, the following `count` fail with the SQLite result rc, and
 * later ones work again. One fault at a time; count 0 ends it. Only for tests.
 */
void lock_vfs_inject(enum lock_vfs_op op, unsigned skip, unsigned count, int rc);

/* How many calls were made to fail since the last lock_vfs_inject(). */
unsigned lock_vfs_injected_count(void);

#endif
