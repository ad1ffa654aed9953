/*
 * lib/cli: the command line of a program, from tables.
 *
 *   flags.h        flags as Litestream (Go's flag package) has them: parsing and help
 *   program.h      a program is a table of commands: finding one, its help, its errors, exit statuses
 *   man_page.h     the manual page, from the same tables
 *   termination.h  the termination message of a container
 */
#ifndef WALFERRY_LIB_CLI_CLI_H
#define WALFERRY_LIB_CLI_CLI_H

#include "lib/cli/flags.h"
#include "lib/cli/man_page.h"
#include "lib/cli/program.h"
#include "lib/cli/termination.h"

#endif
