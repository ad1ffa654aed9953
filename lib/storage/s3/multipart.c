/*
 * Storing a large object in parts.
 *
 * 1. POST ?uploads begins an upload and answers its id. Metadata, class and encryption are said
 *    here.
 * 2. PUT ?partNumber=N&uploadId=ID sends a part, `concurrency` of them at a time. Each part's hash
 *    is computed once, its ETag kept. Parts are as large as configured, or as large as it takes to
 *    stay below 10000 of them.
 * 3. POST ?uploadId=ID with the list of ETags makes the object appear, with If-None-Match: * for
 *    CREATE. Its answer may be a 200 with an error inside, which request.c sees.
 * 4. Was that answer lost, the next try finds no such upload: then HEAD tells. An object that is
 *    there is ERR_EXISTS for CREATE (the caller compares), success for OVERWRITE if the size fits.
 * 5. Whatever ends otherwise is aborted when the operation is freed, that is after its last request
 *    is gone: a part that arrived after the abort would stay, and be billed. A process that dies
 *    leaves the upload to uploads.c.
 *
 * Source: Amazon S3 API Reference, CreateMultipartUpload, UploadPart, CompleteMultipartUpload.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/request.h"

enum {
    PART_ETAG_BYTES = 128,
    PART_QUERY_BYTES_MAX = 4 * S3_UPLOAD_ID_BYTES_MAX, /* the id, encoded, and a number */
    COMPLETE_BYTES_MAX = 4 << 20,
    PART_ROUND_BYTES = 1 << 20, /* larger parts are whole MiB */
};

struct s3_put_part {
    char etag[PART_ETAG_BYTES];
    unsigned number; /* from 1 */
};

static struct s3_put_op *put_of(struct s3_op *op)
{
    return CONTAINER_OF(op, struct s3_put_op, op);
}

static void put_fail(struct s3_put_op *put, struct error *err)
{
    s3_op_end(&put->op, err);
}

/* "uploadId=...", encoded, behind what query says before. */
static int query_add_id(struct buf *query, const char *upload_id, struct error *err)
{
    if (buf_append_str(query, "uploadId=", err) < 0)
        return -1;
    return sigv4_uri_encode(query, slice_of_str(upload_id), false, err);
}

/* ---- steps 3 and 4 ---- */

static void on_looked(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct s3_put_op *put = put_of(op);
    struct storage_object object = {.bytes = 0};
    struct error err = ERROR_INIT;

    if (answer->err->code != ERR_NONE) {
        err = *answer->err;
        (void)error_wrap(&err, "the upload is gone, and so is its object");
    } else {
        s3_object_of_answer(answer->http, &object);
        if (put->mode == STORAGE_PUT_CREATE) {
            (void)error_set(&err, ERR_EXISTS, answer->status, "PUT s3://%s/%s: the key is taken",
                            op->store->target.bucket, op->key);
        } else if (object.bytes != put->body->bytes) {
            (void)error_set(&err, ERR_UNAVAILABLE, answer->status,
                            "PUT s3://%s/%s: the upload is gone, the object has %llu bytes, not "
                            "%llu",
                            op->store->target.bucket, op->key, (unsigned long long)object.bytes,
                            (unsigned long long)put->body->bytes);
        }
    }
    s3_op_end(op, err.code == ERR_NONE ? NULL : &err);
}

static void on_completed(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct s3_put_op *put = put_of(op);
    struct error err = ERROR_INIT;

    if (answer->err->code == ERR_NONE) {
        put->upload_id[0] = '\0';
        s3_op_end(op, NULL);
        return;
    }
    bool may_be_done = answer->tries > 1 && strcmp(answer->code, "NoSuchUpload") == 0;
    if (!may_be_done) {
        s3_op_end(op, answer->err);
        return;
    }
    put->upload_id[0] = '\0'; /* step 4 */
    if (s3_head_request(op, op->key, on_looked, NULL, &err) < 0)
        put_fail(put, &err);
}

static int complete_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    if (!s3_complete_parse(answer->body))
        return error_set(err, ERR_CORRUPT, answer->status, "no <CompleteMultipartUploadResult>");
    return 0;
}

static int complete_body(const struct s3_put_op *put, struct buf *out, struct error *err)
{
    if (buf_append_str(out,
                       "<CompleteMultipartUpload "
                       "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
                       err) < 0)
        return -1;
    for (unsigned i = 0; i < put->part_count; i++) {
        if (buf_append_str(out, "<Part><ETag>", err) < 0 ||
            s3_xml_escape(out, put->parts[i].etag, err) < 0 ||
            buf_printf(out, err, "</ETag><PartNumber>%u</PartNumber></Part>",
                       put->parts[i].number) < 0)
            return -1;
    }
    return buf_append_str(out, "</CompleteMultipartUpload>", err);
}

static int complete_start(struct s3_put_op *put, struct error *err)
{
    CLEANUP(buf_destroy) struct buf query = BUF_INIT(PART_QUERY_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(COMPLETE_BYTES_MAX);
    struct s3_headers headers = {.count = 0};

    s3_headers_add(&headers, "content-type", "application/xml");
    if (put->is_conditional)
        s3_headers_add(&headers, "if-none-match", "*");
    if (query_add_id(&query, put->upload_id, err) < 0 || complete_body(put, &body, err) < 0)
        return -1;
    const struct s3_request_spec spec = {.kind = STORAGE_OP_PUT,
                                         .method = "POST",
                                         .key = put->op.key,
                                         .query = buf_str(&query),
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .body = buf_slice(&body),
                                         .has_body = true,
                                         .deadline_ns = s3_op_remaining_ns(&put->op),
                                         .check = complete_check,
                                         .done = on_completed};
    return s3_request_start(&put->op, &spec, err);
}

/* ---- step 2 ---- */

static int part_start(struct s3_put_op *put, unsigned part_idx, struct error *err);

static void on_part(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    struct s3_put_op *put = put_of(op);
    struct s3_put_part *part = arg;
    struct error err = ERROR_INIT;

    if (answer->err->code != ERR_NONE) {
        err = *answer->err;
        (void)error_wrap(&err, "part %u of %u", part->number, put->part_count);
        put_fail(put, &err);
        return;
    }
    s3_text_copy(part->etag, sizeof(part->etag),
                 slice_of_str(http_response_header(answer->http, "ETag")));
    put->parts_done++;
    int rc = 0;
    if (put->part_next < put->part_count)
        rc = part_start(put, put->part_next++, &err);
    else if (put->parts_done == put->part_count)
        rc = complete_start(put, &err);
    if (rc < 0)
        put_fail(put, &err);
}

static int part_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    const char *etag = http_response_header(answer->http, "ETag");

    if (!etag || !*etag || strlen(etag) >= PART_ETAG_BYTES)
        return error_set(err, ERR_CORRUPT, answer->status, "no usable ETag");
    return 0;
}

static int part_start(struct s3_put_op *put, unsigned part_idx, struct error *err)
{
    CLEANUP(buf_destroy) struct buf query = BUF_INIT(PART_QUERY_BYTES_MAX);
    struct s3_headers headers = {.count = 0};
    uint64_t offset = part_idx * put->part_bytes;
    uint64_t left = put->body->bytes - offset;

    put->parts[part_idx].number = part_idx + 1;
    s3_headers_add(&headers, "content-type", "application/octet-stream");
    s3_headers_add_customer_key(&headers, put->op.store);
    if (buf_printf(&query, err, "partNumber=%u&", part_idx + 1) < 0 ||
        query_add_id(&query, put->upload_id, err) < 0)
        return -1;
    const struct s3_request_spec spec = {.kind = STORAGE_OP_PUT,
                                         .method = "PUT",
                                         .key = put->op.key,
                                         .query = buf_str(&query),
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .blob = put->body,
                                         .blob_offset = offset,
                                         .blob_bytes =
                                             left < put->part_bytes ? left : put->part_bytes,
                                         .has_body = true,
                                         .deadline_ns = s3_op_remaining_ns(&put->op),
                                         .check = part_check,
                                         .done = on_part,
                                         .arg = &put->parts[part_idx]};
    return s3_request_start(&put->op, &spec, err);
}

/* ---- step 1 ---- */

static void on_begun(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct s3_put_op *put = put_of(op);
    struct error err = ERROR_INIT;

    if (answer->err->code != ERR_NONE) {
        s3_op_end(op, answer->err);
        return;
    }
    if (s3_upload_id_parse(answer->body, put->upload_id, &err) < 0) {
        put_fail(put, &err);
        return;
    }
    while (put->part_next < put->part_count && put->part_next < op->store->concurrency) {
        if (part_start(put, put->part_next++, &err) < 0) {
            put_fail(put, &err);
            return;
        }
    }
}

static int begin_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    char ignored[S3_UPLOAD_ID_BYTES_MAX + 1];

    return s3_upload_id_parse(answer->body, ignored, err);
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
    put->part_count = (unsigned)((bytes - 1) / part_bytes + 1);
    put->parts = mem_new(put->part_count, sizeof(*put->parts), err);
    return put->parts ? 0 : -1;
}

void s3_multipart_begin(struct s3_put_op *put)
{
    struct s3_headers headers = {.count = 0};
    struct error err = ERROR_INIT;

    s3_headers_add_object(&headers, put->op.store, put->timestamp_ns);
    const struct s3_request_spec spec = {.kind = STORAGE_OP_PUT,
                                         .method = "POST",
                                         .key = put->op.key,
                                         .query = "uploads=",
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .has_body = true,
                                         .deadline_ns = s3_op_remaining_ns(&put->op),
                                         .check = begin_check,
                                         .done = on_begun};
    if (parts_plan(put, &err) < 0 || s3_request_start(&put->op, &spec, &err) < 0)
        put_fail(put, &err);
}

/* Step 5. */
void s3_multipart_abandon(struct s3_put_op *put)
{
    struct error ignored = ERROR_INIT;

    if (!put->upload_id[0] || put->op.store->is_closing)
        return;
    if (s3_upload_abort(put->op.store, put->op.key, put->upload_id, &ignored) < 0)
        return; /* what is left is found by uploads.c */
}

void s3_multipart_destroy(struct s3_put_op *put)
{
    free(put->parts);
}
