/*
 * The real environment (Linux system calls) and the reporting wrappers around any environment.
 */
#include "lib/base/env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/assert.h"

/* ---- the real thing: each answers >= 0 or -errno ---- */

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    int rc = clock_gettime(id, &ts);
    ASSERT(rc == 0);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static uint64_t real_wall_ns(void *ctx UNUSED)
{
    return clock_ns(CLOCK_REALTIME);
}

static uint64_t real_monotonic_ns(void *ctx UNUSED)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t real_boot_ns(void *ctx UNUSED)
{
    return clock_ns(CLOCK_BOOTTIME);
}

static void real_fill(void *ctx UNUSED, void *p, size_t n)
{
    uint8_t *at = p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        ASSERT(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
}

static int result_of(int rc)
{
    return rc < 0 ? -errno : rc;
}

static int real_open(void *ctx UNUSED, const char *path, int flags, mode_t mode)
{
    return result_of(open(path, flags | O_CLOEXEC, mode));
}

static int real_close(void *ctx UNUSED, int fd)
{
    return result_of(close(fd));
}

static ssize_t real_pread(void *ctx UNUSED, int fd, void *p, size_t n, int64_t offset)
{
    ssize_t got = pread(fd, p, n, offset);
    return got < 0 ? -errno : got;
}

static ssize_t real_pwrite(void *ctx UNUSED, int fd, const void *p, size_t n, int64_t offset)
{
    ssize_t put = pwrite(fd, p, n, offset);
    return put < 0 ? -errno : put;
}

static int real_fsync(void *ctx UNUSED, int fd)
{
    return result_of(fsync(fd));
}

static int real_fdatasync(void *ctx UNUSED, int fd)
{
    return result_of(fdatasync(fd));
}

static int real_ftruncate(void *ctx UNUSED, int fd, int64_t size)
{
    return result_of(ftruncate(fd, size));
}

static int real_fallocate(void *ctx UNUSED, int fd, int64_t size)
{
    return size > 0 ? result_of(fallocate(fd, 0, 0, size)) : 0;
}

static void real_drop_cache(void *ctx UNUSED, int fd, int64_t offset, int64_t n)
{
    (void)posix_fadvise(fd, offset, n, POSIX_FADV_DONTNEED); /* advice */
}

static int real_fstat(void *ctx UNUSED, int fd, struct stat *out)
{
    return result_of(fstat(fd, out));
}

static int real_stat(void *ctx UNUSED, const char *path, struct stat *out)
{
    return result_of(stat(path, out));
}

static int real_lstat(void *ctx UNUSED, const char *path, struct stat *out)
{
    return result_of(lstat(path, out));
}

static int real_set_mtime(void *ctx UNUSED, int fd, uint64_t mtime_ns)
{
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(mtime_ns / UINT64_C(1000000000)),
         .tv_nsec = (long)(mtime_ns % UINT64_C(1000000000))},
    };
    return result_of(futimens(fd, times));
}

static int real_rename_noreplace(void *ctx UNUSED, const char *from, const char *to)
{
    return result_of(renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE));
}

static int real_rename(void *ctx UNUSED, const char *from, const char *to)
{
    return result_of(rename(from, to));
}

static int real_link(void *ctx UNUSED, const char *from, const char *to)
{
    return result_of(link(from, to));
}

static int real_unlink(void *ctx UNUSED, const char *path)
{
    return result_of(unlink(path));
}

static int real_mkdir(void *ctx UNUSED, const char *path, mode_t mode)
{
    return result_of(mkdir(path, mode));
}

static int real_list_folder(void *ctx UNUSED, const char *path,
                            int (*on_name)(void *arg, const char *name), void *arg)
{
    DIR *folder = opendir(path);
    int rc = 0;

    if (!folder)
        return -errno;
    while (rc == 0) {
        errno = 0; /* the only way to tell the end from a failure */
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
        const struct dirent *entry = readdir(folder);
        if (!entry) {
            rc = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = on_name(arg, entry->d_name);
    }
    (void)closedir(folder); /* nothing was written through it */
    return rc;
}

static int real_fchown(void *ctx UNUSED, int fd, uid_t uid, gid_t gid)
{
    return result_of(fchown(fd, uid, gid));
}

static int real_fchmod(void *ctx UNUSED, int fd, mode_t mode)
{
    return result_of(fchmod(fd, mode));
}

static int64_t real_free_bytes(void *ctx UNUSED, const char *path, int64_t *out_total_bytes)
{
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return -errno;
    *out_total_bytes = (int64_t)(fs.f_blocks * fs.f_frsize);
    return (int64_t)(fs.f_bavail * fs.f_frsize);
}

static const struct env real = {
    .clock = {.wall_ns = real_wall_ns, .monotonic_ns = real_monotonic_ns, .boot_ns = real_boot_ns},
    .random = {.fill = real_fill},
    .file = {.open = real_open,
             .close = real_close,
             .pread = real_pread,
             .pwrite = real_pwrite,
             .fsync = real_fsync,
             .fdatasync = real_fdatasync,
             .ftruncate = real_ftruncate,
             .fallocate = real_fallocate,
             .drop_cache = real_drop_cache,
             .fstat = real_fstat,
             .stat = real_stat,
             .lstat = real_lstat,
             .set_mtime = real_set_mtime,
             .rename = real_rename,
             .rename_noreplace = real_rename_noreplace,
             .link = real_link,
             .unlink = real_unlink,
             .mkdir = real_mkdir,
             .list_folder = real_list_folder,
             .fchown = real_fchown,
             .fchmod = real_fchmod,
             .free_bytes = real_free_bytes},
};

const struct env *env_real(void)
{
    return &real;
}

/* ---- what the code calls ---- */

uint64_t env_wall_ns(const struct env *env)
{
    return env->clock.wall_ns(env->clock.ctx);
}

uint64_t env_monotonic_ns(const struct env *env)
{
    return env->clock.monotonic_ns(env->clock.ctx);
}

uint64_t env_boot_ns(const struct env *env)
{
    return env->clock.boot_ns(env->clock.ctx);
}

void env_random_fill(const struct env *env, void *p, size_t n)
{
    env->random.fill(env->random.ctx, p, n);
}

uint64_t env_random_below(const struct env *env, uint64_t limit)
{
    uint64_t v;
    ASSERT(limit > 0);
    env_random_fill(env, &v, sizeof(v));
    return v % limit;
}

/* 0, or -1 with "<what> <path>: <reason>". */
static int report(int64_t rc, const char *what, const char *path, struct error *err)
{
    return rc < 0 ? error_set_errno(err, (int)-rc, "%s %s", what, path) : 0;
}

int env_open(const struct env *env, const char *path, int flags, mode_t mode, int *out_fd,
             struct error *err)
{
    int fd = env->file.open(env->file.ctx, path, flags, mode);
    if (fd < 0)
        return report(fd, "open", path, err);
    *out_fd = fd;
    return 0;
}

int env_close(const struct env *env, int fd, const char *path, struct error *err)
{
    int rc = env->file.close(env->file.ctx, fd);
    /* Linux has closed the descriptor even when it answers EINTR. */
    return report(rc == -EINTR ? 0 : rc, "close", path, err);
}

void env_close_quietly(const struct env *env, int fd)
{
    if (fd >= 0)
        (void)env->file.close(env->file.ctx, fd); /* the failure path: nothing to lose any more */
}

/* NOLINTNEXTLINE(readability-function-size): pread() has four, the seam, the path and err join */
int env_pread(const struct env *env, int fd, void *p, size_t n, int64_t offset, const char *path,
              size_t *out_n, struct error *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = env->file.pread(env->file.ctx, fd, (uint8_t *)p + done, n - done,
                                      offset + (int64_t)done);
        if (got == -EINTR)
            continue;
        if (got < 0)
            return report(got, "read", path, err);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *out_n = done;
    return 0;
}

int env_pread_exact(const struct env *env, int fd, void *p, size_t n, int64_t offset,
                    const char *path, struct error *err)
{
    size_t got = 0;
    if (env_pread(env, fd, p, n, offset, path, &got, err) < 0)
        return -1;
    if (got != n) {
        return error_set(err, ERR_CORRUPT, 0, "%s: ends %zu bytes early at offset %lld", path,
                         n - got, (long long)offset + (long long)got);
    }
    return 0;
}

int env_pwrite(const struct env *env, int fd, const void *p, size_t n, int64_t offset,
               const char *path, struct error *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t put = env->file.pwrite(env->file.ctx, fd, (const uint8_t *)p + done, n - done,
                                       offset + (int64_t)done);
        if (put == -EINTR)
            continue;
        if (put <= 0)
            return report(put == 0 ? -EIO : put, "write", path, err);
        done += (size_t)put;
    }
    return 0;
}

int env_fsync(const struct env *env, int fd, const char *path, struct error *err)
{
    return report(env->file.fsync(env->file.ctx, fd), "fsync", path, err);
}

int env_fdatasync(const struct env *env, int fd, const char *path, struct error *err)
{
    return report(env->file.fdatasync(env->file.ctx, fd), "fdatasync", path, err);
}

int env_ftruncate(const struct env *env, int fd, int64_t size, const char *path, struct error *err)
{
    return report(env->file.ftruncate(env->file.ctx, fd, size), "truncate", path, err);
}

int env_fallocate(const struct env *env, int fd, int64_t size, const char *path, struct error *err)
{
    int rc = env->file.fallocate(env->file.ctx, fd, size);
    if (rc == -EOPNOTSUPP || rc == -ENOSYS)
        return 0;
    return report(rc, "allocate", path, err);
}

void env_drop_cache(const struct env *env, int fd, int64_t offset, int64_t n)
{
    if (env->file.drop_cache)
        env->file.drop_cache(env->file.ctx, fd, offset, n);
}

int env_fstat(const struct env *env, int fd, const char *path, struct stat *out, struct error *err)
{
    return report(env->file.fstat(env->file.ctx, fd, out), "stat", path, err);
}

int env_stat(const struct env *env, const char *path, struct stat *out, struct error *err)
{
    return report(env->file.stat(env->file.ctx, path, out), "stat", path, err);
}

int env_lstat(const struct env *env, const char *path, struct stat *out, struct error *err)
{
    return report(env->file.lstat(env->file.ctx, path, out), "stat", path, err);
}

int env_set_mtime(const struct env *env, int fd, uint64_t mtime_ns, const char *path,
                  struct error *err)
{
    return report(env->file.set_mtime(env->file.ctx, fd, mtime_ns), "set time of", path, err);
}

int env_exists(const struct env *env, const char *path, bool *out_exists, struct error *err)
{
    struct stat st;
    int rc = env->file.stat(env->file.ctx, path, &st);
    if (rc < 0 && rc != -ENOENT && rc != -ENOTDIR)
        return report(rc, "stat", path, err);
    *out_exists = rc >= 0;
    return 0;
}

int env_rename(const struct env *env, const char *from, const char *to, struct error *err)
{
    int rc = env->file.rename(env->file.ctx, from, to);
    return rc < 0 ? error_set_errno(err, -rc, "rename %s to %s", from, to) : 0;
}

int env_rename_noreplace(const struct env *env, const char *from, const char *to, struct error *err)
{
    int rc = env->file.rename_noreplace(env->file.ctx, from, to);
    /* EINVAL: the file system does not know the flag. */
    return rc < 0 ? error_set_errno(err, rc == -EINVAL ? EOPNOTSUPP : -rc,
                                    "rename without replacing %s to %s", from, to)
                  : 0;
}

int env_link(const struct env *env, const char *from, const char *to, struct error *err)
{
    int rc = env->file.link(env->file.ctx, from, to);
    return rc < 0 ? error_set_errno(err, -rc, "link %s to %s", from, to) : 0;
}

int env_unlink(const struct env *env, const char *path, struct error *err)
{
    int rc = env->file.unlink(env->file.ctx, path);
    return report(rc == -ENOENT ? 0 : rc, "remove", path, err);
}

int env_mkdir(const struct env *env, const char *path, mode_t mode, bool *out_is_new,
              struct error *err)
{
    int rc = env->file.mkdir(env->file.ctx, path, mode);
    if (rc < 0 && rc != -EEXIST)
        return report(rc, "create folder", path, err);
    *out_is_new = rc >= 0;
    return 0;
}

struct folder_listing {
    int (*on_name)(void *arg, const char *name, struct error *err);
    void *arg;
    struct error *err;
    bool was_stopped; /* by on_name, which has filled err */
};

static int folder_on_name(void *arg, const char *name)
{
    struct folder_listing *l = arg;
    if (l->on_name(l->arg, name, l->err) >= 0)
        return 0;
    l->was_stopped = true;
    return -ECANCELED;
}

int env_list_folder(const struct env *env, const char *path,
                    int (*on_name)(void *arg, const char *name, struct error *err), void *arg,
                    struct error *err)
{
    struct folder_listing l = {.on_name = on_name, .arg = arg, .err = err};
    int rc = env->file.list_folder(env->file.ctx, path, folder_on_name, &l);

    return l.was_stopped ? -1 : report(rc, "list folder", path, err);
}

int env_mkdir_all(const struct env *env, const char *path, mode_t mode, struct error *err)
{
    char part[PATH_MAX];
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof(part))
        return error_set(err, ERR_USAGE, 0, "\"%.200s\" is not a usable path", path);
    memcpy(part, path, n + 1);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char kept = *p;
        *p = '\0';
        int rc = env->file.mkdir(env->file.ctx, part, mode);
        struct stat st;
        if (rc < 0 && !(env->file.stat(env->file.ctx, part, &st) >= 0 && S_ISDIR(st.st_mode)))
            return report(rc, "create folder", part, err);
        *p = kept;
        if (kept == '\0')
            return 0;
    }
}

int env_fchown(const struct env *env, int fd, uid_t uid, gid_t gid, const char *path,
               struct error *err)
{
    return report(env->file.fchown(env->file.ctx, fd, uid, gid), "chown", path, err);
}

int env_fchmod(const struct env *env, int fd, mode_t mode, const char *path, struct error *err)
{
    return report(env->file.fchmod(env->file.ctx, fd, mode), "chmod", path, err);
}

int env_fsync_folder(const struct env *env, const char *folder, struct error *err)
{
    int fd = -1;
    if (env_open(env, folder, O_RDONLY | O_DIRECTORY, 0, &fd, err) < 0)
        return -1;
    int rc = env_fsync(env, fd, folder, err);
    if (rc < 0) {
        env_close_quietly(env, fd);
        return -1;
    }
    return env_close(env, fd, folder, err);
}

int env_fsync_parent(const struct env *env, const char *path, struct error *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (!slash)
        return env_fsync_folder(env, ".", err);
    if (slash == path)
        return env_fsync_folder(env, "/", err);
    int n = snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    if (n < 0 || (size_t)n >= sizeof(folder))
        return error_set(err, ERR_USAGE, 0, "path is too long: %.200s", path);
    return env_fsync_folder(env, folder, err);
}

int env_free_bytes(const struct env *env, const char *path, uint64_t *out_free, uint64_t *out_total,
                   struct error *err)
{
    int64_t total = 0;
    int64_t rc = env->file.free_bytes(env->file.ctx, path, &total);
    if (rc < 0)
        return report(rc, "statvfs", path, err);
    *out_free = (uint64_t)rc;
    *out_total = (uint64_t)total;
    return 0;
}

int env_lock(const struct env *env, int fd, int command, struct flock *lock)
{
    if (env->file.lock)
        return env->file.lock(env->file.ctx, fd, command, lock);
    return result_of(fcntl(fd, command, lock));
}

int env_resolve(const struct env *env, const char *path, char **out)
{
    char *resolved =
        env->file.resolve ? env->file.resolve(env->file.ctx, path) : realpath(path, NULL);

    if (!resolved)
        return -errno;
    *out = resolved;
    return 0;
}

int64_t env_fs_magic(const struct env *env, const char *path)
{
    struct statfs fs;

    if (env->file.fs_magic)
        return env->file.fs_magic(env->file.ctx, path);
    if (statfs(path, &fs) < 0)
        return -errno;
    return (int64_t)(uint32_t)fs.f_type;
}

int env_identity(const struct env *env, const char *path, struct env_identity *out)
{
    struct statx st = {0};

    if (env->file.identity)
        return env->file.identity(env->file.ctx, path, out);
    if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &st) < 0)
        return -errno;
    *out = (struct env_identity){.ino = st.stx_ino};
    if (st.stx_mask & STATX_BTIME) {
        out->born_s = (uint64_t)st.stx_btime.tv_sec;
        out->born_ns = st.stx_btime.tv_nsec;
    }
    return 0;
}

int env_watch(const struct env *env, int inotify_fd, const char *path, uint32_t mask)
{
    if (env->file.watch)
        return env->file.watch(env->file.ctx, inotify_fd, path, mask);
    return result_of(inotify_add_watch(inotify_fd, path, mask));
}
