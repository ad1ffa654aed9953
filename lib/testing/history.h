/*
 * A history that anybody can recompute: transaction n does what n says, nothing else. So a database
 * that holds transactions 1..n has exactly one right content, and a restored one can be judged
 * without knowing what happened to it.
 */
#ifndef WALFERRY_LIB_TESTING_HISTORY_H
#define WALFERRY_LIB_TESTING_HISTORY_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* Creates the tables in a new database (transaction 0). False with a message on stderr. */
bool history_begin(sqlite3 *db);

/* Carries out transaction n as one SQLite transaction. False: it was not committed. */
bool history_apply(sqlite3 *db, uint64_t n);

/* The newest transaction in the database; -1 if it has no tables or cannot be read. */
int64_t history_last(sqlite3 *db);

/* A digest over all content; false if the database cannot be read. */
bool history_digest(sqlite3 *db, uint64_t *out_digest);

/* Maintenance that changes no content, chosen by the number: VACUUM, checkpoints of every mode,
 * incremental vacuum. Failure (busy) is fine. */
void history_maintain(sqlite3 *db, uint64_t choice);

/* splitmix64: the same numbers everywhere. */
uint64_t history_mix(uint64_t x);

#endif
