/*
 * Making the bucket: PUT /bucket, with the region as its LocationConstraint.
 *
 * us-east-1 is the one region that must not be named (Amazon S3 API Reference, CreateBucket), and
 * R2's "auto" is none. A bucket that is there and ours is success: 409 BucketAlreadyOwnedByYou, or
 * 200 as us-east-1 answers. One of that name that belongs to somebody else is ERR_EXISTS: names are
 * shared by everybody at AWS.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/request.h"

enum {
    MAKE_BODY_BYTES_MAX = 1024
};

static void make_free(struct s3_op *op)
{
    free(op);
}

static void on_made(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct error err = *answer->err;

    if (strcmp(answer->code, "BucketAlreadyOwnedByYou") == 0)
        error_clear(&err);
    if (err.code == ERR_EXISTS) {
        (void)error_hint(&err,
                         "bucket names are shared with everybody at this service, and \"%s\" "
                         "is another account's: choose another name",
                         op->store->target.bucket);
    } else if (err.code == ERR_ACCESS && strcmp(answer->code, "AccessDenied") == 0)
        (void)error_hint(&err, "the credentials need s3:CreateBucket");
    s3_op_end(op, err.code == ERR_NONE ? NULL : &err);
}

static bool names_region(const char *region)
{
    return region[0] && strcmp(region, "us-east-1") != 0 && strcmp(region, "auto") != 0;
}

static int make_request(struct s3_op *op, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(MAKE_BODY_BYTES_MAX);
    const char *region = op->store->target.region;

    if (names_region(region) &&
        (buf_append_str(&body,
                        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/"
                        "\"><LocationConstraint>",
                        err) < 0 ||
         s3_xml_escape(&body, region, err) < 0 ||
         buf_append_str(&body, "</LocationConstraint></CreateBucketConfiguration>", err) < 0))
        return -1;
    const struct s3_request_spec spec = {.kind = STORAGE_OP_PUT,
                                         .method = "PUT",
                                         .body = buf_slice(&body),
                                         .has_body = true,
                                         .done = on_made};
    return s3_request_start(op, &spec, err);
}

int s3_make(struct storage *st, storage_done_fn *done, void *arg, struct storage_op **out_op,
            struct error *err)
{
    struct s3_op *op = mem_new(1, sizeof(*op), err);

    if (!op)
        return -1;
    if (s3_op_init(op, st, NULL, done, arg, make_free, err) < 0) {
        free(op);
        return -1;
    }
    if (make_request(op, err) < 0)
        s3_op_end(op, err); /* done tells */
    if (out_op)
        *out_op = s3_op_public(op);
    return 0;
}
