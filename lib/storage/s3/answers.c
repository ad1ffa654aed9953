/*
 * S3's documents. Each parser is a table of paths below its root element; what is not in the table
 * is ignored, since servers add elements of their own.
 *
 *   ListBucketResult            IsTruncated, NextContinuationToken, EncodingType,
 *     Contents*                 Key, Size, LastModified
 *   ListMultipartUploadsResult  IsTruncated, NextKeyMarker, NextUploadIdMarker, EncodingType,
 *     Upload*                   Key, UploadId, Initiated
 *   DeleteResult                Deleted* (Key), Error* (Key, Code, Message)
 *   InitiateMultipartUploadResult     UploadId
 *   CompleteMultipartUploadResult     (its presence is the answer)
 *   Error                       Code, Message, Region, ServerTime
 *
 * EncodingType may come after the keys, so keys are decoded when the document has ended. They are
 * encoded like a form: %XX, and '+' for a space.
 */
#include "lib/storage/s3/answers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/hex.h"
#include "lib/storage/s3/xml.h"

void s3_text_copy(char *out, size_t out_bytes, struct slice text)
{
    size_t n = text.n < out_bytes ? text.n : out_bytes - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text.p[i] >= ' ' && text.p[i] <= '~' ? text.p[i] : '?');
    out[n] = '\0';
}

/* ---- Error ---- */

static int error_on_close(void *arg, const char *path, struct slice text, struct error *err UNUSED)
{
    struct s3_error *out = arg;

    if (strcmp(path, "Error/Code") == 0)
        s3_text_copy(out->code, sizeof(out->code), text);
    else if (strcmp(path, "Error/Message") == 0)
        s3_text_copy(out->message, sizeof(out->message), text);
    else if (strcmp(path, "Error/Region") == 0)
        s3_text_copy(out->region, sizeof(out->region), text);
    else if (strcmp(path, "Error/ServerTime") == 0)
        s3_text_copy(out->server_time, sizeof(out->server_time), text);
    return 0;
}

bool s3_error_parse(struct slice body, struct s3_error *out)
{
    static const struct xml_handler handler = {.on_close = error_on_close};
    struct error ignored = ERROR_INIT;

    memset(out, 0, sizeof(*out));
    if (xml_parse(body, &handler, out, &ignored) < 0 && !out->code[0]) {
        memset(out, 0, sizeof(*out));
        return false;
    }
    return out->code[0] != '\0';
}

/* ---- listings ---- */

struct list_run {
    struct s3_page *page;
    const char *root;
    const char *entry; /* "Contents" or "Upload" */
    const char *next;  /* name of the element with the next token */
    struct s3_entry now;
    bool has_key, has_root, is_encoded;
};

void s3_page_destroy(struct s3_page *page)
{
    free(page->entries);
    free(page->next_token);
    free(page->next_upload_id);
    buf_destroy(&page->text);
    *page = (struct s3_page)S3_PAGE_INIT;
}

static const char *page_text(const struct s3_page *page, size_t at)
{
    ASSERT(at < page->text.n);
    return (const char *)page->text.p + at;
}

const char *s3_page_key(const struct s3_page *page, size_t entry_idx)
{
    return page_text(page, page->entries[entry_idx].key_at);
}

const char *s3_page_upload_id(const struct s3_page *page, size_t entry_idx)
{
    return page_text(page, page->entries[entry_idx].upload_id_at);
}

static int page_add_text(struct s3_page *page, struct slice text, size_t max, size_t *out_at,
                         struct error *err)
{
    size_t at = page->text.n;
    if (text.n == 0 || text.n > max)
        return error_set(err, ERR_CORRUPT, 0, "a text of %zu bytes in a listing", text.n);
    if (buf_append_slice(&page->text, text, err) < 0 || buf_append_byte(&page->text, '\0', err) < 0)
        return -1;
    *out_at = at;
    return 0;
}

static int page_add_entry(struct s3_page *page, const struct s3_entry *entry, struct error *err)
{
    if (page->entry_count == S3_PAGE_ENTRIES_MAX) {
        return error_set(err, ERR_CORRUPT, 0, "more than %d entries in one page of a listing",
                         S3_PAGE_ENTRIES_MAX);
    }
    if (page->entry_count == page->entry_cap) {
        size_t cap = page->entry_cap ? page->entry_cap * 2 : 64;
        struct s3_entry *grown = realloc(page->entries, cap * sizeof(*grown));
        if (!grown)
            return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu entries", cap);
        page->entries = grown;
        page->entry_cap = cap;
    }
    page->entries[page->entry_count++] = *entry;
    return 0;
}

static int size_parse(struct slice text, uint64_t *out, struct error *err)
{
    uint64_t v = 0;
    bool is_good = text.n > 0;
    for (size_t i = 0; is_good && i < text.n; i++) {
        is_good = text.p[i] >= '0' && text.p[i] <= '9' && checked_mul_u64(v, 10, &v) &&
                  checked_add_u64(v, (uint64_t)(text.p[i] - '0'), &v);
    }
    if (!is_good)
        return error_set(err, ERR_CORRUPT, 0, "a size in a listing is not a number");
    *out = v;
    return 0;
}

static int moment_parse(struct slice text, uint64_t *out_ns, struct error *err)
{
    char printable[64];
    s3_text_copy(printable, sizeof(printable), text);
    if (time_parse_rfc3339(printable, out_ns, err) < 0) {
        err->code = ERR_CORRUPT; /* a server's moment, not the user's */
        return error_wrap(err, "listing");
    }
    return 0;
}

static int token_set(char **token, struct slice text, struct error *err)
{
    free(TAKE(*token));
    if (text.n == 0)
        return 0;
    if (text.n > S3_TOKEN_BYTES_MAX)
        return error_set(err, ERR_CORRUPT, 0, "a continuation token of %zu bytes", text.n);
    *token = str_printf(err, "%.*s", (int)text.n, (const char *)text.p);
    return *token ? 0 : -1;
}

static int entry_on_close(struct list_run *run, const char *name, struct slice text,
                          struct error *err)
{
    if (strcmp(name, "Key") == 0) {
        run->has_key = true;
        return page_add_text(run->page, text, S3_KEY_ENCODED_BYTES_MAX, &run->now.key_at, err);
    }
    if (strcmp(name, "UploadId") == 0)
        return page_add_text(run->page, text, S3_UPLOAD_ID_BYTES_MAX, &run->now.upload_id_at, err);
    if (strcmp(name, "Size") == 0)
        return size_parse(text, &run->now.bytes, err);
    if (strcmp(name, "LastModified") == 0 || strcmp(name, "Initiated") == 0)
        return moment_parse(text, &run->now.modified_ns, err);
    return 0;
}

static int head_on_close(struct list_run *run, const char *name, struct slice text,
                         struct error *err)
{
    if (strcmp(name, "IsTruncated") == 0)
        run->page->is_truncated = slice_eq_str(text, "true");
    else if (strcmp(name, "EncodingType") == 0)
        run->is_encoded = slice_eq_str(text, "url");
    else if (strcmp(name, run->next) == 0)
        return token_set(&run->page->next_token, text, err);
    else if (strcmp(name, "NextUploadIdMarker") == 0)
        return token_set(&run->page->next_upload_id, text, err);
    return 0;
}

/* The part of path behind "<prefix>/", or NULL. */
static const char *path_below(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(path, prefix, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static int list_on_close(void *arg, const char *path, struct slice text, struct error *err)
{
    struct list_run *run = arg;
    const char *name = path_below(path, run->root);

    if (!name)
        return 0;
    if (strcmp(name, run->entry) == 0) {
        if (!run->has_key)
            return error_set(err, ERR_CORRUPT, 0, "an entry of a listing has no key");
        return page_add_entry(run->page, &run->now, err);
    }
    const char *below = path_below(name, run->entry);
    return below ? entry_on_close(run, below, text, err) : head_on_close(run, name, text, err);
}

static int list_on_open(void *arg, const char *path, struct error *err)
{
    struct list_run *run = arg;

    if (!run->has_root) {
        if (strcmp(path, run->root) != 0)
            return error_set(err, ERR_CORRUPT, 0, "expected <%s>, found <%.64s>", run->root, path);
        run->has_root = true;
        return 0;
    }
    const char *name = path_below(path, run->root);
    if (name && strcmp(name, run->entry) == 0) {
        run->now = (struct s3_entry){.upload_id_at = SIZE_MAX};
        run->has_key = false;
    }
    return 0;
}

/* Decodes in place: the result is never longer. */
static int text_decode(char *text, struct error *err)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        char c = *from;
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int byte = hex_byte(from + 1);
            if (byte <= 0)
                return error_set(err, ERR_CORRUPT, 0, "a key in a listing has a bad escape");
            c = (char)byte;
            from += 2;
        }
        *to++ = c;
    }
    *to = '\0';
    return 0;
}

static int list_run_all(struct list_run *run, struct slice body, struct error *err)
{
    static const struct xml_handler handler = {.on_open = list_on_open, .on_close = list_on_close};
    struct s3_page *page = run->page;

    if (xml_parse(body, &handler, run, err) < 0)
        return -1;
    for (size_t i = 0; i < page->entry_count; i++) {
        char *key = (char *)page->text.p + page->entries[i].key_at;
        if (run->is_encoded && text_decode(key, err) < 0)
            return -1;
        if (strlen(key) > S3_KEY_BYTES_MAX)
            return error_set(err, ERR_CORRUPT, 0, "a key of %zu bytes in a listing", strlen(key));
    }
    return 0;
}

int s3_list_parse(struct slice body, struct s3_page *out, struct error *err)
{
    struct list_run run = {.page = out,
                           .root = "ListBucketResult",
                           .entry = "Contents",
                           .next = "NextContinuationToken"};

    if (list_run_all(&run, body, err) < 0)
        return -1;
    if (out->is_truncated && !out->next_token) {
        return error_set(err, ERR_CORRUPT, 0,
                         "the listing says it goes on but not where (no NextContinuationToken)");
    }
    return 0;
}

int s3_uploads_parse(struct slice body, struct s3_page *out, struct error *err)
{
    struct list_run run = {.page = out,
                           .root = "ListMultipartUploadsResult",
                           .entry = "Upload",
                           .next = "NextKeyMarker"};

    if (list_run_all(&run, body, err) < 0)
        return -1;
    for (size_t i = 0; i < out->entry_count; i++) {
        if (out->entries[i].upload_id_at == SIZE_MAX)
            return error_set(err, ERR_CORRUPT, 0, "an upload in a listing has no id");
    }
    if (out->next_token && run.is_encoded && text_decode(out->next_token, err) < 0)
        return -1;
    if (out->is_truncated && !out->next_token) {
        return error_set(err, ERR_CORRUPT, 0,
                         "the listing says it goes on but not where (no NextKeyMarker)");
    }
    return 0;
}

/* ---- multipart ---- */

static int upload_id_on_close(void *arg, const char *path, struct slice text, struct error *err)
{
    char *out = arg;

    if (strcmp(path, "InitiateMultipartUploadResult/UploadId") != 0)
        return 0;
    if (text.n == 0 || text.n > S3_UPLOAD_ID_BYTES_MAX)
        return error_set(err, ERR_CORRUPT, 0, "an upload id of %zu bytes", text.n);
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return 0;
}

int s3_upload_id_parse(struct slice body, char out[static S3_UPLOAD_ID_BYTES_MAX + 1],
                       struct error *err)
{
    static const struct xml_handler handler = {.on_close = upload_id_on_close};

    out[0] = '\0';
    if (xml_parse(body, &handler, out, err) < 0)
        return -1;
    if (!out[0])
        return error_set(err, ERR_CORRUPT, 0, "no upload id in the answer");
    return 0;
}

static int complete_on_close(void *arg, const char *path, struct slice text UNUSED,
                             struct error *err UNUSED)
{
    bool *is_complete = arg;

    if (strcmp(path, "CompleteMultipartUploadResult") == 0)
        *is_complete = true;
    return 0;
}

bool s3_complete_parse(struct slice body)
{
    static const struct xml_handler handler = {.on_close = complete_on_close};
    struct error ignored = ERROR_INIT;
    bool is_complete = false;

    return xml_parse(body, &handler, &is_complete, &ignored) == 0 && is_complete;
}

/* ---- DeleteResult ---- */

struct delete_run {
    s3_deleted_fn *on_key;
    void *arg;
    char key[S3_KEY_ENCODED_BYTES_MAX + 1];
    struct s3_error error;
    bool has_root;
};

static int delete_on_open(void *arg, const char *path, struct error *err)
{
    struct delete_run *run = arg;

    if (!run->has_root && strcmp(path, "DeleteResult") != 0)
        return error_set(err, ERR_CORRUPT, 0, "expected <DeleteResult>, found <%.64s>", path);
    run->has_root = true;
    if (strcmp(path, "DeleteResult/Deleted") == 0 || strcmp(path, "DeleteResult/Error") == 0) {
        run->key[0] = '\0';
        memset(&run->error, 0, sizeof(run->error));
    }
    return 0;
}

static int delete_on_close(void *arg, const char *path, struct slice text, struct error *err)
{
    struct delete_run *run = arg;

    if (strcmp(path, "DeleteResult/Deleted/Key") == 0 ||
        strcmp(path, "DeleteResult/Error/Key") == 0) {
        if (text.n >= sizeof(run->key))
            return error_set(err, ERR_CORRUPT, 0, "a key of %zu bytes", text.n);
        memcpy(run->key, text.p, text.n);
        run->key[text.n] = '\0';
    } else if (strcmp(path, "DeleteResult/Error/Code") == 0) {
        s3_text_copy(run->error.code, sizeof(run->error.code), text);
    } else if (strcmp(path, "DeleteResult/Error/Message") == 0) {
        s3_text_copy(run->error.message, sizeof(run->error.message), text);
    } else if (strcmp(path, "DeleteResult/Deleted") == 0) {
        return run->on_key(run->arg, run->key, NULL, err);
    } else if (strcmp(path, "DeleteResult/Error") == 0) {
        return run->on_key(run->arg, run->key, &run->error, err);
    }
    return 0;
}

int s3_delete_parse(struct slice body, s3_deleted_fn *on_key, void *arg, struct error *err)
{
    static const struct xml_handler handler = {.on_open = delete_on_open,
                                               .on_close = delete_on_close};
    struct delete_run run = {.on_key = on_key, .arg = arg};

    return xml_parse(body, &handler, &run, err);
}

int s3_xml_escape(struct buf *out, const char *s, struct error *err)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        int rc = c < ' ' || strchr("<>&\"'", c) ? buf_printf(out, err, "&#%u;", c)
                                                : buf_append_byte(out, c, err);
        if (rc < 0)
            return -1;
    }
    return 0;
}
