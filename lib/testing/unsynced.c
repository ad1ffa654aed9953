/*
 * A set of inodes. A write puts one in, a sync takes it out; a new name puts its folder in.
 */
#include "lib/testing/unsynced.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/testing/test.h"

static const struct env_file *real_file(void)
{
    return &env_real()->file;
}

/* ---- the set; REQUIRES(u->mu) ---- */

static size_t find(const struct unsynced *u, ino_t inode)
{
    size_t i = 0;

    while (i < u->count && u->inode[i] != inode)
        i++;
    return i;
}

static bool has(const struct unsynced *u, ino_t inode)
{
    return find(u, inode) < u->count;
}

static void add(struct unsynced *u, ino_t inode)
{
    if (has(u, inode))
        return;
    ASSERT(u->count < UNSYNCED_MAX);
    u->inode[u->count++] = inode;
}

static void drop(struct unsynced *u, ino_t inode)
{
    if (has(u, inode))
        u->inode[find(u, inode)] = u->inode[--u->count];
}

/* ---- bytes ---- */

static void fd_note(struct unsynced *u, int fd, void (*change)(struct unsynced *u, ino_t inode))
{
    struct stat st;

    ASSERT(fstat(fd, &st) == 0);
    (void)pthread_mutex_lock(&u->mu); /* a plain mutex: cannot fail */
    change(u, st.st_ino);
    (void)pthread_mutex_unlock(&u->mu);
}

static ssize_t unsynced_pwrite(void *ctx, int fd, const void *p, size_t n, int64_t offset)
{
    fd_note(ctx, fd, add);
    return real_file()->pwrite(NULL, fd, p, n, offset);
}

static int unsynced_ftruncate(void *ctx, int fd, int64_t size)
{
    fd_note(ctx, fd, add);
    return real_file()->ftruncate(NULL, fd, size);
}

static int unsynced_fsync(void *ctx, int fd)
{
    int rc = real_file()->fsync(NULL, fd);
    if (rc == 0)
        fd_note(ctx, fd, drop);
    return rc;
}

static int unsynced_fdatasync(void *ctx, int fd)
{
    int rc = real_file()->fdatasync(NULL, fd);
    if (rc == 0)
        fd_note(ctx, fd, drop);
    return rc;
}

/* A file without a name is nobody's loss. */
static int unsynced_close(void *ctx, int fd)
{
    struct stat st;

    ASSERT(fstat(fd, &st) == 0);
    if (st.st_nlink == 0)
        fd_note(ctx, fd, drop);
    return real_file()->close(NULL, fd);
}

/* ---- names ---- */

static void folder_stat(const char *path, struct stat *out)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int n = slash == path || !slash
                ? snprintf(folder, sizeof(folder), "%s", slash ? "/" : ".")
                : snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);

    ASSERT(n > 0 && (size_t)n < sizeof(folder));
    ASSERT(stat(folder, out) == 0);
}

/* path has got a name of its own; file: what it names, NULL for a folder. */
static void name_note(struct unsynced *u, const struct stat *file, const char *path)
{
    struct stat folder;

    folder_stat(path, &folder);
    (void)pthread_mutex_lock(&u->mu); /* as above */
    u->early_names += file && (has(u, file->st_ino) || has(u, folder.st_ino));
    add(u, folder.st_ino);
    (void)pthread_mutex_unlock(&u->mu);
}

static int name_give(struct unsynced *u, const char *from, const char *to,
                     int (*give)(void *ctx, const char *from, const char *to))
{
    struct stat file;
    bool is_there = lstat(from, &file) == 0;
    int rc = give(NULL, from, to);

    if (rc == 0 && is_there)
        name_note(u, &file, to);
    return rc;
}

static int unsynced_rename(void *ctx, const char *from, const char *to)
{
    return name_give(ctx, from, to, real_file()->rename);
}

static int unsynced_rename_noreplace(void *ctx, const char *from, const char *to)
{
    return name_give(ctx, from, to, real_file()->rename_noreplace);
}

static int unsynced_link(void *ctx, const char *from, const char *to)
{
    return name_give(ctx, from, to, real_file()->link);
}

static int unsynced_mkdir(void *ctx, const char *path, mode_t mode)
{
    int rc = real_file()->mkdir(NULL, path, mode);
    if (rc == 0)
        name_note(ctx, NULL, path);
    return rc;
}

/* As with close. */
static int unsynced_unlink(void *ctx, const char *path)
{
    struct unsynced *u = ctx;
    struct stat st;
    bool is_last = lstat(path, &st) == 0 && st.st_nlink == 1;
    int rc = real_file()->unlink(NULL, path);

    if (rc == 0 && is_last) {
        (void)pthread_mutex_lock(&u->mu); /* as above */
        drop(u, st.st_ino);
        (void)pthread_mutex_unlock(&u->mu);
    }
    return rc;
}

/* ---- life ---- */

void unsynced_init(struct unsynced *u)
{
    *u = (struct unsynced){.env = *env_real()};
    ASSERT(pthread_mutex_init(&u->mu, NULL) == 0);
    u->env.file.close = unsynced_close;
    u->env.file.pwrite = unsynced_pwrite;
    u->env.file.ftruncate = unsynced_ftruncate;
    u->env.file.fsync = unsynced_fsync;
    u->env.file.fdatasync = unsynced_fdatasync;
    u->env.file.rename = unsynced_rename;
    u->env.file.rename_noreplace = unsynced_rename_noreplace;
    u->env.file.link = unsynced_link;
    u->env.file.mkdir = unsynced_mkdir;
    u->env.file.unlink = unsynced_unlink;
    u->env.file.ctx = u;
}

size_t unsynced_count(struct unsynced *u)
{
    (void)pthread_mutex_lock(&u->mu); /* as above */
    size_t count = u->count;
    (void)pthread_mutex_unlock(&u->mu);
    return count;
}

unsigned unsynced_early_names(struct unsynced *u)
{
    (void)pthread_mutex_lock(&u->mu); /* as above */
    unsigned count = u->early_names;
    (void)pthread_mutex_unlock(&u->mu);
    return count;
}
