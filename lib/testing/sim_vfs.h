/*
 * SQLite in a simulation: a VFS over the real one that knows which process each file handle belongs
 * to (sim_now_running() at open), lets a dead process do nothing, makes operations fail, tells the
 * disk what is not synced, lets others go on between two operations, and takes time and randomness
 * from the world.
 *
 * It is the default VFS and stands below the engine's own (sidecar/engine/lock_vfs.h), so both the
 * application's and the engine's connections go through it. Below it is SQLite's own, with its
 * locks and shared memory, on files in memory (memory_sqlite.h).
 *
 * Where others may go on: before each write, sync, truncation and lock, and between the two copies
 * of a wal-index header (xShmBarrier). So a commit is not one step for anybody who looks.
 */
#ifndef WALFERRY_LIB_TESTING_SIM_VFS_H
#define WALFERRY_LIB_TESTING_SIM_VFS_H

#define SIM_VFS_NAME "sim"

/* Once a process, after SQLite was set up: makes it the default VFS. Fails the test on failure. */
void sim_vfs_register(void);

/* A world begins: SQLite's generator starts anew from the world's luck. */
void sim_vfs_begin(void);

#endif
