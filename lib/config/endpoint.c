/*
 * Endpoints: normal form, and which of them are near. Only the text is looked at; no name is
 * resolved.
 */
#include "lib/config/endpoint.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    HOST_BYTES_MAX = 255
};

/* The host of an endpoint, in lower case, without scheme, port and path. */
static void endpoint_host(const char *endpoint, char out[static HOST_BYTES_MAX + 1])
{
    const char *scheme_end = strstr(endpoint, "://");
    const char *host = scheme_end ? scheme_end + 3 : endpoint;
    size_t n = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");

    if (n > HOST_BYTES_MAX)
        n = HOST_BYTES_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)tolower((unsigned char)host[i]);
    out[n] = '\0';
}

bool endpoint_is_local(const char *endpoint)
{
    static const char *const patterns[] = {
        "localhost", "*.localhost", "*.local",        "127.*.*.*",      "10.*.*.*",
        "[[]::1]",   "192.168.*.*", "172.1[6-9].*.*", "172.2[0-9].*.*", "172.3[01].*.*",
    };
    char host[HOST_BYTES_MAX + 1];

    endpoint_host(endpoint, host);
    bool has_letter = strpbrk(host, "abcdefghijklmnopqrstuvwxyz") != NULL;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        bool is_address = isdigit((unsigned char)patterns[i][0]);
        if (!(is_address && has_letter) && fnmatch(patterns[i], host, 0) == 0)
            return true;
    }
    return false;
}

int endpoint_normalize(const char *text, char **out, struct error *err)
{
    bool is_http = strncasecmp(text, "http://", 7) == 0;
    bool is_https = strncasecmp(text, "https://", 8) == 0;
    const char *rest = text + (is_http ? 7 : is_https ? 8 : 0);
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~:/[]%!$&'()*+,;=";

    if (strstr(rest, "://")) {
        return error_set(err, ERR_USAGE, 0, "the scheme of \"%.64s\" is neither http nor https",
                         text);
    }
    if (!*rest || strchr("/:.", *rest) || strspn(rest, plain) != strlen(rest)) {
        return error_set(err, ERR_USAGE, 0,
                         "expected http[s]://host[:port] without user, query and fragment");
    }
    if (!is_http && !is_https)
        is_http = endpoint_is_local(rest);
    char *url = str_printf(err, "%s://%s", is_http ? "http" : "https", rest);
    if (!url)
        return -1;
    char *host = strstr(url, "://") + 3;
    for (char *p = host; *p && *p != '/'; p++)
        *p = (char)tolower((unsigned char)*p);
    for (size_t n = strlen(url); url[n - 1] == '/' && url + n > host + 1; n--)
        url[n - 1] = '\0';
    *out = url;
    return 0;
}
