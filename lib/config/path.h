/*
 * Paths as people write them become absolute ones:
 *
 *   1. one leading "sqlite3://" or "sqlite://" is dropped
 *   2. "~" alone or "~/..." begins in the home folder
 *   3. a relative path begins in the current folder
 *   4. "//", "/./" and a trailing "/" disappear, "x/.." is cancelled
 *
 * All of it on the text: nothing is opened and no symbolic link is resolved, so the path names
 * what the user wrote also when a link changes later. ("link/.." means the folder of the link, as
 * in a shell; Go's filepath.Abs, which Litestream uses, does the same.)
 */
#ifndef WALFERRY_LIB_CONFIG_PATH_H
#define WALFERRY_LIB_CONFIG_PATH_H

#include "lib/base/base.h"

/*
 * Expands text; the caller frees *out. home may be NULL (unknown).
 * ERR_USAGE: empty text, "~user", "~" without a home folder. ERR_NO_MEMORY; ERR_NOT_FOUND if the
 * current folder is gone.
 */
MUST_USE int path_expand(const char *text, const char *home, char **out, struct error *err);

/* Steps 4 only, on an absolute path, in place. */
void path_clean(char *path);

/* folder + "/" + name without doubled slashes; the caller frees. NULL with ERR_NO_MEMORY. */
MUST_USE char *path_join(const char *folder, const char *name, struct error *err);

#endif
