/*
 * Every metric of a walferry process, one row each, in the order of the documentation.
 *
 * A row: name, type, unit, help, labels | scope, value | field (or function). Labels are bounded:
 * db and destination are configured names, level is 0 to 9, mode and operation are fixed words.
 *
 * Litestream's names come with its labels and meanings, as far as we have the number. Some break
 * Prometheus' own rules (counters without _total): that is what its users' dashboards ask for.
 * Source of those: litestream, db.go, replica_client.go, store.go.
 */
#include "sidecar/control/metrics_table.h"

#include <stddef.h>

/* Last columns of a row, by scope. */
#define PROCESS(value, field)                                                                      \
    METRICS_SCOPE_PROCESS, METRICS_VALUE_##value, offsetof(struct status_process, field), NULL
#define DB(value, field)                                                                           \
    METRICS_SCOPE_DB, METRICS_VALUE_##value, offsetof(struct status_db, field), NULL
#define MODE(value, field)                                                                         \
    METRICS_SCOPE_MODE, METRICS_VALUE_##value, offsetof(struct status_checkpoint, field), NULL
#define DESTINATION(value, field)                                                                  \
    METRICS_SCOPE_DESTINATION, METRICS_VALUE_##value, offsetof(struct status_destination, field),  \
        NULL
#define LEVEL(value, field)                                                                        \
    METRICS_SCOPE_LEVEL, METRICS_VALUE_##value, offsetof(struct status_level, field), NULL
#define OPERATION(value, field)                                                                    \
    METRICS_SCOPE_OPERATION, METRICS_VALUE_##value, offsetof(struct metrics_operation, field), NULL
#define OWN(function) METRICS_SCOPE_OWN, METRICS_VALUE_OWN, 0, function

#define BY_PROCESS     {NULL}
#define BY_DB          {"db"}
#define BY_MODE        {"db", "mode"}
#define BY_DESTINATION {"db", "destination"}
#define BY_LEVEL       {"db", "destination", "level"}
#define BY_OPERATION   {"db", "destination", "operation"}
#define BY_REPLICA     {"replica_type", "operation"}

#define COUNTER   METRICS_COUNTER
#define GAUGE     METRICS_GAUGE
#define HISTOGRAM METRICS_HISTOGRAM

/* clang-format off: a row is two lines, the second what the first counts */
const struct metrics_row metrics_rows[] = {
    {{"walferry_build_info",
      GAUGE,
      NULL,
      "Always 1; versions are in the labels",
      {"version", "commit", "sqlite_version", "wal_reset_bug"}},
     OWN(metrics_own_build_info)},
    {{"walferry_draining", GAUGE, NULL,
      "1 once the pod is ending and everything is shipped at once", BY_PROCESS},
     PROCESS(FLAG, is_draining)},
    {{"walferry_databases", GAUGE, NULL, "Databases under care", BY_PROCESS},
     PROCESS(COUNT, db_count)},

    /* What matters most. */
    {{"walferry_replication_lag_seconds", GAUGE, "seconds",
      "Age of the oldest commit that the store has not acknowledged; 0 when it has everything",
      BY_DESTINATION},
     DESTINATION(SECONDS, lag_ns)},
    {{"walferry_replication_lag_bytes", GAUGE, "bytes",
      "Pages that still have to be shipped, before compression", BY_DESTINATION},
     DESTINATION(COUNT, lag_bytes)},
    {{"walferry_replication_lag_commits", GAUGE, NULL,
      "Transactions since the start of the process that the store has not acknowledged",
      BY_DESTINATION},
     DESTINATION(COUNT, lag_commits)},
    {{"walferry_local_txid", GAUGE, NULL, "TXID that the newest commit has or will get",
      BY_DESTINATION},
     DESTINATION(COUNT, local_txid)},
    {{"walferry_acknowledged_txid", GAUGE, NULL,
      "Newest TXID that is in the store, complete and restorable", BY_DESTINATION},
     DESTINATION(COUNT, acknowledged_txid)},
    {{"walferry_last_success_timestamp_seconds", GAUGE, "seconds",
      "When the store last acknowledged an object; absent before the first", BY_DESTINATION},
     DESTINATION(MOMENT, last_success_at_ns)},
    {{"walferry_restore_window_oldest_timestamp_seconds", GAUGE, "seconds",
      "Oldest moment that can be restored; absent while nothing can", BY_DESTINATION},
     DESTINATION(MOMENT, restore_oldest_at_ns)},
    {{"walferry_restore_window_newest_timestamp_seconds", GAUGE, "seconds",
      "Newest moment that can be restored; absent while nothing can", BY_DESTINATION},
     DESTINATION(MOMENT, restore_newest_at_ns)},
    {{"walferry_snapshot_timestamp_seconds", GAUGE, "seconds",
      "Time of the newest snapshot; absent while there is none", BY_DESTINATION},
     DESTINATION(MOMENT, snapshot_at_ns)},

    /* Destinations. */
    {{"walferry_destination_state",
      GAUGE,
      NULL,
      "1 for the state the destination is in; other states have no series",
      {"db", "destination", "state"}},
     OWN(metrics_own_destination_state)},
    {{"walferry_destination_errors_total", COUNTER, NULL,
      "Operations on the destination that failed after their retries", BY_DESTINATION},
     DESTINATION(COUNT, errors_total)},
    {{"walferry_destination_error_streak", GAUGE, NULL,
      "Failures since the last success; 0 when healthy", BY_DESTINATION},
     DESTINATION(COUNT, error_streak)},
    {{"walferry_destination_fencing", GAUGE, NULL,
      "1 if the store creates atomically, so that two writers cannot share a history; 0 if not; "
      "absent until probed",
      BY_DESTINATION},
     OWN(metrics_own_fencing)},
    {{"walferry_writer_epoch", GAUGE, NULL, "Epoch under which this process writes",
      BY_DESTINATION},
     DESTINATION(U32, epoch)},
    {{"walferry_writer_conflicts_total", COUNTER, NULL,
      "Objects refused by the store because another writer was first", BY_DESTINATION},
     DESTINATION(COUNT, conflicts_total)},
    {{"walferry_syncs_total", COUNTER, NULL, "Shipments that the store acknowledged",
      BY_DESTINATION},
     DESTINATION(COUNT, syncs_total)},
    {{"walferry_sync_seconds_total", COUNTER, "seconds",
      "Time from encoding to acknowledgement, of all shipments", BY_DESTINATION},
     DESTINATION(SECONDS, sync_ns_total)},
    {{"walferry_sync_pages_total", COUNTER, NULL, "Pages in all shipments", BY_DESTINATION},
     DESTINATION(COUNT, sync_pages_total)},
    {{"walferry_differences_total", COUNTER, NULL,
      "Times the whole database was compared because its history was unproven", BY_DESTINATION},
     DESTINATION(COUNT, differences_total)},
    {{"walferry_rotten_pages_total", COUNTER, NULL,
      "Pages of the database that a compaction found damaged: not what was replicated",
      BY_DESTINATION},
     DESTINATION(COUNT, rotten_pages_total)},
    {{"walferry_merges_total", COUNTER, NULL,
      "Compactions merged from the store's objects because of a damaged page", BY_DESTINATION},
     DESTINATION(COUNT, merges_total)},
    {{"walferry_upload_duration_seconds", HISTOGRAM, "seconds",
      "Time to upload an object, with retries", BY_DESTINATION},
     OWN(metrics_own_upload_seconds)},
    {{"walferry_objects", GAUGE, NULL, "Objects in the store", BY_LEVEL},
     LEVEL(COUNT, object_count)},
    {{"walferry_object_bytes", GAUGE, "bytes", "Size of the objects in the store", BY_LEVEL},
     LEVEL(COUNT, object_bytes)},
    {{"walferry_objects_total", COUNTER, NULL, "Objects created by this process", BY_LEVEL},
     LEVEL(COUNT, written_total)},
    {{"walferry_objects_bytes_total", COUNTER, "bytes",
      "Size of the objects created by this process", BY_LEVEL},
     LEVEL(COUNT, written_bytes_total)},
    {{"walferry_objects_deleted_total", COUNTER, NULL, "Objects removed by retention", BY_LEVEL},
     LEVEL(COUNT, deleted_total)},
    {{"walferry_retention_window_seconds", GAUGE, "seconds",
      "How far back every moment stays restorable, as configured now; 0: nothing is deleted",
      BY_DESTINATION},
     DESTINATION(SECONDS, retention_window_ns)},
    {{"walferry_retention_timestamp_seconds", GAUGE, "seconds",
      "When retention last passed completely; absent before the first", BY_DESTINATION},
     DESTINATION(MOMENT, retention_at_ns)},
    {{"walferry_retention_errors_total", COUNTER, NULL, "Passes of retention that failed",
      BY_DESTINATION},
     DESTINATION(COUNT, retention_errors_total)},
    {{"walferry_requests_total", COUNTER, NULL, "Requests to the store, with retries",
      BY_OPERATION},
     OPERATION(COUNT, requests)},
    {{"walferry_request_bytes_total", COUNTER, "bytes", "Payload moved by these requests",
      BY_OPERATION},
     OPERATION(COUNT, bytes)},
    {{"walferry_request_errors_total", COUNTER, NULL, "Requests that failed", BY_OPERATION},
     OPERATION(COUNT, errors)},

    /* Databases. */
    {{"walferry_database_state",
      GAUGE,
      NULL,
      "1 for the state the database is in; other states have no series",
      {"db", "state"}},
     OWN(metrics_own_db_state)},
    {{"walferry_database_bytes", GAUGE, "bytes", "Size of the database file", BY_DB},
     DB(COUNT, db_bytes)},
    {{"walferry_database_pages", GAUGE, NULL, "Pages of the database", BY_DB},
     DB(COUNT, page_count)},
    {{"walferry_wal_bytes", GAUGE, "bytes", "Size of the -wal file", BY_DB}, DB(COUNT, wal_bytes)},
    {{"walferry_wal_frames", GAUGE, NULL, "Committed frames in the log", BY_DB},
     DB(COUNT, wal_frames)},
    {{"walferry_wal_backfilled_frames", GAUGE, NULL,
      "Frames of the log that are in the database file already", BY_DB},
     DB(COUNT, wal_backfilled_frames)},
    {{"walferry_commits_total", COUNTER, NULL, "Transactions of the application that were seen",
      BY_DB},
     DB(COUNT, commits_total)},
    {{"walferry_last_commit_timestamp_seconds", GAUGE, "seconds",
      "When the application last committed; absent before the first", BY_DB},
     DB(MOMENT, last_commit_at_ns)},
    {{"walferry_frames_total", COUNTER, NULL, "Frames of the log that were seen", BY_DB},
     DB(COUNT, frames_total)},
    {{"walferry_checkpoints_total", COUNTER, NULL,
      "Checkpoints: passive (nobody waits), seal (under the write lock), shrink (cutting the log)",
      BY_MODE},
     MODE(COUNT, total)},
    {{"walferry_checkpoint_errors_total", COUNTER, NULL, "Checkpoints that failed", BY_MODE},
     MODE(COUNT, errors_total)},
    {{"walferry_checkpoint_max_seconds", GAUGE, "seconds",
      "Longest checkpoint so far; for seal and shrink a writer may have waited so long", BY_MODE},
     MODE(SECONDS, ns_max)},
    {{"walferry_checkpoint_duration_seconds", HISTOGRAM, "seconds", "Time of a checkpoint", BY_DB},
     OWN(metrics_own_checkpoint_seconds)},
    {{"walferry_seals_given_up_total", COUNTER, NULL,
      "Seals put off because the write lock was taken", BY_DB},
     DB(COUNT, seals_given_up_total)},
    {{"walferry_busy_total", COUNTER, NULL, "Times a lock that was wanted was taken", BY_DB},
     DB(COUNT, busy_total)},
    {{"walferry_locks_lost_total", COUNTER, NULL,
      "Times our own locks on the database were gone: something else closed its files", BY_DB},
     DB(COUNT, locks_lost_total)},
    {{"walferry_blocked_by_reader_seconds", GAUGE, "seconds",
      "How long a reader of the application has kept the log from being checkpointed", BY_DB},
     DB(SECONDS, blocked_by_reader_ns)},
    {{"walferry_disk_free_bytes", GAUGE, "bytes",
      "Free space on the file system of the database; 0 if not known", BY_DB},
     DB(COUNT, disk_free_bytes)},
    {{"walferry_database_errors_total", COUNTER, NULL,
      "Times opening, reading or checkpointing the database failed", BY_DB},
     DB(COUNT, errors_total)},

    /* The process. */
    {{"process_cpu_seconds_total", COUNTER, "seconds", "User and system time of the process",
      BY_PROCESS},
     OWN(metrics_own_cpu_seconds)},
    {{"process_resident_memory_bytes", GAUGE, "bytes", "Resident memory of the process",
      BY_PROCESS},
     OWN(metrics_own_resident_bytes)},
    {{"process_open_fds", GAUGE, NULL, "Open descriptors", BY_PROCESS}, OWN(metrics_own_open_fds)},
    {{"process_max_fds", GAUGE, NULL, "Limit of open descriptors", BY_PROCESS},
     OWN(metrics_own_max_fds)},
    {{"process_start_time_seconds", GAUGE, "seconds", "When the process started", BY_PROCESS},
     PROCESS(MOMENT, started_at_ns)},
};

const struct metrics_row metrics_litestream_rows[] = {
    {{"litestream_db_size", GAUGE, NULL, "The current size of the real DB", BY_DB},
     DB(COUNT, db_bytes)},
    {{"litestream_wal_size", GAUGE, NULL, "The current size of the real WAL", BY_DB},
     DB(COUNT, wal_bytes)},
    {{"litestream_total_wal_bytes", COUNTER, NULL, "Total number of bytes seen in the WAL", BY_DB},
     DB(COUNT, wal_bytes_total)},
    {{"litestream_txid", GAUGE, NULL, "The current transaction ID", BY_DB},
     OWN(metrics_own_litestream_txid)},
    {{"litestream_sync_count", COUNTER, NULL, "Number of sync operations performed", BY_DB},
     OWN(metrics_own_litestream_syncs)},
    {{"litestream_sync_error_count", COUNTER, NULL, "Number of sync errors that have occurred",
      BY_DB},
     OWN(metrics_own_litestream_sync_errors)},
    {{"litestream_sync_seconds", COUNTER, NULL, "Time spent syncing, in seconds", BY_DB},
     OWN(metrics_own_litestream_sync_seconds)},
    {{"litestream_disk_full", GAUGE, NULL,
      "Whether replication is paused because the local disk is full", BY_DB},
     OWN(metrics_own_litestream_disk_full)},
    {{"litestream_checkpoint_count", COUNTER, NULL, "Number of checkpoint operations performed",
      BY_MODE},
     MODE(COUNT, total)},
    {{"litestream_checkpoint_error_count", COUNTER, NULL,
      "Number of checkpoint errors that have occurred", BY_MODE},
     MODE(COUNT, errors_total)},
    {{"litestream_checkpoint_seconds", COUNTER, NULL, "Time spent checkpointing WAL, in seconds",
      BY_MODE},
     MODE(SECONDS, ns_total)},
    {{"litestream_replica_operation_total", COUNTER, NULL,
      "The number of replica operations performed", BY_REPLICA},
     OWN(metrics_own_litestream_operations)},
    {{"litestream_replica_operation_bytes", COUNTER, NULL,
      "The number of bytes used by replica operations", BY_REPLICA},
     OWN(metrics_own_litestream_operation_bytes)},
    {{"litestream_replica_operation_errors_total", COUNTER, NULL,
      "Number of replica operation errors", BY_REPLICA},
     OWN(metrics_own_litestream_operation_errors)},
};
/* clang-format on */

const size_t metrics_row_count = ARRAY_LEN(metrics_rows);
const size_t metrics_litestream_row_count = ARRAY_LEN(metrics_litestream_rows);
