/*
 * The ways to compute CRC-64/GO-ISO, for the test that compares them. Stays in its folder.
 */
#ifndef WALFERRY_LIB_LTX_CRC64_INTERNAL_H
#define WALFERRY_LIB_LTX_CRC64_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/ltx/crc64.h"

/* From the slowest to the fastest; who has one has those before it. */
enum crc64_impl {
    CRC64_WORDS, /* eight bytes at a time: everywhere */
    CRC64_CLMUL, /* x86-64 with PCLMULQDQ and SSE 4.1 */
    CRC64_WIDE,  /* x86-64 with AVX-512 and VPCLMULQDQ, too */
};

/* Whether this processor can do it. */
bool crc64_impl_is_available(enum crc64_impl impl);

/* crc64() by a given way, which must be available (asserted). */
uint64_t crc64_with(enum crc64_impl impl, uint64_t crc, struct slice bytes);

/* crc64_length_of() and crc64_join() by a given way: the same for both. */
struct crc64_length crc64_length_with(enum crc64_impl impl, uint64_t bytes);
uint64_t crc64_join_with(enum crc64_impl impl, uint64_t crc_a, uint64_t crc_b,
                         const struct crc64_length *b_length);

#endif
