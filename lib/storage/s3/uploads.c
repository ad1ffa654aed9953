/*
 * Multipart uploads that nobody will finish: their parts are kept, and billed, until somebody
 * aborts them.
 *
 * 1. GET ?uploads&prefix=... lists them, page by page.
 * 2. Those below our prefix that were begun before the given moment are aborted one after the
 *    other (DELETE ?uploadId=...); one that is gone already is fine.
 *
 * Also here: the abort of one upload, which put asks for when it fails.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/request.h"

enum {
    UPLOADS_QUERY_BYTES_MAX = 32768
};

static int abort_request(struct s3_op *op, const char *key, const char *upload_id,
                         s3_request_done_fn *done, struct error *err)
{
    CLEANUP(buf_destroy) struct buf query = BUF_INIT(UPLOADS_QUERY_BYTES_MAX);

    if (buf_append_str(&query, "uploadId=", err) < 0 ||
        sigv4_uri_encode(&query, slice_of_str(upload_id), false, err) < 0)
        return -1;
    const struct s3_request_spec spec = {.kind = STORAGE_OP_DELETE,
                                         .method = "DELETE",
                                         .key = key,
                                         .query = buf_str(&query),
                                         .done = done};
    return s3_request_start(op, &spec, err);
}

/* ---- one ---- */

static void abort_free(struct s3_op *op)
{
    free(op);
}

static void abort_on_done(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    s3_op_end(op, answer->err); /* nobody listens; what is left is found by the sweep */
}

int s3_upload_abort(struct s3_store *store, const char *key, const char *upload_id,
                    struct error *err)
{
    struct s3_op *op = mem_new(1, sizeof(*op), err);

    if (!op)
        return -1;
    if (s3_op_init(op, &store->st, NULL, NULL, NULL, abort_free, err) < 0) {
        free(op);
        return -1;
    }
    if (abort_request(op, key, upload_id, abort_on_done, err) < 0)
        s3_op_end(op, err);
    return 0;
}

/* ---- all ---- */

struct sweep_op {
    struct s3_op op; /* first; op.key is the prefix */
    uint64_t older_than_ns;
    uint64_t aborted;
    struct s3_page page;
    size_t page_at;
};

static struct sweep_op *sweep_of(struct s3_op *op)
{
    return CONTAINER_OF(op, struct sweep_op, op);
}

static void sweep_free(struct s3_op *op)
{
    struct sweep_op *sweep = sweep_of(op);

    s3_page_destroy(&sweep->page);
    free(sweep);
}

static void sweep_ask(struct sweep_op *sweep);

static void sweep_end(struct sweep_op *sweep, const struct error *err)
{
    sweep->op.bytes = sweep->aborted; /* what the interface says it counts */
    s3_op_end(&sweep->op, err);
}

static bool entry_is_stale(const struct sweep_op *sweep, size_t idx)
{
    const char *key = s3_page_key(&sweep->page, idx);
    uint64_t begun_ns = sweep->page.entries[idx].modified_ns;

    return strncmp(key, sweep->op.key, strlen(sweep->op.key)) == 0 && begun_ns > 0 &&
           begun_ns < sweep->older_than_ns;
}

static void sweep_on_aborted(struct s3_op *op, void *arg, const struct s3_answer *answer);

static void sweep_go_on(struct sweep_op *sweep)
{
    struct error err = ERROR_INIT;
    struct s3_page *page = &sweep->page;

    while (sweep->page_at < page->entry_count) {
        size_t idx = sweep->page_at++;
        if (!entry_is_stale(sweep, idx))
            continue;
        if (abort_request(&sweep->op, s3_page_key(page, idx), s3_page_upload_id(page, idx),
                          sweep_on_aborted, &err) < 0)
            sweep_end(sweep, &err);
        return;
    }
    if (page->is_truncated)
        sweep_ask(sweep);
    else
        sweep_end(sweep, NULL);
}

static void sweep_on_aborted(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct sweep_op *sweep = sweep_of(op);
    enum error_code code = answer->err->code;

    if (code != ERR_NONE && code != ERR_NOT_FOUND) {
        sweep_end(sweep, answer->err);
        return;
    }
    sweep->aborted += code == ERR_NONE;
    sweep_go_on(sweep);
}

static bool token_is_same(const char *a, const char *b)
{
    return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void sweep_on_page(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct sweep_op *sweep = sweep_of(op);
    struct s3_page page = S3_PAGE_INIT;
    struct error err = ERROR_INIT;

    if (answer->err->code != ERR_NONE) {
        sweep_end(sweep, answer->err);
        return;
    }
    int rc = s3_uploads_parse(answer->body, &page, &err);
    if (rc == 0 && page.is_truncated && token_is_same(page.next_token, sweep->page.next_token) &&
        token_is_same(page.next_upload_id, sweep->page.next_upload_id)) {
        rc = error_set(&err, ERR_CORRUPT, answer->status,
                       "uploads of s3://%s/%s: the server answers the same page for ever",
                       op->store->target.bucket, op->key);
    }
    s3_page_destroy(&sweep->page);
    sweep->page = page;
    sweep->page_at = 0;
    if (rc < 0)
        sweep_end(sweep, &err);
    else
        sweep_go_on(sweep);
}

static int sweep_query(const struct sweep_op *sweep, struct buf *query, struct error *err)
{
    const char *const parts[][2] = {{"encoding-type=url&uploads=&prefix=", sweep->op.key},
                                    {"&key-marker=", sweep->page.next_token},
                                    {"&upload-id-marker=", sweep->page.next_upload_id}};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (parts[i][1] && (buf_append_str(query, parts[i][0], err) < 0 ||
                            sigv4_uri_encode(query, slice_of_str(parts[i][1]), false, err) < 0))
            return -1;
    }
    return 0;
}

static int uploads_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    struct s3_page page = S3_PAGE_INIT;
    int rc = s3_uploads_parse(answer->body, &page, err);

    s3_page_destroy(&page);
    return rc;
}

static void sweep_ask(struct sweep_op *sweep)
{
    CLEANUP(buf_destroy) struct buf query = BUF_INIT(UPLOADS_QUERY_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (sweep_query(sweep, &query, &err) < 0) {
        sweep_end(sweep, &err);
        return;
    }
    const struct s3_request_spec spec = {.kind = STORAGE_OP_LIST,
                                         .method = "GET",
                                         .query = buf_str(&query),
                                         .check = uploads_check,
                                         .done = sweep_on_page};
    if (s3_request_start(&sweep->op, &spec, &err) < 0)
        sweep_end(sweep, &err);
}

int storage_s3_abort_stale_uploads_start(struct storage *st, uint64_t older_than_ns,
                                         storage_done_fn *done, void *arg,
                                         struct storage_op **out_op, struct error *err)
{
    struct sweep_op *sweep = mem_new(1, sizeof(*sweep), err);

    ASSERT(strcmp(st->driver->type, "s3") == 0);
    if (!sweep)
        return -1;
    if (s3_op_init(&sweep->op, st, "", done, arg, sweep_free, err) < 0) {
        free(sweep);
        return -1;
    }
    sweep->page = (struct s3_page)S3_PAGE_INIT;
    sweep->older_than_ns = older_than_ns;
    sweep_ask(sweep);
    if (out_op)
        *out_op = s3_op_public(&sweep->op);
    return 0;
}
