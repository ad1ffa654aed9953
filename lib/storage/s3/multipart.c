/*
 * Storing a large object in parts.
 *
 * 1. The upload is begun; the steps of an upload are in upload.h.
 * 2. Its parts are sent, `concurrency` of them at a time. Each part's hash is computed once. Parts
 *    are as large as configured, or as large as it takes to stay below 10000 of them.
 * 3. The upload is completed.
 * 4. Whatever ends otherwise is aborted when the operation is freed, that is after its last request
 *    is gone: a part that arrived after the abort would stay, and be billed. A process that dies
 *    leaves the upload to uploads.c.
 */
#include <stdlib.h>

#include "lib/storage/s3/upload.h"

enum {
    PART_ROUND_BYTES = 1 << 20, /* larger parts are whole MiB */
};

static struct s3_put_op *put_of(struct s3_op *op)
{
    return CONTAINER_OF(op, struct s3_put_op, op);
}

/* ---- step 2 ---- */

static int part_start(struct s3_put_op *put, unsigned part_idx, struct error *err);

static void on_part(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    struct s3_put_op *put = put_of(op);
    struct s3_upload *u = put->upload;
    const struct s3_part *part = arg;
    unsigned number = (unsigned)(part - u->parts) + 1;
    struct error err = ERROR_INIT;

    if (answer->err->code != ERR_NONE) {
        err = *answer->err;
        (void)error_wrap(&err, "part %u of %u", number, u->part_count);
        s3_op_end(op, &err);
        return;
    }
    s3_upload_part_sent(u, number, answer);
    put->parts_done++;
    int rc = 0;
    if (put->part_next < u->part_count)
        rc = part_start(put, put->part_next++, &err);
    else if (put->parts_done == u->part_count)
        rc = s3_upload_complete(op, u, &err); /* step 3 */
    if (rc < 0)
        s3_op_end(op, &err);
}

static int part_start(struct s3_put_op *put, unsigned part_idx, struct error *err)
{
    uint64_t offset = part_idx * put->part_bytes;
    uint64_t left = put->body->bytes - offset;
    const struct storage_part part = {.number = part_idx + 1,
                                      .blob = put->body,
                                      .offset = offset,
                                      .bytes = left < put->part_bytes ? left : put->part_bytes};

    return s3_upload_part(&put->op, put->upload, &part, on_part, &put->upload->parts[part_idx],
                          err);
}

/* ---- step 1 ---- */

static void on_begun(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    struct s3_put_op *put = put_of(op);
    struct s3_upload *u = arg;
    struct error err = ERROR_INIT;

    if (s3_upload_begun(u, answer, &err) < 0) {
        s3_op_end(op, &err);
        return;
    }
    while (put->part_next < u->part_count && put->part_next < op->store->concurrency) {
        if (part_start(put, put->part_next++, &err) < 0) {
            s3_op_end(op, &err);
            return;
        }
    }
}

static int parts_plan(struct s3_put_op *put, struct error *err)
{
    uint64_t bytes = put->body->bytes;
    uint64_t part_bytes = put->op.store->part_bytes;

    if (bytes > put->op.store->st.caps.object_bytes_max) {
        return error_set(err, ERR_LIMIT, 0, "PUT s3://%s/%s: %llu bytes are more than S3 can hold",
                         put->op.store->target.bucket, put->op.key, (unsigned long long)bytes);
    }
    if ((bytes - 1) / part_bytes + 1 > S3_PARTS_MAX) {
        part_bytes = (bytes - 1) / S3_PARTS_MAX + 1;
        part_bytes = ((part_bytes - 1) / PART_ROUND_BYTES + 1) * PART_ROUND_BYTES;
    }
    put->part_bytes = part_bytes;
    put->upload = mem_new(1, sizeof(*put->upload), err);
    if (!put->upload)
        return -1;
    *put->upload = (struct s3_upload){.key = put->op.key,
                                      .mode = put->mode,
                                      .is_conditional = put->is_conditional,
                                      .timestamp_ns = put->timestamp_ns,
                                      .bytes = bytes};
    return s3_upload_reserve(put->upload, (unsigned)((bytes - 1) / part_bytes + 1), err);
}

void s3_multipart_begin(struct s3_put_op *put)
{
    struct error err = ERROR_INIT;

    if (parts_plan(put, &err) < 0 || s3_upload_begin(&put->op, put->upload, on_begun, &err) < 0)
        s3_op_end(&put->op, &err);
}

/* Step 4. */
void s3_multipart_abandon(struct s3_put_op *put)
{
    struct error ignored = ERROR_INIT;

    if (!put->upload || !put->upload->id[0] || put->op.store->is_closing)
        return;
    if (s3_upload_abort(put->op.store, put->op.key, put->upload->id, &ignored) < 0)
        return; /* what is left is found by uploads.c */
}

void s3_multipart_destroy(struct s3_put_op *put)
{
    if (put->upload)
        s3_upload_destroy(put->upload);
    free(put->upload);
}
