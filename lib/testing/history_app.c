/*
 * The processes are forked without exec: they share the board. They open their own connections, and
 * the parent must not have any.
 */
#include "lib/testing/history_app.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/testing/history.h"

enum {
    BUSY_TIMEOUT_MS = 5000,
    OPEN_AGAIN_MS = 5, /* until there is a database */
    MAINTAIN_EACH = 40,
    PAUSE_EACH = 8,
    PAUSE_MS_MAX = 12,
    HOLD_MS_MAX = 60,
    HOLD_LONG_MS = 400,
};

static void wait_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

/* The child ends with its parent, and says on the board what is wrong. */
static void child_begin(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
}

static void wrong(const struct history_app *app, const char *what, uint64_t seen, uint64_t wanted)
{
    char *at = app->board->wrong;

    if (!*at) {
        (void)snprintf(at, sizeof(app->board->wrong), "%s (%llu, %llu)", what,
                       (unsigned long long)seen, (unsigned long long)wanted);
    }
    _exit(1);
}

bool history_app_init(struct history_app *app)
{
    *app = (struct history_app){.writer = 0};
    void *shared =
        mmap(NULL, sizeof(*app->board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    app->board = shared == MAP_FAILED ? NULL : shared;
    return app->board;
}

void history_app_database(struct history_app *app, const char *path, uint32_t page_size)
{
    (void)snprintf(app->path, sizeof(app->path), "%s", path);
    app->page_size = page_size;
    app->board->committed = 0;
}

/* ---- the writer ---- */

static void writer_pragmas(const struct history_app *app, sqlite3 *db, uint64_t luck)
{
    char sql[160];

    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA page_size=%u; PRAGMA synchronous=%s; PRAGMA wal_autocheckpoint=%u",
                   app->page_size, luck % 2 ? "FULL" : "NORMAL", luck % 3 ? 1000U : 20U);
    (void)sqlite3_exec(db, sql, NULL, NULL, NULL); /* a preference */
}

static void writer_run(const struct history_app *app, uint64_t luck)
{
    struct history_board *board = app->board;
    sqlite3 *db = NULL;

    if (sqlite3_open(app->path, &db) != SQLITE_OK ||
        sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS) != SQLITE_OK)
        _exit(1);
    writer_pragmas(app, db, luck);
    while (history_last(db) < 0 && !history_begin(db))
        wait_ms(OPEN_AGAIN_MS); /* whoever holds the lock lets go of it */
    uint64_t n = (uint64_t)history_last(db);
    if (n < board->committed)
        wrong(app, "a commit is gone from the database", n, board->committed);
    board->committed = n;
    while (!board->should_end) {
        if (history_apply(db, n + 1))
            board->committed = ++n;
        uint64_t h = history_mix(n + luck);
        if (h % MAINTAIN_EACH == 0)
            history_maintain(db, h / MAINTAIN_EACH);
        if (h % PAUSE_EACH == 0)
            wait_ms(h / PAUSE_EACH % PAUSE_MS_MAX);
    }
    (void)sqlite3_close(db); /* the last close checkpoints unless the sidecar is there */
    _exit(0);
}

bool history_app_start(struct history_app *app, uint64_t luck)
{
    pid_t parent = getpid();

    app->board->should_end = false;
    app->writer = fork();
    if (app->writer == 0) {
        child_begin(parent);
        writer_run(app, luck);
    }
    return app->writer > 0;
}

/* ---- readers ---- */

/* One snapshot: at least what was committed before it began, and the same when looked at again. */
static void reader_look(const struct history_app *app, sqlite3 *db, uint64_t hold_ms)
{
    uint64_t committed = app->board->committed;
    uint64_t before = 0;
    uint64_t after = 0;

    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return;
    int64_t n = history_last(db);
    if (n >= 0 && history_digest(db, &before)) {
        if ((uint64_t)n < committed)
            wrong(app, "a reader misses a commit", (uint64_t)n, committed);
        wait_ms(hold_ms);
        if (!history_digest(db, &after) || after != before)
            wrong(app, "a reader's snapshot moved", after, before);
        app->board->reads++;
    }
    (void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL); /* only read */
}

static void reader_run(const struct history_app *app, uint64_t luck)
{
    sqlite3 *db = NULL;

    /* Not read-only: whoever comes first after a kill must be able to recover the log. */
    while (sqlite3_open_v2(app->path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
           sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS) != SQLITE_OK || history_last(db) < 0) {
        (void)sqlite3_close(db); /* nothing was read */
        wait_ms(OPEN_AGAIN_MS);
    }
    for (;;) {
        luck = history_mix(luck);
        reader_look(app, db, luck % 16 == 0 ? HOLD_LONG_MS : luck / 16 % HOLD_MS_MAX);
    }
}

bool history_app_read(struct history_app *app, unsigned idx, uint64_t luck)
{
    pid_t parent = getpid();

    history_app_kill_reader(app, idx);
    app->readers[idx] = fork();
    if (app->readers[idx] == 0) {
        child_begin(parent);
        reader_run(app, luck);
    }
    return app->readers[idx] > 0;
}

/* ---- ends ---- */

static void reap(pid_t *pid)
{
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *pid = 0;
}

static void kill_and_reap(pid_t *pid)
{
    if (*pid <= 0)
        return;
    (void)kill(*pid, SIGKILL); /* not reaped, so it is it */
    reap(pid);
}

void history_app_end(struct history_app *app)
{
    if (app->writer <= 0)
        return;
    app->board->should_end = true;
    (void)kill(app->writer, SIGCONT); /* it may be stopped */
    reap(&app->writer);
}

void history_app_kill(struct history_app *app)
{
    kill_and_reap(&app->writer);
}

void history_app_kill_reader(struct history_app *app, unsigned idx)
{
    kill_and_reap(&app->readers[idx]);
}

void history_app_kill_readers(struct history_app *app)
{
    for (unsigned i = 0; i < HISTORY_READERS_MAX; i++)
        kill_and_reap(&app->readers[i]);
}
