/*
 * CRC-64/GO-ISO. The bytes are the coefficients of a polynomial over GF(2), the first bit (the
 * lowest of the first byte) that of the highest power; the CRC is its remainder modulo
 * P = x^64 + x^4 + x^3 + x + 1. In a word all is reflected: bit i of 64 is the power 63 - i.
 *
 * By tables ("slicing by 16"): the next 16 bytes, the state XOR-ed into the first eight, are
 * replaced by the XOR of 16 table entries: table[k][b] is byte b followed by k zero bytes.
 *
 * By carry-less multiplication: four registers hold the remainder so far, 64 bytes of message.
 * Step 1: XOR the state into the first eight bytes, load the first 64.
 * Step 2: while 64 bytes follow, move each register 512 bits ahead and XOR the next 16 bytes in.
 *         Moving H x^64 + L by n bits is L' = (H x^(n+64) mod P) + (L x^n mod P): two
 *         multiplications by constants. A product of two reflected words comes out one bit too
 *         low, so the constants are for one power less: x^(n+63) and x^(n-1).
 * Step 3: fold the four registers into one, 128 bits at a time, then remaining 16-byte blocks.
 * Step 4: the register is 16 bytes of message that stand for all before; tables do these and the
 *         rest.
 *
 * Joining A and B, of which B is long and was summed from 0: the CRC of A moves ahead by the length of
 * B, that is times x^(8 n). By carry-less multiplication one product does, of the state as the first
 * eight of B's bytes and a constant that moves them into the last 16 (as in step 2); then step 4.
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
    SLICES = 16,
    FOLD_BYTES = 64,       /* four registers */
    CLMUL_BYTES_MIN = 128, /* below this tables are faster */
    CRC64_LENGTH_MIN = 16,
};

/* Written once under tables_once, constant afterwards. */
static uint64_t table[SLICES][256];
static uint64_t power_191, power_127; /* x^n mod P: fold by 128 bits ... */
static uint64_t power_575, power_511; /* ... and by 512 */
static bool has_clmul;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

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

static void tables_make(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        uint64_t a = byte;
        for (unsigned bit = 0; bit < 8; bit++)
            a = times_x(a);
        table[0][byte] = a;
    }
    for (unsigned k = 1; k < SLICES; k++) {
        for (unsigned byte = 0; byte < 256; byte++)
            table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xff];
    }
    power_127 = power_of_x(127);
    power_191 = power_of_x(191);
    power_511 = power_of_x(511);
    power_575 = power_of_x(575);
#if defined(__x86_64__)
    has_clmul = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

static void tables_need(void)
{
    int rc = pthread_once(&tables_once, tables_make);
    ASSERT(rc == 0);
}

static uint64_t le64_load(const uint8_t *p)
{
    return (uint64_t)le32_load(p + 4) << 32 | le32_load(p);
}

/* The state after bytes; neither begin nor end is inverted here. */
static uint64_t state_by_tables(uint64_t state, const uint8_t *p, size_t n)
{
    for (; n >= SLICES; p += SLICES, n -= SLICES) {
        uint64_t a = le64_load(p) ^ state;
        uint64_t b = le64_load(p + 8);
        state = 0;
        for (unsigned i = 0; i < 8; i++) {
            state ^= table[15 - i][(a >> (8 * i)) & 0xff];
            state ^= table[7 - i][(b >> (8 * i)) & 0xff];
        }
    }
    for (; n > 0; p++, n--)
        state = (state >> 8) ^ table[0][(state ^ *p) & 0xff];
    return state;
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

CLMUL_FUNCTION static uint64_t state_by_clmul(uint64_t state, const uint8_t *p, size_t n)
{
    const __m128i by_512 = _mm_set_epi64x((long long)power_511, (long long)power_575);
    const __m128i by_128 = _mm_set_epi64x((long long)power_127, (long long)power_191);

    /* Step 1. */
    __m128i a0 = _mm_xor_si128(load_16(p), _mm_set_epi64x(0, (long long)state));
    __m128i a1 = load_16(p + 16);
    __m128i a2 = load_16(p + 32);
    __m128i a3 = load_16(p + 48);
    p += FOLD_BYTES;
    n -= FOLD_BYTES;
    /* Step 2. */
    for (; n >= FOLD_BYTES; p += FOLD_BYTES, n -= FOLD_BYTES) {
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
    /* Step 4. */
    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)rest, a0);
    return state_by_tables(state_by_tables(0, rest, sizeof(rest)), p, n);
}

/* The state behind so many zero bytes that power is x^(8 (bytes - 16) + 63). */
CLMUL_FUNCTION static uint64_t moved_by_clmul(uint64_t state, uint64_t power)
{
    uint8_t last[16];

    __m128i a = _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)state),
                                     _mm_set_epi64x(0, (long long)power), 0x00);
    _mm_storeu_si128((__m128i *)last, a);
    return state_by_tables(0, last, sizeof(last));
}
#else
static uint64_t state_by_clmul(uint64_t state, const uint8_t *p, size_t n)
{
    return state_by_tables(state, p, n);
}

static uint64_t moved_by_clmul(uint64_t state, uint64_t power)
{
    return product(state, power);
}
#endif

bool crc64_impl_is_available(enum crc64_impl impl)
{
    tables_need();
    return impl == CRC64_TABLES || has_clmul;
}

uint64_t crc64_with(enum crc64_impl impl, uint64_t crc, struct slice bytes)
{
    ASSERT(crc64_impl_is_available(impl));
    if (impl == CRC64_CLMUL && bytes.n >= CLMUL_BYTES_MIN)
        return ~state_by_clmul(~crc, bytes.p, bytes.n);
    return ~state_by_tables(~crc, bytes.p, bytes.n);
}

uint64_t crc64(uint64_t crc, struct slice bytes)
{
    tables_need();
    return crc64_with(has_clmul ? CRC64_CLMUL : CRC64_TABLES, crc, bytes);
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
    uint64_t power = impl == CRC64_CLMUL ? power_of_x(63) : POWER_0;
    uint64_t square = power_of_x(8);

    ASSERT(bytes >= CRC64_LENGTH_MIN);
    for (uint64_t n = impl == CRC64_CLMUL ? bytes - 16 : bytes; n > 0; n >>= 1) {
        if (n & 1)
            power = product(power, square);
        square = product(square, square);
    }
    return (struct crc64_length){.power = power};
}

uint64_t crc64_join_with(enum crc64_impl impl, uint64_t crc_a, uint64_t crc_b,
                         const struct crc64_length *b_length)
{
    uint64_t moved = impl == CRC64_CLMUL ? moved_by_clmul(crc_a, b_length->power)
                                         : product(crc_a, b_length->power);
    return moved ^ crc_b;
}

struct crc64_length crc64_length_of(uint64_t bytes)
{
    tables_need();
    return crc64_length_with(has_clmul ? CRC64_CLMUL : CRC64_TABLES, bytes);
}

uint64_t crc64_join(uint64_t crc_a, uint64_t crc_b, const struct crc64_length *b_length)
{
    return crc64_join_with(has_clmul ? CRC64_CLMUL : CRC64_TABLES, crc_a, crc_b, b_length);
}
