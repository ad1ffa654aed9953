/*
 * Hashing on a worker, with a way out. The struct belongs to the job until its done ran on the
 * loop, so a store that is freed can only detach itself (fn NULL): it marks the job ABANDONED if
 * no worker has begun, else it waits for the worker's last touch of the blob.
 */
#include "lib/storage/s3/payload.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAYLOAD_PIECE_BYTES = 256 * 1024
};

enum payload_state {
    PAYLOAD_QUEUED,
    PAYLOAD_RUNNING,
    PAYLOAD_ENDED,
    PAYLOAD_ABANDONED,
};

struct payload_hash {
    struct job job;
    payload_hash_fn *fn; /* NULL: abandoned */
    void *arg;
    pthread_mutex_t mu;
    pthread_cond_t ended;
    enum payload_state state; /* guarded by mu */
    /* owner: job until done */
    struct payload_part part;
    uint8_t hash[SIGV4_HASH_BYTES];
    struct error err;
};

static void digest_free(EVP_MD_CTX **md)
{
    EVP_MD_CTX_free(*md);
}

static int part_hash(struct payload_hash *h, struct error *err)
{
    CLEANUP(digest_free) EVP_MD_CTX *md = EVP_MD_CTX_new();
    CLEANUP(mem_free) uint8_t *piece = mem_new(1, PAYLOAD_PIECE_BYTES, err);

    if (!piece)
        return -1;
    if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL))
        return error_set(err, ERR_NO_MEMORY, 0, "SHA-256 is not available");
    for (uint64_t at = 0; at < h->part.bytes;) {
        uint64_t left = h->part.bytes - at;
        size_t n = left < PAYLOAD_PIECE_BYTES ? (size_t)left : PAYLOAD_PIECE_BYTES;
        if (job_is_canceled(&h->job))
            return error_set(err, ERR_CANCELED, 0, "canceled");
        if (blob_read(h->part.blob, h->part.offset + at, piece, n, err) < 0)
            return -1;
        if (!EVP_DigestUpdate(md, piece, n))
            return error_set(err, ERR_NO_MEMORY, 0, "SHA-256 is not available");
        at += n;
    }
    if (!EVP_DigestFinal_ex(md, h->hash, NULL))
        return error_set(err, ERR_NO_MEMORY, 0, "SHA-256 is not available");
    return 0;
}

static void hash_work(struct job *job)
{
    struct payload_hash *h = CONTAINER_OF(job, struct payload_hash, job);

    (void)pthread_mutex_lock(&h->mu); /* cannot fail: a plain mutex */
    bool is_abandoned = h->state == PAYLOAD_ABANDONED;
    if (!is_abandoned)
        h->state = PAYLOAD_RUNNING;
    (void)pthread_mutex_unlock(&h->mu);
    if (is_abandoned)
        return;
    bool is_whole = h->part.offset == 0 && h->part.bytes == h->part.blob->bytes;
    int rc = job_is_canceled(job) ? error_set(&h->err, ERR_CANCELED, 0, "canceled")
             : is_whole           ? blob_sha256(h->part.blob, h->hash, &h->err)
                                  : part_hash(h, &h->err);
    ASSERT(rc == 0 || h->err.code != ERR_NONE);
    (void)pthread_mutex_lock(&h->mu);
    h->state = PAYLOAD_ENDED;
    (void)pthread_cond_signal(&h->ended);
    (void)pthread_mutex_unlock(&h->mu);
}

static void hash_done(struct job *job)
{
    struct payload_hash *h = CONTAINER_OF(job, struct payload_hash, job);

    if (h->fn)
        h->fn(h->arg, h->hash, &h->err);
    (void)pthread_cond_destroy(&h->ended); /* nobody waits */
    (void)pthread_mutex_destroy(&h->mu);
    free(h);
}

int payload_hash_start(struct loop *loop, const struct payload_part *part, payload_hash_fn *fn,
                       void *arg, struct payload_hash **out, struct error *err)
{
    struct payload_hash *h = mem_new(1, sizeof(*h), err);

    if (!h)
        return -1;
    h->fn = fn;
    h->arg = arg;
    h->part = *part;
    (void)pthread_mutex_init(&h->mu, NULL); /* never fails on Linux */
    (void)pthread_cond_init(&h->ended, NULL);
    job_submit(loop, &h->job, hash_work, hash_done);
    *out = h;
    return 0;
}

void payload_hash_cancel(struct payload_hash *h)
{
    job_cancel(&h->job);
}

void payload_hash_abandon(struct payload_hash *h)
{
    h->fn = NULL;
    job_cancel(&h->job);
    (void)pthread_mutex_lock(&h->mu);
    while (h->state == PAYLOAD_RUNNING)
        (void)pthread_cond_wait(&h->ended, &h->mu);
    if (h->state == PAYLOAD_QUEUED)
        h->state = PAYLOAD_ABANDONED;
    (void)pthread_mutex_unlock(&h->mu);
}
