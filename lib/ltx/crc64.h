/*
 * CRC-64/GO-ISO: reflected polynomial 0xD800000000000000, begun and ended with all bits inverted.
 * crc64(0, "123456789") is 0xb90956c775a41001.
 *
 * Some 14 GB/s where the processor multiplies carry-less (PCLMULQDQ, asked once at run time), 50 GB/s
 * where it does so in AVX-512 registers, else 3 GB/s by shifts. Threads: any.
 * Source: Go's hash/crc64, table ISO; ISO 3309 polynomial x^64 + x^4 + x^3 + x + 1.
 */
#ifndef WALFERRY_LIB_LTX_CRC64_H
#define WALFERRY_LIB_LTX_CRC64_H

#include <stdint.h>

#include "lib/base/base.h"

/* CRC of everything so far, continued by bytes. Start with crc = 0. */
uint64_t crc64(uint64_t crc, struct slice bytes);

/* CRC of A followed by B, from the CRC of A, the CRC of B and the length of B. About 2 us. */
uint64_t crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t b_bytes);

/* A length of B that comes again and again, as that of pages. */
struct crc64_length {
    uint64_t power; /* of x, modulo the polynomial: by how much A moves ahead */
};

/* bytes: at least 1 (asserted). About 2 us. */
struct crc64_length crc64_length_of(uint64_t bytes);

/* As crc64_combine(), where B has that length. Some 10 ns with PCLMULQDQ, else 500. */
uint64_t crc64_join(uint64_t crc_a, uint64_t crc_b, const struct crc64_length *b_length);

#endif
