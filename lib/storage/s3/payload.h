/*
 * SHA-256 of a part of a blob, computed on a worker: what a signature covers of a body. A part of
 * 5 MiB takes 3 to 15 ms, which is too long for the loop.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_PAYLOAD_H
#define WALFERRY_LIB_STORAGE_S3_PAYLOAD_H

#include "lib/io/blob.h"
#include "lib/io/loop.h"
#include "lib/storage/s3/sigv4.h"

struct payload_hash; /* under way; gone once fn was called */

typedef void payload_hash_fn(void *arg, const uint8_t hash[static SIGV4_HASH_BYTES],
                             const struct error *err);

/* What to hash; the blob is borrowed until fn ran. */
struct payload_part {
    struct blob *blob;
    uint64_t offset;
    uint64_t bytes;
};

/*
 * Hashes a part. fn runs on the loop thread, later; err is never NULL and its code ERR_NONE on
 * success. The hash of a whole blob is kept in the blob. ERR_NO_MEMORY.
 */
MUST_USE int payload_hash_start(struct loop *loop, const struct payload_part *part,
                                payload_hash_fn *fn, void *arg, struct payload_hash **out,
                                struct error *err);

/* Asks it to end soon; fn still runs, with ERR_CANCELED or the hash. */
void payload_hash_cancel(struct payload_hash *h);

/* fn will not run, and the blob is not used any more when this returns: waits for a worker that is
 * at it (up to one piece of 256 KiB; all of it for a whole blob). */
void payload_hash_abandon(struct payload_hash *h);

#endif
