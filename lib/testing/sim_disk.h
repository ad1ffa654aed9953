/*
 * The files of a machine in a simulation: a folder of memory_files.h, with faults in front of them
 * and a journal of what a crash of the machine may take back.
 *
 * A crash takes back, of what was not synced:
 *   - any of the writes, whole or some of their sectors (lost and torn writes), in any combination
 *   - the newest changes of names (create, rename, link, unlink), so many as luck says: file
 *     systems keep their order
 * fsync of a file makes its writes durable, fsync of a folder the names. SQLite's files are written
 * through sim_vfs.h, which tells what it writes; for these names are durable at once.
 *
 * Threads: one.
 */
#ifndef WALFERRY_LIB_TESTING_SIM_DISK_H
#define WALFERRY_LIB_TESTING_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/testing/sim.h"

struct sim_undo;

struct sim_disk {
    struct sim *sim;
    char folder[200];       /* as it was given: relative, so that no path of the machine shows */
    char whole_folder[200]; /* as SQLite calls it */
    bool is_journaled;      /* false: crashes take nothing back, and cost less */
    bool is_low;            /* almost full, as statvfs() tells it */
    struct sim_undo *undo;  /* newest first */
    unsigned backup_count;  /* files kept for names that may come back */
};

/* A machine's disk, empty: its folder is made. */
void sim_disk_begin(struct sim_disk *d, struct sim *sim, const char *folder, bool is_journaled);

/* Removes the folder and everything in it. */
void sim_disk_end(struct sim_disk *d);

/* Another disk takes its place, empty. */
void sim_disk_wipe(struct sim_disk *d);

/* Fills in p->env.file. */
void sim_disk_env(struct sim_process *p);

/* The machine stops: what was not synced is lost as luck says. No process has a file open. */
void sim_disk_crash(struct sim_disk *d);

/* Everything is durable now. */
void sim_disk_settle(struct sim_disk *d);

/*
 * For sim_vfs.h, which alone may read SQLite's files (closing another descriptor of them would drop
 * all locks of this process): old are the bytes at offset of a file of size bytes, which are about
 * to be replaced, or (is_cut) to be cut off. And: the file was synced.
 */
void sim_disk_before(struct sim_disk *d, const char *path, ino_t ino, bool is_cut, int64_t offset,
                     struct slice old, int64_t size);
void sim_disk_synced(struct sim_disk *d, ino_t ino);

/* Replaces the content of folder `to` by that of `from`: a volume's snapshot. Nobody may have a
 * file of either open. */
void sim_disk_copy(const char *from, const char *to);

#endif
