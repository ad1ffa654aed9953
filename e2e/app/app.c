/*
 * The application of the scenarios on a cluster: a web service whose truth is a SQLite database.
 *
 *   app DB_PATH PORT [LINGER_S]     serves until SIGTERM
 *   app DB_PATH rows COUNT          commits COUNT rows, prints "COUNT LAST" as below, and ends: a Job
 *
 *   POST /rows       commits the body as a row and answers its number: an acknowledgement
 *   GET  /rows       "COUNT LAST": how many rows there are, and the number of the last one
 *   GET  /integrity  PRAGMA integrity_check
 *   GET  /healthz    ok
 *
 * It knows nothing of walferry. Rows are numbered without holes and never deleted, so COUNT equals
 * LAST unless something was lost, and whoever remembers the highest acknowledged number can tell
 * whether it is there. Durability is what SQLite promises with synchronous=FULL.
 *
 * At SIGTERM it goes on for LINGER_S seconds, committing a row each 10 ms, as an application that
 * uses all of its grace period would; then it closes the database and ends.
 */
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/base.h"
#include "lib/http/http.h"
#include "lib/io/io.h"

enum {
    BUSY_TIMEOUT_MS = 5000,
    ROW_BYTES_MAX = 1 << 16,
    LINGER_PACE_NS = 10 * 1000 * 1000,
};

struct app {
    struct loop *loop;
    sqlite3 *db;
    sqlite3_stmt *insert;
    struct loop_timer linger_timer;
    uint64_t linger_ns;
    uint64_t linger_until_ns; /* monotonic */
};

/* ---- the database ---- */

static int db_error(sqlite3 *db, const char *what, struct error *err)
{
    return error_set(err, ERR_IO, sqlite3_extended_errcode(db), "%s: %s", what, sqlite3_errmsg(db));
}

static int db_open(struct app *a, const char *path, struct error *err)
{
    if (sqlite3_open(path, &a->db) != SQLITE_OK ||
        sqlite3_busy_timeout(a->db, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        sqlite3_exec(a->db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                     "CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, body TEXT)",
                     NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(a->db, "INSERT INTO row (body) VALUES (?1)", -1, &a->insert, NULL) !=
            SQLITE_OK)
        return db_error(a->db, path, err);
    return 0;
}

static int row_commit(struct app *a, struct slice body, int64_t *out_id, struct error *err)
{
    (void)sqlite3_bind_text(a->insert, 1, (const char *)body.p, (int)body.n, SQLITE_TRANSIENT);
    int rc = sqlite3_step(a->insert);
    if (rc != SQLITE_DONE)
        (void)db_error(a->db, "insert", err);
    (void)sqlite3_reset(a->insert); /* tells of the failed step again */
    if (rc != SQLITE_DONE)
        return -1;
    *out_id = sqlite3_last_insert_rowid(a->db);
    return 0;
}

static const char *const sql_rows = "SELECT count(*), coalesce(max(id), 0) FROM row";

/* The first row of a query, its columns with a space between. */
static int query_first_row(const struct app *a, const char *sql, struct buf *out, struct error *err)
{
    sqlite3_stmt *q = NULL;
    int rc = 0;

    if (sqlite3_prepare_v2(a->db, sql, -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW)
        rc = db_error(a->db, sql, err);
    for (int i = 0; rc == 0 && i < sqlite3_column_count(q); i++)
        rc = buf_printf(out, err, "%s%s", i ? " " : "", sqlite3_column_text(q, i));
    (void)sqlite3_finalize(q); /* the step's answer again */
    return rc;
}

static void answer_query(const struct app *a, struct http_server_request *request, const char *sql)
{
    struct http_server_response response = {.status = 200, .body = BUF_INIT(4096)};
    struct error err = ERROR_INIT;

    if (query_first_row(a, sql, &response.body, &err) < 0)
        response.status = 500;
    http_server_respond(request, &response);
}

/* ---- the service ---- */

static void on_post(void *arg, struct http_server_request *request)
{
    struct app *a = arg;
    struct error err = ERROR_INIT;
    int64_t id;

    if (row_commit(a, http_server_request_body(request), &id, &err) < 0)
        http_server_respond_text(request, 503, "%s", err.text);
    else
        http_server_respond_text(request, 200, "%" PRId64, id);
}

static void on_rows(void *arg, struct http_server_request *request)
{
    answer_query(arg, request, sql_rows);
}

static void on_integrity(void *arg, struct http_server_request *request)
{
    answer_query(arg, request, "PRAGMA integrity_check");
}

static void on_healthz(void *arg UNUSED, struct http_server_request *request)
{
    http_server_respond_text(request, 200, "ok");
}

static const struct http_route routes[] = {
    {"POST", "/rows", on_post},
    {"GET", "/rows", on_rows},
    {"GET", "/integrity", on_integrity},
    {"GET", "/healthz", on_healthz},
};

/* ---- the end ---- */

static void on_linger(void *arg)
{
    struct app *a = arg;
    struct error err = ERROR_INIT;
    int64_t id;

    if (env_monotonic_ns(loop_env(a->loop)) >= a->linger_until_ns) {
        loop_stop(a->loop);
        return;
    }
    if (row_commit(a, slice_of("lingering", 9), &id, &err) < 0)
        (void)fprintf(stderr, "%s\n", err.text);
    else
        (void)printf("acknowledged %" PRId64 "\n", id);
    loop_timer_start(&a->linger_timer, LINGER_PACE_NS);
}

static void on_signal(void *arg, int signum UNUSED)
{
    struct app *a = arg;

    if (a->linger_until_ns)
        return;
    a->linger_until_ns = env_monotonic_ns(loop_env(a->loop)) + a->linger_ns;
    on_linger(a);
}

static int app_run(struct app *a, const char *path, unsigned port, struct error *err)
{
    static const int signums[] = {SIGTERM, SIGINT};
    struct http_server_config config = {.listener_count = 1, .body_bytes_max = ROW_BYTES_MAX};
    struct http_server *server = NULL;
    struct signals *signals = NULL;

    config.listeners[0] = (struct http_listener){
        .port = port, .routes = routes, .route_count = ARRAY_LEN(routes), .arg = a};
    loop_timer_init(&a->linger_timer, a->loop, on_linger, a);
    if (db_open(a, path, err) < 0 || http_server_new(a->loop, &config, &server, err) < 0)
        return -1;
    int rc = signals_new(a->loop, signums, ARRAY_LEN(signums), on_signal, a, &signals, err);
    if (rc == 0)
        loop_run(a->loop);
    signals_free(signals);
    http_server_free(server);
    return rc;
}

/* ---- the Job ---- */

static int job_run(struct app *a, const char *path, uint64_t count, struct error *err)
{
    CLEANUP(buf_destroy) struct buf answer = BUF_INIT(4096);
    int64_t id;

    if (db_open(a, path, err) < 0)
        return -1;
    for (uint64_t i = 0; i < count; i++) {
        if (row_commit(a, slice_of("job", 3), &id, err) < 0)
            return -1;
    }
    if (query_first_row(a, sql_rows, &answer, err) < 0)
        return -1;
    (void)printf("%s\n", buf_str(&answer));
    return 0;
}

int main(int argc, char **argv)
{
    struct app a = {0};
    struct error err = ERROR_INIT;

    if (argc < 3) {
        (void)fprintf(stderr, "usage: app DB_PATH PORT [LINGER_S] | app DB_PATH rows COUNT\n");
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    uint64_t number = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    a.linger_ns = number * NS_PER_SEC;
    int rc = loop_new(env_real(), 1, &a.loop, &err);
    if (rc == 0 && strcmp(argv[2], "rows") == 0)
        rc = job_run(&a, argv[1], number, &err);
    else if (rc == 0)
        rc = app_run(&a, argv[1], (unsigned)strtoul(argv[2], NULL, 10), &err);
    if (rc < 0)
        (void)fprintf(stderr, "app: %s\n", err.text);
    (void)sqlite3_finalize(a.insert);
    (void)sqlite3_close(a.db);
    loop_free(a.loop);
    return rc < 0 ? 1 : 0;
}
