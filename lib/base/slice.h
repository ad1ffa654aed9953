/*
 * Foreign bytes and text, passed by value: where they begin and how many. A slice owns nothing
 * and is not terminated; it is valid as long as what it points into.
 */
#ifndef WALFERRY_LIB_BASE_SLICE_H
#define WALFERRY_LIB_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *p;
    size_t n;
};

#define SLICE_EMPTY ((struct slice){NULL, 0})

/* For string literals: their bytes without the terminator. */
#define SLICE_LIT(s) ((struct slice){(const uint8_t *)(s), sizeof(s) - 1})

static inline struct slice slice_of(const void *p, size_t n)
{
    return (struct slice){(const uint8_t *)p, n};
}

/* The bytes of a terminated string, without its terminator. s may be NULL: then empty. */
static inline struct slice slice_of_str(const char *s)
{
    return (struct slice){(const uint8_t *)s, s ? strlen(s) : 0};
}

/* Part of s from offset at, n bytes; both are cut to what is there. */
static inline struct slice slice_sub(struct slice s, size_t at, size_t n)
{
    if (at > s.n)
        at = s.n;
    if (n > s.n - at)
        n = s.n - at;
    return (struct slice){s.p ? s.p + at : NULL, n};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *b)
{
    return slice_eq(a, slice_of_str(b));
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

#endif
