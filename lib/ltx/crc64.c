/*
 * CRC-64/GO-ISO. The bytes are the coefficients of a polynomial over GF(2), the first bit (the
 * lowest of the first byte) that of the highest power; the CRC is its remainder modulo
 * P = x^64 + x^4 + x^3 + x + 1. In a word all is reflected: bit i of 64 is the power 63 - i, and
 * times x is a shift to the right.
 *
 * By words: x^64 is x^4 + x^3 + x + 1 modulo P, so a word a of coefficients times x^64 is four
 * shifted copies of a. What they shift out at the low end are four coefficients of x^64 and above,
 * which go the same way once more and then fit. The state takes in eight bytes so: XOR, times x^64.
 * No tables: it is the polynomial that makes them needless.
 *
 * By carry-less multiplication: four registers hold the remainder so far, as bytes of message.
 * Step 1: XOR the state into the first eight bytes, load all four registers.
 * Step 2: while as many bytes follow, move each register ahead by the four and XOR the next bytes in.
 *         Moving H x^64 + L by n bits is L' = (H x^(n+64) mod P) + (L x^n mod P): two
 *         multiplications by constants. A product of two reflected words comes out one bit too
 *         low, so the constants are for one power less: x^(n+63) and x^(n-1).
 * Step 3: fold the four registers into one, then remaining 16-byte blocks.
 * Step 4: the register is 16 bytes of message that stand for all before: H x^128 + L x^64, one more
 *         multiplication and one reduction by words. What is left is shorter than 16 bytes.
 *
 * Wide: the same with registers of four times 16 bytes (AVX-512), folded into one such register and
 * then its quarters into each other.
 *
 * Joining A and B, of which B was summed from 0: the CRC of A moves ahead by the length of B, that is
 * times x^(8 n). By carry-less multiplication that is one product and one reduction.
 *
 * Source: Go's hash/crc64 (the polynomial and its check value); V. Gopal et al., "Fast CRC
 * Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009 (folding).
 */
#include "lib/ltx/crc64.h"

#include <pthread.h>

#include "lib/ltx/crc64_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CRC64_POLY UINT64_C(0xd800000000000000)
#define POWER_0    (UINT64_C(1) << 63) /* the polynomial 1 */

enum {
    CLMUL_BYTES = 64, /* four registers */
    WIDE_BYTES = 256,
    CLMUL_BYTES_MIN = 64, /* below this words are faster */
    WIDE_BYTES_MIN = 256,
};

/* Written once under powers_once, constant afterwards. */
static uint64_t power_191, power_127;   /* x^n mod P: fold by 128 bits ... */
static uint64_t power_575, power_511;   /* ... by 512 ... */
static uint64_t power_2111, power_2047; /* ... and by 2,048 */
static enum crc64_impl best;
static pthread_once_t powers_once = PTHREAD_ONCE_INIT;

/* a times x, modulo P. */
static uint64_t times_x(uint64_t a)
{
    return (a >> 1) ^ ((a & 1) ? CRC64_POLY : 0);
}

/* a times b, modulo P. */
static uint64_t product(uint64_t a, uint64_t b)
{
    uint64_t sum = 0;
    for (; a != 0; a <<= 1) {
        if (a & POWER_0)
            sum ^= b;
        b = times_x(b);
    }
    return sum;
}

static uint64_t power_of_x(unsigned n)
{
    uint64_t a = POWER_0;
    while (n-- > 0)
        a = times_x(a);
    return a;
}

static void powers_make(void)
{
    power_127 = power_of_x(127);
    power_191 = power_of_x(191);
    power_511 = power_of_x(511);
    power_575 = power_of_x(575);
    power_2047 = power_of_x(2047);
    power_2111 = power_of_x(2111);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
        best = CRC64_CLMUL;
    if (best == CRC64_CLMUL && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("vpclmulqdq"))
        best = CRC64_WIDE;
#endif
}

static void powers_need(void)
{
    int rc = pthread_once(&powers_once, powers_make);
    ASSERT(rc == 0);
}

static uint64_t le64_load(const uint8_t *p)
{
    return (uint64_t)le32_load(p + 4) << 32 | le32_load(p);
}

/* a times x^64, modulo P. */
static inline uint64_t times_x64(uint64_t a)
{
    a ^= (a << 63) ^ (a << 61) ^ (a << 60); /* what is shifted out below, in its own place */
    return a ^ (a >> 1) ^ (a >> 3) ^ (a >> 4);
}

/* The state after bytes; neither begin nor end is inverted here. */
static uint64_t state_by_words(uint64_t state, const uint8_t *p, size_t n)
{
    uint64_t last = 0;

    for (; n >= 8; p += 8, n -= 8)
        state = times_x64(state ^ le64_load(p));
    if (n == 0)
        return state;
    /* Fewer bytes are lower powers of a word; of the state as many bytes go, the others move up. */
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)p[i] << (8 * i);
    return times_x64((state ^ last) << (64 - 8 * n)) ^ (state >> (8 * n));
}

#if defined(__x86_64__)
#define CLMUL_FUNCTION __attribute__((target("pclmul,sse4.1")))

CLMUL_FUNCTION static inline __m128i load_16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* Moves a register ahead by the distance that the constants stand for, and XORs next in. */
CLMUL_FUNCTION static inline __m128i fold(__m128i a, __m128i constants, __m128i next)
{
    __m128i high = _mm_clmulepi64_si128(a, constants, 0x00);
    __m128i low = _mm_clmulepi64_si128(a, constants, 0x11);
    return _mm_xor_si128(_mm_xor_si128(high, low), next);
}

/* Step 4. */
CLMUL_FUNCTION static uint64_t state_of(__m128i a)
{
    const __m128i constant = _mm_set_epi64x(0, (long long)power_127);
    __m128i high = _mm_clmulepi64_si128(a, constant, 0x00);
    uint64_t low = (uint64_t)_mm_extract_epi64(a, 1) ^ (uint64_t)_mm_extract_epi64(high, 0);

    return times_x64(low) ^ (uint64_t)_mm_extract_epi64(high, 1);
}

CLMUL_FUNCTION static uint64_t state_by_clmul(uint64_t state, const uint8_t *p, size_t n)
{
    const __m128i by_512 = _mm_set_epi64x((long long)power_511, (long long)power_575);
    const __m128i by_128 = _mm_set_epi64x((long long)power_127, (long long)power_191);

    /* Step 1. */
    __m128i a0 = _mm_xor_si128(load_16(p), _mm_set_epi64x(0, (long long)state));
    __m128i a1 = load_16(p + 16);
    __m128i a2 = load_16(p + 32);
    __m128i a3 = load_16(p + 48);
    p += CLMUL_BYTES;
    n -= CLMUL_BYTES;
    /* Step 2. */
    for (; n >= CLMUL_BYTES; p += CLMUL_BYTES, n -= CLMUL_BYTES) {
        a0 = fold(a0, by_512, load_16(p));
        a1 = fold(a1, by_512, load_16(p + 16));
        a2 = fold(a2, by_512, load_16(p + 32));
        a3 = fold(a3, by_512, load_16(p + 48));
    }
    /* Step 3. */
    a0 = fold(a0, by_128, a1);
    a0 = fold(a0, by_128, a2);
    a0 = fold(a0, by_128, a3);
    for (; n >= 16; p += 16, n -= 16)
        a0 = fold(a0, by_128, load_16(p));
    return state_by_words(state_of(a0), p, n);
}

#define WIDE_FUNCTION __attribute__((target("pclmul,sse4.1,avx512f,vpclmulqdq")))

WIDE_FUNCTION static inline __m512i fold_wide(__m512i a, __m512i constants, __m512i next)
{
    __m512i high = _mm512_clmulepi64_epi128(a, constants, 0x00);
    __m512i low = _mm512_clmulepi64_epi128(a, constants, 0x11);
    return _mm512_ternarylogic_epi64(high, low, next, 0x96); /* XOR of the three */
}

WIDE_FUNCTION static inline __m512i constants_wide(uint64_t for_high, uint64_t for_low)
{
    return _mm512_broadcast_i32x4(_mm_set_epi64x((long long)for_low, (long long)for_high));
}

WIDE_FUNCTION static uint64_t state_by_wide(uint64_t state, const uint8_t *p, size_t n)
{
    const __m512i by_2048 = constants_wide(power_2111, power_2047);
    const __m512i by_512 = constants_wide(power_575, power_511);
    const __m128i by_128 = _mm_set_epi64x((long long)power_127, (long long)power_191);

    /* Step 1. */
    __m512i a0 = _mm512_xor_si512(_mm512_loadu_si512(p),
                                  _mm512_zextsi128_si512(_mm_set_epi64x(0, (long long)state)));
    __m512i a1 = _mm512_loadu_si512(p + 64);
    __m512i a2 = _mm512_loadu_si512(p + 128);
    __m512i a3 = _mm512_loadu_si512(p + 192);
    p += WIDE_BYTES;
    n -= WIDE_BYTES;
    /* Step 2. */
    for (; n >= WIDE_BYTES; p += WIDE_BYTES, n -= WIDE_BYTES) {
        a0 = fold_wide(a0, by_2048, _mm512_loadu_si512(p));
        a1 = fold_wide(a1, by_2048, _mm512_loadu_si512(p + 64));
        a2 = fold_wide(a2, by_2048, _mm512_loadu_si512(p + 128));
        a3 = fold_wide(a3, by_2048, _mm512_loadu_si512(p + 192));
    }
    /* Step 3. */
    a0 = fold_wide(a0, by_512, a1);
    a0 = fold_wide(a0, by_512, a2);
    a0 = fold_wide(a0, by_512, a3);
    for (; n >= 64; p += 64, n -= 64)
        a0 = fold_wide(a0, by_512, _mm512_loadu_si512(p));
    __m128i a = _mm512_castsi512_si128(a0);
    a = fold(a, by_128, _mm512_extracti32x4_epi32(a0, 1));
    a = fold(a, by_128, _mm512_extracti32x4_epi32(a0, 2));
    a = fold(a, by_128, _mm512_extracti32x4_epi32(a0, 3));
    for (; n >= 16; p += 16, n -= 16)
        a = fold(a, by_128, load_16(p));
    return state_by_words(state_of(a), p, n);
}

/* The state behind so many zero bytes that power is x^(8 bytes - 1). */
CLMUL_FUNCTION static uint64_t moved_by_clmul(uint64_t state, uint64_t power)
{
    __m128i a = _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)state),
                                     _mm_set_epi64x(0, (long long)power), 0x00);

    return times_x64((uint64_t)_mm_extract_epi64(a, 0)) ^ (uint64_t)_mm_extract_epi64(a, 1);
}
#else
static uint64_t state_by_clmul(uint64_t state, const uint8_t *p, size_t n)
{
    return state_by_words(state, p, n);
}

static uint64_t state_by_wide(uint64_t state, const uint8_t *p, size_t n)
{
    return state_by_words(state, p, n);
}

static uint64_t moved_by_clmul(uint64_t state, uint64_t power)
{
    return product(state, times_x(power));
}
#endif

bool crc64_impl_is_available(enum crc64_impl impl)
{
    powers_need();
    return impl <= best;
}

uint64_t crc64_with(enum crc64_impl impl, uint64_t crc, struct slice bytes)
{
    ASSERT(crc64_impl_is_available(impl));
    if (impl == CRC64_WIDE && bytes.n >= WIDE_BYTES_MIN)
        return ~state_by_wide(~crc, bytes.p, bytes.n);
    if (impl >= CRC64_CLMUL && bytes.n >= CLMUL_BYTES_MIN)
        return ~state_by_clmul(~crc, bytes.p, bytes.n);
    return ~state_by_words(~crc, bytes.p, bytes.n);
}

uint64_t crc64(uint64_t crc, struct slice bytes)
{
    powers_need();
    return crc64_with(best, crc, bytes);
}

uint64_t crc64_combine(uint64_t crc_a, uint64_t crc_b, uint64_t b_bytes)
{
    /* The inversions at both ends cancel: what is left is A moved ahead by the length of B. */
    uint64_t square = power_of_x(8);
    for (; b_bytes > 0; b_bytes >>= 1) {
        if (b_bytes & 1)
            crc_a = product(crc_a, square);
        square = product(square, square);
    }
    return crc_a ^ crc_b;
}

struct crc64_length crc64_length_with(enum crc64_impl impl, uint64_t bytes)
{
    uint64_t power = power_of_x(impl >= CRC64_CLMUL ? 7 : 8);
    uint64_t square = power_of_x(8);

    ASSERT(bytes > 0);
    for (uint64_t n = bytes - 1; n > 0; n >>= 1) {
        if (n & 1)
            power = product(power, square);
        square = product(square, square);
    }
    return (struct crc64_length){.power = power};
}

uint64_t crc64_join_with(enum crc64_impl impl, uint64_t crc_a, uint64_t crc_b,
                         const struct crc64_length *b_length)
{
    uint64_t moved = impl >= CRC64_CLMUL ? moved_by_clmul(crc_a, b_length->power)
                                         : product(crc_a, b_length->power);
    return moved ^ crc_b;
}

struct crc64_length crc64_length_of(uint64_t bytes)
{
    powers_need();
    return crc64_length_with(best, bytes);
}

uint64_t crc64_join(uint64_t crc_a, uint64_t crc_b, const struct crc64_length *b_length)
{
    return crc64_join_with(best, crc_a, crc_b, b_length);
}
