/*
 * A multipart upload: its id, its parts, and the requests that it is made of. Two use it: a put of a
 * large blob (multipart.c), and an object that is sent while it is made (stream.c).
 *
 * 1. POST ?uploads begins an upload and answers its id. Metadata, class and encryption are said
 *    here.
 * 2. PUT ?partNumber=N&uploadId=ID sends a part; its ETag is kept.
 * 3. POST ?uploadId=ID with the list of ETags makes the object appear, with If-None-Match: * for
 *    CREATE. Its answer may be a 200 with an error inside, which request.c sees.
 * 4. Was that answer lost, the next try finds no such upload: then HEAD tells. An object that is
 *    there is ERR_EXISTS for CREATE (the caller compares), success for OVERWRITE if the size fits.
 *
 * Source: Amazon S3 API Reference, CreateMultipartUpload, UploadPart, CompleteMultipartUpload.
 * Threads: loop thread.
 */
#ifndef WALFERRY_LIB_STORAGE_S3_UPLOAD_H
#define WALFERRY_LIB_STORAGE_S3_UPLOAD_H

#include "lib/storage/s3/request.h"

enum {
    S3_PART_ETAG_BYTES = 128,
};

struct s3_part {
    char etag[S3_PART_ETAG_BYTES]; /* "": not there yet */
};

struct s3_upload {
    const char *key; /* in the bucket; borrowed */
    enum storage_put_mode mode;
    bool is_conditional; /* If-None-Match is sent */
    bool was_completed;  /* a request to complete was sent: it may have been obeyed */
    uint64_t timestamp_ns;
    uint64_t bytes;                      /* of the object; looked at for OVERWRITE */
    char id[S3_UPLOAD_ID_BYTES_MAX + 1]; /* "" before it was begun and after it was ended */
    struct s3_part *parts;               /* part number N at N - 1 */
    unsigned part_count;
};

/* Frees the parts. */
void s3_upload_destroy(struct s3_upload *u);

/* Makes room for part numbers up to count. ERR_NO_MEMORY. */
MUST_USE int s3_upload_reserve(struct s3_upload *u, unsigned count, struct error *err);

/*
 * Step 1. done gets u as its arg and calls s3_upload_begun(), which takes the id from a success.
 * ERR_NO_MEMORY; from the second: what has failed.
 */
MUST_USE int s3_upload_begin(struct s3_op *op, struct s3_upload *u, s3_request_done_fn *done,
                             struct error *err);
MUST_USE int s3_upload_begun(struct s3_upload *u, const struct s3_answer *answer,
                             struct error *err);

/* Step 2; done gets arg. Room for the part must be reserved. The second keeps the part's ETag. */
MUST_USE int s3_upload_part(struct s3_op *op, const struct s3_upload *u,
                            const struct storage_part *part, s3_request_done_fn *done, void *arg,
                            struct error *err);
void s3_upload_part_sent(struct s3_upload *u, unsigned number, const struct s3_answer *answer);

/* Steps 3 and 4; ends op. ERR_NO_MEMORY. */
MUST_USE int s3_upload_complete(struct s3_op *op, struct s3_upload *u, struct error *err);

#endif
