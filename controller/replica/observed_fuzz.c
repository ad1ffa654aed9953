/*
 * Fuzzer: whatever a pod answers on /status ends as a struct or as an error.
 */
#include "controller/replica/observed.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct observed *o = NULL;
    struct error err = ERROR_INIT;

    if (observed_parse(slice_of(data, n), &o, &err) < 0) {
        ASSERT(err.text[0]);
        return 0;
    }
    for (size_t i = 0; i < o->database_count; i++)
        ASSERT(memchr(o->databases[i].path, 0, sizeof(o->databases[i].path)));
    free(o);
    return 0;
}
