/*
 * The error value: formatting that keeps the cause, and the tables over its codes.
 *
 * A text that outgrows its array keeps the beginning (what was attempted) and the end (why it
 * failed); the middle becomes " ... ".
 */
#include "lib/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/assert.h"

#ifdef __clang_analyzer__ /* what error.h tells the analyzer is made true here */
#undef error_set
#undef error_set_errno
#undef error_wrap
#undef error_hint
#endif

static const char ellipsis[] = " ... ";

/* Copies prefix and rest into err->text, dropping what is between if both do not fit. */
static void text_join(struct error *err, const char *prefix, const char *rest)
{
    char joined[2 * ERROR_TEXT_BYTES + 4];
    int n = snprintf(joined, sizeof(joined), "%s%s%s", prefix, *rest ? ": " : "", rest);
    size_t len = n < 0 ? 0 : (size_t)n;

    if (len >= sizeof(joined))
        len = sizeof(joined) - 1;
    if (len < ERROR_TEXT_BYTES) {
        memcpy(err->text, joined, len + 1);
        return;
    }
    size_t head = ERROR_TEXT_BYTES / 3;
    size_t tail = ERROR_TEXT_BYTES - 1 - head - (sizeof(ellipsis) - 1);
    memcpy(err->text, joined, head);
    memcpy(err->text + head, ellipsis, sizeof(ellipsis) - 1);
    memcpy(err->text + head + sizeof(ellipsis) - 1, joined + len - tail, tail);
    err->text[ERROR_TEXT_BYTES - 1] = '\0';
}

int error_set(struct error *err, enum error_code code, int origin, const char *fmt, ...)
{
    char text[ERROR_TEXT_BYTES];
    va_list ap;

    ASSERT(code != ERR_NONE);
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is still the best we have */
    va_end(ap);
    err->code = code;
    err->origin = origin;
    err->hint[0] = '\0';
    text_join(err, text, "");
    return -1;
}

int error_set_errno(struct error *err, int errnum, const char *fmt, ...)
{
    char text[ERROR_TEXT_BYTES];
    char reason_space[128];
    const char *reason = strerror_r(errnum, reason_space, sizeof(reason_space));
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is still the best we have */
    va_end(ap);
    err->code = error_code_of_errno(errnum);
    err->origin = errnum;
    err->hint[0] = '\0';
    text_join(err, text, reason);
    return -1;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
    char text[ERROR_TEXT_BYTES];
    char rest[ERROR_TEXT_BYTES];
    va_list ap;

    ASSERT(err->code != ERR_NONE);
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is still the best we have */
    va_end(ap);
    memcpy(rest, err->text, sizeof(rest));
    text_join(err, text, rest);
    return -1;
}

int error_hint(struct error *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(err->hint, sizeof(err->hint), fmt, ap); /* cut, but still a hint */
    va_end(ap);
    return -1;
}

void error_clear(struct error *err)
{
    err->code = ERR_NONE;
    err->origin = 0;
    err->text[0] = '\0';
    err->hint[0] = '\0';
}

enum error_code error_code_of_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_ACCESS;
    case EAGAIN:
    case EBUSY:
        return ERR_BUSY;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELED;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_UNAVAILABLE;
    case EMFILE:
    case ENFILE:
        return ERR_LIMIT;
    case EOPNOTSUPP:
    case ENOSYS:
        return ERR_UNSUPPORTED;
    default:
        return ERR_IO;
    }
}

/* One row a code: the name users see, whether to try again, and the exit status. */
static const struct code_row {
    const char *name;
    bool is_retryable;
    int exit_status;
} code_table[] = {
    [ERR_NONE] = {"none", false, 0},
    [ERR_USAGE] = {"usage", false, 2},
    [ERR_NOT_FOUND] = {"not_found", false, 1},
    [ERR_EXISTS] = {"exists", false, 1},
    [ERR_CONFLICT] = {"conflict", true, 1},
    [ERR_EXPIRED] = {"expired", true, 1},
    [ERR_FENCED] = {"fenced", false, 5},
    [ERR_CORRUPT] = {"corrupt", false, 4},
    [ERR_GAP] = {"gap", false, 4},
    [ERR_LIMIT] = {"limit", false, 1},
    [ERR_NO_MEMORY] = {"no_memory", true, 1},
    [ERR_NO_SPACE] = {"no_space", true, 1},
    [ERR_IO] = {"io", true, 1},
    [ERR_BUSY] = {"busy", true, 1},
    [ERR_ACCESS] = {"access", false, 1},
    [ERR_UNAVAILABLE] = {"unavailable", true, 1},
    [ERR_TIMEOUT] = {"timeout", true, 1},
    [ERR_CANCELED] = {"canceled", false, 1},
    [ERR_WRONG_STATE] = {"state", false, 1},
    [ERR_UNSUPPORTED] = {"unsupported", false, 1},
};

static const struct code_row *code_row(enum error_code code)
{
    ASSERT((size_t)code < ARRAY_LEN(code_table));
    return &code_table[code];
}

const char *error_code_name(enum error_code code)
{
    return code_row(code)->name;
}

bool error_is_retryable(enum error_code code)
{
    return code_row(code)->is_retryable;
}

int error_exit_status(enum error_code code)
{
    return code_row(code)->exit_status;
}
