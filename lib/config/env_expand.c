/*
 * Replaces $NAME and ${NAME}; the rules are in env_expand.h. One pass, left to right; what a
 * variable brings is not expanded again.
 */
#include "lib/config/env_expand.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

enum {
    NAME_BYTES_MAX = 128
};

/* Length of the variable's name at p, 0 if none begins there. */
static size_t name_length(const char *p)
{
    size_t n = 0;

    if (isdigit((unsigned char)*p))
        return 0;
    while (isalnum((unsigned char)p[n]) || p[n] == '_')
        n++;
    return n;
}

static int value_append(const struct env_expand *x, const char *p, size_t n, struct buf *out,
                        struct error *err)
{
    char name[NAME_BYTES_MAX + 1];

    if (n > NAME_BYTES_MAX)
        return error_set(err, ERR_USAGE, 0, "the variable's name \"%.32s...\" is too long", p);
    memcpy(name, p, n);
    name[n] = '\0';
    if (strcmp(name, "PID") == 0)
        return buf_printf(out, err, "%ld", (long)getpid());
    const char *value = x->getenv(x->getenv_arg, name);
    if (value)
        return buf_append_str(out, value, err);
    return x->on_unset ? x->on_unset(x->on_unset_arg, name, err) : 0;
}

/* Handles what begins with the dollar sign at *p and moves *p behind it. */
static int dollar_expand(const struct env_expand *x, const char **p, struct buf *out,
                         struct error *err)
{
    const char *start = *p;
    bool has_brace = start[1] == '{';
    const char *name = start + (has_brace ? 2 : 1);
    size_t n = name_length(name);

    if (start[1] == '$') {
        *p = start + 2;
        return buf_append_byte(out, '$', err);
    }
    if (has_brace && (n == 0 || name[n] != '}')) {
        return error_set(err, ERR_USAGE, 0,
                         "\"%.32s\": only ${NAME} is known; write $${ for the text ${", start);
    }
    if (n == 0) {
        *p = start + 1;
        return buf_append_byte(out, '$', err);
    }
    *p = name + n + (has_brace ? 1 : 0);
    return value_append(x, name, n, out, err);
}

int env_expand(const struct env_expand *x, const char *text, struct buf *out, struct error *err)
{
    const char *p = text;

    while (*p) {
        size_t n = strcspn(p, "$");
        if (buf_append(out, p, n, err) < 0)
            return -1;
        p += n;
        if (*p && dollar_expand(x, &p, out, err) < 0)
            return -1;
    }
    return 0;
}
