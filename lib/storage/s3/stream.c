/*
 * An object that is sent while it is made: the functions of lib/storage/upload.h as a multipart
 * upload, whose steps are in upload.h. Each is an operation of its own with one request, or two.
 *
 * An upload that is freed without having been completed is aborted. A process that dies leaves it to
 * uploads.c.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/upload.h"

struct s3_stream {
    struct storage_upload base; /* first: storage.c knows this part only */
    struct s3_upload upload;
    char *key; /* relative to the prefix, as each operation wants it; owned */
    char full_key[S3_KEY_BYTES_MAX + 1];
};

struct s3_stream_op {
    struct s3_op op; /* first */
    struct s3_upload *upload;
    unsigned number; /* of the part */
};

static void stream_op_free(struct s3_op *op)
{
    free(CONTAINER_OF(op, struct s3_stream_op, op));
}

static struct s3_stream *stream_of(struct storage_upload *upload)
{
    return CONTAINER_OF(upload, struct s3_stream, base);
}

static struct s3_stream_op *stream_op_new(struct s3_stream *s, uint64_t deadline_ns,
                                          storage_done_fn *done, void *arg,
                                          struct storage_op **out_op, struct error *err)
{
    struct s3_stream_op *o = mem_new(1, sizeof(*o), err);

    if (!o)
        return NULL;
    if (s3_op_init(&o->op, s->base.st, s->key, done, arg, stream_op_free, err) < 0) {
        free(o);
        return NULL;
    }
    o->upload = &s->upload;
    s3_op_set_deadline(&o->op, deadline_ns);
    if (out_op)
        *out_op = s3_op_public(&o->op);
    return o;
}

/* ---- begin ---- */

static void on_begun(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    struct error err = ERROR_INIT;

    s3_op_end(op, s3_upload_begun(arg, answer, &err) < 0 ? &err : NULL);
}

static struct s3_stream *stream_new(struct storage *st, const struct storage_upload_args *args,
                                    struct error *err)
{
    struct s3_stream *s = mem_new(1, sizeof(*s), err);

    if (!s)
        return NULL;
    s->base.st = st;
    s->key = str_dup(args->key, err);
    if (!s->key) {
        free(s);
        return NULL;
    }
    s->upload = (struct s3_upload){.key = s->full_key,
                                   .mode = STORAGE_PUT_CREATE,
                                   .is_conditional = st->caps.can_create,
                                   .timestamp_ns = args->timestamp_ns};
    return s;
}

int s3_stream_begin(struct storage *st, const struct storage_upload_args *args,
                    storage_done_fn *done, void *arg, struct storage_upload **out_upload,
                    struct storage_op **out_op, struct error *err)
{
    struct s3_stream *s = stream_new(st, args, err);
    struct s3_stream_op *o = s ? stream_op_new(s, args->deadline_ns, done, arg, out_op, err) : NULL;
    struct error fault = ERROR_INIT;

    if (!o) {
        if (s)
            free(s->key);
        free(s);
        return -1;
    }
    memcpy(s->full_key, o->op.key, sizeof(s->full_key));
    if (s3_upload_begin(&o->op, &s->upload, on_begun, &fault) < 0)
        s3_op_end(&o->op, &fault);
    *out_upload = &s->base;
    return 0;
}

/* ---- parts ---- */

static void on_part(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    const struct s3_stream_op *o = arg;
    struct error err = *answer->err;

    if (err.code == ERR_NONE) {
        s3_upload_part_sent(o->upload, o->number, answer);
        s3_op_end(op, NULL);
        return;
    }
    (void)error_wrap(&err, "part %u", o->number);
    s3_op_end(op, &err);
}

int s3_stream_part(struct storage_upload *upload, const struct storage_part *part,
                   storage_done_fn *done, void *arg, struct storage_op **out_op, struct error *err)
{
    struct s3_stream *s = stream_of(upload);
    struct error fault = ERROR_INIT;

    if (s3_upload_reserve(&s->upload, part->number, err) < 0)
        return -1;
    struct s3_stream_op *o = stream_op_new(s, part->deadline_ns, done, arg, out_op, err);
    if (!o)
        return -1;
    o->number = part->number;
    if (s3_upload_part(&o->op, &s->upload, part, on_part, o, &fault) < 0)
        s3_op_end(&o->op, &fault);
    return 0;
}

/* ---- the end ---- */

int s3_stream_complete(struct storage_upload *upload, uint64_t deadline_ns, storage_done_fn *done,
                       void *arg, struct storage_op **out_op, struct error *err)
{
    struct s3_stream *s = stream_of(upload);
    struct s3_stream_op *o = stream_op_new(s, deadline_ns, done, arg, out_op, err);
    struct error fault = ERROR_INIT;

    if (!o)
        return -1;
    if (s3_upload_complete(&o->op, &s->upload, &fault) < 0)
        s3_op_end(&o->op, &fault);
    return 0;
}

void s3_stream_free(struct storage_upload *upload)
{
    struct s3_stream *s = stream_of(upload);
    struct s3_store *store = s3_store_of(upload->st);
    struct error ignored = ERROR_INIT;

    /* What cannot be aborted now is found by uploads.c. */
    if (s->upload.id[0] && !store->is_closing)
        IGNORE(s3_upload_abort(store, s->full_key, s->upload.id, &ignored));
    s3_upload_destroy(&s->upload);
    free(s->key);
    free(s);
}
