/*
 * Judging a database of history.h without knowing what happened to it: it must be exactly what
 * transactions 1..n make of an empty one, for the n that it says itself.
 */
#ifndef WALFERRY_LIB_TESTING_HISTORY_JUDGE_H
#define WALFERRY_LIB_TESTING_HISTORY_JUDGE_H

#include <sqlite3.h>
#include <stdint.h>

/* The right content, recomputed in memory as far as it was asked for. */
struct history_judge {
    sqlite3 *model; /* NULL: nothing yet */
    uint64_t n;     /* transactions in the model */
};

#define HISTORY_JUDGE_INIT {.model = NULL}

void history_judge_destroy(struct history_judge *j);

/*
 * Judges the database at path: integrity_check, and content. Nobody may have it open.
 *
 * out_n  number of its transactions; 0 also for a database from before the tables were made
 *
 * Returns NULL if it is right, else what is wrong. Cost: the transactions since the last n that was
 * asked for; all of them if this one is smaller.
 */
const char *history_judge(struct history_judge *j, const char *path, uint64_t *out_n);

#endif
