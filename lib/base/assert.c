/*
 * The end of a process that found its own state impossible. Only async-signal-safe calls: the
 * heap or stdio may be what is broken.
 */
#include "lib/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

NO_RETURN void assert_fail(const char *condition, const char *file, int line)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "walferry: assertion broken: %s (%s:%d)\n", condition,
                     file, line);

    if (n > 0) {
        size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
        /* Nothing is left to do if standard error is gone. */
        ssize_t written = write(STDERR_FILENO, text, len);
        (void)written;
    }
    abort();
}
