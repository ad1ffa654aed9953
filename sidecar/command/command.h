/*
 * sidecar/command: the command line of walferry, a file per subcommand. The frame (flags, help,
 * errors) is lib/cli.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_COMMAND_H
#define WALFERRY_SIDECAR_COMMAND_COMMAND_H

#include "lib/base/base.h"
#include "lib/cli/cli.h"

extern const struct command command_replicate;
extern const struct command command_restore;
extern const struct command command_rewind;
extern const struct command command_verify;
extern const struct command command_probe;
extern const struct command command_retention;
extern const struct command command_databases;
extern const struct command command_ltx;
extern const struct command command_status;
extern const struct command command_drain;
extern const struct command command_reset;
extern const struct command command_config;
extern const struct command command_version;
extern const struct command command_completion;

/* All commands in the order of the help, ended by NULL. */
extern const struct command *const commands[];

/* Parses and runs argv; prints errors. Returns the exit status. */
int command_main(const struct env *env, int argc, char **argv);

#endif
