/*
 * AWS Signature Version 4.
 *
 *   canonical request              string to sign                   key
 *   -----------------              --------------                   ---
 *   METHOD                         AWS4-HMAC-SHA256                 k1 = HMAC("AWS4" secret, day)
 *   path, encoded                  20150830T123600Z                 k2 = HMAC(k1, region)
 *   query, encoded and sorted      day/region/service/aws4_request  k3 = HMAC(k2, service)
 *   name:value of each header      hex SHA-256 of the canonical     key = HMAC(k3, aws4_request)
 *   (empty line)                   request
 *   names of headers, by ';'
 *   hex SHA-256 of the body
 *
 *   Authorization: AWS4-HMAC-SHA256 Credential=<id>/<scope>, SignedHeaders=<names>,
 *                  Signature=<hex HMAC(key, string to sign)>
 *
 * 1. Header names are lowered and sorted; values lose spaces around them and runs inside become
 *    one; headers of the same name are joined by ',' in the order they came.
 * 2. Names and values of the query are decoded and encoded again, so that it does not matter how
 *    they were written, then sorted by name and value as bytes.
 * 3. S3 signs the path as it is sent (an object may be called "a//b"); other services normalise.
 *
 * Source: AWS General Reference, "Create a canonical request"; the test suite of aws-c-auth.
 */
#include "lib/storage/s3/sigv4.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/hex.h"

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

enum {
    SIGV4_DAY_BYTES = 8,
    QUERY_TERMINATORS_MAX = 2 * SIGV4_QUERY_PARAMETERS_MAX,
    SIGV4_SECRET_BYTES_MAX = 1024,
    SIGV4_STRING_BYTES_MAX = 1024,
};

static bool byte_is_unreserved(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

int sigv4_uri_encode(struct buf *out, struct slice s, bool keep_slash, struct error *err)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (byte_is_unreserved(c) || (keep_slash && c == '/')) {
            if (buf_append_byte(out, c, err) < 0)
                return -1;
            continue;
        }
        const char escaped[3] = {'%', hex_upper[c >> 4], hex_upper[c & 15]};
        if (buf_append(out, escaped, sizeof(escaped), err) < 0)
            return -1;
    }
    return 0;
}

const char *sigv4_hex(const uint8_t hash[static SIGV4_HASH_BYTES], char out[static SIGV4_HEX_BYTES])
{
    for (size_t i = 0; i < SIGV4_HASH_BYTES; i++) {
        out[2 * i] = hex_lower[hash[i] >> 4];
        out[2 * i + 1] = hex_lower[hash[i] & 15];
    }
    out[SIGV4_HEX_BYTES - 1] = '\0';
    return out;
}

static int hash_of(struct slice s, uint8_t out[static SIGV4_HASH_BYTES], struct error *err)
{
    static const uint8_t nothing[1];
    if (!EVP_Digest(s.p ? s.p : nothing, s.n, out, NULL, EVP_sha256(), NULL))
        return error_set(err, ERR_NO_MEMORY, 0, "SHA-256 is not available");
    return 0;
}

int sigv4_hash_hex(struct slice s, char out[static SIGV4_HEX_BYTES], struct error *err)
{
    uint8_t hash[SIGV4_HASH_BYTES];
    if (hash_of(s, hash, err) < 0)
        return -1;
    (void)sigv4_hex(hash, out); /* answers its argument */
    return 0;
}

/* ---- path ---- */

/* Removes the last segment of a normalised path ("/a/b/" -> "/a/"). */
static void path_drop_segment(struct buf *path)
{
    if (path->n > 1)
        path->n--;
    while (path->n > 1 && path->p[path->n - 1] != '/')
        path->n--;
}

/* Without empty, "." and ".." segments; a final slash stays. */
static int path_normalize(const char *path, struct buf *out, struct error *err)
{
    if (buf_append_byte(out, '/', err) < 0)
        return -1;
    while (*path) {
        size_t n = strcspn(path, "/");
        bool is_last = path[n] == '\0';
        if (n == 2 && memcmp(path, "..", 2) == 0) {
            path_drop_segment(out);
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            if (buf_append(out, path, n, err) < 0 ||
                (!is_last && buf_append_byte(out, '/', err) < 0))
                return -1;
        }
        path += n + (is_last ? 0 : 1);
    }
    return 0;
}

static int canonical_path(const struct sigv4_request *req, struct buf *out, struct error *err)
{
    if (req->path_mode == SIGV4_PATH_AS_IS)
        return buf_append_str(out, req->path, err);
    CLEANUP(buf_destroy) struct buf plain = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    if (path_normalize(req->path, &plain, err) < 0)
        return -1;
    return sigv4_uri_encode(out, buf_slice(&plain), true, err);
}

/* ---- query ---- */

/* A parameter as offsets into one buffer of encoded, terminated names and values. */
struct query_parameter {
    const char *name;
    const char *value;
};

/* Decodes %XX of s and encodes the result, terminated, into out. */
static int query_reencode(struct slice s, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c == '%' && i + 2 < s.n) {
            int byte = hex_byte((const char *)s.p + i + 1);
            if (byte >= 0) {
                c = (uint8_t)byte;
                i += 2;
            }
        }
        if (sigv4_uri_encode(out, slice_of(&c, 1), false, err) < 0)
            return -1;
    }
    return buf_append_byte(out, '\0', err);
}

static int parameter_compare(const void *a, const void *b)
{
    const struct query_parameter *x = a;
    const struct query_parameter *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->value, y->value);
}

/* Step 2. The reserved text never moves: three times the query is the most that encoding makes. */
static int query_split(const char *query, struct buf *text, struct query_parameter *parameters,
                       size_t *out_count, struct error *err)
{
    size_t count = 0;
    if (buf_reserve(text, 3 * strlen(query) + QUERY_TERMINATORS_MAX, err) < 0)
        return -1;
    while (*query) {
        size_t n = strcspn(query, "&");
        size_t name_n = strcspn(query, "=&");
        size_t value_at = name_n < n ? name_n + 1 : n;
        if (count == SIGV4_QUERY_PARAMETERS_MAX) {
            return error_set(err, ERR_LIMIT, 0, "more than %d query parameters",
                             SIGV4_QUERY_PARAMETERS_MAX);
        }
        if (n > 0) {
            parameters[count].name = (const char *)text->p + text->n;
            if (query_reencode(slice_of(query, name_n), text, err) < 0)
                return -1;
            parameters[count].value = (const char *)text->p + text->n;
            if (query_reencode(slice_of(query + value_at, n - value_at), text, err) < 0)
                return -1;
            count++;
        }
        query += n + (query[n] == '&' ? 1 : 0);
    }
    *out_count = count;
    return 0;
}

static int canonical_query(const char *query, struct buf *out, struct error *err)
{
    struct query_parameter parameters[SIGV4_QUERY_PARAMETERS_MAX];
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    size_t count = 0;

    if (query_split(query, &text, parameters, &count, err) < 0)
        return -1;
    qsort(parameters, count, sizeof(parameters[0]), parameter_compare);
    for (size_t i = 0; i < count; i++) {
        if (buf_printf(out, err, "%s%s=%s", i ? "&" : "", parameters[i].name, parameters[i].value) <
            0)
            return -1;
    }
    return 0;
}

/* ---- headers ---- */

static int append_lowered(struct buf *out, const char *name, struct error *err)
{
    for (; *name; name++) {
        if (buf_append_byte(out, (uint8_t)tolower((unsigned char)*name), err) < 0)
            return -1;
    }
    return 0;
}

/* The value without spaces around it, and runs of spaces as one. */
static int append_trimmed(struct buf *out, const char *value, struct error *err)
{
    bool is_first = true;
    while (*value) {
        value += strspn(value, " \t\r\n");
        size_t n = strcspn(value, " \t\r\n");
        if (n == 0)
            break;
        if ((!is_first && buf_append_byte(out, ' ', err) < 0) || buf_append(out, value, n, err) < 0)
            return -1;
        is_first = false;
        value += n;
    }
    return 0;
}

/* Sorts by name, keeping the order of equal names: insertion, for there are few. */
static void headers_sort(const struct http_header **sorted, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct http_header *h = sorted[i];
        size_t at = i;
        for (; at > 0 && strcasecmp(sorted[at - 1]->name, h->name) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = h;
    }
}

/* Step 1. */
static int canonical_headers(const struct sigv4_request *req, struct buf *out,
                             struct buf *out_signed, struct error *err)
{
    const struct http_header *sorted[HTTP_HEADERS_MAX];

    if (req->header_count > HTTP_HEADERS_MAX)
        return error_set(err, ERR_LIMIT, 0, "more than %d headers", HTTP_HEADERS_MAX);
    for (size_t i = 0; i < req->header_count; i++)
        sorted[i] = &req->headers[i];
    headers_sort(sorted, req->header_count);
    for (size_t i = 0; i < req->header_count; i++) {
        bool is_repeated = i > 0 && strcasecmp(sorted[i - 1]->name, sorted[i]->name) == 0;
        bool is_last =
            i + 1 == req->header_count || strcasecmp(sorted[i]->name, sorted[i + 1]->name) != 0;
        if (!is_repeated &&
            (append_lowered(out, sorted[i]->name, err) < 0 || buf_append_byte(out, ':', err) < 0 ||
             (out_signed->n > 0 && buf_append_byte(out_signed, ';', err) < 0) ||
             append_lowered(out_signed, sorted[i]->name, err) < 0))
            return -1;
        if ((is_repeated && buf_append_byte(out, ',', err) < 0) ||
            append_trimmed(out, sorted[i]->value, err) < 0 ||
            (is_last && buf_append_byte(out, '\n', err) < 0))
            return -1;
    }
    return 0;
}

/* ---- the steps ---- */

int sigv4_canonical_request(const struct sigv4_request *req, struct buf *out,
                            struct buf *out_signed, struct error *err)
{
    if (buf_printf(out, err, "%s\n", req->method) < 0 || canonical_path(req, out, err) < 0 ||
        buf_append_byte(out, '\n', err) < 0 || canonical_query(req->query, out, err) < 0 ||
        buf_append_byte(out, '\n', err) < 0 || canonical_headers(req, out, out_signed, err) < 0)
        return error_wrap(err, "canonical request");
    return buf_printf(out, err, "\n%s\n%s", buf_str(out_signed), req->payload_hash);
}

int sigv4_string_to_sign(const struct sigv4_scope *scope, struct slice canonical, struct buf *out,
                         struct error *err)
{
    char time_text[TIME_TEXT_BYTES];
    char hash[SIGV4_HEX_BYTES];

    if (sigv4_hash_hex(canonical, hash, err) < 0)
        return -1;
    (void)time_format_amz(scope->wall_ns, time_text); /* answers its argument */
    return buf_printf(out, err, "AWS4-HMAC-SHA256\n%s\n%.*s/%s/%s/aws4_request\n%s", time_text,
                      SIGV4_DAY_BYTES, time_text, scope->region, scope->service, hash);
}

static int hmac(struct slice key, struct slice text, uint8_t out[static SIGV4_HASH_BYTES],
                struct error *err)
{
    unsigned n = SIGV4_HASH_BYTES;
    if (!HMAC(EVP_sha256(), key.p, (int)key.n, text.p, text.n, out, &n))
        return error_set(err, ERR_NO_MEMORY, 0, "HMAC-SHA-256 is not available");
    return 0;
}

void sigv4_key_destroy(struct sigv4_key *key)
{
    explicit_bzero(key, sizeof(*key));
}

static bool key_fits(const struct sigv4_key *key, const struct sigv4_scope *scope, const char *day,
                     const uint8_t *secret_hash)
{
    return strcmp(key->day, day) == 0 && strcmp(key->region, scope->region) == 0 &&
           strcmp(key->service, scope->service) == 0 &&
           memcmp(key->secret_hash, secret_hash, SIGV4_HASH_BYTES) == 0;
}

static int key_derive(const struct sigv4_scope *scope, const char *day, const char *secret,
                      uint8_t out[static SIGV4_HASH_BYTES], struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf seed = BUF_INIT(SIGV4_SECRET_BYTES_MAX);
    uint8_t k[SIGV4_HASH_BYTES];
    uint8_t next[SIGV4_HASH_BYTES];
    const char *const parts[] = {scope->region, scope->service, "aws4_request"};

    if (buf_reserve(&seed, strlen(secret) + 4, err) < 0 || buf_append_str(&seed, "AWS4", err) < 0 ||
        buf_append_str(&seed, secret, err) < 0)
        return error_wrap(err, "secret access key");
    int rc = hmac(buf_slice(&seed), slice_of_str(day), k, err);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(parts); i++) {
        rc = hmac(slice_of(k, sizeof(k)), slice_of_str(parts[i]), next, err);
        memcpy(k, next, sizeof(k));
    }
    if (rc == 0)
        memcpy(out, k, sizeof(k));
    explicit_bzero(k, sizeof(k));
    explicit_bzero(next, sizeof(next));
    return rc;
}

static int key_refresh(struct sigv4_key *key, const struct sigv4_scope *scope, const char *secret,
                       struct error *err)
{
    char time_text[TIME_TEXT_BYTES];
    uint8_t secret_hash[SIGV4_HASH_BYTES];

    (void)time_format_amz(scope->wall_ns, time_text); /* answers its argument */
    time_text[SIGV4_DAY_BYTES] = '\0';
    if (hash_of(slice_of_str(secret), secret_hash, err) < 0)
        return -1;
    if (key_fits(key, scope, time_text, secret_hash))
        return 0;
    if (strlen(scope->region) >= sizeof(key->region) ||
        strlen(scope->service) >= sizeof(key->service))
        return error_set(err, ERR_LIMIT, 0, "region \"%.80s\" is too long", scope->region);
    if (key_derive(scope, time_text, secret, key->key, err) < 0)
        return -1;
    memcpy(key->secret_hash, secret_hash, sizeof(secret_hash));
    memcpy(key->day, time_text, sizeof(key->day));
    memcpy(key->region, scope->region, strlen(scope->region) + 1);
    memcpy(key->service, scope->service, strlen(scope->service) + 1);
    return 0;
}

int sigv4_signature(struct sigv4_key *key, const struct sigv4_scope *scope, const char *secret,
                    struct slice string_to_sign, char out[static SIGV4_HEX_BYTES],
                    struct error *err)
{
    uint8_t signature[SIGV4_HASH_BYTES];

    if (key_refresh(key, scope, secret, err) < 0 ||
        hmac(slice_of(key->key, sizeof(key->key)), string_to_sign, signature, err) < 0)
        return -1;
    (void)sigv4_hex(signature, out); /* answers its argument */
    return 0;
}

int sigv4_authorization(struct sigv4_key *key, const struct sigv4_scope *scope,
                        const char *access_key_id, const char *secret,
                        const struct sigv4_request *req, struct buf *out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf canonical = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf signed_names = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf string = BUF_INIT(SIGV4_STRING_BYTES_MAX);
    char time_text[TIME_TEXT_BYTES];
    char signature[SIGV4_HEX_BYTES];

    if (sigv4_canonical_request(req, &canonical, &signed_names, err) < 0 ||
        sigv4_string_to_sign(scope, buf_slice(&canonical), &string, err) < 0 ||
        sigv4_signature(key, scope, secret, buf_slice(&string), signature, err) < 0)
        return error_wrap(err, "signature");
    (void)time_format_amz(scope->wall_ns, time_text); /* answers its argument */
    return buf_printf(out, err,
                      "AWS4-HMAC-SHA256 Credential=%s/%.*s/%s/%s/aws4_request, SignedHeaders=%s, "
                      "Signature=%s",
                      access_key_id, SIGV4_DAY_BYTES, time_text, scope->region, scope->service,
                      buf_str(&signed_names), signature);
}
