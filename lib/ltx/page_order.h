/*
 * Which page may follow which in an LTX file: the rule that writer and decoder share.
 *
 * Strictly ascending, at most commit, never the lock page; a snapshot has every page from 1 to
 * commit but the lock page. Internal to the room. Threads: pure on its struct.
 * Source: github.com/superfly/ltx, encoder.go, EncodePage() and Close().
 */
#ifndef WALFERRY_LIB_LTX_PAGE_ORDER_H
#define WALFERRY_LIB_LTX_PAGE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/ltx/ltx.h"

struct page_order {
    uint32_t commit;
    uint32_t lock_pgno;
    uint32_t last_pgno; /* 0 before the first page */
    bool is_snapshot;
};

/* The rule for a file. pending_byte 0 means DB_PENDING_BYTE. */
void page_order_init(struct page_order *order, const struct ltx_header *h, uint32_t pending_byte);

/* Accepts the next page, or ERR_CORRUPT. */
MUST_USE int page_order_next(struct page_order *order, uint32_t pgno, struct error *err);

/* There are no more pages: ERR_CORRUPT if a snapshot lacks some. */
MUST_USE int page_order_end(const struct page_order *order, struct error *err);

#endif
