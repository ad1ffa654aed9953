/*
 * ASSERT(condition) states what only a mistake of our own can break. It stays on in production:
 * a restart, which we survive by design, beats a wrong object in the bucket. Foreign bytes are
 * never asserted; they get ERR_CORRUPT. One condition each, so that the line names the mistake.
 */
#ifndef WALFERRY_LIB_BASE_ASSERT_H
#define WALFERRY_LIB_BASE_ASSERT_H

#include <assert.h>

#include "lib/base/attr.h"

/* Writes file, line and condition to standard error and aborts. Any thread. */
NO_RETURN void assert_fail(const char *condition, const char *file, int line);

#define ASSERT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            assert_fail(#condition, __FILE__, __LINE__);                                           \
    } while (0)

#endif
