/*
 * Arithmetic on sizes that came from outside: true when the result fits, and then it is stored.
 * An overflow is the caller's ERR_CORRUPT, never a wrap.
 */
#ifndef WALFERRY_LIB_BASE_CHECKED_H
#define WALFERRY_LIB_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *out_sum)
{
    return !__builtin_add_overflow(a, b, out_sum);
}

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *out_product)
{
    return !__builtin_mul_overflow(a, b, out_product);
}

static inline bool checked_add_i64(int64_t a, int64_t b, int64_t *out_sum)
{
    return !__builtin_add_overflow(a, b, out_sum);
}

#endif
