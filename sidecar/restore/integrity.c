/*
 * The integrity check: one PRAGMA on an immutable connection.
 *
 * The path becomes a URI ("file:/data/app.db.tmp?immutable=1"), in which %, ? and # are escaped.
 * immutable is what makes a database in WAL mode readable without its -shm.
 */
#include "sidecar/restore/integrity.h"

#include <sqlite3.h>
#include <string.h>

enum {
    URI_BYTES_MAX = 3 * 4096 + 64,
    PROGRESS_OPS = 10000, /* virtual machine instructions between looks at is_canceled */
};

static void connection_close(sqlite3 **db)
{
    (void)sqlite3_close(*db); /* read-only: nothing can be lost */
}

static void statement_close(sqlite3_stmt **stmt)
{
    (void)sqlite3_finalize(*stmt); /* repeats the error that step has told */
}

static int uri_of(const char *path, struct buf *out, struct error *err)
{
    if (buf_append_str(out, "file:", err) < 0)
        return -1;
    for (const char *p = path; *p; p++) {
        bool is_special = strchr("%?#", *p) != NULL;
        if (is_special ? buf_printf(out, err, "%%%02X", (unsigned char)*p) < 0
                       : buf_append_byte(out, (uint8_t)*p, err) < 0)
            return -1;
    }
    return buf_append_str(out, "?immutable=1", err);
}

static int on_progress(void *arg)
{
    const atomic_bool *is_canceled = arg;
    return atomic_load(is_canceled);
}

/* The error of a SQLite call. */
static int sqlite_error(sqlite3 *db, int rc, struct error *err)
{
    enum error_code code = ERR_CORRUPT;

    if (rc == SQLITE_INTERRUPT)
        return error_set(err, ERR_CANCELED, 0, "canceled");
    if ((rc & 0xff) == SQLITE_NOMEM)
        code = ERR_NO_MEMORY;
    else if ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN)
        code = ERR_IO;
    return error_set(err, code, rc, "%s", db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

static int check_run(sqlite3 *db, const char *sql, struct error *err)
{
    CLEANUP(statement_close) sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW)
        return sqlite_error(db, rc, err);
    const char *text = (const char *)sqlite3_column_text(stmt, 0);
    if (!text)
        return sqlite_error(db, SQLITE_NOMEM, err);
    if (strcmp(text, "ok") != 0)
        return error_set(err, ERR_CORRUPT, 0, "%s", text);
    return 0;
}

int integrity_check(const char *path, enum restore_integrity integrity,
                    const atomic_bool *is_canceled, struct error *err)
{
    const char *sql =
        integrity == RESTORE_INTEGRITY_FULL ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)";
    CLEANUP(buf_destroy) struct buf uri = BUF_INIT(URI_BYTES_MAX);
    CLEANUP(connection_close) sqlite3 *db = NULL;

    if (integrity == RESTORE_INTEGRITY_NONE)
        return 0;
    if (uri_of(path, &uri, err) < 0)
        return -1;
    int rc = sqlite3_open_v2(buf_str(&uri), &db,
                             SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        (void)sqlite_error(db, rc, err);
        return error_wrap(err, "%s check of the restored file", restore_integrity_name(integrity));
    }
    if (is_canceled)
        sqlite3_progress_handler(db, PROGRESS_OPS, on_progress, (void *)(uintptr_t)is_canceled);
    if (check_run(db, sql, err) < 0)
        return error_wrap(err, "%s check of the restored file", restore_integrity_name(integrity));
    return 0;
}
