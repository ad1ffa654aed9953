/*
 * An environment over the real one whose file operations can fail, or kill the process, at the
 * n-th call: for fault loops ("fail call 1, 2, 3, ... until the case passes").
 *
 *     for (uint64_t n = 1;; n++) {
 *         struct fault_env fe;
 *         fault_env_init(&fe, FAULT_FAIL, n);
 *         int rc = case_run(&fe.env, &err);
 *         if (!fault_env_has_struck(&fe)) break;      the case needs fewer than n calls
 *         assert_error(rc, ...), and nothing half-made is left
 *     }
 *
 * Closing always closes, whatever it answers. Clock and randomness are the real ones.
 * Threads: the counter is atomic, so operations of workers count too.
 */
#ifndef WALFERRY_LIB_TESTING_FAULT_ENV_H
#define WALFERRY_LIB_TESTING_FAULT_ENV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

enum fault_kind {
    FAULT_NONE, /* only count */
    FAULT_FAIL, /* the n-th call answers -EIO (-ENOSPC where it needs space), others are real */
    FAULT_KILL, /* SIGKILL of the process before the n-th call */
};

struct fault_env {
    struct env env; /* what the code under test gets */
    enum fault_kind kind;
    atomic_uint_fast64_t strike_at; /* from 1; 0: none */
    atomic_uint_fast64_t calls;     /* file operations so far */
    bool counts_reads; /* pread, stats and listings count too; set after init; default true */
};

/* Prepares fe; it must stay where it is while fe->env is used. */
void fault_env_init(struct fault_env *fe, enum fault_kind kind, uint64_t strike_at);

/* Counts anew from here on, while the code under test may be running: the call strike_at (0: none)
 * will strike. Answers how many there were until now. */
uint64_t fault_env_arm(struct fault_env *fe, uint64_t strike_at);

/* Whether the n-th call was made. */
bool fault_env_has_struck(const struct fault_env *fe);

#endif
