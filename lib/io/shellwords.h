/*
 * A command line in one string (the value of `exec:`), split into words like a POSIX shell does,
 * without any of its expansions: blanks separate, '...' is literal, "..." keeps blanks, a backslash
 * makes the next character ordinary (inside double quotes only before $ ` " \ and line end).
 * $NAME, *, ~ and # are ordinary characters. What would make a shell do more than start one program
 * (; & | < > ( ) and a line end, unquoted) is refused rather than passed on as a word.
 * Source: POSIX.1-2017, Shell Command Language, section 2.2 (Quoting). Threads: any.
 */
#ifndef WALFERRY_LIB_IO_SHELLWORDS_H
#define WALFERRY_LIB_IO_SHELLWORDS_H

#include <stddef.h>

#include "lib/base/base.h"

enum {
    SHELLWORDS_MAX = 1024,        /* words */
    SHELLWORDS_BYTES_MAX = 131072 /* of the whole line: what the kernel takes for one argument */
};

struct shellwords {
    char **argv; /* ends with NULL, as exec wants it */
    size_t argc; /* at least 1 */
};

#define SHELLWORDS_INIT {.argv = NULL}

/* ERR_USAGE (no word, a quote without end, an operator), ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int shellwords_split(const char *line, struct shellwords *out, struct error *err);

/* Frees the words; accepts SHELLWORDS_INIT. */
void shellwords_destroy(struct shellwords *w);

/* Appends word quoted so that shellwords_split() (and a shell) reads it back as one word. */
MUST_USE int shellwords_quote(const char *word, struct buf *out, struct error *err);

#endif
