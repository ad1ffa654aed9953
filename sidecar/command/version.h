/*
 * The version of this build, for the log, /status and the user agent.
 */
#ifndef WALFERRY_SIDECAR_COMMAND_VERSION_H
#define WALFERRY_SIDECAR_COMMAND_VERSION_H

/* What the file VERSION said ("0.1.0"), and the commit it was built from. Constant, never NULL. */
const char *walferry_version(void);
const char *walferry_commit(void);

#endif
