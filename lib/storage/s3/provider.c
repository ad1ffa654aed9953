/*
 * Providers and addresses.
 *
 * 1. A bucket that is the ARN of an access point names region and host by itself.
 * 2. Without endpoint, a bucket in one of the host forms is taken apart.
 * 3. An endpoint is parsed: scheme (guessed for bare hosts), host, port, base path; the host picks
 *    the provider. Without one: s3.REGION.amazonaws.com.
 * 4. Path style: the user's word, else the provider's. Names with dots cannot be part of a host
 *    under TLS (a wildcard certificate covers one label), so they use the path.
 *
 * Source: Amazon S3 User Guide, "Virtual hosting of buckets", "Access points"; litestream,
 * replica_url.go.
 */
#include "lib/storage/s3/provider.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/sigv4.h"

static const struct s3_provider provider_any = {.name = "S3",
                                                .has_path_style = true,
                                                .wants_content_md5 = true,
                                                .has_batch_delete = true,
                                                .concurrency = S3_CONCURRENCY_DEFAULT};

#define TIGRIS_HEADER {.name = "X-Tigris-Consistent", .value = "true"}

static const struct s3_provider providers[] = {
    {"AWS", ".amazonaws.com", false, true, true, S3_CONCURRENCY_DEFAULT, {0}},
    {"AWS", ".amazonaws.com.cn", false, true, true, S3_CONCURRENCY_DEFAULT, {0}},
    {"Cloudflare R2", ".r2.cloudflarestorage.com", true, true, true, 2, {0}},
    {"Backblaze B2", ".backblazeb2.com", true, true, true, S3_CONCURRENCY_DEFAULT, {0}},
    {"DigitalOcean", ".digitaloceanspaces.com", true, true, true, S3_CONCURRENCY_DEFAULT, {0}},
    {"Hetzner", ".your-objectstorage.com", true, true, true, S3_CONCURRENCY_DEFAULT, {0}},
    {"Filebase", "s3.filebase.com", true, true, true, S3_CONCURRENCY_DEFAULT, {0}},
    {"Scaleway", ".scw.cloud", true, true, true, S3_CONCURRENCY_DEFAULT, {0}},
    {"Supabase", ".supabase.co", true, true, true, S3_CONCURRENCY_DEFAULT, {0}},
    {"Tigris", "fly.storage.tigris.dev", true, false, true, S3_CONCURRENCY_DEFAULT, TIGRIS_HEADER},
    {"Tigris", "t3.storage.dev", true, false, true, S3_CONCURRENCY_DEFAULT, TIGRIS_HEADER},
    {"Google", "storage.googleapis.com", true, true, false, S3_CONCURRENCY_DEFAULT, {0}},
};

static bool text_ends_with(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t end_n = strlen(end);
    return n >= end_n && strcasecmp(text + n - end_n, end) == 0;
}

const struct s3_provider *s3_provider_of_host(const char *host)
{
    for (size_t i = 0; i < ARRAY_LEN(providers); i++) {
        const char *suffix = providers[i].suffix;
        if (suffix[0] == '.' ? text_ends_with(host, suffix) : strcasecmp(host, suffix) == 0)
            return &providers[i];
    }
    return &provider_any;
}

/* ---- names ---- */

static bool region_is_plausible(const char *region)
{
    size_t n = strlen(region);
    return n > 0 && n < S3_REGION_BYTES_MAX &&
           strspn(region, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
}

static int region_set(struct s3_target *target, const char *region, struct error *err)
{
    if (!region_is_plausible(region))
        return error_set(err, ERR_USAGE, 0, "region \"%.80s\" is not the name of a region", region);
    memcpy(target->region, region, strlen(region) + 1);
    return 0;
}

static int bucket_set(struct s3_target *target, const char *bucket, struct error *err)
{
    size_t n = strlen(bucket);
    if (n == 0)
        return error_set(err, ERR_USAGE, 0, "bucket is missing");
    if (n >= S3_BUCKET_BYTES_MAX) {
        return error_set(err, ERR_USAGE, 0, "bucket \"%.80s...\" is longer than %d characters",
                         bucket, S3_BUCKET_BYTES_MAX - 1);
    }
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)bucket[i]) && !strchr("-._", bucket[i]))
            return error_set(err, ERR_USAGE, 0, "bucket \"%s\" contains '%c'", bucket, bucket[i]);
    }
    memcpy(target->bucket, bucket, n + 1);
    return 0;
}

static void host_of_region(struct s3_target *target)
{
    bool is_china = strncmp(target->region, "cn-", 3) == 0;
    (void)snprintf(target->host, sizeof(target->host), "s3.%s.amazonaws.com%s", target->region,
                   is_china ? ".cn" : ""); /* the region is short enough */
}

bool s3_target_set_region(struct s3_target *target, const char *region)
{
    if (!region_is_plausible(region))
        return false;
    memcpy(target->region, region, strlen(region) + 1);
    target->is_region_a_guess = false;
    if (target->is_aws_default)
        host_of_region(target);
    return true;
}

/* ---- endpoint ---- */

/* The host without its port and without the brackets of IPv6. */
static void host_bare(const char *host, char out[static S3_HOST_BYTES_MAX])
{
    size_t n = host[0] == '[' ? strcspn(host + 1, "]") : strcspn(host, ":");
    (void)snprintf(out, S3_HOST_BYTES_MAX, "%.*s", (int)n, host + (host[0] == '['));
}

/* An IPv4 address in 127.0.0.0/8; "127.example.com" is a name that may lead anywhere. */
static bool text_is_loopback_v4(const char *bare)
{
    return strncmp(bare, "127.", 4) == 0 && strspn(bare, "0123456789.") == strlen(bare);
}

bool s3_host_is_loopback(const char *host)
{
    char bare[S3_HOST_BYTES_MAX];
    host_bare(host, bare);
    return strcasecmp(bare, "localhost") == 0 || text_ends_with(bare, ".localhost") ||
           text_is_loopback_v4(bare) || strcmp(bare, "::1") == 0;
}

static bool host_is_private(const char *host)
{
    char bare[S3_HOST_BYTES_MAX];
    host_bare(host, bare);
    if (text_ends_with(bare, ".local"))
        return true;
    if (strspn(bare, "0123456789.") != strlen(bare))
        return false;
    if (strncmp(bare, "172.", 4) == 0) {
        long second = strtol(bare + 4, NULL, 10);
        return second >= 16 && second <= 31;
    }
    return strncmp(bare, "10.", 3) == 0 || strncmp(bare, "192.168.", 8) == 0;
}

static bool host_is_good(const char *host, size_t n)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._:[]";
    return n > 0 && n < S3_HOST_BYTES_MAX && strspn(host, allowed) >= n;
}

/* Step 3. */
static int endpoint_parse(const char *endpoint, struct s3_target *out, struct error *err)
{
    const char *at = endpoint;
    bool has_scheme = true;

    if (strncasecmp(at, "https://", 8) == 0) {
        out->is_tls = true;
        at += 8;
    } else if (strncasecmp(at, "http://", 7) == 0) {
        at += 7;
    } else if (strstr(at, "://")) {
        return error_set(err, ERR_USAGE, 0, "endpoint \"%.200s\" is neither http nor https", at);
    } else {
        has_scheme = false;
    }
    size_t n = strcspn(at, "/");
    if (!host_is_good(at, n) || strpbrk(at + n, "?#"))
        return error_set(err, ERR_USAGE, 0, "endpoint \"%.200s\" is not a URL", endpoint);
    memcpy(out->host, at, n);
    out->host[n] = '\0';
    if (!has_scheme)
        out->is_tls = !s3_host_is_loopback(out->host) && !host_is_private(out->host);
    const char *own_port = out->is_tls ? ":443" : ":80";
    if (text_ends_with(out->host, own_port))
        out->host[n - strlen(own_port)] = '\0';

    size_t path_n = strlen(at + n);
    while (path_n > 0 && at[n + path_n - 1] == '/')
        path_n--;
    if (path_n >= sizeof(out->base_path))
        return error_set(err, ERR_USAGE, 0, "endpoint \"%.200s\" is too long", endpoint);
    memcpy(out->base_path, at + n, path_n);
    out->base_path[path_n] = '\0';
    char bare[S3_HOST_BYTES_MAX];
    host_bare(out->host, bare);
    out->provider = s3_provider_of_host(bare);
    return 0;
}

/* ---- host forms and ARNs ---- */

struct host_form_row {
    const char *infix;  /* between bucket and region; "." when nothing is */
    const char *suffix; /* of the whole host */
    const char *scheme; /* of the endpoint; NULL: AWS, no endpoint needed */
};

static const struct host_form_row host_forms[] = {
    {".s3.", ".amazonaws.com", NULL},
    {".s3-", ".amazonaws.com", NULL},
    {".", ".digitaloceanspaces.com", "https://"},
    {".s3.", ".backblazeb2.com", "https://s3."},
    {".s3.", ".scw.cloud", "https://s3."},
};

/* Fits host to "<bucket><infix><region><suffix>"; region without dots. */
static bool host_form_fits(const struct host_form_row *row, const char *host,
                           struct s3_host_form *out)
{
    size_t n = strlen(host) - strlen(row->suffix);
    const char *region = host + n;
    while (region > host && (isalnum((unsigned char)region[-1]) || region[-1] == '-') &&
           !(strcmp(row->infix, ".s3-") == 0 && region - host > 4 &&
             strncmp(region - 4, ".s3-", 4) == 0))
        region--;
    size_t infix_n = strlen(row->infix);
    size_t region_n = (size_t)(host + n - region);
    if ((size_t)(region - host) <= infix_n || strncmp(region - infix_n, row->infix, infix_n) != 0 ||
        region_n == 0 || region_n >= sizeof(out->region))
        return false;
    size_t bucket_n = (size_t)(region - host) - infix_n;
    if (bucket_n >= sizeof(out->bucket))
        return false;
    (void)snprintf(out->bucket, sizeof(out->bucket), "%.*s", (int)bucket_n, host);
    (void)snprintf(out->region, sizeof(out->region), "%.*s", (int)region_n, region);
    if (row->scheme) {
        (void)snprintf(out->endpoint, sizeof(out->endpoint), "%s%s%s", row->scheme, out->region,
                       row->suffix);
    }
    return true;
}

static bool host_form_of_suffix(const char *host, const char *suffix, const char *endpoint,
                                struct s3_host_form *out)
{
    if (!text_ends_with(host, suffix) || strlen(host) == strlen(suffix) ||
        strlen(host) - strlen(suffix) >= sizeof(out->bucket))
        return false;
    (void)snprintf(out->bucket, sizeof(out->bucket), "%.*s", (int)(strlen(host) - strlen(suffix)),
                   host);
    (void)snprintf(out->endpoint, sizeof(out->endpoint), "%s", endpoint);
    return true;
}

bool s3_host_form_parse(const char *host, struct s3_host_form *out)
{
    *out = (struct s3_host_form){0};
    if (strlen(host) >= S3_HOST_BYTES_MAX - 16)
        return false;
    const char *colon = strchr(host, ':');
    const char *dot = strchr(host, '.');
    if (colon && strspn(colon + 1, "0123456789") == strlen(colon + 1) && colon[1]) {
        if (!dot || dot > colon || (size_t)(dot - host) >= sizeof(out->bucket))
            return false;
        (void)snprintf(out->bucket, sizeof(out->bucket), "%.*s", (int)(dot - host), host);
        (void)snprintf(out->endpoint, sizeof(out->endpoint), "http://%s", dot + 1);
        (void)snprintf(out->region, sizeof(out->region), "us-east-1");
        return true;
    }
    if (host_form_of_suffix(host, ".s3.amazonaws.com", "", out) ||
        host_form_of_suffix(host, ".s3.filebase.com", "https://s3.filebase.com", out))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(host_forms); i++) {
        if (text_ends_with(host, host_forms[i].suffix) && host_form_fits(&host_forms[i], host, out))
            return true;
    }
    *out = (struct s3_host_form){0};
    return false;
}

/* "arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME". Step 1. */
static int arn_parse(const char *arn, struct s3_target *out, struct error *err)
{
    char partition[16];
    char region[S3_REGION_BYTES_MAX];
    char account[16];
    char name[64];
    int end = 0;

    int fields =
        sscanf(arn, "arn:%15[a-z-]:s3:%63[a-z0-9-]:%15[0-9]:accesspoint%*1[/:]%63[a-z0-9-]%n",
               partition, region, account, name, &end);
    if (fields != 4 || arn[end] != '\0') {
        (void)error_set(err, ERR_USAGE, 0, "bucket \"%.200s\" is not the ARN of an access point",
                        arn);
        return error_hint(err, "the form is arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME");
    }
    (void)snprintf(out->host, sizeof(out->host), "%s-%s.s3-accesspoint.%s.amazonaws.com%s", name,
                   account, region, strcmp(partition, "aws-cn") == 0 ? ".cn" : "");
    (void)snprintf(out->region, sizeof(out->region), "%s", region);
    out->is_access_point = true;
    out->is_tls = true;
    out->provider = &providers[0];
    return 0;
}

/* ---- all together ---- */

static const char *region_of_environment(void)
{
    static const char *const names[] = {"AWS_REGION", "AWS_DEFAULT_REGION"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]); // NOLINT(concurrency-mt-unsafe): nobody sets any
        if (value && *value)
            return value;
    }
    return NULL;
}

static int target_of_aws(const char *region, struct s3_target *out, struct error *err)
{
    out->is_tls = true;
    out->is_aws_default = true;
    out->provider = &providers[0];
    out->is_region_a_guess = !region;
    if (region_set(out, region ? region : "us-east-1", err) < 0)
        return -1;
    host_of_region(out);
    return 0;
}

/* The region in an endpoint of AWS ("s3.eu-west-1.amazonaws.com"), or NULL. */
static const char *region_of_endpoint(const struct s3_target *target,
                                      char out[static S3_REGION_BYTES_MAX])
{
    return sscanf(target->host, "s3.%63[a-z0-9-].amazonaws.com", out) == 1 &&
                   text_ends_with(target->host, ".amazonaws.com")
               ? out
               : NULL;
}

static void path_style_set(const struct storage_s3_config *config, struct s3_target *out)
{
    if (config->force_path_style == S3_CHOICE_AUTO) {
        out->has_path_style =
            out->provider->has_path_style || (out->is_tls && strchr(out->bucket, '.'));
    } else
        out->has_path_style = config->force_path_style == S3_CHOICE_YES;
}

static const char *text_or_null(const char *text)
{
    return text && *text ? text : NULL;
}

/* Step 1. */
static int resolve_access_point(const char *arn, const char *endpoint, struct s3_target *out,
                                struct error *err)
{
    if (endpoint)
        return error_set(err, ERR_USAGE, 0, "an access point excludes an endpoint");
    return arn_parse(arn, out, err);
}

/* Step 3. region NULL: not said. */
static int resolve_service(const char *endpoint, const char *region, struct s3_target *out,
                           struct error *err)
{
    char of_endpoint[S3_REGION_BYTES_MAX];

    if (!endpoint)
        return target_of_aws(region ? region : region_of_environment(), out, err);
    if (endpoint_parse(endpoint, out, err) < 0)
        return -1;
    if (!region)
        region = region_of_endpoint(out, of_endpoint);
    if (!region)
        region = region_of_environment();
    return region_set(out, region ? region : "us-east-1", err);
}

int s3_target_resolve(const struct storage_s3_config *config, struct s3_target *out,
                      struct error *err)
{
    const char *endpoint = text_or_null(config->endpoint);
    const char *region = text_or_null(config->region);
    const char *bucket = config->bucket ? config->bucket : "";
    struct s3_target target = {.provider = &provider_any};
    struct s3_host_form form;

    if (strncmp(bucket, "arn:", 4) == 0) {
        if (resolve_access_point(bucket, endpoint, &target, err) < 0)
            return -1;
        *out = target;
        return 0;
    }
    if (!endpoint && s3_host_form_parse(bucket, &form)) { /* step 2 */
        bucket = form.bucket;
        endpoint = text_or_null(form.endpoint);
        region = region ? region : text_or_null(form.region);
    }
    if (bucket_set(&target, bucket, err) < 0 || resolve_service(endpoint, region, &target, err) < 0)
        return -1;
    path_style_set(config, &target);
    *out = target;
    return 0;
}

int s3_target_host(const struct s3_target *target, struct buf *out, struct error *err)
{
    bool has_bucket = !target->has_path_style && !target->is_access_point;
    return buf_printf(out, err, "%s%s%s", has_bucket ? target->bucket : "", has_bucket ? "." : "",
                      target->host);
}

int s3_target_path(const struct s3_target *target, const char *key, struct buf *out,
                   struct error *err)
{
    if (buf_append_str(out, target->base_path, err) < 0 || buf_append_byte(out, '/', err) < 0)
        return -1;
    if (target->has_path_style && !target->is_access_point) {
        if (sigv4_uri_encode(out, slice_of_str(target->bucket), false, err) < 0)
            return -1;
        if (key && buf_append_byte(out, '/', err) < 0)
            return -1;
    }
    return key ? sigv4_uri_encode(out, slice_of_str(key), true, err) : 0;
}
