/*
 * Reading an object, or only what is known of it.
 *
 * GET asks for a range unless the whole object is wanted (a range of an empty object is an error in
 * S3). Resuming and the check that the right bytes came are in request.c. An object's moment is the
 * metadata that put stored, else when it was last modified.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/request.h"

struct get_op {
    struct s3_op op; /* first */
    int (*on_data)(void *arg, struct slice chunk, struct error *err);
    uint64_t offset;
    uint64_t bytes;
};

static void get_free(struct s3_op *op)
{
    free(CONTAINER_OF(op, struct get_op, op));
}

static bool number_parse(const char *text, uint64_t *out)
{
    char *end = NULL;

    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    unsigned long long v = strtoull(text, &end, 10);
    if (*end)
        return false;
    *out = v;
    return true;
}

void s3_object_of_answer(const struct http_response *http, struct storage_object *out)
{
    const char *range = http_response_header(http, "Content-Range");
    const char *total = range ? strrchr(range, '/') : NULL;
    const char *timestamp = http_response_header(http, S3_TIMESTAMP_HEADER);
    const char *modified = http_response_header(http, "Last-Modified");
    struct error ignored = ERROR_INIT;

    out->bytes = 0;
    out->timestamp_ns = 0;
    if (!total || !number_parse(total + 1, &out->bytes))
        (void)number_parse(http_response_header(http, "Content-Length"), &out->bytes); /* else 0 */
    if (timestamp && time_parse_rfc3339(timestamp, &out->timestamp_ns, &ignored) == 0)
        return;
    if (!modified || time_parse_http(modified, &out->timestamp_ns, &ignored) < 0)
        out->timestamp_ns = 0;
}

/* ---- GET ---- */

static int get_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct get_op *get = arg;

    return get->on_data(get->op.arg, chunk, err);
}

/* 416 for "from the end on": nothing is there, and nothing was asked for. */
static bool is_empty_tail(const struct get_op *get, const struct s3_answer *answer)
{
    const char *range = answer->http ? http_response_header(answer->http, "Content-Range") : NULL;
    uint64_t total = 0;

    return answer->status == 416 && get->bytes == 0 && range &&
           strncmp(range, "bytes */", 8) == 0 && number_parse(range + 8, &total) &&
           total == get->offset;
}

static void get_on_done(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    struct get_op *get = arg;

    if (is_empty_tail(get, answer)) {
        op->object.bytes = get->offset;
        s3_op_end(op, NULL);
        return;
    }
    if (answer->err->code == ERR_NONE)
        s3_object_of_answer(answer->http, &op->object);
    s3_op_end(op, answer->err->code == ERR_NONE ? NULL : answer->err);
}

int s3_get(struct storage *st, const struct storage_get *args, storage_done_fn *done, void *arg,
           struct storage_op **out_op, struct error *err)
{
    struct get_op *get = mem_new(1, sizeof(*get), err);
    struct s3_headers headers = {.count = 0};
    struct error fault = ERROR_INIT;

    if (!get)
        return -1;
    if (s3_op_init(&get->op, st, args->key, done, arg, get_free, err) < 0) {
        free(get);
        return -1;
    }
    get->on_data = args->on_data;
    get->offset = args->offset;
    get->bytes = args->bytes;
    get->op.object.key = s3_key_relative(get->op.store, get->op.key);
    s3_headers_add_customer_key(&headers, get->op.store);
    const struct s3_request_spec spec = {.kind = STORAGE_OP_GET,
                                         .method = "GET",
                                         .key = get->op.key,
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .has_range = args->offset > 0 || args->bytes > 0,
                                         .range_offset = args->offset,
                                         .range_bytes = args->bytes,
                                         .deadline_ns = args->deadline_ns,
                                         .on_data = get_on_data,
                                         .done = get_on_done,
                                         .arg = get};
    if (s3_request_start(&get->op, &spec, &fault) < 0)
        s3_op_end(&get->op, &fault);
    if (out_op)
        *out_op = s3_op_public(&get->op);
    return 0;
}

/* ---- HEAD ---- */

/*
 * A 200 with an error document in place of the object has no body to show it here, but it has no
 * object either. Taken for one it would lose the object's moment, and a restore to a moment its aim.
 */
static int head_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    if (http_response_header(answer->http, "ETag") ||
        http_response_header(answer->http, "Last-Modified"))
        return 0;
    return error_set(err, ERR_CORRUPT, answer->status,
                     "neither ETag nor Last-Modified: not an object");
}

int s3_head_request(struct s3_op *op, const char *key, s3_request_done_fn *done, void *arg,
                    struct error *err)
{
    struct s3_headers headers = {.count = 0};

    s3_headers_add_customer_key(&headers, op->store);
    const struct s3_request_spec spec = {.kind = STORAGE_OP_HEAD,
                                         .method = "HEAD",
                                         .key = key,
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .deadline_ns = s3_op_remaining_ns(op),
                                         .check = head_check,
                                         .done = done,
                                         .arg = arg};
    return s3_request_start(op, &spec, err);
}

static void head_free(struct s3_op *op)
{
    free(op);
}

static void head_on_done(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    if (answer->err->code == ERR_NONE)
        s3_object_of_answer(answer->http, &op->object);
    s3_op_end(op, answer->err->code == ERR_NONE ? NULL : answer->err);
}

int s3_head(struct storage *st, const char *key, storage_done_fn *done, void *arg,
            struct storage_op **out_op, struct error *err)
{
    struct s3_op *op = mem_new(1, sizeof(*op), err);
    struct error fault = ERROR_INIT;

    if (!op)
        return -1;
    if (s3_op_init(op, st, key, done, arg, head_free, err) < 0) {
        free(op);
        return -1;
    }
    op->object.key = s3_key_relative(op->store, op->key);
    if (s3_head_request(op, op->key, head_on_done, NULL, &fault) < 0)
        s3_op_end(op, &fault);
    if (out_op)
        *out_op = s3_op_public(op);
    return 0;
}
