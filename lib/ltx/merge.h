/*
 * Merges LTX files that follow each other into one: the newest version of each page wins, pages
 * beyond the final size are dropped. What compaction does with files of a lower level.
 *
 * Threads: one job. Memory: that of the inputs and of a writer. Time: the sum of the inputs.
 * Source: github.com/superfly/ltx, compactor.go.
 */
#ifndef WALFERRY_LIB_LTX_MERGE_H
#define WALFERRY_LIB_LTX_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/blob.h"
#include "lib/ltx/ltx.h"
#include "lib/ltx/reader.h"

enum {
    LTX_MERGE_INPUTS_MAX =
        1024, /* files merged at a time: about 50 MiB of readers at 4 KiB pages */
};

struct ltx_merge_args {
    struct ltx_reader *const *inputs; /* open and unread, oldest first; borrowed */
    size_t input_count;               /* 1 .. LTX_MERGE_INPUTS_MAX, else ERR_LIMIT */
    struct blob_writer *out;          /* empty; borrowed. Worthless after a failure */
    uint32_t pending_byte;            /* 0: DB_PENDING_BYTE; as given to the readers */
};

/* What was written. */
struct ltx_merge_result {
    struct ltx_header header;
    struct ltx_trailer trailer;
    uint64_t page_count; /* in the output */
};

/*
 * The header of the merged file: TXIDs from the first MinTXID to the last MaxTXID; size, time and
 * extension (epoch, owner, database and WAL checksum) of the last; no checksums of the format, no
 * WAL position.
 *
 * ERR_CORRUPT  page sizes differ
 * ERR_GAP      an input does not follow the one before: min <= max of it + 1, max > max of it
 * ERR_LIMIT    too many inputs
 */
MUST_USE int ltx_merge_header(struct ltx_reader *const *inputs, size_t input_count,
                              struct ltx_header *out_header, struct error *err);

/*
 * Merges. Every input is read to its end, so all are verified before this answers 0.
 *
 * Errors as ltx_merge_header(); of the readers, with the number of the input (from 1) and its
 * TXIDs; of the writer (ERR_NO_SPACE, ...).
 */
MUST_USE int ltx_merge(const struct ltx_merge_args *args, struct ltx_merge_result *out,
                       struct error *err);

#endif
