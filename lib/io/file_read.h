/*
 * A small file, read whole: configuration, certificates, tokens.
 */
#ifndef WALFERRY_LIB_IO_FILE_READ_H
#define WALFERRY_LIB_IO_FILE_READ_H

#include "lib/base/base.h"

/*
 * Adds the content of the file at path to out, whatever its size is said to be (it may be a pipe's
 * end or a ConfigMap). ERR_NOT_FOUND, ERR_ACCESS, ERR_IO; ERR_LIMIT: longer than out's maximum.
 */
MUST_USE int file_read(const struct env *env, const char *path, struct buf *out, struct error *err);

#endif
