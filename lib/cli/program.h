/*
 * A program is a table of commands. A command is a row: name, help, flags, and a function that runs
 * it. Results go to standard output, all else to standard error; -json prints one document. Exit
 * statuses are those of error_exit_status(). In a container the error, or the JSON document, is the
 * termination message, too (termination.h).
 */
#ifndef WALFERRY_LIB_CLI_PROGRAM_H
#define WALFERRY_LIB_CLI_PROGRAM_H

#include <stddef.h>

#include "lib/base/base.h"
#include "lib/cli/flags.h"
#include "lib/json/json_writer.h"

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
    const char *words;    /* what its argument can be, as "bash|zsh"; NULL: anything */
    int positional_min;
    int positional_max;
    /* Runs it. Returns the exit status, or -1 with err for the caller to print and to derive the
     * exit status from. */
    int (*run)(const struct invocation *inv, struct error *err);
};

struct program {
    const char *name;                     /* as users type it: "walferry" */
    const char *opening;                  /* what it is for and an example: opens the help */
    const char *closing;                  /* exit statuses and the like; NULL: nothing */
    const struct command *const *command; /* in the order of the help, ended by NULL */
    /* Adds the manual page for `help man`; NULL: there is none. */
    int (*man_page)(struct buf *out, struct error *err);
    enum flag_style style; /* FLAG_STYLE_KUBECTL: flags may stand behind arguments, too */
    int (*exit_status)(const struct error *err); /* NULL: error_exit_status() of the code */
};

/* Adds the help of one command, or with NULL the list of all. */
MUST_USE int program_help(const struct program *program, const struct command *command,
                          struct buf *out, struct error *err);

/* Parses and runs argv; prints errors. Returns the exit status. */
int program_main(const struct program *program, const struct env *env, int argc, char **argv);

/* Prints "Error: ..." and the hint to standard error. Returns the exit status of err's code. */
int command_report(const struct error *err);

/* Writes text to standard output and flushes; a full disk or closed pipe is an error. */
MUST_USE int command_print(struct slice text, struct error *err);

/* Finishes a JSON document and prints it with a newline. */
MUST_USE int command_print_json(struct json_writer *w, struct buf *out, struct error *err);

#endif
