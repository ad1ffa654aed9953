/*
 * Durable files. What happens, and what a crash after each step leaves:
 *
 *   1. begin    remove a leftover of the temporary name, create it anew (O_EXCL: never through a
 *               link somebody else put there), set owner and mode, length and blocks
 *   2. append   write                                            crash: old file + temporary file
 *   3. commit   fsync the temporary file, close it               crash: the same
 *   4.          rename it onto the path (or link(2) it, which refuses an existing path, and remove
 *               the temporary name)                              crash: old or new file, whole
 *   5.          fsync the folder                                 crash: new file
 *
 * A leftover must be removed and not truncated: after a crash within step 4 of a link it is a
 * second name of the committed file.
 */
#include "lib/io/durable_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static const mode_t durable_file_mode_default = 0644;

static void durable_file_forget(struct durable_file *f)
{
    free(f->path);
    free(f->temp_path);
    *f = (struct durable_file)DURABLE_FILE_INIT;
}

void durable_file_abort(struct durable_file *f)
{
    struct error ignored = ERROR_INIT;

    if (!f->path)
        return;
    env_close_quietly(f->env, f->fd);
    /* What cannot be removed is removed by the next begin; the caller reports the first error. */
    if (f->temp_path && env_unlink(f->env, f->temp_path, &ignored) < 0)
        error_clear(&ignored);
    durable_file_forget(f);
}

static int owner_set(struct durable_file *f, const struct stat *like, struct error *err)
{
    struct stat own;

    if (env_fstat(f->env, f->fd, f->temp_path, &own, err) < 0)
        return -1;
    if (own.st_uid == like->st_uid && own.st_gid == like->st_gid)
        return 0;
    if (env_fchown(f->env, f->fd, like->st_uid, like->st_gid, f->temp_path, err) == 0)
        return 0;
    return error_hint(err, "only root can give files away: run as user %u, group %u",
                      (unsigned)like->st_uid, (unsigned)like->st_gid);
}

/* Step 1 after the names are known. */
static int temp_create(struct durable_file *f, const struct durable_file_options *options,
                       struct error *err)
{
    mode_t mode = options->mode ? options->mode : durable_file_mode_default;

    if (options->like)
        mode = options->like->st_mode & 07777;
    if (env_unlink(f->env, f->temp_path, err) < 0 ||
        env_open(f->env, f->temp_path, O_RDWR | O_CREAT | O_EXCL, 0600, &f->fd, err) < 0)
        return -1;
    if (options->like && owner_set(f, options->like, err) < 0)
        return -1;
    /* After the owner: changing that takes set-user-ID bits away. */
    if (env_fchmod(f->env, f->fd, mode, f->temp_path, err) < 0)
        return -1;
    if (options->bytes == 0)
        return 0;
    /* The length for itself: a file system may take the reservation as a mere wish. */
    if (env_ftruncate(f->env, f->fd, (int64_t)options->bytes, f->temp_path, err) < 0)
        return -1;
    return env_fallocate(f->env, f->fd, (int64_t)options->bytes, f->temp_path, err);
}

int durable_file_begin(struct durable_file *f, const struct env *env, const char *path,
                       const struct durable_file_options *options, struct error *err)
{
    static const struct durable_file_options defaults;

    if (!options)
        options = &defaults;
    ASSERT(options->bytes <= INT64_MAX);
    *f = (struct durable_file){.env = env, .fd = -1, .is_new = options->is_new};
    f->path = str_dup(path, err);
    if (!f->path)
        return -1;
    f->temp_path =
        options->temp_path ? str_dup(options->temp_path, err) : str_printf(err, "%s.tmp", path);
    if (!f->temp_path || temp_create(f, options, err) < 0) {
        durable_file_abort(f);
        return error_wrap(err, "%s", path);
    }
    return 0;
}

int durable_file_write_at(struct durable_file *f, struct slice bytes, uint64_t offset,
                          struct error *err)
{
    ASSERT(f->fd >= 0);
    ASSERT(offset <= INT64_MAX - bytes.n);
    return env_pwrite(f->env, f->fd, bytes.p, bytes.n, (int64_t)offset, f->temp_path, err);
}

int durable_file_append(struct durable_file *f, struct slice bytes, struct error *err)
{
    if (durable_file_write_at(f, bytes, f->bytes, err) < 0)
        return -1;
    f->bytes += bytes.n;
    return 0;
}

/* Step 4. */
static int temp_put_into_place(struct durable_file *f, struct error *err)
{
    struct error ignored = ERROR_INIT;

    if (!f->is_new)
        return env_rename(f->env, f->temp_path, f->path, err);
    if (env_link(f->env, f->temp_path, f->path, err) < 0)
        return -1;
    /* The file is there: a second name that stays is litter, not a failure. */
    if (env_unlink(f->env, f->temp_path, &ignored) < 0)
        error_clear(&ignored);
    return 0;
}

/* Steps 3 and 4. */
static int temp_commit(struct durable_file *f, struct error *err)
{
    if (env_fsync(f->env, f->fd, f->temp_path, err) < 0)
        return -1;
    int fd = f->fd;
    f->fd = -1;
    if (env_close(f->env, fd, f->temp_path, err) < 0)
        return -1;
    return temp_put_into_place(f, err);
}

int durable_file_commit(struct durable_file *f, struct error *err)
{
    ASSERT(f->fd >= 0);
    if (temp_commit(f, err) < 0) {
        (void)error_wrap(err, "%s", f->path);
        durable_file_abort(f);
        return -1;
    }
    int rc = env_fsync_parent(f->env, f->path, err); /* step 5 */
    if (rc < 0)
        (void)error_wrap(err, "%s: in place, but a crash may undo it", f->path);
    durable_file_forget(f);
    return rc;
}

int file_commit(const struct env *env, const char *path, struct slice content,
                const struct durable_file_options *options, struct error *err)
{
    CLEANUP(durable_file_abort) struct durable_file f = DURABLE_FILE_INIT;

    if (durable_file_begin(&f, env, path, options, err) < 0)
        return -1;
    if (durable_file_append(&f, content, err) < 0)
        return error_wrap(err, "%s", path);
    return durable_file_commit(&f, err);
}
