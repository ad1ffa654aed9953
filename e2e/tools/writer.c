/*
 * A real application for the tests: one SQLite database in WAL mode, driven over standard input.
 *
 *   writer DB_PATH [PRAGMA...]       for instance  writer app.db page_size=512 synchronous=normal
 *
 * Each line is a command; its answer is one line, "ok ..." or "error ...", printed when SQLite has
 * answered, so that a caller who has read "ok 12" knows that row 12 is committed (synchronous is
 * FULL unless a pragma says otherwise, autocheckpoint is off).
 *
 *   insert N [BYTES]      N rows, a transaction each            ok LAST_ID
 *   batch N [BYTES]       N rows in one transaction             ok LAST_ID
 *   update LO HI          gives these rows another body         ok ROWS
 *   delete LO HI                                                ok ROWS
 *   checkpoint MODE       passive, full, restart or truncate    ok BUSY FRAMES BACKFILLED
 *   vacuum                                                      ok
 *   hold-reader           a second connection begins to read    ok
 *   drop-reader           ... and ends                          ok
 *   fail-syncs N          the next N fsyncs fail with EIO       ok FAILED_SO_FAR
 *   rows                                                        ok ROWS LAST_ID
 *   sql TEXT              anything that answers no rows         ok
 *
 * End of input closes the database and ends with status 0.
 *
 * A failing fsync is made by defining fsync() and fdatasync() here: libsqlite3 finds the program's
 * own before libc's. What SQLite does then is its own affair, and what the test looks at.
 *
 * Rows: app_row(id, tag, body). tag and body follow from id and from how often it was updated, so
 * two runs with the same commands make the same bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/base.h"

enum {
    LINE_BYTES_MAX = 64 * 1024,
    BODY_BYTES_MAX = 16 << 20,
    BODY_BYTES_DEFAULT = 100,
    BUSY_TIMEOUT_MS = 5000,
};

struct writer {
    const char *path;
    sqlite3 *db;
    sqlite3 *reader; /* NULL: none is held */
    sqlite3_stmt *insert;
    uint8_t *body; /* BODY_BYTES_MAX */
};

/* ---- fsync that fails on demand ---- */

static unsigned syncs_to_fail;
static unsigned syncs_failed;

static int sync_or_fail(long call, int fd)
{
    if (syncs_to_fail > 0) {
        syncs_to_fail--;
        syncs_failed++;
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int fsync(int fd)
{
    return sync_or_fail(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_or_fail(SYS_fdatasync, fd);
}

/* ---- answers ---- */

PRINTF_LIKE(1, 2) static void answer(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vprintf(fmt, ap); /* a caller that went away ends us by SIGPIPE */
    va_end(ap);
    (void)putchar('\n');
    (void)fflush(stdout); /* as above */
}

static void answer_failure(sqlite3 *db)
{
    answer("error %d %s", sqlite3_extended_errcode(db), sqlite3_errmsg(db));
}

static bool run_sql(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static void do_sql(struct writer *w, const char *sql)
{
    if (run_sql(w->db, sql))
        answer("ok");
    else
        answer_failure(w->db);
}

/* ---- rows ---- */

static void body_fill(uint8_t *body, size_t n, uint64_t id)
{
    uint64_t x = id * UINT64_C(0x9E3779B97F4A7C15) + 1;

    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        body[i] = (uint8_t)(x >> 32);
    }
}

static bool row_insert(struct writer *w, int64_t id, size_t body_bytes)
{
    body_fill(w->body, body_bytes, (uint64_t)id);
    bool is_done =
        sqlite3_bind_int64(w->insert, 1, id) == SQLITE_OK &&
        sqlite3_bind_int64(w->insert, 2, id * 7919 % 10007) == SQLITE_OK &&
        sqlite3_bind_blob64(w->insert, 3, w->body, body_bytes, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(w->insert) == SQLITE_DONE;
    return (sqlite3_reset(w->insert) == SQLITE_OK) && is_done;
}

static bool rows_look(sqlite3 *db, int64_t *out_count, int64_t *out_last)
{
    sqlite3_stmt *q = NULL;
    bool is_done = sqlite3_prepare_v2(db, "SELECT count(*), ifnull(max(id), 0) FROM app_row", -1,
                                      &q, NULL) == SQLITE_OK &&
                   sqlite3_step(q) == SQLITE_ROW;

    if (is_done) {
        *out_count = sqlite3_column_int64(q, 0);
        *out_last = sqlite3_column_int64(q, 1);
    }
    return (sqlite3_finalize(q) == SQLITE_OK) && is_done;
}

/* "N [BYTES]" */
static bool amount_parse(const char *args, unsigned *out_rows, size_t *out_bytes)
{
    char *end = NULL;
    unsigned long rows = strtoul(args, &end, 10);
    unsigned long bytes = *end ? strtoul(end, &end, 10) : BODY_BYTES_DEFAULT;

    if (rows == 0 || rows > UINT32_MAX || bytes > BODY_BYTES_MAX || *end)
        return false;
    *out_rows = (unsigned)rows;
    *out_bytes = bytes;
    return true;
}

static void insert_rows(struct writer *w, const char *args, bool is_one_transaction)
{
    unsigned rows;
    size_t bytes;
    int64_t count = 0;
    int64_t last = 0;

    if (!amount_parse(args, &rows, &bytes)) {
        answer("error 0 expected N [BYTES]");
        return;
    }
    bool is_done = (!is_one_transaction || run_sql(w->db, "BEGIN IMMEDIATE")) &&
                   rows_look(w->db, &count, &last);
    for (unsigned i = 0; is_done && i < rows; i++) {
        is_done = row_insert(w, last + 1, bytes);
        last += is_done;
    }
    if (is_done && is_one_transaction)
        is_done = run_sql(w->db, "COMMIT");
    if (is_done) {
        answer("ok %" PRId64, last);
        return;
    }
    answer_failure(w->db);
    if (is_one_transaction && !sqlite3_get_autocommit(w->db))
        IGNORE(run_sql(w->db, "ROLLBACK")); /* the failure was answered */
}

static void do_insert(struct writer *w, const char *args)
{
    insert_rows(w, args, false);
}

static void do_batch(struct writer *w, const char *args)
{
    insert_rows(w, args, true);
}

/* Runs a statement with the two numbers of "LO HI" as ?1 and ?2. */
static void change_rows(struct writer *w, const char *args, const char *sql)
{
    sqlite3_stmt *q = NULL;
    char *end = NULL;
    long long low = strtoll(args, &end, 10);
    long long high = strtoll(end, &end, 10);
    bool is_done = sqlite3_prepare_v2(w->db, sql, -1, &q, NULL) == SQLITE_OK &&
                   sqlite3_bind_int64(q, 1, low) == SQLITE_OK &&
                   sqlite3_bind_int64(q, 2, high) == SQLITE_OK && sqlite3_step(q) == SQLITE_DONE;

    if (sqlite3_finalize(q) == SQLITE_OK && is_done)
        answer("ok %d", sqlite3_changes(w->db));
    else
        answer_failure(w->db);
}

static void do_update(struct writer *w, const char *args)
{
    change_rows(w, args,
                "UPDATE app_row SET tag = tag + 1, body = substr(body, 2) || substr(body, 1, 1) "
                "WHERE id BETWEEN ?1 AND ?2");
}

static void do_delete(struct writer *w, const char *args)
{
    change_rows(w, args, "DELETE FROM app_row WHERE id BETWEEN ?1 AND ?2");
}

static void do_rows(struct writer *w, const char *args UNUSED)
{
    int64_t count;
    int64_t last;

    if (rows_look(w->db, &count, &last))
        answer("ok %" PRId64 " %" PRId64, count, last);
    else
        answer_failure(w->db);
}

/* ---- the log ---- */

static void do_checkpoint(struct writer *w, const char *args)
{
    static const struct {
        const char *name;
        int mode;
    } modes[] = {
        {"passive", SQLITE_CHECKPOINT_PASSIVE},
        {"full", SQLITE_CHECKPOINT_FULL},
        {"restart", SQLITE_CHECKPOINT_RESTART},
        {"truncate", SQLITE_CHECKPOINT_TRUNCATE},
    };
    int frames = 0;
    int backfilled = 0;

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (strcmp(args, modes[i].name) != 0)
            continue;
        int rc = sqlite3_wal_checkpoint_v2(w->db, NULL, modes[i].mode, &frames, &backfilled);
        if (rc == SQLITE_OK || rc == SQLITE_BUSY)
            answer("ok %d %d %d", rc == SQLITE_BUSY, frames, backfilled);
        else
            answer_failure(w->db);
        return;
    }
    answer("error 0 no such mode of a checkpoint: %s", args);
}

static void do_vacuum(struct writer *w, const char *args UNUSED)
{
    do_sql(w, "VACUUM");
}

static void do_hold_reader(struct writer *w, const char *args UNUSED)
{
    if (w->reader) {
        answer("error 0 a reader is held already");
        return;
    }
    if (sqlite3_open_v2(w->path, &w->reader, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        run_sql(w->reader, "BEGIN") && run_sql(w->reader, "SELECT count(*) FROM app_row"))
        answer("ok");
    else
        answer_failure(w->reader);
}

static void do_drop_reader(struct writer *w, const char *args UNUSED)
{
    if (sqlite3_close(TAKE(w->reader)) == SQLITE_OK)
        answer("ok");
    else
        answer("error 0 the reader cannot be closed");
}

static void do_fail_syncs(struct writer *w UNUSED, const char *args)
{
    syncs_to_fail = (unsigned)strtoul(args, NULL, 10);
    answer("ok %u", syncs_failed);
}

/* ---- main ---- */

static const struct {
    const char *name;
    void (*run)(struct writer *w, const char *args);
} writer_commands[] = {
    {"insert", do_insert},
    {"batch", do_batch},
    {"update", do_update},
    {"delete", do_delete},
    {"checkpoint", do_checkpoint},
    {"vacuum", do_vacuum},
    {"hold-reader", do_hold_reader},
    {"drop-reader", do_drop_reader},
    {"fail-syncs", do_fail_syncs},
    {"rows", do_rows},
    {"sql", do_sql},
};

static void line_run(struct writer *w, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    size_t n = strcspn(line, " ");
    const char *args = line[n] ? line + n + 1 : "";

    line[n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(writer_commands); i++) {
        if (strcmp(line, writer_commands[i].name) == 0) {
            writer_commands[i].run(w, args);
            return;
        }
    }
    answer("error 0 no such command: %s", line);
}

static bool writer_open(struct writer *w, int pragma_count, char **pragmas)
{
    static const char setup[] =
        "CREATE TABLE IF NOT EXISTS app_row(id INTEGER PRIMARY KEY, tag INTEGER NOT NULL,"
        " body BLOB NOT NULL);"
        "CREATE INDEX IF NOT EXISTS app_row_tag ON app_row(tag);";
    char sql[512];

    if (sqlite3_open(w->path, &w->db) != SQLITE_OK ||
        sqlite3_busy_timeout(w->db, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        !run_sql(w->db, "PRAGMA synchronous=full; PRAGMA wal_autocheckpoint=0"))
        return false;
    for (int i = 0; i < pragma_count; i++) {
        int n = snprintf(sql, sizeof(sql), "PRAGMA %s", pragmas[i]);
        if (n >= (int)sizeof(sql) || !run_sql(w->db, sql))
            return false;
    }
    return run_sql(w->db, "PRAGMA journal_mode=wal") && run_sql(w->db, setup) &&
           sqlite3_prepare_v2(w->db, "INSERT INTO app_row VALUES(?1, ?2, ?3)", -1, &w->insert,
                              NULL) == SQLITE_OK;
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES_MAX];
    struct writer w = {.path = argc > 1 ? argv[1] : NULL};

    if (argc < 2) {
        (void)fprintf(stderr, "usage: writer DB_PATH [PRAGMA...]\n"); /* status 2 says it too */
        return 2;
    }
    w.body = malloc(BODY_BYTES_MAX);
    if (!w.body || !writer_open(&w, argc - 2, argv + 2)) {
        (void)fprintf(stderr, "writer: %s: %s\n", w.path,
                      w.body ? sqlite3_errmsg(w.db) : "out of memory"); /* as above */
        return 1;
    }
    answer("ok open");
    while (fgets(line, sizeof(line), stdin))
        line_run(&w, line);
    (void)sqlite3_finalize(w.insert); /* its last result was answered */
    bool is_closed = sqlite3_close(w.reader) == SQLITE_OK && sqlite3_close(w.db) == SQLITE_OK;
    free(w.body);
    return is_closed ? 0 : 1;
}
