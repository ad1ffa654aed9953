/*
 * The configuration file of sidecars, written setting by setting. Every setting that the resource
 * has is written, also where it is the sidecar's default: a sidecar of another version then does
 * the same, and a reader of the ConfigMap sees what is in effect.
 *
 * Texts are written as JSON strings, which YAML reads; "$" is doubled, because the sidecar expands
 * environment variables in values. The one that is meant to be expanded is $POD_NAME in prefixes.
 */
#include "controller/api/sidecar_config.h"

#include <inttypes.h>

#include "controller/api/api.h"
#include "controller/api/prefix.h"
#include "lib/json/json_writer.h"

/* What is being written; the first failure sticks. */
struct writer {
    struct buf *out;
    struct error *err;
    bool is_failed;
};

static void put(struct writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void put(struct writer *w, const char *fmt, ...)
{
    va_list ap;

    if (w->is_failed)
        return;
    va_start(ap, fmt);
    w->is_failed = buf_vprintf(w->out, w->err, fmt, ap) < 0;
    va_end(ap);
}

/* "key: "text"", nothing for NULL. expands: a dollar sign is meant as such. */
static void put_text(struct writer *w, const char *key, const char *text, bool expands)
{
    CLEANUP(buf_destroy) struct buf doubled = BUF_INIT(API_CONFIG_BYTES_MAX);
    struct json_writer json;

    if (!text || w->is_failed)
        return;
    for (const char *c = text; *c && !w->is_failed; c++) {
        if (*c == '$' && !expands)
            w->is_failed = buf_append_byte(&doubled, '$', w->err) < 0;
        if (!w->is_failed)
            w->is_failed = buf_append_byte(&doubled, (uint8_t)*c, w->err) < 0;
    }
    put(w, "%s: ", key);
    if (w->is_failed)
        return;
    json_writer_init(&json, w->out, JSON_COMPACT);
    json_writer_slice(&json, NULL, buf_slice(&doubled));
    w->is_failed = json_writer_finish(&json, w->err) < 0;
    put(w, "\n");
}

static void put_duration(struct writer *w, const char *key, uint64_t ns)
{
    char text[TIME_TEXT_BYTES];

    put(w, "%s: %s\n", key, duration_format(ns, text));
}

static void put_tristate(struct writer *w, const char *key, enum api_tristate value)
{
    if (value != API_UNSET)
        put(w, "%s: %s\n", key, value == API_YES ? "true" : "false");
}

/* "key: "folder/destination/file"". */
static void put_mounted(struct writer *w, const char *key, const char *folder,
                        const struct api_destination *d, const char *file)
{
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(4096);

    if (w->is_failed)
        return;
    w->is_failed =
        buf_printf(&path, w->err, "%s/%s%s%s", folder, d->name, file[0] ? "/" : "", file) < 0;
    put_text(w, key, buf_str(&path), false);
}

#define R "        " /* before keys of a destination */

static void put_s3(struct writer *w, const struct api_destination *d, const struct api_store *s,
                   const char *prefix)
{
    put(w, R "type: s3\n");
    put_text(w, R "bucket", s->bucket, false);
    put_text(w, R "path", prefix, true);
    put_text(w, R "region", s->region, false);
    put_text(w, R "endpoint", s->endpoint, false);
    put_tristate(w, R "force-path-style", s->force_path_style);
    put_tristate(w, R "sign-payload", s->sign_payload);
    put_tristate(w, R "require-content-md5", s->content_md5);
    put_text(w, R "storage-class", s->storage_class, false);
    if (s->part_bytes)
        put(w, R "part-size: %" PRIu64 "\n", s->part_bytes);
    if (s->concurrency)
        put(w, R "concurrency: %" PRIu64 "\n", s->concurrency);
    if (s->skip_verify)
        put(w, R "skip-verify: true\n");
    if (s->credentials_secret)
        put_mounted(w, R "credentials-path", API_CREDENTIAL_FOLDER, d, "");
    if (s->ca_secret || s->ca_config_map)
        put_mounted(w, R "ca-file", API_CA_FOLDER, d, s->ca_key);
    put_text(w, R "sse-kms-key-id", s->sse_kms_key_id, false);
    if (s->sse_secret)
        put_mounted(w, R "sse-customer-key-path", API_SSE_FOLDER, d, s->sse_key);
}

static void put_file(struct writer *w, const struct api_destination *d, const char *prefix)
{
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(4096);

    put(w, R "type: file\n");
    if (w->is_failed)
        return;
    w->is_failed = buf_printf(&path, w->err, API_FILE_FOLDER "/%s/%s", d->name, prefix) < 0;
    put_text(w, R "path", buf_str(&path), true);
}

static int put_destination(struct writer *w, const struct api_replica *r,
                           const struct api_database *db, const struct api_destination *d,
                           const struct api_bucket *const *buckets, size_t bucket_count)
{
    CLEANUP(buf_destroy) struct buf prefix = BUF_INIT(4096);
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;

    if (api_destination_store(d, buckets, bucket_count, &store, &bucket, w->err) < 0 ||
        api_prefix_resolve(r, d, db, bucket, "${POD_NAME}", &prefix, w->err) < 0)
        return -1;
    put_text(w, "      - name", d->name, false);
    if (store->kind == API_STORE_S3)
        put_s3(w, d, store, buf_str(&prefix));
    else
        put_file(w, d, buf_str(&prefix));
    /* A word that sidecars of earlier versions refuse: they must not pass over it. */
    if (bucket && bucket->is_read_only)
        put(w, R "sync-interval: never\n");
    else
        put_duration(w, R "sync-interval", d->sync_interval_ns);
    put_duration(w, R "snapshot-interval", d->snapshot_interval_ns);
    put_duration(w, R "retention", d->retention_ns);
    put_duration(w, R "validation-interval", r->validation_ns);
    put(w, R "require-fencing: %s\n", r->require_fencing ? "true" : "false");
    put(w, R "lease: %s\n", r->has_lease ? "true" : "false");
    return w->is_failed ? -1 : 0;
}
#undef R

static void put_database(struct writer *w, const struct api_database *db)
{
    put_text(w, "  - path", db->path, false);
    put(w, "    journal-mode: %s\n", db->journal_enable ? "enable" : "require");
    put(w, "    seal: %s\n", db->seal ? "true" : "false");
    put(w, "    free-space-reserve: \"%" PRIu64 ",%" PRIu64 "%%\"\n", db->reserve_bytes,
        db->reserve_percent);
    put_duration(w, "    monitor-interval", db->monitor_interval_ns);
    put_duration(w, "    checkpoint-interval", db->checkpoint_interval_ns);
    put(w, "    min-checkpoint-page-count: %" PRIu64 "\n", db->min_checkpoint_page_count);
    put_duration(w, "    busy-timeout", db->busy_timeout_ns);
    put(w, "    replicas:\n");
}

static void put_global(struct writer *w, const struct api_replica *r)
{
    static const char *const levels[] = {
        [API_LOG_TRACE] = "trace", [API_LOG_DEBUG] = "debug", [API_LOG_INFO] = "info",
        [API_LOG_WARN] = "warn",   [API_LOG_ERROR] = "error",
    };

    put(w, "# Written by walferry-controller from SqliteReplica %s/%s; edit that.\n",
        r->meta.namespace_name, r->meta.name);
    put(w, "unknown-keys: warn\n"); /* of a controller that is newer than the sidecar */
    put(w, "addr: \":%" PRIu64 "\"\n", r->sidecar.metrics_port);
    put(w, "metrics-compat: %s\n", r->sidecar.litestream_metrics ? "litestream" : "none");
    put(w, "socket:\n  enabled: true\n  path: " API_SOCKET_PATH "\n  permissions: \"0600\"\n");
    put(w, "levels:\n");
    for (size_t i = 0; i < r->level_count; i++)
        put_duration(w, "  - interval", r->level_ns[i]);
    put(w, "suspend: %s\n", r->is_suspended ? "true" : "false");
    put_duration(w, "l0-retention", r->l0_retention_ns);
    put(w, "retention:\n  enabled: %s\n", r->retention_enabled ? "true" : "false");
    put_duration(w, "shutdown-sync-timeout", r->sidecar.flush_ns);
    put(w, "logging:\n  level: %s\n  type: %s\n", levels[r->sidecar.log_level],
        r->sidecar.log_json ? "json" : "text");
    put(w, "dbs:\n");
}

int api_sidecar_config(const struct api_replica *replica, const struct api_bucket *const *buckets,
                       size_t bucket_count, struct buf *out, struct error *err)
{
    struct writer w = {.out = out, .err = err};

    put_global(&w, replica);
    for (size_t i = 0; i < replica->database_count; i++) {
        put_database(&w, &replica->databases[i]);
        for (size_t k = 0; k < replica->destination_count; k++) {
            if (put_destination(&w, replica, &replica->databases[i], &replica->destinations[k],
                                buckets, bucket_count) < 0)
                return -1;
        }
    }
    return w.is_failed ? -1 : 0;
}
