/*
 * The command that runs the operator.
 */
#ifndef WALFERRY_CONTROLLER_RUN_H
#define WALFERRY_CONTROLLER_RUN_H

#include "lib/cli/cli.h"

extern const struct command command_run;

#endif
