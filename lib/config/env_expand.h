/*
 * Environment variables in configuration values.
 *
 *   $NAME ${NAME}   the variable; NAME is [A-Za-z_][A-Za-z0-9_]*. Not set: empty, as in
 *                   Litestream, but reported, so that a typing error or a '$' in a password shows
 *   $PID  ${PID}    the process id, whatever the environment says
 *   $$              one dollar sign: the escape
 *   $ before anything else ("$1", "$!", "5$", "$ x")   stays as it is
 *   ${ without a name and "}"   an error: somebody meant more than there is ("${A:-b}")
 *
 * Decision: expansion is applied to each scalar value of the parsed document, not to the raw text
 * as Litestream does. So comments are left alone, a value cannot inject YAML (a password with "#"
 * or ": " in it stays a password), and keys are never expanded. What it costs: a variable cannot
 * bring a list or a mapping. A plain value that becomes empty counts as not given.
 */
#ifndef WALFERRY_LIB_CONFIG_ENV_EXPAND_H
#define WALFERRY_LIB_CONFIG_ENV_EXPAND_H

#include "lib/base/base.h"

enum {
    ENV_EXPAND_BYTES_MAX = 1 << 20 /* of an expanded value */
};

struct env_expand {
    const char *(*getenv)(void *arg, const char *name);
    void *getenv_arg;
    /* Called for each variable that is not set; may be NULL. -1 with err filled ends it. */
    int (*on_unset)(void *arg, const char *name, struct error *err);
    void *on_unset_arg;
};

/*
 * Adds text with its variables replaced to out. ERR_USAGE for a malformed "${", ERR_LIMIT,
 * ERR_NO_MEMORY.
 */
MUST_USE int env_expand(const struct env_expand *x, const char *text, struct buf *out,
                        struct error *err);

#endif
