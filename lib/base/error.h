/*
 * The one error type: a plain value that travels up by pointer, collecting "for what" on its way.
 *
 * A function that can fail returns int: 0 (or an iterator's 1 and 0), or -1 with *err filled. It
 * takes `struct error *err` last, never NULL. The one who knows the cause calls error_set(); each
 * level that knows for what adds its part by error_wrap(); the top logs or prints the text once:
 *
 *     restore /data/app.db: page index: GET ltx/0/0000...: 403 AccessDenied
 *     hint: the credentials need s3:GetObject on the prefix
 *
 * Nothing is allocated, so nothing leaks and it works when memory is out. An overlong text loses
 * its middle, never its cause (the end).
 */
#ifndef WALFERRY_LIB_BASE_ERROR_H
#define WALFERRY_LIB_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/attr.h"

/* A code exists only because somebody branches on it. */
enum error_code {
    ERR_NONE = 0,
    ERR_USAGE,       /* command line or configuration is wrong */
    ERR_NOT_FOUND,   /* the object, file or database is positively not there */
    ERR_EXISTS,      /* create-if-absent was refused: something has that name */
    ERR_CONFLICT,    /* it was changed by somebody else meanwhile: read it again */
    ERR_EXPIRED,     /* what this refers to is too old to be known: begin anew */
    ERR_FENCED,      /* another writer owns the prefix */
    ERR_CORRUPT,     /* bytes that a format forbids, or a checksum that does not fit */
    ERR_GAP,         /* the chain of TXIDs has a hole before the wanted moment */
    ERR_LIMIT,       /* a named maximum was reached */
    ERR_NO_MEMORY,   /* malloc answered NULL */
    ERR_NO_SPACE,    /* ENOSPC, EDQUOT: the disk is full */
    ERR_IO,          /* a file or socket operation failed */
    ERR_BUSY,        /* a lock is held by somebody else; later it may not be */
    ERR_ACCESS,      /* credentials or permissions are refused */
    ERR_UNAVAILABLE, /* the other side is away, overloaded or answered 5xx */
    ERR_TIMEOUT,     /* a deadline passed */
    ERR_CANCELED,    /* somebody asked to stop */
    ERR_WRONG_STATE, /* the thing is in a named state in which this cannot be done */
    ERR_UNSUPPORTED, /* valid, but this version or this store cannot do it */
};

enum {
    ERROR_TEXT_BYTES = 768
};

struct error {
    enum error_code code;
    int origin; /* errno, HTTP status or SQLite result behind it; 0 if none */
    char text[ERROR_TEXT_BYTES];
    char hint[256]; /* what the user can do; empty if nothing is known */
};

#define ERROR_INIT {.code = ERR_NONE}

/*
 * Fills err with a cause. Overwrites whatever was there.
 * Returns -1, so that raising is one line: return error_set(err, ERR_CORRUPT, 0, "...").
 */
int error_set(struct error *err, enum error_code code, int origin, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/*
 * Fills err from an errno value: the code is chosen by error_code_of_errno(), the text is
 * "<fmt>: <strerror>". Returns -1.
 */
int error_set_errno(struct error *err, int errnum, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Puts "<fmt>: " before the text of err, which keeps its code, origin and hint. Returns -1.
 */
int error_wrap(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Sets the line that tells the user what to do next. Returns -1. */
int error_hint(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#ifdef __clang_analyzer__
/* "Returns -1", in a form that clang's analyzer believes without seeing error.c. */
#define error_set(...)       (IGNORE(error_set(__VA_ARGS__)), -1)
#define error_set_errno(...) (IGNORE(error_set_errno(__VA_ARGS__)), -1)
#define error_wrap(...)      (IGNORE(error_wrap(__VA_ARGS__)), -1)
#define error_hint(...)      (IGNORE(error_hint(__VA_ARGS__)), -1)
#endif

/* err as after ERROR_INIT. */
void error_clear(struct error *err);

/* The code for an errno value: ENOENT is ERR_NOT_FOUND, ENOSPC and EDQUOT ERR_NO_SPACE, ... */
enum error_code error_code_of_errno(int errnum);

/* Short lower-case word for a code ("corrupt"), for JSON and metrics. Never NULL. */
const char *error_code_name(enum error_code code);

/* Whether the same request may succeed when repeated: the one table for retries. */
bool error_is_retryable(enum error_code code);

/*
 * Exit status of a command that ended with this code: 0 done, 1 failed, 2 usage or configuration,
 * 3 nothing to restore, 4 damaged data (ERR_CORRUPT, ERR_GAP), 5 fenced.
 */
int error_exit_status(enum error_code code);

#endif
