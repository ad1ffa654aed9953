/*
 * The seams: everything in which two runs of the same code can differ. A `struct env` is made once
 * in main() by env_real() and handed to constructors as `const struct env *`; the simulation hands
 * in its own. lib/base/env.c is the only file that calls clock_gettime, getrandom, open, fsync,
 * rename and their kin; the linter bans them elsewhere.
 *
 * (The fourth seam, the exchange with object stores, is the interface of lib/storage/storage.h.)
 *
 * The tables hold raw operations that answer like system calls do in the kernel: a result >= 0, or
 * -errno. The env_*() functions below are what the code calls: they report by struct error, with
 * the path in the text. All are thread-safe as far as their arguments are.
 */
#ifndef WALFERRY_LIB_BASE_ENV_H
#define WALFERRY_LIB_BASE_ENV_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/base/attr.h"
#include "lib/base/error.h"

struct env_clock {
    uint64_t (*wall_ns)(void *ctx);      /* moment since 1970; may jump */
    uint64_t (*monotonic_ns)(void *ctx); /* stops in suspend; for delays and durations */
    uint64_t (*boot_ns)(void *ctx);      /* goes on in suspend; for expiry of ownership */
    /*
     * Lets time pass until monotonic_ns() has reached ns, or until something happens before. NULL
     * in the real thing, where time passes by itself. In a simulation it passes here only: a loop
     * (lib/io/loop.h) that has nothing due calls it instead of waiting in the kernel.
     */
    void (*wait_until)(void *ctx, uint64_t ns);
    void *ctx;
};

struct env_random {
    void (*fill)(void *ctx, void *p, size_t n);
    void *ctx;
};

/* Tells a file from all that had, have or will have its name or its inode number. */
struct env_identity {
    uint64_t ino;
    uint64_t born_s; /* when it was made; 0: the file system does not tell */
    uint32_t born_ns;
};

struct env_file {
    int (*open)(void *ctx, const char *path, int flags, mode_t mode);
    int (*close)(void *ctx, int fd);
    ssize_t (*pread)(void *ctx, int fd, void *p, size_t n, int64_t offset);
    ssize_t (*pwrite)(void *ctx, int fd, const void *p, size_t n, int64_t offset);
    int (*fsync)(void *ctx, int fd);
    int (*fdatasync)(void *ctx, int fd);
    int (*ftruncate)(void *ctx, int fd, int64_t size);
    int (*fallocate)(void *ctx, int fd, int64_t size);
    /* Advice, so without a result. NULL: nothing to do here. */
    void (*drop_cache)(void *ctx, int fd, int64_t offset, int64_t n);
    int (*fstat)(void *ctx, int fd, struct stat *out);
    int (*stat)(void *ctx, const char *path, struct stat *out);
    int (*lstat)(void *ctx, const char *path, struct stat *out);
    int (*set_mtime)(void *ctx, int fd, uint64_t mtime_ns);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*rename_noreplace)(void *ctx, const char *from, const char *to);
    int (*link)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *path);
    int (*mkdir)(void *ctx, const char *path, mode_t mode);
    /* Stops when on_name answers other than 0, which is then the result (negative: -errno). */
    int (*list_folder)(void *ctx, const char *path, int (*on_name)(void *arg, const char *name),
                       void *arg);
    int (*fchown)(void *ctx, int fd, uid_t uid, gid_t gid);
    int (*fchmod)(void *ctx, int fd, mode_t mode);
    int64_t (*free_bytes)(void *ctx, const char *path, int64_t *out_total_bytes);
    /* The next ones are NULL where the kernel is asked. */
    int (*lock)(void *ctx, int fd, int command, struct flock *lock);
    char *(*resolve)(void *ctx, const char *path); /* as realpath() answers */
    int64_t (*fs_magic)(void *ctx, const char *path);
    int (*identity)(void *ctx, const char *path, struct env_identity *out);
    int (*watch)(void *ctx, int inotify_fd, const char *path, uint32_t mask);
    void *ctx;
};

struct env {
    struct env_clock clock;
    struct env_random random;
    struct env_file file;
};

/* The real thing: Linux. Constant; valid for ever. */
const struct env *env_real(void);

/* Moments and times in nanoseconds, see struct env_clock. */
uint64_t env_wall_ns(const struct env *env);
uint64_t env_monotonic_ns(const struct env *env);
uint64_t env_boot_ns(const struct env *env);

/* Fills p with n unpredictable bytes (never fails: the process aborts if the kernel has none). */
void env_random_fill(const struct env *env, void *p, size_t n);

/* A number below limit (> 0), for jitter: not for secrets. */
uint64_t env_random_below(const struct env *env, uint64_t limit);

/*
 * Files. Each reports by the code of its errno (ERR_NOT_FOUND, ERR_EXISTS, ERR_NO_SPACE, ...) and
 * names the operation and the path. O_CLOEXEC is added to flags.
 */
MUST_USE int env_open(const struct env *env, const char *path, int flags, mode_t mode, int *out_fd,
                      struct error *err);
/* Closing can lose data: checked on the way to success, env_close_quietly() on the failure path. */
MUST_USE int env_close(const struct env *env, int fd, const char *path, struct error *err);
void env_close_quietly(const struct env *env, int fd);

/* Reads until n bytes or the end of the file; *out_n tells how many. Restarts after signals. */
MUST_USE int env_pread(const struct env *env, int fd, void *p, size_t n, int64_t offset,
                       const char *path, size_t *out_n, struct error *err);
/* Exactly n bytes; the end of the file before is ERR_CORRUPT. */
MUST_USE int env_pread_exact(const struct env *env, int fd, void *p, size_t n, int64_t offset,
                             const char *path, struct error *err);
/* All n bytes or an error. */
MUST_USE int env_pwrite(const struct env *env, int fd, const void *p, size_t n, int64_t offset,
                        const char *path, struct error *err);
MUST_USE int env_fsync(const struct env *env, int fd, const char *path, struct error *err);
MUST_USE int env_fdatasync(const struct env *env, int fd, const char *path, struct error *err);
MUST_USE int env_ftruncate(const struct env *env, int fd, int64_t size, const char *path,
                           struct error *err);
/* Reserves blocks for size bytes so that later writes cannot meet a full disk. A file system that
 * cannot do it (ERR_UNSUPPORTED at the kernel) counts as success. */
MUST_USE int env_fallocate(const struct env *env, int fd, int64_t size, const char *path,
                           struct error *err);
/* The n bytes from offset on will not be read again: what of them is in the page cache, and on disk
 * as well, may leave it. Advice. */
void env_drop_cache(const struct env *env, int fd, int64_t offset, int64_t n);
MUST_USE int env_fstat(const struct env *env, int fd, const char *path, struct stat *out,
                       struct error *err);
MUST_USE int env_stat(const struct env *env, const char *path, struct stat *out, struct error *err);
/* As env_stat(), of a symbolic link itself. */
MUST_USE int env_lstat(const struct env *env, const char *path, struct stat *out,
                       struct error *err);
/* Sets the modification time, a moment since 1970 in nanoseconds; the access time stays. */
MUST_USE int env_set_mtime(const struct env *env, int fd, uint64_t mtime_ns, const char *path,
                           struct error *err);
/* True if the path names something; false on ERR_NOT_FOUND; other failures are errors. */
MUST_USE int env_exists(const struct env *env, const char *path, bool *out_exists,
                        struct error *err);
MUST_USE int env_rename(const struct env *env, const char *from, const char *to, struct error *err);
/* As env_rename(), but a taken name is ERR_EXISTS; ERR_UNSUPPORTED where the file system cannot. */
MUST_USE int env_rename_noreplace(const struct env *env, const char *from, const char *to,
                                  struct error *err);
MUST_USE int env_link(const struct env *env, const char *from, const char *to, struct error *err);
/* A path that is already gone counts as success. */
MUST_USE int env_unlink(const struct env *env, const char *path, struct error *err);
/*
 * Creates one folder; *out_is_new tells whether it was missing. Whatever else has the name counts
 * as there.
 */
MUST_USE int env_mkdir(const struct env *env, const char *path, mode_t mode, bool *out_is_new,
                       struct error *err);
/*
 * Calls on_name for each entry of a folder but "." and "..", in no particular order; the name is
 * borrowed for the call. -1 with err filled ends the listing with that error.
 */
MUST_USE int env_list_folder(const struct env *env, const char *path,
                             int (*on_name)(void *arg, const char *name, struct error *err),
                             void *arg, struct error *err);
/* Creates the folder and its missing parents; one that is there counts as success. */
MUST_USE int env_mkdir_all(const struct env *env, const char *path, mode_t mode, struct error *err);
MUST_USE int env_fchown(const struct env *env, int fd, uid_t uid, gid_t gid, const char *path,
                        struct error *err);
MUST_USE int env_fchmod(const struct env *env, int fd, mode_t mode, const char *path,
                        struct error *err);
/* Makes entries of the folder durable (open, fsync, close). */
MUST_USE int env_fsync_folder(const struct env *env, const char *folder, struct error *err);
/* As env_fsync_folder() on the folder that contains path. */
MUST_USE int env_fsync_parent(const struct env *env, const char *path, struct error *err);
/* Bytes that an unprivileged process may still write on path's file system, and its size. */
MUST_USE int env_free_bytes(const struct env *env, const char *path, uint64_t *out_free,
                            uint64_t *out_total, struct error *err);

/*
 * Rare ones, whose callers branch on the answer. They answer a result >= 0 or -errno, as the kernel
 * does.
 */
/* fcntl(2) with one of the commands about locks. */
MUST_USE int env_lock(const struct env *env, int fd, int command, struct flock *lock);
/* realpath(3): *out is the caller's to free. */
MUST_USE int env_resolve(const struct env *env, const char *path, char **out);
/* The number of the kind of file system that path lies on (statfs(2)). */
MUST_USE int64_t env_fs_magic(const struct env *env, const char *path);
/* Who the file is (statx(2)). */
MUST_USE int env_identity(const struct env *env, const char *path, struct env_identity *out);
/* inotify_add_watch(2): the number of the watch. */
MUST_USE int env_watch(const struct env *env, int inotify_fd, const char *path, uint32_t mask);

#endif
