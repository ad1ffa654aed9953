/*
 * Ranges of an object: what to ask for, and whether what came is what was asked for. Pure.
 * Source: RFC 9110 section 14 (Range, Content-Range).
 */
#ifndef WALFERRY_LIB_STORAGE_S3_RANGE_H
#define WALFERRY_LIB_STORAGE_S3_RANGE_H

#include "lib/base/base.h"
#include "lib/http/client.h"

enum {
    RANGE_TEXT_BYTES = 64
};

/* A read that may take several tries. */
struct range_read {
    bool is_wanted; /* false: the whole object */
    uint64_t offset;
    uint64_t bytes; /* 0: to the end of the object */
    uint64_t given; /* handed on by all tries */
    uint64_t tried; /* of that, by this try */
};

/* Whether the next try asks for a part: also when the whole was wanted and some of it came. */
bool range_is_partial(const struct range_read *r);

/* The value of the Range header of the next try: "bytes=5-9", "bytes=5-". */
const char *range_format(const struct range_read *r, char out[static RANGE_TEXT_BYTES]);

/*
 * Whether the bytes of a 2xx answer are the ones that were asked for; also of one that broke off.
 * ERR_CORRUPT      another range than asked for, or the object ends before
 * ERR_UNAVAILABLE  fewer bytes than the answer announced, or than the object has: ask for the rest
 */
MUST_USE int range_check(const struct range_read *r, const struct http_response *response,
                         struct error *err);

/* What a Content-Range header says. total is UINT64_MAX if it is not told. False if value is none.
 */
struct range_extent {
    uint64_t first, last;
    uint64_t total;
};
bool range_extent_parse(const char *value, struct range_extent *out);

#endif
