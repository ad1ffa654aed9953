/*
 * Listing, page by page (ListObjectsV2).
 *
 * 1. GET ?list-type=2&prefix=...&start-after=... asks for 1000 keys, encoded; the following pages
 *    are asked for by continuation token.
 * 2. A page is looked over before anything is handed on: keys outside the prefix are ignored (a
 *    listing is hostile input), so are keys up to start-after (not every server knows it), and
 *    keys that do not ascend are ERR_CORRUPT, since the caller was promised order.
 * 3. With want_timestamps each object of the page is asked by HEAD, 16 at a time, and handed on
 *    when all before it have been. An object that is gone by then was not there.
 *
 * A server that says "there is more" with the token it was given would never end: ERR_CORRUPT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/request.h"

enum {
    LIST_QUERY_BYTES_MAX = 16384
};

enum list_head {
    LIST_HEAD_WAITING, /* not asked, or not answered */
    LIST_HEAD_KNOWN,
    LIST_HEAD_GONE,
};

struct list_op {
    struct s3_op op; /* first; op.key is the whole prefix */
    int (*on_object)(void *arg, const struct storage_object *object, struct error *err);
    bool wants_timestamps;
    char start_after[S3_KEY_BYTES_MAX + 1]; /* whole; "" for none */
    char last_key[S3_KEY_BYTES_MAX + 1];    /* handed on */
    char *token;                            /* of the page under way; NULL: the first */
    struct s3_page page;
    size_t page_at; /* the next to be handed on */
    size_t head_at; /* the next to be asked */
    unsigned heads_under_way;
    enum list_head *heads; /* one an entry of the page */
};

static struct list_op *list_of(struct s3_op *op)
{
    return CONTAINER_OF(op, struct list_op, op);
}

static void list_free(struct s3_op *op)
{
    struct list_op *list = list_of(op);

    s3_page_destroy(&list->page);
    free(list->token);
    free(list->heads);
    free(list);
}

static int query_add(struct buf *query, const char *name, const char *value, struct error *err)
{
    if (buf_printf(query, err, "%s%s=", query->n ? "&" : "", name) < 0)
        return -1;
    return sigv4_uri_encode(query, slice_of_str(value), false, err);
}

static int list_query(const struct list_op *list, struct buf *query, struct error *err)
{
    if (query_add(query, "list-type", "2", err) < 0 ||
        query_add(query, "max-keys", "1000", err) < 0 ||
        query_add(query, "encoding-type", "url", err) < 0 ||
        query_add(query, "prefix", list->op.key, err) < 0)
        return -1;
    if (list->token)
        return query_add(query, "continuation-token", list->token, err);
    if (list->start_after[0])
        return query_add(query, "start-after", list->start_after, err);
    return 0;
}

static void page_go_on(struct list_op *list);
static void list_on_page(struct s3_op *op, void *arg, const struct s3_answer *answer);

static int list_check(void *arg UNUSED, const struct s3_answer *answer, struct error *err)
{
    struct s3_page page = S3_PAGE_INIT;
    int rc = s3_list_parse(answer->body, &page, err);

    s3_page_destroy(&page);
    return rc;
}

static void list_ask(struct list_op *list)
{
    CLEANUP(buf_destroy) struct buf query = BUF_INIT(LIST_QUERY_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (list_query(list, &query, &err) < 0) {
        s3_op_end(&list->op, &err);
        return;
    }
    const struct s3_request_spec spec = {.kind = STORAGE_OP_LIST,
                                         .method = "GET",
                                         .query = buf_str(&query),
                                         .check = list_check,
                                         .done = list_on_page};
    if (s3_request_start(&list->op, &spec, &err) < 0)
        s3_op_end(&list->op, &err);
}

/* Step 2: whether the entry is one to hand on; 1 yes, 0 no. */
static int entry_is_wanted(const struct list_op *list, const char *key, struct error *err)
{
    const char *relative;

    if (strncmp(key, list->op.key, strlen(list->op.key)) != 0)
        return 0;
    relative = s3_key_relative(list->op.store, key);
    if (!*relative || strlen(relative) > STORAGE_KEY_BYTES_MAX)
        return 0;
    if (list->start_after[0] && strcmp(key, list->start_after) <= 0)
        return 0;
    if (list->last_key[0] && strcmp(key, list->last_key) <= 0) {
        return error_set(err, ERR_CORRUPT, 0,
                         "LIST s3://%s/%s: \"%.200s\" comes after \"%.200s\": not in order",
                         list->op.store->target.bucket, list->op.key, key, list->last_key);
    }
    return 1;
}

/* Drops the entries that are not handed on, so that the rest can be walked by index. */
static int page_filter(struct list_op *list, struct error *err)
{
    struct s3_page *page = &list->page;
    size_t kept = 0;

    for (size_t i = 0; i < page->entry_count; i++) {
        const char *key = s3_page_key(page, i);
        int is_wanted = entry_is_wanted(list, key, err);
        if (is_wanted < 0)
            return -1;
        if (!is_wanted)
            continue;
        memcpy(list->last_key, key, strlen(key) + 1);
        page->entries[kept++] = page->entries[i];
    }
    page->entry_count = kept;
    return 0;
}

static int page_begin(struct list_op *list, const struct s3_answer *answer, struct error *err)
{
    s3_page_destroy(&list->page);
    free(TAKE(list->heads));
    list->page_at = 0;
    list->head_at = 0;
    if (s3_list_parse(answer->body, &list->page, err) < 0 || page_filter(list, err) < 0)
        return -1;
    if (list->page.is_truncated && list->token && strcmp(list->token, list->page.next_token) == 0) {
        return error_set(err, ERR_CORRUPT, answer->status,
                         "LIST s3://%s/%s: the server answers the same page for ever",
                         list->op.store->target.bucket, list->op.key);
    }
    if (list->wants_timestamps && list->page.entry_count > 0) {
        list->heads = mem_new(list->page.entry_count, sizeof(*list->heads), err);
        if (!list->heads)
            return -1;
    }
    return 0;
}

static void list_on_page(struct s3_op *op, void *arg UNUSED, const struct s3_answer *answer)
{
    struct list_op *list = list_of(op);
    struct error err = ERROR_INIT;

    if (answer->err->code != ERR_NONE)
        s3_op_end(op, answer->err);
    else if (page_begin(list, answer, &err) < 0)
        s3_op_end(op, &err);
    else
        page_go_on(list);
}

/* ---- step 3 ---- */

/* Which entry a HEAD is about. */
static void list_on_head(struct s3_op *op, void *arg, const struct s3_answer *answer)
{
    struct list_op *list = list_of(op);
    enum list_head *head = arg;
    size_t idx = (size_t)(head - list->heads);
    struct storage_object object = {.bytes = 0};

    list->heads_under_way--;
    if (answer->err->code == ERR_NONE) {
        s3_object_of_answer(answer->http, &object);
        *head = LIST_HEAD_KNOWN;
        if (object.timestamp_ns > 0)
            list->page.entries[idx].modified_ns = object.timestamp_ns;
    } else if (answer->err->code == ERR_NOT_FOUND) {
        *head = LIST_HEAD_GONE;
    } else {
        s3_op_end(op, answer->err);
        return;
    }
    page_go_on(list);
}

static int heads_ask(struct list_op *list, struct error *err)
{
    while (list->head_at < list->page.entry_count && list->heads_under_way < S3_HEADS_PARALLEL) {
        const char *key = s3_page_key(&list->page, list->head_at);
        if (s3_head_request(&list->op, key, list_on_head, &list->heads[list->head_at], err) < 0)
            return -1;
        list->head_at++;
        list->heads_under_way++;
    }
    return 0;
}

/* Hands on what can be; -1 if the caller refused. */
static int page_hand_on(struct list_op *list, struct error *err)
{
    while (list->page_at < list->page.entry_count && !list->op.is_ending) {
        size_t idx = list->page_at;
        if (list->heads && list->heads[idx] == LIST_HEAD_WAITING)
            break;
        list->page_at++;
        if (list->heads && list->heads[idx] == LIST_HEAD_GONE)
            continue;
        const struct s3_entry *entry = &list->page.entries[idx];
        const struct storage_object object = {
            .key = s3_key_relative(list->op.store, s3_page_key(&list->page, idx)),
            .bytes = entry->bytes,
            .timestamp_ns = entry->modified_ns};
        if (list->on_object(list->op.arg, &object, err) < 0)
            return -1;
    }
    return 0;
}

static void page_go_on(struct list_op *list)
{
    struct error err = ERROR_INIT;

    if (page_hand_on(list, &err) < 0 || (list->heads && heads_ask(list, &err) < 0)) {
        s3_op_end(&list->op, &err);
        return;
    }
    if (list->op.is_ending || list->page_at < list->page.entry_count)
        return;
    if (!list->page.is_truncated) {
        s3_op_end(&list->op, NULL);
        return;
    }
    free(list->token);
    list->token = TAKE(list->page.next_token);
    list_ask(list);
}

int s3_list(struct storage *st, const struct storage_list *args, storage_done_fn *done, void *arg,
            struct storage_op **out_op, struct error *err)
{
    struct list_op *list = mem_new(1, sizeof(*list), err);
    struct s3_store *store = s3_store_of(st);

    if (!list)
        return -1;
    if (s3_op_init(&list->op, st, args->prefix, done, arg, list_free, err) < 0) {
        free(list);
        return -1;
    }
    list->page = (struct s3_page)S3_PAGE_INIT;
    list->on_object = args->on_object;
    list->wants_timestamps = args->want_timestamps;
    if (args->start_after && *args->start_after) {
        (void)snprintf(list->start_after, sizeof(list->start_after), "%s%.*s", store->prefix,
                       STORAGE_KEY_BYTES_MAX, args->start_after);
    }
    list_ask(list);
    if (out_op)
        *out_op = s3_op_public(&list->op);
    return 0;
}
