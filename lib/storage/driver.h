/*
 * What a driver implements, and nobody else includes. storage.c checks keys, counts, and calls
 * through this table; a driver embeds `struct storage` as its first member and is made by its own
 * constructor (storage_file_new() in file/file.h, storage_s3_new() in s3/s3.h).
 */
#ifndef WALFERRY_LIB_STORAGE_DRIVER_H
#define WALFERRY_LIB_STORAGE_DRIVER_H

#include "lib/storage/storage.h"
#include "lib/storage/upload.h"

struct storage_driver {
    const char *type;
    /* As the functions of storage.h, on checked arguments. */
    int (*put)(struct storage *st, const struct storage_put *args, storage_done_fn *done, void *arg,
               struct storage_op **out_op, struct error *err);
    int (*get)(struct storage *st, const struct storage_get *args, storage_done_fn *done, void *arg,
               struct storage_op **out_op, struct error *err);
    int (*list)(struct storage *st, const struct storage_list *args, storage_done_fn *done,
                void *arg, struct storage_op **out_op, struct error *err);
    int (*del)(struct storage *st, const struct storage_delete *args, storage_done_fn *done,
               void *arg, struct storage_op **out_op, struct error *err);
    int (*head)(struct storage *st, const char *key, storage_done_fn *done, void *arg,
                struct storage_op **out_op, struct error *err);
    /* As storage_make_start(); NULL: there is nothing to make. */
    int (*make)(struct storage *st, storage_done_fn *done, void *arg, struct storage_op **out_op,
                struct error *err);
    /* As storage_housekeep_start(); NULL: there is nothing to clear away. */
    int (*housekeep)(struct storage *st, uint64_t older_than_ns, storage_done_fn *done, void *arg,
                     struct storage_op **out_op, struct error *err);
    /* As the functions of upload.h; NULL: caps.part_bytes is 0. */
    int (*upload_begin)(struct storage *st, const struct storage_upload_args *args,
                        storage_done_fn *done, void *arg, struct storage_upload **out_upload,
                        struct storage_op **out_op, struct error *err);
    int (*upload_part)(struct storage_upload *u, const struct storage_part *part,
                       storage_done_fn *done, void *arg, struct storage_op **out_op,
                       struct error *err);
    int (*upload_complete)(struct storage_upload *u, uint64_t deadline_ns, storage_done_fn *done,
                           void *arg, struct storage_op **out_op, struct error *err);
    void (*upload_free)(struct storage_upload *u);
    void (*cancel)(struct storage_op *op);
    void (*free)(struct storage *st);
};

struct storage {
    const struct storage_driver *driver;
    struct loop *loop;
    struct storage_caps caps;
    struct storage_counters counters; /* the driver counts requests, storage.c nothing */
    char *url;                        /* owned; without credentials */
    bool is_read_only;                /* of storage.c: whatever writes is refused at the door */
    struct storage_idle_op *idle_ops; /* of storage.c; the driver makes it NULL */
};

/* What a driver's upload begins with. */
struct storage_upload {
    struct storage *st;
};

/* A driver's struct storage_op begins with this. */
struct storage_op_base {
    struct storage *st;
};

#endif
