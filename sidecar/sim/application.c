/*
 * The application: what programs do to a SQLite database, a step at a time. Each step has at most
 * one commit, so that every committed state is seen by the observer (a connection of its own) and
 * becomes a commit of the model. No step waits: what is locked is left alone. The observer is the
 * judge's: it suffers nothing, survives the application for a moment, and leaves nothing behind.
 *
 * Every transaction writes random bytes into the row `mark`, so each commit is a state of its own.
 * When the application was killed in the middle of a commit, its next start tells whether that
 * commit came about: SQLite's recovery decides, the model follows.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testing/memory_files.h"
#include "lib/testing/test.h"
#include "sidecar/sim/sim_internal.h"

enum {
    DB_BYTES_MAX = 160 * 1024, /* a larger one shrinks before it grows again */
    BODY_BYTES_MAX = 4096,
};

static struct sim *sim_of(const struct pod *pod)
{
    return &pod->play->sim;
}

/* SQLite's result; what comes out of the first column, if anything, goes to nobody. */
static int run(sqlite3 *db, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int run(sqlite3 *db, const char *fmt, ...)
{
    char sql[400];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(sql, sizeof(sql), fmt, ap); /* ours; they fit */
    va_end(ap);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* The statement of a connection with this text, prepared once; reset, and nothing bound to it.
 * NULL: SQLite cannot prepare it now. The connection's end finalizes it: connection_end(). */
static sqlite3_stmt *statement(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = sqlite3_next_stmt(db, NULL);

    while (s && strcmp(sqlite3_sql(s), sql) != 0)
        s = sqlite3_next_stmt(db, s);
    if (!s && sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != SQLITE_OK)
        return NULL;
    return s;
}

/* Runs a statement of statement() to its end; what is bound stays bound. NULL ok. */
static int finish(sqlite3_stmt *s)
{
    int rc = s ? sqlite3_step(s) : SQLITE_ERROR;

    while (rc == SQLITE_ROW)
        rc = sqlite3_step(s);
    if (rc == SQLITE_DONE)
        rc = SQLITE_OK;
    (void)sqlite3_reset(s); /* repeats the result of the step */
    return rc;
}

/* One without parameters. */
static int run_again(sqlite3 *db, const char *sql)
{
    return finish(statement(db, sql));
}

/* A number that a statement answers in its first row, below 0 if it does not; left reset. */
static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = statement(db, sql);
    int64_t n = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;

    (void)sqlite3_reset(s); /* repeats the result of the step */
    return n;
}

static void connection_end(sqlite3 *db)
{
    for (sqlite3_stmt *s = db ? sqlite3_next_stmt(db, NULL) : NULL; s;
         s = sqlite3_next_stmt(db, NULL))
        (void)sqlite3_finalize(s); /* repeats a result of the past */
    (void)sqlite3_close(db);       /* without statements it cannot fail */
}

/* ---- what the database is now ---- */

/* The database file as a new reader would see it; to be freed. NULL: nothing changed since the last
 * image, or there is none to be had now (locked, or a fault). */
static uint8_t *image_take(struct app *app, size_t *out_n)
{
    sqlite3_int64 n = 0;
    int64_t version = number_of(app->observer, "PRAGMA data_version");

    /* sqlite3_serialize() would make a page of an empty database. */
    if (version < 0 || version == app->version_seen ||
        number_of(app->observer, "PRAGMA page_count") <= 0)
        return NULL;
    uint8_t *image = sqlite3_serialize(app->observer, "main", &n, 0);
    if (!image || n == 0) {
        sqlite3_free(image);
        return NULL;
    }
    app->version_seen = version;
    *out_n = (size_t)n;
    return image;
}

void application_observe(struct pod *pod)
{
    struct model *m = &pod->play->model;
    size_t n = 0;

    if (!pod->app.observer)
        return;
    struct sim_process *before = sim_enter(pod->play->judge);
    uint8_t *image = image_take(&pod->app, &n);
    sim_leave(sim_of(pod), before);
    if (!image)
        return; /* the next look tells */
    uint64_t hash = model_hash(image, n);
    pod->bytes = n;
    sqlite3_free(image);
    if (pod->head != NOBODY && m->commits[pod->head].hash == hash)
        return;
    int known = model_find(m, hash);
    if (known == NOBODY) {
        known = model_add(m, hash, pod->head);
        sim_trace(sim_of(pod), "%s commit %d: %zu bytes, %016" PRIx64, pod->name, known, n, hash);
    } else {
        sim_trace(sim_of(pod), "%s is at commit %d again, it was at %d", pod->name, known,
                  pod->head);
        /* Two may do the same to the same (VACUUM); and all new databases are the same. */
        if (!pod->was_crashed && pod->head != NOBODY && !model_descends(m, known, pod->head)) {
            play_fail(pod->play,
                      "%s: the application's own database went back from commit %d to %d",
                      pod->name, pod->head, known);
        }
    }
    pod->head = known;
}

/* ---- transactions ---- */

static int mark(struct pod *pod)
{
    sqlite3_stmt *s = statement(pod->app.writer, "REPLACE INTO mark VALUES(1, ?1, ?2)");

    for (int i = 1; s && i <= 2; i++)
        (void)sqlite3_bind_int64(s, i, (int64_t)sim_luck(sim_of(pod), UINT64_C(1) << 62));
    return finish(s);
}

/* A body of random size, the same letter all over, as parameter 2. */
static void body_bind(struct pod *pod, sqlite3_stmt *s, char letter)
{
    char body[BODY_BYTES_MAX];
    size_t n = sim_luck(sim_of(pod), pod->play->config.body_bytes_max) + 1;

    ASSERT(n <= sizeof(body));
    memset(body, letter, n);
    (void)sqlite3_bind_text(s, 2, body, (int)n, SQLITE_TRANSIENT); /* no memory: NULL will do */
}

static int insert(struct pod *pod, uint64_t rows)
{
    struct sim *sim = sim_of(pod);
    sqlite3_stmt *s = statement(pod->app.writer, "INSERT INTO t(n, body) VALUES(?1, ?2)");
    int rc = s ? SQLITE_OK : SQLITE_ERROR;

    while (rc == SQLITE_OK && rows-- > 0) {
        (void)sqlite3_bind_int64(s, 1, (int64_t)sim_luck(sim, 1U << 30));
        body_bind(pod, s, (char)('a' + sim_luck(sim, 26)));
        rc = finish(s);
    }
    return rc;
}

/* A change of some rows; sql has a stripe as ?1, and maybe a body as ?2. */
static int change_stripe(struct pod *pod, const char *sql)
{
    sqlite3_stmt *s = statement(pod->app.writer, sql);

    if (!s)
        return SQLITE_ERROR;
    (void)sqlite3_bind_int64(s, 1, 2 + (int64_t)sim_luck(sim_of(pod), 7));
    if (sqlite3_bind_parameter_count(s) > 1)
        body_bind(pod, s, 'u');
    return finish(s);
}

static int change(struct pod *pod)
{
    struct sim *sim = sim_of(pod);
    bool is_large = pod->bytes > DB_BYTES_MAX;

    switch (is_large ? 2 : sim_luck(sim, 8)) {
    case 0:
        return change_stripe(pod, "DELETE FROM t WHERE id % ?1 = 1");
    case 1:
        return change_stripe(pod, "UPDATE t SET body = ?2 WHERE id % ?1 = 0");
    case 2:
        return run_again(pod->app.writer, "DELETE FROM t WHERE id > (SELECT max(id) FROM t) / 2");
    case 3:
        return insert(pod, sim_luck(sim, UINT64_C(4) * pod->play->config.row_max) + 1);
    default:
        return insert(pod, sim_luck(sim, pod->play->config.row_max) + 1);
    }
}

static void rollback(struct pod *pod)
{
    if (!sqlite3_get_autocommit(pod->app.writer))
        (void)run_again(pod->app.writer, "ROLLBACK"); /* may have been rolled back already */
    pod->app.is_writing = false;
}

static void transaction_end(struct pod *pod)
{
    bool is_rolled_back = sim_luck(sim_of(pod), 4) == 0;

    if (is_rolled_back || run_again(pod->app.writer, "COMMIT") != SQLITE_OK)
        rollback(pod);
    pod->app.is_writing = false;
    application_observe(pod);
}

/* Begins, changes, and mostly commits; the rest is left open until a later step. */
static void transact(struct pod *pod)
{
    if (pod->app.is_writing) {
        transaction_end(pod);
        return;
    }
    if (run_again(pod->app.writer, "BEGIN IMMEDIATE") != SQLITE_OK)
        return;
    if (mark(pod) != SQLITE_OK || change(pod) != SQLITE_OK) {
        rollback(pod);
        application_observe(pod);
        return;
    }
    pod->app.is_writing = true;
    if (sim_luck(sim_of(pod), 10) > 0)
        transaction_end(pod);
}

/* ---- the rest ---- */

static void checkpoint(struct pod *pod)
{
    int log = 0;
    int done = 0;
    int mode = (int)sim_luck(sim_of(pod), 4);
    int rc = sqlite3_wal_checkpoint_v2(pod->app.is_writing ? pod->app.second : pod->app.writer,
                                       "main", mode, &log, &done);

    sim_trace(sim_of(pod), "%s checkpoint mode %d: %d, %d of %d", pod->name, mode, rc, done, log);
}

static void read_for_long(struct pod *pod)
{
    if (pod->app.is_reading) {
        (void)run(pod->app.second, "COMMIT"); /* it only read */
        pod->app.is_reading = false;
        return;
    }
    pod->app.is_reading = run(pod->app.second, "BEGIN; SELECT count(*) FROM t") == SQLITE_OK;
    if (!pod->app.is_reading && !sqlite3_get_autocommit(pod->app.second))
        (void)run(pod->app.second, "ROLLBACK"); /* as above */
}

static void maintain(struct pod *pod)
{
    struct sim *sim = sim_of(pod);

    switch (sim_luck(sim, 5)) {
    case 0:
        if (!pod->app.is_writing)
            (void)run(pod->app.writer, "VACUUM"); /* busy is fine */
        break;
    case 1:
        if (!pod->app.is_writing)
            (void)run(pod->app.writer, "PRAGMA incremental_vacuum(%d)", (int)sim_luck(sim, 20) + 1);
        break;
    case 2:
        read_for_long(pod);
        return;
    default:
        checkpoint(pod);
    }
    application_observe(pod);
}

void application_step(struct pod *pod)
{
    struct app *app = &pod->app;

    if (!app->p || app->p->is_dead || app->is_in_step)
        return;
    struct sim_process *before = sim_enter(app->p);
    app->is_in_step = true;
    if (sim_luck(sim_of(pod), 5) == 0)
        maintain(pod);
    else
        transact(pod);
    app->is_in_step = false;
    sim_leave(sim_of(pod), before);
    if (app->p->is_dead)
        application_observe(pod); /* its last commit may have come about */
    if (pod->p && !pod->p->is_dead)
        sim_nudge(pod->p, sim_luck(sim_of(pod), 200 * NS_PER_US)); /* the kernel's notification */
}

bool application_commit(struct pod *pod)
{
    struct sim_process *before = sim_enter(pod->app.p);
    int was = pod->head;

    rollback(pod);
    if (pod->app.is_reading)
        read_for_long(pod);
    if (run_again(pod->app.writer, "BEGIN IMMEDIATE") == SQLITE_OK && mark(pod) == SQLITE_OK)
        (void)run_again(pod->app.writer, "COMMIT"); /* the observer tells */
    rollback(pod);
    application_observe(pod);
    sim_leave(sim_of(pod), before);
    if (pod->p)
        sim_nudge(pod->p, 0);
    return pod->head != was;
}

/* ---- life ---- */

static sqlite3 *connection_make(const struct pod *pod, int flags)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(pod->db_path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        return db;
    (void)sqlite3_close(db); /* it is not open */
    return NULL;
}

/* Closing has no effect on the files. */
static void observer_open(struct pod *pod)
{
    int on = 1;
    struct sim_process *before = sim_enter(pod->play->judge);
    sqlite3 *db = connection_make(pod, SQLITE_OPEN_READWRITE);

    if (db) {
        assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), 0);
        assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &on), 0);
    }
    pod->app.observer = db;
    pod->app.version_seen = 0;
    sim_leave(&pod->play->sim, before);
}

static void connections_close(struct app *app)
{
    /* A dead application's end has no effect. */
    connection_end(TAKE(app->observer));
    connection_end(TAKE(app->second));
    connection_end(TAKE(app->writer));
    app->is_writing = false;
    app->is_reading = false;
}

static bool has_tables(struct pod *pod)
{
    return run(pod->app.writer, "SELECT count(*) FROM t, mark") == SQLITE_OK;
}

/* The tables of a new database, in WAL mode. */
static int create(struct pod *pod)
{
    const struct play_config *c = &pod->play->config;
    int rc = run(pod->app.writer,
                 "PRAGMA secure_delete=ON; PRAGMA page_size=%u; PRAGMA auto_vacuum=%s; "
                 "PRAGMA journal_mode=WAL",
                 (unsigned)c->page_size, c->is_auto_vacuum ? "INCREMENTAL" : "NONE");

    if (rc != SQLITE_OK)
        return rc;
    application_observe(pod); /* the switch to WAL mode is a commit, too */
    rc = run(pod->app.writer, "BEGIN IMMEDIATE; "
                              "CREATE TABLE t(id INTEGER PRIMARY KEY, n, body); "
                              "CREATE INDEX t_n ON t(n); "
                              "CREATE TABLE mark(id INTEGER PRIMARY KEY, a, b)");
    if (rc == SQLITE_OK)
        rc = mark(pod);
    if (rc == SQLITE_OK)
        rc = run_again(pod->app.writer, "COMMIT");
    rollback(pod);
    application_observe(pod);
    return rc;
}

static int settings_apply(struct pod *pod)
{
    const struct play_config *c = &pod->play->config;

    return run(pod->app.writer,
               "PRAGMA secure_delete=ON; PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=%u; "
               "PRAGMA cache_size=%d",
               c->is_full_sync ? "FULL" : "NORMAL", c->autocheckpoint, c->row_max > 8 ? 8 : -500);
}

static int begin(struct pod *pod)
{
    struct app *app = &pod->app;

    app->writer = connection_make(pod, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    app->second = app->writer ? connection_make(pod, SQLITE_OPEN_READWRITE) : NULL;
    if (app->second)
        observer_open(pod);
    if (!app->observer)
        return SQLITE_CANTOPEN;
    application_observe(pod);
    int rc = SQLITE_OK;
    if (!has_tables(pod)) {
        pod->was_crashed = true; /* all databases without tables are the same, and no loss */
        rc = create(pod);
    }
    pod->has_tables = rc == SQLITE_OK;
    if (rc == SQLITE_OK)
        rc = settings_apply(pod);
    return rc;
}

bool application_open(struct pod *pod)
{
    struct app *app = &pod->app;
    char name[16];

    if (app->p)
        return true;
    (void)snprintf(name, sizeof(name), "app%u", pod->idx);
    app->p = sim_process_new(sim_of(pod), name, false, &pod->disk);
    struct sim_process *before = sim_enter(app->p);
    int rc = begin(pod);
    if (rc == SQLITE_OK)
        pod->was_crashed = false;
    sim_trace(sim_of(pod), "%s application starts: %d, at commit %d", pod->name, rc, pod->head);
    sim_leave(sim_of(pod), before);
    if (rc != SQLITE_OK)
        application_kill(pod);
    return rc == SQLITE_OK;
}

void application_look(struct pod *pod)
{
    if (pod->app.p || !memory_files_exist(pod->db_path))
        return;
    observer_open(pod);
    application_observe(pod);
    connection_end(TAKE(pod->app.observer)); /* has no effect on the files */
}

static void application_end(struct pod *pod)
{
    struct sim_process *before = sim_enter(pod->app.p);
    pod->app.is_in_step = true; /* time passes while it closes: it does nothing else in it */
    connections_close(&pod->app);
    pod->app.is_in_step = false;
    sim_leave(sim_of(pod), before);
    sim_process_free(TAKE(pod->app.p));
}

void application_close(struct pod *pod)
{
    if (!pod->app.p)
        return;
    sim_trace(sim_of(pod), "%s application ends", pod->name);
    struct sim_process *before = sim_enter(pod->app.p);
    rollback(pod);
    application_observe(pod);
    sim_leave(sim_of(pod), before);
    application_end(pod);
}

void application_kill(struct pod *pod)
{
    if (!pod->app.p) {
        return;
    }
    sim_trace(sim_of(pod), "%s application is killed", pod->name);
    pod->app.p->is_dead = true;
    application_end(pod);
    application_look(pod); /* what the next one would find */
}
