/*
 * The one table of walferry's metrics: each family, and where its values stand in the structs of
 * status.h. metrics_export.c walks it for a scrape, docs/metrics.md is made from it.
 */
#ifndef WALFERRY_SIDECAR_CONTROL_METRICS_TABLE_H
#define WALFERRY_SIDECAR_CONTROL_METRICS_TABLE_H

#include "sidecar/control/status.h"

/* What is walked for a family: each gives a series, and fixes the labels. */
enum metrics_scope {
    METRICS_SCOPE_PROCESS,     /* struct status_process; no label */
    METRICS_SCOPE_DB,          /* each struct status_db; db */
    METRICS_SCOPE_MODE,        /* each struct status_checkpoint; db, mode */
    METRICS_SCOPE_DESTINATION, /* each struct status_destination; db, destination */
    METRICS_SCOPE_LEVEL,       /* each struct status_level in use; db, destination, level */
    METRICS_SCOPE_OPERATION,   /* each struct metrics_operation; db, destination, operation */
    METRICS_SCOPE_OWN,         /* what the row's own function walks */
};

/* How a field is told. */
enum metrics_value {
    METRICS_VALUE_COUNT,   /* uint64_t, as it is */
    METRICS_VALUE_U32,     /* uint32_t, as it is */
    METRICS_VALUE_SECONDS, /* uint64_t nanoseconds */
    METRICS_VALUE_MOMENT,  /* uint64_t nanoseconds since 1970; no series while 0 (never) */
    METRICS_VALUE_FLAG,    /* bool: 0 or 1 */
    METRICS_VALUE_OWN,
};

/* An element of struct storage_counters, whose type has no name. */
struct metrics_operation {
    uint64_t requests, bytes, errors;
};

typedef void metrics_own_fn(struct metrics_writer *w, const struct status_process *s);

struct metrics_row {
    struct metrics_family family;
    enum metrics_scope scope;
    enum metrics_value value;
    size_t offset;       /* of the field in the scope's struct */
    metrics_own_fn *own; /* for METRICS_SCOPE_OWN: writes all series */
};

/* Ours; then Litestream's names, for `metrics-compat: litestream`. */
extern const struct metrics_row metrics_rows[];
extern const size_t metrics_row_count;
extern const struct metrics_row metrics_litestream_rows[];
extern const size_t metrics_litestream_row_count;

/* ---- the functions of rows, in metrics_own.c ---- */

metrics_own_fn metrics_own_build_info;
metrics_own_fn metrics_own_db_state;
metrics_own_fn metrics_own_destination_state;
metrics_own_fn metrics_own_fencing;
metrics_own_fn metrics_own_checkpoint_seconds;
metrics_own_fn metrics_own_upload_seconds;
metrics_own_fn metrics_own_cpu_seconds;
metrics_own_fn metrics_own_resident_bytes;
metrics_own_fn metrics_own_open_fds;
metrics_own_fn metrics_own_max_fds;
metrics_own_fn metrics_own_litestream_txid;
metrics_own_fn metrics_own_litestream_syncs;
metrics_own_fn metrics_own_litestream_sync_errors;
metrics_own_fn metrics_own_litestream_sync_seconds;
metrics_own_fn metrics_own_litestream_disk_full;
metrics_own_fn metrics_own_litestream_operations;
metrics_own_fn metrics_own_litestream_operation_bytes;
metrics_own_fn metrics_own_litestream_operation_errors;

#endif
