/*
 * One SQLite connection of ours.
 *
 * Settings, and why each:
 *   NOMUTEX                    one job at a time owns it; the sanitizer sees a mistake
 *   no CREATE                  a restore that did not happen must not become an empty database
 *   wal_autocheckpoint 0       we never commit, but a hook would be in the way
 *   PERSIST_WAL                closing last must not delete the log
 *   NO_CKPT_ON_CLOSE           ... nor checkpoint it, which PERSIST_WAL alone still does
 *   busy timeout               for recovery by others; 0 while the write lock is wanted
 *
 * `BEGIN; PRAGMA user_version` starts a read transaction without parsing the schema. Settings that
 * need the schema (cache_size, synchronous, journal_mode) are left alone for the same reason.
 *
 * Results of SQLite become errors here: see error_of().
 */
#include "sidecar/engine/connection.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "lib/sqlite/wal_index.h"
#include "sidecar/engine/lock_vfs.h"

enum {
    SHM_LOCK_WRITER = 0, /* number of the write lock for xShmLock */
    SNAPSHOT_TRIES = 8,  /* a commit between our look and our lock: at once again, so often */
    CHECKPOINT_TRIES = 20,
    END_TRIES = 200, /* of a rollback without memory */
    END_PAUSE_US = 5000,
    /*
     * A commit that makes the log longer waits until the file system's journal is written, and on
     * ext4 that waits for data of new blocks of any file. What a checkpoint leaves to be flushed at
     * once is therefore what a commit may have to wait for. More than a usual checkpoint writes
     * (1000 pages of 4 KiB), and more than is copied under the write lock. With half of it a log of
     * 600 MB needs more than 5 s on a busy disk, for the flushes alone.
     */
    CHECKPOINT_SYNC_BYTES = 8 * 1024 * 1024,
};

struct connection {
    sqlite3 *db;
    sqlite3_file *file; /* of the database; borrowed from db */
    char *path;
    int busy_timeout_ms;
    bool has_read;
};

static enum error_code cantopen_code(int errnum)
{
    if (errnum == EMFILE || errnum == ENFILE) {
        return ERR_LIMIT;
    }
    return errnum == 0 ? ERR_ACCESS : error_code_of_errno(errnum);
}

static enum error_code io_code(int rc, int errnum)
{
    if (rc == SQLITE_IOERR_NOMEM) {
        return ERR_NO_MEMORY;
    }
    if (errnum == ENOSPC || errnum == EDQUOT) {
        return ERR_NO_SPACE;
    }
    return ERR_IO;
}

static enum error_code code_of(int rc, int errnum)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return ERR_BUSY;
    case SQLITE_NOMEM:
        return ERR_NO_MEMORY;
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_ACCESS;
    case SQLITE_CANTOPEN:
        return cantopen_code(errnum);
    default:
        return io_code(rc, errnum);
    }
}

/* Fills err from a result of SQLite. what: the operation. Returns -1. */
static int error_of(struct error *err, const struct connection *c, int rc, const char *what)
{
    int errnum = sqlite3_system_errno(c->db);
    return error_set(err, code_of(rc, errnum), rc, "%s: %s: %s (SQLite %d)", c->path, what,
                     sqlite3_errstr(rc), rc);
}

/* As error_of(), for the methods of a file: they do not set the connection's result. */
static int file_error(struct error *err, const struct connection *c, int rc, const char *what)
{
    return error_set(err, code_of(rc, errno), rc, "%s: %s: %s (SQLite %d)", c->path, what,
                     sqlite3_errstr(rc), rc);
}

static int settings_apply(struct connection *c, struct error *err)
{
    int on = 1;

    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, c->busy_timeout_ms);
    int rc = sqlite3_wal_autocheckpoint(c->db, 0);
    if (rc == SQLITE_OK) {
        rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&c->file);
    }
    if (rc == SQLITE_OK) {
        rc = sqlite3_drop_modules(c->db, NULL); /* full text and the like: 3 KiB, never needed */
    }
    return rc == SQLITE_OK ? 0 : error_of(err, c, rc, "settings");
}

static void connection_cleanup(struct connection **c)
{
    connection_close(*c);
}

int connection_open(const char *path, uint64_t busy_timeout_ns, struct connection **out,
                    struct error *err)
{
    CLEANUP(connection_cleanup) struct connection *c = mem_new(1, sizeof(*c), err);
    uint64_t busy_ms = busy_timeout_ns / NS_PER_MS;

    if (!c) {
        return -1;
    }
    c->busy_timeout_ms = busy_ms > INT_MAX ? INT_MAX : (int)busy_ms;
    /* A library built with SQLITE_USE_URI would take this prefix for a URI. */
    const char *prefix = strncmp(path, "file:", 5) == 0 ? "./" : "";
    c->path = str_printf(err, "%s%s", prefix, path);
    if (!c->path) {
        return -1;
    }
    int rc = sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                             LOCK_VFS_NAME);
    if (!c->db) {
        return error_set(err, ERR_NO_MEMORY, rc, "%s: open: out of memory", path);
    }
    if (rc != SQLITE_OK) {
        return error_of(err, c, rc, "open");
    }
    if (settings_apply(c, err) < 0) {
        return -1;
    }
    *out = TAKE(c);
    return 0;
}

void connection_close(struct connection *c)
{
    if (!c) {
        return;
    }
    connection_end(c);
    int rc = sqlite3_close(c->db);
    ASSERT(rc == SQLITE_OK); /* busy only with statements left open: our mistake */
    free(c->path);
    free(c);
}

bool connection_is_read_only(const struct connection *c)
{
    return sqlite3_db_readonly(c->db, "main") == 1;
}

const char *connection_log_path(const struct connection *c)
{
    return sqlite3_filename_wal(sqlite3_db_filename(c->db, "main"));
}

int connection_begin(struct connection *c, struct error *err)
{
    ASSERT(!connection_is_reading(c));
    int rc = sqlite3_exec(c->db, "BEGIN; PRAGMA user_version", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        error_of(err, c, rc, "begin reading");
        connection_end(c);
        return -1;
    }
    c->has_read = true;
    return 0;
}

int connection_begin_immediate(struct connection *c, bool *out_is_busy, struct error *err)
{
    int rc = SQLITE_OK;

    ASSERT(!connection_is_reading(c));
    sqlite3_busy_timeout(c->db, 0);
    for (unsigned i = 0; i < SNAPSHOT_TRIES; i++) {
        rc = sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
        /* The lock was free, but somebody had committed since we looked: not a reason to wait. */
        if (rc != SQLITE_BUSY_SNAPSHOT) {
            break;
        }
        connection_end(c);
    }
    sqlite3_busy_timeout(c->db, c->busy_timeout_ms);
    if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY) {
        error_of(err, c, rc, "take the write lock");
        connection_end(c);
        return -1;
    }
    *out_is_busy = rc != SQLITE_OK;
    if (rc == SQLITE_OK) {
        c->has_read = true;
    } else {
        connection_end(c);
    }
    return 0;
}

void connection_pause(const struct connection *c, unsigned us)
{
    sqlite3_vfs *vfs = NULL;

    if (sqlite3_file_control(c->db, "main", SQLITE_FCNTL_VFS_POINTER, (void *)&vfs) == SQLITE_OK)
        (void)vfs->xSleep(vfs, (int)us); /* answers how long it was */
}

void connection_end(struct connection *c)
{
    if (!c->db || sqlite3_get_autocommit(c->db)) {
        return;
    }
    /*
     * Rolling back what never wrote can fail only for want of memory for the statement. Locks that
     * are not let go would hold up the application: rather a restart than that.
     */
    int rc = sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    for (unsigned i = 0; i < END_TRIES && !sqlite3_get_autocommit(c->db); i++) {
        connection_pause(c, END_PAUSE_US);
        rc = sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    }
    ASSERT(rc == SQLITE_OK || sqlite3_get_autocommit(c->db));
}

bool connection_is_reading(const struct connection *c)
{
    return !sqlite3_get_autocommit(c->db);
}

int connection_slot(const struct connection *c)
{
    return lock_vfs_slot(c->file);
}

/*
 * A checkpoint answers SQLITE_BUSY also when it meets a writer that is just storing the wal-index
 * header: unlike a reader it does not try again by itself. A checkpoint of somebody else lasts.
 */
static int checkpoint_try(struct connection *c, int *out_log, int *out_backfilled,
                          struct error *err)
{
    int rc = SQLITE_BUSY;

    for (unsigned i = 0; i < CHECKPOINT_TRIES && (rc & 0xff) == SQLITE_BUSY; i++) {
        if (i > 0)
            (void)sched_yield(); /* cannot fail on Linux */
        rc = sqlite3_wal_checkpoint_v2(c->db, "main", SQLITE_CHECKPOINT_PASSIVE, out_log,
                                       out_backfilled);
    }
    return rc == SQLITE_OK ? 0 : error_of(err, c, rc, "checkpoint");
}

int connection_checkpoint(struct connection *c, uint32_t *out_log_frames, uint32_t *out_backfilled,
                          struct error *err)
{
    int log = -1;
    int backfilled = -1;

    ASSERT(!connection_is_reading(c));
    if (!c->has_read) {
        /* A connection that never read answers -1 and does nothing. */
        if (connection_begin(c, err) < 0) {
            return -1;
        }
        connection_end(c);
    }
    lock_vfs_sync_each(c->file, CHECKPOINT_SYNC_BYTES);
    if (checkpoint_try(c, &log, &backfilled, err) < 0) {
        return -1;
    }
    if (log < 0 || backfilled < 0) {
        return error_set(err, ERR_IO, 0, "%s: checkpoint: SQLite did nothing", c->path);
    }
    *out_log_frames = (uint32_t)log;
    *out_backfilled = (uint32_t)backfilled;
    return 0;
}

static int mode_is_wal(void *is_wal, int columns, char **values, char **names UNUSED)
{
    *(bool *)is_wal = columns == 1 && values[0] && sqlite3_stricmp(values[0], "wal") == 0;
    return 0;
}

int connection_enable_wal(struct connection *c, bool *out_is_wal, struct error *err)
{
    bool is_wal = false;
    int rc = sqlite3_exec(c->db, "PRAGMA journal_mode=WAL", mode_is_wal, &is_wal, NULL);
    if (rc != SQLITE_OK) {
        return error_of(err, c, rc, "switch on WAL mode");
    }
    *out_is_wal = is_wal;
    return 0;
}

int connection_db_read(const struct connection *c, int64_t offset, void *p, size_t n,
                       struct error *err)
{
    ASSERT(n <= INT_MAX);
    int rc = c->file->pMethods->xRead(c->file, p, (int)n, offset);
    /* SQLite fills what lies beyond the end of the file with zeros. */
    if (rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ) {
        return 0;
    }
    return file_error(err, c, rc, "read");
}

int connection_db_size(const struct connection *c, uint64_t *out_bytes, struct error *err)
{
    sqlite3_int64 size = 0;
    int rc = c->file->pMethods->xFileSize(c->file, &size);
    if (rc != SQLITE_OK) {
        return file_error(err, c, rc, "size");
    }
    *out_bytes = (uint64_t)size;
    return 0;
}

int connection_db_sync(const struct connection *c, struct error *err)
{
    int rc = c->file->pMethods->xSync(c->file, SQLITE_SYNC_NORMAL);
    return rc == SQLITE_OK ? 0 : file_error(err, c, rc, "fsync");
}

bool connection_has_moved(const struct connection *c)
{
    int has_moved = 0;
    int rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
    return rc == SQLITE_OK && has_moved;
}

/* The log's own handle; SQLite opens it with the first transaction: NULL before. */
static sqlite3_file *log_file(const struct connection *c, struct error *err)
{
    sqlite3_file *log = NULL;
    int rc = sqlite3_file_control(c->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&log);
    if (rc == SQLITE_OK && log && log->pMethods) {
        return log;
    }
    error_set(err, ERR_WRONG_STATE, rc, "%s: the log is not open", c->path);
    return NULL;
}

int connection_log_read(const struct connection *c, int64_t offset, void *p, size_t n,
                        struct error *err)
{
    sqlite3_file *log = log_file(c, err);

    ASSERT(n <= INT_MAX);
    if (!log) {
        return -1;
    }
    int rc = log->pMethods->xRead(log, p, (int)n, offset);
    if (rc == SQLITE_IOERR_SHORT_READ) {
        return error_set(err, ERR_CORRUPT, rc, "%s: the log ends before offset %lld",
                         connection_log_path(c), (long long)offset + (long long)n);
    }
    return rc == SQLITE_OK ? 0 : file_error(err, c, rc, "read the log");
}

int connection_log_size(const struct connection *c, uint64_t *out_bytes, struct error *err)
{
    sqlite3_file *log = log_file(c, err);
    sqlite3_int64 size = 0;

    if (!log) {
        return -1;
    }
    int rc = log->pMethods->xFileSize(log, &size);
    if (rc != SQLITE_OK) {
        return file_error(err, c, rc, "size of the log");
    }
    *out_bytes = (uint64_t)size;
    return 0;
}

int connection_log_truncate(const struct connection *c, uint64_t bytes, struct error *err)
{
    sqlite3_file *log = log_file(c, err);

    ASSERT(lock_vfs_holds_writer(c->file));
    if (!log) {
        return -1;
    }
    int rc = log->pMethods->xTruncate(log, (sqlite3_int64)bytes);
    return rc == SQLITE_OK ? 0 : file_error(err, c, rc, "cut the log");
}

int connection_index_block(const struct connection *c, size_t block_idx, const void **out,
                           struct error *err)
{
    void volatile *block = NULL;

    ASSERT(block_idx <= INT_MAX);
    int rc = c->file->pMethods->xShmMap(c->file, (int)block_idx, WAL_INDEX_BLOCK_BYTES, 0, &block);
    if (rc != SQLITE_OK) {
        return file_error(err, c, rc, "map the wal-index");
    }
    *out = (const void *)block; /* every load from it is atomic */
    return 0;
}

bool connection_writer_is_gone(const struct connection *c)
{
    const sqlite3_io_methods *m = c->file->pMethods;

    if (m->xShmLock(c->file, SHM_LOCK_WRITER, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE) !=
        SQLITE_OK) {
        return false;
    }
    int rc = m->xShmLock(c->file, SHM_LOCK_WRITER, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    ASSERT(rc == SQLITE_OK);
    return true;
}
