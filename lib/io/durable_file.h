/*
 * The one door for files that must survive a crash: written beside their place under another name,
 * synced, and put into place in one step. Whoever looks sees the old file or the new one, whole.
 *
 *     CLEANUP(durable_file_abort) struct durable_file f = DURABLE_FILE_INIT;
 *     if (durable_file_begin(&f, env, path, NULL, err) < 0 ||
 *         durable_file_append(&f, bytes, err) < 0 || durable_file_commit(&f, err) < 0) return -1;
 *
 * or, for content that is in memory, file_commit(). Until the commit answers, nothing is at the
 * path but what was there before; on failure the temporary file is removed.
 *
 * All functions block: call them on a worker. Threads: one at a time per struct. Writers of the
 * same path at the same time need different temporary names.
 */
#ifndef WALFERRY_LIB_IO_DURABLE_FILE_H
#define WALFERRY_LIB_IO_DURABLE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/base/base.h"

struct durable_file_options {
    const char *temp_path;   /* in the same folder; NULL: "<path>.tmp" */
    mode_t mode;             /* permissions; 0: 0644. Exact: the umask does not apply */
    const struct stat *like; /* take mode and owner from here instead; NULL: owner is ours */
    uint64_t bytes; /* make it so long at begin, blocks reserved: a full disk shows at once */
    bool is_new;    /* commit refuses with ERR_EXISTS if the path names something */
};

struct durable_file {
    const struct env *env;
    char *path;
    char *temp_path;
    int fd;         /* the temporary file, for env_pwrite() and env_pread() */
    uint64_t bytes; /* where durable_file_append() writes next */
    bool is_new;
};

#define DURABLE_FILE_INIT {.fd = -1}

/*
 * Creates the temporary file. One of the same name that a dead process left is removed first.
 * options may be NULL. ERR_NOT_FOUND (no such folder), ERR_ACCESS, ERR_NO_SPACE, ERR_NO_MEMORY,
 * ERR_IO; f needs no abort then.
 */
MUST_USE int durable_file_begin(struct durable_file *f, const struct env *env, const char *path,
                                const struct durable_file_options *options, struct error *err);

/* Adds bytes at the end of what was appended so far. ERR_NO_SPACE, ERR_IO. */
MUST_USE int durable_file_append(struct durable_file *f, struct slice bytes, struct error *err);

/* Writes bytes at any offset, for files that are not written from front to back. */
MUST_USE int durable_file_write_at(struct durable_file *f, struct slice bytes, uint64_t offset,
                                   struct error *err);

/*
 * fsync, close, rename (or link when is_new), fsync of the folder. f is empty afterwards, whether
 * that worked or not. On failure the old file is in place, with one exception that the text tells:
 * when only the fsync of the folder failed the new file is in place, but a crash may undo it.
 * ERR_EXISTS (is_new only), ERR_NO_SPACE, ERR_ACCESS, ERR_IO.
 */
MUST_USE int durable_file_commit(struct durable_file *f, struct error *err);

/* Removes the temporary file. Accepts DURABLE_FILE_INIT, and what was committed: then nothing. */
void durable_file_abort(struct durable_file *f);

/* begin, append and commit in one. */
MUST_USE int file_commit(const struct env *env, const char *path, struct slice content,
                         const struct durable_file_options *options, struct error *err);

#endif
