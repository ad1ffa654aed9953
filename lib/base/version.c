/*
 * The version of this build: the Makefile hands both strings in, for this file alone, so that a
 * new commit compiles one file again.
 */
#include "lib/base/version.h"

#ifndef WALFERRY_VERSION
#define WALFERRY_VERSION "development"
#endif
#ifndef WALFERRY_COMMIT
#define WALFERRY_COMMIT "unknown"
#endif

const char *walferry_version(void)
{
    return WALFERRY_VERSION;
}

const char *walferry_commit(void)
{
    return WALFERRY_COMMIT;
}
