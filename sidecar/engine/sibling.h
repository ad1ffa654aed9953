/*
 * A sibling's word: does the history in another destination of the same database hold all that a
 * lagging destination has? Then the lagging one may be continued by a database that continues the
 * sibling, and nothing is buried.
 *
 * Two things prove it, both from the headers of the sibling's objects:
 *
 *   equal   a boundary of the sibling has the lagging tip's database checksum: the same state
 *   order   a boundary was written by the lagging tip's owner (one following of one database file,
 *           whatever the destination) at a later timestamp. Within one owner timestamps grow over
 *           all destinations, so that state came after the tip's, on the same file
 *
 * A boundary is where an object of any level ends. Timestamps of a history only grow, so the first
 * boundary that is not before the lagging tip is found by halving: some twelve reads of 100 bytes.
 * A tip that was written after all that the sibling has, or by another owner, proves nothing: it
 * may be a fork. Nor do objects of Litestream, which have neither owner nor checksum.
 *
 * Threads: loop thread.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_SIBLING_H
#define WALFERRY_SIDECAR_ENGINE_SIBLING_H

#include <stdint.h>

#include "lib/base/base.h"
#include "lib/storage/inventory.h"
#include "lib/storage/storage.h"
#include "sidecar/engine/lineage.h"

struct sibling_search;

struct sibling_found {
    enum lineage_sibling answer; /* NONE, HOLDS or EQUALS; never UNKNOWN */
    uint64_t txid;               /* EQUALS: the sibling's TXID with the same state */
};

/* err->code ERR_NONE: found is the answer. Otherwise a boundary could not be read; try again. */
typedef void sibling_done_fn(void *arg, const struct sibling_found *found, const struct error *err);

/*
 * Starts.
 *
 * storage, inventory  the sibling's; borrowed until done. The inventory may change meanwhile
 * tip                 the newest object of the destination that lags; has_ext must be set
 *
 * done is called once on the loop thread. -1 only for ERR_NO_MEMORY, and when the sibling has no
 * object at all (ERR_NOT_FOUND); done is not called then.
 */
MUST_USE int sibling_search_start(struct storage *storage, const struct inventory *inventory,
                                  const struct lineage_tip *tip, sibling_done_fn *done, void *arg,
                                  struct sibling_search **out, struct error *err);

/* Ends it without calling done. NULL ok. */
void sibling_search_cancel(struct sibling_search *s);

#endif
