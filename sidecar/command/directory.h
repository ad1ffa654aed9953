/*
 * Directory mode: all databases of a folder, and with `watch: true` those that appear later.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_DIRECTORY_H
#define WALFERRY_SIDECAR_COMMAND_DIRECTORY_H

#include "sidecar/command/replicate.h"

/*
 * Adds the databases that lie in the entry's folder now. Without `watch` none at all is an error
 * (ERR_USAGE); with it the folder is looked through again when something in it changes, and at
 * least each half minute.
 */
MUST_USE int directory_add(struct replication *r, const struct config_db *entry, struct error *err);

/* Ends the watching. */
void directory_stop(struct replication *r);

#endif
