/*
 * The promises of lib/storage/storage.h as tests that run against any driver. A driver's test file
 * is a setup and a call:
 *
 *     static const struct storage_conformance_setup setup = {.name = "file", .open = file_open,
 *                                                            .close = file_close, ...};
 *     return storage_conformance_run(&setup);
 *
 * Each case gets a storage of its own on an empty prefix, on a fresh loop with four workers.
 */
#ifndef WALFERRY_LIB_TESTING_STORAGE_CONFORMANCE_H
#define WALFERRY_LIB_TESTING_STORAGE_CONFORMANCE_H

#include <stdbool.h>

#include "lib/base/base.h"
#include "lib/storage/storage.h"

struct storage_conformance_setup {
    const char *name; /* of the group: "file", "s3 over https" */
    /*
     * Makes a storage on a prefix that nobody has used, for one case. The case fails with the text
     * of err if it answers -1.
     */
    int (*open)(void *arg, struct loop *loop, struct storage **out, struct error *err);
    /* After the case; the storage is freed already. May be NULL. */
    void (*close)(void *arg);
    void *arg;
    /* A second storage on the prefix of the last open, as another process would have; NULL: the
     * cases that need one are skipped with a reason. */
    int (*open_again)(void *arg, struct loop *loop, struct storage **out, struct error *err);
    /* Which of the odd names this store cannot hold; NULL: it holds all. They are left out and
     * printed. */
    bool (*cannot_hold)(const char *key);
    /* The store cannot create conditionally: the storage looks first, and of several that create at
     * once more than one may believe to have won. That case is skipped, and the probe must tell. */
    bool cannot_create;
    /* Keys on a page of its listings, and at least as many in a batch delete; 0: 1000. */
    size_t page_keys;
    /* A storage on a bucket that does not exist: list must be ERR_NOT_FOUND. NULL: no such thing.
     */
    int (*open_missing)(void *arg, struct loop *loop, struct storage **out, struct error *err);
    /* A storage with credentials that are refused: list must be ERR_ACCESS. NULL: no such thing. */
    int (*open_refused)(void *arg, struct loop *loop, struct storage **out, struct error *err);
};

/* Runs all cases with TAP output; the number of failures, for main() to return. */
int storage_conformance_run(const struct storage_conformance_setup *setup);

#endif
