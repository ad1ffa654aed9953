/*
 * Covering a range of TXIDs by objects of the bucket, and fetching from them what is needed: the
 * numbers of the pages that changed in the range (page indexes only), or the objects themselves.
 *
 * Needed after a restart (which pages changed since a level's boundary?), to heal a page map that
 * is behind, to go on after a rewind, and to compact around a page of the database that has rotted.
 * Otherwise the process knows all this itself.
 * Threads: loop thread.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_COVER_H
#define WALFERRY_SIDECAR_ENGINE_COVER_H

#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/blob.h"
#include "lib/storage/inventory.h"
#include "lib/storage/storage.h"
#include "sidecar/engine/page_set.h"

enum {
    COVER_OBJECTS_MAX = 4096,         /* of one range */
    COVER_BODY_BYTES_MAX = 256 << 20, /* of one object fetched whole */
    COVER_MEMORY_BYTES = 4 << 20,     /* of it in memory; the rest in a file */
};

struct cover;

enum cover_kind {
    COVER_PAGES,   /* which pages changed: page indexes */
    COVER_OBJECTS, /* the objects, oldest first */
};

/* What was fetched. The callback may take what it wants; the rest is freed. */
struct cover_result {
    struct page_set pages; /* COVER_PAGES; may hold more than changed in the range, never less */
    struct blob *blobs;    /* COVER_OBJECTS */
    size_t blob_count;
};

typedef void cover_done_fn(void *arg, struct cover_result *result, const struct error *err);

struct cover_args {
    struct storage *storage;
    const struct inventory *inventory; /* read at start only */
    uint64_t after_txid;               /* the range is (after_txid, to_txid] */
    uint64_t to_txid;
    enum cover_kind kind;
    /* COVER_OBJECTS; each 0: the default */
    size_t object_count_max;   /* the chain ends there, short of to_txid; default: none shorter */
    uint64_t bytes_max;        /* of all objects; default: COVER_BODY_BYTES_MAX of each */
    uint64_t memory_bytes_max; /* of each object in memory; default: COVER_MEMORY_BYTES */
    const struct env *env;
    const char *work_folder; /* for objects that do not fit in memory; borrowed */
};

/*
 * Starts. done is called once on the loop thread; ERR_GAP in it (or here) when no chain of objects
 * covers the range. -1: ERR_GAP, ERR_LIMIT, ERR_NO_SPACE (bytes_max), ERR_NO_MEMORY; done is not called then.
 */
MUST_USE int cover_start(const struct cover_args *args, cover_done_fn *done, void *arg,
                         struct cover **out, struct error *err);

/*
 * The object that reaches furthest, but not beyond to_txid, among those that follow after_txid; of all
 * levels, but snapshots only from the beginning (after_txid 0). NULL: none. Borrowed from inv.
 */
const struct inventory_object *cover_furthest(const struct inventory *inv, uint64_t after_txid,
                                              uint64_t to_txid, unsigned *out_level);

/* Ends it without calling done. NULL ok. */
void cover_cancel(struct cover *c);

#endif
