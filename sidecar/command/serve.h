/*
 * Listening: metrics, health and status on `addr`, the control socket on `socket.path`.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_SERVE_H
#define WALFERRY_SIDECAR_COMMAND_SERVE_H

#include "sidecar/command/replicate.h"

struct server;

/* Starts what the configuration asks for; *out is NULL if that is nothing. ERR_USAGE for an
 * address that cannot be used, ERR_BUSY if it is taken. */
MUST_USE int serve_start(struct replication *r, struct server **out, struct error *err);

/* NULL ok. */
void serve_stop(struct server *server);

#endif
