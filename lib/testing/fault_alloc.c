/*
 * A counter before the real functions. A call that fails does nothing else: what realloc() was
 * given stays.
 */
#include "lib/testing/fault_alloc.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

static atomic_bool is_armed;
static atomic_uint_fast64_t calls;
static atomic_uint_fast64_t strike_at;

void fault_alloc_arm(uint64_t n)
{
    atomic_store(&calls, 0);
    atomic_store(&strike_at, n);
    atomic_store(&is_armed, true);
}

bool fault_alloc_disarm(void)
{
    atomic_store(&is_armed, false);
    return atomic_load(&strike_at) > 0 && atomic_load(&calls) >= atomic_load(&strike_at);
}

uint64_t fault_alloc_calls(void)
{
    return atomic_load(&calls);
}

static bool strike(void)
{
    if (!atomic_load(&is_armed) || atomic_fetch_add(&calls, 1) + 1 != atomic_load(&strike_at))
        return false;
    errno = ENOMEM;
    return true;
}

void *fault_malloc(size_t n)
{
    return strike() ? NULL : malloc(n);
}

void *fault_calloc(size_t count, size_t size)
{
    return strike() ? NULL : calloc(count, size);
}

void *fault_realloc(void *p, size_t n)
{
    return strike() ? NULL : realloc(p, n);
}

void *fault_reallocarray(void *p, size_t count, size_t size)
{
    return strike() ? NULL : reallocarray(p, count, size);
}

char *fault_strdup(const char *text)
{
    return strike() ? NULL : strdup(text);
}

char *fault_strndup(const char *text, size_t n)
{
    return strike() ? NULL : strndup(text, n);
}

/* ---- SQLite ---- */

static sqlite3_mem_methods sqlite_real;

static void *sqlite_malloc(int n)
{
    return strike() ? NULL : sqlite_real.xMalloc(n);
}

static void *sqlite_realloc(void *p, int n)
{
    return strike() ? NULL : sqlite_real.xRealloc(p, n);
}

void fault_alloc_sqlite(void)
{
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_real), SQLITE_OK);
    sqlite3_mem_methods methods = sqlite_real;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
}
