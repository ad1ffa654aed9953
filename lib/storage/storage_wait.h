/*
 * Storage operations for code that does one thing after the other: commands and tests. Each runs
 * the loop until its operation is done. Never from within a callback.
 */
#ifndef WALFERRY_LIB_STORAGE_STORAGE_WAIT_H
#define WALFERRY_LIB_STORAGE_STORAGE_WAIT_H

#include "lib/storage/storage.h"

/* As storage_put_start(); errors come from the operation. */
MUST_USE int storage_put_wait(struct storage *st, const struct storage_put *args,
                              struct error *err);

/* Appends n bytes at offset (0: to the end) of the object to out. ERR_LIMIT if out is too small. */
MUST_USE int storage_get_wait(struct storage *st, const char *key, uint64_t offset, uint64_t bytes,
                              struct buf *out, struct error *err);

/* As storage_list_start(), arg goes to args->on_object. */
MUST_USE int storage_list_wait(struct storage *st, const struct storage_list *args, void *arg,
                               struct error *err);

/* As storage_delete_start(): the error of the first key that could not be deleted. */
MUST_USE int storage_delete_wait(struct storage *st, const char *const *keys, size_t key_count,
                                 struct error *err);

/* Size and timestamp of an object; out->key is NULL. */
MUST_USE int storage_head_wait(struct storage *st, const char *key, struct storage_object *out,
                               struct error *err);

/* As storage_make_start(). */
MUST_USE int storage_make_wait(struct storage *st, struct error *err);

#endif
