/*
 * Prefix templates: a scanner that answers one piece (text or variable) at a time; checking and
 * resolving both walk over the pieces.
 */
#include "controller/api/prefix.h"

#include <string.h>

enum variable {
    VARIABLE_NONE, /* plain text */
    VARIABLE_NAMESPACE,
    VARIABLE_NAME,
    VARIABLE_DATABASE,
    VARIABLE_POD_NAME,
    VARIABLE_UNKNOWN,
};

static const struct {
    const char *name;
    enum variable variable;
} variables[] = {
    {"namespace", VARIABLE_NAMESPACE},
    {"name", VARIABLE_NAME},
    {"database", VARIABLE_DATABASE},
    {"podName", VARIABLE_POD_NAME},
};

static enum variable variable_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        if (slice_eq_str(name, variables[i].name))
            return variables[i].variable;
    }
    return VARIABLE_UNKNOWN;
}

/* The next piece of *text, which is moved on. out is the text or the name of the variable.
 * VARIABLE_UNKNOWN with an empty out: a brace without its partner. */
static enum variable piece_next(const char **text, struct slice *out)
{
    const char *open = strstr(*text, "{{");

    if (open != *text) {
        size_t n = open ? (size_t)(open - *text) : strlen(*text);
        *out = slice_of(*text, n);
        *text += n;
        return memchr(out->p, '{', n) || memchr(out->p, '}', n) ? VARIABLE_UNKNOWN : VARIABLE_NONE;
    }
    const char *name = open + 2;
    const char *close = strstr(name, "}}");
    *out = slice_of(name, close ? (size_t)(close - name) : 0);
    *text = close ? close + 2 : name + strlen(name);
    return close ? variable_find(*out) : VARIABLE_UNKNOWN;
}

/* Steps between slashes: none empty, none "." or "..". */
static bool steps_are_plain(const char *text)
{
    for (const char *at = text;;) {
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        if (!at[n])
            return true;
        at += n + 1;
    }
}

int api_prefix_check(const char *template_text, struct error *err)
{
    const char *at = template_text;
    struct slice piece;

    for (const char *c = template_text; *c; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f || strchr("\\\"'`$?#%*<>|", *c)) {
            return error_set(err, ERR_CORRUPT, 0,
                             "prefix \"%.128s\" has a character that object keys should not have",
                             template_text);
        }
    }
    if (strlen(template_text) > 512 || !steps_are_plain(template_text)) {
        return error_set(err, ERR_CORRUPT, 0,
                         "prefix \"%.128s\" must be steps between single slashes, without one at "
                         "either end, of at most 512 characters",
                         template_text);
    }
    while (*at) {
        if (piece_next(&at, &piece) == VARIABLE_UNKNOWN) {
            return error_set(err, ERR_CORRUPT, 0,
                             "prefix \"%.128s\" has an unknown variable or a brace too many; there "
                             "are " API_PREFIX_VARIABLES,
                             template_text);
        }
    }
    return 0;
}

bool api_prefix_is_per_pod(const char *template_text)
{
    return strstr(template_text, "{{podName}}") != NULL;
}

int api_prefix_resolve(const struct api_replica *replica, const struct api_destination *destination,
                       const struct api_database *database, const struct api_bucket *bucket,
                       const char *pod_name, struct buf *out, struct error *err)
{
    const char *at = destination->prefix_template;
    struct slice piece;

    if (bucket && bucket->prefix[0] && buf_printf(out, err, "%s/", bucket->prefix) < 0)
        return -1;
    while (*at) {
        switch (piece_next(&at, &piece)) {
        case VARIABLE_NAMESPACE:
            piece = slice_of_str(replica->meta.namespace_name);
            break;
        case VARIABLE_NAME:
            piece = slice_of_str(replica->meta.name);
            break;
        case VARIABLE_DATABASE:
            piece = slice_of_str(database->name);
            break;
        case VARIABLE_POD_NAME:
            piece = slice_of_str(pod_name);
            break;
        case VARIABLE_NONE:
        case VARIABLE_UNKNOWN: /* refused by api_prefix_check() when it was parsed */
        default:
            break;
        }
        if (buf_append_slice(out, piece, err) < 0)
            return -1;
    }
    return 0;
}
