/*
 * An object that is sent while it is still being made: in parts, straight from memory, whole or not
 * at all. What would otherwise be staged in a file, written and read again, never touches the disk.
 *
 *     begin -> parts, in any order, several at a time -> complete -> the object is there
 *
 * Nothing is visible before complete. Parts are numbered from 1 without a hole; all but the last one
 * have caps.part_bytes bytes. Only a store whose caps.part_bytes is not 0 can do it.
 *
 * Each X_start() is an operation of storage.h: done once, on the loop thread, never within the call;
 * it can be cancelled; the driver tries again until the deadline. An operation that has failed may be
 * started again on the same upload: a part replaces what was sent under its number before, and a
 * second complete finds out what became of the first:
 *
 *   ERR_EXISTS     the key is taken, maybe by this very upload whose answer was lost: compare
 *   ERR_NOT_FOUND  the upload is gone and there is no object: begin anew
 *   anything else  as for a put; the upload is still there
 *
 * Threads: all functions on the loop thread.
 */
#ifndef WALFERRY_LIB_STORAGE_UPLOAD_H
#define WALFERRY_LIB_STORAGE_UPLOAD_H

#include "lib/storage/storage.h"

struct storage_upload;

struct storage_upload_args {
    const char *key; /* copied; created, never replaced */
    uint64_t timestamp_ns;
    uint64_t deadline_ns; /* of the begin; 0: the driver's default */
};

struct storage_part {
    unsigned number;   /* from 1, to caps.parts_max */
    struct blob *blob; /* the bytes are a part of it; borrowed until done */
    uint64_t offset;
    uint64_t bytes;
    uint64_t deadline_ns; /* 0: the driver's default */
};

/*
 * Begins an upload; parts may be sent once done has told success. *out_upload is the caller's from
 * the call on, also if the begin fails: it ends with storage_upload_free().
 * ERR_NO_MEMORY, ERR_USAGE (the key): nothing was begun.
 */
MUST_USE int storage_upload_begin_start(struct storage *st, const struct storage_upload_args *args,
                                        storage_done_fn *done, void *arg,
                                        struct storage_upload **out_upload,
                                        struct storage_op **out_op, struct error *err);

/* Sends a part. */
MUST_USE int storage_upload_part_start(struct storage_upload *u, const struct storage_part *part,
                                       storage_done_fn *done, void *arg, struct storage_op **out_op,
                                       struct error *err);

/* Makes the object appear, if the key is free. All parts must be there. */
MUST_USE int storage_upload_complete_start(struct storage_upload *u, uint64_t deadline_ns,
                                           storage_done_fn *done, void *arg,
                                           struct storage_op **out_op, struct error *err);

/* Ends it: one that was not completed is aborted, as far as the store can be reached. No operation on
 * it may be under way. Accepts NULL. */
void storage_upload_free(struct storage_upload *u);

#endif
