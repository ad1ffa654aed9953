/*
 * Allocations that fail at the n-th call: for fault loops in tests named *_nth_test.c, whose lib/
 * and sidecar/ objects are linked with their allocations renamed to those of fault_alloc.c (see the
 * Makefile). Allocations of the test itself, of lib/testing and of libraries are the real ones;
 * SQLite's count after fault_alloc_sqlite().
 *
 *     for (uint64_t n = 1;; n++) {
 *         fault_alloc_arm(n);
 *         int rc = case_run(&err);
 *         if (!fault_alloc_disarm())
 *             break;                        the case needs fewer than n allocations
 *         assert_error(rc, &err, ERR_NO_MEMORY, "");
 *     }
 *
 * Threads: the counter is atomic, so allocations of workers count too.
 */
#ifndef WALFERRY_LIB_TESTING_FAULT_ALLOC_H
#define WALFERRY_LIB_TESTING_FAULT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From now on allocation number n (from 1) fails, once; 0: none does, they are counted. */
void fault_alloc_arm(uint64_t n);

/* No more counting. Answers whether the n-th was reached. */
bool fault_alloc_disarm(void);

/* Allocations since fault_alloc_arm(). */
uint64_t fault_alloc_calls(void);

/* SQLite's allocations count and fail, too. Before anything of SQLite is used; fails the test. */
void fault_alloc_sqlite(void);

/* What the objects under test call instead of the functions of these names. */
void *fault_malloc(size_t n);
void *fault_calloc(size_t count, size_t size);
void *fault_realloc(void *p, size_t n);
void *fault_reallocarray(void *p, size_t count, size_t size);
char *fault_strdup(const char *text);
char *fault_strndup(const char *text, size_t n);

#endif
