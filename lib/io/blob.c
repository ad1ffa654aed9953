/*
 * Blobs: bytes that are written once and read many times.
 *
 * A writer collects bytes in `head`. As long as all of them fit into memory_bytes_max they stay
 * there, and the finished blob simply takes that memory. Beyond, a temporary file without a name
 * takes over:
 *
 *   1. The first append that passes the threshold opens the file (O_TMPFILE; file systems without
 *      it get a random name that is removed at once) and writes head to it.
 *   2. From then on head is only a buffer of BLOB_WRITE_BYTES between appends and the file.
 *   3. finish writes the rest of head; the blob takes the descriptor.
 *
 * Whoever sends the bytes while they are made cuts them off at the front, as long as they are in memory.
 *
 * Having no name the file is gone with its last descriptor, also when the process is killed.
 * Nothing here is synced: a blob need not survive us. It leaves out any change after finish; before
 * it, bytes may be written again where they are (a header that was not complete at first).
 */
#include "lib/io/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOB_WRITE_BYTES = 256 * 1024, /* collected before each write to the file */
    BLOB_READ_BYTES = 256 * 1024,  /* read at once while hashing */
    BLOB_NAME_TRIES = 8,           /* random names tried where O_TMPFILE is missing */
};

static const char blob_file_name[] = "temporary file";

/* ---- the finished blob ---- */

void blob_destroy(struct blob *b)
{
    free(b->p);
    if (b->env)
        env_close_quietly(b->env, b->fd); /* the file has no name: nothing can be lost */
    *b = (struct blob)BLOB_INIT;
}

int blob_of_slice(const struct env *env, struct slice bytes, struct blob *out, struct error *err)
{
    uint8_t *p = mem_new(bytes.n + 1, 1, err);

    if (!p)
        return -1;
    if (bytes.n > 0)
        memcpy(p, bytes.p, bytes.n);
    *out = (struct blob){.env = env, .p = p, .fd = -1, .bytes = bytes.n};
    return 0;
}

int blob_read(const struct blob *b, uint64_t offset, void *p, size_t n, struct error *err)
{
    ASSERT(offset <= b->bytes);
    ASSERT(n <= b->bytes - offset);
    if (n == 0)
        return 0;
    if (b->p) {
        memcpy(p, b->p + offset, n);
        return 0;
    }
    if (env_pread_exact(b->env, b->fd, p, n, (int64_t)offset, blob_file_name, err) == 0)
        return 0;
    /* We wrote it ourselves and nobody else can reach it: a short file is a failing disk. */
    if (err->code == ERR_CORRUPT)
        err->code = ERR_IO;
    return -1;
}

static void digest_free(EVP_MD_CTX **md)
{
    EVP_MD_CTX_free(*md);
}

/* Feeds the whole blob to md in pieces. */
static int blob_digest(const struct blob *b, EVP_MD_CTX *md, struct error *err)
{
    if (b->p || b->bytes == 0) {
        return EVP_DigestUpdate(md, b->p, (size_t)b->bytes) == 1
                   ? 0
                   : error_set(err, ERR_NO_MEMORY, 0, "SHA-256: OpenSSL cannot compute it");
    }
    CLEANUP(mem_free) uint8_t *piece = mem_new(1, BLOB_READ_BYTES, err);
    if (!piece)
        return -1;
    for (uint64_t at = 0; at < b->bytes;) {
        uint64_t left = b->bytes - at;
        size_t n = left < BLOB_READ_BYTES ? (size_t)left : BLOB_READ_BYTES;
        if (blob_read(b, at, piece, n, err) < 0)
            return -1;
        if (EVP_DigestUpdate(md, piece, n) != 1)
            return error_set(err, ERR_NO_MEMORY, 0, "SHA-256: OpenSSL cannot compute it");
        at += n;
    }
    return 0;
}

int blob_sha256(struct blob *b, uint8_t out[static 32], struct error *err)
{
    if (!b->has_sha256) {
        CLEANUP(digest_free) EVP_MD_CTX *md = EVP_MD_CTX_new();
        uint8_t sum[32];
        if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
            return error_set(err, ERR_NO_MEMORY, 0, "SHA-256: OpenSSL cannot begin");
        if (blob_digest(b, md, err) < 0)
            return -1;
        if (EVP_DigestFinal_ex(md, sum, NULL) != 1)
            return error_set(err, ERR_NO_MEMORY, 0, "SHA-256: OpenSSL cannot finish");
        memcpy(b->sha256, sum, sizeof(sum));
        b->has_sha256 = true;
    }
    memcpy(out, b->sha256, sizeof(b->sha256));
    return 0;
}

/* ---- the writer ---- */

void blob_writer_init(struct blob_writer *w, const struct env *env, const char *folder,
                      uint64_t memory_bytes_max)
{
    uint64_t head_bytes_max = memory_bytes_max;

    if (head_bytes_max < BLOB_WRITE_BYTES)
        head_bytes_max = BLOB_WRITE_BYTES;
    ASSERT(head_bytes_max <= SIZE_MAX / 4);
    *w = (struct blob_writer){
        .env = env,
        .folder = folder,
        .memory_bytes_max = memory_bytes_max,
        .head = BUF_INIT((size_t)head_bytes_max),
        .fd = -1,
    };
}

void blob_writer_destroy(struct blob_writer *w)
{
    buf_destroy(&w->head);
    if (w->env)
        env_close_quietly(w->env, w->fd); /* the file has no name: nothing can be lost */
    w->fd = -1;
    w->file_bytes = 0;
    w->cut_bytes = 0;
}

uint64_t blob_writer_bytes(const struct blob_writer *w)
{
    return w->cut_bytes + w->file_bytes + w->head.n;
}

/* For file systems without O_TMPFILE: a name that exists for an instant. */
static int file_open_named(struct blob_writer *w, int *out_fd, struct error *err)
{
    for (int tries = 0; tries < BLOB_NAME_TRIES; tries++) {
        int fd = -1;
        CLEANUP(mem_free)
        char *path = str_printf(err, "%s/.blob-%016llx.tmp", w->folder,
                                (unsigned long long)env_random_below(w->env, UINT64_MAX));
        if (!path)
            return -1;
        if (env_open(w->env, path, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, err) < 0) {
            if (err->code == ERR_EXISTS)
                continue;
            return -1;
        }
        if (env_unlink(w->env, path, err) < 0) {
            env_close_quietly(w->env, fd); /* the failure path */
            return -1;
        }
        *out_fd = fd;
        return 0;
    }
    return error_wrap(err, "no free name for a temporary file in %s", w->folder);
}

/* Step 1. */
static int file_open(struct blob_writer *w, struct error *err)
{
    int fd = -1;

    if (env_open(w->env, w->folder, O_TMPFILE | O_RDWR, 0600, &fd, err) < 0) {
        /* Kernels and file systems that do not know the flag answer one of these three. */
        if (err->origin != EOPNOTSUPP && err->origin != EISDIR && err->origin != EINVAL)
            return error_wrap(err, "temporary file in %s", w->folder);
        if (file_open_named(w, &fd, err) < 0)
            return -1;
    }
    w->fd = fd;
    return 0;
}

static int file_write(struct blob_writer *w, struct slice bytes, struct error *err)
{
    if (env_pwrite(w->env, w->fd, bytes.p, bytes.n, (int64_t)w->file_bytes, blob_file_name, err) <
        0) {
        if (err->code == ERR_NO_SPACE)
            (void)error_hint(err, "free some space below %s", w->folder);
        return error_wrap(err, "in %s", w->folder);
    }
    w->file_bytes += bytes.n;
    return 0;
}

static int head_write(struct blob_writer *w, struct error *err)
{
    if (file_write(w, buf_slice(&w->head), err) < 0)
        return -1;
    buf_clear(&w->head);
    return 0;
}

/* Steps 1 and 2: what comes next, n bytes, fits into head, or is to be written past it. */
static int head_prepare(struct blob_writer *w, size_t n, struct error *err)
{
    uint64_t total;

    if (!checked_add_u64(blob_writer_bytes(w), n, &total) || total > INT64_MAX)
        return error_set(err, ERR_LIMIT, 0, "a blob cannot be that large");
    if (w->fd < 0 && total - w->cut_bytes <= w->memory_bytes_max)
        return 0;
    if (w->fd < 0 && (file_open(w, err) < 0 || head_write(w, err) < 0))
        return -1;
    return w->head.n + n > BLOB_WRITE_BYTES ? head_write(w, err) : 0;
}

int blob_writer_append(struct blob_writer *w, struct slice bytes, struct error *err)
{
    if (head_prepare(w, bytes.n, err) < 0)
        return -1;
    return w->fd >= 0 && bytes.n > BLOB_WRITE_BYTES ? file_write(w, bytes, err)
                                                    : buf_append_slice(&w->head, bytes, err);
}

int blob_writer_room(struct blob_writer *w, size_t n, uint8_t **out_p, struct error *err)
{
    ASSERT(n <= BLOB_WRITE_BYTES);
    if (head_prepare(w, n, err) < 0 || buf_reserve(&w->head, n, err) < 0)
        return -1;
    *out_p = w->head.p + w->head.n;
    return 0;
}

void blob_writer_made(struct blob_writer *w, size_t n)
{
    ASSERT(n <= w->head.cap - w->head.n);
    w->head.n += n;
    w->head.p[w->head.n] = 0;
}

int blob_writer_cut(struct blob_writer *w, size_t n, struct buf *part, struct error *err)
{
    struct buf rest = buf_take(part);

    ASSERT(w->fd < 0);
    ASSERT(n <= w->head.n);
    buf_clear(&rest);
    rest.max = w->head.max;
    /* All that it will have to take, at once: growing by and by would copy it again and again. */
    if (buf_reserve(&rest, w->memory_bytes_max, err) < 0 ||
        buf_append(&rest, w->head.p + n, w->head.n - n, err) < 0) {
        *part = rest;
        buf_clear(part);
        return -1;
    }
    *part = w->head;
    part->n = n;
    w->head = rest;
    w->cut_bytes += n;
    return 0;
}

size_t blob_writer_memory_bytes(const struct blob_writer *w)
{
    return w->fd < 0 ? w->head.n : 0;
}

int blob_writer_rewrite(struct blob_writer *w, uint64_t offset, struct slice bytes,
                        struct error *err)
{
    ASSERT(offset >= w->cut_bytes && offset <= blob_writer_bytes(w));
    ASSERT(bytes.n <= blob_writer_bytes(w) - offset);
    offset -= w->cut_bytes;
    /* What is in the file already, then what still waits in head. */
    uint64_t stored = offset < w->file_bytes ? w->file_bytes - offset : 0;
    size_t n = bytes.n < stored ? bytes.n : (size_t)stored;
    if (n > 0 && env_pwrite(w->env, w->fd, bytes.p, n, (int64_t)offset, blob_file_name, err) < 0)
        return error_wrap(err, "in %s", w->folder);
    if (n < bytes.n)
        memcpy(w->head.p + (offset + n - w->file_bytes), bytes.p + n, bytes.n - n);
    return 0;
}

int blob_writer_finish(struct blob_writer *w, struct blob *out, struct error *err)
{
    if (w->fd >= 0) {
        if (head_write(w, err) < 0) /* step 3 */
            return -1;
        *out = (struct blob){.env = w->env, .fd = w->fd, .bytes = w->file_bytes};
        w->fd = -1;
        w->file_bytes = 0;
        w->cut_bytes = 0;
        buf_destroy(&w->head);
        return 0;
    }
    struct buf head = buf_take(&w->head);
    w->cut_bytes = 0;
    *out = (struct blob){.env = w->env, .p = head.p, .fd = -1, .bytes = head.n};
    return 0;
}
