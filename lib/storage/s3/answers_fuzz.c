/*
 * Any bytes as each of S3's documents: no crash, bounded, and keys that came out of a listing come
 * out again when they are written into one.
 */
#include "lib/storage/s3/answers.h"

#include <stdlib.h>
#include <string.h>

static int on_deleted(void *arg, const char *key, const struct s3_error *error,
                      struct error *err UNUSED)
{
    size_t *bytes = arg;

    *bytes += strlen(key) + (error ? strlen(error->code) : 0);
    return 0;
}

static void round_trip(const struct s3_page *page)
{
    struct buf again = BUF_INIT(S3_ANSWER_BYTES_MAX);
    struct s3_page second = S3_PAGE_INIT;
    struct error err = ERROR_INIT;
    bool is_whole = buf_append_str(&again, "<ListBucketResult>", &err) == 0;

    for (size_t i = 0; is_whole && i < page->entry_count; i++) {
        is_whole = buf_append_str(&again, "<Contents><Key>", &err) == 0 &&
                   s3_xml_escape(&again, s3_page_key(page, i), &err) == 0 &&
                   buf_append_str(&again, "</Key></Contents>", &err) == 0;
    }
    /* Decoded bytes need not be UTF-8, nor control characters XML: such a page does not parse. */
    if (is_whole && buf_append_str(&again, "</ListBucketResult>", &err) == 0 &&
        s3_list_parse(buf_slice(&again), &second, &err) == 0) {
        ASSERT(second.entry_count == page->entry_count);
        for (size_t i = 0; i < page->entry_count; i++) {
            const char *key = s3_page_key(page, i);
            const char *got = s3_page_key(&second, i);
            /* Spaces around a text are not kept by the parser. */
            key += strspn(key, " \t\r\n");
            ASSERT(strncmp(key, got, strlen(got)) == 0);
        }
    }
    s3_page_destroy(&second);
    buf_destroy(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice body = slice_of(data, n);
    struct s3_page page = S3_PAGE_INIT;
    struct s3_page uploads = S3_PAGE_INIT;
    struct s3_error error;
    struct error err = ERROR_INIT;
    char id[S3_UPLOAD_ID_BYTES_MAX + 1];
    size_t bytes = 0;

    if (s3_error_parse(body, &error))
        ASSERT(error.code[0]);
    if (s3_list_parse(body, &page, &err) == 0)
        round_trip(&page);
    s3_page_destroy(&page);
    if (s3_uploads_parse(body, &uploads, &err) == 0) {
        for (size_t i = 0; i < uploads.entry_count; i++)
            ASSERT(*s3_page_upload_id(&uploads, i));
    }
    s3_page_destroy(&uploads);
    if (s3_upload_id_parse(body, id, &err) == 0)
        ASSERT(id[0]);
    if (s3_complete_parse(body))
        ASSERT(n > 0);
    if (s3_delete_parse(body, on_deleted, &bytes, &err) == 0)
        ASSERT(bytes <= 4 * n + 1024);
    return 0;
}
