/*
 * /status as JSON: the whole of struct status_process, for the controller, for `kubectl walferry`
 * and for scripts. Keys are only ever added; "schema" changes if one had to change its meaning.
 *
 *   {
 *     "schema": 1,
 *     "version": "1.0.0", "commit": "0123456789ab",     commit null: not known
 *     "pid": 7, "now": M, "started_at": M, "is_draining": false,
 *     "sqlite": {"version": "3.40.1", "is_affected_by_wal_reset_bug": true},
 *     "databases": [{
 *       "path": "/data/app.db", "name": "app",
 *       "state": "following",                           words of status_db_state_name()
 *       "state_detail": null, "state_seconds": 12.5,
 *       "page_size": 4096, "page_count": 20, "bytes": 81920,
 *       "wal": {"bytes": 0, "frames": 0, "backfilled_frames": 0},
 *       "disk_free_bytes": 0,                           0: not known
 *       "commits_total": 3, "last_commit_at": M,
 *       "checkpoints": {"passive": {"total": 1, "errors": 0, "seconds": 0.1, "seconds_max": 0.1},
 *                       "seal": ..., "shrink": ..., "last_at": M},
 *       "busy_total": 0, "locks_lost_total": 0,
 *       "blocked_by_reader": {"seconds": 0},            0: nobody
 *       "error": E,
 *       "destinations": [{
 *         "name": "s3", "url": "s3://bucket/app", "type": "s3",
 *         "state": "following",                         words of status_destination_state_name()
 *         "state_detail": null, "state_seconds": 12, "is_attached": true,
 *         "fencing": "atomic",                          or "weak" (HEAD before PUT), "unknown"
 *         "acknowledged_txid": T, "local_txid": T,      acknowledged: in the bucket, complete
 *         "lag": {"seconds": 0, "bytes": 0, "commits": 0, "pages": 0, "oldest_commit_at": M},
 *         "last_success_at": M, "last_commit_at": M,
 *         "error": E,
 *         "epoch": 1, "owner": "0a1b2c3d",
 *         "fenced_by": {"epoch": 2, "owner": "..."},    null unless fenced
 *         "restore_window": {"oldest": M, "newest": M}, null: nothing can be restored yet
 *         "snapshot": {"txid": T, "at": M},             null: none
 *         "retention": {"window_seconds": 86400, "last_at": M, "errors_total": 0, "error": null},
 *                                                       window_seconds 0: nothing is deleted
 *         "rotten": {"pages_total": 1, "last_page": 10, "last_at": M, "merges_total": 1},
 *                                                       null: no page of the database was damaged
 *         "bytes": 4096, "objects": 2,                  of all levels in the bucket
 *         "levels": [{"level": 0, "objects": 2, "bytes": 4096, "newest_txid": T}],   non-empty ones
 *         "last_objects": [{"level": 0, "min_txid": T, "max_txid": T, "bytes": 4096,
 *                           "at": M, "seconds": 0.05}],                  newest first
 *         "requests": {"PUT": {"total": 1, "bytes": 4096, "errors": 0}, ...}
 *       }]
 *     }]
 *   }
 *
 *   M  a moment, RFC 3339 in UTC with nanoseconds; null: never, or not known
 *   T  a TXID: 16 lower-case hex digits as in names of objects; null: none. Greater is newer, also
 *      when compared as text
 *   E  null: no fault now; else {"text", "hint", "at", "streak", "total"}: streak is the failures
 *      since the last success
 */
#ifndef WALFERRY_SIDECAR_CONTROL_STATUS_JSON_H
#define WALFERRY_SIDECAR_CONTROL_STATUS_JSON_H

#include "sidecar/control/status.h"

/* Adds the document to out. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int status_json_write(const struct status_process *s, struct buf *out, struct error *err);

#endif
