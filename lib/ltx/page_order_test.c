/*
 * The order of pages, at its edges: the lock page last, first and beyond, the largest database.
 */
#include "lib/ltx/page_order.h"

#include "lib/testing/test.h"

static struct page_order order_make(uint64_t min_txid, uint32_t commit, uint32_t pending_byte)
{
    struct ltx_header h = {
        .page_size = 4096, .commit = commit, .min_txid = min_txid, .max_txid = min_txid};
    struct page_order order;

    page_order_init(&order, &h, pending_byte);
    return order;
}

static void test_snapshot_may_end_before_at_and_after_the_lock_page(void **state UNUSED)
{
    static const struct {
        uint32_t commit, last;
    } rows[] = {{1, 1}, {2, 2}, {3, 2}, {4, 4}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct page_order order = order_make(1, rows[i].commit, 0x2000); /* lock page 3 */
        struct error err = ERROR_INIT;
        for (uint32_t pgno = 1; pgno <= rows[i].last; pgno++) {
            if (pgno == 3)
                continue;
            assert_error(page_order_end(&order, &err), &err, ERR_CORRUPT, "a snapshot of");
            assert_ok(page_order_next(&order, pgno, &err), &err);
        }
        assert_ok(page_order_end(&order, &err), &err);
    }
}

static void test_snapshot_may_begin_with_the_lock_page_left_out(void **state UNUSED)
{
    struct page_order order = order_make(1, 1, 1); /* lock page 1 */
    struct error err = ERROR_INIT;

    assert_ok(page_order_end(&order, &err), &err);
}

static void test_empty_database_has_an_empty_snapshot(void **state UNUSED)
{
    struct page_order order = order_make(1, 0, 0);
    struct error err = ERROR_INIT;

    assert_ok(page_order_end(&order, &err), &err);
    assert_error(page_order_next(&order, 1, &err), &err, ERR_CORRUPT, "of a database of 0 pages");
}

static void test_largest_page_number_can_be_last(void **state UNUSED)
{
    struct page_order order = order_make(2, UINT32_MAX, 0);
    struct error err = ERROR_INIT;

    assert_ok(page_order_next(&order, UINT32_MAX, &err), &err);
    assert_ok(page_order_end(&order, &err), &err);
    assert_error(page_order_next(&order, UINT32_MAX, &err), &err, ERR_CORRUPT, "after page");
    assert_error(page_order_next(&order, db_lock_pgno(4096), &err), &err, ERR_CORRUPT,
                 "page 262145 is the lock page");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_snapshot_may_end_before_at_and_after_the_lock_page),
        TEST(test_snapshot_may_begin_with_the_lock_page_left_out),
        TEST(test_empty_database_has_an_empty_snapshot),
        TEST(test_largest_page_number_can_be_last),
    };
    return TEST_MAIN(tests);
}
