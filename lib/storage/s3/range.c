/*
 * Ranges. A server that ignores Range answers 200 and the whole object: whoever asked for a part
 * has then got wrong bytes, so the read has failed. One that answers less than was asked for,
 * though the object goes on, is asked for the rest; less because the object ends is corruption:
 * the caller knew how long it should be.
 */
#include "lib/storage/s3/range.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool range_is_partial(const struct range_read *r)
{
    return r->is_wanted || r->given > 0;
}

const char *range_format(const struct range_read *r, char out[static RANGE_TEXT_BYTES])
{
    unsigned long long first = r->offset + r->given;
    unsigned long long last = r->offset + (r->bytes - 1);

    if (r->bytes == 0)
        (void)snprintf(out, RANGE_TEXT_BYTES, "bytes=%llu-", first); /* fits: one number */
    else
        (void)snprintf(out, RANGE_TEXT_BYTES, "bytes=%llu-%llu", first, last);
    return out;
}

/* Reads a number at *at and moves behind it and the byte that must follow. */
static bool number_take(const char **at, char follows, uint64_t *out)
{
    char *end = NULL;

    if (**at < '0' || **at > '9')
        return false;
    *out = strtoull(*at, &end, 10);
    if (*end != follows)
        return false;
    *at = end + (follows != '\0');
    return true;
}

bool range_extent_parse(const char *value, struct range_extent *out)
{
    struct range_extent extent = {.total = UINT64_MAX};
    const char *at = value;

    if (!at || strncmp(at, "bytes ", 6) != 0)
        return false;
    at += 6;
    if (!number_take(&at, '-', &extent.first) || !number_take(&at, '/', &extent.last) ||
        extent.last < extent.first || extent.last == UINT64_MAX)
        return false;
    if (strcmp(at, "*") != 0 &&
        (!number_take(&at, '\0', &extent.total) || extent.last >= extent.total))
        return false;
    *out = extent;
    return true;
}

/* Whether the answer ends where the read is to end. */
static int end_check(const struct range_read *r, const struct range_extent *extent,
                     const struct http_response *response, struct error *err)
{
    bool has_more = extent->total != UINT64_MAX && extent->last + 1 < extent->total;
    uint64_t wanted_last = r->bytes > 0 ? r->offset + (r->bytes - 1)
                           : has_more   ? extent->total - 1
                                        : extent->last;

    if (extent->last == wanted_last)
        return 0;
    if (extent->last < wanted_last && has_more) {
        return error_set(err, ERR_UNAVAILABLE, response->status,
                         "asked for bytes to %llu, the answer stops at %llu",
                         (unsigned long long)wanted_last, (unsigned long long)extent->last);
    }
    return error_set(err, ERR_CORRUPT, response->status,
                     "asked for %llu bytes from %llu on, but the answer ends at %llu",
                     (unsigned long long)r->bytes, (unsigned long long)r->offset,
                     (unsigned long long)extent->last);
}

int range_check(const struct range_read *r, const struct http_response *response, struct error *err)
{
    const char *header = http_response_header(response, "Content-Range");
    uint64_t first = r->offset + (r->given - r->tried);
    struct range_extent extent;

    if (!r->is_wanted && first == 0)
        return 0;
    if (response->status != 206) {
        return error_set(err, ERR_CORRUPT, response->status,
                         "asked for bytes from %llu on, got the whole object: the store ignores "
                         "Range",
                         (unsigned long long)first);
    }
    if (!range_extent_parse(header, &extent) || extent.first != first) {
        return error_set(err, ERR_CORRUPT, response->status,
                         "asked for bytes from %llu on, got Content-Range \"%.64s\"",
                         (unsigned long long)first, header ? header : "");
    }
    uint64_t announced = extent.last - first + 1;
    if (response->err->code == ERR_NONE && r->tried != announced) {
        return error_set(err, ERR_UNAVAILABLE, response->status, "%llu bytes announced, %llu came",
                         (unsigned long long)announced, (unsigned long long)r->tried);
    }
    return end_check(r, &extent, response, err);
}
