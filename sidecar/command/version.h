/* The version of this build, for the log, /status and the user agent. Constant. */
#ifndef WALFERRY_SIDECAR_COMMAND_VERSION_H
#define WALFERRY_SIDECAR_COMMAND_VERSION_H

const char *walferry_version(void);
const char *walferry_commit(void);

#endif
