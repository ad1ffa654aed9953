/*
 * The model is a database in memory that is brought forward to the n in question, and begun anew
 * when n lies behind it.
 */
#include "lib/testing/history_judge.h"

#include <stdbool.h>
#include <string.h>

#include "lib/testing/history.h"

void history_judge_destroy(struct history_judge *j)
{
    (void)sqlite3_close(j->model); /* in memory */
    j->model = NULL;
    j->n = 0;
}

static bool model_reach(struct history_judge *j, uint64_t n)
{
    if (n < j->n)
        history_judge_destroy(j);
    if (!j->model && (sqlite3_open(":memory:", &j->model) != SQLITE_OK || !history_begin(j->model)))
        return false;
    while (j->n < n) {
        if (!history_apply(j->model, j->n + 1))
            return false;
        j->n++;
    }
    return true;
}

static bool integrity_is_ok(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    bool is_ok = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL) == SQLITE_OK &&
                 sqlite3_step(s) == SQLITE_ROW &&
                 strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;

    (void)sqlite3_finalize(s); /* repeats the result of the step */
    return is_ok;
}

static const char *judge_open(struct history_judge *j, sqlite3 *db, uint64_t *out_n)
{
    uint64_t found = 0;
    uint64_t right = 0;

    if (!integrity_is_ok(db))
        return "the database fails integrity_check";
    int64_t n = history_last(db);
    *out_n = n < 0 ? 0 : (uint64_t)n;
    if (n < 0)
        return NULL;
    if (!model_reach(j, *out_n) || !history_digest(j->model, &right))
        return "the model cannot be made";
    if (!history_digest(db, &found) || found != right)
        return "the content is not that of a committed state";
    return NULL;
}

const char *history_judge(struct history_judge *j, const char *path, uint64_t *out_n)
{
    sqlite3 *db = NULL;
    const char *wrong = "the database cannot be opened";

    *out_n = 0;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
        wrong = judge_open(j, db, out_n);
    (void)sqlite3_close(db); /* only read */
    return wrong;
}
