/*
 * The order of pages in an LTX file. The page that a snapshot must have next is the one after the
 * last, or after the lock page where that comes next; numbers are taken as 64 bits so that the one
 * after the last possible page exists.
 */
#include "lib/ltx/page_order.h"

void page_order_init(struct page_order *order, const struct ltx_header *h, uint32_t pending_byte)
{
    *order = (struct page_order){
        .commit = h->commit,
        .lock_pgno = db_lock_pgno_at(h->page_size, pending_byte ? pending_byte : DB_PENDING_BYTE),
        .is_snapshot = ltx_header_is_snapshot(h),
    };
}

static uint64_t snapshot_next(const struct page_order *order)
{
    uint64_t next = (uint64_t)order->last_pgno + 1;
    return next == order->lock_pgno ? next + 1 : next;
}

int page_order_next(struct page_order *order, uint32_t pgno, struct error *err)
{
    if (pgno == 0)
        return error_set(err, ERR_CORRUPT, 0, "page number 0");
    if (pgno > order->commit) {
        return error_set(err, ERR_CORRUPT, 0, "page %u of a database of %u pages", pgno,
                         order->commit);
    }
    if (pgno == order->lock_pgno) {
        return error_set(err, ERR_CORRUPT, 0, "page %u is the lock page, which has no content",
                         pgno);
    }
    if (pgno <= order->last_pgno)
        return error_set(err, ERR_CORRUPT, 0, "page %u after page %u", pgno, order->last_pgno);
    if (order->is_snapshot && pgno != snapshot_next(order)) {
        return error_set(err, ERR_CORRUPT, 0, "page %u after page %u in a snapshot", pgno,
                         order->last_pgno);
    }
    order->last_pgno = pgno;
    return 0;
}

int page_order_end(const struct page_order *order, struct error *err)
{
    if (order->is_snapshot && snapshot_next(order) <= order->commit) {
        return error_set(err, ERR_CORRUPT, 0, "a snapshot of %u pages ends with page %u",
                         order->commit, order->last_pgno);
    }
    return 0;
}
