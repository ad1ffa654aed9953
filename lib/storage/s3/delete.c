/*
 * Deleting objects: batches of 1000 (POST ?delete), or one DELETE a key.
 *
 * 1. A batch asks in verbose mode, so that each key is confirmed: a key that the answer does not
 *    mention counts as not deleted (there are servers that forget some). Content-MD5, or on AWS
 *    without it x-amz-checksum-sha256, covers the body, as the API demands.
 * 2. A single key, and every key where the provider has no batches (or answers 501 or 405 to one),
 *    is deleted by its own request, 16 at a time.
 * 3. All keys are tried; the outcome is the first key's failure, in the order of the keys within
 *    what was tried first. on_key hears of each once.
 *
 * Deleting what is not there is success; a bucket that is not there is not.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/request.h"

enum {
    DELETE_BODY_BYTES_MAX = 8 << 20
};

struct delete_op {
    struct s3_op op; /* first */
    const char *const *keys;
    size_t key_count;
    void (*on_key)(void *arg, size_t key_idx, const struct error *err);
    size_t next; /* the first key that nothing was asked about */
    unsigned under_way;
    size_t batch_at; /* keys of the batch under way: [batch_at, batch_at + batch_count) */
    size_t batch_count;
    size_t batch_last;  /* where the last confirmed key was found */
    bool *is_confirmed; /* of the batch */
    struct error first; /* of a key */
};

static struct delete_op *delete_of(struct s3_op *op)
{
    return CONTAINER_OF(op, struct delete_op, op);
}

static void delete_free(struct s3_op *op)
{
    struct delete_op *del = delete_of(op);

    free(del->is_confirmed);
    free(del);
}

static void delete_go_on(struct delete_op *del);

static void key_ended(struct delete_op *del, size_t key_idx, const struct error *err)
{
    if (err->code != ERR_NONE && del->first.code == ERR_NONE)
        del->first = *err;
    if (del->on_key)
        del->on_key(del->op.arg, key_idx, err);
}

/* ---- one by one ---- */

static void on_single(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    struct delete_op *del = delete_of(op);
    const char *const *key = (const char *const *)arg;
    struct error err = *answer->err;

    del->under_way--;
    if (err.code == ERR_NOT_FOUND && strcmp(answer->code, "NoSuchBucket") != 0)
        error_clear(&err);
    key_ended(del, (size_t)(key - del->keys), &err);
    delete_go_on(del);
}

static int single_start(struct delete_op *del, size_t key_idx, struct error *err)
{
    CLEANUP(mem_free)
    char *key = str_printf(err, "%s%s", del->op.store->prefix, del->keys[key_idx]);

    if (!key)
        return -1;
    const struct s3_request_spec spec = {.kind = STORAGE_OP_DELETE,
                                         .method = "DELETE",
                                         .key = key,
                                         .done = on_single,
                                         .arg = (void *)&del->keys[key_idx]};
    return s3_request_start(&del->op, &spec, err);
}

/* ---- batches ---- */

static int batch_on_key(void *arg, const char *key, const struct s3_error *error,
                        struct error *err UNUSED)
{
    struct delete_op *del = arg;
    struct error failure = ERROR_INIT;
    size_t prefix_n = strlen(del->op.store->prefix);

    if (strncmp(key, del->op.store->prefix, prefix_n) != 0)
        return 0; /* not one of ours: then it confirms nothing */
    /* Answers come in the order of the request, or nearly: go on where the last one was. */
    for (size_t i = 0; i < del->batch_count; i++) {
        size_t idx = (del->batch_last + i) % del->batch_count;
        if (strcmp(del->keys[del->batch_at + idx], key + prefix_n) != 0 || del->is_confirmed[idx])
            continue;
        del->is_confirmed[idx] = true;
        del->batch_last = idx + 1;
        if (error && strcmp(error->code, "NoSuchKey") != 0) {
            const struct s3_failure explained = {.kind = STORAGE_OP_DELETE,
                                                 .status = 200,
                                                 .error = error,
                                                 .target = &del->op.store->target};
            (void)s3_failure_explain(&explained, &failure); /* fills failure */
            (void)error_wrap(&failure, "DELETE s3://%s/%s", del->op.store->target.bucket, key);
        }
        key_ended(del, del->batch_at + idx, &failure);
        return 0;
    }
    return 0;
}

static int key_ignore(void *arg UNUSED, const char *key UNUSED, const struct s3_error *error UNUSED,
                      struct error *err UNUSED)
{
    return 0;
}

static int batch_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    return s3_delete_parse(answer->body, key_ignore, NULL, err);
}

static void batch_fail(struct delete_op *del, const struct error *err)
{
    for (size_t i = 0; i < del->batch_count; i++) {
        if (!del->is_confirmed[i])
            key_ended(del, del->batch_at + i, err);
    }
}

static void on_batch(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct delete_op *del = delete_of(op);
    struct error err = *answer->err;

    del->under_way--;
    if (err.code == ERR_UNSUPPORTED) { /* step 2 */
        op->store->has_batch_delete = false;
        del->next = del->batch_at;
        delete_go_on(del);
        return;
    }
    if (err.code == ERR_NONE && s3_delete_parse(answer->body, batch_on_key, del, &err) == 0) {
        (void)error_set(&err, ERR_UNAVAILABLE, answer->status,
                        "DELETE s3://%s/%s: the answer does not say whether the key was deleted",
                        op->store->target.bucket, op->store->prefix);
    }
    batch_fail(del, &err);
    delete_go_on(del);
}

static int batch_body(const struct delete_op *del, struct buf *out, struct error *err)
{
    if (buf_append_str(out, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">", err) < 0)
        return -1;
    for (size_t i = 0; i < del->batch_count; i++) {
        if (buf_append_str(out, "<Object><Key>", err) < 0 ||
            s3_xml_escape(out, del->op.store->prefix, err) < 0 ||
            s3_xml_escape(out, del->keys[del->batch_at + i], err) < 0 ||
            buf_append_str(out, "</Key></Object>", err) < 0)
            return -1;
    }
    return buf_append_str(out, "</Delete>", err);
}

static int digest_base64(struct slice body, const EVP_MD *kind, char out[static 48],
                         struct error *err)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (!EVP_Digest(body.p, body.n, digest, &n, kind, NULL) || n > 32)
        return error_set(err, ERR_UNSUPPORTED, 0, "checksum of a batch: OpenSSL cannot compute it");
    (void)EVP_EncodeBlock((unsigned char *)out, digest, (int)n); /* 32 bytes become 44 */
    return 0;
}

static int batch_checksum(const struct s3_store *store, struct slice body,
                          struct s3_headers *headers, char text[static 48], struct error *err)
{
    if (store->sends_content_md5) {
        if (digest_base64(body, EVP_md5(), text, err) < 0)
            return -1;
        s3_headers_add(headers, "content-md5", text);
    } else if (strcmp(store->target.provider->name, "AWS") == 0) {
        if (digest_base64(body, EVP_sha256(), text, err) < 0)
            return -1;
        s3_headers_add(headers, "x-amz-checksum-sha256", text);
    }
    return 0;
}

static int batch_start(struct delete_op *del, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(DELETE_BODY_BYTES_MAX);
    struct s3_headers headers = {.count = 0};
    char checksum[48];

    s3_headers_add(&headers, "content-type", "application/xml");
    if (batch_body(del, &body, err) < 0 ||
        batch_checksum(del->op.store, buf_slice(&body), &headers, checksum, err) < 0)
        return -1;
    const struct s3_request_spec spec = {.kind = STORAGE_OP_DELETE,
                                         .method = "POST",
                                         .query = "delete=",
                                         .headers = headers.h,
                                         .header_count = headers.count,
                                         .body = buf_slice(&body),
                                         .has_body = true,
                                         .check = batch_check,
                                         .done = on_batch};
    return s3_request_start(&del->op, &spec, err);
}

static int batch_begin(struct delete_op *del, struct error *err)
{
    size_t left = del->key_count - del->next;

    del->batch_at = del->next;
    del->batch_count = left < S3_DELETE_KEYS_MAX ? left : S3_DELETE_KEYS_MAX;
    del->batch_last = 0;
    free(del->is_confirmed);
    del->is_confirmed = mem_new(del->batch_count, sizeof(bool), err);
    if (!del->is_confirmed || batch_start(del, err) < 0)
        return -1;
    del->next += del->batch_count;
    del->under_way++;
    return 0;
}

/* ---- both ---- */

static bool delete_is_batched(const struct delete_op *del)
{
    return del->op.store->has_batch_delete && del->key_count > 1;
}

static int delete_fill(struct delete_op *del, struct error *err)
{
    if (delete_is_batched(del))
        return del->under_way > 0 || del->next == del->key_count ? 0 : batch_begin(del, err);
    while (del->next < del->key_count && del->under_way < S3_DELETES_PARALLEL) {
        if (single_start(del, del->next, err) < 0)
            return -1;
        del->next++;
        del->under_way++;
    }
    return 0;
}

static void delete_go_on(struct delete_op *del)
{
    struct error err = ERROR_INIT;

    if (del->op.is_ending)
        return;
    if (delete_fill(del, &err) < 0)
        s3_op_end(&del->op, &err);
    else if (del->under_way == 0)
        s3_op_end(&del->op, del->first.code == ERR_NONE ? NULL : &del->first);
}

int s3_delete(struct storage *st, const struct storage_delete *args, storage_done_fn *done,
              void *arg, struct storage_op **out_op, struct error *err)
{
    struct delete_op *del = mem_new(1, sizeof(*del), err);

    if (!del)
        return -1;
    if (s3_op_init(&del->op, st, NULL, done, arg, delete_free, err) < 0) {
        free(del);
        return -1;
    }
    del->keys = args->keys;
    del->key_count = args->key_count;
    del->on_key = args->on_key;
    delete_go_on(del);
    if (out_op)
        *out_op = s3_op_public(&del->op);
    return 0;
}
