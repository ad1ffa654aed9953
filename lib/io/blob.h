/*
 * A finished run of bytes that can be read again and again: in memory while small, in an unlinked
 * temporary file beyond a threshold. What is uploaded is always a blob, so that a retry sends
 * identical bytes and its SHA-256 is computed once.
 *
 *     struct blob_writer w;  blob_writer_init(&w, env, folder, 8 MiB);
 *     blob_writer_append(&w, ...) ...  blob_writer_finish(&w, &blob, err)
 *
 * Threads: a writer belongs to one job; a finished blob is immutable and may be read by any thread
 * (blob_sha256() fills a cache: one thread at a time).
 */
#ifndef WALFERRY_LIB_IO_BLOB_H
#define WALFERRY_LIB_IO_BLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

struct blob {
    const struct env *env;
    uint8_t *p;     /* the bytes, or NULL when they are in the file */
    int fd;         /* the file, or -1 */
    uint64_t bytes; /* total length */
    bool has_sha256;
    uint8_t sha256[32];
};

#define BLOB_INIT {.fd = -1}

/* Frees memory or closes the file (it has no name any more). Accepts BLOB_INIT and zeroed with
 * fd -1; the blob is empty afterwards. */
void blob_destroy(struct blob *b);

/* A blob that owns a copy of the bytes. ERR_NO_MEMORY. */
MUST_USE int blob_of_slice(const struct env *env, struct slice bytes, struct blob *out,
                           struct error *err);

/* Reads exactly n bytes at offset. ERR_IO; reading beyond the end is our mistake (asserted). */
MUST_USE int blob_read(const struct blob *b, uint64_t offset, void *p, size_t n, struct error *err);

/* SHA-256 of the whole blob, computed at the first call. ERR_IO. May take a second per GB. */
MUST_USE int blob_sha256(struct blob *b, uint8_t out[static 32], struct error *err);

struct blob_writer {
    const struct env *env;
    const char *folder;        /* where the temporary file goes; borrowed */
    uint64_t memory_bytes_max; /* beyond this the bytes go to the file */
    struct buf head;           /* in memory, or waiting to be written */
    int fd;
    uint64_t file_bytes;
    uint64_t cut_bytes; /* went away by blob_writer_cut() */
};

/*
 * Prepares an empty writer. folder must exist when the threshold is passed; it is borrowed until
 * the writer is finished or destroyed.
 */
void blob_writer_init(struct blob_writer *w, const struct env *env, const char *folder,
                      uint64_t memory_bytes_max);
void blob_writer_destroy(struct blob_writer *w);

/* Adds bytes. ERR_NO_SPACE, ERR_NO_MEMORY, ERR_IO (the writer can only be destroyed then). */
MUST_USE int blob_writer_append(struct blob_writer *w, struct slice bytes, struct error *err);

/*
 * Room for up to n bytes (256 KiB at most, asserted) behind what was appended, for those who make
 * bytes where they shall lie; blob_writer_made() then tells how many there are, before anything else
 * is done with the writer. In memory or in the file: as if n bytes were appended.
 *
 * out_p  borrowed until blob_writer_made(); the room need not be used
 * ERR_NO_SPACE, ERR_NO_MEMORY, ERR_IO (the writer can only be destroyed then).
 */
MUST_USE int blob_writer_room(struct blob_writer *w, size_t n, uint8_t **out_p, struct error *err);
void blob_writer_made(struct blob_writer *w, size_t n);

/*
 * Takes the first n bytes out of a writer that has them all in memory (asserted): *part becomes these
 * bytes, what follows them stays. The writer goes on in the memory that *part had, so that two
 * buffers take turns and none is made anew. ERR_NO_MEMORY: nothing has changed.
 */
MUST_USE int blob_writer_cut(struct blob_writer *w, size_t n, struct buf *part, struct error *err);

/* Bytes that blob_writer_cut() could take. */
size_t blob_writer_memory_bytes(const struct blob_writer *w);

/* Replaces bytes that were appended before; all of them must be there (asserted). ERR_IO,
 * ERR_NO_SPACE. */
MUST_USE int blob_writer_rewrite(struct blob_writer *w, uint64_t offset, struct slice bytes,
                                 struct error *err);

/* Bytes so far, also those that were cut off. */
uint64_t blob_writer_bytes(const struct blob_writer *w);

/* Moves the bytes (what was not cut off) into *out, which the caller destroys. The writer is empty
 * afterwards. */
MUST_USE int blob_writer_finish(struct blob_writer *w, struct blob *out, struct error *err);

#endif
