/*
 * CRC-64/GO-ISO: each way to compute it against a bit by bit reference.
 */
#include "lib/ltx/crc64.h"

#include <stdlib.h>

#include "lib/ltx/crc64_internal.h"
#include "lib/testing/test.h"

/* The definition. */
static uint64_t crc64_reference(uint64_t crc, const uint8_t *p, size_t n)
{
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ ((crc & 1) ? UINT64_C(0xd800000000000000) : 0);
    }
    return ~crc;
}

static uint64_t random_next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void test_check_value_is_that_of_go(void **state UNUSED)
{
    assert_true(crc64(0, SLICE_LIT("123456789")) == UINT64_C(0xb90956c775a41001));
    assert_true(crc64(0, SLICE_EMPTY) == 0);
}

static void compare_with_reference(enum crc64_impl impl)
{
    enum {
        ROOM = 5000
    };
    uint8_t *p = malloc(ROOM + 64);
    uint64_t x = 88172645463325252;

    assert_non_null(p);
    for (size_t i = 0; i < ROOM + 64; i++)
        p[i] = (uint8_t)random_next(&x);
    for (size_t n = 0; n < 1200; n++)
        assert_true(crc64_with(impl, 0, slice_of(p, n)) == crc64_reference(0, p, n));
    for (unsigned i = 0; i < 2000; i++) {
        size_t at = random_next(&x) % 64;
        size_t n = random_next(&x) % ROOM;
        uint64_t start = random_next(&x);
        assert_true(crc64_with(impl, start, slice_of(p + at, n)) ==
                    crc64_reference(start, p + at, n));
    }
    free(p);
}

static void test_words_agree_with_the_definition(void **state UNUSED)
{
    compare_with_reference(CRC64_WORDS);
}

static void test_carry_less_multiplication_agrees_with_the_definition(void **state UNUSED)
{
    if (!crc64_impl_is_available(CRC64_CLMUL))
        test_skip("this processor has no PCLMULQDQ");
    compare_with_reference(CRC64_CLMUL);
}

static void test_wide_multiplication_agrees_with_the_definition(void **state UNUSED)
{
    if (!crc64_impl_is_available(CRC64_WIDE))
        test_skip("this processor has no AVX-512 with VPCLMULQDQ");
    compare_with_reference(CRC64_WIDE);
}

static void test_parts_continue_and_combine_to_the_whole(void **state UNUSED)
{
    uint8_t p[3000];
    uint64_t x = 4711;

    for (size_t i = 0; i < sizeof(p); i++)
        p[i] = (uint8_t)random_next(&x);
    uint64_t whole = crc64(0, slice_of(p, sizeof(p)));
    for (size_t cut = 0; cut <= sizeof(p); cut += 37) {
        uint64_t a = crc64(0, slice_of(p, cut));
        uint64_t b = crc64(0, slice_of(p + cut, sizeof(p) - cut));
        assert_true(crc64(a, slice_of(p + cut, sizeof(p) - cut)) == whole);
        assert_true(crc64_combine(a, b, sizeof(p) - cut) == whole);
    }
}

static void test_a_length_that_comes_again_joins_as_any(void **state UNUSED)
{
    static const uint64_t lengths[] = {1, 2, 7, 8, 16, 17, 64, 512, 4096, 65536, 1000003};
    static const uint64_t crcs[] = {0, 1, UINT64_MAX, 0xb90956c775a41001};

    for (int impl = CRC64_WORDS; impl <= CRC64_WIDE; impl++) {
        if (!crc64_impl_is_available((enum crc64_impl)impl))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
            struct crc64_length l = crc64_length_with((enum crc64_impl)impl, lengths[i]);
            for (size_t k = 0; k < ARRAY_LEN(crcs) * ARRAY_LEN(crcs); k++) {
                uint64_t a = crcs[k / ARRAY_LEN(crcs)];
                uint64_t b = crcs[k % ARRAY_LEN(crcs)];
                assert_true(crc64_join_with((enum crc64_impl)impl, a, b, &l) ==
                            crc64_combine(a, b, lengths[i]));
            }
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_check_value_is_that_of_go),
        TEST(test_words_agree_with_the_definition),
        TEST(test_carry_less_multiplication_agrees_with_the_definition),
        TEST(test_wide_multiplication_agrees_with_the_definition),
        TEST(test_parts_continue_and_combine_to_the_whole),
        TEST(test_a_length_that_comes_again_joins_as_any),
    };
    return TEST_MAIN(tests);
}
