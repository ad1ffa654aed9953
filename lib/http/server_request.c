/*
 * Reads the head of an HTTP/1.x request in place.
 *
 *   [CRLF] METHOD SP target SP "HTTP/1." digit CRLF
 *   (name ":" OWS value OWS CRLF)*
 *   CRLF
 *
 * Steps of http_head_parse():
 *   1. cut the head into lines; the CR of each becomes its terminator
 *   2. request line: method is a token; the target is origin-form ("/path?query") or absolute-form
 *      ("http://host/path?query", as sent to proxies); the path is percent-decoded
 *   3. headers: names are tokens directly followed by ':', values have no control characters, no
 *      line continues the one before (obs-fold)
 *   4. what the headers say: exactly one Host (HTTP/1.1), at most one Content-Length in digits, no
 *      Transfer-Encoding (411 for chunked, 501 for others), Connection, Expect
 *
 * A head that passes has one meaning only. Bodies in chunks are refused, not read: no client of
 * ours sends them, and a reader that is not there cannot be confused.
 *
 * Source: RFC 9112 sections 2.2, 3, 5, 6; RFC 9110 sections 5.5, 5.6.2, 10.1.1.
 */
#include "lib/http/server_request.h"

#include <string.h>
#include <strings.h>

#include "lib/base/hex.h"

int64_t http_head_find_end(struct slice bytes, size_t *at)
{
    /* One empty line before the request is what some clients send after a body. */
    size_t start = slice_starts_with(bytes, SLICE_LIT("\r\n")) ? 2 : 0;

    for (; *at < bytes.n; (*at)++) {
        size_t i = *at;
        if (bytes.p[i] == '\0')
            return -1;
        if (bytes.p[i] != '\n' || i == start - 1)
            continue;
        bool is_first_line_empty = i == start + 1;
        if (i == 0 || bytes.p[i - 1] != '\r' || is_first_line_empty)
            return -1;
        if (i >= 2 && bytes.p[i - 2] == '\n') {
            *at = i + 1;
            return (int64_t)i + 1;
        }
    }
    return 0;
}

/* ---- characters ---- */

static bool is_token_char(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        if (!is_token_char(*text))
            return false;
    }
    return true;
}

/* The byte that "%xy" at p stands for, -1 if it is not that or is zero. */
static int escape_value(const char *p)
{
    int value = hex_byte(p + 1);
    return value == 0 ? -1 : value;
}

/* ---- request line ---- */

/* Decodes in place; -1 on a bad escape, a control character or a space. */
static int path_decode(char *path)
{
    char *to = path;

    for (const char *from = path; *from; from++) {
        int c = (unsigned char)*from;
        if (c == '%') {
            c = escape_value(from);
            if (c < 0)
                return -1;
            from += 2;
        } else if (c <= ' ' || c == 0x7f) {
            return -1;
        }
        *to++ = (char)c;
    }
    *to = '\0';
    return 0;
}

/* Step 2: splits "METHOD SP target SP version". */
static int request_line_parse(char *line, struct http_head *out, struct error *err)
{
    static char no_path[] = "/";
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;

    if (!target || !version)
        return error_set(err, ERR_CORRUPT, 400, "the request line is not METHOD target version");
    *target++ = '\0';
    *version++ = '\0';
    out->method = line;
    if (!is_token(line))
        return error_set(err, ERR_CORRUPT, 400, "the method is not a token");
    if (strncmp(version, "HTTP/", 5) != 0)
        return error_set(err, ERR_CORRUPT, 400, "the request line does not end in a version");
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0)
        return error_set(err, ERR_CORRUPT, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    out->minor = version[7] == '1';
    if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
        char *authority = strchr(target, ':') + 3;
        target = authority + strcspn(authority, "/?");
        if (*target != '/')
            target = *target ? target : no_path;
    }
    char *query = strchr(target, '?');
    if (query)
        *query++ = '\0';
    out->query = query ? query : "";
    out->path = target;
    if (*target != '/')
        return error_set(err, ERR_CORRUPT, 400, "the target is not an absolute path");
    if (target != no_path && path_decode(target) < 0)
        return error_set(err, ERR_CORRUPT, 400, "the path has a bad escape or character");
    return 0;
}

/* ---- headers ---- */

/* Step 3: splits "name: value". */
static int header_parse(char *line, struct http_head *out, struct error *err)
{
    char *colon = strchr(line, ':');

    if (out->header_count == HTTP_HEAD_HEADERS_MAX)
        return error_set(err, ERR_LIMIT, 431, "more than %d headers", HTTP_HEAD_HEADERS_MAX);
    if (!colon)
        return error_set(err, ERR_CORRUPT, 400, "a header has no colon");
    *colon = '\0';
    if (!is_token(line))
        return error_set(err, ERR_CORRUPT, 400, "the name of a header is not a token");
    char *value = colon + 1;
    value += strspn(value, " \t");
    size_t n = strlen(value);
    while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        value[--n] = '\0';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return error_set(err, ERR_CORRUPT, 400, "header %s has a control character", line);
    }
    out->headers[out->header_count++] = (struct http_head_header){line, value};
    return 0;
}

const char *http_head_header(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++) {
        if (strcasecmp(head->headers[i].name, name) == 0)
            return head->headers[i].value;
    }
    return NULL;
}

static unsigned header_occurrences(const struct http_head *head, const char *name)
{
    unsigned count = 0;

    for (size_t i = 0; i < head->header_count; i++)
        count += strcasecmp(head->headers[i].name, name) == 0;
    return count;
}

/* Whether a comma-separated header has the token, in any of its lines. */
static bool header_has_token(const struct http_head *head, const char *name, const char *token)
{
    size_t token_bytes = strlen(token);

    for (size_t i = 0; i < head->header_count; i++) {
        if (strcasecmp(head->headers[i].name, name) != 0)
            continue;
        const char *p = head->headers[i].value;
        while (*p) {
            p += strspn(p, " \t,");
            size_t n = strcspn(p, ",");
            size_t end = n;
            while (end > 0 && (p[end - 1] == ' ' || p[end - 1] == '\t'))
                end--;
            if (end == token_bytes && strncasecmp(p, token, end) == 0)
                return true;
            p += n;
        }
    }
    return false;
}

static int content_length_parse(const char *text, uint64_t *out, struct error *err)
{
    uint64_t bytes = 0;

    if (!*text)
        return error_set(err, ERR_CORRUPT, 400, "Content-Length is empty");
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return error_set(err, ERR_CORRUPT, 400, "Content-Length is not a number");
        if (!checked_mul_u64(bytes, 10, &bytes) ||
            !checked_add_u64(bytes, (uint64_t)(*text - '0'), &bytes))
            return error_set(err, ERR_CORRUPT, 400, "Content-Length does not fit 64 bits");
    }
    *out = bytes;
    return 0;
}

/* Step 4. */
static int headers_interpret(struct http_head *head, struct error *err)
{
    unsigned host_count = header_occurrences(head, "Host");
    unsigned length_count = header_occurrences(head, "Content-Length");
    const char *coding = http_head_header(head, "Transfer-Encoding");
    const char *expect = http_head_header(head, "Expect");

    if (host_count > 1 || (host_count == 0 && head->minor == 1))
        return error_set(err, ERR_CORRUPT, 400, "expected one Host header, found %u", host_count);
    if (length_count > 1)
        return error_set(err, ERR_CORRUPT, 400, "more than one Content-Length");
    if (coding && length_count > 0)
        return error_set(err, ERR_CORRUPT, 400, "both Content-Length and Transfer-Encoding");
    if (coding && strcasecmp(coding, "chunked") == 0 && head->minor == 1)
        return error_set(err, ERR_UNSUPPORTED, 411, "bodies need a Content-Length here");
    if (coding)
        return error_set(err, ERR_UNSUPPORTED, 501, "transfer coding %s is not known", coding);
    if (length_count == 1 &&
        content_length_parse(http_head_header(head, "Content-Length"), &head->body_bytes, err) < 0)
        return -1;
    if (expect && strcasecmp(expect, "100-continue") != 0)
        return error_set(err, ERR_UNSUPPORTED, 417, "expectation %s is not known", expect);
    head->wants_continue = expect && head->minor == 1;
    head->keeps_alive = !header_has_token(head, "Connection", "close") &&
                        (head->minor == 1 || header_has_token(head, "Connection", "keep-alive"));
    return 0;
}

int http_head_parse(char *p, size_t n, struct http_head *out, struct error *err)
{
    *out = (struct http_head){.query = ""};
    if (n >= 2 && p[0] == '\r' && p[1] == '\n') {
        p += 2;
        n -= 2;
    }
    for (char *end = p + n; p < end;) {
        char *newline = memchr(p, '\n', (size_t)(end - p));
        ASSERT(newline && newline > p && newline[-1] == '\r');
        newline[-1] = '\0'; /* Step 1 */
        if (strlen(p) != (size_t)(newline - 1 - p))
            return error_set(err, ERR_CORRUPT, 400, "the head has a zero byte");
        if (!out->method) {
            if (request_line_parse(p, out, err) < 0)
                return -1;
        } else if (*p == ' ' || *p == '\t') {
            return error_set(err, ERR_CORRUPT, 400, "a header is continued on the next line");
        } else if (*p && header_parse(p, out, err) < 0) {
            return -1;
        }
        p = newline + 1;
    }
    ASSERT(out->method);
    return headers_interpret(out, err);
}

/* ---- query ---- */

/* Appends the n bytes of an encoded value, decoded. */
static int param_decode(const char *p, size_t n, const char *name, struct buf *out,
                        struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        int c = p[i] == '+' ? ' ' : (unsigned char)p[i];
        if (c == '%') {
            c = i + 2 < n ? escape_value(p + i) : -1;
            if (c < 0)
                return error_set(err, ERR_USAGE, 400, "parameter %s has a bad escape", name);
            i += 2;
        }
        if (buf_append_byte(out, (uint8_t)c, err) < 0)
            return error_wrap(err, "parameter %s", name);
    }
    return 0;
}

int http_query_param(const char *query, const char *name, struct buf *out, struct error *err)
{
    size_t wanted_bytes = strlen(name);

    while (*query) {
        size_t n = strcspn(query, "&");
        size_t name_bytes = strcspn(query, "=&");
        size_t value_at = name_bytes < n ? name_bytes + 1 : n;
        if (name_bytes == wanted_bytes && memcmp(query, name, wanted_bytes) == 0)
            return param_decode(query + value_at, n - value_at, name, out, err) < 0 ? -1 : 1;
        query += n + (query[n] == '&');
    }
    return 0;
}

/* ---- status ---- */

const char *http_status_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].status == status)
            return rows[i].reason;
    }
    return "Unknown";
}
