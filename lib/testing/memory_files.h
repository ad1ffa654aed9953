/*
 * A file system in the memory of this process, behind the seam of lib/base/env.h: for simulations,
 * in which most of the time would else be the kernel's. It answers as Linux does, as far as SQLite
 * and we ask: files, folders, hard links, names that change, files that live on without a name,
 * locks of both kinds, files mapped in pieces, and watches.
 *
 * One a process. Names that do not begin with "/" are below MEMORY_FILES_HOME. Descriptors are
 * numbers from MEMORY_FILES_FD on, so that one that reaches the kernel by mistake is refused there.
 *
 * Watches are the kernel's (inotify): whatever is watched has a real file as its double, to which
 * happens what happens here, so events come in the kernel's order and way.
 *
 * What it leaves out: rights (the process is root), times but the one that is set, symbolic links,
 * folders that are renamed.
 *
 * Threads: one. Failures of allocation fail the test.
 */
#ifndef WALFERRY_LIB_TESTING_MEMORY_FILES_H
#define WALFERRY_LIB_TESTING_MEMORY_FILES_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"

#define MEMORY_FILES_HOME "/sim"

enum {
    MEMORY_FILES_FD = 1 << 20,
    MEMORY_FILES_FDS_MAX = 1024,
    MEMORY_FILES_PIECE_BYTES = 32768, /* how files are mapped: SQLite's region of a wal-index */
};

/* The operations, to be put into an environment; their ctx is not looked at. Constant. */
const struct env_file *memory_files(void);

/*
 * Everything is gone; the home and /tmp are there. No descriptor may be open. doubles: where a folder
 * of the kernel's is made when something is watched; memory_files_end() removes it. Borrowed.
 */
void memory_files_begin(const char *doubles);
void memory_files_end(void);

/*
 * The bytes of an open file at an offset that is a multiple of MEMORY_FILES_PIECE_BYTES, one piece
 * of them: shared by all who ask, valid while the file has a name or is open.
 */
void *memory_files_map(int fd, int64_t offset);

/* Whether the path names something. */
bool memory_files_exist(const char *path);

/* A whole file, the caller's to free; fails the test if there is none. */
uint8_t *memory_files_read(const char *path, size_t *out_n);

/* Removes the path and everything below it; nothing if there is none. */
void memory_files_remove(const char *path);

/* Copies a folder with everything in it to a path that names nothing. */
void memory_files_copy(const char *from, const char *to);

#endif
