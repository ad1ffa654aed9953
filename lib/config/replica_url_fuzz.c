/*
 * Any text as a replica URL: no crash, and the URL for people reads back to the same place.
 */
#include "lib/config/replica_url.h"

#include <stdlib.h>
#include <string.h>

enum {
    OUT_BYTES_MAX = 64 << 10,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void round_trip(const struct replica_url *u)
{
    CLEANUP(replica_url_destroy) struct replica_url again = {0};
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(OUT_BYTES_MAX);
    struct error err = ERROR_INIT;

    ASSERT(replica_url_format(u->backend, u->bucket, u->path, u->endpoint, &text, &err) == 0);
    if (replica_url_parse(buf_str(&text), &again, &err) < 0) {
        /* Escapes took too much room, a path was no URL before, or a bucket is called as a host. */
        ASSERT(err.code == ERR_LIMIT || u->backend == CONFIG_BACKEND_FILE ||
               strchr(u->bucket, '.'));
        return;
    }
    if (again.path_style != CONFIG_UNSET)
        return; /* a bucket whose name looks like a provider's host */
    ASSERT(again.backend == u->backend);
    ASSERT(is_same(again.bucket, u->bucket));
    ASSERT(is_same(again.path, u->path));
    if (u->endpoint)
        ASSERT(again.param_count == 1 && is_same(again.params[0].value, u->endpoint));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CLEANUP(replica_url_destroy) struct replica_url u = {0};
    CLEANUP(mem_free) char *text = n > 0 ? strndup((const char *)data, n) : strdup("");
    struct error err = ERROR_INIT;

    if (!text || replica_url_parse(text, &u, &err) < 0)
        return 0;
    if (u.backend == CONFIG_BACKEND_FILE || u.backend == CONFIG_BACKEND_S3)
        round_trip(&u);
    return 0;
}
