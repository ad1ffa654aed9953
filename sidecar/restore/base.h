/*
 * A database that is there already, at a state n that its page map proves: the base of a roll
 * forward. Objects n+1..N give the pages that changed since; all others are copied from it.
 *
 * Threads: a job at a time; nobody else has the database open.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_BASE_H
#define WALFERRY_SIDECAR_RESTORE_BASE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/ltx/ltx.h"
#include "sidecar/engine/page_map.h"
#include "sidecar/restore/write.h"

struct base {
    const struct env *env;
    char *path; /* of the database; owned */
    struct page_map map;
};

#define BASE_INIT {.map = PAGE_MAP_INIT}

/*
 * Opens the page map of a database and checks it against its own checksum. The database itself is
 * not looked at. ERR_NOT_FOUND, ERR_CORRUPT: no usable map.
 */
MUST_USE int base_open(const struct env *env, const char *path, const char *map_path,
                       struct base *out, struct error *err);
void base_close(struct base *b);

/*
 * Whether the position at which an object ended lies in the database's log: then the database was
 * at that state, whatever the map says. False if the object tells no position or there is no log.
 */
MUST_USE int base_log_contains(const struct base *b, const struct ltx_header *object,
                               bool *out_contains, struct error *err);

/*
 * Lets SQLite recover what a killed process left (a log, a hot journal) and checkpoint all of it
 * into the file, as the next opening would. The content of the database does not change.
 * ERR_BUSY, ERR_CORRUPT, ERR_IO.
 */
MUST_USE int base_settle(const struct base *b, struct error *err);

enum base_content {
    BASE_IS_MAP,   /* every page is as the map says */
    BASE_IS_OTHER, /* it was written to since */
};

/* Reads the whole file. out_db_checksum: of what is there. */
MUST_USE int base_compare(const struct base *b, enum base_content *out_content,
                          uint64_t *out_db_checksum, struct error *err);

/*
 * Claims and writes every page that no object had, each checked against the map: the base is the
 * oldest object. ERR_WRONG_STATE if the file has changed meanwhile.
 */
MUST_USE int base_copy(const struct base *b, struct output *o, struct error *err);

#endif
