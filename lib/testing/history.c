/*
 * Transaction n: by its hash it inserts small rows, grows the database by large ones, updates a
 * stripe, deletes a stripe, or rewrites the counters; always it records itself, with a checksum of
 * what it should be.
 */
#include "lib/testing/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t history_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static bool run(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    int rc = sqlite3_exec(db, sql, NULL, NULL, &message);

    if (rc != SQLITE_OK && rc != SQLITE_BUSY && rc != SQLITE_LOCKED)
        (void)fprintf(stderr, "history: %s: %s\n", sql, message ? message : "?");
    sqlite3_free(message);
    return rc == SQLITE_OK;
}

bool history_begin(sqlite3 *db)
{
    return run(db, "PRAGMA auto_vacuum=incremental; PRAGMA journal_mode=WAL;") &&
           run(db, "BEGIN IMMEDIATE;"
                   "CREATE TABLE IF NOT EXISTS step(n INTEGER PRIMARY KEY, mark INTEGER);"
                   "CREATE TABLE IF NOT EXISTS item(id INTEGER PRIMARY KEY, owner INTEGER, "
                   "body BLOB);"
                   "CREATE INDEX IF NOT EXISTS item_owner ON item(owner);"
                   "CREATE TABLE IF NOT EXISTS counter(id INTEGER PRIMARY KEY, v INTEGER);"
                   "COMMIT;");
}

/* A body of the given size that only its row can have. */
static bool item_put(sqlite3 *db, uint64_t id, uint64_t owner, int bytes)
{
    sqlite3_stmt *s = NULL;
    uint64_t *body = malloc((size_t)bytes + sizeof(uint64_t));
    bool is_done = false;

    if (body && sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO item VALUES(?,?,?)", -1, &s, NULL) ==
                    SQLITE_OK) {
        for (int i = 0; i <= bytes / 8; i++)
            body[i] = history_mix(id * 1000003 + owner + (uint64_t)i);
        is_done = sqlite3_bind_int64(s, 1, (sqlite3_int64)id) == SQLITE_OK &&
                  sqlite3_bind_int64(s, 2, (sqlite3_int64)owner) == SQLITE_OK &&
                  sqlite3_bind_blob(s, 3, body, bytes, SQLITE_STATIC) == SQLITE_OK &&
                  sqlite3_step(s) == SQLITE_DONE;
    }
    (void)sqlite3_finalize(s); /* repeats the result of the step */
    free(body);
    return is_done;
}

static bool change(sqlite3 *db, uint64_t n)
{
    uint64_t h = history_mix(n);
    char sql[256];

    switch (h % 16) {
    case 0: /* growth */
        for (uint64_t i = 0; i < 20; i++) {
            if (!item_put(db, n * 100 + i, h % 31, 9000))
                return false;
        }
        return true;
    case 1: /* shrink */
        (void)snprintf(sql, sizeof(sql), "DELETE FROM item WHERE owner=%u",
                       (unsigned)(h / 16 % 31));
        return run(db, sql);
    case 2:
    case 3:
        (void)snprintf(sql, sizeof(sql),
                       "UPDATE item SET body=zeroblob(%u) WHERE owner=%u AND id%%3=%u",
                       (unsigned)(h / 64 % 3000), (unsigned)(h / 16 % 31), (unsigned)(h / 8 % 3));
        return run(db, sql);
    case 4:
        (void)snprintf(sql, sizeof(sql),
                       "INSERT OR REPLACE INTO counter SELECT id%%97, max(id)+%u FROM item "
                       "GROUP BY id%%97",
                       (unsigned)(h / 16 % 1000));
        return run(db, sql);
    default:
        for (uint64_t i = 0; i < 1 + h / 16 % 4; i++) {
            if (!item_put(db, n * 100 + i, h % 31, (int)(h / 256 % 700)))
                return false;
        }
        return true;
    }
}

bool history_apply(sqlite3 *db, uint64_t n)
{
    char sql[160];

    if (!run(db, "BEGIN IMMEDIATE"))
        return false;
    (void)snprintf(sql, sizeof(sql), "INSERT INTO step VALUES(%llu,%lld)", (unsigned long long)n,
                   (long long)(history_mix(n ^ 77) >> 2));
    if (change(db, n) && run(db, sql) && run(db, "COMMIT"))
        return true;
    (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL); /* may have been rolled back already */
    return false;
}

int64_t history_last(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    int64_t last = -1;

    if (sqlite3_prepare_v2(db, "SELECT coalesce(max(n),0) FROM step", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        last = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s); /* repeats the result of the step */
    return last;
}

static bool digest_query(sqlite3 *db, const char *sql, uint64_t *io)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

    while (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(s); i++) {
            const uint8_t *p = sqlite3_column_blob(s, i);
            int n = sqlite3_column_bytes(s, i);
            for (int j = 0; j < n; j++)
                *io = (*io ^ p[j]) * UINT64_C(1099511628211);
            *io = history_mix(*io + (uint64_t)n);
        }
        rc = SQLITE_OK;
    }
    (void)sqlite3_finalize(s); /* repeats the result of the step */
    return rc == SQLITE_DONE;
}

bool history_digest(sqlite3 *db, uint64_t *out_digest)
{
    *out_digest = UINT64_C(14695981039346656037);
    return digest_query(db, "SELECT n,mark FROM step ORDER BY n", out_digest) &&
           digest_query(db, "SELECT id,owner,body FROM item ORDER BY id", out_digest) &&
           digest_query(db, "SELECT id,v FROM counter ORDER BY id", out_digest);
}

void history_maintain(sqlite3 *db, uint64_t choice)
{
    static const char *const statements[] = {
        "PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(FULL)",
        "PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA incremental_vacuum(20)",  "VACUUM",
    };
    (void)sqlite3_exec(db, statements[choice % 6], NULL, NULL, NULL); /* busy is fine */
}
