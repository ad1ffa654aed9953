/*
 * Fuzzes the parsers of object names: a listing is hostile input. Property: a key is recognised by
 * at most one parser, and only if formatting what was parsed gives the same bytes.
 */
#include "lib/storage/object_name.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum storage_layout layouts[] = {STORAGE_LAYOUT_HEX, STORAGE_LAYOUT_LTX};
    char formatted[STORAGE_KEY_BYTES_MAX];
    struct object_name name;
    uint32_t epoch;
    uint32_t owner;
    unsigned recognised = 0;
    char *key = malloc(n + 1); /* exactly as long as it is, so that reading beyond shows */

    if (!key)
        return 0;
    if (n > 0)
        memcpy(key, data, n);
    key[n] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        if (!object_name_parse(layouts[i], key, &name))
            continue;
        recognised++;
        ASSERT(strcmp(object_name_format(layouts[i], &name, formatted), key) == 0);
    }
    if (object_name_parse_fenced(key, &epoch, &owner, &name)) {
        recognised++;
        ASSERT(
            strcmp(object_name_format_fenced(epoch, owner, name.min_txid, name.max_txid, formatted),
                   key) == 0);
    }
    ASSERT(recognised <= 1);
    free(key);
    return 0;
}
