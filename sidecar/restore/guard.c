/*
 * The look before a restore and the swap after it. The steps of the swap are in guard.h.
 *
 * SQLite's locks on a database file (os_unix.c), in the page that holds no content:
 *
 *   0x40000000        1  PENDING
 *   0x40000001        1  RESERVED
 *   0x40000002      510  SHARED: held for reading by every connection in WAL mode
 *
 * They are asked for as an open-file-description lock would be, so that locks of this process count
 * too; kernels without those answer for other processes only. Asking takes no lock, but the
 * descriptor must be opened and closed for it, which drops POSIX locks that this process itself
 * holds on the file: nobody restores over a database that he has open.
 */
#include "sidecar/restore/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/sqlite/db_header.h"

enum {
    LOCK_BYTES = 512, /* PENDING, RESERVED and SHARED */
};

/* Companions of a database. What is kept matters to an old database that has to stay after all. */
static const struct companion {
    const char *suffix;
    bool is_kept;
} companions[] = {{"-wal", true}, {"-journal", true}, {"-shm", false}};

/* ---- looking ---- */

void guard_destroy(struct guard *g)
{
    free(g->path);
    *g = (struct guard){0};
}

int guard_look(const struct env *env, const char *path, struct guard *out, struct error *err)
{
    CLEANUP(guard_destroy) struct guard g = {.env = env};
    bool is_there = false;

    if (env_exists(env, path, &is_there, err) < 0)
        return -1;
    /* SQLite names -wal after the file that a link points to, and rename would replace the link. */
    CLEANUP(mem_free) char *resolved = NULL;
    int resolve_rc = is_there ? env_resolve(env, path, &resolved) : 0;
    if (resolve_rc < 0)
        return error_set_errno(err, -resolve_rc, "resolve %s", path);
    g.path = str_dup(resolved ? resolved : path, err);
    if (!g.path || (is_there && env_stat(env, g.path, &g.old, err) < 0))
        return -1;
    if (is_there && !S_ISREG(g.old.st_mode)) {
        return error_set(err, ERR_USAGE, 0, "%s is %s, not a file", path,
                         S_ISDIR(g.old.st_mode) ? "a folder" : "a device");
    }
    g.is_there = is_there && g.old.st_size > 0;
    g.is_empty = is_there && g.old.st_size == 0;
    *out = g;
    g = (struct guard){0};
    return 0;
}

/* 1: a lock is held, *out_pid tells by whom (-1: not known); 0: none; -errno. */
static int lock_ask(const struct guard *g, int fd, int command, pid_t *out_pid)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = DB_PENDING_BYTE, .l_len = LOCK_BYTES};

    int rc = env_lock(g->env, fd, command, &lock);
    if (rc < 0)
        return rc;
    *out_pid = lock.l_pid;
    return lock.l_type != F_UNLCK;
}

int guard_check_unlocked(const struct guard *g, struct error *err)
{
    pid_t pid = -1;
    int fd = -1;

    if (!g->is_there && !g->is_empty)
        return 0;
    if (env_open(g->env, g->path, O_RDONLY, 0, &fd, err) < 0)
        return -1;
    int rc = lock_ask(g, fd, F_OFD_GETLK, &pid);
    if (rc == -EINVAL)
        rc = lock_ask(g, fd, F_GETLK, &pid);
    env_close_quietly(g->env, fd); /* nothing was written through it */
    if (rc < 0)
        return error_set_errno(err, -rc, "look at the locks of %s", g->path);
    if (rc == 0)
        return 0;
    if (pid > 0)
        (void)error_set(err, ERR_BUSY, 0, "%s is open in process %d", g->path, (int)pid);
    else
        (void)error_set(err, ERR_BUSY, 0, "%s is open in another process", g->path);
    return error_hint(err, "stop the application (and its replication) before restoring over it");
}

/* Writes path and suffix into out; the caller frees. */
static char *path_with(const char *path, const char *suffix, struct error *err)
{
    return str_printf(err, "%s%s", path, suffix);
}

static int remove_suffixed(const struct guard *g, const char *suffix, struct error *err)
{
    CLEANUP(mem_free) char *path = path_with(g->path, suffix, err);
    return path ? env_unlink(g->env, path, err) : -1;
}

/* A lock on byte 0, which SQLite never locks. */
static struct flock temp_lock(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
}

int guard_lock_temp(const struct env *env, int fd, const char *temp_path, struct error *err)
{
    struct flock lock = temp_lock();
    int rc = env_lock(env, fd, F_OFD_SETLK, &lock);

    if (rc >= 0 || rc == -EINVAL || rc == -ENOLCK)
        return 0; /* a kernel or file system without such locks: guard_swap() compares inodes */
    return error_set(err, ERR_BUSY, -rc, "another restore is writing %s", temp_path);
}

/* ERR_BUSY if "<path>.tmp" belongs to a living restore. */
static int check_no_restore(const struct guard *g, struct error *err)
{
    CLEANUP(mem_free) char *temp = path_with(g->path, ".tmp", err);
    struct flock lock = temp_lock();
    int fd = -1;

    if (!temp)
        return -1;
    if (env_open(g->env, temp, O_RDONLY | O_NOFOLLOW, 0, &fd, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    bool is_held = env_lock(g->env, fd, F_OFD_GETLK, &lock) >= 0 && lock.l_type != F_UNLCK;
    env_close_quietly(g->env, fd); /* nothing was written through it */
    return is_held ? error_set(err, ERR_BUSY, 0, "another restore is writing %s", temp) : 0;
}

int guard_remove_leftovers(const struct guard *g, struct error *err)
{
    static const char *const suffixes[] = {".tmp",     ".tmp-wal",     ".tmp-shm", ".tmp-journal",
                                           ".old-wal", ".old-journal", ".old-shm"};

    if (check_no_restore(g, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (remove_suffixed(g, suffixes[i], err) < 0)
            return error_wrap(err, "leftover of a restore that ended early");
    }
    return 0;
}

/* ---- owner and mode ---- */

/* The folder of path; the caller frees. */
static char *folder_of(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return str_dup(".", err);
    return slash == path ? str_dup("/", err) : str_printf(err, "%.*s", (int)(slash - path), path);
}

int guard_apply_owner(const struct guard *g, int fd, const char *temp_path, struct error *err)
{
    bool has_old = g->is_there || g->is_empty;
    struct stat want = g->old;
    struct stat have;

    if (!has_old && geteuid() != 0)
        return 0; /* as it was created: 0644 less the umask */
    if (env_fstat(g->env, fd, temp_path, &have, err) < 0)
        return -1;
    if (!has_old) {
        CLEANUP(mem_free) char *folder = folder_of(g->path, err);
        if (!folder || env_stat(g->env, folder, &want, err) < 0)
            return -1;
        want.st_mode = 0600 | (want.st_mode & 066);
    }
    if ((have.st_uid != want.st_uid || have.st_gid != want.st_gid) &&
        env_fchown(g->env, fd, want.st_uid, want.st_gid, temp_path, err) < 0) {
        (void)error_wrap(err, "the restored file would not belong to %u:%u", (unsigned)want.st_uid,
                         (unsigned)want.st_gid);
        return error_hint(err, "restore as the user that owns the database, or as root");
    }
    return env_fchmod(g->env, fd, want.st_mode & 07777, temp_path, err);
}

/* ---- the swap ---- */

/* Renames "<path><suffix>" if it exists; *io_is_moved says whether it did. */
static int rename_if_there(const struct env *env, const char *from, const char *to, bool *out_moved,
                           struct error *err)
{
    *out_moved = false;
    if (env_rename(env, from, to, err) == 0) {
        *out_moved = true;
        return 0;
    }
    if (err->code != ERR_NOT_FOUND)
        return -1;
    error_clear(err);
    return 0;
}

/* Moves companions aside (or back). The first failure ends it, unless it goes back. */
static int companions_move(const struct guard *g, bool is_back, bool *out_any, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(companions); i++) {
        CLEANUP(mem_free) char *name = path_with(g->path, companions[i].suffix, err);
        CLEANUP(mem_free)
        char *aside = name ? str_printf(err, "%s.old%s", g->path, companions[i].suffix) : NULL;
        bool is_moved = false;
        if (!aside)
            return -1;
        if (!companions[i].is_kept) {
            if (!is_back && env_unlink(g->env, name, err) < 0)
                return -1;
            continue;
        }
        int rc =
            rename_if_there(g->env, is_back ? aside : name, is_back ? name : aside, &is_moved, err);
        if (rc < 0 && !is_back)
            return -1;
        *out_any |= is_moved;
    }
    return 0;
}

static int companions_drop(const struct guard *g, struct error *err)
{
    static const char *const suffixes[] = {".old-wal", ".old-journal"};

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (remove_suffixed(g, suffixes[i], err) < 0)
            return -1;
    }
    return 0;
}

/* Step 3 where nothing may be replaced. */
static int name_take_new(const struct guard *g, const char *temp_path, struct error *err)
{
    struct error unlinked = ERROR_INIT;

    if (env_link(g->env, temp_path, g->path, err) == 0) {
        /* The database is in place; its second name is a leftover that the next restore removes. */
        if (env_unlink(g->env, temp_path, &unlinked) < 0)
            error_clear(&unlinked);
        return 0;
    }
    if (err->code == ERR_EXISTS) {
        (void)error_set(err, ERR_EXISTS, EEXIST, "%s appeared while it was being restored",
                        g->path);
        return error_hint(err, "something else made it: start the application after the restore");
    }
    /* A file system without hard links: look, then rename. */
    bool is_there = false;
    if (env_exists(g->env, g->path, &is_there, err) < 0)
        return -1;
    if (is_there) {
        return error_set(err, ERR_EXISTS, EEXIST, "%s appeared while it was being restored",
                         g->path);
    }
    return env_rename(g->env, temp_path, g->path, err);
}

/* Step 1: both files are still what they were, and nobody uses the old one. */
static int check_again(const struct guard *g, const char *temp_path, int temp_fd, struct error *err)
{
    struct guard now = {0};
    struct stat ours;
    struct stat named;

    if (env_fstat(g->env, temp_fd, temp_path, &ours, err) < 0 ||
        env_stat(g->env, temp_path, &named, err) < 0)
        return -1;
    if (ours.st_ino != named.st_ino || ours.st_dev != named.st_dev)
        return error_set(err, ERR_BUSY, 0, "another restore has replaced %s", temp_path);

    if (!g->is_there && !g->is_empty)
        return 0; /* step 3 refuses whatever has appeared */
    if (guard_look(g->env, g->path, &now, err) < 0)
        return -1;
    bool has_grown = g->is_empty && now.is_there;
    guard_destroy(&now);
    if (has_grown)
        return error_set(err, ERR_EXISTS, EEXIST, "%s was empty and is not any more", g->path);
    return guard_check_unlocked(g, err);
}

int guard_swap(const struct guard *g, const char *temp_path, int temp_fd, struct error *err)
{
    struct error undo = ERROR_INIT;
    bool has_moved = false;
    bool has_old = g->is_there || g->is_empty;

    if (check_again(g, temp_path, temp_fd, err) < 0)
        return -1;
    int rc = companions_move(g, false, &has_moved, err);
    if (rc == 0 && has_moved)
        rc = env_fsync_parent(g->env, g->path, err);
    if (rc == 0) {
        rc = has_old ? env_rename(g->env, temp_path, g->path, err)
                     : name_take_new(g, temp_path, err);
    }
    if (rc < 0) {
        /* Best effort: what cannot be moved back stays beside as ".old-wal". */
        if (companions_move(g, true, &has_moved, &undo) < 0)
            error_clear(&undo);
        return -1;
    }
    if (env_fsync_parent(g->env, g->path, err) < 0)
        return error_wrap(err, "%s is in place", g->path);
    /* A leftover costs space only; the next restore removes it. */
    if (companions_drop(g, &undo) < 0)
        error_clear(&undo);
    return 0;
}
