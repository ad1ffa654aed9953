/*
 * Writing and deleting, on a worker.
 *
 * A put, in the order that survives a power cut after each line:
 *   1. folders: looked at, or created and made durable at the first put into them (file_path.c)
 *   2. temporary file beside the object, O_EXCL; its bytes; its mtime; fsync; close
 *   3. its name: link(2) to create, rename(2) to overwrite. Without hard links:
 *      renameat2(RENAME_NOREPLACE); without both and with can_create off: lstat, then rename
 *   4. the temporary name is removed, the folder fsynced. If that fails the object may be there or
 *      not: a repeated put finds out (below)
 * Before step 3 nobody can see anything and an error removes the temporary file. When step 3 finds
 * the name taken, the folder is fsynced before that is told: the answer may lead our own retry to
 * take the object for stored, so it must be.
 *
 * A delete job removes keys until one fails or the batch is full, fsyncs the folders it touched,
 * and only then answers for the keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/file/file_internal.h"

enum {
    PUT_TRIES_MAX = 4 /* of opening a temporary file: its folder may vanish, its name be taken */
};

/* A cause whose own code would mean something else to the caller of a put. */
static int cause_as(struct error *err, enum error_code code)
{
    err->code = code;
    return -1;
}

static int put_go_on(struct file_op *op)
{
    if (job_is_canceled(&op->job))
        return error_set(&op->err, ERR_CANCELED, 0, "canceled");
    if (env_boot_ns(op->store->env) >= op->put.deadline_ns)
        return error_set(&op->err, ERR_TIMEOUT, 0, "deadline passed while writing");
    return 0;
}

/* Step 2: the bytes. */
static int put_bytes(struct file_op *op, int fd, const char *temp)
{
    CLEANUP(mem_free) uint8_t *chunk = mem_new(1, FILE_CHUNK_BYTES, &op->err);
    const struct blob *body = op->put.body;

    if (!chunk)
        return -1;
    for (uint64_t at = 0; at < body->bytes;) {
        uint64_t rest = body->bytes - at;
        size_t n = rest < FILE_CHUNK_BYTES ? (size_t)rest : FILE_CHUNK_BYTES;
        if (put_go_on(op) < 0 || blob_read(body, at, chunk, n, &op->err) < 0 ||
            env_pwrite(op->store->env, fd, chunk, n, (int64_t)at, temp, &op->err) < 0)
            return -1;
        at += n;
        op->moved_bytes += n;
    }
    return put_go_on(op);
}

/* Step 2 on the open temporary file, which it closes. */
static int put_fill(struct file_op *op, int fd, const char *temp)
{
    const struct env *env = op->store->env;

    if (put_bytes(op, fd, temp) < 0 ||
        env_set_mtime(env, fd, op->put.timestamp_ns, temp, &op->err) < 0 ||
        env_fsync(env, fd, temp, &op->err) < 0) {
        env_close_quietly(env, fd);
        return -1;
    }
    return env_close(env, fd, temp, &op->err);
}

/* Steps 1 and 2 up to the open. */
static int put_open(struct file_op *op, char temp[static PATH_MAX], int *out_fd)
{
    bool is_ready = op->put.is_folder_known;

    for (int tries = 0; tries < PUT_TRIES_MAX; tries++) {
        bool exists = false;
        if (is_ready && file_folder_look(op->store, op->path, &exists, &op->err) < 0)
            return -1;
        if (!exists && file_folder_ensure(op->store, op->path, &op->err) < 0) {
            if (op->err.code != ERR_NOT_FOUND)
                return -1;
            continue; /* removed while we created it */
        }
        file_temp_path(op->store->env, op->path, temp);
        if (env_open(op->store->env, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE,
                     out_fd, &op->err) == 0)
            return 0;
        if (op->err.code != ERR_NOT_FOUND && op->err.code != ERR_EXISTS)
            return -1;
        is_ready = false;
    }
    return cause_as(&op->err, ERR_BUSY);
}

/* The name is taken, says the kernel: by what? Always -1. */
static int put_name_taken(struct file_op *op, const char *temp)
{
    const struct env *env = op->store->env;
    struct stat st;
    struct stat ours;

    if (env_lstat(env, op->path, &st, &op->err) < 0)
        return cause_as(&op->err, op->err.code == ERR_NOT_FOUND ? ERR_BUSY : op->err.code);
    if (S_ISLNK(st.st_mode))
        return file_link_refuse(op->path, &op->err);
    if (!S_ISREG(st.st_mode)) {
        (void)error_set(&op->err, ERR_WRONG_STATE, 0, "%s: is a folder or a special file",
                        op->path);
        return error_hint(&op->err, "a name cannot be an object and a folder here");
    }
    /* NFS repeats a link whose answer was lost and then finds its own work. */
    if (env_lstat(env, temp, &ours, &op->err) == 0 && ours.st_dev == st.st_dev &&
        ours.st_ino == st.st_ino)
        return 0;
    if (env_fsync_parent(env, op->path, &op->err) < 0)
        return -1;
    return error_set(&op->err, ERR_EXISTS, EEXIST, "an object has this name");
}

/* Step 3 on a file system without hard links. */
static int put_name_unlinked(struct file_op *op, const char *temp)
{
    const struct env *env = op->store->env;

    if (env_rename_noreplace(env, temp, op->path, &op->err) == 0)
        return 0;
    if (op->err.code == ERR_EXISTS)
        return put_name_taken(op, temp);
    if (op->err.code != ERR_UNSUPPORTED)
        return -1;
    return error_hint(&op->err, "this file system can neither link nor rename without replacing: "
                                "a second writer cannot be fenced off");
}

/* Step 3 for create-if-absent. */
static int put_name_new(struct file_op *op, const char *temp)
{
    const struct env *env = op->store->env;

    if (!op->put.can_create) {
        struct stat st;
        if (env_lstat(env, op->path, &st, &op->err) == 0)
            return put_name_taken(op, temp);
        if (op->err.code != ERR_NOT_FOUND)
            return -1;
        return env_rename(env, temp, op->path, &op->err);
    }
    if (env_link(env, temp, op->path, &op->err) == 0)
        return 0;
    if (op->err.code == ERR_EXISTS)
        return put_name_taken(op, temp);
    /* How file systems without hard links say so. */
    if (op->err.origin == EPERM || op->err.code == ERR_UNSUPPORTED)
        return put_name_unlinked(op, temp);
    return -1;
}

static int put_name_replace(struct file_op *op, const char *temp)
{
    if (env_rename(op->store->env, temp, op->path, &op->err) == 0)
        return 0;
    if (op->err.origin == EISDIR || op->err.origin == ENOTEMPTY)
        return put_name_taken(op, temp);
    return -1;
}

/* Step 3. */
static int put_name(struct file_op *op, const char *temp)
{
    int rc =
        op->put.mode == STORAGE_PUT_CREATE ? put_name_new(op, temp) : put_name_replace(op, temp);

    /* The temporary file or the folder was taken away under us: not an answer about the object. */
    if (rc < 0 && op->err.code == ERR_NOT_FOUND)
        return cause_as(&op->err, ERR_BUSY);
    return rc;
}

int file_put_step(struct file_op *op)
{
    char temp[PATH_MAX];
    struct error ignored = ERROR_INIT;
    int fd = -1;

    op->is_finished = true;
    if (put_go_on(op) < 0 || put_open(op, temp, &fd) < 0)
        return -1;
    int rc = put_fill(op, fd, temp);
    if (rc == 0)
        rc = put_name(op, temp);
    /* A temporary name that stays is swept after a day; it is gone already after a rename. */
    int removed = env_unlink(op->store->env, temp, &ignored);
    (void)removed;
    if (rc < 0)
        return -1;
    error_clear(&op->err);
    return env_fsync_parent(op->store->env, op->path, &op->err);
}

/* ---- delete ---- */

static int delete_one(struct file_op *op, const char *path, bool *out_removed)
{
    const struct env *env = op->store->env;
    bool exists = false;
    struct stat st;

    *out_removed = false;
    if (file_folder_look(op->store, path, &exists, &op->err) < 0)
        return -1;
    if (!exists)
        return 0;
    if (env_lstat(env, path, &st, &op->err) < 0) {
        if (op->err.code != ERR_NOT_FOUND)
            return -1;
        error_clear(&op->err);
        return 0;
    }
    if (S_ISLNK(st.st_mode))
        return file_link_refuse(path, &op->err);
    if (!S_ISREG(st.st_mode))
        return 0; /* a folder is no object: there was none of this name */
    if (env_unlink(env, path, &op->err) < 0)
        return -1;
    *out_removed = true;
    return 0;
}

/* Makes removals from the folder durable; "" for none. */
static int delete_flush(struct file_op *op, const char *folder)
{
    return folder[0] ? env_fsync_folder(op->store->env, folder, &op->err) : 0;
}

/*
 * Removes the next keys, up to the first that fails. del.gone_count of them are gone, durably; when
 * -1 is answered, the del.failed_count after those are not, or not durably.
 */
static int delete_run(struct file_op *op)
{
    struct file_delete *d = &op->del;
    char touched[PATH_MAX] = "";
    char folder[PATH_MAX];
    size_t rest = d->key_count - d->key_idx;
    size_t end = rest < FILE_DELETE_BATCH_MAX ? rest : FILE_DELETE_BATCH_MAX;

    for (size_t i = 0; i < end; i++) {
        bool is_removed = false;
        file_path_of(op->store, d->keys[d->key_idx + i], op->path);
        file_path_parent(op->path, folder);
        d->failed_count = i - d->gone_count;
        if (strcmp(folder, touched) != 0) {
            if (delete_flush(op, touched) < 0)
                return -1;
            touched[0] = '\0';
            d->gone_count = i;
        }
        if (delete_one(op, op->path, &is_removed) < 0) {
            struct error failed = op->err;
            d->failed_count = i + 1 - d->gone_count;
            if (delete_flush(op, touched) < 0)
                return -1;
            op->err = failed;
            d->gone_count = i;
            d->failed_count = 1;
            return -1;
        }
        if (is_removed)
            memcpy(touched, folder, sizeof(touched));
    }
    d->failed_count = end - d->gone_count;
    if (delete_flush(op, touched) < 0)
        return -1;
    d->gone_count = end;
    d->failed_count = 0;
    return 0;
}

int file_delete_step(struct file_op *op)
{
    struct file_delete *d = &op->del;

    d->gone_count = 0;
    d->failed_count = 0;
    if (delete_run(op) < 0)
        d->failed = op->err; /* told to on_key and in the end; the others are tried all the same */
    op->is_finished = d->key_idx + d->gone_count + d->failed_count >= d->key_count;
    return 0;
}
