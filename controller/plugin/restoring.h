/*
 * A SqliteRestore made and followed: what `restore` and `verify` have in common.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_RESTORING_H
#define WALFERRY_CONTROLLER_PLUGIN_RESTORING_H

#include "controller/plugin/session.h"

enum {
    RESTORE_NAME_BYTES = 64,
};

/* What is wanted. NULL and "": not said. */
struct restore_wish {
    const char *source;       /* the SqliteReplica */
    const char *name;         /* of the SqliteRestore; NULL: one is made up */
    const char *mode;         /* "InPlace", "ToClaim", "Verify" */
    const char *at;           /* as typed: "latest", a moment, a span ("15m"), a TXID */
    const char *database;     /* NULL: the only one */
    const char *destination;  /* NULL: each in turn */
    const char *pod;          /* where prefixes are per pod */
    const char *integrity;    /* "none", "quick", "full" */
    const char *claim, *path; /* of ToClaim; path NULL: the file name of the database */
    uint64_t ttl_s;           /* after which the operator forgets it */
};

/* One that is named or about to be, checked against its source. */
struct restoring {
    char name[RESTORE_NAME_BYTES];
    char target_time[TIME_TEXT_BYTES]; /* RFC 3339; "": not by time */
    char target_txid[20];              /* "": not by TXID */
    struct jsonval_doc source;         /* the SqliteReplica */
    struct jsonval_doc object;         /* the SqliteRestore as the server answered it */
    const char *database;              /* borrowed from the wish or the source */
    char *path;                        /* of ToClaim */
};

#define RESTORING_INIT {.source = JSONVAL_DOC_INIT, .object = JSONVAL_DOC_INIT}
/* Accepts RESTORING_INIT; the struct is as after it. */
void restoring_destroy(struct restoring *r);

/*
 * Looks at the source, and reads what is wished. ERR_USAGE: a moment that cannot be, a database or
 * pod that must be named (with those that there are); ERR_NOT_FOUND: no such SqliteReplica.
 */
MUST_USE int restoring_plan(struct session *s, const struct restore_wish *wish,
                            struct restoring *out, struct error *err);

/* Creates it, or with is_dry_run lets the server check it only. */
MUST_USE int restoring_create(struct session *s, const struct restore_wish *wish,
                              struct restoring *r, bool is_dry_run, struct error *err);

/*
 * Follows it to its end, with a line for each step in table output; with JSON its last state is in
 * r->object and nothing is printed. Returns the exit status: 0 complete, 1 failed, 5 not over by
 * timeout_ns (0: none) or interrupted; it goes on then. -1: err.
 */
MUST_USE int restoring_follow(struct session *s, struct restoring *r, uint64_t timeout_ns,
                              struct error *err);

/*
 * Adds "txid":..., what came of it, as an object of the JSON output.
 */
void restoring_json(const struct restoring *r, struct json_writer *w);

#endif
