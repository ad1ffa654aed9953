/*
 * The version of this build, for `version`, the log, /status and user agents.
 */
#ifndef WALFERRY_LIB_BASE_VERSION_H
#define WALFERRY_LIB_BASE_VERSION_H

/* What the file VERSION said ("0.1.0"), and the commit it was built from. Constant, never NULL. */
const char *walferry_version(void);
const char *walferry_commit(void);

#endif
