/*
 * Buckets that were probed by this process, so that a thousand databases in one bucket cost one
 * probe. The key is the URL up to the prefix: "s3://bucket".
 */
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/engine_internal.h"

struct probed_bucket {
    struct probed_bucket *next;
    bool can_create;
    size_t key_bytes;
    char key[];
};

/* Length of the part before the prefix. */
static size_t key_bytes_of(const char *url)
{
    const char *host = strstr(url, "://");

    if (!host)
        return strlen(url);
    return (size_t)(host - url) + 3 + strcspn(host + 3, "/");
}

bool probe_cache_find(const struct engine *e, const char *url, bool *out_can_create)
{
    size_t n = key_bytes_of(url);

    for (const struct probed_bucket *p = e->probed; p; p = p->next) {
        if (p->key_bytes == n && memcmp(p->key, url, n) == 0) {
            *out_can_create = p->can_create;
            return true;
        }
    }
    return false;
}

void probe_cache_add(struct engine *e, const char *url, bool can_create)
{
    size_t n = key_bytes_of(url);
    struct error ignored = ERROR_INIT; /* no memory: the next one probes for itself */
    struct probed_bucket *p = mem_new(1, sizeof(*p) + n, &ignored);

    if (!p)
        return;
    p->can_create = can_create;
    p->key_bytes = n;
    memcpy(p->key, url, n);
    p->next = e->probed;
    e->probed = p;
}

void probe_cache_destroy(struct engine *e)
{
    while (e->probed) {
        struct probed_bucket *p = e->probed;
        e->probed = p->next;
        free(p);
    }
}
