/*
 * The requests of a multipart upload; the steps are in upload.h.
 */
#include "lib/storage/s3/upload.h"

#include <stdlib.h>
#include <string.h>

enum {
    PART_QUERY_BYTES_MAX = 4 * S3_UPLOAD_ID_BYTES_MAX, /* the id, encoded, and a number */
    COMPLETE_BYTES_MAX = 4 << 20,
};

void s3_upload_destroy(struct s3_upload *u)
{
    free(u->parts);
    u->parts = NULL;
    u->part_count = 0;
}

int s3_upload_reserve(struct s3_upload *u, unsigned count, struct error *err)
{
    if (count <= u->part_count)
        return 0;
    struct s3_part *grown = realloc(u->parts, count * sizeof(*grown));
    if (!grown)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %u parts", count);
    memset(grown + u->part_count, 0, (count - u->part_count) * sizeof(*grown));
    u->parts = grown;
    u->part_count = count;
    return 0;
}

/* "uploadId=...", encoded, behind what query says before. */
static int query_add_id(struct buf *query, const char *upload_id, struct error *err)
{
    if (buf_append_str(query, "uploadId=", err) < 0)
        return -1;
    return sigv4_uri_encode(query, slice_of_str(upload_id), false, err);
}

/* ---- step 1 ---- */

static int begin_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    char ignored[S3_UPLOAD_ID_BYTES_MAX + 1];

    return s3_upload_id_parse(answer->body, ignored, err);
}

int s3_upload_begin(struct s3_op *op, struct s3_upload *u, s3_request_done_fn *done,
                    struct error *err)
{
    struct s3_headers headers = {.count = 0};

    s3_headers_add_object(&headers, op->store, u->timestamp_ns);
    const struct s3_request_spec spec = {.kind = STORAGE_OP_PUT,
                                         .method = "POST",
                                         .key = u->key,
                                         .query = "uploads=",
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .has_body = true,
                                         .deadline_ns = s3_op_remaining_ns(op),
                                         .check = begin_check,
                                         .done = done,
                                         .arg = u};
    return s3_request_start(op, &spec, err);
}

int s3_upload_begun(struct s3_upload *u, const struct s3_answer *answer, struct error *err)
{
    if (answer->err->code == ERR_NONE)
        return s3_upload_id_parse(answer->body, u->id, err);
    *err = *answer->err;
    return -1;
}

/* ---- step 2 ---- */

static int part_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    const char *etag = http_response_header(answer->http, "ETag");

    if (!etag || !*etag || strlen(etag) >= S3_PART_ETAG_BYTES)
        return error_set(err, ERR_CORRUPT, answer->status, "no usable ETag");
    return 0;
}

int s3_upload_part(struct s3_op *op, const struct s3_upload *u, const struct storage_part *part,
                   s3_request_done_fn *done, void *arg, struct error *err)
{
    CLEANUP(buf_destroy) struct buf query = BUF_INIT(PART_QUERY_BYTES_MAX);
    struct s3_headers headers = {.count = 0};

    ASSERT(u->id[0] && part->number >= 1 && part->number <= u->part_count);
    s3_headers_add(&headers, "content-type", "application/octet-stream");
    s3_headers_add_customer_key(&headers, op->store);
    if (buf_printf(&query, err, "partNumber=%u&", part->number) < 0 ||
        query_add_id(&query, u->id, err) < 0)
        return -1;
    const struct s3_request_spec spec = {.kind = STORAGE_OP_PUT,
                                         .method = "PUT",
                                         .key = u->key,
                                         .query = buf_str(&query),
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .blob = part->blob,
                                         .blob_offset = part->offset,
                                         .blob_bytes = part->bytes,
                                         .has_body = true,
                                         .deadline_ns = s3_op_remaining_ns(op),
                                         .check = part_check,
                                         .done = done,
                                         .arg = arg};
    return s3_request_start(op, &spec, err);
}

void s3_upload_part_sent(struct s3_upload *u, unsigned number, const struct s3_answer *answer)
{
    struct s3_part *part = &u->parts[number - 1];

    s3_text_copy(part->etag, sizeof(part->etag),
                 slice_of_str(http_response_header(answer->http, "ETag")));
}

/* ---- steps 3 and 4 ---- */

static void on_looked(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    const struct s3_upload *u = arg;
    struct storage_object object = {.bytes = 0};
    struct error err = ERROR_INIT;

    if (answer->err->code != ERR_NONE) {
        err = *answer->err;
        (void)error_wrap(&err, "the upload is gone, and so is its object");
    } else {
        s3_object_of_answer(answer->http, &object);
        if (u->mode == STORAGE_PUT_CREATE) {
            (void)error_set(&err, ERR_EXISTS, answer->status, "PUT s3://%s/%s: the key is taken",
                            op->store->target.bucket, u->key);
        } else if (object.bytes != u->bytes) {
            (void)error_set(&err, ERR_UNAVAILABLE, answer->status,
                            "PUT s3://%s/%s: the upload is gone, the object has %llu bytes, not "
                            "%llu",
                            op->store->target.bucket, u->key, (unsigned long long)object.bytes,
                            (unsigned long long)u->bytes);
        }
    }
    s3_op_end(op, err.code == ERR_NONE ? NULL : &err);
}

static void on_completed(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    struct s3_upload *u = arg;
    struct error err = ERROR_INIT;
    bool may_be_done = answer->tries > 1 || u->was_completed;

    u->was_completed = true;
    if (answer->err->code == ERR_NONE) {
        u->id[0] = '\0';
        s3_op_end(op, NULL);
        return;
    }
    if (!may_be_done || strcmp(answer->code, "NoSuchUpload") != 0) {
        s3_op_end(op, answer->err);
        return;
    }
    u->id[0] = '\0'; /* step 4 */
    if (s3_head_request(op, u->key, on_looked, u, &err) < 0)
        s3_op_end(op, &err);
}

static int complete_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    if (!s3_complete_parse(answer->body))
        return error_set(err, ERR_CORRUPT, answer->status, "no <CompleteMultipartUploadResult>");
    return 0;
}

static int complete_body(const struct s3_upload *u, struct buf *out, struct error *err)
{
    if (buf_append_str(out,
                       "<CompleteMultipartUpload "
                       "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
                       err) < 0)
        return -1;
    for (unsigned i = 0; i < u->part_count; i++) {
        if (buf_append_str(out, "<Part><ETag>", err) < 0 ||
            s3_xml_escape(out, u->parts[i].etag, err) < 0 ||
            buf_printf(out, err, "</ETag><PartNumber>%u</PartNumber></Part>", i + 1) < 0)
            return -1;
    }
    return buf_append_str(out, "</CompleteMultipartUpload>", err);
}

int s3_upload_complete(struct s3_op *op, struct s3_upload *u, struct error *err)
{
    CLEANUP(buf_destroy) struct buf query = BUF_INIT(PART_QUERY_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(COMPLETE_BYTES_MAX);
    struct s3_headers headers = {.count = 0};

    if (!u->id[0]) /* an answer before has told that it is gone: step 4 */
        return s3_head_request(op, u->key, on_looked, u, err);
    s3_headers_add(&headers, "content-type", "application/xml");
    if (u->is_conditional)
        s3_headers_add(&headers, "if-none-match", "*");
    if (query_add_id(&query, u->id, err) < 0 || complete_body(u, &body, err) < 0)
        return -1;
    const struct s3_request_spec spec = {.kind = STORAGE_OP_PUT,
                                         .method = "POST",
                                         .key = u->key,
                                         .query = buf_str(&query),
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .body = buf_slice(&body),
                                         .has_body = true,
                                         .deadline_ns = s3_op_remaining_ns(op),
                                         .check = complete_check,
                                         .done = on_completed,
                                         .arg = u};
    return s3_request_start(op, &spec, err);
}
