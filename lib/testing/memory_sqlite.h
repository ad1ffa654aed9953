/*
 * SQLite on files in memory (memory_files.h): its own VFS for Unix, with all that it does about
 * locks, shared memory and names, whose system calls are answered by memory_files() instead of the
 * kernel. Its fsync(2) is no such call: whoever stands in front of that VFS must not pass xSync on.
 *
 * Threads: as memory_files.h.
 */
#ifndef WALFERRY_LIB_TESTING_MEMORY_SQLITE_H
#define WALFERRY_LIB_TESTING_MEMORY_SQLITE_H

#include <sqlite3.h>

/* From now on, for the whole process. unix_vfs: sqlite3_vfs_find("unix"). Before any file of it is
 * open. Fails the test where SQLite does not know one of the calls. */
void memory_sqlite_begin(sqlite3_vfs *unix_vfs);

#endif
