/*
 * Names of objects in the bucket: Litestream 0.5's layout, plus the folder of a fenced writer.
 *
 *   LAYOUT_HEX   0000/<min>-<max>.ltx  ... 0009/<min>-<max>.ltx      (s3, oss)
 *   LAYOUT_LTX   ltx/0/<min>-<max>.ltx ... ltx/9/<min>-<max>.ltx     (file and the others)
 *   both         fenced/<epoch>-<owner>/<min>-<max>.ltx              (8 hex digits each)
 *
 * <min> and <max> are TXIDs of 16 lower-case hex digits. Listings are hostile input: only names of
 * exactly this form are ours, everything else is ignored.
 * Source: litestream, s3/replica_client.go and litestream.go (LTXFilePath); ltx, ltx.go (names).
 */
#ifndef WALFERRY_LIB_STORAGE_OBJECT_NAME_H
#define WALFERRY_LIB_STORAGE_OBJECT_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/storage/storage.h"

enum {
    LTX_LEVEL_RAW = 0,      /* L0: one object a sync */
    LTX_LEVEL_SNAPSHOT = 9, /* L9: full copies */
    LTX_LEVELS = 10
};

struct object_name {
    unsigned level; /* 0..9 */
    uint64_t min_txid;
    uint64_t max_txid;
};

/* Writes the relative key of an LTX object into out and returns it. */
const char *object_name_format(enum storage_layout layout, const struct object_name *name,
                               char out[static STORAGE_KEY_BYTES_MAX]);

/* The folder of a level with its final slash, to list below: "0000/", "ltx/0/". */
const char *object_name_level_prefix(enum storage_layout layout, unsigned level,
                                     char out[static STORAGE_KEY_BYTES_MAX]);

/* False if key is not exactly the name of an LTX object in this layout (min >= 1, max >= min). */
bool object_name_parse(enum storage_layout layout, const char *key, struct object_name *out);

/* Writes the key of the object that a fenced writer leaves behind. */
const char *object_name_format_fenced(uint32_t epoch, uint32_t owner, uint64_t min_txid,
                                      uint64_t max_txid, char out[static STORAGE_KEY_BYTES_MAX]);

/* False if key is not such an object. */
bool object_name_parse_fenced(const char *key, uint32_t *out_epoch, uint32_t *out_owner,
                              struct object_name *out);

#endif
