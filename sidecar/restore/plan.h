/*
 * Which objects lead to the wanted state: a pure question about an inventory.
 *
 * An object [min, max] can be applied to a database that is at TXID n if min <= n + 1 and max > n;
 * the database is at max then. An empty database is at 0, so the first object has min 1 (a
 * snapshot). A *boundary* is the max_txid of an object: a state that can be the end of a restore.
 *
 * Threads: any; nothing here has a state. Source of the method: Litestream's CalcRestorePlan; but
 * a gap is always an error here, also below a timestamp.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_PLAN_H
#define WALFERRY_SIDECAR_RESTORE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/storage/inventory.h"

enum restore_target_kind {
    RESTORE_LATEST,    /* everything that is there */
    RESTORE_TXID,      /* exactly this boundary */
    RESTORE_TIMESTAMP, /* the last boundary at or before this moment */
};

struct restore_target {
    enum restore_target_kind kind;
    uint64_t txid;         /* RESTORE_TXID: from 1 */
    uint64_t timestamp_ns; /* RESTORE_TIMESTAMP: since 1970 */
};

/* What a fenced writer left, by the folder that it lies in: fenced/<epoch>-<owner>/. */
struct restore_fenced {
    uint32_t epoch;
    uint32_t owner;
};

struct plan_object {
    unsigned level;
    struct inventory_object object;
    bool is_fenced; /* it lies in the folder of fenced; level and layout mean nothing then */
    struct restore_fenced fenced;
};

/* Writes the relative key of an object of a plan into out and returns it. */
const char *restore_plan_object_key(const struct plan_object *object,
                                    char out[static STORAGE_KEY_BYTES_MAX]);

struct restore_plan {
    struct plan_object *objects; /* oldest first; owned */
    size_t object_count;
    uint64_t from_txid;    /* the state that the first object is applied to; 0: nothing */
    uint64_t txid;         /* the state that the last object leads to */
    uint64_t timestamp_ns; /* of that boundary: the earliest that any object with it has */
    uint64_t tip_txid;     /* the furthest that the replica reaches; txid if nothing is newer */
    uint64_t bytes;        /* of all objects */
};

/* Frees the objects. Accepts a zeroed one. */
void restore_plan_destroy(struct restore_plan *plan);

/*
 * Chooses the objects that lead from from_txid (0: from nothing) to the target: as few as possible.
 * Of several that reach equally far the smallest, then that of the highest level is taken.
 *
 * inventory  must hold an object (else ERR_NOT_FOUND; the caller asks inventory_object_count()
 *            first, since only it knows whether the listing is to be trusted)
 * target     txid or timestamp at from_txid or before: an empty plan
 *
 * ERR_GAP      the chain has a hole before the target: the text names the missing TXIDs and the
 *              newest state that can be reached
 * ERR_USAGE    the replica has no such state: the text names the neighbours of the TXID, or the
 *              oldest moment that can be restored
 * ERR_NO_MEMORY
 * Cost: O(n log n) for n objects, 16 bytes each while it runs.
 */
MUST_USE int restore_plan_make(const struct inventory *inventory,
                               const struct restore_target *target, uint64_t from_txid,
                               struct restore_plan *out, struct error *err);

/*
 * Parses "EPOCH-OWNER", eight hexadecimal digits each, as the folder is named. ERR_USAGE.
 */
MUST_USE int restore_fenced_parse(const char *text, struct restore_fenced *out, struct error *err);

/*
 * The plan for what a fenced writer left: the state before its object [min, max], that is TXID
 * min - 1, and then the object. (Of several of one writer: the newest.) It leads to a fork, a state
 * that was never part of the replica's history; out->txid is max, which another state may have too.
 *
 * ERR_USAGE    that writer left nothing; or TXID min - 1 is no boundary (any more): the text names
 *              its neighbours
 * ERR_GAP      TXID min - 1 cannot be reached; also if the levels hold nothing at all
 * ERR_NO_MEMORY
 */
MUST_USE int restore_plan_make_fenced(const struct inventory *inventory,
                                      const struct restore_fenced *which, struct restore_plan *out,
                                      struct error *err);

/*
 * The furthest state that can be reached from from_txid when only objects up to limit_txid are
 * used (UINT64_MAX: all); from_txid if none leads on. Cost: O(n).
 */
uint64_t restore_plan_reach(const struct inventory *inventory, uint64_t from_txid,
                            uint64_t limit_txid);

#endif
