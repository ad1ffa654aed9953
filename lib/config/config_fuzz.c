/*
 * Any bytes as litestream.yml: no crash, no leak; what is accepted can be explained, in both
 * forms, and every database has what consumers rely on.
 */
#include "lib/config/config.h"

#include <stdlib.h>
#include <string.h>

#include "lib/config/config_check.h"

enum {
    OUT_BYTES_MAX = 64 << 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *fuzz_getenv(void *arg UNUSED, const char *name)
{
    return strcmp(name, "HOME") == 0 ? "/home/fuzz" : NULL;
}

static void db_check(const struct config_db *db)
{
    ASSERT((db->path != NULL) != (db->dir != NULL));
    ASSERT(!db->path || (db->path[0] == '/' && db->meta_path));
    ASSERT(db->replica_count >= 1 && db->replica_count <= CONFIG_REPLICAS_MAX);
    for (size_t i = 0; i < db->replica_count; i++) {
        const struct config_replica *r = &db->replicas[i];
        ASSERT(r->name && r->url && r->path);
        ASSERT(r->backend == CONFIG_BACKEND_FILE || r->s3.bucket);
        ASSERT(r->sync_interval_ns > 0 && r->snapshot_interval_ns > 0);
        ASSERT(r->snapshot_retention_ns > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CLEANUP(config_cleanup) struct config *c = NULL;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(OUT_BYTES_MAX);
    const struct config_options options = {.getenv = fuzz_getenv};
    struct error err = ERROR_INIT;
    struct json_writer w;

    if (config_parse(slice_of(data, n), "fuzz.yml", &options, &c, &err) < 0) {
        ASSERT(err.code == ERR_USAGE || err.code == ERR_UNSUPPORTED || err.code == ERR_LIMIT);
        return 0;
    }
    ASSERT(c->level_count >= 1 && c->level_count <= CONFIG_LEVELS_MAX);
    for (size_t i = 0; i < c->db_count; i++)
        db_check(&c->dbs[i]);
    ASSERT(config_check_text(c, true, &out, &err) == 0);
    json_writer_init(&w, &out, JSON_COMPACT);
    config_check_json(c, &w, NULL);
    ASSERT(json_writer_finish(&w, &err) == 0);
    return 0;
}
