/*
 * Any text is a URL or refused; a URL that was taken apart and put together comes apart the same.
 */
#include "lib/http/url.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void assert_same(const char *a, const char *b)
{
    ASSERT(!a == !b);
    if (a)
        ASSERT(strcmp(a, b) == 0);
}

static void round_trip(const struct url *u)
{
    CLEANUP(buf_destroy) struct buf built = BUF_INIT(4 * URL_BYTES_MAX);
    CLEANUP(url_destroy) struct url again = URL_INIT;
    struct error err = ERROR_INIT;

    int rc = url_build(u, &built, &err);
    ASSERT(rc == 0);
    if (built.n > URL_BYTES_MAX)
        return;
    rc = url_parse(buf_str(&built), &again, &err);
    ASSERT(rc == 0);
    assert_same(u->scheme, again.scheme);
    assert_same(u->user, again.user);
    assert_same(u->password, again.password);
    assert_same(u->host, again.host);
    assert_same(u->path, again.path);
    ASSERT(u->port == again.port);
    ASSERT(u->param_count == again.param_count);
    for (size_t i = 0; i < u->param_count; i++) {
        assert_same(u->params[i].name, again.params[i].name);
        assert_same(u->params[i].value, again.params[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CLEANUP(mem_free) char *text = malloc(n + 1);
    CLEANUP(url_destroy) struct url u = URL_INIT;
    struct error err = ERROR_INIT;
    char shown[URL_REDACTED_BYTES];

    if (!text)
        return 0;
    if (n > 0)
        memcpy(text, data, n);
    text[n] = '\0';
    ASSERT(strlen(url_redact(text, shown)) < URL_REDACTED_BYTES);
    if (url_parse(text, &u, &err) < 0)
        ASSERT(err.code == ERR_USAGE || err.code == ERR_LIMIT);
    else
        round_trip(&u);
    return 0;
}
