/*
 * Any bytes as a request. Properties: the end of a head does not depend on how the bytes arrive;
 * what parses is made of strings inside the bytes, and says the same when written out and parsed
 * again.
 */
#include "lib/http/server_request.h"

#include <stdlib.h>
#include <string.h>

static void check_inside(const char *text, const uint8_t *p, size_t n)
{
    const uint8_t *at = (const uint8_t *)text;

    if (at >= p && at < p + n)
        ASSERT(memchr(at, '\0', (size_t)(p + n - at)) != NULL);
}

static void check_round_trip(const struct http_head *head)
{
    struct error err = ERROR_INIT;
    struct http_head again;
    size_t at = 0;
    CLEANUP(buf_destroy) struct buf bytes = BUF_INIT(1 << 20);

    if (strpbrk(head->path, "?% \r\n\x7f"))
        return; /* these would have to be encoded again */
    for (const char *c = head->path; *c; c++) {
        if ((unsigned char)*c <= ' ')
            return;
    }
    int rc = buf_printf(&bytes, &err, "%s %s?%s HTTP/1.%u\r\n", head->method, head->path,
                        head->query, head->minor);
    for (size_t i = 0; rc == 0 && i < head->header_count; i++)
        rc = buf_printf(&bytes, &err, "%s: %s\r\n", head->headers[i].name, head->headers[i].value);
    ASSERT(rc == 0 && buf_append_str(&bytes, "\r\n", &err) == 0);
    if (strchr(head->query, ' ') || strchr(head->query, '\r'))
        return;
    ASSERT(http_head_find_end(buf_slice(&bytes), &at) == (int64_t)bytes.n);
    ASSERT(http_head_parse((char *)bytes.p, bytes.n, &again, &err) == 0);
    ASSERT(strcmp(again.path, head->path) == 0 && strcmp(again.query, head->query) == 0);
    ASSERT(again.header_count == head->header_count && again.body_bytes == head->body_bytes);
    ASSERT(again.keeps_alive == head->keeps_alive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct error err = ERROR_INIT;
    struct http_head head;
    size_t at = 0, step_at = 0;
    int64_t step_end = 0;
    CLEANUP(buf_destroy) struct buf bytes = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf value = BUF_INIT(256);

    if (n > 16384)
        return 0;
    int64_t end = http_head_find_end(slice_of(data, n), &at);
    for (size_t i = 0; i <= n && step_end == 0; i++)
        step_end = http_head_find_end(slice_of(data, i), &step_at);
    ASSERT(end == step_end);
    if (end <= 0 || buf_append(&bytes, data, (size_t)end, &err) < 0)
        return 0;
    if (http_head_parse((char *)bytes.p, bytes.n, &head, &err) < 0) {
        ASSERT(err.origin >= 400 && err.origin <= 599);
        return 0;
    }
    ASSERT(head.path[0] == '/' && head.method[0]);
    check_inside(head.path, bytes.p, bytes.n);
    check_inside(head.query, bytes.p, bytes.n);
    IGNORE(http_query_param(head.query, "path", &value, &err)); /* any answer, no crash */
    check_round_trip(&head);
    return 0;
}
