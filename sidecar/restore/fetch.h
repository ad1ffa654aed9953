/*
 * Fetching the objects of a plan and writing their pages: parallel requests, decoding on all cores,
 * bounded memory.
 *
 * An object of up to RESTORE_UNIT_BYTES is one *unit*, fetched by one GET and proven by the LTX
 * decoder. A larger one is cut at frame boundaries (split.h) into units that are fetched by ranged
 * GETs and decoded beside each other; its file checksum is put together from theirs. Every object
 * is read whole and verified, also where newer ones have superseded its pages.
 *
 * Threads: loop thread; the decoding runs in jobs.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_FETCH_H
#define WALFERRY_SIDECAR_RESTORE_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "lib/ltx/ltx.h"
#include "lib/storage/storage.h"
#include "sidecar/restore/plan.h"
#include "sidecar/restore/write.h"

struct fetch_args {
    struct loop *loop;
    struct storage *storage;
    const struct restore_plan *plan; /* at least one object */
    struct output *output;           /* initialised; fetch_run() begins it */
    unsigned parallelism;            /* units at a time, from 1 */
    uint64_t unit_bytes;             /* RESTORE_UNIT_BYTES; tests make it small */
    const atomic_bool *is_canceled;  /* may be NULL */
    /* Called when bytes arrived or pages were written. May be NULL. */
    void (*on_progress)(void *arg, uint64_t bytes);
    void *arg;
};

struct fetch_result {
    struct ltx_header tip; /* of the newest object */
    struct ltx_trailer tip_trailer;
    uint64_t bytes; /* fetched */
    /* On failure: */
    bool is_vanished;    /* an object of the plan is not there (any more), or is another one now */
    size_t vanished_idx; /* which, if the error is ERR_NOT_FOUND */
    bool is_local;       /* the output failed: another destination would not help */
};

/*
 * Fetches, decodes, writes. Runs the loop until nothing is under way any more. 0: every object was
 * proven and all its pages that count are written; whether all pages are there is for
 * output_check_complete().
 * ERR_CORRUPT names the object and the offset in it; errors of the storage name the object;
 * ERR_NO_SPACE, ERR_IO, ERR_ACCESS of the output; ERR_CANCELED; ERR_NO_MEMORY.
 */
MUST_USE int fetch_run(const struct fetch_args *args, struct fetch_result *out, struct error *err);

#endif
