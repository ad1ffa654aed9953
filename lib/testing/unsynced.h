/*
 * An environment over the real one that knows what a crash of the machine could still take back: for
 * tests that something is durable when it is told to be, and in which order it became so.
 *
 *     struct unsynced u;
 *     unsynced_init(&u);
 *     assert_ok(file_commit(&u.env, path, content, NULL, &err), &err);
 *     assert_int_equal(unsynced_count(&u), 0);
 *     assert_int_equal(unsynced_early_names(&u), 0);
 *
 * Known are the bytes of files (until fsync or fdatasync of the file) and new names (until fsync of
 * their folder): those that rename, link and mkdir give. Not known are names that open gives, since
 * those are temporary here, and removals, after which at worst too much is left.
 *
 * Threads: any; operations of workers are known too.
 */
#ifndef WALFERRY_LIB_TESTING_UNSYNCED_H
#define WALFERRY_LIB_TESTING_UNSYNCED_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/base/base.h"

enum {
    UNSYNCED_MAX = 64 /* files and folders at a time; one more fails the test */
};

struct unsynced {
    struct env env; /* what the code under test gets */
    pthread_mutex_t mu;
    ino_t inode[UNSYNCED_MAX]; /* guarded by mu; of files with bytes, folders with names */
    size_t count;              /* guarded by mu */
    unsigned early_names;      /* guarded by mu */
};

/* Everything is durable now. u must stay where it is while u->env is used. */
void unsynced_init(struct unsynced *u);

/* Files and folders of which a crash could take something back. */
size_t unsynced_count(struct unsynced *u);

/* Names that were taken too early: while bytes of the file, or an earlier name in the folder, could
 * still be lost, so that a crash could leave one without the other. */
unsigned unsynced_early_names(struct unsynced *u);

#endif
