/*
 * SQLite's own opinion about a restored file, before it takes the name of the database.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_INTEGRITY_H
#define WALFERRY_SIDECAR_RESTORE_INTEGRITY_H

#include <stdatomic.h>
#include <stdbool.h>

#include "lib/base/base.h"
#include "sidecar/restore/restore.h"

/*
 * Runs PRAGMA quick_check or integrity_check on the file (RESTORE_INTEGRITY_NONE: nothing). The
 * file is opened as immutable: no -wal or -shm appears, no lock is taken, nothing is written.
 *
 * is_canceled  looked at now and then; may be NULL
 *
 * ERR_CORRUPT with the first complaint; ERR_CANCELED; ERR_NO_MEMORY; ERR_IO.
 * Reads the whole file: seconds per GB. Threads: a job.
 */
MUST_USE int integrity_check(const char *path, enum restore_integrity integrity,
                             const atomic_bool *is_canceled, struct error *err);

#endif
