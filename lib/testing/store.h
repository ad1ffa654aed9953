/*
 * Real S3 servers of several makers for tests, started by e2e/stores/serve (which says what each of
 * them is): "versitygw", "minio" and "swift". Where versitygw alone will do, server.h starts it
 * faster and can look at its objects and its access log.
 *
 * Tests run at the root of the tree. Functions fail the test when a server does not come up.
 */
#ifndef WALFERRY_LIB_TESTING_STORE_H
#define WALFERRY_LIB_TESTING_STORE_H

#include "lib/testing/server.h"

struct test_store {
    struct test_process process;
    unsigned port;
    char endpoint[64];
    const char *access_key;
    const char *secret_key;
    const char *region;
    const char *bucket; /* exists */
};

/*
 * Starts a server with its files in folder (which exists) and waits until it answers.
 * False if it is not installed: the reason is printed, the caller skips.
 */
bool test_store_start(struct test_store *store, const char *kind, const char *folder);

/* Ends it, at once. Accepts one that was never started (zeroed). */
void test_store_stop(struct test_store *store);

#endif
