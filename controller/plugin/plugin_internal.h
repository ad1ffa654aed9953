/*
 * The commands, a file each, and what they share.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_PLUGIN_INTERNAL_H
#define WALFERRY_CONTROLLER_PLUGIN_PLUGIN_INTERNAL_H

#include "controller/plugin/session.h"

extern const struct command command_status;
extern const struct command command_lag;
extern const struct command command_snapshots;
extern const struct command command_restore;
extern const struct command command_verify;
extern const struct command command_pause;
extern const struct command command_resume;
extern const struct command command_logs;
extern const struct command command_check;
extern const struct command command_report_bundle;
extern const struct command command_completion;
extern const struct command command_version;

extern const struct program kubectl_walferry;

/*
 * Adds what `status NAME` says of a SqliteReplica: facts, conditions, databases. ERR_LIMIT,
 * ERR_NO_MEMORY.
 */
MUST_USE int status_detail(const struct session *s, struct jsonval replica, struct buf *out,
                           struct error *err);

/* A SqliteReplica as an object of the JSON output: identity, readiness, and its whole status. */
void status_json(struct jsonval replica, struct json_writer *w);

/* Looks as `check` does, and writes the findings as one JSON object. */
MUST_USE int check_json(struct session *s, struct json_writer *w, unsigned *out_failed,
                        struct error *err);

/*
 * kubectl-walferry __complete WORD...: proposals for the last word, a line each with a tab before
 * its explanation, and ":4" (no files) at the end, as kubectl wants them of its plug-ins. Returns
 * the exit status.
 */
int completion_answer(const struct env *env, int argc, char **argv);

#endif
