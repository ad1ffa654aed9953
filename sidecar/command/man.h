/*
 * The manual page walferry(1), in mdoc, made from the same tables as help and completion.
 * `walferry help man` prints it; docs/man/walferry.1 is that output, and a test keeps it so.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_MAN_H
#define WALFERRY_SIDECAR_COMMAND_MAN_H

#include "sidecar/command/command.h"

/* Adds the page. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int man_page(struct buf *out, struct error *err);

#endif
