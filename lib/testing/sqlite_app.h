/*
 * The application of a test: a WAL database with numbered rows that check themselves, and the
 * comparison of two databases page by page.
 *
 * A row's content follows from its number (and the app's seed), so that any copy of the database
 * can tell whether it is a state that the application really had: rows 1..n, each exactly once,
 * each with the right bytes.
 *
 * Functions fail the test (cmocka) with SQLite's text on any error.
 */
#ifndef WALFERRY_LIB_TESTING_SQLITE_APP_H
#define WALFERRY_LIB_TESTING_SQLITE_APP_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

struct sqlite_app {
    sqlite3 *db;
    char path[512];
    uint64_t seed;
    uint64_t row_count; /* rows committed so far: 1..row_count */
};

struct sqlite_app_config {
    uint32_t page_size;      /* 0: 4096 */
    bool has_full_sync;      /* synchronous=FULL instead of NORMAL */
    bool has_autocheckpoint; /* SQLite's default of 1000 pages; false: never */
    uint64_t seed;
};

/*
 * Opens (or creates) the database in WAL mode with the table `app_row`, and counts its rows.
 * config may be NULL: all defaults.
 */
void sqlite_app_open(struct sqlite_app *app, const char *path,
                     const struct sqlite_app_config *config);

/* Closes; a last connection checkpoints as SQLite does. Accepts a zeroed one. */
void sqlite_app_close(struct sqlite_app *app);

/* Runs SQL that answers no rows. */
void sqlite_app_exec(struct sqlite_app *app, const char *sql);

/* The integer that a query answers in its first column. */
int64_t sqlite_app_int(struct sqlite_app *app, const char *sql);

/* Commits count further rows in one transaction, each with a body of body_bytes (0: 100). */
void sqlite_app_insert(struct sqlite_app *app, uint64_t count, uint32_t body_bytes);

/* As sqlite_app_insert(), a transaction a row. */
void sqlite_app_insert_each(struct sqlite_app *app, uint64_t count, uint32_t body_bytes);

/* Checkpoints: mode is SQLITE_CHECKPOINT_PASSIVE ... TRUNCATE. */
void sqlite_app_checkpoint(struct sqlite_app *app, int mode);

/*
 * Opens the database at path read-only and asserts: integrity_check is ok, rows are exactly
 * 1..n, each with the content of this seed. Answers n. The folder must be writable if it has a WAL.
 */
uint64_t sqlite_app_verify(const char *path, uint64_t seed);

/*
 * Writes the committed content of the database at path as a single file: copies it and its -wal,
 * opens the copy, checkpoints (TRUNCATE), closes. Nobody may write meanwhile. The copy is made by a
 * child process, since closing a descriptor of the database here would drop SQLite's locks.
 */
void sqlite_app_snapshot_file(const char *path, const char *out_path);

/* Which bytes of page 1 may differ between two copies of the same state. */
enum sqlite_app_compare {
    SQLITE_APP_EXACT,
    /* Not compared: 18..19 (WAL or rollback journal), 24..27 (change counter), 92..99 (version
     * valid for, SQLite's version): what a checkpoint or another mode of the journal changes. */
    SQLITE_APP_IGNORE_COUNTERS,
};

/* Fails the test unless two database files are equal, naming the first page and byte that is not.
 */
void sqlite_app_assert_same(const char *path_a, const char *path_b, enum sqlite_app_compare how);

/* sqlite_app_snapshot_file() of both (in scratch_folder), then sqlite_app_assert_same(). */
void sqlite_app_assert_same_content(const char *path_a, const char *path_b,
                                    const char *scratch_folder, enum sqlite_app_compare how);

#endif
