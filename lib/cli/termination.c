/*
 * One file, written whole.
 */
#include "lib/cli/termination.h"

#include <fcntl.h>

static const char path[] = "/dev/termination-log";

void termination_message(const struct env *env, struct slice text)
{
    struct error ignored = ERROR_INIT; /* outside of a container there is no such file */
    size_t n = text.n < TERMINATION_BYTES_MAX ? text.n : TERMINATION_BYTES_MAX;
    int fd = -1;

    if (env_open(env, path, O_WRONLY | O_TRUNC, 0, &fd, &ignored) < 0)
        return;
    IGNORE(env_pwrite(env, fd, text.p, n, 0, path, &ignored)); /* best effort */
    env_close_quietly(env, fd);
}
