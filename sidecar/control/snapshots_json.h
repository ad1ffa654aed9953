/*
 * /snapshots as JSON: every full copy that lies at a destination, for `kubectl walferry snapshots
 * --copies` and for scripts. Apart from /status, which is asked all the time: there may be hundreds.
 *
 *   {"schema": 1, "databases": [{"path": "/data/app.db", "name": "app", "destinations": [{
 *     "name": "s3", "url": "s3://bucket/app",
 *     "snapshots": [{"txid": T, "at": M, "bytes": 4096}]}]}]}          newest first
 *
 * T and M as in status_json.h.
 */
#ifndef WALFERRY_SIDECAR_CONTROL_SNAPSHOTS_JSON_H
#define WALFERRY_SIDECAR_CONTROL_SNAPSHOTS_JSON_H

#include "sidecar/control/status.h"

enum {
    SNAPSHOTS_JSON_MAX = 1000, /* told of one destination, the newest */
};

/* Adds the document to out. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int snapshots_json_write(const struct status_process *s, struct buf *out,
                                  struct error *err);

#endif
