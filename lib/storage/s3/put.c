/*
 * Storing an object.
 *
 * 1. Where the store cannot create conditionally, a CREATE asks by HEAD first whether the key is
 *    taken. That is a race, which caps.can_create tells.
 * 2. Up to the part size the object is sent by one PUT, with If-None-Match: * for CREATE. When the
 *    answer is lost and the PUT is sent again, the second one answers 412 if the first has arrived:
 *    then the outcome is ERR_EXISTS, and the caller compares contents.
 * 3. Above, multipart.c.
 */
#include <stdlib.h>

#include "lib/storage/s3/request.h"

static void put_free(struct s3_op *op)
{
    struct s3_put_op *put = CONTAINER_OF(op, struct s3_put_op, op);

    s3_multipart_abandon(put);
    s3_multipart_destroy(put);
    free(put);
}

static void put_on_stored(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    s3_op_end(op, answer->err->code == ERR_NONE ? NULL : answer->err);
}

/* Step 2. */
static int put_whole(struct s3_put_op *put, struct error *err)
{
    struct s3_headers headers = {.count = 0};

    s3_headers_add_object(&headers, put->op.store, put->timestamp_ns);
    if (put->is_conditional)
        s3_headers_add(&headers, "if-none-match", "*");
    const struct s3_request_spec spec = {.kind = STORAGE_OP_PUT,
                                         .method = "PUT",
                                         .key = put->op.key,
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .blob = put->body,
                                         .blob_bytes = put->body->bytes,
                                         .has_body = true,
                                         .deadline_ns = s3_op_remaining_ns(&put->op),
                                         .done = put_on_stored};
    return s3_request_start(&put->op, &spec, err);
}

static int put_begin(struct s3_put_op *put, struct error *err)
{
    if (put->body->bytes <= put->op.store->part_bytes)
        return put_whole(put, err);
    s3_multipart_begin(put);
    return 0;
}

static void put_on_looked(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct s3_put_op *put = CONTAINER_OF(op, struct s3_put_op, op);
    struct error err = ERROR_INIT;

    if (answer->err->code == ERR_NONE) {
        (void)error_set(&err, ERR_EXISTS, answer->status, "PUT s3://%s/%s: the key is taken",
                        op->store->target.bucket, op->key);
        s3_op_end(op, &err);
    } else if (answer->err->code != ERR_NOT_FOUND) {
        s3_op_end(op, answer->err);
    } else if (put_begin(put, &err) < 0) {
        s3_op_end(op, &err);
    }
}

int s3_put(struct storage *st, const struct storage_put *args, storage_done_fn *done, void *arg,
           struct storage_op **out_op, struct error *err)
{
    struct s3_put_op *put = mem_new(1, sizeof(*put), err);
    struct error fault = ERROR_INIT;

    if (!put)
        return -1;
    if (s3_op_init(&put->op, st, args->key, done, arg, put_free, err) < 0) {
        free(put);
        return -1;
    }
    put->body = args->body;
    put->mode = args->mode;
    put->timestamp_ns = args->timestamp_ns;
    put->is_conditional = args->mode == STORAGE_PUT_CREATE && st->caps.can_create;
    s3_op_set_deadline(&put->op, args->deadline_ns);
    bool must_look = args->mode == STORAGE_PUT_CREATE && !st->caps.can_create; /* step 1 */
    if ((must_look ? s3_head_request(&put->op, put->op.key, put_on_looked, NULL, &fault)
                   : put_begin(put, &fault)) < 0)
        s3_op_end(&put->op, &fault);
    if (out_op)
        *out_op = s3_op_public(&put->op);
    return 0;
}
