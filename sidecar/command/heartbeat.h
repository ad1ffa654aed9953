/*
 * The dead man's switch: as long as every database is replicated everywhere, a URL is asked for
 * each heartbeat-interval. No request means: something is wrong, or we are gone.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_HEARTBEAT_H
#define WALFERRY_SIDECAR_COMMAND_HEARTBEAT_H

#include "sidecar/command/replicate.h"

struct heartbeat;

/* Begins, if the configuration names a URL; else *out is NULL. ERR_NO_MEMORY. */
MUST_USE int heartbeat_start(struct replication *r, struct heartbeat **out, struct error *err);

/* NULL ok. */
void heartbeat_stop(struct heartbeat *h);

#endif
