/*
 * Databases before they are replicated: restored where they are missing, rolled forward where they
 * are an older state of their replica.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_PREPARE_H
#define WALFERRY_SIDECAR_COMMAND_PREPARE_H

#include "sidecar/command/replicate.h"
#include "sidecar/restore/restore.h"

/*
 * restore_run() with the destinations of a database of the configuration (replica: with this one
 * only; NULL: each in turn), patiently, ended by SIGTERM or SIGINT. ERR_USAGE: there is none of
 * this name. out is destroyed by the caller.
 */
MUST_USE int prepare_restore(const struct replication *r, const struct config_db *db,
                             const char *replica, const struct restore_options *options,
                             struct restore_result *out, struct error *err);

/*
 * Restores every database that is not there and is to be restored (is_asked, or its entry says
 * so). No backup is no error. Errors of restore_run().
 */
MUST_USE int prepare_missing(const struct replication *r, bool is_asked, struct error *err);

/*
 * Whether the application may have been started: the file of -roll-forward-until is there, or none
 * was named. What cannot be looked at counts as there.
 */
bool prepare_is_too_late(const struct replication *r);

/*
 * The application may be started: makes the file. Nothing without one. ERR_WRONG_STATE: it may not,
 * a database is to be rolled forward first, whatever state it is in now.
 */
MUST_USE int prepare_end(const struct replication *r, struct error *err);

/*
 * Rolls every existing database of the configuration forward to the newest state of its replica.
 * Nobody may have any of them open, the engine included. *out_any: one was behind.
 * ERR_WRONG_STATE: it has been written to, and other errors of restore_run(); ERR_CANCELED: a
 * signal came.
 */
MUST_USE int prepare_roll_forward(const struct replication *r, bool *out_any, struct error *err);

#endif
