/*
 * An application that commits at a fixed rate and measures how long each commit took.
 *
 *   bench_writer DB_PATH [NAME=VALUE...]
 *
 *   commits=N        how many (default: no limit)
 *   seconds=N        for how long (default 10)
 *   rate=N           commits a second; 0: as fast as it goes (default 100)
 *   interval_ms=N    instead of rate: the time between two commits
 *   rows=N           rows in a commit (default 1)
 *   bytes=N          of a row's body (default 400)
 *   synchronous=X    full or normal (default full)
 *   autocheckpoint=N pages; SQLite's own default is 1000 (default 0: the replicator does it)
 *   log=PATH         a line for each commit: moment it returned (ns since 1970), and how long it
 *                    took (ns)
 *
 * A commit that is late does not shift those after it: each has its own moment, so a stall shows
 * as what it is for the application that wanted to write then. The latency is that of the
 * transaction, from BEGIN to the return of COMMIT.
 *
 * Prints one line at the end; lock_max_us is the longest that BEGIN IMMEDIATE took: what others did
 * with the write lock, without the disk's share. It holds also what the processor did meanwhile on a
 * busy machine; lock_met tells how many transactions found the lock taken, and lock_slept_max_ms the
 * longest that SQLite's busy handler made one of them sleep:
 *   commits=15000 seconds=30.0 p50_us=61 p99_us=180 p999_us=900 max_us=2104 lock_max_us=310
 *   lock_met=2 lock_slept_max_ms=1
 */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/base.h"

enum {
    BODY_BYTES_MAX = 1 << 20,
    COMMITS_MAX = 10 * 1000 * 1000,
    BUSY_TIMEOUT_MS = 60000,
    BUSY_NAPS = 12,
};

struct bench {
    sqlite3 *db;
    sqlite3_stmt *begin, *insert, *commit;
    FILE *log;
    uint64_t *latency_ns;
    size_t count;
    uint64_t lock_max_ns;
    uint64_t lock_met;
    unsigned slept_ms, slept_max_ms; /* by this transaction; by any */
    uint64_t random;
    uint8_t body[BODY_BYTES_MAX];
    /* settings */
    uint64_t commits, seconds, rate, interval_ms, rows, bytes, autocheckpoint;
    const char *synchronous;
    const char *log_path;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t); /* both clocks exist on every Linux */
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t monotonic_ns)
{
    const struct timespec t = {.tv_sec = (time_t)(monotonic_ns / NS_PER_SEC),
                               .tv_nsec = (long)(monotonic_ns % NS_PER_SEC)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

/* Bytes that compress as badly as real ones: every other one is random. */
static void body_fill(struct bench *b)
{
    for (size_t i = 0; i < b->bytes; i += 2) {
        b->random ^= b->random << 13;
        b->random ^= b->random >> 7;
        b->random ^= b->random << 17;
        b->body[i] = (uint8_t)(b->random >> 32);
    }
}

static bool step(sqlite3_stmt *s)
{
    bool is_done = sqlite3_step(s) == SQLITE_DONE;
    return sqlite3_reset(s) == SQLITE_OK && is_done;
}

/* SQLite's own way of waiting (sqliteDefaultBusyCallback), counted. */
static int busy_nap(void *arg, int tries)
{
    static const unsigned naps_ms[BUSY_NAPS] = {1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100};
    struct bench *b = arg;
    unsigned nap_ms = naps_ms[tries < BUSY_NAPS ? tries : BUSY_NAPS - 1];

    b->lock_met += tries == 0;
    b->slept_ms = tries == 0 ? nap_ms : b->slept_ms + nap_ms;
    if (b->slept_ms > b->slept_max_ms)
        b->slept_max_ms = b->slept_ms;
    if (b->slept_ms > BUSY_TIMEOUT_MS)
        return 0;
    (void)sqlite3_sleep((int)nap_ms); /* answers how long it was */
    return 1;
}

static bool commit_one(struct bench *b)
{
    uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
    bool is_done = step(b->begin);
    uint64_t lock_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;

    if (lock_ns > b->lock_max_ns)
        b->lock_max_ns = lock_ns;
    for (uint64_t i = 0; is_done && i < b->rows; i++) {
        body_fill(b);
        is_done =
            sqlite3_bind_blob64(b->insert, 1, b->body, b->bytes, SQLITE_STATIC) == SQLITE_OK &&
            step(b->insert);
    }
    is_done = is_done && step(b->commit);
    uint64_t took_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
    if (is_done && b->log)
        (void)fprintf(b->log, "%" PRIu64 " %" PRIu64 "\n", clock_ns(CLOCK_REALTIME), took_ns);
    b->latency_ns[b->count++] = took_ns;
    return is_done;
}

static int latency_order(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static uint64_t percentile_us(const struct bench *b, double p)
{
    if (b->count == 0)
        return 0;
    return b->latency_ns[(size_t)((double)(b->count - 1) * p)] / NS_PER_US;
}

static bool run(struct bench *b)
{
    uint64_t pace_ns = b->interval_ms ? b->interval_ms * NS_PER_MS
                       : b->rate      ? NS_PER_SEC / b->rate
                                      : 0;
    uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t end_ns = begun_ns + b->seconds * NS_PER_SEC;
    bool is_done = true;

    for (uint64_t i = 0; is_done && b->count < b->commits; i++) {
        uint64_t due_ns = begun_ns + i * pace_ns;
        if ((pace_ns ? due_ns : clock_ns(CLOCK_MONOTONIC)) >= end_ns)
            break;
        if (pace_ns)
            sleep_until(due_ns);
        is_done = commit_one(b);
    }
    double seconds = (double)(clock_ns(CLOCK_MONOTONIC) - begun_ns) / (double)NS_PER_SEC;
    qsort(b->latency_ns, b->count, sizeof(b->latency_ns[0]), latency_order);
    (void)printf(
        "commits=%zu seconds=%.1f p50_us=%" PRIu64 " p99_us=%" PRIu64 " p999_us=%" PRIu64
        " max_us=%" PRIu64 " lock_max_us=%" PRIu64 " lock_met=%" PRIu64 " lock_slept_max_ms=%u\n",
        b->count, seconds, percentile_us(b, 0.5), percentile_us(b, 0.99), percentile_us(b, 0.999),
        percentile_us(b, 1.0), b->lock_max_ns / NS_PER_US, b->lock_met, b->slept_max_ms);
    return is_done;
}

/* ---- settings ---- */

static bool setting_read(struct bench *b, const char *arg)
{
    const struct {
        const char *name;
        uint64_t *number;
        const char **text;
    } settings[] = {
        {"commits", &b->commits, NULL},
        {"seconds", &b->seconds, NULL},
        {"rate", &b->rate, NULL},
        {"interval_ms", &b->interval_ms, NULL},
        {"rows", &b->rows, NULL},
        {"bytes", &b->bytes, NULL},
        {"autocheckpoint", &b->autocheckpoint, NULL},
        {"synchronous", NULL, &b->synchronous},
        {"log", NULL, &b->log_path},
    };
    const char *equals = strchr(arg, '=');

    for (size_t i = 0; equals && i < ARRAY_LEN(settings); i++) {
        size_t n = (size_t)(equals - arg);
        if (strlen(settings[i].name) != n || strncmp(settings[i].name, arg, n) != 0)
            continue;
        if (settings[i].text) {
            *settings[i].text = equals + 1;
            return true;
        }
        char *end;
        *settings[i].number = strtoull(equals + 1, &end, 10);
        return end != equals + 1 && *end == '\0';
    }
    return false;
}

static bool bench_open(struct bench *b, const char *path)
{
    char pragmas[200];

    (void)snprintf(pragmas, sizeof(pragmas),
                   "PRAGMA journal_mode=wal; PRAGMA synchronous=%.20s;"
                   "PRAGMA wal_autocheckpoint=%" PRIu64 ";"
                   "CREATE TABLE IF NOT EXISTS bench(id INTEGER PRIMARY KEY, body BLOB)",
                   b->synchronous, b->autocheckpoint);
    return sqlite3_open(path, &b->db) == SQLITE_OK &&
           sqlite3_busy_handler(b->db, busy_nap, b) == SQLITE_OK &&
           sqlite3_exec(b->db, pragmas, NULL, NULL, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(b->db, "BEGIN IMMEDIATE", -1, &b->begin, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(b->db, "INSERT INTO bench(body) VALUES(?1)", -1, &b->insert, NULL) ==
               SQLITE_OK &&
           sqlite3_prepare_v2(b->db, "COMMIT", -1, &b->commit, NULL) == SQLITE_OK;
}

static bool bench_close(struct bench *b)
{
    (void)sqlite3_finalize(b->begin); /* their last results were looked at */
    (void)sqlite3_finalize(b->insert);
    (void)sqlite3_finalize(b->commit);
    return sqlite3_close(b->db) == SQLITE_OK;
}

static bool settings_are_sound(const struct bench *b)
{
    return b->bytes <= BODY_BYTES_MAX && b->rows > 0 && b->commits <= COMMITS_MAX &&
           b->seconds <= 24 * 3600;
}

int main(int argc, char **argv)
{
    static struct bench b = {.commits = COMMITS_MAX,
                             .seconds = 10,
                             .rate = 100,
                             .rows = 1,
                             .bytes = 400,
                             .random = 0x9E3779B97F4A7C15,
                             .synchronous = "full"};
    bool is_usage = argc < 2;

    for (int i = 2; i < argc; i++)
        is_usage |= !setting_read(&b, argv[i]);
    if (is_usage || !settings_are_sound(&b)) {
        (void)fprintf(stderr, "usage: bench_writer DB_PATH [NAME=VALUE...]\n"); /* status tells */
        return 2;
    }
    b.latency_ns = malloc(COMMITS_MAX * sizeof(b.latency_ns[0])); /* touched as it fills */
    b.log = b.log_path ? fopen(b.log_path, "we") : NULL;
    if (!b.latency_ns || (b.log_path && !b.log)) {
        (void)fprintf(stderr,
                      "bench_writer: no memory, or the log cannot be made\n"); /* as above */
        return 1;
    }
    bool is_done = bench_open(&b, argv[1]) && run(&b);
    if (!is_done) {
        (void)fprintf(stderr, "bench_writer: %s: %s\n", argv[1],
                      sqlite3_errmsg(b.db)); /* as above */
    }
    bool is_closed = bench_close(&b) && (!b.log || fclose(b.log) == 0);
    free(b.latency_ns);
    return is_done && is_closed ? 0 : 1;
}
