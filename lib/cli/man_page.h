/*
 * The manual page of a program in mdoc, made from the same tables as help and completion.
 */
#ifndef WALFERRY_LIB_CLI_MAN_PAGE_H
#define WALFERRY_LIB_CLI_MAN_PAGE_H

#include "lib/cli/program.h"

/*
 * Adds head (mdoc, up to and with the heading of the commands), a section a command, and tail.
 * ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int cli_man_page(const struct command *const *commands, const char *head, const char *tail,
                          enum flag_style style, struct buf *out, struct error *err);

#endif
