/*
 * A status in two numbers, so that two looks can be compared without reading either:
 *
 *   words    what it says in words: states, whether there is a fault, who has fenced whom. It
 *            changes when something has happened that somebody should hear of at once.
 *   figures  those, and all figures and texts that the controller reports: TXIDs, sizes, lag in
 *            whole seconds, the window of a restore. While a database is idle, nothing of it
 *            changes; while it is written to, most of it does.
 *
 * Left out is what changes by itself (now, ages, free disk space) and what only people read
 * (requests, checkpoints). Equal numbers mean equal statuses as good as always (CRC-64).
 */
#ifndef WALFERRY_SIDECAR_CONTROL_STATUS_VERSION_H
#define WALFERRY_SIDECAR_CONTROL_STATUS_VERSION_H

#include "sidecar/control/status.h"

enum {
    STATUS_VERSION_BYTES = 34, /* "0123456789abcdef.0123456789abcdef" */
};

struct status_version {
    uint64_t words;
    uint64_t figures;
};

/* Cost: some 200 ns a destination. */
struct status_version status_version_of(const struct status_process *s);

/* Writes it as words "." figures, 16 hex digits each. Returns out. */
const char *status_version_format(const struct status_version *v,
                                  char out[static STATUS_VERSION_BYTES]);

/* Reads that. False: it is something else. */
bool status_version_parse(const char *text, struct status_version *out);

#endif
