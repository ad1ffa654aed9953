/*
 * Retention: which objects may be deleted so that every moment of the window stays restorable.
 *
 * The window reaches from now - snapshot_retention to now. Kept are
 *
 *   - the newest full copy (base) made before the window's start, every later one, and always the
 *     newest: restores of any moment in the window begin there
 *   - every compaction that reaches beyond the oldest base that is kept
 *   - L0 objects younger than l0_retention, wherever the window begins: a writer that slept may trust
 *     that their numbers are taken (retain_number_kept_ns()); those that no kept compaction or base
 *     covers; and always the newest
 *   - what fenced writers left, until it is older than snapshot_retention: no history goes on there,
 *     so it needs no proof
 *
 * Before anything is named for deletion the plan is *proven*: with what is left, the tip and every
 * boundary of a kept object from the oldest kept base on must be reachable, as a restore would
 * reach it. A plan that cannot be proven deletes nothing and says so.
 *
 * Pure. Times are those of the inventory. Source of the rules: docs/architecture.md, "Retention".
 */
#ifndef WALFERRY_SIDECAR_ENGINE_RETAIN_H
#define WALFERRY_SIDECAR_ENGINE_RETAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/storage/inventory.h"

struct retain_policy {
    uint64_t now_ns;
    uint64_t snapshot_retention_ns; /* 0: keep everything */
    uint64_t l0_retention_ns;       /* 0: L0 only go with the snapshots */
};

struct retain_victim {
    unsigned level;
    struct inventory_object object;
};

struct retain_plan {
    struct retain_victim *victims;
    size_t victim_count;
    struct inventory_fenced *fenced; /* victims that fenced writers left */
    size_t fenced_count;
    uint64_t bytes;      /* of all of them */
    uint64_t floor_txid; /* of the oldest base that is kept: nothing before it is promised */
};

/* Frees the lists. Accepts a zeroed one. */
void retain_plan_destroy(struct retain_plan *p);

/*
 * Decides. ERR_GAP: the plan could not be proven (the text names the first TXID that would not be
 * reachable); nothing may be deleted. ERR_NO_MEMORY.
 */
MUST_USE int retain_decide(const struct inventory *inv, const struct retain_policy *policy,
                           struct retain_plan *out, struct error *err);

/*
 * How long the TXID of an L0 object that came about is seen to be taken, at least; UINT64_MAX: for
 * ever. A writer that has not looked for as long cannot tell a free number from one that was used
 * and removed.
 */
uint64_t retain_number_kept_ns(uint64_t l0_retention_ns, uint64_t snapshot_retention_ns);

/* Whether the tip can be reached by a restore. ERR_GAP names the TXID; ERR_NO_MEMORY. */
MUST_USE int retain_check(const struct inventory *inv, struct error *err);

/*
 * The next moment after policy->now_ns at which time alone makes something deletable: an L0 object
 * gets old, or another base becomes the one before the window. UINT64_MAX: never. What is old
 * already is not counted: it waits for something that covers it.
 */
uint64_t retain_next_due(const struct inventory *inv, const struct retain_policy *policy);

/*
 * The oldest moment that can be restored, and the newest: timestamps of the oldest base and of the
 * tip. False when there is nothing.
 */
bool retain_window(const struct inventory *inv, uint64_t *out_oldest_ns, uint64_t *out_newest_ns);

#endif
