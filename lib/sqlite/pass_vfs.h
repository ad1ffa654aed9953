/*
 * A VFS of SQLite in front of another one, through which everything passes: what is common to all
 * that stand in SQLite's way to its files and look at, count or spoil some of its operations.
 *
 * A file handle is the front's struct and the file of the VFS below, in one piece of memory that
 * SQLite makes (szOsFile bytes):
 *
 *     struct my_file {
 *         struct pass_file pass;      first
 *         ...                         what the front remembers of the file
 *     };
 *     the file of the VFS below
 *
 * The front copies pass_vfs_methods, replaces the methods that it has something to do in, and lets
 * the rest pass. Each method passes its arguments and the result on as they are.
 *
 *     static sqlite3_io_methods methods;
 *     methods = pass_vfs_methods;
 *     methods.xRead = my_read;
 *     pass_vfs_make(&vfs, sqlite3_vfs_find(NULL), "mine", sizeof(struct my_file));
 *     vfs.xOpen = my_open;            which calls pass_vfs_open()
 *     sqlite3_vfs_register(&vfs, 0);
 *
 * Threads: pass_vfs_make() before others start. A file belongs to its connection.
 * Source: SQLite's "The SQLite OS Interface or VFS" (https://www.sqlite.org/vfs.html).
 */
#ifndef WALFERRY_LIB_SQLITE_PASS_VFS_H
#define WALFERRY_LIB_SQLITE_PASS_VFS_H

#include <sqlite3.h>
#include <stddef.h>

struct pass_file {
    sqlite3_file base;  /* what SQLite sees */
    sqlite3_file *real; /* of the VFS below */
};

/* Methods that pass everything on. Constant; version 3 (shared memory, mapped pages). */
extern const sqlite3_io_methods pass_vfs_methods;

/* The file of the VFS below. file: one that pass_vfs_open() has begun. */
sqlite3_file *pass_vfs_real(sqlite3_file *file);

/*
 * Fills in a VFS of this name in front of `real`: a copy of it with other sizes. Its functions are
 * those of `real`, which must not look at which struct they are called on (SQLite's own do not);
 * xOpen must be replaced. Not registered yet.
 *
 * name        borrowed as long as the VFS is registered
 * file_bytes  size of the front's file struct
 */
void pass_vfs_make(sqlite3_vfs *out, sqlite3_vfs *real, const char *name, size_t file_bytes);

/*
 * What the front's xOpen does: opens the file of the VFS below behind the front's own struct, whose
 * `pass` it fills in; the rest of that struct is the caller's, before or after. Arguments and result
 * as those of xOpen; SQLite calls xClose exactly if there are methods, so they are set exactly if
 * the VFS below has set its own.
 *
 * methods  the front's; borrowed as long as the file is open
 */
int pass_vfs_open(sqlite3_vfs *real, const char *name, struct pass_file *file, size_t file_bytes,
                  const sqlite3_io_methods *methods, int flags, int *out_flags);

#endif
