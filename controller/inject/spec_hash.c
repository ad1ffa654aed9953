/*
 * The hash of all that pods get from a SqliteReplica: what is written here is what a pod would have
 * to be made anew for. What the sidecar takes up live from its mounted configuration is left out.
 */
#include <inttypes.h>

#include "controller/inject/inject_internal.h"

enum {
    SPEC_BYTES_MAX = 256 << 10,
};

static void put_resources(struct json_writer *w, const char *key, const struct api_resources *r)
{
    json_writer_array(w, key);
    json_writer_str(w, NULL, r->cpu_request);
    json_writer_str(w, NULL, r->memory_request);
    json_writer_str(w, NULL, r->cpu_limit);
    json_writer_str(w, NULL, r->memory_limit);
    json_writer_end(w);
}

static void put_sidecar(struct json_writer *w, const struct api_sidecar *s,
                        const struct inject_options *options)
{
    json_writer_str(w, "image", s->image ? s->image : options->image);
    json_writer_str(w, "pull", s->pull_policy ? s->pull_policy : options->pull_policy);
    put_resources(w, "resources", &s->resources);
    put_resources(w, "restore-resources", &s->restore_resources);
    json_writer_u64(w, "port", s->metrics_port);
    json_writer_u64(w, "flush", s->flush_ns);
    if (s->has_user)
        json_writer_u64(w, "user", s->user);
    if (s->has_group)
        json_writer_u64(w, "group", s->group);
    json_writer_array(w, "env");
    for (size_t i = 0; i < s->env_count; i++) {
        json_writer_str(w, NULL, s->env[i].name);
        json_writer_str(w, NULL, s->env[i].value);
    }
    json_writer_end(w);
}

static void put_store(struct json_writer *w, const char *name, const struct api_store *s,
                      bool is_read_only)
{
    json_writer_array(w, NULL);
    json_writer_str(w, NULL, name);
    json_writer_str(w, NULL, s->credentials_secret);
    json_writer_str(w, NULL, s->ca_secret);
    json_writer_str(w, NULL, s->ca_config_map);
    json_writer_str(w, NULL, s->sse_secret);
    json_writer_str(w, NULL, s->claim);
    json_writer_str(w, NULL, s->sub_path);
    if (is_read_only) /* not in every text: pods of an earlier version stay as they are */
        json_writer_str(w, NULL, "ReadOnly");
    json_writer_end(w);
}

static void put_databases(struct json_writer *w, const struct api_replica *r)
{
    json_writer_array(w, "databases");
    for (size_t i = 0; i < r->database_count; i++) {
        const struct api_database *db = &r->databases[i];
        json_writer_array(w, NULL);
        json_writer_str(w, NULL, db->name);
        json_writer_str(w, NULL, db->path);
        json_writer_str(w, NULL, db->container);
        json_writer_str(w, NULL, db->volume);
        json_writer_end(w);
    }
    json_writer_end(w);
}

static void put_restore(struct json_writer *w, const struct api_replica *r)
{
    json_writer_array(w, "restore");
    json_writer_u64(w, NULL, r->restore.policy);
    json_writer_str(w, NULL, r->restore.target_time);
    json_writer_str(w, NULL, r->restore.target_txid);
    json_writer_u64(w, NULL, r->restore.integrity);
    json_writer_bool(w, NULL, r->restore.may_start_empty);
    json_writer_u64(w, NULL, r->restore.parallelism);
    json_writer_end(w);
}

int inject_spec_hash(const struct api_replica *replica, const struct api_bucket *const *buckets,
                     size_t bucket_count, const struct inject_options *options,
                     char out[static INJECT_HASH_BYTES], struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(SPEC_BYTES_MAX);
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;
    struct json_writer w;

    json_writer_init(&w, &text, JSON_COMPACT);
    json_writer_object(&w, NULL);
    put_sidecar(&w, &replica->sidecar, options);
    put_databases(&w, replica);
    json_writer_str(&w, "container", replica->container);
    put_restore(&w, replica);
    json_writer_bool(&w, "gates-readiness", replica->lag.gates_readiness);
    json_writer_bool(&w, "prometheus", replica->prometheus_annotations);
    json_writer_array(&w, "destinations");
    for (size_t i = 0; i < replica->destination_count; i++) {
        const struct api_destination *d = &replica->destinations[i];
        if (api_destination_store(d, buckets, bucket_count, &store, &bucket, err) < 0)
            return -1;
        put_store(&w, d->name, store, bucket && bucket->is_read_only);
    }
    json_writer_end(&w);
    json_writer_end(&w);
    if (json_writer_finish(&w, err) < 0)
        return -1;
    return inject_hash_text(buf_slice(&text), out, err);
}
