/*
 * Reading until the end, in steps; what stat() says of a size is not asked.
 */
#include "lib/io/file_read.h"

#include <fcntl.h>

enum {
    READ_BYTES = 16384
};

/* Reads up to n more bytes; *out_n tells how many came. */
static int step_read(const struct env *env, int fd, size_t n, const char *path, struct buf *out,
                     size_t *out_n, struct error *err)
{
    uint8_t *p;
    size_t at = out->n;

    if (buf_extend(out, n, &p, err) < 0)
        return error_wrap(err, "%s", path);
    int rc = env_pread(env, fd, p, n, (int64_t)at, path, out_n, err);
    out->n = rc < 0 ? at : at + *out_n;
    p[out->n - at] = 0;
    return rc;
}

static int all_read(const struct env *env, int fd, const char *path, struct buf *out,
                    struct error *err)
{
    uint8_t beyond;
    size_t n = 1;

    while (n > 0 && out->n < out->max) {
        size_t room = out->max - out->n;
        if (step_read(env, fd, room < READ_BYTES ? room : READ_BYTES, path, out, &n, err) < 0)
            return -1;
    }
    if (n > 0 && env_pread(env, fd, &beyond, 1, (int64_t)out->n, path, &n, err) < 0)
        return -1;
    if (n > 0)
        return error_set(err, ERR_LIMIT, 0, "%s is longer than %zu bytes", path, out->max);
    return 0;
}

int file_read(const struct env *env, const char *path, struct buf *out, struct error *err)
{
    int fd;

    ASSERT(out->n == 0);
    if (env_open(env, path, O_RDONLY, 0, &fd, err) < 0)
        return -1;
    int rc = all_read(env, fd, path, out, err);
    env_close_quietly(env, fd);
    return rc;
}
