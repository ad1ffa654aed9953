/*
 * One destination, from a mapping of litestream.yml or from a URL alone.
 *
 *   1. backend: the URL's scheme; else `type`; else file. Only file and s3 go on
 *   2. start from the defaults (top level, then table); a file replica drops those of s3
 *   3. what the URL's host and path say
 *   4. the mapping's own keys, which win over what the host implies
 *   5. the URL's query; a setting that is there and in the mapping is an error
 *   6. normal forms (endpoint, path), checks over several settings, the URL for people
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/config/config_internal.h"
#include "lib/config/endpoint.h"
#include "lib/config/path.h"
#include "lib/config/replica_url.h"
#include "lib/config/sse_key.h"

enum {
    URL_BYTES_MAX = 16384, /* of the URL for people: escapes take three bytes */
};

/* Where a replica comes from. */
struct source {
    const struct yamldoc_node *map; /* NULL: a URL alone */
    const char *url_text;           /* NULL: no URL */
    struct replica_url url;
    const struct setting_context *context;
    uint32_t url_origin; /* of what the URL says */
};

static void source_destroy(struct source *s)
{
    replica_url_destroy(&s->url);
}

/* Puts the place before err: line and way of a key, or the URL without its query. */
static int source_wrap(const struct source *s, const char *key, struct error *err)
{
    if (s->map) {
        const struct yamldoc_node *node = yamldoc_get(s->map, key);
        return yamldoc_wrap(node ? node : s->map, err);
    }
    const char *authority = strstr(s->url_text, "://");
    const char *at = authority ? strchr(authority, '@') : NULL;
    bool has_userinfo = at && strcspn(authority + 3, "/?") > (size_t)(at - authority - 3);

    if (has_userinfo) /* "s3://key:secret@bucket": whoever wrote that must not read it in a log */ {
        return error_wrap(err, "%.*s***%.*s", (int)(authority + 3 - s->url_text), s->url_text,
                          (int)strcspn(at, "?"), at);
    }
    return error_wrap(err, "%.*s", (int)strcspn(s->url_text, "?"), s->url_text);
}

static int source_error(const struct source *s, const char *key, struct error *err,
                        enum error_code code, const char *fmt, ...) PRINTF_LIKE(5, 6);

static int source_error(const struct source *s, const char *key, struct error *err,
                        enum error_code code, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut text is still the best we have */
    va_end(ap);
    (void)error_set(err, code, 0, "%s", text);
    return source_wrap(s, key, err);
}

void config_replica_destroy(struct config_replica *replica)
{
    setting_table_destroy(config_replica_table(), replica);
    free(replica->url);
    free(replica->path);
    *replica = (struct config_replica){0};
}

int config_replica_copy(const struct config_replica *from, struct config_replica *out,
                        struct error *err)
{
    *out = *from;
    out->url = NULL;
    out->path = NULL;
    if (setting_table_own(config_replica_table(), out, err) < 0 ||
        (from->url && !(out->url = str_dup(from->url, err))) ||
        (from->path && !(out->path = str_dup(from->path, err)))) {
        config_replica_destroy(out);
        return -1;
    }
    return 0;
}

int config_replica_url_make(struct config_replica *replica, struct error *err)
{
    CLEANUP(buf_destroy) struct buf url = BUF_INIT(URL_BYTES_MAX);

    if (replica_url_format(replica->backend, replica->s3.bucket, replica->path,
                           replica->s3.endpoint, &url, err) < 0)
        return error_wrap(err, "URL of the replica");
    char *text = str_dup(buf_str(&url), err);
    if (!text)
        return -1;
    free(replica->url);
    replica->url = text;
    return 0;
}

/* The text of a key in the mapping, NULL if it is not there or empty. */
static int map_text(const struct source *s, const char *key, const char **out, struct error *err)
{
    const struct yamldoc_node *node = s->map ? yamldoc_get(s->map, key) : NULL;

    *out = NULL;
    if (!node)
        return 0;
    if (yamldoc_text(node, out, err) < 0)
        return -1;
    if (!**out)
        *out = NULL;
    return 0;
}

static int backend_of_type(const struct source *s, const char *type, enum config_backend *out,
                           struct error *err)
{
    if (strcasecmp(type, "gcs") == 0)
        type = "gs";
    for (unsigned i = CONFIG_BACKEND_FILE; i <= CONFIG_BACKEND_OSS; i++) {
        if (strcasecmp(type, config_backend_name((enum config_backend)i)) == 0) {
            *out = (enum config_backend)i;
            return 0;
        }
    }
    return source_error(s, "type", err, ERR_USAGE,
                        "unknown type \"%.32s\" (known: file, s3; not supported by this version: "
                        "gs, abs, sftp, webdav, nats, oss)",
                        type);
}

/* Step 1; also takes the URL apart. */
static int backend_choose(struct source *s, enum config_backend *out, struct error *err)
{
    enum config_backend backend = CONFIG_BACKEND_FILE;
    const char *type;
    const char *path;

    if (map_text(s, "type", &type, err) < 0 || map_text(s, "path", &path, err) < 0)
        return -1;
    if (type && backend_of_type(s, type, &backend, err) < 0)
        return -1;
    if (s->url_text) {
        if (replica_url_parse(s->url_text, &s->url, err) < 0)
            return source_wrap(s, "url", err);
        if (type && s->url.backend != backend) {
            return source_error(s, "type", err, ERR_USAGE, "the url is of type %s",
                                config_backend_name(s->url.backend));
        }
        backend = s->url.backend;
    }
    if (backend != CONFIG_BACKEND_FILE && backend != CONFIG_BACKEND_S3) {
        return source_error(s, s->url_text ? "url" : "type", err, ERR_UNSUPPORTED,
                            "replicas of type %s are not supported by this version (file and s3 "
                            "are)",
                            config_backend_name(backend));
    }
    *out = backend;
    return 0;
}

/* Keys of the mapping that exclude each other or do not fit the backend. */
static int keys_check(const struct source *s, enum config_backend backend, struct error *err)
{
    struct setting_table table = config_replica_table();

    if (!s->map)
        return 0;
    if (s->url_text && yamldoc_get(s->map, "path"))
        return source_error(s, "path", err, ERR_USAGE, "url and path exclude each other");
    if (s->url_text && yamldoc_get(s->map, "bucket"))
        return source_error(s, "bucket", err, ERR_USAGE, "url and bucket exclude each other");
    for (size_t i = 0; i < s->map->child_count && backend == CONFIG_BACKEND_FILE; i++) {
        const char *key = s->map->children[i]->key;
        const struct setting *row = setting_find(table, key);
        if (!row || !(row->flags & SETTING_S3_ONLY) || !yamldoc_get(s->map, key))
            continue;
        (void)source_error(s, key, err, ERR_USAGE,
                           "belongs to replicas of type s3; this one is of type file");
        return s->url_text ? -1 : error_hint(err, "add type: s3, or give a url");
    }
    return 0;
}

/* Step 2. */
static int defaults_take(const struct config_replica *defaults, enum config_backend backend,
                         struct config_replica *out, struct error *err)
{
    struct setting_table table = config_replica_table();

    if (defaults) {
        if (config_replica_copy(defaults, out, err) < 0)
            return -1;
    } else if (setting_table_init(table, out, err) < 0) {
        return -1;
    }
    out->backend = backend;
    for (size_t i = 0; i < table.count && backend == CONFIG_BACKEND_FILE; i++) {
        const struct setting *row = &table.rows[i];
        if (!(row->flags & SETTING_S3_ONLY))
            continue;
        setting_table_destroy((struct setting_table){row, 1}, out);
        out->origin[i] = CONFIG_ORIGIN_DEFAULT;
    }
    if (backend == CONFIG_BACKEND_FILE)
        out->s3 = (struct config_s3){0};
    return 0;
}

/* Sets one setting to a text that the URL gives. */
static int url_set(const struct source *s, const char *key, const char *text,
                   struct config_replica *out, struct error *err)
{
    struct setting_table table = config_replica_table();
    const struct setting *row = setting_find(table, key);

    ASSERT(row);
    if (setting_set(row, out, text, s->context, err) < 0) {
        (void)error_wrap(err, "%s", key);
        return source_wrap(s, "url", err);
    }
    out->origin[row - table.rows] = s->url_origin;
    return 0;
}

/* Step 3. */
static int url_apply(const struct source *s, struct config_replica *out, struct error *err)
{
    const struct replica_url *u = &s->url;

    if (!s->url_text || u->backend != CONFIG_BACKEND_S3)
        return 0;
    if (url_set(s, "bucket", u->bucket, out, err) < 0 ||
        (u->region && url_set(s, "region", u->region, out, err) < 0) ||
        (u->endpoint && url_set(s, "endpoint", u->endpoint, out, err) < 0))
        return -1;
    if (u->path_style == CONFIG_UNSET)
        return 0;
    return url_set(s, "force-path-style", u->path_style == CONFIG_YES ? "true" : "false", out, err);
}

/* Step 5; r is NULL for a URL alone, which has nobody to warn. */
static int query_apply(struct config_reader *r, const struct source *s, struct config_replica *out,
                       struct error *err)
{
    struct setting_table table = config_replica_table();

    for (size_t i = 0; i < s->url.param_count; i++) {
        const struct replica_url_param *param = &s->url.params[i];
        const struct setting *row = setting_find(table, param->key);
        bool is_off = strcmp(param->value, "false") == 0;
        ASSERT(row);
        if (s->map && yamldoc_get(s->map, param->key))
            return source_error(s, param->key, err, ERR_USAGE, "is in the url, too");
        if (row->kind == SETTING_REFUSED && !is_off) {
            return source_error(s, "url", err, ERR_UNSUPPORTED, "%s: not supported: %s", param->key,
                                row->note);
        }
        if (row->kind == SETTING_MOOT && r &&
            config_warn(r->c, yamldoc_get(s->map, "url"), err, "%s has no meaning here: %s",
                        param->key, row->note) < 0)
            return -1;
        if (setting_has_value(row) && url_set(s, param->key, param->value, out, err) < 0)
            return -1;
    }
    return 0;
}

/* Step 6: the path. */
static int path_apply(const struct source *s, struct config_replica *out, struct error *err)
{
    const char *path;

    if (map_text(s, "path", &path, err) < 0)
        return -1;
    if (path && replica_url_looks_like_one(path))
        return source_error(s, "path", err, ERR_USAGE, "this is a URL; give it as url");
    if (s->url_text)
        path = s->url.path;
    if (out->backend == CONFIG_BACKEND_S3) {
        out->path = str_dup(path ? path : "", err);
        return out->path ? 0 : -1;
    }
    if (!path)
        return source_error(s, "type", err, ERR_USAGE, "path (or url) is missing");
    if (path_expand(path, s->context->home, &out->path, err) < 0)
        return source_wrap(s, s->url_text ? "url" : "path", err);
    return 0;
}

/* Which settings of SSE go together; the key itself is looked at when it stands here. */
static int sse_check(const struct source *s, struct config_replica *out, struct error *err)
{
    struct config_s3 *s3 = &out->s3;
    bool has_customer_key = s3->sse_customer_key || s3->sse_customer_key_path;
    uint8_t key[SSE_KEY_BYTES];

    if (s3->sse_customer_key && s3->sse_customer_key_path) {
        return source_error(s, "sse-customer-key-path", err, ERR_USAGE,
                            "sse-customer-key and sse-customer-key-path exclude each other");
    }
    if (has_customer_key && s3->sse_kms_key_id) {
        return source_error(s, "sse-kms-key-id", err, ERR_USAGE,
                            "a key of the customer and one of KMS exclude each other");
    }
    if (!has_customer_key && (s3->sse_customer_algorithm || s3->sse_customer_key_md5)) {
        return source_error(s, "sse-customer-algorithm", err, ERR_USAGE,
                            "needs sse-customer-key or sse-customer-key-path");
    }
    if (!has_customer_key)
        return 0;
    if (s3->sse_customer_algorithm && strcmp(s3->sse_customer_algorithm, "AES256") != 0)
        return source_error(s, "sse-customer-algorithm", err, ERR_USAGE, "only AES256 is known");
    if (!s3->sse_customer_algorithm && !(s3->sse_customer_algorithm = str_dup("AES256", err)))
        return -1;
    if (s3->endpoint && strncmp(s3->endpoint, "http://", 7) == 0 &&
        !endpoint_is_local(s3->endpoint)) {
        return source_error(s, "endpoint", err, ERR_USAGE,
                            "a key of the customer must not travel over plain http");
    }
    if (!s3->sse_customer_key)
        return 0;
    int rc = sse_key_decode(s3->sse_customer_key, s3->sse_customer_key_md5, key, err);
    explicit_bzero(key, sizeof(key));
    return rc < 0 ? source_wrap(s, "sse-customer-key", err) : 0;
}

/* Step 6: s3. */
static int s3_check(const struct source *s, struct config_replica *out, struct error *err)
{
    struct config_s3 *s3 = &out->s3;
    char *endpoint;

    if (!s3->bucket)
        return source_error(s, "type", err, ERR_USAGE, "bucket (or url) is missing");
    if (s3->endpoint) {
        if (endpoint_normalize(s3->endpoint, &endpoint, err) < 0)
            return source_wrap(s, "endpoint", err);
        free(s3->endpoint);
        s3->endpoint = endpoint;
    }
    if (s3->access_key_id && !s3->secret_access_key)
        return source_error(s, "access-key-id", err, ERR_USAGE, "secret-access-key is missing");
    if (s3->secret_access_key && !s3->access_key_id)
        return source_error(s, "secret-access-key", err, ERR_USAGE, "access-key-id is missing");
    if (s3->credentials_path && s3->access_key_id) {
        return source_error(s, "credentials-path", err, ERR_USAGE,
                            "access-key-id is set, too: one of them");
    }
    if (s3->session_token && !s3->access_key_id) {
        return source_error(s, "session-token", err, ERR_USAGE,
                            "needs access-key-id and secret-access-key");
    }
    return sse_check(s, out, err);
}

/* Steps 2 to 6; out is destroyed by the caller on failure. */
static int replica_build(struct config_reader *r, const struct source *s,
                         const struct config_replica *defaults, enum config_backend backend,
                         struct config_replica *out, struct error *err)
{
    if (keys_check(s, backend, err) < 0 || defaults_take(defaults, backend, out, err) < 0 ||
        url_apply(s, out, err) < 0)
        return -1;
    if (s->map) {
        struct config_scope scope = {
            .table = config_replica_table(), .base = out, .origin = out->origin};
        if (config_mapping_read(r, s->map, "", &scope, 1, err) < 0)
            return -1;
    }
    if (query_apply(r, s, out, err) < 0 || path_apply(s, out, err) < 0 ||
        (backend == CONFIG_BACKEND_S3 && s3_check(s, out, err) < 0))
        return -1;
    return config_replica_url_make(out, err);
}

int config_replica_read(struct config_reader *r, const struct yamldoc_node *map,
                        struct config_replica *out, struct error *err)
{
    CLEANUP(source_destroy)
    struct source s = {.map = map, .context = &r->context, .url_origin = CONFIG_ORIGIN_URL};
    enum config_backend backend = CONFIG_BACKEND_FILE;

    *out = (struct config_replica){0};
    if (yamldoc_expect(map, YAMLDOC_MAPPING, err) < 0 || map_text(&s, "url", &s.url_text, err) < 0)
        return -1;
    if (backend_choose(&s, &backend, err) < 0)
        return -1;
    if (replica_build(r, &s, &r->c->replica_defaults, backend, out, err) < 0) {
        config_replica_destroy(out);
        return -1;
    }
    return 0;
}

int config_replica_from_url(const struct config_replica *defaults, const char *url,
                            const struct setting_context *context, struct config_replica *out,
                            struct error *err)
{
    CLEANUP(source_destroy)
    struct source s = {.url_text = url, .context = context, .url_origin = CONFIG_ORIGIN_ARGUMENT};
    enum config_backend backend = CONFIG_BACKEND_FILE;

    *out = (struct config_replica){0};
    if (backend_choose(&s, &backend, err) < 0)
        return -1;
    if (replica_build(NULL, &s, defaults, backend, out, err) < 0) {
        config_replica_destroy(out);
        return -1;
    }
    return 0;
}

bool config_replica_is_read_only(const struct config_replica *replica)
{
    return replica->sync_interval_ns == CONFIG_NEVER_NS;
}
