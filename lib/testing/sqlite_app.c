/*
 * The application of a test.
 *
 *   table app_row   n INTEGER PRIMARY KEY (1, 2, 3, ...), body BLOB, check_sum INTEGER
 *   body            bytes of a generator (splitmix64) that starts from seed and n
 *   check_sum       FNV-1a of body, so that a body of another size still checks itself
 *
 * A copy of the database is sound if rows are exactly 1..count, every body is what the generator
 * makes for its length, and SQLite's own integrity_check agrees.
 */
#include "lib/testing/sqlite_app.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    PAGE_SIZE_DEFAULT = 4096,
    BODY_BYTES_DEFAULT = 100,
    BODY_BYTES_MAX = 16 << 20,
    COPY_CHUNK_BYTES = 256 * 1024,
    BUSY_TIMEOUT_MS = 10000,
    HEADER_BYTES = 100,
};

/* ---- SQLite, failing the test with its text ---- */

static void sqlite_ok(sqlite3 *db, int rc, const char *what)
{
    if (rc == SQLITE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE)
        return;
    print_error("# %s: %s (%d)\n", what, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc);
    fail();
}

static sqlite3 *db_open(const char *path, int flags)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL);

    sqlite_ok(db, rc, path);
    sqlite_ok(db, sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS), "busy_timeout");
    return db;
}

static void db_exec(sqlite3 *db, const char *sql)
{
    sqlite_ok(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;

    sqlite_ok(db, sqlite3_prepare_v2(db, sql, -1, &statement, NULL), sql);
    return statement;
}

/* The integer of the first column, 0 without a row. */
static int64_t db_int(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = db_prepare(db, sql);
    int rc = sqlite3_step(statement);

    sqlite_ok(db, rc, sql);
    int64_t value = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite_ok(db, sqlite3_finalize(statement), sql);
    return value;
}

/* ---- rows that check themselves ---- */

static void body_make(uint64_t seed, uint64_t n, uint8_t *p, size_t bytes)
{
    uint64_t state = seed ^ n * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t at = 0; at < bytes; at += sizeof(state)) {
        uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        memcpy(p + at, &z, bytes - at < sizeof(z) ? bytes - at : sizeof(z));
    }
}

static int64_t body_check_sum(const uint8_t *p, size_t bytes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return (int64_t)hash;
}

void sqlite_app_open(struct sqlite_app *app, const char *path,
                     const struct sqlite_app_config *config)
{
    static const struct sqlite_app_config defaults = {.page_size = 0};
    const struct sqlite_app_config *c = config ? config : &defaults;
    char sql[256];

    *app = (struct sqlite_app){.seed = c->seed};
    assert_true(snprintf(app->path, sizeof(app->path), "%s", path) < (int)sizeof(app->path));
    app->db = db_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA page_size=%u; PRAGMA journal_mode=wal; PRAGMA synchronous=%s;"
                   "PRAGMA wal_autocheckpoint=%d",
                   c->page_size ? c->page_size : PAGE_SIZE_DEFAULT,
                   c->has_full_sync ? "FULL" : "NORMAL", c->has_autocheckpoint ? 1000 : 0);
    db_exec(app->db, sql);
    db_exec(app->db, "CREATE TABLE IF NOT EXISTS app_row (n INTEGER PRIMARY KEY, body BLOB NOT "
                     "NULL, check_sum INTEGER NOT NULL)");
    app->row_count = (uint64_t)db_int(app->db, "SELECT count(*) FROM app_row");
}

void sqlite_app_close(struct sqlite_app *app)
{
    if (app->db)
        sqlite_ok(app->db, sqlite3_close(app->db), "close");
    app->db = NULL;
}

void sqlite_app_exec(struct sqlite_app *app, const char *sql)
{
    db_exec(app->db, sql);
}

int64_t sqlite_app_int(struct sqlite_app *app, const char *sql)
{
    return db_int(app->db, sql);
}

void sqlite_app_insert(struct sqlite_app *app, uint64_t count, uint32_t body_bytes)
{
    size_t bytes = body_bytes ? body_bytes : BODY_BYTES_DEFAULT;
    CLEANUP(mem_free) uint8_t *body = malloc(bytes);

    assert_non_null(body);
    assert_true(bytes <= BODY_BYTES_MAX);
    db_exec(app->db, "BEGIN IMMEDIATE");
    sqlite3_stmt *insert = db_prepare(app->db, "INSERT INTO app_row VALUES (?, ?, ?)");
    for (uint64_t n = app->row_count + 1; n <= app->row_count + count; n++) {
        body_make(app->seed, n, body, bytes);
        sqlite_ok(app->db, sqlite3_bind_int64(insert, 1, (int64_t)n), "bind");
        sqlite_ok(app->db, sqlite3_bind_blob(insert, 2, body, (int)bytes, SQLITE_STATIC), "bind");
        sqlite_ok(app->db, sqlite3_bind_int64(insert, 3, body_check_sum(body, bytes)), "bind");
        sqlite_ok(app->db, sqlite3_step(insert), "insert");
        sqlite_ok(app->db, sqlite3_reset(insert), "insert");
    }
    sqlite_ok(app->db, sqlite3_finalize(insert), "insert");
    db_exec(app->db, "COMMIT");
    app->row_count += count;
}

void sqlite_app_insert_each(struct sqlite_app *app, uint64_t count, uint32_t body_bytes)
{
    for (uint64_t i = 0; i < count; i++)
        sqlite_app_insert(app, 1, body_bytes);
}

void sqlite_app_checkpoint(struct sqlite_app *app, int mode)
{
    sqlite_ok(app->db, sqlite3_wal_checkpoint_v2(app->db, NULL, mode, NULL, NULL), "checkpoint");
}

/* ---- verifying a copy ---- */

static void integrity_assert(sqlite3 *db, const char *path)
{
    sqlite3_stmt *check = db_prepare(db, "PRAGMA integrity_check(10)");

    sqlite_ok(db, sqlite3_step(check), "integrity_check");
    const char *answer = (const char *)sqlite3_column_text(check, 0);
    if (!answer || strcmp(answer, "ok") != 0) {
        print_error("# %s: integrity_check: %s\n", path, answer ? answer : "no answer");
        fail();
    }
    sqlite_ok(db, sqlite3_finalize(check), "integrity_check");
}

/* One row against the generator; false if it is not what the application wrote. */
static bool row_is_right(sqlite3_stmt *row, uint64_t n, uint64_t seed)
{
    size_t bytes = (size_t)sqlite3_column_bytes(row, 1);
    const uint8_t *body = sqlite3_column_blob(row, 1);
    CLEANUP(mem_free) uint8_t *wanted = malloc(bytes + 1);

    assert_non_null(wanted);
    body_make(seed, n, wanted, bytes);
    return (uint64_t)sqlite3_column_int64(row, 0) == n && bytes > 0 &&
           memcmp(body, wanted, bytes) == 0 &&
           sqlite3_column_int64(row, 2) == body_check_sum(wanted, bytes);
}

uint64_t sqlite_app_verify(const char *path, uint64_t seed)
{
    uint64_t n = 0;
    sqlite3 *db = db_open(path, SQLITE_OPEN_READONLY);
    sqlite3_stmt *rows = NULL;
    int rc = SQLITE_DONE;

    integrity_assert(db, path);
    if (db_int(db, "SELECT count(*) FROM sqlite_schema WHERE name='app_row'") > 0) {
        rows = db_prepare(db, "SELECT n, body, check_sum FROM app_row ORDER BY n");
        while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
            if (!row_is_right(rows, ++n, seed)) {
                print_error("# %s: row %llu is not what the application wrote\n", path,
                            (unsigned long long)n);
                fail();
            }
        }
    }
    sqlite_ok(db, rc, path);
    sqlite_ok(db, sqlite3_finalize(rows), path);
    sqlite_ok(db, sqlite3_close(db), path);
    return n;
}

/* ---- snapshots and their comparison ---- */

/* Runs in a child: plain calls only. 0 when copied, also when there is nothing to copy. */
static int file_copy(const char *from, const char *to)
{
    static uint8_t chunk[COPY_CHUNK_BYTES];
    ssize_t got = -1;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = -1;

    if (in < 0)
        return 0;
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    while (out >= 0 && (got = read(in, chunk, sizeof(chunk))) > 0) {
        if (write(out, chunk, (size_t)got) != got)
            return -1;
    }
    return out >= 0 && got == 0 && close(out) == 0 && close(in) == 0 ? 0 : -1;
}

void sqlite_app_snapshot_file(const char *path, const char *out_path)
{
    char wal[600];
    char out_wal[600];
    char out_shm[600];
    int status;

    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    (void)snprintf(out_wal, sizeof(out_wal), "%s-wal", out_path);
    (void)snprintf(out_shm, sizeof(out_shm), "%s-shm", out_path);
    (void)unlink(out_wal); /* of an earlier snapshot; usually there is none */
    (void)unlink(out_shm);
    assert_int_equal(access(path, R_OK), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(file_copy(path, out_path) == 0 && file_copy(wal, out_wal) == 0 ? 0 : 1);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sqlite3 *db = db_open(out_path, SQLITE_OPEN_READWRITE);
    /* A copy of a database that is not in WAL mode answers the same and does nothing. */
    db_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite_ok(db, sqlite3_close(db), out_path);
}

/* Bytes of page 1 that a checkpoint or the journal's mode changes. */
static void header_blank(uint8_t *p, size_t n)
{
    static const struct {
        size_t at, bytes;
    } fields[] = {{18, 2}, {24, 4}, {92, 8}};

    for (size_t i = 0; i < ARRAY_LEN(fields) && n >= HEADER_BYTES; i++)
        memset(p + fields[i].at, 0, fields[i].bytes);
}

static size_t page_bytes(const uint8_t *p, size_t n)
{
    size_t bytes = n >= HEADER_BYTES ? be16_load(p + 16) : 0;

    if (bytes == 1)
        bytes = 65536; /* SQLite file format, section 1.3.2 */
    return bytes ? bytes : PAGE_SIZE_DEFAULT;
}

void sqlite_app_assert_same(const char *path_a, const char *path_b, enum sqlite_app_compare how)
{
    size_t a_n;
    size_t b_n;
    CLEANUP(mem_free) uint8_t *a = test_file_read(path_a, &a_n);
    CLEANUP(mem_free) uint8_t *b = test_file_read(path_b, &b_n);
    size_t n = a_n < b_n ? a_n : b_n;
    size_t at = 0;

    if (how == SQLITE_APP_IGNORE_COUNTERS) {
        header_blank(a, a_n);
        header_blank(b, b_n);
    }
    while (at < n && a[at] == b[at])
        at++;
    if (at == n && a_n == b_n)
        return;
    print_error("# %s (%zu bytes) and %s (%zu bytes) differ first at byte %zu: page %zu, byte %zu "
                "of it\n",
                path_a, a_n, path_b, b_n, at, at / page_bytes(a, a_n) + 1, at % page_bytes(a, a_n));
    fail();
}

void sqlite_app_assert_same_content(const char *path_a, const char *path_b,
                                    const char *scratch_folder, enum sqlite_app_compare how)
{
    char copy_a[600];
    char copy_b[600];

    (void)snprintf(copy_a, sizeof(copy_a), "%s/same-a.db", scratch_folder);
    (void)snprintf(copy_b, sizeof(copy_b), "%s/same-b.db", scratch_folder);
    sqlite_app_snapshot_file(path_a, copy_a);
    sqlite_app_snapshot_file(path_b, copy_b);
    sqlite_app_assert_same(copy_a, copy_b, how);
    assert_int_equal(unlink(copy_a), 0);
    assert_int_equal(unlink(copy_b), 0);
}
