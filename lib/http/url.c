/*
 * URLs: taken apart by libcurl's URL parser, decoded and put together here.
 *
 * libcurl finds the parts (CURLU) and refuses what is no URL; each part is then decoded by
 * url_decode(), because libcurl's own decoding would hide which part was bad. The path is kept "as
 * is": removing dot segments would change the object that a signed request names.
 *
 * Building is the inverse: every part is encoded down to the unreserved characters, so that
 * parse(build(u)) == u for every u that parse() made. The fuzzer holds us to that.
 */
#include "lib/http/url.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/hex.h"

/* ---- percent encoding ---- */

static bool is_unreserved(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int url_encode(struct slice bytes, bool keep_slash, struct buf *out, struct error *err)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t c = bytes.p[i];
        char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
        bool is_plain = is_unreserved(c) || (keep_slash && c == '/');
        if (is_plain ? buf_append_byte(out, c, err) < 0
                     : buf_append(out, escape, sizeof(escape), err) < 0)
            return -1;
    }
    return 0;
}

int url_decode(struct slice text, bool plus_is_space, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '+' && plus_is_space) {
            c = ' ';
        } else if (c == '%') {
            int byte = text.n - i > 2 ? hex_byte((const char *)text.p + i + 1) : -1;
            if (byte < 0) {
                return error_set(err, ERR_USAGE, 0,
                                 "'%%' at offset %zu is not followed by two hex digits", i);
            }
            c = (uint8_t)byte;
            i += 2;
        }
        if (buf_append_byte(out, c, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- for people ---- */

/* Where the part that may be shown ends: before query and fragment. */
static size_t shown_end(const char *text)
{
    return strcspn(text, "?#");
}

const char *url_redact(const char *text, char out[static URL_REDACTED_BYTES])
{
    static const char dots[] = "...";
    size_t end = shown_end(text);
    const char *authority = strstr(text, "://");
    size_t at = 0;
    size_t skip_from = 0;
    size_t skip_to = 0;

    if (authority && (size_t)(authority - text) < end) {
        skip_from = (size_t)(authority - text) + 3;
        skip_to = skip_from;
        /* Up to the last '@' before the path: a password may hold '@' where it should not. */
        for (size_t i = skip_from; i < end && text[i] != '/'; i++) {
            if (text[i] == '@')
                skip_to = i + 1;
        }
    }
    for (size_t i = 0; i < end; i++) {
        if (i >= skip_from && i < skip_to)
            continue;
        if (at == URL_REDACTED_BYTES - sizeof(dots)) {
            memcpy(out + at, dots, sizeof(dots));
            return out;
        }
        bool is_control = (uint8_t)text[i] < 0x20 || text[i] == 0x7f;
        out[at++] = (char)(is_control ? '?' : text[i]);
    }
    out[at] = '\0';
    return out;
}

/* ---- taking apart ---- */

static void curlu_cleanup(CURLU **u)
{
    curl_url_cleanup(*u);
}

static void curl_text_free(char **text)
{
    curl_free(*text);
}

/* The text in out, decoded, as a string that the caller frees. what names the part. */
static int part_decode(struct slice raw, bool plus_is_space, const char *what, char **out,
                       struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf decoded = BUF_INIT(URL_BYTES_MAX);

    if (url_decode(raw, plus_is_space, &decoded, err) < 0)
        return error_wrap(err, "%s of the URL", what);
    for (size_t i = 0; i < decoded.n; i++) {
        if (decoded.p[i] < 0x20 || decoded.p[i] == 0x7f)
            return error_set(err, ERR_USAGE, 0, "%s of the URL: control character", what);
    }
    char *text = str_dup(buf_str(&decoded), err);
    if (!text)
        return -1;
    *out = text;
    return 0;
}

/* One part by libcurl's name; *out stays NULL when the URL has none. */
static int part_get(CURLU *u, CURLUPart part, const char *what, char **out, struct error *err)
{
    CLEANUP(curl_text_free) char *raw = NULL;
    CURLUcode rc = curl_url_get(u, part, &raw, 0);

    if (rc == CURLUE_OUT_OF_MEMORY)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a URL");
    if (rc != CURLUE_OK || !raw)
        return 0;
    return part_decode(slice_of_str(raw), false, what, out, err);
}

/* "name=value", or "name" alone, between two '&'. */
static int param_add(struct url *u, struct slice pair, struct error *err)
{
    const uint8_t *equals = pair.n ? memchr(pair.p, '=', pair.n) : NULL;
    size_t name_n = equals ? (size_t)(equals - pair.p) : pair.n;
    struct slice value = equals ? slice_sub(pair, name_n + 1, pair.n) : SLICE_LIT("");

    if (u->param_count == URL_PARAMS_MAX) {
        return error_set(err, ERR_LIMIT, 0, "query of the URL: more than %d parameters",
                         URL_PARAMS_MAX);
    }
    struct url_param *params = realloc(u->params, (u->param_count + 1) * sizeof(*params));
    if (!params)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a URL");
    u->params = params;
    struct url_param *p = &params[u->param_count++];
    *p = (struct url_param){.name = NULL};
    if (part_decode(slice_sub(pair, 0, name_n), true, "query", &p->name, err) < 0)
        return -1;
    return part_decode(value, true, "query", &p->value, err);
}

static int query_split(CURLU *curlu, struct url *u, struct error *err)
{
    CLEANUP(curl_text_free) char *raw = NULL;
    CURLUcode rc = curl_url_get(curlu, CURLUPART_QUERY, &raw, 0);

    if (rc == CURLUE_OUT_OF_MEMORY)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a URL");
    if (rc != CURLUE_OK || !raw)
        return 0;
    for (const char *at = raw; *at;) {
        size_t n = strcspn(at, "&");
        if (n > 0 && param_add(u, slice_of(at, n), err) < 0)
            return -1;
        at += n;
        at += *at == '&';
    }
    return 0;
}

/* libcurl lets "file:x", "s3:/bucket" and "s3:///bucket" pass, and guesses. We do not. */
static bool has_authority(const char *text)
{
    const char *colon = strchr(text, ':');

    if (!colon || strncmp(colon, "://", 3) != 0)
        return false;
    return colon[3] != '/' || strncasecmp(text, "file:", 5) == 0;
}

static int host_copy(const char *host, struct url *u, struct error *err)
{
    u->host = str_dup(host, err);
    return u->host ? 0 : -1;
}

/*
 * libcurl decodes hosts and reads numbers as IPv4 addresses (127.1, 12345). For http that is what
 * will be connected to; for a replica URL it would turn the bucket "12345" into "0.0.48.57", so
 * there the text is taken as it was written.
 */
static int host_get(CURLU *curlu, const char *text, struct url *u, struct error *err)
{
    CLEANUP(curl_text_free) char *host = NULL;
    CURLUcode rc = curl_url_get(curlu, CURLUPART_HOST, &host, 0);

    if (rc == CURLUE_OUT_OF_MEMORY)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a URL");
    if (rc != CURLUE_OK || !host || !*host)
        return host_copy("", u, err);
    bool is_http = strcmp(u->scheme, "http") == 0 || strcmp(u->scheme, "https") == 0;
    const char *colon = strchr(text, ':');
    if (is_http || host[0] == '[' || !colon)
        return host_copy(host, u, err);
    const char *from = colon + 3; /* has_authority() */
    size_t n = strcspn(from, "/?#");
    for (size_t i = n; i > 0; i--) {
        if (from[i - 1] == '@') {
            from += i;
            n -= i;
            break;
        }
    }
    const uint8_t *port = memchr(from, ':', n);
    if (port)
        n = (size_t)(port - (const uint8_t *)from);
    return part_decode(slice_of(from, n), false, "host", &u->host, err);
}

/* libcurl guarantees 1..65535 without leading zeros when there is a port. */
static int port_get(CURLU *curlu, uint16_t *out_port, struct error *err)
{
    CLEANUP(mem_free) char *text = NULL;

    if (part_get(curlu, CURLUPART_PORT, "port", &text, err) < 0)
        return -1;
    if (text)
        *out_port = (uint16_t)strtoul(text, NULL, 10);
    return 0;
}

static int parts_get(CURLU *curlu, const char *text, struct url *u, struct error *err)
{
    if (part_get(curlu, CURLUPART_SCHEME, "scheme", &u->scheme, err) < 0)
        return -1;
    if (!u->scheme || !has_authority(text))
        return error_set(err, ERR_USAGE, 0, "it does not begin with a scheme, \"://\" and a host");
    if (host_get(curlu, text, u, err) < 0 ||
        part_get(curlu, CURLUPART_USER, "user", &u->user, err) < 0 ||
        part_get(curlu, CURLUPART_PASSWORD, "password", &u->password, err) < 0 ||
        port_get(curlu, &u->port, err) < 0 ||
        part_get(curlu, CURLUPART_PATH, "path", &u->path, err) < 0 ||
        query_split(curlu, u, err) < 0)
        return -1;
    if (!u->path)
        u->path = str_dup("/", err);
    return u->path ? 0 : -1;
}

int url_parse(const char *text, struct url *out, struct error *err)
{
    CLEANUP(curlu_cleanup) CURLU *curlu = curl_url();
    CLEANUP(url_destroy) struct url u = URL_INIT;
    char shown[URL_REDACTED_BYTES];

    if (!curlu)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a URL");
    if (strlen(text) > URL_BYTES_MAX) {
        return error_set(err, ERR_LIMIT, 0, "URL \"%s\" is longer than %d bytes",
                         url_redact(text, shown), URL_BYTES_MAX);
    }
    CURLUcode rc =
        curl_url_set(curlu, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_PATH_AS_IS);
    if (rc == CURLUE_OUT_OF_MEMORY)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a URL");
    if (rc != CURLUE_OK) {
        return error_set(err, ERR_USAGE, 0, "\"%s\" is not a URL: %s", url_redact(text, shown),
                         curl_url_strerror(rc));
    }
    if (parts_get(curlu, text, &u, err) < 0)
        return error_wrap(err, "\"%s\"", url_redact(text, shown));
    *out = u;
    u = (struct url)URL_INIT;
    return 0;
}

void url_destroy(struct url *u)
{
    free(u->scheme);
    free(u->user);
    if (u->password)
        explicit_bzero(u->password, strlen(u->password));
    free(u->password);
    free(u->host);
    free(u->path);
    for (size_t i = 0; i < u->param_count; i++) {
        free(u->params[i].name);
        free(u->params[i].value);
    }
    free(u->params);
    *u = (struct url)URL_INIT;
}

const char *url_param(const struct url *u, const char *name)
{
    for (size_t i = 0; i < u->param_count; i++) {
        if (strcmp(u->params[i].name, name) == 0)
            return u->params[i].value;
    }
    return NULL;
}

/* ---- putting together ---- */

static int credentials_build(const struct url *u, struct buf *out, struct error *err)
{
    if (!u->user && !u->password)
        return 0;
    if (url_encode(slice_of_str(u->user), false, out, err) < 0)
        return -1;
    if (u->password && (buf_append_byte(out, ':', err) < 0 ||
                        url_encode(slice_of_str(u->password), false, out, err) < 0))
        return -1;
    return buf_append_byte(out, '@', err);
}

/* An IPv6 address keeps its brackets and colons; other hosts are encoded like all else. */
static int host_build(const char *host, struct buf *out, struct error *err)
{
    return host[0] == '[' ? buf_append_str(out, host, err)
                          : url_encode(slice_of_str(host), false, out, err);
}

static int query_build(const struct url *u, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < u->param_count; i++) {
        const struct url_param *p = &u->params[i];
        if (buf_append_byte(out, i == 0 ? '?' : '&', err) < 0 ||
            url_encode(slice_of_str(p->name), false, out, err) < 0 ||
            buf_append_byte(out, '=', err) < 0 ||
            url_encode(slice_of_str(p->value), false, out, err) < 0)
            return -1;
    }
    return 0;
}

int url_build(const struct url *u, struct buf *out, struct error *err)
{
    ASSERT(u->scheme && u->host && u->path);
    if (buf_printf(out, err, "%s://", u->scheme) < 0 || credentials_build(u, out, err) < 0 ||
        host_build(u->host, out, err) < 0 ||
        (u->port != 0 && buf_printf(out, err, ":%u", u->port) < 0) ||
        url_encode(slice_of_str(u->path), true, out, err) < 0 || query_build(u, out, err) < 0)
        return error_wrap(err, "URL");
    return 0;
}
