/*
 * Replicas made by hand, for tests of whoever reads them: LTX objects in a folder (file:// layout),
 * made from the states of a real SQLite database, each of which is kept to compare with.
 *
 *     struct test_replica r = {.has_ext = true};
 *     test_replica_open(&r, folder, 4096);
 *     test_replica_commit(&r, "CREATE TABLE t(x)");            TXID 1
 *     test_replica_commit(&r, "INSERT INTO t VALUES (1)");     TXID 2
 *     test_replica_write(&r, 0, 1, 1);  test_replica_write(&r, 0, 2, 2);
 *     test_replica_write(&r, 9, 1, 2);
 *
 * Functions fail the test (cmocka) on any error.
 */
#ifndef WALFERRY_LIB_TESTING_REPLICA_H
#define WALFERRY_LIB_TESTING_REPLICA_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    TEST_REPLICA_STATES_MAX = 200
};

struct test_replica_state {
    uint8_t *image; /* the whole database */
    uint32_t page_count;
    uint64_t db_checksum;
    uint64_t timestamp_ns; /* a minute after the one before */
    bool *is_changed;      /* by page number: written by this state; page_count + 1 places */
};

struct test_replica {
    bool has_ext;   /* objects carry walferry's extension; else they are as Litestream's */
    bool is_legacy; /* pages as LZ4 frames, as Litestream 0.5.0 to 0.5.15 wrote them */
    char root[512]; /* of the replica: "<folder>/replica" */
    char db_path[512];
    uint32_t page_size;
    sqlite3 *db;
    struct test_replica_state states[TEST_REPLICA_STATES_MAX]; /* by TXID; 0 is empty */
    uint64_t txid;                                             /* the newest state */
};

/* Makes the database "<folder>/origin.db"; page_size 512..65536. Flags are set before. */
void test_replica_open(struct test_replica *r, const char *folder, uint32_t page_size);
void test_replica_close(struct test_replica *r);

/* Runs SQL and keeps what the database is then as the next TXID, which is answered. */
uint64_t test_replica_commit(struct test_replica *r, const char *sql);

/* Writes the object [min, max] of a level from the kept states. */
void test_replica_write(struct test_replica *r, unsigned level, uint64_t min, uint64_t max);

/* Path of an object's file. */
void test_replica_path(const struct test_replica *r, unsigned level, uint64_t min, uint64_t max,
                       char out[static 700]);

/* Asserts that the file at path is exactly the state of a TXID. */
void test_replica_assert_state(const struct test_replica *r, const char *path, uint64_t txid);

/* Minutes of a table with some life: `steps` TXIDs of inserts, updates and deletes, one in five
 * followed by VACUUM (so the database shrinks and grows). Nothing is written to the replica. */
void test_replica_live(struct test_replica *r, unsigned steps, unsigned seed);

#endif
