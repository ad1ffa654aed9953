/*
 * sidecar/command: the command line, a file per subcommand. A command is a row: name, help, flags,
 * and a function that runs it. Results go to standard output, all else to standard error; -json
 * prints one document. Exit statuses are those of error_exit_status().
 */
#ifndef WALFERRY_SIDECAR_COMMAND_COMMAND_H
#define WALFERRY_SIDECAR_COMMAND_COMMAND_H

#include <stddef.h>
#include <stdio.h>

#include "lib/base/base.h"
#include "lib/json/json_writer.h"
#include "sidecar/command/flags.h"

/* What a command is run with. */
struct invocation {
    const struct env *env;
    const void *args; /* the command's struct, flags filled in */
    char **positional;
    int positional_count;
};

struct command {
    const char *name;
    const char *summary; /* one line for the list of commands */
    const char *usage;   /* "walferry restore [flags] DB_PATH|REPLICA_URL" */
    const char *example; /* what the help opens with */
    const char *detail;  /* paragraphs below the flags; NULL: none */
    const struct flag *flags;
    size_t flag_count;
    size_t args_bytes;
    const void *defaults; /* args before parsing; NULL: zeros */
    int positional_min;
    int positional_max;
    /* Runs it. Returns the exit status, or -1 with err for the caller to print and to derive the
     * exit status from. */
    int (*run)(const struct invocation *inv, struct error *err);
};

extern const struct command command_replicate;
extern const struct command command_restore;
extern const struct command command_verify;
extern const struct command command_retention;
extern const struct command command_databases;
extern const struct command command_ltx;
extern const struct command command_status;
extern const struct command command_reset;
extern const struct command command_config;
extern const struct command command_version;
extern const struct command command_completion;

/* All commands in the order of the help, ended by NULL. */
extern const struct command *const commands[];

/* Adds the help of one command, or with NULL the list of all. */
MUST_USE int command_help(const struct command *command, struct buf *out, struct error *err);

/* Parses and runs argv; prints errors. Returns the exit status. */
int command_main(const struct env *env, int argc, char **argv);

/* Prints "Error: ..." and the hint to standard error. Returns the exit status of err's code. */
int command_report(const struct error *err);

/* Writes text to standard output and flushes; a full disk or closed pipe is an error. */
MUST_USE int command_print(struct slice text, struct error *err);

/* Finishes a JSON document and prints it with a newline. */
MUST_USE int command_print_json(struct json_writer *w, struct buf *out, struct error *err);

#endif
