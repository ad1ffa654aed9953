/*
 * Reading, on a worker: one chunk a job, so that memory is one chunk and nobody waits in a worker
 * for a slow receiver.
 *
 *   1. the first job looks at the folders, opens the object without following a link, and checks
 *      the wanted range against its size
 *   2. each job reads the next chunk at its offset; a file that ends early was damaged meanwhile
 *   3. the job that reads the last byte closes the file
 *
 * O_NONBLOCK keeps a pipe that somebody put there from holding the worker; for files it means
 * nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "lib/storage/file/file_internal.h"

static int object_missing(struct file_op *op)
{
    return error_set(&op->err, ERR_NOT_FOUND, ENOENT, "%s: no such object", op->path);
}

/* Keeps what stat tells of the object. ERR_NOT_FOUND for a folder or a special file. */
static int object_keep(struct file_op *op, const struct stat *st)
{
    if (S_ISLNK(st->st_mode))
        return file_link_refuse(op->path, &op->err);
    if (!S_ISREG(st->st_mode))
        return object_missing(op);
    op->object_bytes = (uint64_t)st->st_size;
    op->object_timestamp_ns = file_timestamp_ns(st);
    return 0;
}

int file_head_step(struct file_op *op)
{
    bool exists = false;
    struct stat st;

    op->is_finished = true;
    if (file_folder_look(op->store, op->path, &exists, &op->err) < 0)
        return -1;
    if (!exists)
        return object_missing(op);
    if (env_lstat(op->store->env, op->path, &st, &op->err) < 0)
        return -1;
    return object_keep(op, &st);
}

/* Step 1: the range, once the size is known. */
static int get_range_check(struct file_op *op)
{
    struct file_get *get = &op->get;
    uint64_t end;

    if (get->rest == 0 && get->offset <= op->object_bytes)
        get->rest = op->object_bytes - get->offset;
    if (!checked_add_u64(get->offset, get->rest, &end) || end > op->object_bytes ||
        get->offset > op->object_bytes) {
        return error_set(&op->err, ERR_CORRUPT, 0,
                         "%s: wanted %llu bytes at offset %llu, the object has %llu bytes",
                         op->path, (unsigned long long)get->rest, (unsigned long long)get->offset,
                         (unsigned long long)op->object_bytes);
    }
    return 0;
}

/* Step 1. */
static int get_open(struct file_op *op)
{
    const struct env *env = op->store->env;
    bool exists = false;
    struct stat st;

    if (file_folder_look(op->store, op->path, &exists, &op->err) < 0)
        return -1;
    if (!exists)
        return object_missing(op);
    if (env_open(env, op->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &op->get.fd, &op->err) < 0)
        return op->err.origin == ELOOP ? file_link_refuse(op->path, &op->err) : -1;
    if (env_fstat(env, op->get.fd, op->path, &st, &op->err) < 0 || object_keep(op, &st) < 0 ||
        get_range_check(op) < 0)
        return -1;
    op->get.chunk = mem_new(
        1, op->get.rest < FILE_CHUNK_BYTES ? (size_t)op->get.rest + 1 : FILE_CHUNK_BYTES, &op->err);
    op->get.is_open = true;
    return op->get.chunk ? 0 : -1;
}

int file_get_step(struct file_op *op)
{
    const struct env *env = op->store->env;
    struct file_get *get = &op->get;

    get->chunk_bytes = 0;
    if (!get->is_open && get_open(op) < 0)
        return -1;
    size_t n = get->rest < FILE_CHUNK_BYTES ? (size_t)get->rest : FILE_CHUNK_BYTES;
    if (env_pread_exact(env, get->fd, get->chunk, n, (int64_t)get->offset, op->path, &op->err) < 0)
        return -1;
    get->chunk_bytes = n;
    get->offset += n;
    get->rest -= n;
    op->moved_bytes += n;
    if (get->rest > 0)
        return 0;
    op->is_finished = true;
    int fd = get->fd;
    get->fd = -1;
    return env_close(env, fd, op->path, &op->err);
}
