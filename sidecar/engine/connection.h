/*
 * One SQLite connection of ours: a read transaction and its slot, the write lock that never writes,
 * PASSIVE checkpoints, and raw access to the files behind it.
 *
 * Opened through the lock VFS, without automatic checkpoints, without a checkpoint at close, and
 * with the log kept at close. No connection ever parses the schema or writes a page.
 *
 * Files are read through SQLite's own handles only: closing any other descriptor of the database or
 * of -shm would silently drop all POSIX locks of this process on it.
 *
 * Threads: one at a time (SQLITE_OPEN_NOMUTEX).
 */
#ifndef WALFERRY_SIDECAR_ENGINE_CONNECTION_H
#define WALFERRY_SIDECAR_ENGINE_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

struct connection;

/*
 * Opens an existing database for reading and writing; nothing is read yet.
 *
 * ERR_NOT_FOUND, ERR_ACCESS, ERR_LIMIT (descriptors), ERR_NO_MEMORY, ERR_IO.
 */
MUST_USE int connection_open(const char *path, uint64_t busy_timeout_ns, struct connection **out,
                             struct error *err);

/* Ends the transaction and closes without checkpoint; log and -shm stay. NULL ok. */
void connection_close(struct connection *c);

/* Whether the file could only be opened for reading. */
bool connection_is_read_only(const struct connection *c);

/* Path of the log as SQLite derived it (symbolic links resolved). Borrowed from the connection. */
const char *connection_log_path(const struct connection *c);

/*
 * Starts a read transaction on the newest commit. connection_slot() tells where it sits; -1 after
 * success means that the database is not in WAL mode.
 * ERR_BUSY, ERR_CORRUPT (not a database), ERR_ACCESS, ERR_IO, ERR_NO_MEMORY; none is open then.
 */
MUST_USE int connection_begin(struct connection *c, struct error *err);

/*
 * Starts a read transaction and takes the write lock without waiting. *out_is_busy: a writer has
 * it; no transaction is open then and that is no error. Nothing is ever written.
 */
MUST_USE int connection_begin_immediate(struct connection *c, bool *out_is_busy, struct error *err);

/* Lets some time pass, as SQLite does between two tries for a lock: a job's last means where the
 * kernel would tell nobody. At most a few hundred microseconds. */
void connection_pause(const struct connection *c, unsigned us);

/* Ends the transaction, if any, by rolling it back. */
void connection_end(struct connection *c);

/* Whether a read transaction is open. */
bool connection_is_reading(const struct connection *c);

/* The slot of the read transaction: 0..4; -1 none. */
int connection_slot(const struct connection *c);

/*
 * A PASSIVE checkpoint: nobody waits for it, also not for the disk (the database is synced in small
 * pieces while it is written). Makes the connection read once if it never did.
 * *out_log_frames and *out_backfilled as SQLite reports them.
 * ERR_BUSY: somebody else is checkpointing. ERR_IO, ERR_NO_SPACE, ERR_CORRUPT, ...
 */
MUST_USE int connection_checkpoint(struct connection *c, uint32_t *out_log_frames,
                                   uint32_t *out_backfilled, struct error *err);

/* Switches the database to WAL mode. *out_is_wal tells whether it is. Parses the schema: for a
 * connection that is closed afterwards. ERR_BUSY and others as connection_begin(). */
MUST_USE int connection_enable_wal(struct connection *c, bool *out_is_wal, struct error *err);

/* Reads n bytes of the database file; what lies beyond its end is zeros. ERR_IO. */
MUST_USE int connection_db_read(const struct connection *c, int64_t offset, void *p, size_t n,
                                struct error *err);
MUST_USE int connection_db_size(const struct connection *c, uint64_t *out_bytes, struct error *err);
/* fsync of the database file. */
MUST_USE int connection_db_sync(const struct connection *c, struct error *err);
/* Whether the path names another file now, or none. */
bool connection_has_moved(const struct connection *c);

/* The log's file, once a transaction was begun. Reading beyond its end is ERR_CORRUPT. */
MUST_USE int connection_log_read(const struct connection *c, int64_t offset, void *p, size_t n,
                                 struct error *err);
MUST_USE int connection_log_size(const struct connection *c, uint64_t *out_bytes,
                                 struct error *err);
/* Cuts the log's file. Only with the write lock, behind the live frames. */
MUST_USE int connection_log_truncate(const struct connection *c, uint64_t bytes, struct error *err);

/*
 * A block of the wal-index (WAL_INDEX_BLOCK_BYTES) in shared memory; NULL if it does not exist.
 * Valid as long as any connection of this process to the database is open.
 */
MUST_USE int connection_index_block(const struct connection *c, size_t block_idx, const void **out,
                                    struct error *err);

/*
 * Whether the writer that left the wal-index header torn is gone: the write lock can be had. Takes
 * and returns it at once.
 */
bool connection_writer_is_gone(const struct connection *c);

#endif
