/*
 * Files that belong together, written into a new folder, a tar archive, or a tar stream on standard
 * output. Names are relative paths below a first folder that tells what it is.
 *
 * Format of the archive: POSIX ustar, 512-byte headers (IEEE Std 1003.1, pax, "ustar Interchange
 * Format"); names beyond 100 bytes are split at a slash into prefix and name.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_BUNDLE_H
#define WALFERRY_CONTROLLER_PLUGIN_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/io/durable_file.h"

struct bundle {
    const struct env *env;
    const char *path;         /* borrowed; "-": standard output */
    const char *root;         /* first folder of every name; borrowed */
    bool is_folder;           /* else a tar */
    struct durable_file file; /* of a tar that is no stream */
    uint64_t mtime_ns;
    unsigned file_count;
};

/*
 * Begins. A path that ends in ".tar" is an archive, "-" a stream, anything else a folder; what has
 * the name already is ERR_EXISTS. ERR_NOT_FOUND (no such parent), ERR_ACCESS, ERR_NO_SPACE.
 */
MUST_USE int bundle_open(struct bundle *b, const struct env *env, const char *path,
                         const char *root, struct error *err);

/* Adds a file; name "a/b.json". ERR_LIMIT: the name is too long; ERR_NO_SPACE, ERR_IO. */
MUST_USE int bundle_add(struct bundle *b, const char *name, struct slice content,
                        struct error *err);

/* Ends it: only now is an archive at its path. */
MUST_USE int bundle_commit(struct bundle *b, struct error *err);

/* For CLEANUP: an archive that was not committed is removed; a folder stays. */
void bundle_abort(struct bundle *b);

#endif
