/*
 * Sets of page numbers: membership, iteration, cutting, memory, and agreement with a plain array
 * over random operations.
 */
#include "sidecar/engine/page_set.h"

#include <stdlib.h>

#include "lib/testing/test.h"

static void add(struct page_set *s, uint32_t pgno)
{
    struct error err = ERROR_INIT;
    assert_ok(page_set_add(s, pgno, &err), &err);
}

static void test_page_set_counts_each_page_once(void **state UNUSED)
{
    CLEANUP(page_set_destroy) struct page_set s = PAGE_SET_INIT;

    assert_true(page_set_is_empty(&s));
    add(&s, 7);
    add(&s, 7);
    add(&s, 4096);
    assert_int_equal(s.page_count, 2);
    assert_true(page_set_has(&s, 7));
    assert_true(page_set_has(&s, 4096));
    assert_false(page_set_has(&s, 8));
    assert_false(page_set_has(&s, UINT32_MAX));
}

static void test_page_set_iterates_in_ascending_order(void **state UNUSED)
{
    CLEANUP(page_set_destroy) struct page_set s = PAGE_SET_INIT;
    static const uint32_t added[] = {UINT32_MAX, 1, 64, 63, 4095, 1u << 20, 4096};
    static const uint32_t wanted[] = {1, 63, 64, 4095, 4096, 1u << 20, UINT32_MAX};
    size_t seen = 0;

    for (size_t i = 0; i < ARRAY_LEN(added); i++)
        add(&s, added[i]);
    for (uint32_t p = page_set_next(&s, 1); p; p = page_set_next(&s, p + 1)) {
        assert_true(seen < ARRAY_LEN(wanted));
        assert_int_equal(p, wanted[seen++]);
    }
    assert_int_equal(seen, ARRAY_LEN(wanted));
}

static void test_page_set_is_empty_again_after_removing_what_was_added(void **state UNUSED)
{
    CLEANUP(page_set_destroy) struct page_set s = PAGE_SET_INIT;

    add(&s, 100);
    add(&s, 100000);
    page_set_remove(&s, 100);
    page_set_remove(&s, 101);
    page_set_remove(&s, 100000);
    assert_true(page_set_is_empty(&s));
    assert_int_equal(page_set_next(&s, 1), 0);
    assert_int_equal(page_set_bytes(&s), s.chunk_count * sizeof(*s.chunks));
}

static void test_page_set_costs_nothing_before_the_first_page(void **state UNUSED)
{
    struct page_set s = PAGE_SET_INIT;
    assert_int_equal(page_set_bytes(&s), 0);
}

static void test_page_set_of_a_gibibyte_takes_about_32_kib(void **state UNUSED)
{
    CLEANUP(page_set_destroy) struct page_set s = PAGE_SET_INIT;
    struct error err = ERROR_INIT;

    assert_ok(page_set_add_range(&s, 1, 262144, &err), &err);
    assert_int_equal(s.page_count, 262144);
    assert_true(page_set_bytes(&s) < 40 * 1024);
}

static void test_page_set_range_ignores_an_end_before_its_begin(void **state UNUSED)
{
    CLEANUP(page_set_destroy) struct page_set s = PAGE_SET_INIT;
    struct error err = ERROR_INIT;

    assert_ok(page_set_add_range(&s, 10, 9, &err), &err);
    assert_true(page_set_is_empty(&s));
    assert_ok(page_set_add_range(&s, UINT32_MAX, UINT32_MAX, &err), &err);
    assert_int_equal(s.page_count, 1);
}

static void test_page_set_take_leaves_the_source_empty(void **state UNUSED)
{
    CLEANUP(page_set_destroy) struct page_set s = PAGE_SET_INIT;
    add(&s, 5);
    CLEANUP(page_set_destroy) struct page_set moved = page_set_take(&s);
    assert_true(page_set_is_empty(&s));
    assert_true(page_set_has(&moved, 5));
    add(&s, 6);
    assert_false(page_set_has(&moved, 6));
}

enum {
    MODEL_PAGES = 20000,
    MODEL_STEPS = 4000
};

/* The slow and obvious set. */
struct model {
    bool has[MODEL_PAGES + 1];
};

static uint32_t random_pgno(void)
{
    return (uint32_t)rand() % MODEL_PAGES + 1;
}

static void model_compare(const struct model *m, const struct page_set *s)
{
    uint32_t count = 0;
    uint32_t next = page_set_next(s, 1);

    for (uint32_t p = 1; p <= MODEL_PAGES; p++) {
        if (!m->has[p])
            continue;
        count++;
        assert_int_equal(next, p);
        next = page_set_next(s, p + 1);
    }
    assert_int_equal(next, 0);
    assert_int_equal(s->page_count, count);
}

/* One random operation on both. */
static void model_step(struct model *m, struct page_set *s)
{
    struct error err = ERROR_INIT;
    uint32_t a = random_pgno();
    uint32_t b = a + (uint32_t)rand() % 300;
    CLEANUP(page_set_destroy) struct page_set other = PAGE_SET_INIT;

    if (b > MODEL_PAGES)
        b = MODEL_PAGES;
    switch (rand() % 5) {
    case 0:
        assert_ok(page_set_add(s, a, &err), &err);
        m->has[a] = true;
        return;
    case 1:
        assert_ok(page_set_add_range(s, a, b, &err), &err);
        break;
    case 2:
        assert_ok(page_set_add_range(&other, a, b, &err), &err);
        assert_ok(page_set_add_all(s, &other, &err), &err);
        break;
    case 3:
        page_set_remove(s, a);
        m->has[a] = false;
        return;
    default:
        if (rand() % 20)
            return;
        page_set_cut(s, a);
        for (uint32_t p = a + 1; p <= MODEL_PAGES; p++)
            m->has[p] = false;
        return;
    }
    for (uint32_t p = a; p <= b; p++)
        m->has[p] = true;
}

static void test_page_set_agrees_with_a_plain_array(void **state UNUSED)
{
    CLEANUP(page_set_destroy) struct page_set s = PAGE_SET_INIT;
    struct model *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    srand(20261121);
    for (int i = 0; i < MODEL_STEPS; i++) {
        model_step(m, &s);
        if (i % 50 == 0)
            model_compare(m, &s);
    }
    model_compare(m, &s);
    page_set_cut(&s, 0);
    assert_true(page_set_is_empty(&s));
    free(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_page_set_counts_each_page_once),
        TEST(test_page_set_iterates_in_ascending_order),
        TEST(test_page_set_is_empty_again_after_removing_what_was_added),
        TEST(test_page_set_costs_nothing_before_the_first_page),
        TEST(test_page_set_of_a_gibibyte_takes_about_32_kib),
        TEST(test_page_set_range_ignores_an_end_before_its_begin),
        TEST(test_page_set_take_leaves_the_source_empty),
        TEST(test_page_set_agrees_with_a_plain_array),
    };
    return TEST_MAIN(tests);
}
