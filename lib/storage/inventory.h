/*
 * The inventory of a replica: which LTX objects lie below a prefix, in memory. It is listed once at
 * start and kept up to date by whoever puts and deletes; the restore planner, retention, attaching
 * and `walferry ltx` work on it.
 *
 * One LIST of the whole prefix finds all levels, both layouts (a replica may have been written by
 * another tool in the other layout), and what fenced writers left behind. Names that are not ours
 * are counted and otherwise ignored.
 *
 * A level is an array in ascending order of max_txid (then min_txid, then layout), so the newest is
 * the last. Ranges may overlap and leave gaps: that is for the planner to judge.
 * Memory: 40 bytes an object, at most INVENTORY_OBJECTS_MAX of them.
 * Threads: one at a time; loading on the loop thread.
 */
#ifndef WALFERRY_LIB_STORAGE_INVENTORY_H
#define WALFERRY_LIB_STORAGE_INVENTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/storage/object_name.h"
#include "lib/storage/storage.h"

enum {
    INVENTORY_OBJECTS_MAX = 500000 /* over all levels and fenced: 20 MB */
};

struct inventory_object {
    uint64_t min_txid;
    uint64_t max_txid;
    uint64_t bytes;
    uint64_t timestamp_ns;      /* as storage_list answered it */
    enum storage_layout layout; /* under which name it lies */
};

struct inventory_level {
    struct inventory_object *object; /* object_count of them, ascending; borrowed */
    size_t object_count;
    size_t object_cap;
};

/* What a writer that lost its prefix could not ship: fenced/<epoch>-<owner>/<min>-<max>.ltx */
struct inventory_fenced {
    uint32_t epoch;
    uint32_t owner;
    uint64_t min_txid;
    uint64_t max_txid;
    uint64_t bytes;
    uint64_t timestamp_ns;
};

struct inventory {
    struct inventory_level level[LTX_LEVELS];
    struct inventory_fenced *fenced; /* in order of the listing: by key */
    size_t fenced_count;
    size_t fenced_cap;
    size_t object_count_max; /* over all levels and fenced */
    uint64_t foreign_count;  /* names that are not ours, seen by load */
    bool has_generations;    /* a tree of Litestream 0.3 lies below the prefix, seen by load */
    bool has_timestamps;     /* timestamps are exact: asked for by load, or the store lists them */
};

/* Nothing yet. inventory_init() does the same on existing memory. */
#define INVENTORY_INIT {.object_count_max = INVENTORY_OBJECTS_MAX}
void inventory_init(struct inventory *inv);

/* Frees the arrays. Accepts a zeroed one; inv is empty afterwards and keeps its maximum. */
void inventory_destroy(struct inventory *inv);

/*
 * Adds an object of a level, in its place. One that is there already (same level, range, layout)
 * gets the new size and timestamp. Cost: O(1) for the newest, O(n) before others.
 * ERR_LIMIT beyond object_count_max, ERR_NO_MEMORY.
 */
MUST_USE int inventory_add(struct inventory *inv, unsigned level,
                           const struct inventory_object *object, struct error *err);

/* Adds what a fenced writer left. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int inventory_add_fenced(struct inventory *inv, const struct inventory_fenced *fenced,
                                  struct error *err);

/*
 * Takes a key of a listing: an LTX object of either layout, a fenced one, or a foreign name (which
 * is counted). preferred is the layout of the destination, tried first. ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int inventory_add_key(struct inventory *inv, enum storage_layout preferred,
                               const struct storage_object *object, struct error *err);

/* Forgets an object. False if it was not there. */
bool inventory_remove(struct inventory *inv, unsigned level, uint64_t min_txid, uint64_t max_txid,
                      enum storage_layout layout);

/* Forgets what a fenced writer left. False if it was not there. */
bool inventory_remove_fenced(struct inventory *inv, uint32_t epoch, uint32_t owner,
                             uint64_t min_txid, uint64_t max_txid);

/* The object of exactly this range, in either layout; NULL if there is none. Borrowed: valid until
 * the inventory changes, as are the results of the functions below. */
const struct inventory_object *inventory_find(const struct inventory *inv, unsigned level,
                                              uint64_t min_txid, uint64_t max_txid);

/* The object of a level with the highest max_txid; NULL if the level is empty. */
const struct inventory_object *inventory_newest(const struct inventory *inv, unsigned level);

/*
 * The object that reaches furthest: highest max_txid over all levels, of the lowest level that has
 * it (the original rather than its compaction). NULL if there is no object at all.
 *
 * out_level  its level; untouched when NULL is answered
 */
const struct inventory_object *inventory_tip(const struct inventory *inv, unsigned *out_level);

/*
 * Index of the first object of a level with max_txid >= txid: where a walk that looks for txid
 * begins. object_count if there is none. Cost: O(log n).
 */
size_t inventory_lower_bound(const struct inventory *inv, unsigned level, uint64_t txid);

/* Objects over all levels, without fenced ones; their bytes (at most UINT64_MAX). */
size_t inventory_object_count(const struct inventory *inv);
uint64_t inventory_bytes(const struct inventory *inv);

/* Writes the relative key under which an object lies into out and returns it. */
const char *inventory_object_key(unsigned level, const struct inventory_object *object,
                                 char out[static STORAGE_KEY_BYTES_MAX]);

/* err->code ERR_NONE: the inventory now holds what the listing found. Otherwise it is unchanged. */
typedef void inventory_done_fn(void *arg, const struct error *err);

/*
 * Lists the prefix and, once that has succeeded as a whole, replaces the content of inv: also what
 * was added or removed meanwhile. Who puts during a listing loads into an inventory of its own.
 *
 * want_timestamps  also where that costs a request an object (s3); else timestamps may be the time
 *                  of upload (has_timestamps tells)
 * out_op           may be NULL; for storage_cancel()
 *
 * inv must stay until done. Errors of done: those of storage_list_start(); ERR_LIMIT when there are
 * more objects than object_count_max. -1 only for ERR_NO_MEMORY; done is not called then.
 */
MUST_USE int inventory_load_start(struct storage *st, struct inventory *inv, bool want_timestamps,
                                  inventory_done_fn *done, void *arg, struct storage_op **out_op,
                                  struct error *err);

/* inventory_load_start() for code that does one thing after the other. */
MUST_USE int inventory_load_wait(struct storage *st, struct inventory *inv, bool want_timestamps,
                                 struct error *err);

#endif
