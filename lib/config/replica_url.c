/*
 * Takes replica URLs apart.
 *
 *   scheme://  host          /prefix       ?query
 *              |             |             pairs name=value, both percent-decoded; '+' is a space
 *              |             percent-decoded, cleaned
 *              a bucket, or bucket and endpoint together (table host_forms)
 *
 *   1. scheme -> backend; only file and s3 go on
 *   2. file: the rest is the path
 *   3. s3: cut at '?', refuse '#' and '@', then either an ARN or host and prefix
 *   4. the host against the table of providers' forms; what fits none is a bucket's name
 *   5. the query: each name must be in the table of parameters, once
 */
#include "lib/config/replica_url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/hex.h"
#include "lib/config/path.h"
#include "lib/yaml/nearest.h"

enum {
    BUCKET_BYTES_MAX = 255, /* of a name; S3 itself allows 63 */
    HOST_LABELS_MAX = 16,
};

static const struct scheme {
    const char *name;
    enum config_backend backend;
} schemes[] = {
    {"file", CONFIG_BACKEND_FILE},     {"s3", CONFIG_BACKEND_S3},
    {"gs", CONFIG_BACKEND_GS},         {"gcs", CONFIG_BACKEND_GS},
    {"abs", CONFIG_BACKEND_ABS},       {"sftp", CONFIG_BACKEND_SFTP},
    {"webdav", CONFIG_BACKEND_WEBDAV}, {"webdavs", CONFIG_BACKEND_WEBDAV},
    {"nats", CONFIG_BACKEND_NATS},     {"oss", CONFIG_BACKEND_OSS},
};

/* Query parameters: the key of litestream.yml and its other spelling (NULL: the same). */
static const struct param {
    const char *key, *camel;
} params[] = {
    {"endpoint", NULL},
    {"region", NULL},
    {"force-path-style", "forcePathStyle"},
    {"skip-verify", "skipVerify"},
    {"sign-payload", "signPayload"},
    {"sign-accept-encoding", "signAcceptEncoding"},
    {"require-content-md5", "requireContentMD5"},
    {"put-object-content-md5", "putObjectContentMD5"},
    {"storage-class", "storageClass"},
    {"part-size", "partSize"},
    {"concurrency", NULL},
    {"sse-customer-algorithm", "sseCustomerAlgorithm"},
    {"sse-customer-key", "sseCustomerKey"},
    {"sse-customer-key-md5", "sseCustomerKeyMD5"},
    {"sse-customer-key-path", "sseCustomerKeyPath"},
    {"sse-kms-key-id", "sseKmsKeyId"},
};

/*
 * Host forms, label by label from the right; what is left of them is the bucket. A label is a
 * shell pattern; the one in region_label (from 1, 0: none) is the region.
 */
static const struct host_form {
    const char *labels;
    unsigned region_label;
    bool has_endpoint; /* "https://" and the labels; else AWS, whose host follows the region */
    enum config_tristate path_style;
} host_forms[] = {
    {"s3.amazonaws.com", 0, false, CONFIG_NO},
    {"s3.*.amazonaws.com", 2, false, CONFIG_NO},
    {"s3-*.amazonaws.com", 1, false, CONFIG_NO},
    {"s3.*.amazonaws.com.cn", 2, true, CONFIG_NO},
    {"*.digitaloceanspaces.com", 1, true, CONFIG_NO},
    {"s3.*.backblazeb2.com", 2, true, CONFIG_YES},
    {"s3.filebase.com", 0, true, CONFIG_YES},
    {"s3.*.scw.cloud", 2, true, CONFIG_NO},
    {"*.linodeobjects.com", 1, true, CONFIG_YES},
    {"br-*.storage.*.*.*.neon.tech", 4, true, CONFIG_YES},
};

static const struct scheme *scheme_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (name.n == strlen(schemes[i].name) &&
            strncasecmp((const char *)name.p, schemes[i].name, name.n) == 0)
            return &schemes[i];
    }
    return NULL;
}

/* The part of text before "://", empty if there is none. */
static struct slice scheme_of(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    if (n == 0 || strncmp(text + n, "://", 3) != 0)
        return SLICE_EMPTY;
    return slice_of(text, n);
}

bool replica_url_looks_like_one(const char *text)
{
    struct slice scheme = scheme_of(text);

    return scheme.n > 0 && strncmp(text, "sqlite", 6) != 0;
}

/* Where the first c is in s; s.n if there is none. */
static size_t byte_index(struct slice s, char c)
{
    const uint8_t *at = s.p ? memchr(s.p, c, s.n) : NULL;

    return at ? (size_t)(at - s.p) : s.n;
}

static char *text_copy(struct slice s, struct error *err)
{
    return str_printf(err, "%.*s", (int)s.n, s.n ? (const char *)s.p : "");
}

/* Percent-decodes; the caller frees. ERR_USAGE for a bad escape or a control character. */
static int percent_decode(struct slice s, bool is_query, char **out, struct error *err)
{
    CLEANUP(mem_free) char *text = mem_new(s.n + 1, 1, err);
    size_t n = 0;

    if (!text)
        return -1;
    for (size_t i = 0; s.p && i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c == '%') {
            int byte = s.n - i > 2 ? hex_byte((const char *)s.p + i + 1) : -1;
            if (byte < 0)
                return error_set(err, ERR_USAGE, 0, "'%%' must be followed by two hex digits");
            c = (uint8_t)byte;
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f)
            return error_set(err, ERR_USAGE, 0, "the URL contains a control character");
        text[n++] = (char)c;
    }
    *out = TAKE(text);
    return 0;
}

/* The prefix of a URL: decoded, cleaned, without slashes around it. */
static int prefix_decode(struct slice s, char **out, struct error *err)
{
    CLEANUP(mem_free) char *decoded = NULL;

    if (percent_decode(s, false, &decoded, err) < 0)
        return -1;
    CLEANUP(mem_free) char *rooted = str_printf(err, "/%s", decoded);
    if (!rooted)
        return -1;
    path_clean(rooted);
    *out = str_dup(rooted + 1, err);
    return *out ? 0 : -1;
}

static bool is_bucket_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!isalnum(s.p[i]) && !strchr("._-", s.p[i]))
            return false;
    }
    return s.n > 0 && s.n <= BUCKET_BYTES_MAX && isalnum(s.p[0]) && isalnum(s.p[s.n - 1]);
}

static int bucket_set(struct replica_url *u, struct slice name, struct error *err)
{
    if (!is_bucket_name(name)) {
        return error_set(err, ERR_USAGE, 0, "\"%.*s\" is not the name of a bucket",
                         (int)(name.n < 64 ? name.n : 64), name.n ? (const char *)name.p : "");
    }
    u->bucket = text_copy(name, err);
    return u->bucket ? 0 : -1;
}

/* Where the labels of s begin, from the right; the count, or 0 if there are too many. */
static size_t labels_split(struct slice s, struct slice out[static HOST_LABELS_MAX])
{
    size_t count = 0;
    size_t end = s.n;

    for (size_t i = s.n; i-- > 0;) {
        if (s.p[i] != '.')
            continue;
        if (count == HOST_LABELS_MAX)
            return 0;
        out[count++] = slice_sub(s, i + 1, end - i - 1);
        end = i;
    }
    if (count == HOST_LABELS_MAX)
        return 0;
    out[count++] = slice_sub(s, 0, end);
    return count;
}

/* Whether a label fits a pattern that is a word, "*", or a word before "*". */
static bool label_fits(struct slice label, struct slice pattern)
{
    bool is_open = pattern.n > 0 && pattern.p[pattern.n - 1] == '*';
    size_t n = pattern.n - (is_open ? 1 : 0);

    if (is_open ? label.n <= n : label.n != n)
        return false;
    return n == 0 || strncasecmp((const char *)label.p, (const char *)pattern.p, n) == 0;
}

/*
 * Compares a host with a form. On a fit *out_bytes is the length of the part that the form covers,
 * and *out_region the region in it.
 */
static bool form_fits(const struct host_form *form, struct slice host, size_t *out_bytes,
                      struct slice *out_region)
{
    struct slice labels[HOST_LABELS_MAX];
    struct slice wanted[HOST_LABELS_MAX];
    size_t count = labels_split(host, labels);
    size_t wanted_count = labels_split(slice_of_str(form->labels), wanted);
    size_t bytes = 0;

    if (count < wanted_count)
        return false;
    for (size_t i = 0; i < wanted_count; i++) {
        if (!label_fits(labels[i], wanted[i]))
            return false;
        bytes += labels[i].n + (i > 0 ? 1 : 0);
        if (form->region_label == wanted_count - i)
            *out_region = slice_sub(labels[i], wanted[i].n - 1, labels[i].n);
    }
    *out_bytes = bytes;
    return true;
}

/* "https://" or "http://" and host, in lower case. */
static char *endpoint_of(const char *scheme, struct slice host, struct error *err)
{
    char *text = str_printf(err, "%s://%.*s", scheme, (int)host.n, (const char *)host.p);

    for (char *p = text; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return text;
}

static int bucket_missing(struct slice host, const char *before_host, struct error *err)
{
    (void)error_set(err, ERR_USAGE, 0, "there is no bucket before the host %.*s", (int)host.n,
                    (const char *)host.p);
    return error_hint(err, "write %s%.*s", before_host, (int)host.n, (const char *)host.p);
}

static int form_apply(struct replica_url *u, const struct host_form *form, struct slice host,
                      size_t form_bytes, struct slice region, struct error *err)
{
    if (host.n < form_bytes + 2)
        return bucket_missing(host, "s3://BUCKET.", err);
    u->path_style = form->path_style;
    if (region.n > 0 && !(u->region = text_copy(region, err)))
        return -1;
    if (form->has_endpoint) {
        struct slice rest = slice_sub(host, host.n - form_bytes, form_bytes);
        u->endpoint = endpoint_of("https", rest, err);
        if (!u->endpoint)
            return -1;
    }
    return bucket_set(u, slice_sub(host, 0, host.n - form_bytes - 1), err);
}

/* Whether s has only what can be in host[:port]. */
static bool is_host(struct slice s)
{
    const uint8_t *colon = s.p ? memrchr(s.p, ':', s.n) : NULL;

    for (size_t i = 0; s.p && i < s.n; i++) {
        if (!isalnum(s.p[i]) && !strchr("._-:[]", s.p[i]))
            return false;
        if (colon && s.p + i > colon && !isdigit(s.p[i]))
            return false;
    }
    return s.n > 0;
}

/* "bucket.localhost" or "bucket.host:port". */
static int minio_apply(struct replica_url *u, struct slice host, struct error *err)
{
    size_t bucket_bytes = byte_index(host, '.');
    bool is_address = strspn((const char *)host.p, "0123456789.") ==
                      strcspn((const char *)host.p, ":/?"); /* an IPv4 address has no bucket */

    if (bucket_bytes == host.n || is_address || host.p[0] == '[')
        return bucket_missing(host, "s3://BUCKET/prefix?endpoint=http://", err);
    u->endpoint = endpoint_of("http", slice_sub(host, bucket_bytes + 1, host.n), err);
    u->region = str_dup("us-east-1", err);
    if (!u->endpoint || !u->region)
        return -1;
    u->path_style = CONFIG_YES;
    return bucket_set(u, slice_sub(host, 0, bucket_bytes), err);
}

/* Step 4. */
static int host_apply(struct replica_url *u, struct slice host, struct error *err)
{
    if (host.n == 0)
        return error_set(err, ERR_USAGE, 0, "there is no bucket in the URL");
    if (!is_host(host)) {
        return error_set(err, ERR_USAGE, 0, "\"%.*s\" is neither a bucket nor a host",
                         (int)(host.n < 64 ? host.n : 64), (const char *)host.p);
    }
    for (size_t i = 0; i < ARRAY_LEN(host_forms); i++) {
        size_t form_bytes;
        struct slice region = SLICE_EMPTY;
        if (form_fits(&host_forms[i], host, &form_bytes, &region))
            return form_apply(u, &host_forms[i], host, form_bytes, region, err);
    }
    struct slice labels[HOST_LABELS_MAX];
    size_t count = labels_split(host, labels);
    bool is_localhost = count > 1 && label_fits(labels[0], SLICE_LIT("localhost"));
    if (is_localhost || byte_index(host, ':') < host.n)
        return minio_apply(u, host, err);
    return bucket_set(u, host, err);
}

/* "arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME[/PREFIX]" */
static int arn_apply(struct replica_url *u, struct slice rest, struct error *err)
{
    static const char marker[] = ":accesspoint/";
    const uint8_t *at = memmem(rest.p, rest.n, marker, sizeof(marker) - 1);
    struct slice fields[5]; /* arn, partition, service, region, account */
    size_t begin = 0;

    if (!at) {
        return error_set(err, ERR_USAGE, 0,
                         "expected arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME[/PREFIX]");
    }
    size_t head_bytes = (size_t)(at - rest.p);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        struct slice left = slice_sub(rest, begin, head_bytes - begin);
        size_t n = byte_index(left, ':');
        fields[i] = slice_sub(left, 0, n);
        begin = begin + n + 1 > head_bytes ? head_bytes : begin + n + 1;
    }
    if (!slice_eq_str(fields[2], "s3") || fields[3].n == 0) {
        return error_set(err, ERR_UNSUPPORTED, 0,
                         "only access points of one region (arn:aws:s3:REGION:...) are supported");
    }
    size_t name_at = head_bytes + sizeof(marker) - 1;
    struct slice name = slice_sub(rest, name_at, rest.n);
    size_t name_bytes = byte_index(name, '/');
    if (!is_bucket_name(slice_sub(name, 0, name_bytes)))
        return error_set(err, ERR_USAGE, 0, "the ARN names no access point");
    u->bucket = text_copy(slice_sub(rest, 0, name_at + name_bytes), err);
    u->region = text_copy(fields[3], err);
    if (!u->bucket || !u->region)
        return -1;
    return prefix_decode(slice_sub(name, name_bytes, name.n), &u->path, err);
}

static const struct param *param_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        if (strcmp(name, params[i].key) == 0 ||
            (params[i].camel && strcmp(name, params[i].camel) == 0))
            return &params[i];
    }
    return NULL;
}

static int param_unknown(const char *name, struct error *err)
{
    const char *known[ARRAY_LEN(params)];

    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        known[i] = params[i].key;
    const char *nearest = nearest_word(name, known, ARRAY_LEN(params));
    if (nearest) {
        return error_set(err, ERR_USAGE, 0, "unknown parameter \"%.64s\"; did you mean \"%s\"?",
                         name, nearest);
    }
    return error_set(err, ERR_USAGE, 0, "unknown parameter \"%.64s\"", name);
}

/* One "name=value" of the query. */
static int param_add(struct replica_url *u, struct slice pair, struct error *err)
{
    CLEANUP(mem_free) char *name = NULL;
    CLEANUP(mem_free) char *value = NULL;
    size_t name_bytes = byte_index(pair, '=');

    if (percent_decode(slice_sub(pair, 0, name_bytes), true, &name, err) < 0 ||
        percent_decode(slice_sub(pair, name_bytes + 1, pair.n), true, &value, err) < 0)
        return -1;
    const struct param *param = param_find(name);
    if (!param)
        return param_unknown(name, err);
    if (!*value)
        return error_set(err, ERR_USAGE, 0, "parameter \"%s\" has no value", name);
    for (size_t i = 0; i < u->param_count; i++) {
        if (strcmp(u->params[i].key, param->key) == 0)
            return error_set(err, ERR_USAGE, 0, "parameter \"%s\" is there twice", param->key);
    }
    ASSERT(u->param_count < REPLICA_URL_PARAMS_MAX); /* no key twice, so no more than known ones */
    u->params[u->param_count++] = (struct replica_url_param){param->key, TAKE(value)};
    return 0;
}

/* Step 5. */
static int query_apply(struct replica_url *u, struct slice query, struct error *err)
{
    static_assert(ARRAY_LEN(params) <= REPLICA_URL_PARAMS_MAX, "room for each once");

    while (query.n > 0) {
        size_t n = byte_index(query, '&');
        if (n > 0 && param_add(u, slice_sub(query, 0, n), err) < 0)
            return -1;
        query = slice_sub(query, n + 1, query.n);
    }
    return 0;
}

/* Step 3. */
static int s3_apply(struct replica_url *u, struct slice rest, struct error *err)
{
    size_t head_bytes = byte_index(rest, '?');
    struct slice head = slice_sub(rest, 0, head_bytes);
    size_t host_bytes = byte_index(head, '/');

    if (byte_index(rest, '#') < rest.n)
        return error_set(err, ERR_USAGE, 0, "'#' must be written as %%23");
    if (query_apply(u, slice_sub(rest, head_bytes + 1, rest.n), err) < 0)
        return -1;
    if (head.p && head.n >= 4 && strncasecmp((const char *)head.p, "arn:", 4) == 0)
        return arn_apply(u, head, err);
    if (byte_index(slice_sub(head, 0, host_bytes), '@') < host_bytes) {
        (void)error_set(err, ERR_USAGE, 0, "credentials do not belong into a URL");
        return error_hint(err, "use access-key-id and secret-access-key, or AWS_ACCESS_KEY_ID and "
                               "AWS_SECRET_ACCESS_KEY in the environment");
    }
    if (host_apply(u, slice_sub(head, 0, host_bytes), err) < 0)
        return -1;
    return prefix_decode(slice_sub(head, host_bytes, head.n), &u->path, err);
}

/* Step 2. */
static int file_apply(struct replica_url *u, const char *path, struct error *err)
{
    if (*path != '/') {
        return error_set(err, ERR_USAGE, 0,
                         "a file URL has three slashes and an absolute path: file:///backups/app");
    }
    if (strpbrk(path, "?#"))
        return error_set(err, ERR_USAGE, 0, "a file URL takes neither '?' nor '#'");
    u->path = str_dup(path, err);
    return u->path ? 0 : -1;
}

static int scheme_unknown(struct slice scheme, struct error *err)
{
    return error_set(err, ERR_USAGE, 0,
                     "unknown scheme \"%.*s\" (known: file, s3; Litestream's gs, abs, sftp, "
                     "webdav, nats and oss are not supported by this version)",
                     (int)(scheme.n < 32 ? scheme.n : 32), (const char *)scheme.p);
}

static int url_apply(struct replica_url *u, const char *text, struct error *err)
{
    struct slice name = scheme_of(text);

    if (strlen(text) > REPLICA_URL_BYTES_MAX)
        return error_set(err, ERR_LIMIT, 0, "a URL of more than %d bytes", REPLICA_URL_BYTES_MAX);
    if (name.n == 0 && (*text == '/' || *text == '.' || *text == '~')) {
        u->backend = CONFIG_BACKEND_FILE;
        u->path = str_dup(text, err);
        return u->path ? 0 : -1;
    }
    if (name.n == 0) {
        return error_set(err, ERR_USAGE, 0,
                         "expected a URL (s3://bucket/prefix, file:///path) or a path that begins "
                         "with / . or ~");
    }
    const struct scheme *scheme = scheme_find(name);
    if (!scheme)
        return scheme_unknown(name, err);
    const char *rest = text + name.n + 3;
    u->backend = scheme->backend;
    if (scheme->backend == CONFIG_BACKEND_FILE)
        return file_apply(u, rest, err);
    if (scheme->backend == CONFIG_BACKEND_S3)
        return s3_apply(u, slice_of_str(rest), err);
    return 0;
}

int replica_url_parse(const char *text, struct replica_url *out, struct error *err)
{
    *out = (struct replica_url){0};
    if (url_apply(out, text, err) < 0) {
        replica_url_destroy(out);
        return -1;
    }
    return 0;
}

void replica_url_destroy(struct replica_url *u)
{
    for (size_t i = 0; i < u->param_count; i++) {
        explicit_bzero(u->params[i].value, strlen(u->params[i].value));
        free(u->params[i].value);
    }
    free(u->path);
    free(u->bucket);
    free(u->endpoint);
    free(u->region);
    *u = (struct replica_url){0};
}

/* Adds text with everything escaped but letters, digits and the plain characters. */
static int percent_encode(const char *text, const char *plain, struct buf *out, struct error *err)
{
    for (const char *p = text; *p; p++) {
        uint8_t c = (uint8_t)*p;
        bool is_plain = isalnum(c) || strchr(plain, c);
        int rc =
            is_plain ? buf_append_byte(out, c, err) : buf_printf(out, err, "%%%02X", (unsigned)c);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int replica_url_format(enum config_backend backend, const char *bucket, const char *path,
                       const char *endpoint, struct buf *out, struct error *err)
{
    if (backend == CONFIG_BACKEND_FILE)
        return buf_printf(out, err, "file://%s", path);
    if (buf_printf(out, err, "%s://%s%s", config_backend_name(backend), bucket ? bucket : "",
                   *path ? "/" : "") < 0 ||
        percent_encode(path, "-._~/!$&'()*,;=:@", out, err) < 0)
        return -1;
    if (!endpoint)
        return 0;
    if (buf_append_str(out, "?endpoint=", err) < 0)
        return -1;
    return percent_encode(endpoint, "-._~/:[]", out, err);
}

const char *config_backend_name(enum config_backend backend)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (schemes[i].backend == backend)
            return schemes[i].name;
    }
    return "unknown";
}
