/*
 * Any bytes as an answer. Properties: what was whole stays the same when more bytes follow; what was
 * refused stays refused; and no shorter beginning is a whole answer.
 */
#include "lib/http/answer.h"

#include <string.h>

enum {
    BODY_BYTES_MAX = 256
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct http_answer a, b;
    struct error err = ERROR_INIT, err_part = ERROR_INIT;
    int rc;

    if (n > 8192)
        return 0;
    rc = http_answer_parse(slice_of(data, n), BODY_BYTES_MAX, &a, &err);
    if (rc == 1) {
        size_t whole = a.head_bytes + a.body_bytes;
        ASSERT(a.status >= 100 && a.status <= 599 && a.body_bytes <= BODY_BYTES_MAX);
        ASSERT(whole <= n);
        ASSERT(http_answer_parse(slice_of(data, whole), BODY_BYTES_MAX, &b, &err) == 1);
        ASSERT(a.status == b.status && a.head_bytes == b.head_bytes &&
               a.body_bytes == b.body_bytes && a.keeps_alive == b.keeps_alive);
        ASSERT(http_answer_parse(slice_of(data, whole - 1), BODY_BYTES_MAX, &b, &err) == 0);
    }
    if (rc >= 0 && n > 0) /* half of what is good is never bad */
        ASSERT(http_answer_parse(slice_of(data, n / 2), BODY_BYTES_MAX, &b, &err_part) >= 0);
    return 0;
}
