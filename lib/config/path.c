/*
 * Path expansion on the text alone; see path.h for the steps.
 */
#include "lib/config/path.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void path_clean(char *path)
{
    char *end = path; /* the result grows here; it is never longer than what was read */
    const char *p = path;

    ASSERT(*path == '/');
    while (*p) {
        while (*p == '/')
            p++;
        size_t n = strcspn(p, "/");
        bool is_up = n == 2 && p[0] == '.' && p[1] == '.';
        bool is_here = n == 1 && p[0] == '.';
        if (is_up) {
            while (end > path) {
                end--;
                if (*end == '/')
                    break;
            }
        } else if (n > 0 && !is_here) {
            *end++ = '/';
            memmove(end, p, n);
            end += n;
        }
        p += n;
    }
    if (end == path)
        *end++ = '/';
    *end = '\0';
}

char *path_join(const char *folder, const char *name, struct error *err)
{
    size_t n = strlen(folder);

    while (n > 0 && folder[n - 1] == '/')
        n--;
    while (*name == '/')
        name++;
    return str_printf(err, "%.*s/%s", (int)n, folder, name);
}

/* Step 1. */
static const char *scheme_skip(const char *text)
{
    static const char *const schemes[] = {"sqlite3://", "sqlite://"};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            return text + strlen(schemes[i]);
    }
    return text;
}

/* Step 3: below the current folder. */
static char *relative_expand(const char *text, struct error *err)
{
    char folder[PATH_MAX];

    if (!getcwd(folder, sizeof(folder))) {
        (void)error_set_errno(err, errno, "current folder, for the relative path \"%.200s\"", text);
        return NULL;
    }
    return path_join(folder, text, err);
}

int path_expand(const char *text, const char *home, char **out, struct error *err)
{
    CLEANUP(mem_free) char *path = NULL;
    const char *rest = scheme_skip(text);

    if (!*rest)
        return error_set(err, ERR_USAGE, 0, "the path is empty");
    if (*rest == '~' && rest[1] != '/' && rest[1] != '\0') {
        return error_set(err, ERR_USAGE, 0,
                         "\"%.200s\": only ~ and ~/... are known, not other users' folders", text);
    }
    if (*rest == '~' && (!home || *home != '/')) {
        return error_set(err, ERR_USAGE, 0, "\"%.200s\": HOME is not set to an absolute path",
                         text);
    }
    if (*rest == '~')
        path = path_join(home, rest + 1, err);
    else if (*rest == '/')
        path = str_dup(rest, err);
    else
        path = relative_expand(rest, err);
    if (!path)
        return -1;
    path_clean(path);
    *out = TAKE(path);
    return 0;
}
