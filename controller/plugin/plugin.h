/*
 * controller/plugin: the kubectl plug-in, a file per subcommand.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_PLUGIN_H
#define WALFERRY_CONTROLLER_PLUGIN_PLUGIN_H

#include "lib/base/base.h"

/* Parses and runs argv; prints errors. Returns the exit status. */
int plugin_main(const struct env *env, int argc, char **argv);

#endif
