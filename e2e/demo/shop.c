/*
 * The application of the demonstration: a shop that takes an order every few milliseconds.
 *
 *   shop DB_PATH [PACE_MS]
 *
 * It knows nothing of walferry: it opens a SQLite database in WAL mode, as applications do, and
 * commits one order a transaction. After each COMMIT it prints the order, so its output is a record
 * of what was committed that does not depend on the database. It goes on where the database ends,
 * until its standard input is closed.
 *
 * An order follows from its number: a rerun makes the same orders.
 */
#include <inttypes.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/base.h"

enum {
    PACE_MS_DEFAULT = 10,
    BUSY_TIMEOUT_MS = 5000,
    CENTS_MAX = 20000,
};

struct shop {
    sqlite3 *db;
    sqlite3_stmt *insert;
    int64_t last_id;
};

static bool shop_open(struct shop *s, const char *path)
{
    sqlite3_stmt *q = NULL;

    if (sqlite3_open(path, &s->db) != SQLITE_OK ||
        sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS) != SQLITE_OK ||
        sqlite3_exec(s->db,
                     "PRAGMA journal_mode=wal;"
                     "CREATE TABLE IF NOT EXISTS orders(id INTEGER PRIMARY KEY,"
                     " customer TEXT NOT NULL, cents INTEGER NOT NULL)",
                     NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(s->db, "INSERT INTO orders VALUES(?1, ?2, ?3)", -1, &s->insert, NULL) !=
            SQLITE_OK ||
        sqlite3_prepare_v2(s->db, "SELECT ifnull(max(id), 0) FROM orders", -1, &q, NULL) !=
            SQLITE_OK)
        return false;
    bool is_read = sqlite3_step(q) == SQLITE_ROW;
    s->last_id = sqlite3_column_int64(q, 0);
    return (sqlite3_finalize(q) == SQLITE_OK) && is_read;
}

/* Commits one order, then tells. */
static bool shop_take_order(struct shop *s)
{
    static const char *const customers[] = {"Ada",  "Barbara", "Clara", "Dennis",  "Edsger",
                                            "Fran", "Grace",   "Hedy",  "Ingrid",  "Joan",
                                            "Ken",  "Leslie",  "Mary",  "Niklaus", "Ole"};
    int64_t id = s->last_id + 1;
    uint64_t hash = (uint64_t)id * UINT64_C(0x9E3779B97F4A7C15);
    const char *customer = customers[(hash >> 20) % ARRAY_LEN(customers)];
    int cents = (int)((hash >> 32) % CENTS_MAX) + 1;

    bool is_committed = sqlite3_bind_int64(s->insert, 1, id) == SQLITE_OK &&
                        sqlite3_bind_text(s->insert, 2, customer, -1, SQLITE_STATIC) == SQLITE_OK &&
                        sqlite3_bind_int(s->insert, 3, cents) == SQLITE_OK &&
                        sqlite3_step(s->insert) == SQLITE_DONE;
    if (sqlite3_reset(s->insert) != SQLITE_OK || !is_committed)
        return false;
    s->last_id = id;
    return printf("%" PRId64 "|%s|%d\n", id, customer, cents) > 0 && fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    struct shop shop = {.db = NULL};
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int pace_ms = argc > 2 ? (int)strtol(argv[2], NULL, 10) : PACE_MS_DEFAULT;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: shop DB_PATH [PACE_MS]\n"); /* status 2 says it too */
        return 2;
    }
    bool is_open = shop_open(&shop, argv[1]);
    while (is_open && poll(&input, 1, pace_ms) == 0)
        is_open = shop_take_order(&shop);
    if (!is_open)
        (void)fprintf(stderr, "shop: %s: %s\n", argv[1], sqlite3_errmsg(shop.db)); /* as above */
    (void)sqlite3_finalize(shop.insert); /* its last result was looked at */
    return sqlite3_close(shop.db) == SQLITE_OK && is_open ? 0 : 1;
}
