/*
 * URLs in parts, and percent encoding. Parsing is libcurl's (so we and the client agree on what a
 * host is), with any scheme allowed: replica URLs are "s3://bucket/prefix?region=x" as well.
 *
 *     CLEANUP(url_destroy) struct url u = URL_INIT;
 *     if (url_parse("s3://key:secret@bucket/app?endpoint=http%3A%2F%2Fminio:9000", &u, err) < 0)
 * ... u.host = "bucket", u.path = "/app", url_param(&u, "endpoint") = "http://minio:9000"
 *
 * No error text of this file repeats a password or a query: signatures and tokens travel there.
 * Threads: any; a struct url belongs to one at a time.
 * Sources: RFC 3986 (syntax; unreserved characters in section 2.3); query parameters as
 * application/x-www-form-urlencoded (URL Standard, section 5).
 */
#ifndef WALFERRY_LIB_HTTP_URL_H
#define WALFERRY_LIB_HTTP_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

enum {
    URL_BYTES_MAX = 65536,   /* of a whole URL */
    URL_PARAMS_MAX = 64,     /* parameters in a query */
    URL_REDACTED_BYTES = 384 /* room for url_redact() */
};

struct url_param {
    char *name;  /* decoded */
    char *value; /* decoded; "" if there was no '=' */
};

struct url {
    char *scheme;   /* lower case, without "://" */
    char *user;     /* decoded; NULL if the URL has none */
    char *password; /* decoded; NULL if the URL has none. Wiped by url_destroy() */
    char *host;     /* as written, an IPv6 address with its brackets; "" in file:///path */
    uint16_t port;  /* 0 if the URL has none */
    char *path;     /* decoded, begins with '/'; dots are kept as they are */
    struct url_param *params;
    size_t param_count;
};

#define URL_INIT {.scheme = NULL}

/*
 * Takes a URL apart. A fragment ("#...") is dropped.
 * ERR_USAGE  not a URL with a scheme, a bad percent escape, or a zero byte or control character
 *            in a part
 * ERR_LIMIT  URL_BYTES_MAX, URL_PARAMS_MAX; ERR_NO_MEMORY
 */
MUST_USE int url_parse(const char *text, struct url *out, struct error *err);

/* Frees all parts; u is empty afterwards. Accepts URL_INIT. */
void url_destroy(struct url *u);

/* The value of the first parameter of that name (case matters), NULL if there is none. */
const char *url_param(const struct url *u, const char *name);

/* Appends the URL to out, encoded as needed. url_parse() of it gives the same parts. */
MUST_USE int url_build(const struct url *u, struct buf *out, struct error *err);

/*
 * Appends bytes percent-encoded: all but A-Z a-z 0-9 - . _ ~ (RFC 3986 unreserved, which is also
 * what AWS signatures want) become %XX in capitals; '/' stays when keep_slash.
 */
MUST_USE int url_encode(struct slice bytes, bool keep_slash, struct buf *out, struct error *err);

/*
 * Appends text with its %XX decoded, '+' as a space when plus_is_space (queries only).
 * ERR_USAGE for '%' without two hex digits, with its offset. The result may hold any byte.
 */
MUST_USE int url_decode(struct slice text, bool plus_is_space, struct buf *out, struct error *err);

/*
 * What may be shown of a URL: without credentials, query and fragment, control characters as '?',
 * cut with "..." when long. Works on text that is no URL, too. Returns out.
 */
const char *url_redact(const char *text, char out[static URL_REDACTED_BYTES]);

#endif
