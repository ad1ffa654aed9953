/*
 * SQLite's memory in a life: what it gets is always filled with the same byte.
 *
 * SQLite writes whole pages, also their unused parts, and these are what malloc() had there; with
 * one pattern a seed makes the same bytes each time. Only SQLite's memory is filled: the heap's own
 * M_PERTURB would do it for everything, and a quarter of a life went into that.
 *
 * The heap keeps what it was given: to hand pages back to the kernel and to take them anew is of no
 * interest here, and was dear. So malloc_trim(), by which the engine gives back what it does not need,
 * is replaced by one that does nothing.
 */
#include <malloc.h>
#include <sqlite3.h>
#include <string.h>

#include "lib/testing/test.h"
#include "sidecar/sim/sim_internal.h"

enum {
    FILL = 0xa5,
    KEPT_BYTES = 64 << 20,
};

int malloc_trim(size_t pad UNUSED)
{
    return 0;
}

static sqlite3_mem_methods real;

static void *filled_malloc(int n)
{
    void *p = real.xMalloc(n);

    return p ? memset(p, FILL, (size_t)real.xSize(p)) : NULL;
}

static void *filled_realloc(void *p, int n)
{
    int before = real.xSize(p);
    uint8_t *grown = real.xRealloc(p, n);

    if (grown && real.xSize(grown) > before)
        memset(grown + before, FILL, (size_t)(real.xSize(grown) - before));
    return grown;
}

void memory_begin(void)
{
    sqlite3_mem_methods methods;

    if (real.xMalloc)
        return;
    IGNORE(mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)); /* a sanitizer has a heap of its own */
    IGNORE(mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)); /* likewise; and the next one */
    IGNORE(mallopt(M_TOP_PAD, 1 << 20));
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
    methods = real;
    methods.xMalloc = filled_malloc;
    methods.xRealloc = filled_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
}
