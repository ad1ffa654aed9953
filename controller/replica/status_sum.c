/*
 * A CRC for each value, and the sum of them for what has an inside: so order does not count.
 */
#include "controller/replica/status_sum.h"

#include <string.h>

#include "lib/ltx/crc64.h"

static uint64_t mix(uint64_t seed, const void *p, size_t n)
{
    return crc64(seed, slice_of(p, n));
}

/* The value of a text, a number, a truth; other types have none. */
static uint64_t scalar_sum(struct jsonval v)
{
    struct error ignored = ERROR_INIT; /* it is of another type */
    const char *text;
    double number;
    bool truth;

    if (jsonval_str(v, &text, &ignored) == 0)
        return mix(1, text, strlen(text) + 1);
    if (jsonval_f64(v, &number, &ignored) == 0)
        return mix(2, &number, sizeof(number));
    if (jsonval_bool(v, &truth, &ignored) == 0)
        return 3 + truth;
    return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as JSONVAL_DEPTH_MAX */
static uint64_t value_sum(struct jsonval v)
{
    uint64_t sum = 5 + jsonval_is_array(v); /* also of an empty one */

    if (!jsonval_is_object(v) && !jsonval_is_array(v))
        return scalar_sum(v);
    for (struct jsonval member = jsonval_first(v); jsonval_exists(member);
         member = jsonval_next(member)) {
        const char *key = jsonval_key(member);
        uint64_t inside = value_sum(member);
        sum += mix(mix(4, key, strlen(key) + 1), &inside, sizeof(inside));
    }
    return sum;
}

uint64_t status_sum(struct jsonval status)
{
    uint64_t sum = 0;

    for (struct jsonval member = jsonval_first(status); jsonval_exists(member);
         member = jsonval_next(member)) {
        const char *key = jsonval_key(member);
        uint64_t inside = value_sum(member);
        if (strcmp(key, "restore") != 0)
            sum += mix(mix(4, key, strlen(key) + 1), &inside, sizeof(inside));
    }
    return sum;
}
